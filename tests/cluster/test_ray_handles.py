"""Calls of an actor that does not answer. Ray is a stand-in here: what it is asked for counts, and its real faults take
minutes."""

import os
import pickle
import threading
import time
from contextlib import nullcontext, suppress
from types import SimpleNamespace

import pytest

from streamreid._folders import FolderLock
from streamreid.cluster import ray_handles, ray_run
from streamreid.cluster.ray_handles import RayHandle
from streamreid.cluster.ray_run import RayRun
from streamreid.cluster.site_task import SiteProgress
from streamreid.cluster.site_watch import SiteWatch
from streamreid.cluster.worker_slots import WorkerAway
from streamreid.errors import ClusterError


class Answer:
    """What a call gives: nothing yet, a value, or an error."""

    def __init__(self, value=None):
        self.value = value


class StandIn:
    """An actor, and the part of Ray that calls it."""

    def __init__(self, monkeypatch):
        self.now, self.direct, self.relayed, self.knocks = 0.0, [], [], []
        self.reachable = self.reached_by_tasks = False
        monkeypatch.setattr(ray_handles, "_ray", lambda: self)
        ray_handles._relay_task.cache_clear()
        monkeypatch.setattr(ray_handles, "time", SimpleNamespace(monotonic=lambda: self.now))
        method = SimpleNamespace(remote=lambda *_: self._asked(self.direct, self.reachable))
        knock = SimpleNamespace(remote=lambda: self._asked(self.knocks, self.reachable))
        self.actor = SimpleNamespace(exchange=method, __ray_ready__=knock)

    def _asked(self, calls, answered):
        calls.append(Answer("answer" if answered else None))
        return calls[-1]

    def wait(self, answers, timeout):
        return [a for a in answers if a.value], [a for a in answers if not a.value]

    def get(self, answer):
        return answer.value

    def remote(self, **_):
        return lambda _: SimpleNamespace(remote=lambda *_: self._asked(self.relayed, self.reached_by_tasks))


@pytest.fixture
def ray(monkeypatch):
    yield StandIn(monkeypatch)
    ray_handles._relay_task.cache_clear()


def ask(ray, handle, seconds, every=1.0):
    """Call again and again; how many calls were answered."""
    answered = 0
    for _ in range(int(seconds / every)):
        with suppress(WorkerAway):
            answered += handle.call("exchange", seconds=0.1) == "answer"
        ray.now += every
    return answered


def test_an_actor_that_answers_is_called_itself(ray):
    ray.reachable = True
    assert ask(ray, RayHandle("worker", ray.actor), 100) == len(ray.direct) == 100
    assert not ray.relayed
    assert not ray.knocks


def test_one_that_this_process_does_not_find_again_is_called_by_tasks(ray):
    ray.reached_by_tasks = True
    handle = RayHandle("worker", ray.actor)
    assert ask(ray, handle, 100) > 80
    assert len(ray.direct) <= 16


def test_tasks_that_wait_in_vain_are_few(ray):
    """As while the machine of the actor has no network: each such task is a process of its own."""
    ask(ray, RayHandle("worker", ray.actor), 600)
    assert len(ray.relayed) <= ray_handles._MOST_RELAYS * (1 + 600 / (2 * ray_handles._RELAYED_SECONDS))
    assert len(ray.knocks) == 1


def test_one_that_is_back_is_called_itself_again(ray):
    ray.reached_by_tasks = True
    handle = RayHandle("worker", ray.actor)
    ask(ray, handle, 60)
    ray.reachable, ray.knocks[0].value = True, True
    before = len(ray.relayed)
    assert ask(ray, handle, 60) == 60
    assert len(ray.relayed) == before


def test_a_question_that_is_never_answered_is_not_forgotten_for_a_new_one(ray):
    """The answer to the first knock may be lost with the process that was asked; it fails then, and another follows."""
    handle = RayHandle("worker", ray.actor)
    ask(ray, handle, 60)
    ray.knocks[0].value = "lost"
    ray.get = lambda answer: (_ for _ in ()).throw(RuntimeError("lost"))
    ask(ray, handle, 60)
    assert len(ray.knocks) == 2


