"""Known troubles of Ray (the table in docs/cluster.md): what must not be used, and that each one has a test."""

import ast
import os
import re
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from streamreid.cluster import ray_session
from streamreid.cluster.batch_sender import BatchSender
from streamreid.cluster.outbox import Outbox
from streamreid.cluster.ray_session import ray_module
from streamreid.cluster.update_batch import Ack, UpdateBatch
from streamreid.config import ClusterConfig
from streamreid.errors import ClusterError

ROOT = Path(__file__).resolve().parents[2]
SECTION = "## What was considered of Ray"


def calls():
    """File, and dotted name of what is called there, of the room of clusters; names of modules that are imported."""
    for path in sorted((ROOT / "streamreid" / "cluster").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path.name, ast.unparse(node.func)
            elif isinstance(node, ast.Import):
                yield from ((path.name, f"import {alias.name}") for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield path.name, f"import {node.module}"


def test_nothing_but_copies_of_models_is_put_into_the_object_store():
    put = [(file, name) for file, name in calls() if re.fullmatch(r"(self\.)?_?ray\.put", name)]
    assert put == [("ray_batch.py", "self._ray.put"), ("ray_run.py", "ray.put")]
    for file, _ in put:
        text = (ROOT / "streamreid" / "cluster" / file).read_text(encoding="utf-8")
        assert re.findall(r"ray\.put\((\w+)\)", text) == ["copies"]


def test_neither_queues_nor_serve_nor_data_are_used():
    bad = re.compile(r"(import )?(self\._)?ray\.(util\.queue|serve|data|util\.ActorPool)\b")
    assert [found for found in calls() if bad.match(found[1])] == []


def test_all_cameras_of_a_worker_share_a_message_about_ten_times_a_second():
    sent = []

    def send(data):
        batch = UpdateBatch.from_bytes(data)
        sent.append(batch)
        return Ack({c.camera: c.first + len(c.updates) for c in batch.cameras}, time=time.time()).to_bytes()

    outbox = Outbox(threading.Event())
    nothing = {"figures": dict, "begin": lambda *_: None, "refuse": lambda *_: None}
    sender = BatchSender("w", outbox, send, {}, **nothing)
    cameras = [f"camera{n}" for n in range(20)]
    began = time.monotonic()
    for camera in cameras:
        outbox.open(camera, 1, live=True)
    sender.start()
    for _ in range(10):
        for camera in cameras:
            outbox.put(camera, 1, b"update")
        time.sleep(0.05)
    while sum(len(c.updates) for batch in sent for c in batch.cameras) < 200:
        assert time.monotonic() - began < 30
        time.sleep(0.02)
    sender.stop()
    assert len(sent) <= 3 + (time.monotonic() - began) / 0.1
    assert max(len(batch.cameras) for batch in sent) == 20


def test_statistics_of_use_are_off_and_uv_installs_nothing(monkeypatch):
    pytest.importorskip("ray")
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_UV_RUN_RUNTIME_ENV"):
        monkeypatch.delenv(name, raising=False)
    ray_module()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] == "0"


def test_each_known_trouble_names_a_test_that_exists():
    there = {
        name
        for path in [*(ROOT / "tests" / "cluster").glob("test_*.py"), ROOT / "tests" / "test_service_files.py"]
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    table = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8").partition(SECTION)[2]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row.split("|")[-2])
        assert named, row
        assert set(named) <= there, row


@pytest.mark.parametrize(
    ("address", "sent"), [("auto", True), ("ray://h:10001", True), ("h:6379", True), ("local", False)]
)
def test_the_token_of_the_head_is_sent_to_every_cluster_but_our_own(monkeypatch, address, sent):
    """`ray start --head` asks for it by default; without it, Ray says after 20 s that there is no cluster."""
    monkeypatch.setenv("RAY_AUTH_MODE", "")  # so that it is as before afterwards
    monkeypatch.delenv("RAY_AUTH_MODE")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of the head")
    monkeypatch.setitem(sys.modules, "ray", None)
    ray_session._send_token(address)
    assert ("RAY_AUTH_MODE" in os.environ) == sent


@pytest.mark.parametrize(("dead", "ends"), [((), False), (("gcs_server",), False), (("raylet",), True)])
def test_a_ray_of_our_own_that_has_ended_ends_the_run(monkeypatch, tmp_path, dead, ends):
    """Nothing starts its raylet again, and Ray goes on waiting for workers; they buffer while only the head is gone."""
    node = SimpleNamespace(dead_processes=lambda: [(kind, None) for kind in dead])
    ray = SimpleNamespace(_private=SimpleNamespace(worker=SimpleNamespace(_global_node=node)))
    monkeypatch.setattr(ray_session, "ray_module", lambda: ray)
    session = ray_session.RaySession(ClusterConfig(address="local"))
    session.check_node()  # before it is started
    session._own, session._folder = True, tmp_path
    with pytest.raises(ClusterError, match="has ended, and all workers with it") if ends else nullcontext():
        session.check_node()
