"""Who is embedded, and when."""

import numpy as np
import pytest

from streamreid.cameras.batch_scheduler import BatchScheduler
from streamreid.cameras.embedding_scheduler import EmbeddingScheduler
from streamreid.config import Config
from streamreid.types import Detections

SIZE = (1920, 1080)


class Schedule(EmbeddingScheduler):
    """Everybody who is due is embedded."""

    def choose(self, camera, found, time):
        return self.record(camera, self.due(camera, found, time, SIZE))


def schedule(interval=0.5):
    return Schedule(Config.from_dict({"cameras": [{"name": "a", "uri": "a"}], "engine": {"look_interval": interval}}))


def person(left, top=100.0):
    return [left, top, left + 40, top + 100]


def looks(frames, interval=0.5, rate=10):
    s = schedule(interval)
    return [s.choose("a", Detections.from_arrays(boxes), i / rate).tolist() for i, boxes in enumerate(frames)]


def test_a_lone_walker_is_looked_at_ever_less_and_then_at_intervals():
    chosen = [c[0] for c in looks([[person(5.0 * i)] for i in range(16)])]
    assert [i for i, c in enumerate(chosen) if c] == [0, 1, 3, 7, 12]


def test_without_interval_everybody_in_every_frame():
    assert all(c == [True, True] for c in looks([[person(0), person(200)]] * 5, interval=0))


def test_crossing_people_are_looked_at_and_others_are_not():
    frames = [[person(100 + 6.0 * i), person(250 - 6.0 * i), person(600)] for i in range(24)]
    chosen = np.array(looks(frames, interval=100))
    touching = [i for i in range(24) if abs((100 + 6 * i) - (250 - 6 * i)) < 25]
    assert chosen[touching][:, :2].all()
    assert np.flatnonzero(chosen[:, 2]).tolist() == [0, 1, 3, 7, 15]


def test_a_jump_or_a_newcomer_is_looked_at():
    chosen = looks([[person(0)]] * 5 + [[person(36)], [person(36), person(300)]], interval=100)
    assert chosen[4] == [False]
    assert chosen[5] == [True]
    assert chosen[6][1] is True


def test_low_scores_and_broken_boxes_are_not_looked_at():
    found = Detections.from_arrays([person(0), person(200), [np.nan] * 4], [0.9, 0.2, 0.9])
    assert schedule().choose("a", found, 0.0).tolist() == [True, False, False]


def test_cameras_do_not_know_each_other():
    s = schedule(100)
    for i in range(6):
        a = s.choose("a", Detections.from_arrays([person(0)]), i / 10)
        b = s.choose("b", Detections.from_arrays([person(0)]), i / 10)
        assert a.tolist() == b.tolist() == [i in (0, 1, 3)]


@pytest.mark.parametrize("times", [[0.0, 0.1, 0.2, 0.3, 0.25, 0.35], [5.0, 5.1, 5.2, 1.0]])
def test_time_that_goes_back_makes_a_look(times):
    s = schedule(100)
    chosen = [s.choose("a", Detections.from_arrays([person(0)]), t).tolist() for t in times]
    assert chosen[:2] == [[True]] * 2
    if times[-1] < times[2]:
        assert chosen[-1] == [True]


def overload(cap):
    """A limiter in the middle of an overload that lets so many crops per frame through."""
    turns = BatchScheduler(0.1, 8)
    turns.record_embedding(1, cap * 0.02, 1, 0.02)
    turns.overloaded = True
    return turns


def embeddings(frames, cap, *, rate=10, interval=2.0):
    """``[T, N]`` who was embedded, with scheduler and limiter together; rows are the same people in every frame."""
    s, turns, masks = schedule(interval), overload(cap), []
    for number, boxes in enumerate(frames):
        rows = turns.limit_crops(s.due("a", Detections.from_arrays(boxes), number / rate, SIZE))
        assert len(rows) <= cap
        masks.append(s.record("a", rows))
    return np.array(masks), s


def longest_wait(masks, rate=10):
    """Seconds that anybody waited for the next embedding, from the first frame on."""
    waits = [np.diff([0, *np.flatnonzero(m), len(m)]).max() for m in masks.T]
    return max(waits) / rate


CROWD = [person(60.0 * i, 100) for i in range(12)]
PAIRS = [person(150.0 * (i // 2) + 20 * (i % 2), 100) for i in range(12)]  # everybody overlaps somebody


@pytest.mark.parametrize("cap", [1, 3])
@pytest.mark.parametrize("boxes", [CROWD, PAIRS], ids=["apart", "in pairs"])
def test_nobody_starves_under_overload(cap, boxes):
    masks, s = embeddings([boxes] * 60, cap)
    assert masks.any(0).all()
    assert longest_wait(masks) <= (3.0 if boxes is CROWD else 12 / cap / 10 + 0.15)
    assert np.ptp(masks.sum(0)) <= 1
    assert np.flatnonzero(masks[: 12 // cap].any(0)).tolist() == list(range(12))  # the first round takes everybody once
    if boxes is CROWD:
        assert s.counts("a").tolist() == masks.sum(0).tolist()


def test_people_who_touch_do_not_hold_up_those_who_stand_alone():
    touching = [person(1000, 100), person(1015, 100), person(1030, 100)]
    masks, _ = embeddings([[*touching, *CROWD]] * 150, 1)
    assert longest_wait(masks[20:]) <= 2.6
    assert masks.any(0).all()


def test_boxes_that_flicker_do_not_hold_up_others():
    flicker = [[*CROWD, *(person(1000.0 + 100 * k + 500 * (t % 2), 100) for k in range(2))] for t in range(100)]
    masks, _ = embeddings(flicker, 1)
    assert masks[:, :12].any(0).all()
    assert longest_wait(masks[:, :12]) <= 6.0


def test_people_who_move_far_between_frames_take_turns():
    masks, _ = embeddings([[person(60.0 * i + 700 * (t % 2), 100) for i in range(6)] for t in range(60)], 1)
    assert masks.sum(0).tolist() == [10] * 6


def test_who_was_left_out_stays_due_and_comes_first():
    s = schedule(100)
    found = Detections.from_arrays([person(0), person(200), person(400)])
    assert s.due("a", found, 0.0, SIZE).tolist() == [0, 1, 2]
    assert s.record("a", np.array([1])).tolist() == [False, True, False]
    assert sorted(s.due("a", found, 0.1, SIZE)[:2].tolist()) == [0, 2]
    s.record("a", np.array([0]))
    assert s.due("a", found, 0.2, SIZE)[0] == 2


def test_a_batch_that_failed_did_not_happen():
    s = schedule(100)
    found = Detections.from_arrays([person(0)])
    before = s.checkpoint()
    assert s.choose("a", found, 0.0).tolist() == [True]
    s.restore(before)
    assert s.counts("a").tolist() == []
    assert s.choose("a", found, 0.0).tolist() == [True]
    assert s.counts("a").tolist() == [1]


def test_who_is_too_small_is_due_as_soon_as_tall_enough():
    s = schedule(100)
    sizes = [20, 20, 23, 25, 26]
    assert [s.choose("a", Detections.from_arrays([[0, 0, 20, h]]), i / 10).tolist() for i, h in enumerate(sizes)] == [
        [False],
        [False],
        [False],
        [True],
        [True],
    ]
