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
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from streamreid.config.messages import MqttConfig
from streamreid.messages.brokers.base import RECALL_SECONDS, need
from streamreid.messages.brokers.mqtt_connection import MqttConnection, Publication
from streamreid.messages.brokers.mqtt_crt import CrtConnection
from streamreid.messages.brokers.mqtt_paho import PahoConnection
from streamreid.messages.delivery import BrokerError, More
from streamreid.messages.envelope import CONTENT_TYPE, Message
from streamreid.messages.home_assistant import discovery
from streamreid.messages.places_board import PlacesBoard, topic_part

__all__ = ["MqttBroker"]

_STATES_EVERY, _STATES_BUSY, _BUSY = 0.25, 1.0, 250
"""Seconds between two times that states of identities are told while there are events without a pause, and while there
are so many that as many are sent at once: each state costs as much as an event."""


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
    recall = RECALL_SECONDS

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
        self._states = _States()

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

    @property
    def unacknowledged(self) -> int | None:
        """See `Broker`: the first message after which the state of its identity is not told yet."""
        return self._states.first

    def send(self, messages: Sequence[Message], more: More | None = None) -> None:
        """See `Broker`. The newest states of their identities are told now and then between them."""
        on_way: deque[bool] = deque()  # whether it is an event

        def publications(events: Sequence[Message]) -> list[Publication]:
            found = [self._event(message) for message in events]
            on_way.extend([True] * len(found))
            if self._states.due(_STATES_BUSY if len(events) >= _BUSY else _STATES_EVERY):
                states = self._states.take()
                found += map(self._state, states)
                on_way.extend([False] * len(states))
            return found

        def confirmed(count: int) -> int:
            taken = [on_way.popleft() for _ in range(count)]
            events = sum(taken)
            self._states.confirmed(count - events)
            return events

        def following(count: int) -> list[Publication]:
            events = confirmed(count)
            return publications(() if more is None else more(events))

        try:
            self._connection.publish(publications(messages), following)
        except BrokerError as error:
            error.delivered = confirmed(error.delivered)
            self._states.failed()
            raise

    def _event(self, message: Message) -> Publication:
        if (
            message.subject.startswith("identity/")
            and message.type.startswith("streamreid.identity.")
            and not _told_of_other(message.body)
        ):
            self._states.add(message)
        return Publication(self._topic(message.subject), message.body, CONTENT_TYPE)

    def _state(self, state: tuple[str, bytes]) -> Publication:
        subject, body = state
        topic, expiry = f"{self._base}/{subject}", int(self._config.state_expiry)
        return Publication(topic, identity_state(body), "application/json", expiry, retain=True)

    def _topic(self, subject: str) -> str:
        kind, _, name = subject.partition("/")
        return f"{self._base}/event/{kind}/{topic_part(name)}" if name else f"{self._base}/event/{kind}"

    # ---------------------------------------------------------------- states

    def idle(self) -> None:
        """See `Broker`. Tells states of places that changed."""
        self._connection.check()
        self._tell_states()
        self._tell_places()

    def _tell_states(self) -> None:
        """Tell the newest states of identities; where that fails, they wait for the next connection."""
        states = self._states.take()
        try:
            self._connection.publish([self._state(state) for state in states])
        except BrokerError as error:
            error.delivered = 0  # events
            self._states.failed()
            raise
        self._states.confirmed(len(states))

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


class _States:
    """Events whose identities have a new state: the newest of each identity, until the broker has its state."""

    def __init__(self) -> None:
        self._new: dict[str, Message] = {}
        self._on_way: dict[str, Message] = {}
        self._left = 0
        self._told = 0.0
        self._first_new: int | None = None
        self._first_on_way: int | None = None

    @property
    def first(self) -> int | None:
        """Number of the first message whose state the broker does not have."""
        return self._first_new if self._first_on_way is None else self._first_on_way

    def add(self, message: Message) -> None:
        """An event was sent."""
        self._new[message.subject] = message
        if self._first_new is None:
            self._first_new = message.sequence

    def due(self, every: float) -> bool:
        """Whether it is time to tell states, which is so often (seconds)."""
        return bool(self._new) and not self._left and time.monotonic() - self._told >= every

    def take(self) -> list[tuple[str, bytes]]:
        """Subjects and events whose states are told now."""
        self._told = time.monotonic()
        self._on_way, self._first_on_way = self._new, self._first_new
        self._new, self._first_new = {}, None
        self._left = len(self._on_way)
        return [(subject, message.body) for subject, message in self._on_way.items()]

    def confirmed(self, count: int) -> None:
        """The broker has so many states more."""
        self._left -= count
        if not self._left:
            self._on_way, self._first_on_way = {}, None

    def failed(self) -> None:
        """The connection is lost: what was on the way is told again."""
        self._new = self._on_way | self._new
        self._first_new = self.first
        self._on_way, self._first_on_way, self._left = {}, None, 0


def _told_of_other(body: bytes) -> bool:
    """Whether an event says what left an identity, and so nothing of what that identity is now."""
    if b'"other_id":null' in body:
        return False
    data = json.loads(body)["data"]
    return data["identity"] != data["global_id"] and data["replaced_by"] is None


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
