"""One small Ray cluster for all tests, a head and a second node on this machine; and a site with workers as plain
processes."""

import logging
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path

import pytest

from streamreid.runs.batch import find_recordings
from tests.support.cluster_team import Team

STORE = 80 * 2**20
RECORDINGS = 6


def patiently(start, **options):
    """Start a node. Ray gives it 30 seconds, which is little on a busy machine."""
    for last in (False, False, True):
        try:
            return start(**options)
        except Exception as error:
            if last or "timed out during startup" not in str(error):
                raise


@pytest.fixture(scope="session")
def ray():
    """The module, quiet."""
    from streamreid.cluster.ray_session import ray_module

    pytest.importorskip("ray")
    return ray_module()


@pytest.fixture(scope="session")
def nodes(ray):
    """A cluster that this process is connected to; ``nodes.add(labels={...})`` adds a node to be killed."""
    from ray.cluster_utils import Cluster

    logging.getLogger("ray").setLevel(logging.ERROR)
    folder = tempfile.mkdtemp(prefix="sr-", dir="/tmp")  # Ray's sockets need a short path
    before = os.environ.get("RAY_AUTH_MODE")
    os.environ["RAY_AUTH_MODE"] = "disabled"  # no token is written into the home folder
    cluster = None
    # A head writes its address there, and does not make the folder.
    Path(ray._private.utils.get_ray_address_file(None)).parent.mkdir(parents=True, exist_ok=True)
    try:
        small = {"object_store_memory": STORE, "include_dashboard": False, "temp_dir": folder}
        cluster = patiently(Cluster, initialize_head=True, head_node_args={"num_cpus": 2, **small})
        cluster.add = partial(patiently, cluster.add_node, num_cpus=1, object_store_memory=STORE)
        ray.init(cluster.address, log_to_driver=False, configure_logging=False)
        yield cluster
    finally:
        ray.shutdown()
        if cluster is not None:
            cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
        if before is None:
            del os.environ["RAY_AUTH_MODE"]
        else:
            os.environ["RAY_AUTH_MODE"] = before


@pytest.fixture
def team(tmp_path):
    """Starts a site for a configuration; its workers, without Ray, are started by the test."""
    teams = []

    def start(config, *, leases=None):
        teams.append(Team(tmp_path, config, leases))
        return teams[-1]

    yield start
    for item in teams:
        item.end()


@pytest.fixture
def recordings(scene):
    """Some recordings, one of them broken, and the sections for them."""
    for number in range(RECORDINGS):
        scene.camera(f"r{number}", [number % 5], frames=30)
    (scene.folder / "r1.mp4").write_bytes(b"no video")
    return find_recordings([scene.folder]), {"detector": {"model": f"mot:{scene.boxes}"}, "engine": {"model": "none"}}
