"""Real brokers get every event exactly once after de-duplication by id, in order per identity, whatever happens."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from streamreid import Pipeline, open_run
from streamreid.messages.places_board import PlacesBoard
from streamreid.messages.recent_counts import RecentCounts
from streamreid.messages.schemas import schema
from streamreid.places.records import PlaceEvent
from streamreid.runs import run
from streamreid.sinks.base import FinalIdentities
from streamreid.types import IdentityEvent
from tests.messages.conftest import BROKERS, MakeSink, events_of, link, tracks_of
from tests.support.brokers import Mosquitto, Receiver, wait_until

Start = Callable[..., Any]


@pytest.fixture(params=list(BROKERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def delivered(sink: Any) -> bool:
    return all(d.waiting == 0 for d in sink._courier.deliveries)


def test_events_arrive_once_in_order_and_follow_their_schema(
    name: str, start_broker: Start, make_sink: MakeSink
) -> None:
    broker = start_broker(name)
    sink = make_sink(broker.section())
    for i in range(1, 301, 10):
        sink.tell([link(n, who=n % 7 + 1) for n in range(i, i + 10)])
    sink.close(FinalIdentities())
    (state,) = sink.states
    assert (state.delivered, state.waiting, state.lost, state.error) == (302, 0, 0, None)
    wait_until(lambda: len(broker.received()) >= 302)
    bodies = broker.received()
    assert len(bodies) == 302
    assert tracks_of(bodies) == {f"identity/{w}": [n for n in range(1, 301) if n % 7 + 1 == w] for w in range(1, 8)}
    kinds = {kind: jsonschema_rs.validator_for(schema(kind)) for kind in ("identity", "run")}
    for event in events_of(bodies):
        kinds[event["type"].split(".")[1]].validate(event)


def test_a_broker_that_goes_away_five_times_gets_everything(
    name: str, start_broker: Start, make_sink: MakeSink
) -> None:
    broker = start_broker(name)
    sink = make_sink(broker.section())
    number = 0
    for _ in range(5):
        for _ in range(10):
            number += 1
            sink.event(link(number, who=number % 3 + 1))
        wait_until(lambda: delivered(sink), 60)
        down, up = (broker.pause, broker.resume) if name == "kafka" else (broker.kill, broker.start)
        down()
        for _ in range(10):
            number += 1
            sink.event(link(number, who=number % 3 + 1))
        up()
    sink.close(FinalIdentities())
    assert sink.states[0].waiting == sink.states[0].lost == 0
    wait_until(lambda: sum(map(len, tracks_of(broker.received()).values())) == number, 60)
    assert tracks_of(broker.received()) == {
        f"identity/{w}": [n for n in range(1, number + 1) if n % 3 + 1 == w] for w in range(1, 4)
    }


def test_what_was_told_while_the_broker_was_away_is_delivered_by_the_next_run(
    name: str, start_broker: Start, make_sink: MakeSink
) -> None:
    away = {
        "mqtt": {"mqtt": {"address": "mqtt://127.0.0.1:9"}},
        "kafka": {"kafka": {"servers": "127.0.0.1:9"}},
        "nats": {"nats": {"address": "nats://127.0.0.1:9"}},
        "redis": {"redis": {"address": "redis://127.0.0.1:9"}},
        "webhook": {"webhook": {"address": "http://127.0.0.1:9/"}},
    }
    sink = make_sink(away[name], live=False, close_seconds=0.3)
    sink.tell([link(n) for n in range(1, 101)])
    wait_until(lambda: sink.states[0].error is not None)
    sink.close(FinalIdentities())
    (state,) = sink.states
    assert (state.delivered, state.waiting, state.lost) == (0, 102, 0)
    broker = start_broker(name)
    again = make_sink(broker.section(), live=False)
    again.close(FinalIdentities())
    wait_until(lambda: len(broker.received()) >= 104)
    assert tracks_of(broker.received()) == {"identity/1": list(range(1, 101))}


def test_a_merge_is_told_to_whoever_followed_the_identity_that_goes(start_broker: Start, make_sink: MakeSink) -> None:
    broker: Mosquitto = start_broker("mqtt")
    sink = make_sink(broker.section())
    sink.tell([link(1, who=12), link(2, who=17)])
    reasons = {"appearance": 3.25, "time": -0.5}
    sink.tell([IdentityEvent("merge", 1e9, 12, probability=0.93, other_id=17, reasons=reasons, members=(("hall", 2),))])
    sink.close(FinalIdentities())
    wait_until(lambda: len(broker.received()) == 6)
    about = [e for e in events_of(broker.received()) if e["subject"] == "identity/17"]
    assert [e["type"] for e in about] == ["streamreid.identity.link", "streamreid.identity.merge"]
    told = about[1]["data"]
    assert (told["replaced_by"], told["probability"], told["reasons"]) == (12, 0.93, reasons)
    assert told["tracks"] == [["hall", 2]]
    wait_until(lambda: "streamreid/shop/identity/12" in broker.retained)
    state = json.loads(broker.retained["streamreid/shop/identity/17"])
    assert (state["state"], state["merged_into"]) == ("merged", 12)
    assert json.loads(broker.retained["streamreid/shop/identity/12"])["state"] == "known"


def test_the_state_of_an_identity_stays_when_a_track_leaves_it(start_broker: Start, make_sink: MakeSink) -> None:
    broker: Mosquitto = start_broker("mqtt")
    sink = make_sink(broker.section())
    sink.tell([link(1, who=12)])
    sink.tell([IdentityEvent("split", 1e9 + 9, 13, "hall", 2, other_id=12)])
    sink.close(FinalIdentities())
    wait_until(lambda: len(broker.received()) == 5 and "streamreid/shop/identity/13" in broker.retained)
    assert [e["data"]["global_id"] for e in events_of(broker.received()) if e["subject"] == "identity/12"] == [12, 13]
    state = json.loads(broker.retained["streamreid/shop/identity/12"])
    assert (state["cameras"], state["confirmed"], state["last_seen"]) == (["hall"], True, 1e9 + 1)


def test_a_receiver_that_refuses_one_message_gets_all_others(
    start_broker: Start, make_sink: MakeSink, caplog: pytest.LogCaptureFixture
) -> None:
    receiver: Receiver = start_broker("webhook")
    receiver.answer = lambda _, __, body: 422 if b'"tracks":[["hall",7]]' in body else 204
    section = receiver.section()
    section["webhook"]["batch"] = 10
    sink = make_sink(section)
    with caplog.at_level(logging.WARNING):
        sink.tell([link(n) for n in range(1, 21)])
        sink.close(FinalIdentities())
    assert tracks_of(receiver.received()) == {"identity/1": [n for n in range(1, 21) if n != 7]}
    assert (sink.states[0].refused, sink.states[0].waiting) == (1, 0)
    assert "answers 422" in caplog.text


def test_a_receiver_that_is_busy_is_waited_for(start_broker: Start, make_sink: MakeSink) -> None:
    receiver: Receiver = start_broker("webhook")
    receiver.answer = lambda number, _, __: (503, 429, 401, 302)[number] if number < 4 else 204
    sink = make_sink(receiver.section())
    sink.tell([link(n) for n in range(1, 11)])
    sink.close(FinalIdentities())
    assert tracks_of(receiver.received()) == {"identity/1": list(range(1, 11))}
    assert (sink.states[0].failures, sink.states[0].lost) == (4, 0)


def test_a_full_outbox_gives_up_the_oldest_and_says_how_many(
    start_broker: Start, make_sink: MakeSink, caplog: pytest.LogCaptureFixture
) -> None:
    receiver: Receiver = start_broker("webhook")
    receiver.answer = lambda _, __, ___: 503
    sink = make_sink(receiver.section(), max_size=20_000)
    for n in range(1, 201):
        sink.event(link(n))
    wait_until(lambda: sink.states[0].given_up > 100 and sink._outbox.size <= 20_000, what="all excess is given up")
    receiver.answer = lambda _, __, ___: 204
    sink.close(FinalIdentities())
    (state,) = sink.states
    assert state.delivered + state.given_up == 202
    (got,) = tracks_of(receiver.received()).values()
    newest = got[1:]  # the first may have been on its way when it was given up
    assert newest == list(range(201 - len(newest), 201))
    assert "the oldest are given up, so far: webhook" in caplog.text


_KILLED = """
import sys, json, time
from pathlib import Path
from streamreid.config.messages import MessagesConfig
from streamreid.messages import MessageSink
from tests.messages.conftest import link
sink = MessageSink(MessagesConfig.model_validate(json.loads(sys.argv[1])), Path(sys.argv[2]), live=True)
for n in range(1, 1000):
    sink.event(link(n, who=n % 3 + 1))
    print(n, flush=True)
    time.sleep(0.001)
