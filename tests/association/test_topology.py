"""What the camera graph forbids."""

import numpy as np
import pytest

from streamreid.association.topology import CameraGraph, Presences
from streamreid.association.track_evidence import Presence
from streamreid.config import Config, TopologyConfig, load_config
from streamreid.errors import ConfigError


def graph(**values):
    return CameraGraph(TopologyConfig.model_validate(values))


def impossible(made, *nodes):
    """nodes: (camera, start, end)"""
    return made.impossible(Presences.of([[Presence(*n)] for n in nodes]))[0, 1]


WAYS = {"overlap": [["a", "b"]], "transits": [{"from": "b", "to": "c", "min": 5, "max": 20}]}


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (("a", 0, 10), ("b", 5, 15), False),  # same floor
        (("b", 0, 10), ("c", 5, 15), True),  # at the same time in two places
        (("b", 0, 10), ("c", 12, 15), True),  # too fast
        (("b", 0, 10), ("c", 15, 20), False),
        (("c", 15, 20), ("b", 0, 10), False),  # the order of the nodes does not matter
        (("a", 0, 10), ("c", 13, 20), True),  # the shortest way leads through b
        (("a", 0, 10), ("c", 15.5, 20), False),
        (("a", 0, 10), ("x", 100, 120), True),  # a camera without ways
        (("a", 0, 10), ("a", 10.5, 12), False),
    ],
)
def test_ways(one, two, expected):
    assert impossible(graph(**WAYS), one, two) == expected


def test_an_open_graph_forbids_only_what_it_knows():
    made = graph(**WAYS, closed=False)
    assert not impossible(made, ("a", 0, 10), ("x", 5, 20))
    assert impossible(made, ("b", 0, 10), ("c", 12, 20))


def test_one_way_streets():
    made = graph(transits=[{"from": "in", "to": "out", "min": 1, "both_ways": False}])
    assert not impossible(made, ("in", 0, 10), ("out", 12, 20))
    assert impossible(made, ("out", 0, 10), ("in", 12, 20))


def test_later_than_the_direct_way_takes_is_late_not_impossible():
    made = graph(**WAYS)
    nodes = Presences.of([[Presence("b", 0, 10)], [Presence("c", 20, 25)], [Presence("c", 60, 70)]])
    assert not made.impossible(nodes)[0, 2]
    late = made.late(nodes)
    assert late[0, 2]
    assert late[2, 0]
    assert not late[0, 1]
    assert not late.diagonal().any()


def test_without_a_graph_nothing_is_known():
    nodes = Presences.of([[Presence("a", 0, 10)], [Presence("b", 0, 10)]])
    assert not CameraGraph(None).impossible(nodes).any()
    assert not CameraGraph(None).late(nodes).any()


def test_gaps_and_shared_cameras():
    nodes = Presences.of(
        [[Presence("a", 0, 10), Presence("b", 30, 40)], [Presence("b", 15, 20)], [Presence("c", 5, 50)]]
    )
    gap, other = nodes.gaps()
    assert np.array_equal(gap, [[0, 5, 0], [5, 0, 0], [0, 0, 0]])
    off = ~np.eye(3, dtype=bool)
    assert np.array_equal(other[off], np.array([[0, 0, 1], [0, 0, 1], [1, 1, 0]])[off])


def test_unknown_cameras_are_named_with_the_nearest_right_one(tmp_path):
    with pytest.raises(ConfigError, match="topology names the camera 'halll', which there is not; did you mean 'hall'"):
        CameraGraph(TopologyConfig(overlap=(("halll", "door"),)), ["hall", "door"])
    path = tmp_path / "cams.yaml"
    path.write_text("cameras:\n  - {name: hall, uri: a.mp4}\ntopology:\n  overlap: [[hall, door]]\n")
    with pytest.raises(
        ConfigError, match=r"cams.yaml:3: topology names the camera 'door', which there is not; the cameras are hall"
    ):
        load_config(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"transits": [{"from": "a", "to": "b", "min": 9, "max": 3}]}, "at least 9.0 and at most 3.0"),
        ({"transits": [{"from": "a", "to": "a"}]}, "to itself"),
        ({"transits": [{"from": "a", "to": "b"}, {"from": "a", "to": "b"}]}, "more than once"),
        ({"overlap": [["a", "a"]]}, "overlap itself"),
        ({"transit": []}, "did you mean 'transits'"),
    ],
)
def test_contradictions_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        Config.from_dict({"cameras": [{"name": "a", "uri": "a"}], "topology": values})
