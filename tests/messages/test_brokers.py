"""Real brokers get every event exactly once after de-duplication by id, in order per identity, whatever happens."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest

from streamreid.messages.schemas import schema
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
    wait_until(lambda: sink.states[0].given_up > 100)
    receiver.answer = lambda _, __, ___: 204
    sink.close(FinalIdentities())
    (state,) = sink.states
    assert state.delivered + state.given_up == 202
    (got,) = tracks_of(receiver.received()).values()
    newest = got[1:]  # the first may have been on its way when it was given up
    assert newest == list(range(201 - len(newest), 201))
    assert "the oldest are given up, so far: webhook" in caplog.text
