"""Which machines fit, and what is said of those that do not."""

import re

import pytest

from streamreid.cluster.machines import Machine, Report, check_reports, count_room, fitting
from streamreid.config import ClusterConfig, Config
from streamreid.errors import ClusterError, ConfigError

NORTH = Machine("1", "north", "10.0.0.1", cpus=8, gpus=2, memory=32e9, labels={"site": "north"})
SOUTH = Machine("2", "south", "10.0.0.2", cpus=2, memory=8e9, labels={"site": "south"})
SIZES = {"a.mp4": 7, "boxes": -1}


def report(machine=NORTH, **changes):
    values = {"python": "3.12.3", "streamreid": "1.0", "sizes": SIZES, "detector": "d", "engine": "e", **changes}
    return Report(machine, **values)


@pytest.mark.parametrize(
    ("settings", "room"),
    [
        ({}, 10),
        ({"cpus": 3}, 2),
        ({"cpus": 0.1}, 100),  # also where ten tenths are not one
        ({"gpus": 0.5}, 4),
        ({"gpus": 0.4}, 4),  # two on each GPU; a share never lies on two
        ({"gpus": 2}, 1),
        ({"memory": "10GB"}, 3),
    ],
)
def test_room(settings, room):
    config = ClusterConfig(**settings)
    assert count_room([NORTH, SOUTH], config, {}) == room


def test_labels_choose_machines():
    assert fitting([NORTH, SOUTH], ClusterConfig(), {"site": "south"}) == [SOUTH]


def test_a_gpu_that_is_not_there_names_the_machines():
    with pytest.raises(ClusterError) as found:
        fitting([SOUTH], ClusterConfig(gpus=1), {"site": "north"})
    assert "1 GPUs" in str(found.value)
    assert "south (10.0.0.2): label site=south instead of north, no GPU" in str(found.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"streamreid": None}, r"north \(10\.0\.0\.1\): streamreid is not installed .*install 1\.0 there"),
        ({"streamreid": "0.9"}, "streamreid 0.9, but 1.0 here"),
        ({"python": "3.11.2"}, "Python 3.11.2, but 3.12.9 here"),
        ({"sizes": {"a.mp4": None, "boxes": -1}}, "does not see 'a.mp4'; put it on storage"),
        ({"sizes": {"a.mp4": 8, "boxes": -1}}, "sees another file .* 'a.mp4'"),
        ({"problem": "no answer"}, "no answer"),
    ],
)
def test_a_machine_that_differs_is_named(changes, said):
    here = {"python": "3.12.9", "streamreid": "1.0", "sizes": SIZES}
    check_reports([report()], **here)
    with pytest.raises(ClusterError, match=said):
        check_reports([report(SOUTH), report(**changes)], **here)


def test_many_machines_that_differ_are_not_all_named():
    wrong = [report(Machine(str(n), f"m{n}", f"10.0.0.{n}"), streamreid="0.9") for n in range(9)]
    with pytest.raises(ClusterError, match="and 4 more machines"):
        check_reports(wrong, python="3.12.9", streamreid="1.0", sizes={})


def test_settings():
    cluster = {"address": "ray://head:10001", "memory": "2GB", "labels": {"rack": 7, "ssd": True}}
    rules = [{"cameras": "north-*", "labels": {"site": "north"}}, {"cameras": ["*"], "labels": {"site": "any"}}]
    config = Config.from_dict({"cameras": [{"uri": "a.mp4"}], "cluster": {**cluster, "placement": rules}}).cluster
    assert config.memory == 2_000_000_000
    assert config.labels_of(["north-1"]) == {"rack": "7", "ssd": "true", "site": "north"}
    assert config.labels_of(["gate"])["site"] == "any"
    assert ClusterConfig(labels={"a": "b"}).labels_of(["gate"]) == {"a": "b"}


@pytest.mark.parametrize("address", ["head:6379", "ray://head", "10.0.0.1", "kubernetes", "ray://:10001"])
def test_other_addresses_are_refused(address):
    with pytest.raises(ConfigError, match=re.escape("ray://HEAD:10001")):
        Config.from_dict({"cameras": [{"uri": "a.mp4"}], "cluster": {"address": address}})


@pytest.mark.parametrize(
    ("settings", "workers", "cores"),
    [
        ({"address": "local"}, 1, 8),  # a worker alone has the threads that one process has
        ({"address": "local"}, 3, 2),
        ({"address": "local"}, 20, 1),
        ({"address": "local"}, None, 1),  # a batch with as many workers as there is room for
        ({"address": "local", "cpus": 3}, 1, 3),
        ({"address": "auto"}, 1, 1),
    ],
)
def test_cores_of_workers_on_this_machine(settings, workers, cores):
    assert ClusterConfig(**settings).sized(8, workers).cores == cores
