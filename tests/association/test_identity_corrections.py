"""What people correct while a run goes on: it holds at once, later, and for the whole recording; all of it can be
undone."""

import numpy as np
import pytest

from streamreid.association import Associator
from streamreid.association.track_constraints import TrackConstraints
from streamreid.config import AssociationConfig
from streamreid.features.similarity import Calibration
from streamreid.types import PartFeatures, Tracks

CALIBRATION = Calibration(slope=12.0, intercept=-6.0, source="test")
ANNA, BERT, CARL = np.eye(16, dtype=np.float32)[:3, None]


def watch(associator, plan, start=0.0, seconds=2.0, rate=5):
    """plan: {camera: {track_id: feature}} seen for a while; the events."""
    events = []
    for i in range(int(seconds * rate)):
        for camera, people in sorted(plan.items()):
            ids = np.array(sorted(people), np.int64)
            ones = np.ones(len(ids), np.float32)
            tracks = Tracks(ids, np.zeros((len(ids), 4), np.float32), ones, np.arange(len(ids)))
            looks = PartFeatures(np.stack([people[i] for i in ids.tolist()]), ones[:, None])
            associator.observe(camera, start + i / rate, tracks, looks, ones)
            events += associator.step()
    return events


def who(associator, *key):
    return associator.link(*key)[0]


@pytest.fixture(params=["live", "recording"])
def site(request):
    """Anna is seen by two cameras, Bert by one; half of the tracks have left the window."""
    recording = request.param == "recording"
    config = AssociationConfig(window=5.0, offline=recording)
    made = Associator(config, CALIBRATION, keep_all=recording, keep_links=True)
    watch(made, {"left": {1: ANNA, 2: BERT}}, 0.0)
    watch(made, {"right": {7: ANNA}}, 20.0)
    assert who(made, "left", 1) == who(made, "right", 7) != who(made, "left", 2)
    return made


def finished(site):
    """Everything is decided anew where that is done."""
    return site.finish()


def test_a_split_holds_however_alike_both_are(site):
    anna, new = who(site, "left", 1), site.new_id()
    site.corrections.split(anna, [("right", 7)], new)
    events = site.corrected()
    assert [(e.kind, e.global_id, e.other_id, e.camera, e.track_id) for e in events] == [
        ("split", new, anna, "right", 7)
    ]
    assert events[0].reasons == {"correction": 1.0}
    watch(site, {"right": {7: ANNA}}, 22.0)
    watch(site, {"left": {3: BERT}}, 40.0)
    finished(site)
    assert (who(site, "left", 1), who(site, "right", 7)) == (anna, new)


def test_a_split_is_undone(site):
    anna, new = who(site, "left", 1), site.new_id()
    before = site.corrections.remembered(anna)
    site.corrections.split(anna, [("right", 7)], new)
    site.corrections.unsplit(before, new)
    assert [e.kind for e in site.corrected()] == ["split", "merge"]
    watch(site, {"right": {7: ANNA}}, 22.0)
    finished(site)
    assert who(site, "left", 1) == who(site, "right", 7) == anna
    assert not site.separated


def test_a_merge_holds_and_is_undone_with_number_name_and_looks(site):
    anna, bert = who(site, "left", 1), who(site, "left", 2)
    site.rename(bert, "Bert")
    before = site.corrections.remembered(anna), site.corrections.remembered(bert)
    site.constrain(same=[(anna, bert)])
    watch(site, {"right": {7: ANNA}}, 22.0)
    assert who(site, "left", 2) == anna
    site.corrected()
    site.corrections.unmerge(*before)
    (event,) = site.corrected()
    assert (event.kind, event.global_id, event.name) == ("split", bert, "Bert")
    watch(site, {"right": {8: BERT}}, 30.0)  # known by his looks, although his track left the window long ago
    finished(site)
    assert who(site, "left", 2) == who(site, "right", 8) == bert
    assert who(site, "left", 1) == who(site, "right", 7) == anna


def test_a_merge_of_strangers_survives_the_end(site):
    anna, bert = who(site, "left", 1), who(site, "left", 2)
    site.constrain(same=[(anna, bert)])
    watch(site, {"right": {7: ANNA}}, 22.0)
    finished(site)
    assert who(site, "left", 1) == who(site, "left", 2) == who(site, "right", 7) == anna


