"""Kafka with librdkafka: idempotent producer, keyed by what a message is about, so that order is kept per identity."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from streamreid.config.messages import KafkaConfig
from streamreid.messages.brokers.base import CONNECT_SECONDS, describe, need, wait_for
from streamreid.messages.delivery import BrokerError, MessageRefused, More
from streamreid.messages.envelope import CONTENT_TYPE, Message

__all__ = ["KafkaBroker"]

_HEADERS = [("content-type", CONTENT_TYPE.encode())]


class KafkaBroker:
    """Connects with confluent-kafka.

    librdkafka tries a message again without end (``message.timeout.ms`` is 0) and keeps the order while it does; here
    only a batch of which nothing is confirmed for long is taken back and sent anew.

    Args:
        config: The section.
        settings: Further settings of librdkafka.

    Raises:
        MissingExtraError: confluent-kafka is not installed.
    """

    name = "kafka"
    unacknowledged = None
    recall = 0.0
    batch = 5000

    def __init__(self, config: KafkaConfig, settings: dict[str, Any] | None = None) -> None:
        need("confluent_kafka", "Sending messages to Kafka")
        self._config = config
        self._settings = settings or {}
        self._producer: Any = None
        self._problem: str | None = None

    @cached_property
    def _kafka(self) -> Any:
        import confluent_kafka

        return confluent_kafka

    def open(self) -> None:
        """See `Broker`."""
        self._problem = None
        try:
            self._producer = self._kafka.Producer(self._librdkafka())
            self._producer.list_topics(self._config.topic, timeout=CONNECT_SECONDS)
        except self._kafka.KafkaException as error:
            why = self._problem or self._words(error.args[0])
            raise BrokerError(f"cannot connect to {self._config.servers}: {why}") from None

    def _librdkafka(self) -> dict[str, Any]:
        config, tls = self._config, self._config.tls
        settings: dict[str, Any] = {
            "bootstrap.servers": config.servers,
            "client.id": "streamreid",
            "enable.idempotence": True,
            "message.timeout.ms": 0,
            "linger.ms": 2,
            "queue.buffering.max.messages": 2 * self.batch,
            "reconnect.backoff.max.ms": 2000,
            "socket.connection.setup.timeout.ms": int(1000 * CONNECT_SECONDS),
            "error_cb": self._on_error,
            "logger": _quiet(),
        }
        if config.user is not None:
            settings |= {
                "sasl.mechanism": config.mechanism,
                "sasl.username": config.user,
                "sasl.password": config.password.get_secret_value() if config.password else "",
            }
        protocol = ("SASL_" if config.user is not None else "") + ("SSL" if config.encrypted else "PLAINTEXT")
        settings["security.protocol"] = protocol
        files = {
            "ssl.ca.location": tls.ca,
            "ssl.certificate.location": tls.certificate,
            "ssl.key.location": tls.key,
        }
        if config.encrypted:
            settings |= {key: value for key, value in files.items() if value is not None}
        return {**settings, **self._settings}

    def _on_error(self, error: Any) -> None:
        self._problem = self._words(error)

    def _words(self, error: Any) -> str:
        text = describe(error if isinstance(error, BaseException) else Exception(error.str()))
        code = error.code() if hasattr(error, "code") else None
        if code == self._kafka.KafkaError._AUTHENTICATION:
            return f"user or password are refused ({text})"
        if code in (self._kafka.KafkaError._ALL_BROKERS_DOWN, self._kafka.KafkaError._TRANSPORT):
            return f"no broker answers ({text})"
        return text

    def check(self) -> None:
        """See `Broker`: whoever is logged in is let in."""

    def send(self, messages: Sequence[Message], more: More | None = None) -> None:
        """See `Broker`."""
        producer, topic = self._producer, self._config.topic
        failed: dict[int, Any] = {}
        confirmed = 0
        open_ = set(range(len(messages)))

        def reported(index: int) -> Any:
            def report(error: Any, _: Any) -> None:
                nonlocal confirmed
                open_.discard(index)
                if error is not None:
                    failed[index] = error
                else:
                    confirmed += 1

            return report

        for index, message in enumerate(messages):
            producer.produce(topic, message.body, key=message.subject, headers=_HEADERS, on_delivery=reported(index))
            if index % 500 == 499:
                producer.poll(0)
        self._problem = None
        wait_for(lambda: not open_ or bool(failed), lambda: confirmed, producer.poll)
        if not open_ and not failed:
            self._problem = None  # whatever there was, it is over
            return
        first = min([*open_, *failed])
        error = failed.get(first)
        self.close()
        if error is not None and error.code() in (
            self._kafka.KafkaError.MSG_SIZE_TOO_LARGE,
            self._kafka.KafkaError.INVALID_MSG,
        ):
            raise MessageRefused(f"the broker refuses it: {self._words(error)}", delivered=first)
        why = self._words(error) if error is not None else self._problem or "the broker confirms nothing"
        raise BrokerError(f"{self._config.servers}: {why}", delivered=first)

    def idle(self) -> None:
        """See `Broker`."""
        if self._producer is None:
            raise BrokerError(f"{self._config.servers}: the connection is lost")
        self._producer.poll(0)
        if self._problem is not None:
            raise BrokerError(f"{self._config.servers}: {self._problem}")

    def close(self, *, goodbye: bool = False) -> None:
        """See `Broker`."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            producer.purge(in_queue=True, in_flight=True, blocking=True)
            producer.poll(0)
        except Exception:  # noqa: S110 - it is gone either way
            pass


def _quiet() -> Any:
    import logging

    logger = logging.getLogger("streamreid.messages.librdkafka")
    logger.propagate = False  # it tells addresses and reasons again and again; errors come by error_cb
    logger.addHandler(logging.NullHandler())
    return logger
