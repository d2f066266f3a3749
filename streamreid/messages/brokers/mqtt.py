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

import json
import select
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from streamreid.addresses import split_address
from streamreid.config.messages import MqttConfig
from streamreid.messages.brokers.base import CONNECT_SECONDS, PATIENCE_SECONDS, describe, need, tls_context
from streamreid.messages.delivery import BrokerError
from streamreid.messages.envelope import CONTENT_TYPE, Message
from streamreid.messages.home_assistant import discovery
from streamreid.messages.places_board import PlacesBoard, topic_part

__all__ = ["MqttBroker"]

_IN_FLIGHT = 1000
"""Unconfirmed messages at most, where the broker allows as many."""

_STATES_EVERY = 0.25
"""Seconds between two times that states of identities are told while there are events without a pause."""

_KEEPALIVE = 30
"""Seconds after which the broker notices that this program is gone, and tells the last will."""


class MqttBroker:
    """Connects with paho-mqtt, whose loop runs here and not in a thread of its own: that doubles the rate.

    Args:
        config: The section.
        site: Name of the site.
        board: Newest state of every place; None where none is told.
        trial: Only connect: tell nothing, and disturb no run of the same site.

    Raises:
        MissingExtraError: paho-mqtt is not installed.
    """

    name = "mqtt"
    batch = 1000
    unacknowledged: int | None = None

    def __init__(self, config: MqttConfig, site: str, board: PlacesBoard | None = None, *, trial: bool = False) -> None:
        need("paho", "Sending messages by MQTT")
        self._config = config
        self._trial = trial
        self._site = site
        self._base = f"{config.topic}/{site}"
        self._board = board
        self._told: dict[str, bytes] = {}
        self._announced: set[tuple[str, str]] = set()
        self._client: Any = None
        self._window = _IN_FLIGHT
        self._states: dict[str, bytes] = {}
        self._states_told = 0.0
        self._missing: set[int] = set()
        self._answer: str | None = None
        self._lost: str | None = None
        self._refused: str | None = None

    def _packed(self, **values: Any) -> Any:
        """Properties of messages, put into bytes once; paho does that for every message."""
        properties = self._properties(self._packets.PUBLISH)
        for name, value in values.items():
            setattr(properties, name, value)
        packed = properties.pack()

        class Packed(self._properties):  # type: ignore[misc, name-defined]
            def pack(self) -> bytes:
                return bytes(packed)

        return Packed(self._packets.PUBLISH)

    @cached_property
    def _paho(self) -> Any:
        import paho.mqtt.client

        return paho.mqtt.client

    @cached_property
    def _properties(self) -> Any:
        import paho.mqtt.properties

        return paho.mqtt.properties.Properties

    @cached_property
    def _packets(self) -> Any:
        import paho.mqtt.packettypes

        return paho.mqtt.packettypes.PacketTypes

    @cached_property
    def _event_properties(self) -> Any:
        return self._packed(ContentType=CONTENT_TYPE)

    @cached_property
    def _expiring(self) -> Any:
        expiry = int(self._config.state_expiry)
        return self._packed(ContentType="application/json", MessageExpiryInterval=expiry)

    # ---------------------------------------------------------------- connection

    def open(self) -> None:
        """See `Broker`."""
        where = f"{self._config.host}:{self._config.port}"
        client = self._paho.Client(
            self._paho.CallbackAPIVersion.VERSION2,
            client_id="" if self._trial else f"streamreid-{self._site}",
            protocol=self._paho.MQTTv5,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_SECONDS
        client.max_inflight_messages_set(_IN_FLIGHT)
        self._log_in(client)
        if not self._trial:
            client.will_set(f"{self._base}/status", "offline", qos=1, retain=True)
        client.on_connect, client.on_disconnect, client.on_publish = self._on_connect, self._on_disconnect, self._on_ack
        if self._config.scheme == "mqtts":
            client.tls_set_context(tls_context(self._config.tls, where))
        self._answer = self._lost = self._refused = None
        self._told.clear()
        try:
            client.connect(self._config.host, self._config.port, keepalive=_KEEPALIVE, clean_start=True)
        except Exception as error:  # sockets, TLS, names
            raise BrokerError(f"cannot connect to {where}: {describe(error)}") from None
        self._client = client
        self._missing.clear()
        end = time.monotonic() + CONNECT_SECONDS
        while self._answer is None and self._lost is None and time.monotonic() < end:
            self._exchange(0.1)
        if self._answer is None and self._lost is None:
            raise BrokerError(f"{where} does not answer as an MQTT broker")
        if self._answer != "":
            raise BrokerError(f"{where} refuses the connection: {self._answer or self._lost}")
        if self._trial:
            return
        self._tell("status", b"online", expiry=None)
        if self._config.home_assistant:
            self._announce()

    def _log_in(self, client: Any) -> None:
        address = split_address(self._config.address)
        assert address is not None
        password = self._config.password.get_secret_value() if self._config.password else None
        user = self._config.user
        if address.user:
            from urllib.parse import unquote

            user, password = unquote(address.user), unquote(address.password) if address.password else None
        if user:
            client.username_pw_set(user, password)

    def _on_connect(self, _: Any, __: Any, ___: Any, reason: Any, properties: Any) -> None:
        # More unconfirmed messages than the broker allows would break the protocol; paho does not look at it.
        self._window = min(_IN_FLIGHT, int(getattr(properties, "ReceiveMaximum", _IN_FLIGHT)))
        self._answer = str(reason) if reason.is_failure else ""

    def _on_disconnect(self, _: Any, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        self._lost = "closed by the broker" if str(reason) == "Unspecified error" else str(reason)

    def _on_ack(self, _: Any, __: Any, mid: int, reason: Any, ___: Any) -> None:
        if reason.is_failure:
            self._refused = str(reason)
        else:
            self._missing.discard(mid)

    def _exchange(self, seconds: float) -> None:
        """Read and write what there is, waiting for so long at most until something comes."""
        client = self._client
        connection = client.socket()
        if connection is None:
            self._lost = self._lost or "closed"
            return
        writing = [connection] if client.want_write() else []
        pending = getattr(connection, "pending", None)  # of TLS: read already, so that nothing more may come
        if not (pending and pending()):
            readable, writable, _ = select.select([connection], writing, [], seconds)
        else:
            readable, writable = [connection], writing
        if readable:
            client.loop_read()
        if writable:
            client.loop_write()
        client.loop_misc()

    def close(self, *, goodbye: bool = False) -> None:
        """See `Broker`."""
        client = self._client
        if client is None:
            return
        with suppress(Exception):  # it is gone either way
            if goodbye and self._lost is None:
                self._tell_places()
                self._wait([self._publish(f"{self._base}/status", b"offline", None, retain=True)])
                client.disconnect()
                self._exchange(0.0)
        self._client = None
        with suppress(Exception):
            if (connection := client.socket()) is not None:
                connection.close()

    # ---------------------------------------------------------------- messages

    def check(self) -> None:
        """See `Broker`: whoever is logged in is let in."""

    def send(self, messages: Sequence[Message]) -> None:
        """See `Broker`. The newest states of their identities are told a few times a second."""
        mids: list[int] = []
        for message in messages:
            topic = f"{self._base}/event/{'/'.join(map(topic_part, message.subject.split('/', 1)))}"
            mids.append(self._publish(topic, message.body, self._event_properties))
            if message.subject.startswith("identity/") and message.type.startswith("streamreid.identity."):
                self._states[message.subject] = message.body
                self.unacknowledged = self.unacknowledged or message.sequence
            while len(self._missing) >= self._window:
                self._progress(mids)
        self._wait(mids)
        if time.monotonic() - self._states_told >= _STATES_EVERY:
            self._tell_states()

    def _tell_states(self) -> None:
        """Tell the newest states of identities; where that fails, they wait for the next connection."""
        self._states_told = time.monotonic()
        self._publish_all(
            {f"{self._base}/{subject}": identity_state(body) for subject, body in self._states.items()},
            self._expiring,
        )
        self._states.clear()
        self.unacknowledged = None

    def _publish_all(self, retained: dict[str, bytes], properties: Any) -> None:
        mids: list[int] = []
        for topic, payload in retained.items():
            mids.append(self._publish(topic, payload, properties, retain=True))
            while len(self._missing) >= self._window:
                self._progress(mids)
        self._wait(mids)

    def _publish(self, topic: str, payload: bytes, properties: Any, *, retain: bool = False) -> int:
        if self._client is None or self._lost is not None:
            raise BrokerError(f"the connection is lost: {self._lost}")
        info = self._client.publish(topic, payload, qos=self._config.qos, retain=retain, properties=properties)
        self._missing.add(info.mid)
        return int(info.mid)

    def _wait(self, mids: Sequence[int]) -> None:
        """Wait until all that was published is confirmed.

        Raises:
            BrokerError: Something is not; those of ``mids`` from the beginning on that were are counted.
        """
        while self._missing:
            self._progress(mids)

    def _progress(self, mids: Sequence[int]) -> None:
        """Wait until something more is confirmed.

        Raises:
            BrokerError: Nothing is; those of ``mids`` from the beginning on that were are counted.
        """
        before, end = len(self._missing), time.monotonic() + PATIENCE_SECONDS
        while len(self._missing) >= before:
            self._exchange(0.1)
            if self._lost is not None or self._refused is not None or time.monotonic() > end:
                break
        else:
            return
        delivered = next((i for i, mid in enumerate(mids) if mid in self._missing), len(mids))
        if self._refused is not None:
            why, self._refused = self._refused, None
            advice = "; let the user publish there" if "authorized" in why.lower() else ""
            raise BrokerError(
                f"the broker does not take messages under {self._base}/: {why}{advice}", delivered=delivered
            )
        reason = f"the connection is lost: {self._lost}" if self._lost else "the broker confirms nothing"
        raise BrokerError(reason, delivered=delivered)

    # ---------------------------------------------------------------- states

    def idle(self) -> None:
        """See `Broker`. Tells states of places that changed."""
        self._exchange(0.0)
        if self._lost is not None:
            raise BrokerError(f"the connection is lost: {self._lost}")
        if self._states:
            self._tell_states()
        self._tell_places()

    def _tell_places(self) -> None:
        if self._board is not None:
            if self._config.home_assistant and self._board.kinds() != self._announced:
                self._announce()
            for place, state in self._board.states().items():
                self._tell(f"place/{topic_part(place)}", json.dumps(state, separators=(",", ":")).encode(), expiry=None)

    def _tell(self, topic: str, payload: bytes, *, expiry: float | None) -> None:
        """A retained state, where it changed."""
        if self._told.get(topic) == payload:
            return
        properties = self._properties(self._packets.PUBLISH)
        if expiry is not None:
            properties.MessageExpiryInterval = int(expiry)
        mid = self._publish(f"{self._base}/{topic}", payload, properties, retain=True)
        self._wait([mid])
        self._told[topic] = payload

    def _announce(self) -> None:
        """Tell Home Assistant which sensors there are."""
        places = {} if self._board is None else self._board.states()
        self._announced = set() if self._board is None else self._board.kinds()
        properties = self._properties(self._packets.PUBLISH)
        told = discovery(self._config.discovery_topic, self._base, self._site, places)
        self._publish_all({t: json.dumps(c, ensure_ascii=False).encode() for t, c in told.items()}, properties)


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
