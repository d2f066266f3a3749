"""Redis streams: one entry per message, in one stream."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from streamreid.config.messages import RedisConfig
from streamreid.messages.brokers.base import CONNECT_SECONDS, PATIENCE_SECONDS, RECALL_SECONDS, describe, need
from streamreid.messages.delivery import BrokerError, More
from streamreid.messages.envelope import Message

__all__ = ["RedisBroker"]


class RedisBroker:
    """Connects with redis-py. An entry has the fields ``id``, ``type``, ``subject`` and ``event`` (the CloudEvent).

    A batch is one transaction: Redis takes all of it or nothing, so that order is kept.

    Args:
        config: The section.

    Raises:
        MissingExtraError: redis is not installed.
    """

    name = "redis"
    unacknowledged = None
    recall = RECALL_SECONDS
    batch = 1000

    def __init__(self, config: RedisConfig) -> None:
        need("redis", "Sending messages to Redis")
        self._config = config
        self._client: Any = None

    @cached_property
    def _redis(self) -> Any:
        import redis

        return redis

    def open(self) -> None:
        """See `Broker`."""
        config = self._config
        where = f"{config.host}:{config.port}"
        options: dict[str, Any] = {
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": PATIENCE_SECONDS,
            "health_check_interval": 0,
            "retry": None,
            "client_name": "streamreid",
        }
        if config.user is not None:
            options["username"] = config.user
        if config.password is not None:
            options["password"] = config.password.get_secret_value()
        if config.scheme == "rediss":
            tls = config.tls
            options |= {"ssl_ca_certs": tls.ca, "ssl_certfile": tls.certificate, "ssl_keyfile": tls.key}
        try:
            self._client = self._redis.Redis.from_url(config.address, **options)
            self._client.ping()
            kind = self._client.type(config.stream)
        except Exception as error:
            raise BrokerError(f"cannot use {where}: {self._words(error)}") from None
        if kind not in (b"none", b"stream"):
            raise BrokerError(
                f"{where}: the key '{config.stream}' holds a {kind.decode()}; choose another (messages.redis.stream)"
            )

    def _words(self, error: BaseException) -> str:
        text = describe(error)
        if isinstance(error, self._redis.AuthenticationError):
            return f"user or password are refused ({text})"
        return text

    def check(self) -> None:
        """See `Broker`: whoever is logged in is let in."""

    def send(self, messages: Sequence[Message], more: More | None = None) -> None:
        """See `Broker`."""
        config = self._config
        pipeline = self._client.pipeline(transaction=True)
        bound = ("MAXLEN", "~", config.max_length) if config.max_length is not None else ()
        for m in messages:
            pipeline.execute_command(
                "XADD", config.stream, *bound, "*", "id", m.id, "type", m.type, "subject", m.subject, "event", m.body
            )
        try:
            pipeline.execute()
        except Exception as error:
            raise BrokerError(f"{config.host}:{config.port}: {self._words(error)}") from None

    def idle(self) -> None:
        """See `Broker`."""
        try:
            self._client.ping()
        except Exception as error:
            raise BrokerError(f"{self._config.host}:{self._config.port}: {self._words(error)}") from None

    def close(self, *, goodbye: bool = False) -> None:
        """See `Broker`."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):  # it is gone either way
                client.close()
