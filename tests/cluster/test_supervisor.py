"""Workers that cannot be heard: the site and two workers in this process, joined by handles that are cut."""

import json
import socket
import threading
import time
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from streamreid.cluster import supervisor
from streamreid.cluster.lease_store import LeaseStore
from streamreid.cluster.leases import LeasesAway, owned_twice
from streamreid.cluster.run_worker import RunWorker
from streamreid.cluster.site_marker import SiteMarker
from streamreid.cluster.site_process import SiteProcess
from streamreid.cluster.site_task import SiteTask
from streamreid.cluster.worker_slots import Assignment, WorkerAway, WorkerSlot
from streamreid.config import CameraConfig, ClusterConfig, Config
from streamreid.errors import CameraExists, CameraNotFound, SourceError

SECONDS = 3.0
"""How long leases last here."""


class Answer:
    """A call of a worker in this process; while it is cut off, none arrives and no answer comes."""

    def __init__(self, handle, act):
        self._handle, self._values = handle, []
        self._thread = threading.Thread(target=lambda: self._values.append(act()), daemon=True)
        if not handle.cut:
            self._thread.start()

    def done(self):
        return self.wait(0.0)

    def wait(self, seconds):
        deadline = time.monotonic() + seconds
        while not (self._values and not self._handle.cut) and time.monotonic() < deadline:
            time.sleep(0.01)
        return bool(self._values) and not self._handle.cut

    def result(self):
        if self._handle.cut or not self._values:
            raise WorkerAway("cut off")
        return self._values[0]


class Handle:
    """A worker in this process."""

    def __init__(self, worker):
        self.worker, self.cut, self.gone = worker, False, False

    def begin(self, method, *arguments):
        return Answer(self, lambda: getattr(self.worker, method)(*arguments))

    def call(self, method, *arguments, seconds):
        answer = self.begin(method, *arguments)
        if not answer.wait(seconds):
            raise WorkerAway("cut off")
        return answer.result()

    def is_gone(self, host, pid):
        return self.gone


