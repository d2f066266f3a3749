"""A batch on a Ray cluster: the results of one process, whatever becomes of workers and machines."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from streamreid.cluster import ray_batch
from streamreid.cluster.ray_batch import RayBatch
from streamreid.config import ClusterConfig
from streamreid.errors import ClusterError, ConfigError
from streamreid.runs.batch import Batch, find_recordings
from tests.cluster.conftest import RECORDINGS

pytestmark = [pytest.mark.wall_time, pytest.mark.alone]
"""Ray starts processes, and gives them time by the clock on the wall."""


def texts(folder):
    """What a batch wrote, without times and places."""
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("batch.json", "summary.json", "done.json")
    }
    for path in folder.rglob("summary.json"):
        data = json.loads(path.read_text().replace("local:///", "/"))
        found[path.relative_to(folder).as_posix()] = {k: data[k] for k in ("cameras", "identities", "confirmed")}
    return found


def run_on_cluster(recordings, out, progress=lambda _: None, **settings):
    batch = RayBatch(*recordings[:1], out, recordings[1], cluster=ClusterConfig(address="auto", workers=2, **settings))
    return list(batch.run(progress=progress)), batch.progress


def test_results_of_one_process(nodes, recordings, tmp_path):
    alone = list(Batch(recordings[0], tmp_path / "alone", recordings[1]).run())
    begun = []
    batch = RayBatch(recordings[0], tmp_path / "many", recordings[1], cluster=ClusterConfig(address="auto"))
    results = sorted(batch.run(begin=lambda r: begun.append(r.name)), key=lambda r: r.name)
    assert [(r.name, r.status, r.frames, r.identities) for r in results] == [
        (r.name, r.status, r.frames, r.identities) for r in alone
    ]
    assert "r1.mp4" in results[1].reason
    assert sorted(begun) == [r.name for r in alone]
    assert texts(tmp_path / "many") == texts(tmp_path / "alone")
    assert not (tmp_path / "many" / ".attempts").exists()
    listed = json.loads((tmp_path / "many" / "batch.json").read_text())["recordings"]
    assert [r["name"] for r in listed] == [r.name for r in recordings[0]]
    # Either goes on where the other ended.
    assert Counter(r.status for r in Batch(recordings[0], tmp_path / "many", recordings[1]).run()) == {
        "skipped": RECORDINGS - 1,
        "failed": 1,
    }


def test_workers_that_are_killed(nodes, recordings, tmp_path):
    """A recording whose worker is killed once is done all the same; one that loses every worker is given up."""
    killed = {"r3": [], "r4": []}

    def kill(progress):
        for (_, pid), name in progress.workers.items():
            if (name == "r4" or (name == "r3" and not killed["r3"])) and pid not in killed[name]:
                killed[name].append(pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    # Films take long enough for the worker to be caught in work.
    sections = {**recordings[1], "output": {"video": True}}
    results, progress = run_on_cluster((recordings[0], sections), tmp_path / "out", kill, attempts=2)
    assert len(killed["r4"]) == 2
    assert progress.lost == sum(map(len, killed.values()))
    found = {r.name: r for r in results}
    assert len(found) == len(results)
    assert [name for name, r in sorted(found.items()) if r.status == "failed"] == ["r1", "r4"]
    assert "its worker was lost 2 times" in found["r4"].reason
    assert not (tmp_path / "out" / "r4").exists()
    assert not (tmp_path / "out" / ".attempts").exists()


def test_a_machine_that_is_lost(nodes, recordings, tmp_path):
    node = nodes.add(labels={"site": "west"})
    nodes.wait_for_nodes()
    lost = []

    def lose(progress):
        # In work on both machines, or before the first is done with everything.
        if not lost and (len(progress.workers) == 2 or progress.finished >= 2):
            lost.append(node)
            nodes.remove_node(node, allow_graceful=False)  # the raylet and its workers, without goodbye

    sections = {**recordings[1], "output": {"video": True}}
    results, _ = run_on_cluster((recordings[0], sections), tmp_path / "out", lose)
    assert lost
    assert Counter(r.status for r in results) == {"done": RECORDINGS - 1, "failed": 1}


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"gpus": 1}, "no GPU"), ({"labels": {"site": "moon"}}, "no label site=moon"), ({"cpus": 64}, "2 CPU cores")],
)
def test_what_no_machine_has(nodes, recordings, tmp_path, settings, said):
    with pytest.raises(ClusterError, match=said) as found:
        run_on_cluster(recordings, tmp_path / "out", **settings)
    assert os.uname().nodename in str(found.value)


def test_another_version_on_a_machine(nodes, recordings, tmp_path, monkeypatch):
    here = ray_batch.installed()
    monkeypatch.setattr(ray_batch, "installed", lambda: {**here, "streamreid": "99.0"})
    began = time.monotonic()
    with pytest.raises(ClusterError, match=rf"{os.uname().nodename} .*streamreid \S+, but 99\.0 here"):
        run_on_cluster(recordings, tmp_path / "out")
    assert time.monotonic() - began < 10


OTHER = """
import sys
from ray._private import utils
utils.compute_version_info = lambda: ("1.0.0", "3.9.1")
from streamreid.cli import main
main()
"""


def test_another_ray_and_python_than_the_head_has(nodes, recordings, scene, tmp_path):
    options = ["--detector", f"mot:{scene.boxes}", "--engine", "none", "--cluster", "auto"]
    command = [sys.executable, "-c", OTHER, "batch", str(scene.folder), "--out", str(tmp_path / "out"), *options]
    began = time.monotonic()
    program = subprocess.run(
        command, env={**os.environ, "RAY_ADDRESS": nodes.address}, capture_output=True, text=True, timeout=60
    )
    assert time.monotonic() - began < 10
    said = " ".join(program.stderr.split())
    assert program.returncode == 2, said
    assert f"another version of Ray or Python than this machine ({os.uname().nodename}: " in said
    assert "Install the same versions everywhere" in said


def test_a_gallery_is_refused(recordings, tmp_path):
    with pytest.raises(ConfigError, match="in the order of the recordings"):
        RayBatch(
            recordings[0],
            tmp_path / "out",
            {**recordings[1], "gallery": {"store": str(tmp_path / "g.db")}},
            cluster=ClusterConfig(address="auto"),
        )


def test_what_is_finished_needs_no_cluster(recordings, tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    good = [r for r in recordings[0] if r.name != "r1"]
    list(Batch(good, tmp_path / "out", recordings[1]).run())
    batch = RayBatch(good, tmp_path / "out", recordings[1], cluster=ClusterConfig(address="ray://127.0.0.1:9"))
    assert {r.status for r in batch.run()} == {"skipped"}


SHORT = """
import sys
from streamreid.cluster import ray_session
ray_session.HEAD_SECONDS = 3.0
from streamreid.cli import main
main()
"""


@pytest.mark.slow
def test_the_head_is_killed(scene, tmp_path):
    # So many that a fast machine is not done with them before the head is missed; copies cost nothing.
    first = scene.camera("r000", [0, 1, 2], frames=60)
    for number in range(1, 800):
        os.link(first, first.with_stem(f"r{number:03d}"))
        os.link(scene.boxes / "r000.txt", scene.boxes / f"r{number:03d}.txt")
    out = tmp_path / "out"
    options = ["--detector", f"mot:{scene.boxes}", "--engine", "none", "--cluster", "local"]
    command = [sys.executable, "-c", SHORT, "batch", str(scene.folder), "--out", str(out), *options]
    program = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not list(out.glob("r*/done.json")):
            assert time.monotonic() < deadline, program.poll()
            time.sleep(0.1)
        heads = subprocess.run(
            ["pgrep", "-P", str(program.pid), "-f", "gcs_server"], capture_output=True, text=True, check=True
        )
        os.kill(int(heads.stdout.split()[0]), signal.SIGKILL)
        _, err = program.communicate(timeout=60)
    finally:
        program.kill()
    assert program.returncode == 2
    assert "the head of the cluster at" in err.replace("\n", " ")
    assert "What is finished is kept" in err.replace("\n", " ")
    assert any(r["status"] == "done" for r in json.loads((out / "batch.json").read_text())["recordings"])


def test_storage_that_is_reached_by_an_address(nodes, recordings, tmp_path):
    """Workers fetch recordings and send results; here through fsspec's own form of paths of this machine."""
    alone = list(Batch(recordings[0], tmp_path / "alone", recordings[1]).run())
    base = f"local://{tmp_path}"
    found = find_recordings([f"{base}/scene"])
    options = {"cluster": ClusterConfig(address="auto", workers=2)}
    results = sorted(RayBatch(found, f"{base}/many", recordings[1], **options).run(), key=lambda r: r.name)
    assert [(r.name, r.status, r.frames, r.identities) for r in results] == [
        (r.name, r.status, r.frames, r.identities) for r in alone
    ]
    assert texts(tmp_path / "many") == texts(tmp_path / "alone")
    assert not (tmp_path / "many" / ".attempts").exists()
    again = RayBatch(found, f"{base}/many", recordings[1], **options).run()
    assert Counter(r.status for r in again) == {"skipped": RECORDINGS - 1, "failed": 1}


def test_storage_that_a_machine_does_not_reach(nodes, recordings, tmp_path):
    """fsspec's memory is another one in each process."""
    with pytest.raises(ClusterError, match=rf"{os.uname().nodename} .*finds nothing at 'memory://nowhere"):
        list(RayBatch(recordings[0], "memory://nowhere", recordings[1], cluster=ClusterConfig(address="auto")).run())