time.sleep(600)
"""


def test_a_run_that_is_killed_has_told_everything_once_it_is_started_again(
    start_broker: Start, make_sink: MakeSink, tmp_path: Path
) -> None:
    broker = start_broker("redis")
    told = 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", _KILLED, json.dumps(broker.section()), str(tmp_path / "run")],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(100)]
        process.kill()
        lines += process.stdout.readlines()
        process.wait()
        told += int([line for line in lines if line.endswith("\n")][-1])
    make_sink(broker.section()).close(FinalIdentities())
    got = [e for e in events_of(broker.received()) if e["type"] == "streamreid.identity.link"]
    assert told <= len(got) <= told + 3  # the last of each process may not have been said
    assert [e["sequence"] for e in got] == sorted({e["sequence"] for e in got})
    assert len({e["run"] for e in got}) == 3
    runs: dict[str, list[int]] = {}
    for event in got:
        runs.setdefault(event["run"], []).append(event["data"]["tracks"][0][1])
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in runs.values())


def test_places_are_announced_to_home_assistant_and_keep_their_last_state(
    start_broker: Start, make_sink: MakeSink
) -> None:
    broker: Mosquitto = start_broker("mqtt")
    section = broker.section()
    section["mqtt"]["home_assistant"] = True
    sink = make_sink(section)
    wait_until(lambda: broker.retained.get("streamreid/shop/status") == b"online")
    sink.place(PlaceEvent("zone_entered", 5.0, "till", "hall", 1, 1, start=5.0, occupancy=2))
    sink.place(PlaceEvent("zone_left", 9.0, "till", "hall", 1, 1, start=5.0, occupancy=1))
    sink.close(FinalIdentities())
    wait_until(lambda: broker.retained.get("streamreid/shop/status") == b"offline")
    announced = json.loads(broker.retained["homeassistant/sensor/streamreid_shop/camera_hall_people/config"])
    state = json.loads(broker.retained[announced["state_topic"]])
    assert (state["place"], state["occupancy"]) == ("camera:hall", 0)
    assert announced["availability_topic"] == "streamreid/shop/status"
    assert json.loads(broker.retained["streamreid/shop/place/till"])["occupancy"] == 1
    validator = jsonschema_rs.validator_for(schema("place"))
    places = [e for e in events_of(broker.received()) if e["type"].startswith("streamreid.place.")]
    assert [e["data"]["dwell"] for e in places] == [0.0, 4.0]
    for event in places:
        validator.validate(event)


def test_counts_of_the_last_hour_become_sensors(
    scene: Any, colours: Any, start_broker: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamreid.messages.recent_counts._FIRST", 0.01)
    broker: Mosquitto = start_broker("mqtt")
    section = {"site": "shop", "mqtt": {**broker.section()["mqtt"], "home_assistant": True}}
    zone = {"name": "till", "camera": "left", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}
    config = scene.config(
        scene.camera("left", [0, 1, 2]), scene.camera("right", [2, 0, 3]), zones=[zone], messages=section
    )
    with Pipeline(config, embedder=colours) as pipeline:
        run(pipeline, tmp_path / "run")
    wait_until(lambda: broker.retained.get("streamreid/shop/status") == b"offline")
    told = {
        place: json.loads(broker.retained[f"streamreid/shop/place/{place}"])["last_hour"]
        for place in ("till", "camera:left", "everywhere")
    }
    expected = {row["place"]: row for row in open_run(tmp_path / "run").counts()}
    assert told["everywhere"]["unique"] == 4
    for place, counts in told.items():
        names = ("unique", "unique_low", "unique_high", "visits", "entries", "exits")
        assert [counts[name] for name in names] == [expected[place][name] for name in names], place
    for place in ("till", "camera:left"):
        assert json.loads(broker.retained[f"streamreid/shop/place/{place}"])["occupancy"] == 0, "the run is over"
    announced = json.loads(broker.retained["homeassistant/sensor/streamreid_shop/till_unique/config"])
    assert announced["value_template"] == "{{ value_json.last_hour.unique }}"
    assert announced["state_topic"] == "streamreid/shop/place/till"


def test_counts_that_fail_are_said_once_and_disturb_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> list[dict[str, Any]]:
        raise RuntimeError("no counts today")

    recent = RecentCounts(PlacesBoard(), broken)
    recent.start()
    recent.close(last=True)
    recent.close(last=True)
    assert caplog.text.count("counts of the last hour are not told: no counts today") == 1
