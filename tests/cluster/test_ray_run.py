"""A run on a Ray cluster: the results of one process; cameras survive their worker, people survive the site."""

import json
import os
import signal
import threading
import time

import httpx
import pytest

from streamreid.cluster.leases import LeaseChange, owned_twice
from streamreid.cluster.ray_run import RayRun

pytestmark = [pytest.mark.wall_time, pytest.mark.alone]


@pytest.fixture
def cameras(scene):
    return [scene.camera(name, people, frames=60) for name, people in {"a": [0, 1], "b": [1, 2], "c": [3]}.items()]


def options(scene):
    return ["--detector", f"mot:{scene.boxes}", "--engine", "none"]


def test_results_of_one_process(nodes, call, scene, cameras, tmp_path):
    assert call("run", *cameras, "--out", tmp_path / "one", *options(scene))[0] == 0
    many = "--cluster", "auto", "--set", "cluster.workers=2"
    code, _, err = call("run", *cameras, "--out", tmp_path / "many", *options(scene), *many)
    assert code == 0, err
    one, two = (
        {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.txt")}
        for name in ("one", "many")
    )
    assert len(one) == 6
    assert one == two
    assert (tmp_path / "one" / "results.jsonl").read_bytes() == (tmp_path / "many" / "results.jsonl").read_bytes()


def live(scene, **sections):
    """Recordings of five minutes that are played as cameras."""
    videos = [scene.camera(name, [0, 1], frames=1500, rate=5) for name in "abcd"]
    config = scene.config(*videos, **sections)
    return config.model_copy(update={"cameras": tuple(c.model_copy(update={"live": True}) for c in config.cameras)})


class Running:
    """A run on the cluster in a thread, and what it writes."""

    def __init__(self, cluster, folder):
        self.cluster, self.folder = cluster, folder
        self.pid, self.summary = None, None
        self.thread = threading.Thread(target=self._follow)
        self.thread.start()

    def _follow(self):
        def note(said):
            self.pid = said.pid

        self.summary = self.cluster.follow(note)

    def rows(self):
        text = (self.folder / "results.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def frames(self, camera):
        return [row["frame"] for row in self.rows() if row.get("camera") == camera and "frame" in row]

    def more(self, *cameras, than=None, count=3, seconds=150):
        """Seconds until each camera has more frames in the results."""
        before = than or {name: len(self.frames(name)) for name in cameras}
        began = time.monotonic()
        wait_for(lambda: all(len(self.frames(name)) >= before[name] + count for name in cameras), seconds)
        return time.monotonic() - began

    def end(self):
        self.cluster.stop()
        self.thread.join(60)

    def leases(self):
        return [LeaseChange(**json.loads(line)) for line in (self.folder / "leases.jsonl").read_text().splitlines()]


def test_a_worker_and_the_site_are_killed_and_cameras_change_by_http(nodes, call, scene, tmp_path):
    config = live(scene, cluster={"address": "auto", "workers": 2}, server={"listen": "0"})
    fourth, config = config.cameras[3], config.model_copy(update={"cameras": config.cameras[:3]})
    with RayRun(config, tmp_path / "out", stay=True) as cluster:
        running = Running(cluster, tmp_path / "out")
        try:
            wait_for((tmp_path / "out" / "results.jsonl").exists)
            running.more("a", "b", "c", than=dict.fromkeys("abc", 0), count=10)
            workers = status(call)
            cameras_by_http(cluster.address, fourth, running)
            assert {n: set(w["cameras"]) & set("abc") for n, w in status(call).items() if w["kind"] == "cameras"} == {
                n: set(w["cameras"]) for n, w in workers.items() if w["kind"] == "cameras"
            }  # nothing moved that needed not
            lost = next(w for w in workers.values() if "a" in w["cameras"] and w["kind"] == "cameras")
            os.kill(lost["pid"], signal.SIGKILL)
            running.more("a", "b", "c")
            site = running.pid
            os.kill(site, signal.SIGKILL)
            known = {row["global_id"] for row in running.rows() if row.get("global_id")}
            running.more("a", "b", "c", "d")
            assert running.pid != site
            states = {c["name"]: c["state"] for c in httpx.get(f"{cluster.address}/cameras", timeout=20).json()}
            assert set(states) == set("abcd")  # one was added by HTTP
        finally:
            running.end()
    assert running.summary.interrupted
    assert not owned_twice(running.leases())
    shown = [(r["camera"], r["frame"], r["track_id"]) for r in running.rows() if r["type"] == "person"]
    assert len(shown) == len(set(shown))
    new = [row["global_id"] for row in running.rows() if row["type"] == "event" and row["kind"] == "new"]
    assert len(new) == len(set(new)) > len(known) > 0  # people are new to the site that was started again, no id is


def cameras_by_http(address, camera, running):
    """Add a camera, let it rest and read it again, refuse one that cannot be opened."""
    with httpx.Client(base_url=address, timeout=60) as client:
        body = {"name": camera.name, "uri": camera.uri, "live": True}
        answer = client.post("/cameras", json=body)
        assert (answer.status_code, answer.json()["name"]) == (201, "d"), answer.text
        running.more("d", than={"d": 0})
        assert client.post("/cameras/d/pause").json()["state"] == "paused"
        assert client.post("/cameras/d/resume").status_code == 200
        running.more("d")
        answer = client.post("/cameras", json={"name": "e", "uri": "/nowhere.avi", "live": True})
        assert answer.status_code >= 400
        assert "nowhere" in answer.text
        assert {c["name"] for c in client.get("/cameras").json()} == set("abcd")


def status(call):
    code, text, err = call("cluster", "status", "--json")
    assert code == 0, err
    return {n: w for n, w in json.loads(text[text.index("{") :])["workers"].items() if w}  # None: being started


def wait_for(condition, seconds=150):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
