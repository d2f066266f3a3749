"""Names become topics, subjects and ids of Home Assistant: names that differ stay apart."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from streamreid.config.messages import MessagesConfig
from streamreid.errors import MissingExtraError
from streamreid.messages.brokers.mqtt import connect_with
from streamreid.messages.brokers.mqtt_crt import CrtConnection
from streamreid.messages.brokers.mqtt_paho import PahoConnection
from streamreid.messages.home_assistant import discovery
from streamreid.places.records import PlaceEvent
from streamreid.sinks.base import FinalIdentities
from tests.messages.conftest import MakeSink, events_of, link, tracks_of
from tests.support.brokers import Mosquitto, Nats, wait_until

Start = Callable[..., Any]

NAMES = ["till 2", "till_2", "till.2", "till-2", "Kasse ä"]


def at_places(sink: Any) -> None:
    for number, name in enumerate(NAMES):
        sink.place(PlaceEvent("occupancy_reached", 5.0, name, "hall", start=5.0, occupancy=number + 1))


def test_places_whose_names_differ_have_topics_and_sensors_of_their_own(
    start_broker: Start, make_sink: MakeSink
) -> None:
    broker: Mosquitto = start_broker("mqtt")
    sink = make_sink({"mqtt": {**broker.section()["mqtt"], "home_assistant": True}})
    at_places(sink)
    sink.close(FinalIdentities())
    wait_until(lambda: broker.retained.get("streamreid/shop/status") == b"offline")
    states = {t: json.loads(v) for t, v in broker.retained.items() if t.startswith("streamreid/shop/place/")}
    assert {state["place"]: state["occupancy"] for state in states.values()} == {
        "camera:hall": 0,
        **{name: number + 1 for number, name in enumerate(NAMES)},
    }
    assert states["streamreid/shop/place/till%202"]["place"] == "till 2"
    assert states["streamreid/shop/place/till_2"]["place"] == "till_2"
    sensors = {
        json.loads(v)["unique_id"]: states[json.loads(v)["state_topic"]]["place"]
        for t, v in broker.retained.items()
        if t.startswith("homeassistant/sensor/")
    }
    assert sorted(sensors.values()) == sorted(["camera:hall", *NAMES])
    assert sensors["streamreid_shop_till_2_people"] == "till_2"  # as it is written; the others get a checksum


def test_ids_of_home_assistant_stay_as_they_are_while_no_other_place_wants_them() -> None:
    found = discovery("homeassistant", "streamreid/shop", "shop", {"till 2": {"occupancy": 1}})
    assert "homeassistant/sensor/streamreid_shop/till_2_people/config" in found


def test_places_whose_names_differ_have_subjects_of_their_own(start_broker: Start, make_sink: MakeSink) -> None:
    broker: Nats = start_broker("nats")
    sink = make_sink(broker.section())
    at_places(sink)
    sink.close(FinalIdentities())
    wait_until(lambda: len(broker.received()) == len(NAMES) + 2)
    subjects = [s for s in broker.subjects if s.startswith("streamreid.shop.place.")]
    assert [s.removeprefix("streamreid.shop.place.") for s in subjects] == [
        "till%202",
        "till_2",
        "till%2E2",
        "till-2",
        "Kasse%20ä",
    ]


def test_quality_of_service_2_delivers_everything_when_the_broker_comes_back(
    start_broker: Start, make_sink: MakeSink
) -> None:
    broker: Mosquitto = start_broker("mqtt")
    sink = make_sink({"mqtt": {**broker.section()["mqtt"], "qos": 2}})
    sink.tell([link(n) for n in range(1, 51)])
    wait_until(lambda: sink.states[0].delivered > 0)
    broker.kill()
    sink.tell([link(n) for n in range(51, 101)])
    broker.start()
    sink.close(FinalIdentities())
    assert sink.states[0].waiting == sink.states[0].lost == 0
    wait_until(lambda: len(events_of(broker.received())) == 102, 60)
    assert tracks_of(broker.received()) == {"identity/1": list(range(1, 101))}


@pytest.mark.parametrize(
    ("section", "missing", "kind"),
    [
        ({"address": "mqtt://h"}, "", CrtConnection),
        ({"address": "mqtt://h"}, "awscrt", PahoConnection),
        ({"address": "mqtt://h", "qos": 2}, "", PahoConnection),
        ({"address": "mqtts://h"}, "paho", None),
    ],
)
def test_the_client_library_is_the_one_that_the_connection_needs(
    section: dict[str, Any], missing: str, kind: type | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing:
        monkeypatch.setitem(sys.modules, missing, None)
    config = MessagesConfig.model_validate({"mqtt": section}).mqtt
    assert config is not None
    if kind is None:
        with pytest.raises(MissingExtraError, match=r"streamreid\[messages\]"):
            connect_with(config)
    else:
        assert isinstance(connect_with(config), kind)
