"""A run on a Ray cluster: the results of one process, and cameras that survive their worker."""

import json
import os
import signal
import threading
import time

import pytest

from streamreid.cluster.leases import owned_twice
from streamreid.cluster.ray_run import RayRun
from streamreid.cluster.ray_session import RaySession
from streamreid.config import ClusterConfig
from streamreid.runs import run

pytestmark = pytest.mark.wall_time


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


def live(scene, **cluster):
    """Recordings of five minutes that are played as cameras."""
    videos = [scene.camera(name, [0, 1], frames=1500, rate=5) for name in "abc"]
    config = scene.config(*videos, cluster={"address": "auto", **cluster})
    return config.model_copy(update={"cameras": tuple(c.model_copy(update={"live": True}) for c in config.cameras)})


def test_a_worker_is_killed(nodes, call, scene, tmp_path):
    config = live(scene, workers=2)
    with RayRun(config, tmp_path / "out") as cluster:
        frames = {name: [] for name in "abc"}
        lost = []

        def look(following):
            now = time.monotonic()
            for name, count in following.statistics.cameras.items():
                if count.frames and (not frames[name] or frames[name][-1][1] < count.frames):
                    frames[name].append((now, count.frames))

        thread = threading.Thread(target=run, args=(cluster.run, tmp_path / "out"), kwargs={"progress": look})
        thread.start()
        try:
            wait_for(lambda: all(len(seen) > 10 for seen in frames.values()))
            with RaySession(ClusterConfig(address="auto")) as session:
                before = {w["pid"]: set(w["cameras"]) for w in session.workers().values()}
                pid, cameras_lost = next((pid, names) for pid, names in before.items() if "a" in names)
                lost.append(time.monotonic())
                os.kill(pid, signal.SIGKILL)
                wait_for(lambda: frames["a"][-1][0] > lost[0] + 1)
                wait_for(lambda: pid not in {w["pid"] for w in session.workers().values() if w})
                code, text, err = call("cluster", "status", "--json")
            assert code == 0, err
        finally:
            cluster.run.stop()
            thread.join()
        assert cameras_lost | set().union(*before.values()) == set("abc")
        assert not owned_twice(cluster.leases.log())
        said = json.loads(text[text.index("{") :])  # Ray tells of the death on standard output
        assert "a" in {c for w in said["workers"].values() if w for c in w["cameras"]}  # None: it is being started
        results = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
        shown = [(r["camera"], r["frame"], r["track_id"]) for r in results if r["type"] == "person"]
        assert len(shown) == len(set(shown))


def wait_for(condition, seconds=150):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
