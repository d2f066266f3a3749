"""Batches on their way: checksums, gaps, repetitions, fences, and buffers that are full."""

import threading

import pytest

from streamreid.cluster import outbox as outboxes
from streamreid.cluster.inbox import Inbox
from streamreid.cluster.outbox import Outbox
from streamreid.cluster.update_batch import Ack, CameraUpdates, UpdateBatch
from streamreid.errors import DataError
from streamreid.track_update import TrackUpdate
from streamreid.types import Detections, Frame


def update(index, camera="gate"):
    frame = Frame.without_image(camera, index, index / 10, size=(640, 480))
    return TrackUpdate(frame, Detections.empty()).to_bytes()


def batch(fence, first, count, *, oldest=0, worker="a"):
    updates = tuple(update(number) for number in range(first, first + count))
    return UpdateBatch(worker, (CameraUpdates("gate", fence, oldest, first, updates),))


def taken(inbox):
    return [item.frame.index for _, item in inbox.channels["gate"].waiting]


@pytest.fixture
def box():
    outbox = Outbox(threading.Event())
    outbox.open("gate", 1, live=True)
    return outbox


def test_batches_and_answers_come_back_as_they_were():
    one = UpdateBatch("a", batch(3, 5, 2, oldest=4).cameras, {"engine": "x"}, {"gate": {"drops": {"late": 2}}})
    assert UpdateBatch.from_bytes(one.to_bytes()) == one
    ack = Ack({"gate": 7}, {"hall": "no"}, ("yard",), {"gate": (4, 9)}, 12.5)
    assert Ack.from_bytes(ack.to_bytes()) == ack


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda d: b"JPEG" + d[4:], "begin with b'JPEG'"),
        (lambda d: d[:-3], "checksum"),
        (lambda d: d[:-1] + bytes([d[-1] ^ 1]), "checksum"),
        (lambda d: d[:4] + b"\x09\x00" + d[6:], "version 9, expected 1"),
        (lambda d: b"", "begin with b''"),
        (lambda d: d + bytes(9 << 20), "more than"),
    ],
)
def test_bytes_that_are_no_batch_are_refused(damage, what):
    with pytest.raises(DataError, match=what):
        UpdateBatch.from_bytes(damage(batch(1, 0, 3).to_bytes()))


def test_what_is_sent_twice_is_taken_once_and_gaps_are_sent_again():
    inbox = Inbox(["gate"], live=True)
    assert inbox.take(batch(1, 0, 3), {}).next == {"gate": 3}
    assert inbox.take(batch(1, 1, 3), {}).next == {"gate": 4}
    assert inbox.take(batch(1, 6, 2), {}).next == {"gate": 4}  # 4 and 5 are missing: sending goes on with 4
    assert inbox.take(batch(1, 4, 4), {}).next == {"gate": 8}
    assert taken(inbox) == list(range(8))
    assert inbox.take(batch(1, 12, 1, oldest=12), {}).next == {"gate": 13}  # the worker has 8 to 11 no more
    assert inbox.channels["gate"].lost == 4


def test_updates_of_an_old_lease_are_refused():
    inbox = Inbox(["gate"], live=True)
    inbox.take(batch(1, 0, 2), {})
    assert inbox.take(batch(2, 0, 1, worker="b"), {}).next == {"gate": 1}
    late = inbox.take(batch(1, 2, 3), {})
    assert (late.next, late.refused) == ({}, {"gate": "worker 'b' has a newer lease of it"})
    assert inbox.channels["gate"].refused == 3
    assert inbox.take(UpdateBatch("a", (CameraUpdates("cellar", 1),)), {}).refused == {
        "cellar": "it is not a camera of this run"
    }


def test_a_recording_of_a_new_owner_goes_on_where_the_old_one_was():
    inbox = Inbox(["gate"], live=False)
    inbox.take(batch(1, 0, 5), {})
    inbox.take(batch(2, 0, 7, worker="b"), {})
    assert taken(inbox) == list(range(7))
    fresh = Inbox(["gate"], live=False)  # of a site that was started again
    assert fresh.take(batch(2, 7, 2, oldest=7), {}).again == ("gate",)


def test_a_site_that_is_busy_leaves_updates_with_the_worker():
    inbox = Inbox(["gate"], live=True)
    assert inbox.take(batch(1, 0, 300), {}).next == {"gate": 256}


def test_updates_are_kept_until_they_are_acknowledged(box):
    for number in range(4):
        assert box.put("gate", 1, update(number))
    (first,) = box.collect(1 << 20)
    assert len(first.updates) == 4
    assert box.collect(1 << 20)[0].updates == ()  # not announced yet
    box.send_again()
    assert box.collect(1 << 20) == (first,)
    box.acknowledge((first,), {"gate": 3})
    assert box.waiting("gate") == (1, 0)
    assert [(item.oldest, item.first, len(item.updates)) for item in box.collect(1 << 20)] == [(3, 3, 1)]


def test_a_full_buffer_loses_its_oldest_updates_and_counts_them(box, monkeypatch):
    monkeypatch.setattr(outboxes, "MOST_WAITING_BYTES", 10 * len(update(100)))
    for number in range(100, 160):
        box.put("gate", 1, update(number))
    waiting, lost = box.waiting("gate")
    assert (waiting, lost) == (10, 50)
    assert box.collect(1 << 20)[0].oldest == 50


def test_a_recording_waits_for_room(monkeypatch):
    monkeypatch.setattr(outboxes, "_MOST_RECORDED", 4)
    outbox = Outbox(threading.Event())
    outbox.open("gate", 1, live=False)
    done = []
    thread = threading.Thread(target=lambda: done.extend(outbox.put("gate", 1, update(n)) for n in range(6)))
    thread.start()
    while outbox.waiting("gate")[0] < 4:
        pass
    sent = outbox.collect(1 << 20)
    outbox.acknowledge(sent, {"gate": 2})
    thread.join(30)
    assert done == [True] * 6
    assert outbox.waiting("gate") == (4, 0)


def test_what_was_made_under_the_last_lease_is_sent_before_the_next_ones(box):
    box.put("gate", 1, update(0))
    box.open("gate", 2, live=True)
    assert not box.put("gate", 3, update(9))
    box.put("gate", 2, update(7))
    (old,) = box.collect(1 << 20)
    assert (old.fence, len(old.updates)) == (1, 1)
    box.acknowledge((old,), {"gate": 1})
    (new,) = box.collect(1 << 20)
    assert (new.fence, new.first, len(new.updates)) == (2, 0, 1)


def test_a_site_that_began_anew_takes_nothing_of_an_earlier_owner():
    inbox = Inbox(["gate", "door"], live=True)
    inbox.refuse_before({"gate": 3, "gone": 7})
    late = UpdateBatch("cut off", (CameraUpdates("gate", 2, 5, 5, (update(5),)),))
    answer = inbox.take(late, {})
    assert "gate" in answer.refused
    assert not inbox.channels["gate"].waiting
    present = UpdateBatch("owner", (CameraUpdates("gate", 3, 40, 40, (update(40),)), CameraUpdates("door", 1, 0, 0)))
    answer = inbox.take(present, {})
    assert (answer.refused, answer.next["gate"]) == ({}, 41)
    assert (len(inbox.channels["gate"].waiting), inbox.channels["gate"].lost) == (1, 0)
