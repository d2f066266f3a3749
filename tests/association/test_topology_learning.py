"""The camera graph learnt from people seen by several cameras."""

import pytest

from streamreid.association.topology import CameraGraph, Presences
from streamreid.association.topology_learning import CameraPass, learn_topology
from streamreid.association.track_evidence import Presence


def sightings(people=6):
    """a and b see one floor; from b to c it takes 8 to 10 seconds; nobody goes from a to c."""
    found = []
    for person in range(1, people + 1):
        t = 100.0 * person
        found += [
            CameraPass(person, "a", t, t + 10, 0.95),
            CameraPass(person, "b", t + 4, t + 20, 0.95),
            CameraPass(person, "c", t + 28 + (person % 3), t + 40, 0.95),
        ]
    return found


def test_overlaps_and_ways_are_found():
    topology, ways = learn_topology(sightings())
    assert topology.overlap == (("a", "b"),)
    assert [(t.from_, t.to) for t in topology.transits] == [("b", "c")]
    way = topology.transits[0]
    assert 5.0 < way.min < 8.0
    assert 10.0 < way.max < 14.0
    assert [(w.first, w.then, w.overlap, w.people) for w in ways] == [("a", "b", True, 6), ("b", "c", False, 6)]
    assert ways[1].median == pytest.approx(9.0)


def test_doubtful_links_and_single_people_make_no_way():
    doubtful = [CameraPass(s.person, s.camera, s.start, s.end, 0.5) for s in sightings()]
    assert learn_topology(doubtful)[0].transits == ()
    assert learn_topology(sightings(2))[0].transits == ()


def test_a_few_wrong_links_do_not_make_cameras_overlap():
    wrong = [CameraPass(50 + i, camera, 5.0, 9.0) for i in range(3) for camera in ("a", "c")]
    apart = [
        CameraPass(200 + i, camera, 50.0 * i + shift, 50.0 * i + shift + 2)
        for i in range(20)
        for camera, shift in (("a", 0), ("c", 30))
    ]
    topology, _ = learn_topology([*sightings(), *wrong, *apart])
    assert ("a", "c") not in topology.overlap


def test_what_was_learnt_forbids_what_nobody_did():
    topology, _ = learn_topology(sightings(), closed=True)
    graph = CameraGraph(topology, ["a", "b", "c"])
    nodes = [[Presence("b", 0, 10)], [Presence("c", 11, 20)], [Presence("c", 19, 30)], [Presence("a", 5, 12)]]
    impossible = graph.impossible(Presences.of(nodes))
    assert impossible[0, 1]  # a second is too short
    assert not impossible[0, 2]
    assert not impossible[0, 3]  # they see the same floor
    assert impossible[3, 1]
