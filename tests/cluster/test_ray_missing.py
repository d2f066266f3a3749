"""A cluster that is not there is told of at once. In a process of its own: others are in a cluster of Ray."""

import socket
import sys
import time

import pytest

from streamreid.runtimes.base import available_threads

pytestmark = [pytest.mark.wall_time, pytest.mark.alone]
"""Ray starts processes, and gives them time by the clock on the wall."""


@pytest.mark.parametrize("address", ["ray://127.0.0.1:9", "auto"])
def test_a_head_that_is_not_there(call, recordings, scene, tmp_path, monkeypatch, address):
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        pytest.skip("this process is connected to a cluster, which is used")
    options = ["--detector", f"mot:{scene.boxes}", "--engine", "none", "--cluster", address]
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")  # where `auto` finds it
    began = time.monotonic()
    code, _, err = call("batch", scene.folder, "--out", tmp_path / "out", *options)
    assert code == 2
    assert "127.0.0.1, port 9, cannot be reached" in err
    assert time.monotonic() - began < 10


def test_a_machine_that_is_in_no_cluster(call, recordings, scene, tmp_path, monkeypatch):
    """The head is there, but no process of Ray is here, which Ray itself says after a minute."""
    services = pytest.importorskip("ray._private.services")
    if sys.modules["ray"].is_initialized():
        pytest.skip("this process is connected to a cluster, which is used")
    monkeypatch.setattr(services, "find_gcs_addresses", set)
    with socket.create_server(("127.0.0.1", 0)) as head:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{head.getsockname()[1]}")
        options = ["--detector", f"mot:{scene.boxes}", "--engine", "none", "--cluster", "auto"]
        code, _, err = call("batch", scene.folder, "--out", tmp_path / "out", *options)
    assert code == 2
    assert f"no Ray cluster on this machine ({socket.gethostname()})" in err.replace("\n", " ")


@pytest.mark.parametrize("command", ["batch", "run"])
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("cluster.gpus=1", "asks for 1 GPUs for each worker, but this machine ({host}) has no GPU"),
        ("cluster.cpus=999", "asks for 999 CPU cores for each worker, but this machine ({host}) has {cores}: write"),
        ("cluster.labels={site: north}", "ask for a machine with site=north, but the cluster that is started here"),
        ("cluster.placement=[{cameras: r0, labels: {rack: 7}}]", "ask for a machine with rack=7, but the cluster"),
    ],
)
def test_what_this_machine_has_not(call, recordings, scene, tmp_path, monkeypatch, command, setting, said):
    """It is told before Ray is started, which takes longer than anybody likes to wait for an error."""
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("Ray is started"))
    what = scene.folder if command == "batch" else scene.folder / "r0.mp4"
    options = ["--detector", f"mot:{scene.boxes}", "--engine", "none", "--cluster", "local", "--set", setting]
    began = time.monotonic()
    code, _, err = call(command, what, "--out", tmp_path / "out", *options)
    assert code == 2
    assert said.format(host=socket.gethostname(), cores=available_threads()) in " ".join(err.split())
    assert time.monotonic() - began < 10
