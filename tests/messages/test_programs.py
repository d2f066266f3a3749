"""Whole programs with brokers: killed and delivered afterwards, on the command line, and as a service."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from streamreid import Pipeline
from streamreid.messages.schemas import schema
from streamreid.runs import run
from tests.messages.conftest import events_of
from tests.support.brokers import Mosquitto, Redis, free_port, wait_until

pytest.importorskip("pyarrow")

Start = Callable[..., Any]
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cache(scene: Any, colours: Any, tmp_path: Path) -> Path:
    """A small recording with people who come again in a second camera."""
    config = scene.config(scene.camera("left", [0, 1, 2], frames=60), scene.camera("right", [2, 0, 3], frames=60))
    with Pipeline(config, embedder=colours, cache=tmp_path / "cache") as pipeline:
        run(pipeline, tmp_path / "stored")
    return tmp_path / "cache"


def told_by(folder: Path) -> list[tuple[Any, ...]]:
    """Every event that the result file of a run has."""
    found: list[tuple[Any, ...]] = []
    for line in (folder / "results.jsonl").read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            record = json.loads(line)
            if record["type"] == "event":
                found.append((record["kind"], record["global_id"], record["camera"], record["track_id"]))
            elif record["type"] == "place":
                found.append((record["kind"], record["place"], record["camera"], record["track_id"]))
    return found


def delivered_to(broker: Redis) -> list[tuple[Any, ...]]:
    """The same of the messages, after de-duplication."""
    found: list[tuple[Any, ...]] = []
    for message in events_of(broker.received()):
        data = message["data"]
        if message["type"].startswith("streamreid.identity.") and data["identity"] == data["global_id"]:
            found.append((data["kind"], data["global_id"], *(data["tracks"][0] if data["tracks"] else (None, None))))
        elif message["type"].startswith("streamreid.place."):
            found.append((data["kind"], data["place"], data["camera"], data["track_id"]))
    return found


def start_replay(cache: Path, settings: Path, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "streamreid",
        "replay",
        cache,
        "--settings",
        settings,
        "--out",
        folder,
        "-q",
        *more,
    ]
    return subprocess.Popen([str(c) for c in command], env=os.environ | {"OMP_NUM_THREADS": "1"})


def write_settings(folder: Path, section: dict[str, Any], **outbox: Any) -> Path:
    """A settings file, and a cameras file with the same messages, which `events deliver` reads."""
    messages = {"site": "shop", **section, "outbox": outbox}
    (folder / "settings.yaml").write_text(json.dumps({"messages": messages}))
    (folder / "cams.yaml").write_text(json.dumps({"cameras": [{"name": "a", "uri": "a"}], "messages": messages}))
    return folder / "settings.yaml"


def test_a_replay_that_is_killed_has_told_what_its_result_file_says(
    cache: Path, start_broker: Start, call: Call, tmp_path: Path
) -> None:
    broker: Redis = start_broker("redis")
    out = tmp_path / "out"
    # Killed while messages are delivered.
    process = start_replay(cache, write_settings(tmp_path, broker.section()), out)
    wait_until(lambda: len(broker.received()) > 1 or process.poll() is not None, 60)
    process.kill()
    process.wait()
    told = told_by(out)
    code, said, _ = call("events", "deliver", out, "-s", tmp_path / "cams.yaml")
    assert code == 0, said
    got = delivered_to(broker)
    assert set(told) <= set(got)
    assert len(got) == len(set(got))
    # Killed at the end of a run whose broker was away.
    broker.kill()
    broker.port, port = free_port(), broker.port
    address = f"redis://127.0.0.1:{port}"
    process = start_replay(
        cache, write_settings(tmp_path, {"redis": {"address": address}}, close_seconds=600), out2 := tmp_path / "out2"
    )
    wait_until(
        lambda: (out2 / "results.jsonl").is_file() and '"type":"end"' in (out2 / "results.jsonl").read_text(), 60
    )
    process.kill()
    process.wait()
    told = told_by(out2)
    assert len(told) > 10
    code, said, errors = call("events", "deliver", out2, "-s", tmp_path / "cams.yaml", "--seconds", 0.5)
    assert code == 2
    assert re.search(r"redis: 0 delivered, [0-9]+ wait", errors), errors
    broker.port = port
    broker.start()
    before = len(got)
    code, said, errors = call("events", "deliver", out2, "-s", tmp_path / "cams.yaml")
    assert (code, errors) == (0, ""), errors
    assert re.search(r"redis: [0-9]+ delivered, 0 wait", said)
    assert sorted(delivered_to(broker)[before:], key=str) == sorted(told, key=str)
    assert call("events", "deliver", out2, "-s", tmp_path / "cams.yaml")[1].startswith("nothing waits")


def test_a_run_in_the_folder_of_a_killed_one_delivers_what_waits(
    cache: Path, start_broker: Start, tmp_path: Path
) -> None:
    away = write_settings(tmp_path, {"redis": {"address": "redis://127.0.0.1:9"}}, close_seconds=600)
    out = tmp_path / "out"
    process = start_replay(cache, away, out)
    wait_until(lambda: (out / "results.jsonl").is_file() and '"type":"end"' in (out / "results.jsonl").read_text(), 60)
    process.kill()
    process.wait()
    told = told_by(out)
    broker: Redis = start_broker("redis")
    again = start_replay(cache, write_settings(tmp_path, broker.section()), out, "--overwrite")
    assert again.wait(120) == 0
    assert sorted(delivered_to(broker), key=str) == sorted(told + told_by(out), key=str)
    runs = [message["run"] for message in events_of(broker.received())]
    assert runs == sorted(runs, key=runs.index)
    assert len(set(runs)) == 2
    assert json.loads((out / "summary.json").read_text())["messages"]["redis"]["waiting"] == 0


def test_the_schemas_that_are_printed_fit_and_deliver_says_what_is_wrong(call: Call, tmp_path: Path) -> None:
    code, text, _ = call("events", "schema")
    assert code == 0
    schemas = json.loads(text)
    assert list(schemas) == ["identity", "place", "run"]
    for name, one in schemas.items():
        jsonschema_rs.validator_for(one)
        assert json.loads(call("events", "schema", name)[1]) == one
    code, _, errors = call("events", "schema", "picture")
    assert (code, "there is no kind of message 'picture'; known are identity, place, run" in errors) == (2, True)
    write_settings(tmp_path, {"redis": {"address": "redis://127.0.0.1:9"}})
    code, text, _ = call("events", "deliver", tmp_path, "-s", tmp_path / "cams.yaml")
    assert (code, "nothing waits" in text) == (0, True)
    (tmp_path / "none.yaml").write_text("cameras: [{name: a, uri: a}]")
    code, _, errors = call("events", "deliver", tmp_path, "-s", tmp_path / "none.yaml")
    assert (code, "the section 'messages' names no broker" in errors.replace("\n", " ")) == (2, True)


def test_doctor_lists_every_broker_with_what_is_wrong(
    scene: Any, start_broker: Start, call: Call, tmp_path: Path
) -> None:
    redis, mqtt = start_broker("redis"), start_broker("mqtt")
    config = {
        "cameras": [{"name": "hall", "uri": str(scene.camera("hall", [0]))}],
        "detector": {"model": f"mot:{scene.boxes}"},
        "engine": {"model": "none"},
        "messages": {**redis.section(), **mqtt.section(), "nats": {"address": f"nats://127.0.0.1:{free_port()}"}},
    }
    (tmp_path / "cams.yaml").write_text(json.dumps(config))
    code, text, errors = call("doctor", tmp_path / "cams.yaml")
    said = " ".join((text + errors).split())
    assert code == 2
    assert re.search(r"messages redis: ok, connected in [0-9]+ ms", said)
    assert re.search(r"messages mqtt: ok, connected in [0-9]+ ms", said)
    assert re.search(r"messages nats: cannot use 127\.0\.0\.1:[0-9]+: .*refused", said)


def test_a_service_tells_a_broker_and_shows_how_that_goes(scene: Any, start_broker: Start, tmp_path: Path) -> None:
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("fastapi")
    families = pytest.importorskip("prometheus_client.parser").text_string_to_metric_families
    broker: Mosquitto = start_broker("mqtt")
    port = free_port()
    camera = {"name": "hall", "uri": str(scene.camera("hall", [0, 1], frames=100)), "live": True, "repeat": 50}
    config = {
        "cameras": [camera],
        "detector": {"model": f"mot:{scene.boxes}"},
        "engine": {"model": "none"},
        "zones": [{"name": "till", "camera": "hall", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}],
        "messages": {"site": "shop", "mqtt": {**broker.section()["mqtt"], "home_assistant": True}},
    }
    (tmp_path / "cams.yaml").write_text(json.dumps(config))
    command = ["serve", tmp_path / "cams.yaml", "--listen", port, "--out", tmp_path / "out", "-q"]
    process = subprocess.Popen(
        [sys.executable, "-m", "streamreid", *map(str, command)], env=os.environ | {"OMP_NUM_THREADS": "1"}
    )

    def metrics() -> dict[str, float]:
        try:
            text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
        except httpx.HTTPError:
            return {}
        return {s.name: s.value for f in families(text) for s in f.samples if s.labels.get("broker") == "mqtt"}

    try:
        wait_until(lambda: metrics().get("streamreid_messages_delivered_total", 0) > 3, 90, "messages are delivered")
        assert metrics()["streamreid_messages_connected"] == 1.0
        wait_until(lambda: json.loads(broker.retained.get("streamreid/shop/place/till", b"{}")).get("occupancy") == 2)
        assert broker.retained["streamreid/shop/status"] == b"online"
        broker.kill()
        wait_until(lambda: metrics().get("streamreid_messages_connected") == 0.0, 60, "the loss is noticed")
        wait_until(lambda: metrics()["streamreid_messages_failures_total"] > 0)
        broker.start()
        wait_until(lambda: metrics().get("streamreid_messages_connected") == 1.0, 60, "connected again")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130  # stopped by a signal
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["messages"]["mqtt"]["waiting"] == 0
    wait_until(lambda: broker.retained["streamreid/shop/status"] == b"offline")
    wait_until(lambda: events_of(broker.received())[-1]["type"] == "streamreid.run.ended")
    messages = events_of(broker.received())
    kinds = {kind: jsonschema_rs.validator_for(schema(kind)) for kind in ("identity", "place", "run")}
    for message in messages:
        kinds[message["type"].split(".")[1]].validate(message)
    places = [m["data"]["kind"] for m in messages if m["data"].get("place") == "till"]
    assert places.count("zone_entered") >= 2
    assert messages[0]["type"] == "streamreid.run.started"
