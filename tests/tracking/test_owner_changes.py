"""Tracks that go on with somebody else are found by looks, and people who look different for a moment are not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.config import TrackerConfig
from streamreid.errors import ConfigError
from streamreid.features.prototype_bank import PrototypeBank
from streamreid.features.similarity import Calibration
from streamreid.pipeline.tracking_stage import TrackingStage
from streamreid.tracking import Tracker
from streamreid.tracking.owner_changes import OwnerChanges
from streamreid.tracking.track_table import TrackTable
from streamreid.types import Detections, Frame, PartFeatures

CALIBRATION = Calibration(slope=12.0, intercept=-6.0, source="test")
ALIKE = 0.6  # cosine of two people: log-odds 1.2, enough for a match by overlap and too little for one person


def looks(*people):
    """One-part features of people who are all ALIKE; None is not looked at."""
    codes = np.sqrt(1 - ALIKE) * np.eye(8) + (np.sqrt(1 + 7 * ALIKE) - np.sqrt(1 - ALIKE)) / 8
    parts = np.array([codes[0 if p is None else p] for p in people], np.float32)[:, None]
    return PartFeatures(parts, np.array([[float(p is not None)] for p in people], np.float32))


def box(left, height=100.0):
    return [left, 200.0, left + 40.0, 200.0 + height]


def follow(frames, **config):
    """Frames are lists of (left, person); five a second. Returns {place: id} of each frame."""
    tracker, result = Tracker(TrackerConfig(**config), CALIBRATION), []
    for number, people in enumerate(frames):
        found = Detections.from_arrays([box(left) for left, _ in people], [0.9] * len(people))
        tracks = tracker.update(found, looks(*(p for _, p in people)) if people else None, number / 5)
        named = [(people[r][0], i) for r, i in zip(tracks.rows.tolist(), tracks.ids.tolist(), strict=True) if r >= 0]
        result.append(dict(named))
    return result


def test_the_people_here_are_as_alike_as_said():
    a, b = looks(0, 1).parts[:, 0]
    assert a @ a == pytest.approx(1, abs=1e-5)
    assert a @ b == pytest.approx(ALIKE, abs=1e-5)


@pytest.mark.parametrize("gap", [3, 8])
def test_a_track_that_went_on_with_somebody_else_ends_and_a_new_one_begins(gap):
    frames = [[(100, 0)]] * 10 + [[]] * gap + [[(100, 1)]] * 10
    ids = [o.get(100) for o in follow(frames)]
    assert ids[9] == ids[10 + gap] == 1  # nobody knows yet
    assert ids[-1] == 2
    changes = [n for n in range(11 + gap, len(ids)) if ids[n] != ids[n - 1]]
    assert len(changes) == 1, ids  # ends once, and every frame has one piece or the other
    assert 2 <= changes[0] - (10 + gap) <= 4  # after several looks, half a second later at least
    assert [o.get(100) for o in follow(frames, split_probability=0)][-1] == 1


def test_whoever_was_met_can_be_who_the_track_goes_on_with():
    beside = [(130, 2)]
    frames = [[(100, 0)]] * 6 + [[(100, 0), *beside]] * 3 + [[(100, 1), *beside]] * 10
    ids = [o.get(100) for o in follow(frames)]
    assert ids[8] == 1
    assert ids[-1] > 1


def test_people_who_look_the_same_keep_their_track():
    beside = [(130, 2)]
    assert {o[100] for o in follow([[(100, 0), *beside]] * 30)[2:]} == {1}


def test_a_look_of_somebody_else_for_a_moment_ends_no_track():
    beside = [(130, 2)]
    clear = [[(100, 0), *beside]] * 8
    out = follow(clear + [[(100, 1), *beside]] * 2 + clear + [[(100, 1), *beside]] + clear)
    assert {o[100] for o in out[2:]} == {1}


def test_who_met_nobody_may_come_to_look_different():
    """Log-odds of 1.2 are no doubt there; people turn round."""
    assert {o[100] for o in follow([[(100, 0)]] * 10 + [[(100, 1)]] * 20)[2:]} == {1}


def test_what_was_looked_at_while_hidden_says_nothing():
    """Of a box that is mostly behind another, nearer one, nobody knows whom it shows."""

    def last_id(height):
        tracker, ids = Tracker(TrackerConfig(), CALIBRATION), []
        for number, who in enumerate([0] * 8 + [None] * 3 + [1] * 12):
            boxes = [] if who is None else [box(100), box(115, height)][: 1 + who]
            found = Detections.from_arrays(boxes, [0.9] * len(boxes))
            tracks = tracker.update(found, looks(*[who, 2][: len(boxes)]) if boxes else None, number / 5)
            ids.append(dict(zip(tracks.rows.tolist(), tracks.ids.tolist(), strict=True)).get(0))
        return ids[-1]

    assert last_id(120.0) == 1
    assert last_id(80.0) > 1  # farther away, so hides nobody


def test_two_tracks_that_exchanged_their_people_exchange_their_ids():
    frames = [[(100, 0), (220, 1)]] * 10 + [[]] * 4 + [[(100, 1), (220, 0)]] * 10
    out = follow(frames)
    assert out[9] == out[14] == {100: 1, 220: 2}
    assert out[-1] == {100: 2, 220: 1}


def test_who_only_looked_like_somebody_else_goes_on_as_one_track():
    """The ended track is found again by its looks. It must not take turns with the one that went on for it: two tracks
    of one time are two people for ever."""
    beside = (130, 2)
    there = {who: [[(100, who), beside]] * 9 for who in (0, 1)}
    out = [o.get(100, 0) for o in follow(there[0] + there[1] + (there[0] + there[1]) * 3)]
    assert set(out[2:9]) == {1}
    begun = next(n for n, track in enumerate(out) if track > 1)
    assert begun < 18
    assert len(set(out[begun:])) == 1, out  # knows both looks


def test_an_ended_track_that_is_found_elsewhere_is_somebody_else():
    """The person of before walks on, and who took the box is behind somebody just then."""
    beside = (130, 2)
    frames = [[(100, 0), beside]] * 9 + [[(100, 1), beside]] * 9
    out = follow([*frames, *[[(190, 0), beside]] * 3, *[[(190, 0), beside, (100, 1)]] * 4])
    assert out[8][100] == out[-1][190] == 1
    assert out[17][100] == out[-1][100] != 1


def test_nothing_is_learnt_of_a_track_in_doubt():
    stage = TrackingStage({"cam": Tracker(TrackerConfig(), CALIBRATION)}, ordered=True)
    quality = []
    for number, who in enumerate([0] * 8 + [None] * 3 + [1] * 6):
        frame = Frame.without_image("cam", number, number / 5, size=(640, 480))
        found = Detections.from_arrays([] if who is None else [box(100)], [] if who is None else [0.9])
        features = PartFeatures.unseen(0, 1, 8) if who is None else looks(who)
        quality += [float(o.quality[0]) for o in stage.update(frame, found, features) if len(o.quality)]
    doubt = [n for n, q in enumerate(quality) if q == 0]
    assert doubt
    assert doubt == list(range(doubt[0], doubt[-1] + 1))
    assert quality[doubt[-1] + 1] > 0.5  # of the new track


people = st.tuples(st.sampled_from([0, 0, 0, 1, 2, None]), st.sampled_from([3, 3, 4]), st.booleans())


@given(st.lists(people, min_size=5, max_size=40))
@settings(max_examples=30, deadline=None)
def test_pieces_cover_the_track_in_the_order_of_time(seen):
    """Whoever is shown without parting is shown with it, once in each frame, and a later piece has a greater id."""
    frames = [[(100, one), (130, other)] if both else [(100, one)] for one, other, both in seen]
    parted, whole = follow(frames), follow(frames, split_probability=0)
    pieces = [o[100] for o in parted if 100 in o]
    for mine, other in zip(parted, whole, strict=True):
        assert len(set(mine.values())) == len(mine)
        assert mine.keys() >= other.keys()
    begun = list(dict.fromkeys(pieces))
    assert begun == sorted(begun)


def test_looks_that_are_not_finite_are_no_reason():
    tracker = Tracker(TrackerConfig(), CALIBRATION)
    for number in range(30):
        features = looks(0)
        if number > 10:
            features.parts[:] = np.nan
        tracks = tracker.update(Detections.from_arrays([box(100)], [0.9]), features, number / 5)
    assert tracks.ids.tolist() == [1]


def test_a_probability_beyond_one_is_refused():
    with pytest.raises((ValueError, ConfigError), match="split_probability"):
        TrackerConfig(split_probability=1.5)


def test_what_is_known_of_ended_tracks_is_forgotten():
    bank, book = PrototypeBank(), TrackTable.empty()
    bank.add(looks(0), np.ones(1, np.float32))
    for _ in range(3):
        bank.update(np.zeros(1, np.intp), looks(0), np.ones(1, np.float32))
    book.add(np.array([7]), 0.0, np.array([box(100)], np.float32), np.ones(1, np.float32))
    changes = OwnerChanges(bank, CALIBRATION, 0.97)
    one, number = np.ones(1, np.float32), np.zeros(1, np.intp)
    alike = np.array([ALIKE], np.float32)
    assert changes.watch(book, number, looks(1), number, one, alike, 1.0) is None
    assert changes.doubted(book.ids).tolist() == [True]
    assert one.tolist() == [0.0]
    changes.part(book.ids, np.array([8]), np.zeros(1))
    assert changes.allowed(book.ids, np.array([8, 9])).tolist() == [[False, True]]
    changes.forget([7, 8])
    assert not changes.allowed(book.ids, np.array([8])).any()
    changes.forget([])
    assert not changes.doubted(book.ids).any()
    assert changes.allowed(book.ids, np.array([8, 9])).all()