def test_different_people_stay_apart_until_that_is_taken_back():
    site = Associator(calibration=CALIBRATION)
    watch(site, {"left": {1: ANNA}, "right": {7: BERT}})
    one, other = who(site, "left", 1), who(site, "right", 7)
    site.corrections.separate(one, other)
    assert [(e.kind, e.global_id, e.other_id, e.probability) for e in site.corrected()] == [
        ("different", one, other, 0.0)
    ]
    watch(site, {"left": {1: ANNA}, "right": {7: ANNA}}, 2.0, seconds=20.0)
    assert who(site, "left", 1) != who(site, "right", 7)
    site.corrections.take_back_different(one, other)
    assert [(e.kind, e.probability) for e in site.corrected()] == [("different", 1.0)]
    watch(site, {"left": {1: ANNA}, "right": {7: ANNA}}, 22.0, seconds=1.0)
    assert who(site, "left", 1) == who(site, "right", 7)


def test_staff_is_told_and_stays_through_a_merge(site):
    anna, bert = who(site, "left", 1), who(site, "left", 2)
    site.corrections.tag_staff(bert)
    (event,) = site.corrected()
    assert (event.kind, event.global_id, event.summary.staff) == ("staff", bert, True)
    site.corrections.tag_staff(bert)
    assert not site.corrected()
    site.constrain(same=[(anna, bert)])
    assert site.corrected()[0].summary.staff


def test_nonsense_is_refused(site):
    anna = who(site, "left", 1)
    for call, said in (
        (lambda: site.corrections.split(99, [("left", 1)], 50), "identity 99 is not known"),
        (lambda: site.corrections.split(anna, [("left", 2)], 50), "does not have the tracks.*left/2"),
        (lambda: site.corrections.split(anna, [], 50), "none is given"),
    ):
        with pytest.raises(ValueError, match=said):
            call()
    assert not site.corrected()


@pytest.mark.parametrize("offline", [False, True])
def test_pairs_of_tracks_hold_before_they_are_seen(offline):
    """As when a recording is followed once more with the answers of a review."""
    site = Associator(AssociationConfig(window=5.0, offline=offline), CALIBRATION, keep_all=offline, keep_links=True)
    site.corrections.say(("left", 1), ("right", 8), same=True)  # strangers by their looks
    site.corrections.say(("left", 1), ("right", 7), same=False)  # alike
    watch(site, {"left": {1: ANNA}}, 0.0)
    watch(site, {"right": {7: ANNA}}, 20.0)
    watch(site, {"right": {8: CARL}}, 30.0)
    site.finish()
    assert who(site, "left", 1) == who(site, "right", 8) != who(site, "right", 7)


def test_pairs_of_tracks_hold_inside_of_the_window_and_are_taken_back():
    site = Associator(calibration=CALIBRATION)
    watch(site, {"left": {1: ANNA}, "right": {7: ANNA, 8: CARL}})
    assert who(site, "left", 1) == who(site, "right", 7)
    site.corrections.say(("left", 1), ("right", 7), same=False)
    watch(site, {"left": {1: ANNA}, "right": {7: ANNA, 8: CARL}}, 2.0)
    assert who(site, "left", 1) != who(site, "right", 7)
    site.corrections.say(("left", 1), ("right", 7), same=None)
    watch(site, {"left": {1: ANNA}, "right": {7: ANNA, 8: CARL}}, 4.0)
    assert who(site, "left", 1) == who(site, "right", 7)


def test_what_follows_from_pairs_and_what_contradicts_them():
    a, b, c, d = (("x", i) for i in range(1, 5))
    said = TrackConstraints()
    said.say(a, b, same=True)
    said.say(b, c, same=True)
    said.say(c, d, same=False)
    assert said.answer(a, c) is True
    assert said.answer(a, d) is False
    assert said.answer(d, ("x", 9)) is None
    with pytest.raises(ValueError, match="said to be two people, and by a chain"):
        said.say(a, d, same=True)
    assert said.answer(a, d) is False  # what was refused is not kept
    assert said.take_back(c, d)
    assert said.answer(a, d) is None
    said.forget([b])
    assert not len(said)
    with pytest.raises(ValueError, match="got x/1 twice"):
        said.say(a, a, same=True)


def test_who_is_forgotten_begins_anew(site):
    anna = who(site, "left", 1)
    site.forget([anna])
    site.corrections.forget([anna])
    assert [(e.kind, e.global_id) for e in site.corrected()] == [("expire", anna)]
    watch(site, {"right": {7: ANNA}}, 22.0)
    finished(site)
    assert who(site, "right", 7) not in (0, anna)
    assert who(site, "left", 1) == 0
