"""Which worker reads which camera."""

import pytest

from streamreid.cluster.placement import least_loaded, plan_workers
from streamreid.config import ClusterConfig

NORTH = [f"north-{n}" for n in range(5)]
SOUTH = [f"south-{n}" for n in range(2)]
RULES = [{"cameras": f"{site}-*", "labels": {"site": site}} for site in ("north", "south")]


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        ({}, [7]),
        ({"cameras_per_worker": 3}, [3, 2, 2]),
        ({"workers": 2}, [4, 3]),
        ({"workers": 40}, [1] * 7),
        ({"placement": RULES}, [5, 2]),
        ({"placement": RULES, "workers": 1}, [5, 2]),  # every site needs one
        ({"placement": RULES, "workers": 4}, [2, 2, 1, 2]),
        ({"placement": RULES, "cameras_per_worker": 2}, [2, 2, 1, 2]),
    ],
)
def test_plans(settings, sizes):
    plans = plan_workers([*NORTH, *SOUTH], ClusterConfig(**settings))
    assert [len(p.cameras) for p in plans] == sizes
    assert sorted(c for p in plans for c in p.cameras) == sorted([*NORTH, *SOUTH])
    if "placement" in settings:
        for plan in plans:
            assert {c.split("-")[0] for c in plan.cameras} == {plan.labels["site"]}


def test_no_cameras_no_workers():
    assert plan_workers([], ClusterConfig()) == []


def test_who_takes_a_camera_over():
    workers = {"a": ({"site": "north"}, 3), "b": ({"site": "north"}, 2), "c": ({"site": "south"}, 0)}
    assert least_loaded({"site": "north"}, workers) == "b"
    assert least_loaded({"site": "north"}, workers, without="b") == "a"
    assert least_loaded({"site": "south"}, workers, without="c") is None
    assert least_loaded({}, workers) is None
