"""Brokers for the tests of messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streamreid.config.messages import MessagesConfig
from streamreid.messages import MessageSink
from streamreid.types import IdentityEvent, IdentitySummary
from tests.support.brokers import Kafka, Mosquitto, Nats, Receiver, Redis

BROKERS = {"mqtt": Mosquitto, "kafka": Kafka, "nats": Nats, "redis": Redis, "webhook": Receiver}

MakeSink = Callable[..., MessageSink]


def link(number: int, who: int = 1, **values: Any) -> IdentityEvent:
    """An event that can be told from all others."""
    summary = IdentitySummary(1e9, 1e9 + number, frozenset({"hall"}), confirmed=True)
    return IdentityEvent("link", 1e9 + number, who, "hall", number, 0.9, reasons={"appearance": 1.5}, summary=summary)


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Start a broker by its name; it is ended with the test."""
    started: list[Any] = []

    def start(name: str, *args: Any, **options: Any) -> Any:
        broker = BROKERS[name](tmp_path / f"broker-{name}", *args, **options)
        started.append(broker)
        broker.start()
        if name == "mqtt" and broker.anonymous:
            broker.subscribe()
        return broker

    yield start
    for broker in reversed(started):
        broker.close()


@pytest.fixture
def make_sink(tmp_path: Path) -> Iterator[MakeSink]:
    """A sink for a section ``messages``; it is closed with the test."""
    made: list[MessageSink] = []

    def make(section: dict[str, Any], *, live: bool = True, folder: str = "run", **outbox: Any) -> MessageSink:
        config = MessagesConfig.model_validate({"site": "shop", **section, "outbox": {"close_seconds": 20, **outbox}})
        sink = MessageSink(config, tmp_path / folder, cameras=["hall"], live=live, version="1")
        made.append(sink)
        return sink

    yield make
    for sink in made:
        sink.abort()


def events_of(bodies: list[bytes]) -> list[dict[str, Any]]:
    """CloudEvents in order of arrival, without those that came twice."""
    found: dict[str, dict[str, Any]] = {}
    for body in bodies:
        event = json.loads(body)
        found.setdefault(event["id"], event)
    return list(found.values())


def tracks_of(bodies: list[bytes]) -> dict[str, list[int]]:
    """Track numbers of `link` events by subject, in order of arrival, after de-duplication."""
    found: dict[str, list[int]] = {}
    for event in events_of(bodies):
        if event["type"] == "streamreid.identity.link":
            found.setdefault(event["subject"], []).append(event["data"]["tracks"][0][1])
    return found