def test_a_handle_is_sent_as_a_name(ray):
    """Ray's own handles in arguments of a constructor are references that it does not keep for a restart."""
    ray.reachable = True
    actors = {"worker": ray.actor}
    ray.get_actor = lambda name, namespace: actors[name]
    sent = pickle.loads(pickle.dumps(RayHandle("worker", lambda: "cannot be pickled")))
    del actors["worker"]  # the head, which knows names, is gone when it is first called
    assert sent.call("exchange", seconds=0.1) == "answer"
    lost = RayHandle("another")
    with pytest.raises(WorkerAway):
        lost.call("exchange", seconds=0.1)


def run_with(folder, silent, headless=0.0, *, stopping=None):
    run = RayRun.__new__(RayRun)
    run._task, run._stopping = SimpleNamespace(folder=folder), stopping
    run._session = SimpleNamespace(check_node=lambda: None, head_away=lambda: headless)
    run._watch = SimpleNamespace(said=SiteProgress(1, text="ten frames"), silent=lambda: silent, tell=lambda: None)
    return run


def test_a_site_that_writes_is_not_given_up_where_it_cannot_be_reached(tmp_path):
    run = run_with(tmp_path, ray_run.SITE_LOST_SECONDS + 1)
    (tmp_path / "results.jsonl").write_text("{}")
    with FolderLock(tmp_path):
        assert run._look() is None
        for path in tmp_path.iterdir():  # it hangs
            os.utime(path, (1, 1))
        with pytest.raises(ClusterError, match="does not answer for 181 s"):
            run._look()
    (tmp_path / "results.jsonl").write_text("{}")
    with pytest.raises(ClusterError, match="results so far are kept"):
        run._look()


@pytest.mark.parametrize(
    ("silent", "headless", "stopping", "ends"),
    [
        (100.0, 0.0, None, False),
        (59.0, 61.0, None, False),
        (61.0, 61.0, None, True),
        (61.0, 3.0, None, False),  # a busy head
        (19.0, 0.0, 1.0, False),
        (21.0, 0.0, 1.0, True),
    ],
)
def test_nobody_waits_for_a_site_that_nothing_starts_again(tmp_path, silent, headless, stopping, ends):
    run = run_with(tmp_path, silent, headless, stopping=stopping)
    with pytest.raises(ClusterError, match="nor does the head" if headless else "does not") if ends else nullcontext():
        run._look()


class Called:
    """A process of a site; without an answer, a call of it never ends, as one of Ray's without a head."""

    def __init__(self, answer=None):
        self.answer, self.ended = answer, threading.Event()

    def call(self, method, *arguments, seconds):
        if self.answer is None:
            self.ended.wait()
            raise WorkerAway("ended")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def wait(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_command_does_not_wait_with_a_call_that_never_ends(caplog):
    one, other = Called(SiteProgress(1, text="one")), Called(SiteProgress(2, standby=True))
    asked = []
    watch = SiteWatch([one, other], asked.append)
    wait(lambda: watch.said is not None)
    one.answer, other.answer = WorkerAway("gone"), SiteProgress(2, text="other", wanted=({"site": "north"},))
    wait(lambda: watch.said.pid == 2)
    assert (watch.site, asked[0]) == (other, {"site": "north"})
    one.answer = other.answer = WorkerAway("gone")
    wait(lambda: watch._problem)
    watch.tell()
    watch.tell()
    assert [r.getMessage() for r in caplog.records if "the site does not answer (gone)" in r.getMessage()] == [
        "the site does not answer (gone): another process of it takes over, or is started"
    ]
    one.answer = None
    wait(lambda: watch.silent() > 0.5)
    began = time.monotonic()
    watch.stop()
    assert time.monotonic() - began < 5
    one.ended.set()
