"""MQTT 5: events under ``TOPIC/SITE/event/SUBJECT``, retained states beside them, and what Home Assistant needs.

``TOPIC/SITE/status``
    ``online``, retained; ``offline`` when the run ends, and by the broker (last will) when it is killed.
``TOPIC/SITE/event/identity/17``
    Every message, as a CloudEvent.
``TOPIC/SITE/identity/17``
    What is known of an identity now, retained; ``merged`` and ``expired`` ones are told, too, and forgotten after
    ``state_expiry``.
``TOPIC/SITE/place/camera:hall``
    What is known of a place now, retained.
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from streamreid.config.messages import MqttConfig
from streamreid.messages.brokers.base import need
from streamreid.messages.brokers.mqtt_connection import MqttConnection, Publication
from streamreid.messages.brokers.mqtt_crt import CrtConnection
from streamreid.messages.brokers.mqtt_paho import PahoConnection
from streamreid.messages.delivery import BrokerError
from streamreid.messages.envelope import CONTENT_TYPE, Message
from streamreid.messages.home_assistant import discovery
from streamreid.messages.places_board import PlacesBoard, topic_part

__all__ = ["MqttBroker"]

_STATES_EVERY = 0.25
"""Seconds between two times that states of identities are told while there are events without a pause."""


def connect_with(config: MqttConfig) -> MqttConnection:
    """The client library for a connection: awscrt where it is installed, paho elsewhere and for what awscrt does not do
    (quality of service 2) or not well (encryption).

    Raises:
        MissingExtraError: Neither is installed.
    """
    if config.qos == 1 and config.scheme == "mqtt" and _installed("awscrt"):
        return CrtConnection(config)
    need("paho", "Sending messages by MQTT")
    return PahoConnection(config)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # somebody says in sys.modules that there is none
        return False


class MqttBroker:
    """Tells events, and keeps the retained states beside them.

    Args:
        config: The section.
        site: Name of the site.
        board: Newest state of every place; None where none is told.
        trial: Only connect: tell nothing, and disturb no run of the same site.
        connection: Instead of the one that the configuration needs.

    Raises:
        MissingExtraError: No client library is installed.
    """

    name = "mqtt"
    batch = 1000
    unacknowledged: int | None = None

    def __init__(
        self,
        config: MqttConfig,
        site: str,
        board: PlacesBoard | None = None,
        *,
        trial: bool = False,
        connection: MqttConnection | None = None,
    ) -> None:
        self._connection = connect_with(config) if connection is None else connection
        self._config = config
        self._trial = trial
        self._site = site
        self._base = f"{config.topic}/{site}"
        self._board = board
        self._told: dict[str, bytes] = {}
        self._announced: set[tuple[str, str]] = set()
        self._states: dict[str, bytes] = {}
        self._states_told = 0.0

    # ---------------------------------------------------------------- connection

    def open(self) -> None:
        """See `Broker`."""
        self._told.clear()
        if self._trial:
            self._connection.open("", None)
            return
        will = Publication(f"{self._base}/status", b"offline", retain=True)
        self._connection.open(f"streamreid-{self._site}", will)
        self._tell({"status": b"online"})
        if self._config.home_assistant:
            self._announce()

    def check(self) -> None:
        """See `Broker`: whoever is logged in is let in."""

    def close(self, *, goodbye: bool = False) -> None:
        """See `Broker`."""
        if goodbye:
            try:
                self._connection.check()
                self._tell_places()
                self._tell({"status": b"offline"})
            except Exception:  # noqa: S110 - it is gone either way
                pass
        self._connection.close()

    # ---------------------------------------------------------------- messages

    def send(self, messages: Sequence[Message]) -> None:
        """See `Broker`. The newest states of their identities are told a few times a second."""
        events: list[Publication] = []
        for message in messages:
            events.append(Publication(self._topic(message.subject), message.body, CONTENT_TYPE))
            if message.subject.startswith("identity/") and message.type.startswith("streamreid.identity."):
                self._states[message.subject] = message.body
                self.unacknowledged = self.unacknowledged or message.sequence
        self._connection.publish(events)
        if time.monotonic() - self._states_told >= _STATES_EVERY:
            self._tell_states(delivered=len(messages))

    def _topic(self, subject: str) -> str:
        kind, _, name = subject.partition("/")
        return f"{self._base}/event/{kind}/{topic_part(name)}" if name else f"{self._base}/event/{kind}"

    def _tell_states(self, delivered: int = 0) -> None:
        """Tell the newest states of identities; where that fails, they wait for the next connection.

        Args:
            delivered: Messages of the batch that the broker has, which a failure does not undo.
        """
        self._states_told = time.monotonic()
        expiry = int(self._config.state_expiry)
        states = [
            Publication(f"{self._base}/{subject}", identity_state(body), "application/json", expiry, retain=True)
            for subject, body in self._states.items()
        ]
        try:
            self._connection.publish(states)
        except BrokerError as error:
            error.delivered = delivered
            raise
        self._states.clear()
        self.unacknowledged = None

    # ---------------------------------------------------------------- states

    def idle(self) -> None:
        """See `Broker`. Tells states of places that changed."""
        self._connection.check()
        if self._states:
            self._tell_states()
        self._tell_places()

    def _tell_places(self) -> None:
        if self._board is None:
            return
        if self._config.home_assistant and self._board.kinds() != self._announced:
            self._announce()
        states = self._board.states()
        self._tell(
            {
                f"place/{topic_part(place)}": json.dumps(state, separators=(",", ":")).encode()
                for place, state in states.items()
            }
        )

    def _tell(self, states: Mapping[str, bytes]) -> None:
        """Retained states, where they changed."""
        changed = {topic: state for topic, state in states.items() if self._told.get(topic) != state}
        if changed:
            self._connection.publish(
                [Publication(f"{self._base}/{topic}", state, retain=True) for topic, state in changed.items()]
            )
            self._told |= changed

    def _announce(self) -> None:
        """Tell Home Assistant which sensors there are."""
        places: dict[str, dict[str, Any]] = {} if self._board is None else self._board.states()
        self._announced = set() if self._board is None else self._board.kinds()
        told = discovery(self._config.discovery_topic, self._base, self._site, places)
        self._connection.publish(
            [Publication(t, json.dumps(c, ensure_ascii=False).encode(), retain=True) for t, c in told.items()]
        )


def identity_state(body: bytes) -> bytes:
    """The retained state of an identity after an event.

    Args:
        body: The event's CloudEvent.
    """
    data = json.loads(body)["data"]
    moved = data["replaced_by"] is not None
    summary = data["summary"] if data["identity"] == data["global_id"] else None
    state = "merged" if moved else "expired" if data["kind"] == "expire" else "known"
    content = {
        "identity": data["identity"],
        "state": state,
        "merged_into": data["replaced_by"],
        "probability": data["probability"],
        "capture_time": data["capture_time"],
        "name": None,
        "confirmed": None,
        "cameras": None,
        "first_seen": None,
        "last_seen": None,
        **(summary or {}),
    }
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
