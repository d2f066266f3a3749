"""Workers ask the site without calling it, and hear in time that it is away."""

import pickle
import threading
import time

import pytest

from streamreid.cluster.leases import LeaseHeld, LeasesAway, SiteLeases
from streamreid.cluster.request_bridge import RequestBridge, RequestedLeases
from streamreid.cluster.site_desk import SiteDesk
from streamreid.errors import ClusterError, DataError


class Site:
    """Calls a worker's bridge as the site does, with values that went through bytes."""

    def __init__(self, bridge, desk):
        self.bridge, self.desk = bridge, desk
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.loop)

    def loop(self):
        answers = {}
        while not self.ended.is_set():
            requests = pickle.loads(pickle.dumps(self.bridge.fetch(answers, 0.05)))
            answers = pickle.loads(pickle.dumps({r.number: self.desk.answer(r) for r in requests}))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def receive(data):
    if data == b"bad":
        raise DataError("damaged")
    return data[::-1]


def test_batches_and_leases():
    bridge, store = RequestBridge(), SiteLeases(seconds=10)
    desk = SiteDesk(receive, store)
    leases = RequestedLeases(bridge, store.seconds)
    with Site(bridge, desk):
        assert bridge.ask("batch", b"abc") == b"cba"
        assert (desk.received, desk.batches) == (3, 1)
        with pytest.raises(ClusterError, match="damaged"):
            bridge.ask("batch", b"bad")
        with pytest.raises(ClusterError, match="knows no 'dance'"):
            bridge.ask("dance")
        before = time.monotonic()
        lease = leases.acquire("gate", "me")
        assert before + 10 <= lease.expires <= time.monotonic() + 10
        with pytest.raises(LeaseHeld, match="belongs to worker 'me'"):
            leases.acquire("gate", "you")
        assert leases.renew([lease])["gate"].expires >= lease.expires
        leases.release(lease)
        assert leases.acquire("gate", "you").fence > lease.fence
        assert [c.kind for c in leases.log()] == ["acquire", "release", "acquire"]


def test_the_end_of_a_lease_is_on_the_clock_of_who_asked():
    bridge, store = RequestBridge(), SiteLeases(seconds=5, clock=lambda: time.monotonic() + 1e6)
    with Site(bridge, SiteDesk(receive, store)):
        assert RequestedLeases(bridge, 5).acquire("gate", "me").expires <= time.monotonic() + 5


def test_a_site_that_is_away():
    bridge = RequestBridge(seconds=0.05)
    with pytest.raises(ClusterError, match="does not answer"):
        bridge.ask("batch", b"")
    with pytest.raises(LeasesAway):
        RequestedLeases(bridge, 5).acquire("gate", "me")
    assert bridge.fetch({}, 0) == []  # nobody waits for these any more


def test_an_answer_that_comes_too_late_is_nobodys():
    bridge = RequestBridge(seconds=0.2)
    failed = []

    def ask():
        try:
            bridge.ask("batch", b"")
        except ClusterError as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    (request,) = bridge.fetch({}, 5)
    assert bridge.fetch({}, 0) == []  # fetched once
    thread.join()
    assert failed
    assert bridge.fetch({request.number: SiteDesk(receive, SiteLeases()).answer(request)}, 0) == []


def test_frame_rates():
    counts = {"gate": {"frames": 0, "silent": None}}
    desk = SiteDesk(receive, SiteLeases(), lambda: counts)
    assert desk.figures()["gate"]["fps"] == 0
    desk._looked -= 2
    counts = {"gate": {"frames": 20, "silent": 0.1}}
    assert desk.figures()["gate"]["fps"] == pytest.approx(10, rel=0.1)
