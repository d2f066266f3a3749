"""MQTT with paho-mqtt: Python alone, with every quality of service; for what awscrt does not do or where there is none.

paho's loop runs here and not in a thread of its own: that doubles the rate.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from typing import Any

from streamreid.config.messages import MqttConfig
from streamreid.messages.brokers.base import CONNECT_SECONDS, PATIENCE_SECONDS, describe, tls_context
from streamreid.messages.brokers.mqtt_connection import (
    KEEPALIVE_SECONDS,
    MoreToPublish,
    Publication,
    mqtt_login,
    publish_refused,
)
from streamreid.messages.delivery import BrokerError

__all__ = ["PahoConnection"]

_IN_FLIGHT = 1000
"""Unconfirmed messages at most, where the broker allows as many."""


class PahoConnection:
    """See `MqttConnection`.

    Args:
        config: The section.
    """

    def __init__(self, config: MqttConfig) -> None:
        self._config = config
        self._where = f"{config.host}:{config.port}"
        self._client: Any = None
        self._window = _IN_FLIGHT
        self._missing: set[int] = set()
        self._answer: str | None = None
        self._lost: str | None = None
        self._refused: str | None = None

    # ---------------------------------------------------------------- connection

    def open(self, client_id: str, will: Publication | None) -> None:
        """See `MqttConnection`."""
        client = self._make(client_id, will)
        self._answer = self._lost = self._refused = None
        try:
            client.connect(self._config.host, self._config.port, keepalive=KEEPALIVE_SECONDS, clean_start=True)
        except Exception as error:  # sockets, TLS, names
            raise BrokerError(f"cannot connect to {self._where}: {describe(error)}") from None
        self._client = client
        self._missing.clear()
        end = time.monotonic() + CONNECT_SECONDS
        while self._answer is None and self._lost is None and time.monotonic() < end:
            self._exchange(0.1)
        if self._answer is None and self._lost is None:
            raise BrokerError(f"{self._where} does not answer as an MQTT broker")
        if self._answer != "":
            raise BrokerError(f"{self._where} refuses the connection: {self._answer or self._lost}")

    def _make(self, client_id: str, will: Publication | None) -> Any:
        paho: Any = import_module("paho.mqtt.client")
        client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_SECONDS
        client.max_inflight_messages_set(_IN_FLIGHT)
        user, password = mqtt_login(self._config)
        if user:
            client.username_pw_set(user, password)
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        client.on_connect, client.on_disconnect, client.on_publish = self._on_connect, self._on_disconnect, self._on_ack
        if self._config.scheme == "mqtts":
            client.tls_set_context(tls_context(self._config.tls, self._where))
        return client

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

    def check(self) -> None:
        """See `MqttConnection`."""
        if self._client is not None:
            self._exchange(0.0)
        if self._client is None or self._lost is not None:
            raise BrokerError(f"the connection is lost: {self._lost}")

    def close(self) -> None:
        """See `MqttConnection`."""
        client, self._client = self._client, None
        if client is None:
            return
        with suppress(Exception):  # it is gone either way
            if self._lost is None:
                client.disconnect()
        with suppress(Exception):
            if (connection := client.socket()) is not None:
                connection.close()

    # ---------------------------------------------------------------- messages

    def publish(self, publications: Sequence[Publication], more: MoreToPublish | None = None) -> None:
        """See `MqttConnection`."""
        waiting, on_way = deque(publications), deque[tuple[str, int]]()
        while waiting or on_way:
            while waiting and len(self._missing) < self._window and self._client is not None and self._lost is None:
                topic, payload, content_type, expiry, retain = waiting.popleft()
                properties = _properties(content_type, expiry)
                info = self._client.publish(topic, payload, qos=self._config.qos, retain=retain, properties=properties)
                self._missing.add(info.mid)
                on_way.append((topic, info.mid))
            delivered = self._progress(on_way)
            if more is not None:
                waiting.extend(more(delivered))

    def _progress(self, on_way: deque[tuple[str, int]]) -> int:
        """Wait until something more is confirmed, and take it from the beginning; how many that is.

        Raises:
            BrokerError: Nothing is.
        """
        before, end, failed = len(self._missing), time.monotonic() + PATIENCE_SECONDS, False
        while len(self._missing) >= before and not failed:
            self._exchange(0.1)
            failed = self._lost is not None or self._refused is not None or time.monotonic() > end
        delivered = 0
        while on_way and on_way[0][1] not in self._missing:
            on_way.popleft()
            delivered += 1
        if failed:
            raise self._failure(on_way[0][0] if on_way else "", delivered)
        return delivered

    def _failure(self, topic: str, delivered: int) -> BrokerError:
        if self._refused is not None:
            why, self._refused = self._refused, None
            return publish_refused(topic, delivered, why)
        reason = f"the connection is lost: {self._lost}" if self._lost else "the broker confirms nothing"
        return BrokerError(reason, delivered=delivered)


@lru_cache(maxsize=16)
def _properties(content_type: str | None, expiry: int | None) -> Any:
    """Properties of publications, put into bytes once; paho does that for every one."""
    kind = import_module("paho.mqtt.packettypes").PacketTypes.PUBLISH
    made_of: Any = import_module("paho.mqtt.properties").Properties
    properties = made_of(kind)
    if content_type is not None:
        properties.ContentType = content_type
    if expiry is not None:
        properties.MessageExpiryInterval = expiry
    packed = bytes(properties.pack())

    class Packed(made_of):  # type: ignore[misc]
        def pack(self) -> bytes:
            return packed

    return Packed(kind)
