"""MQTT with awscrt, whose protocol, window and sockets are C: three times the rate of a client in Python.

It speaks MQTT 5 with quality of service 1. Encrypted connections are not made with it: where a certificate is not
trusted, it waits for up to half a minute (s2n's blinding), and then does not say why.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoResult
from contextlib import suppress
from typing import Any

from streamreid.config.messages import MqttConfig
from streamreid.messages.brokers.base import CONNECT_SECONDS, PATIENCE_SECONDS, wait_for
from streamreid.messages.brokers.mqtt_connection import (
    KEEPALIVE_SECONDS,
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
        from awscrt import mqtt5

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
        from awscrt import mqtt5

        user, password = mqtt_login(self._config)
        return mqtt5.ConnectPacket(
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

    @staticmethod
    def _packet(publication: Publication) -> Any:
        from awscrt import mqtt5

        topic, payload, content_type, expiry, retain = publication
        return mqtt5.PublishPacket(
            payload=payload,
            qos=mqtt5.QoS.AT_LEAST_ONCE,
            retain=retain,
            topic=topic,
            message_expiry_interval_sec=expiry,
            content_type=content_type,
        )

    def publish(self, publications: Sequence[Publication]) -> None:
        """See `MqttConnection`."""
        self.check()
        publish, packet = self._client.publish, self._packet
        waiting: list[Future[Any]] = [publish(packet(publication)) for publication in publications]
        self._wait(waiting)
        for delivered, future in enumerate(waiting):
            if not future.done():
                raise BrokerError(self._lost or "the broker confirms nothing", delivered=delivered)
            if (failure := future.exception()) is not None:
                raise BrokerError(self._lost or f"the connection is lost: {_reason(failure)}", delivered=delivered)
            if (puback := future.result().puback) is not None and int(puback.reason_code) >= _FIRST_FAILURE:
                why = puback.reason_string or _words(puback.reason_code)
                raise publish_refused(publications, delivered, why)

    def _wait(self, waiting: Sequence[Future[Any]]) -> None:
        """Wait until all are confirmed, the connection is lost, or nothing is confirmed for long."""
        first = 0

        def confirmed() -> int:
            nonlocal first
            while first < len(waiting) and waiting[first].done():
                first += 1
            return first

        def pause(seconds: float) -> None:
            with suppress(NoResult):
                waiting[-1].exception(seconds)  # mostly the last one that is confirmed

        wait_for(lambda: confirmed() == len(waiting) or self._lost is not None, confirmed, pause)

    def check(self) -> None:
        """See `MqttConnection`."""
        if self._client is None or self._lost is not None:
            raise BrokerError(self._lost or "the connection is lost: closed")

    def close(self) -> None:
        """See `MqttConnection`."""
        from awscrt import mqtt5

        client, self._client = self._client, None
        if client is None:
            return
        client.stop(mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.NORMAL_DISCONNECTION))
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
