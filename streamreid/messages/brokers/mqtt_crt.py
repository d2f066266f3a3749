"""MQTT with awscrt, whose protocol, window and sockets are C: three times the rate of a client in Python.

It speaks MQTT 5 with quality of service 1. Encrypted connections are not made with it: where a certificate is not
trusted, it waits for up to half a minute (s2n's blinding), and then does not say why.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoResult
from contextlib import suppress
from functools import cached_property
from typing import Any

from streamreid.config.messages import MqttConfig
from streamreid.messages.brokers.base import CONNECT_SECONDS, PATIENCE_SECONDS, wait_for
from streamreid.messages.brokers.mqtt_connection import (
    KEEPALIVE_SECONDS,
    MoreToPublish,
    Publication,
    mqtt_login,
    publish_refused,
)
from streamreid.messages.delivery import BrokerError

__all__ = ["CrtConnection"]

_NO_RETRY_MS = 3_600_000
"""Milliseconds until awscrt would connect again by itself: `Delivery` does that, and stops this client long before."""

_FIRST_FAILURE = 128
"""MQTT 5: reason codes from here on are failures (https://docs.oasis-open.org/mqtt/mqtt/v5.0, 2.4)."""

_GOODBYE_SECONDS = 1.0
"""Longest wait for the end of a connection, so that the broker gets the goodbye before this process ends."""


_AHEAD = 500
"""Publications that are still on the way when more are asked for: the broker never waits for this side."""

_OnWay = tuple[str, "Future[Any]"]
"""A topic, and what tells of the confirmation."""


class CrtConnection:
    """See `MqttConnection`.

    Args:
        config: The section.
    """

    def __init__(self, config: MqttConfig) -> None:
        self._config = config
        self._where = f"{config.host}:{config.port}"
        self._client: Any = None
        self._answered = threading.Event()
        self._stopped = threading.Event()
        self._lost: str | None = None

    def open(self, client_id: str, will: Publication | None) -> None:
        """See `MqttConnection`."""
        mqtt5 = self._mqtt5
        self._answered.clear()
        self._stopped.clear()
        self._lost = None
        queue = mqtt5.ClientOperationQueueBehaviorType.FAIL_ALL_ON_DISCONNECT
        options = mqtt5.ClientOptions(
            host_name=self._config.host,
            port=self._config.port,
            connect_options=self._connect_packet(client_id, will),
            session_behavior=mqtt5.ClientSessionBehaviorType.CLEAN,
            offline_queue_behavior=queue,
            min_reconnect_delay_ms=_NO_RETRY_MS,
            max_reconnect_delay_ms=_NO_RETRY_MS,
            connack_timeout_ms=int(1000 * CONNECT_SECONDS),
            ping_timeout_ms=int(1000 * PATIENCE_SECONDS),
            disable_metrics=True,  # otherwise the name of the user would get a suffix
            on_lifecycle_event_connection_success_fn=lambda _: self._answered.set(),
            on_lifecycle_event_connection_failure_fn=self._on_failure,
            on_lifecycle_event_disconnection_fn=self._on_disconnection,
            on_lifecycle_event_stopped_fn=lambda _: self._stopped.set(),
        )
        self._client = mqtt5.Client(options)
        self._client.start()
        if not self._answered.wait(2 * CONNECT_SECONDS):
            self._lost = f"{self._where} does not answer"
        if self._lost is not None:
            raise BrokerError(self._lost)

    def _connect_packet(self, client_id: str, will: Publication | None) -> Any:
        user, password = mqtt_login(self._config)
        return self._mqtt5.ConnectPacket(
            client_id=client_id,
            keep_alive_interval_sec=KEEPALIVE_SECONDS,
            username=user,
            password=password,
            will=None if will is None else self._packet(will),
        )

    # ---------------------------------------------------------------- called by awscrt's thread

    def _on_failure(self, data: Any) -> None:
        if data.connack_packet is not None:
            why = data.connack_packet.reason_string or _words(data.connack_packet.reason_code)
            self._lost = f"{self._where} refuses the connection: {why}"
        else:
            self._lost = f"cannot connect to {self._where}: {_reason(data.exception)}"
        self._answered.set()

    def _on_disconnection(self, data: Any) -> None:
        packet = data.disconnect_packet
        why = _reason(data.exception) if packet is None else packet.reason_string or _words(packet.reason_code)
        self._lost = f"the connection is lost: {why}"

    # ---------------------------------------------------------------- messages

    @cached_property
    def _mqtt5(self) -> Any:
        from awscrt import mqtt5

        return mqtt5

    def _packet(self, publication: Publication) -> Any:
        topic, payload, content_type, expiry, retain = publication
        return self._mqtt5.PublishPacket(
            payload=payload,
            qos=self._mqtt5.QoS.AT_LEAST_ONCE,
            retain=retain,
            topic=topic,
            message_expiry_interval_sec=expiry,
            content_type=content_type,
        )

    def publish(self, publications: Sequence[Publication], more: MoreToPublish | None = None) -> None:
        """See `MqttConnection`."""
        self.check()
        publish, packet = self._client.publish, self._packet
        on_way: deque[_OnWay] = deque((p.topic, publish(packet(p))) for p in publications)
        while on_way:
            self._wait(on_way)
            delivered = self._take_confirmed(on_way)
            if more is not None:
                on_way.extend((p.topic, publish(packet(p))) for p in more(delivered))

    def _wait(self, on_way: Sequence[_OnWay]) -> None:
        """Wait until about half of what fits on the way is confirmed; where little is on the way, all of it."""
        goal = on_way[max(len(on_way) - _AHEAD, 0) or -1][1]

        def pause(seconds: float) -> None:
            with suppress(NoResult):
                goal.exception(seconds)

        def confirmed() -> int:
            return next((i for i, (_, future) in enumerate(on_way) if not future.done()), len(on_way))

        wait_for(lambda: (goal.done() and on_way[0][1].done()) or self._lost is not None, confirmed, pause)

    def _take_confirmed(self, on_way: deque[_OnWay]) -> int:
        """Take what is confirmed from the beginning; how many that is.

        Raises:
            BrokerError: The next one is refused, or is not confirmed because the connection is lost or nothing came.
        """
        delivered = 0
        while on_way and on_way[0][1].done():
            topic, future = on_way[0]
            if (failure := future.exception()) is not None:
                raise BrokerError(self._lost or f"the connection is lost: {_reason(failure)}", delivered=delivered)
            if (puback := future.result().puback) is not None and int(puback.reason_code) >= _FIRST_FAILURE:
                raise publish_refused(topic, delivered, puback.reason_string or _words(puback.reason_code))
            on_way.popleft()
            delivered += 1
        if on_way and (self._lost is not None or not delivered):
            raise BrokerError(self._lost or "the broker confirms nothing", delivered=delivered)
        return delivered

    def check(self) -> None:
        """See `MqttConnection`."""
        if self._client is None or self._lost is not None:
            raise BrokerError(self._lost or "the connection is lost: closed")

    def close(self) -> None:
        """See `MqttConnection`."""
        client, self._client = self._client, None
        if client is None:
            return
        reason = self._mqtt5.DisconnectReasonCode.NORMAL_DISCONNECTION
        client.stop(self._mqtt5.DisconnectPacket(reason_code=reason))
        self._stopped.wait(_GOODBYE_SECONDS)


def _words(code: Any) -> str:
    """A reason code in words: ``NOT_AUTHORIZED`` is ``Not authorized``."""
    return str(getattr(code, "name", code)).replace("_", " ").capitalize()


def _reason(error: Any) -> str:
    """An error of awscrt in words."""
    name = getattr(error, "name", "")
    if name == "AWS_IO_SOCKET_CONNECTION_REFUSED":
        return "connection refused; is the broker running?"
    if name == "AWS_ERROR_MQTT5_CONNACK_TIMEOUT":
        return "it does not answer as an MQTT broker"
    if name in ("AWS_IO_SOCKET_CLOSED", "AWS_ERROR_MQTT_UNEXPECTED_HANGUP"):
        return "closed by the broker"
    if name.startswith("AWS_IO_DNS"):
        return "no host of this name is known"
    return str(getattr(error, "message", "") or error)
