"""The one place where events are applied: what it says is what the identity registry says, at every moment."""

from dataclasses import replace

import numpy as np
import pytest

from streamreid.association import Associator
from streamreid.association.identity_view import IdentityView
from streamreid.config import AssociationConfig
from streamreid.features.similarity import Calibration
from streamreid.types import IdentityEvent, IdentitySummary, KnownIdentity, PartFeatures, Tracks

CALIBRATION = Calibration(20.0, -12.0)


def summary(name="", *, unlinked=False, cameras=("a",)):
    return IdentitySummary(0.0, 1.0, frozenset(cameras), unlinked=unlinked, name=name)


def applied(*events):
    view = IdentityView()
    return view, [view.apply(event) for event in events]


def test_a_merge_moves_tracks_names_sightings_and_confirmation():
    view, _ = applied(
        IdentityEvent("new", 1.0, 1, "a", 1, 1.0, summary=summary()),
        IdentityEvent("new", 1.0, 2, "b", 1, 1.0, summary=summary("Anna")),
        IdentityEvent("confirm", 2.0, 2, summary=summary("Anna")),
    )
    view.observe("a", 5.0, [1])
    view.observe("b", 3.0, [2, 0, 99])
    assert view.apply(IdentityEvent("merge", 6.0, 1, other_id=2, summary=summary("Anna")))
    assert view.links == {("a", 1): (1, 1.0), ("b", 1): (1, 1.0)}
    assert (view.confirmed, view.names) == ({1}, {1: "Anna"})
    (entry,) = view.entries.values()
    assert (entry.first_seen, entry.last_seen, entry.last_camera, entry.cameras) == (0.0, 5.0, "a", {"a", "b"})


def test_a_number_for_a_track_is_nobody_until_somebody_is_linked_to_it():
    view, of_people = applied(
        IdentityEvent("new", 1.0, 1, "a", 1, 1.0, summary=summary(unlinked=True)),
        IdentityEvent("new", 1.0, 2, "a", 2, 1.0, summary=summary(unlinked=True)),
        IdentityEvent("link", 2.0, 1, "b", 1, 0.9, summary=summary()),
        IdentityEvent("expire", 9.0, 2),
    )
    assert of_people == [False, False, True, False]
    assert (view.unlinked, set(view.entries)) == ({2}, {1})


def test_who_expired_is_listed_until_released():
    view, _ = applied(
        IdentityEvent("new", 1.0, 1, "a", 1, 1.0, summary=summary("Anna")),
        IdentityEvent("confirm", 2.0, 1, summary=summary("Anna")),
        IdentityEvent("expire", 9.0, 1, members=(("a", 1),)),
    )
    assert view.entries == {}
    assert (view.links, view.confirmed, view.names) == ({("a", 1): (1, 1.0)}, {1}, {1: "Anna"})
    view.release([("a", 1)])
    assert (view.links, view.confirmed, view.names) == ({}, set(), {})


def test_a_name_is_given_and_taken_back():
    view, _ = applied(
        IdentityEvent("new", 1.0, 1, "a", 1, 1.0, summary=summary()),
        IdentityEvent("rename", 2.0, 1, summary=summary("Anna")),
    )
    assert view.entries[1].name == "Anna"
    view.apply(IdentityEvent("rename", 3.0, 1, summary=summary("")))
    assert (view.entries[1].name, view.names) == ("", {})


@pytest.mark.parametrize("seed", range(4))
def test_the_view_of_the_events_is_the_registry(seed):
    """Walkers of ambiguous looks in three cameras, corrections by a person, names, people of an earlier run, expiry."""
    rng = np.random.default_rng(seed)
    settings = AssociationConfig(window=4.0, memory=12.0, interval=0.5, confirm_seconds=1.0, confirm_observations=3)
    associator, view = Associator(settings, CALIBRATION), IdentityView()
    looks = np.eye(6, 8, dtype=np.float32) + 0.35 * rng.normal(size=(6, 8)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    known = KnownIdentity(
        50,
        PartFeatures(looks[:1, None], np.ones((1, 1), np.float32)),
        np.ones(1, np.float32),
        -3.0,
        -1.0,
        frozenset({"hall"}),
        "Eve",
    )
    associator.admit([known])
    view.admit([known])
    kinds = set()
    for step in range(220):
        time = step / 5 + (30.0 if step > 150 else 0.0)  # nobody is there for half a minute
        camera = "abc"[step % 3]
        lap = int(time // 6)
        shown = [w for w in range(6) if (w + lap + step % 3) % 4]
        ids = np.array([1 + w + 6 * lap for w in shown])
        noisy = looks[shown] + 0.25 * rng.normal(size=(len(shown), 8)).astype(np.float32)
        noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
        boxes = np.tile(np.array([[0, 0, 10, 20]], np.float32), (len(ids), 1))
        tracks = Tracks(ids, boxes, np.ones(len(ids), np.float32), np.arange(len(ids)))
        ones = np.ones((len(ids), 1), np.float32)
        associator.observe(camera, time, tracks, PartFeatures(noisy[:, None].astype(np.float32), ones), ones[:, 0])
        alive = [i.global_id for i in associator.identities if i.members]
        if step % 40 == 20 and len(alive) > 2:
            associator.constrain(same=[(alive[0], alive[-1])])
        if step % 25 == 10 and alive:
            associator.rename(alive[-1], f"person {step}")
        events = associator.step()
        for event in events:
            view.apply(event)
        kinds |= {event.kind for event in events}
        if events:
            links = associator.links
            assert {k: view.links[k][0] for k in links} == {k: who for k, (who, _) in links.items()}
            assert view.confirmed >= associator.confirmed
            people = {i.global_id for i in associator.identities} - associator.unlinked
            assert set(view.entries) == people
    assert kinds >= {"new", "link", "merge", "confirm", "expire", "rename"}


def test_somebody_new_was_first_seen_before_anybody_knew_that_they_are_new():
    """And who came back, in their first frame of this run."""
    view, summary = IdentityView(), IdentitySummary(2.5, 3.0, frozenset({"a"}))
    view.apply(IdentityEvent("new", 3.0, 1, "a", 1, 1.0, summary=summary))
    view.admit([KnownIdentity(2, PartFeatures.unseen(1, 1, 4), np.ones(1, np.float32), -90.0, -60.0, frozenset("b"))])
    view.apply(IdentityEvent("link", 3.0, 2, "a", 2, 0.9, summary=replace(summary, first_seen=-90.0)))
    view.observe("a", 3.1, [1, 2])
    assert (view.entries[1].first_seen, view.entries[2].first_seen) == (2.5, 3.1)