class Site:
    """A site with two workers, and what it writes."""

    def __init__(self, scene, folder, database=None, *, page=None):
        videos = [scene.camera(name, [0, 1], frames=600, rate=10) for name in "abc"]
        cameras = [{"name": v.stem, "uri": str(v), "live": True, "repeat": 1000} for v in videos]
        self.spare = CameraConfig(**cameras.pop())
        models = {"detector": {"model": f"mot:{scene.boxes}"}, "engine": {"model": "none"}}
        config = Config.from_dict(
            {
                "cameras": cameras,
                "output": {"parquet": False},
                "cluster": {"workers": 2},
                "server": {"listen": None if page is None else "0"},
                **models,
            }
        )
        store = LeaseStore("test", SECONDS, database)
        self.handles = [Handle(RunWorker(config, Path.cwd(), 1, leases=store, stay=True)) for _ in "xy"]
        self.slots = [WorkerSlot(n, h, {}, [c], [c]) for n, h, c in zip("xy", self.handles, "ab", strict=True)]
        self.folder = folder
        self.task = SiteTask("run", config, folder, Path.cwd(), store, stay=True, page=page)
        self.process = SiteProcess(self.task, self.slots)
        self.wait(lambda: self.process.progress().ready)

    def wait(self, condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.process.progress()
            time.sleep(0.02)

    def rows(self):
        path = self.folder / "results.jsonl"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def frames(self, camera):
        return [row["frame"] for row in self.rows() if row.get("camera") == camera and "frame" in row]

    def more(self, camera, count=3):
        before = len(self.frames(camera))
        self.wait(lambda: len(self.frames(camera)) >= before + count)

    def reads(self, number):
        return set(self.handles[number].worker.status()["cameras"])

    @property
    def cameras(self):
        return self.process._service.cameras

    def end(self):
        self.process.stop()
        for handle in self.handles:
            handle.cut = False
        self.wait(lambda: self.process.progress().done)
        closing = [threading.Thread(target=handle.worker.close) for handle in self.handles]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()


@pytest.fixture
def quick(monkeypatch):
    """Seconds of a cut as tenths."""
    monkeypatch.setattr(supervisor, "HEARTBEAT_SECONDS", 0.7)
    monkeypatch.setattr(supervisor, "WITHDRAW_SECONDS", 2.5)
    monkeypatch.setattr(supervisor, "SETTLE_SECONDS", 1.5)


@pytest.fixture(params=["site", "postgresql"])
def site(request, scene, tmp_path, quick):
    database = request.getfixturevalue("database") if request.param == "postgresql" else None
    made = Site(scene, tmp_path / "out", database)
    yield made
    made.end()


def test_a_short_cut_moves_nothing_and_loses_nothing(site):
    site.more("a")
    last = site.frames("a")[-1]
    site.handles[0].cut = True
    time.sleep(1.2)  # more than a heartbeat, less than a lease
    site.handles[0].cut = False
    site.wait(lambda: site.frames("a")[-1] > last + 15)
    numbers = sorted({number for number in site.frames("a") if number >= last})
    assert numbers == list(range(last, numbers[-1] + 1))  # what was filmed meanwhile came later
    assert site.reads(0) == {"a"}
    assert site.process.leases().log()[-1].kind == "acquire"  # none was ended
    assert not owned_twice(site.process.leases().log())


def test_a_long_cut_gives_the_cameras_to_others_once_their_worker_has_stopped(site):
    site.more("a")
    site.handles[0].cut = True
    site.wait(lambda: "a" in site.reads(1))
    site.more("a")
    stopped = site.handles[0].worker.status()["cameras"]["a"]
    assert stopped["state"] in ("closing", "waiting for lease")  # by itself: nobody could tell it
    site.handles[0].cut = False
    site.wait(lambda: not site.slots[0].away)
    site.handles[0].cut = True  # it comes only to go again, and gets nothing
    time.sleep(0.5)
    assert site.reads(1) == {"a", "b"}
    site.handles[0].cut = False
    site.wait(lambda: site.reads(0) == {"a"} and site.reads(1) == {"b"})  # nobody stays idle
    site.more("a")
    site.more("b")
    shown = [(row["camera"], row["frame"], row["track_id"]) for row in site.rows() if row["type"] == "person"]
    assert len(shown) == len(set(shown))
    assert not owned_twice(site.process.leases().log())


@pytest.fixture
def served(scene, tmp_path, quick):
    made = Site(scene, tmp_path / "out")
    yield made
    made.end()


def test_cameras_come_change_and_go_while_others_stay_where_they_are(served):
    site, cameras, told = served, served.cameras, []
    cameras.subscribe(lambda name, what, why: told.append((name, what)))
    site.more("a")
    cameras.add(site.spare)
    site.more("c")
    assert (site.reads(0) | site.reads(1), {"a"} <= site.reads(0), {"b"} <= site.reads(1)) == ({*"abc"}, True, True)
    with pytest.raises(CameraExists):
        cameras.add(site.spare)
    cameras.pause("c")
    count = site.process._service.run.statistics.cameras["c"]
    site.wait(lambda: count.paused)
    time.sleep(1.0)
    before = len(site.frames("c"))
    time.sleep(0.5)
    assert len(site.frames("c")) == before
    cameras.resume("c")
    site.more("c")
    with pytest.raises(SourceError, match="nowhere"):
        cameras.change(site.spare.model_copy(update={"uri": "/nowhere.avi"}))
    site.more("c")  # as it was
    newest = max(site.frames("c"))
    cameras.remove("c")
    site.wait(lambda: site.reads(0) | site.reads(1) == {*"ab"})
    with pytest.raises(CameraNotFound):
        cameras.remove("c")
    cameras.add(site.spare)
    site.more("c")
    assert max(site.frames("c")) > newest
    numbers = site.frames("c")
    assert numbers == sorted(numbers)  # none is given a second time
    assert {what for name, what in told if name == "c"} >= {"added", "paused", "removed"}


def test_a_camera_that_cannot_be_opened_is_not_added(served, monkeypatch):
    monkeypatch.setattr(supervisor, "HEARTBEAT_SECONDS", 30.0)  # no worker is to count as away on a busy machine
    lost = served.spare.model_copy(update={"uri": "/nowhere.avi"})
    run = served.process._service.run
    with pytest.raises(SourceError, match="nowhere"):
        served.cameras.add(lost)
    assert [camera.name for camera in served.cameras.configs] == ["a", "b"]
    served.wait(lambda: served.reads(0) | served.reads(1) == {"a", "b"})
    assert (run.failed, set(run.statistics.cameras)) == ({}, {"a", "b"})


def test_the_page_shows_people_where_the_pictures_are_elsewhere(scene, tmp_path, quick):
    live_page = pytest.importorskip("streamreid.web", reason="needs the extra web").live_page
    site = Site(scene, tmp_path / "out", page=live_page)
    try:
        site.more("a")
        with httpx.Client(base_url=site.process.progress().address, timeout=20, follow_redirects=True) as client:
            assert client.get("/page/").status_code == 200
            answer = client.get("/page/picture/a", params={"width": 320})
            picture = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
            assert picture.shape == (240, 320, 3)
            assert np.median(picture) < 96  # plain, not the camera's grey
    finally:
        site.end()


def test_a_worker_is_told_again_what_to_read_where_the_call_got_lost(served, monkeypatch):
    monkeypatch.setattr(supervisor, "SHARE_SECONDS", 0.5)
    lost = []
    begin = Handle.begin

    def lose_one(handle, method, *arguments):
        if method == "share" and not lost:
            lost.append(handle)
            return Answer(handle, lambda: time.sleep(600))
        return begin(handle, method, *arguments)

    monkeypatch.setattr(Handle, "begin", lose_one)
    served.cameras.add(served.spare)
    served.more("c")
    assert lost


def test_a_worker_whose_calls_were_held_up_reads_its_cameras_again(served, monkeypatch):
    """No call of it fails, and yet its leases were withdrawn meanwhile."""
    served.more("a")
    begin, held = Handle.begin, []

    def hold_one(handle, method, *arguments):
        if handle is served.handles[0] and method == "exchange" and not held:
            held.append(method)
            served.wait(lambda: served.slots[0].withdrawn)
        return begin(handle, method, *arguments)

    monkeypatch.setattr(Handle, "begin", hold_one)
    served.wait(lambda: served.reads(1) == {"a", "b"})
    served.wait(lambda: served.reads(0) == {"a"} and served.reads(1) == {"b"})
    served.more("a")
    assert held == ["exchange"]
    assert not served.slots[0].withdrawn


def slots(*names, labels=None):
    return [WorkerSlot(name, None, labels or {}) for name in names]


def test_a_site_that_is_started_again_leaves_cameras_where_they_are():
    both = slots("x", "y")
    both[0].home, both[1].home = ["a", "b"], ["c"]
    assignment = Assignment(both, ClusterConfig(workers=2))
    assignment.adopt({"x": ["a"], "y": ["c", "b", "gone"]}, ["a", "b", "c", "d"])
    assert [slot.cameras for slot in both] == [["a"], ["c", "b"]]
    assert assignment.homeless == ["d"]  # added by HTTP, and its worker died with the site


def test_a_camera_without_room_waits_for_another_worker():
    (one,) = slots("x")
    assignment = Assignment([one], ClusterConfig(cameras_per_worker=1))
    assert assignment.place("a", [one]) is one
    assert assignment.place("b", [one]) is None
    assert assignment.wanted() == [{}]
    another = WorkerSlot("y", None)
    assignment.slots.append(another)
    assert assignment.place("b", [one, another]) is another
    assert assignment.wanted() == []


def test_a_damaged_note_of_an_earlier_process_is_none(tmp_path):
    assert SiteMarker.read(tmp_path) == SiteMarker()
    (tmp_path / ".site.json").write_text('{"run": "x", "committed"')
    assert SiteMarker.read(tmp_path) == SiteMarker()
    SiteMarker("r").write(tmp_path, committed=True, port=80)
    assert SiteMarker.read(tmp_path) == SiteMarker("r", True, 80)


def test_a_site_that_cannot_begin_leaves_no_note(scene, tmp_path):
    """The next one would take another folder."""
    camera = {"name": "a", "uri": str(scene.camera("a", [0])), "live": True}
    models = {"detector": {"model": f"mot:{scene.boxes}"}, "engine": {"model": "none"}}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        config = Config.from_dict({"cameras": [camera], "server": {"listen": listen}, **models})
        store = LeaseStore("test", SECONDS, None)
        worker = RunWorker(config, Path.cwd(), 1, leases=store, stay=True)
        folder = tmp_path / "live"
        task = SiteTask("run", config, folder, Path.cwd(), store, stay=True)
        process = SiteProcess(task, [WorkerSlot("x", Handle(worker), {}, ["a"], ["a"])])
        deadline = time.monotonic() + 60
        while not process.progress().done and time.monotonic() < deadline:
            time.sleep(0.02)
        worker.close()
    assert listen in process.progress().problem
    assert [path.name for path in folder.iterdir() if path.name != ".lock"] == []


def test_leases_are_kept_by_the_gallery_where_it_is_in_postgresql():
    def store(**sections):
        return LeaseStore.of(Config.from_dict({"cameras": [{"name": "a", "uri": "rtsp://h/1"}], **sections}), "s")

    gallery = {"store": "postgresql://h/db"}
    assert store() == LeaseStore("s", 10.0)
    assert store(gallery=gallery) == LeaseStore("s", 4.0, "postgresql://h/db")
    assert store(gallery=gallery, cluster={"leases": "site"}) == LeaseStore("s", 10.0)
    assert store(gallery={"store": "g.sqlite"}, cluster={"lease_seconds": 20}) == LeaseStore("s", 20.0)


def test_a_worker_that_does_not_reach_the_leases_says_so_and_tries_again(scene):
    config = Config.from_dict(
        {
            "cameras": [{"name": "a", "uri": "rtsp://127.0.0.1:9/x"}],
            "detector": {"model": f"mot:{scene.boxes}"},
            "engine": {"model": "none"},
        }
    )
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'streamreid[postgres]'")
    store = LeaseStore("s", 2.0, "postgresql://nobody@127.0.0.1:1/none")
    opened = RunWorker(config, Path.cwd(), 1, leases=store).open()
    assert opened.again
    assert "127.0.0.1:1" in opened.problem
    with pytest.raises(LeasesAway):
        store.for_site(None)
