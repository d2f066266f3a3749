"""Which questions are asked, what answers change, and what others learn from them."""

import numpy as np
import pytest

from streamreid.association import TrackLinks
from streamreid.association.link_record import RecordedTrack
from streamreid.association.review_queue import ReviewQueue
from streamreid.association.track_constraints import TrackConstraints
from streamreid.corrections import Correction
from streamreid.errors import CorrectionError, DataError
from streamreid.places.partition_sampling import LinkGraph
from streamreid.places.records import TrackSpan
from streamreid.runs.review import LiveReviewedRun, Review, said_so_far
from streamreid.runs.review_export import all_pairs_said, read_pairs
from streamreid.sinks import FinalIdentities

KEYS = (("a", 1), ("a", 2), ("b", 1), ("b", 2))


def queue(pairs, owner=(1, 2, 3, 4), boxes=(100, 100, 100, 100), apart=(), **more):
    evidence = np.array(list(pairs.values()), float)
    graph = LinkGraph(KEYS, np.array(list(pairs)).reshape(-1, 2), evidence, np.array(apart).reshape(-1, 2))
    return ReviewQueue(graph, dict(zip(KEYS, owner, strict=True)), dict(zip(KEYS, boxes, strict=True)), **more)


def test_the_likeliest_link_of_the_longest_tracks_is_asked_first():
    asked = queue({(0, 2): 6.0, (1, 3): 6.0, (0, 3): 1.0}, boxes=(500, 50, 400, 60)).questions(5)
    assert [(q.one, q.other) for q in asked] == [(("a", 1), ("b", 1)), (("a", 2), ("b", 2))]
    assert asked[0].worth > 5 * asked[1].worth
    assert asked[0].believed is False
    assert asked[0].tracks == (("b", 1),)


def test_one_identity_that_is_two_is_asked_about():
    (asked,) = queue(
        {(0, 2): 6.0, (1, 3): 6.0, (0, 1): -4.0, (0, 3): -5.0, (1, 2): -5.0}, owner=(1, 1, 1, 1)
    ).questions()
    assert asked.believed is True
    assert set(asked.tracks) in ({("a", 1), ("b", 1)}, {("a", 2), ("b", 2)})
    assert asked.probability < 0.5


def test_what_cannot_be_and_what_was_said_is_not_asked():
    pairs = {(0, 2): 6.0}
    assert queue(pairs).questions(1)[0].one == ("a", 1)
    assert not queue(pairs, apart=[(0, 2)]).questions(9, worth=0.1)
    said = TrackConstraints()
    said.say(KEYS[0], KEYS[2], same=False)
    assert all({q.one, q.other} != {KEYS[0], KEYS[2]} for q in queue(pairs, said=said).questions(9))
    unsure = queue(pairs, unsure=[(KEYS[0], KEYS[2])]).questions(9)
    assert all({q.one, q.other} != {KEYS[0], KEYS[2]} for q in unsure)


class Desk:
    """Takes corrections of four tracks."""

    def __init__(self):
        self.owner = dict(zip(KEYS, (1, 2, 3, 4), strict=True))
        self.said = []

    def _add(self, kind, **values):
        self.said.append(Correction(len(self.said) + 1, kind, **values))
        return self.said[-1]

    def merge(self, keep, other, *, actor=""):
        self.owner = {k: keep if g == other else g for k, g in self.owner.items()}
        return self._add("merge", global_id=keep, other_id=other)

    def split(self, global_id, *, tracks=(), at=None, actor=""):
        self.owner |= dict.fromkeys(tracks, 9)
        return self._add("split", global_id=global_id, other_id=9, tracks=tuple(tracks))

    def say(self, one, other, *, same, actor=""):
        return self._add("pair", tracks=(one, other), same=same is True, unsure=same is None)

    def history(self):
        return self.said


@pytest.fixture
def review():
    desk = Desk()
    tracks = tuple(RecordedTrack(*key, 10.0 * i, 10.0 * i + 9, 90, 9, 0.9) for i, key in enumerate(KEYS))
    links = TrackLinks(tracks, np.array([[0, 2], [1, 3]]), np.array([14.0, 14.0]))
    identities = lambda: FinalIdentities({k: (g, 1.0) for k, g in desk.owner.items()})  # noqa: E731
    spans = [TrackSpan(t.camera, t.track_id, t.start, t.end, t.observations) for t in tracks]
    return Review(LiveReviewedRun(desk, lambda: links, identities, lambda: spans)), desk


def test_answers_merge_part_and_are_remembered(review):
    asked, desk = review
    question = asked.questions(1)[0]
    done = asked.answer(question, same=True)
    assert [c.kind for c in done] == ["pair", "merge"]
    assert desk.owner[question.one] == desk.owner[question.other]
    assert asked.answered() == 1
    again = asked.questions(9)
    assert {question.one, question.other} not in [{q.one, q.other} for q in again]
    with pytest.raises(CorrectionError, match="by a chain of other pairs"):
        (
            asked.answer(question, same=True),
            asked.answer(type(question)(question.one, ("x", 1), False, 0.5, 1.0, ()), same=True),
            asked.answer(type(question)(question.other, ("x", 1), False, 0.5, 1.0, ()), same=False),
        )
    assert asked.answer(again[0], same=None)[0].unsure


def test_exported_pairs_are_read_again(tmp_path):
    said = [
        Correction(1, "pair", tracks=(KEYS[0], KEYS[2]), same=True),
        Correction(2, "pair", tracks=(KEYS[1], KEYS[2]), same=False),
        Correction(3, "pair", tracks=(KEYS[1], KEYS[3]), same=True),
        Correction(4, "undo", undoes=3),
        Correction(5, "pair", tracks=(KEYS[0], KEYS[3]), unsure=True),
    ]
    known, unsure = said_so_far(said)
    assert known.answer(KEYS[0], KEYS[1]) is False
    assert known.answer(KEYS[1], KEYS[3]) is None
    assert unsure == [(KEYS[0], KEYS[3])]
    assert all_pairs_said(said).answer(KEYS[0], KEYS[2]) is True
    path = tmp_path / "pairs.csv"
    path.write_text("camera,track_id,other_camera,other_track_id,same\na,1,b,1,1\na,2,b,1,0\n")
    assert read_pairs(path).answer(("a", 1), ("a", 2)) is False
    for text, why in (
        ("a,b\n", "its first line must be"),
        ("camera,track_id,other_camera,other_track_id,same\na,1,b,1,2\n", "line 2: same is 0 or 1"),
        ("camera,track_id,other_camera,other_track_id,same\na,x,b,1,1\n", "line 2"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=why):
            read_pairs(path)
