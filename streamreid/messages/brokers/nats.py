"""NATS JetStream: subjects ``SUBJECT.SITE.identity.17``; the message id is told, so that the server drops what comes
twice within its window."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, TypeVar

from streamreid._threads import Thread
from streamreid.config.messages import NatsConfig
from streamreid.messages.brokers.base import (
    CONNECT_SECONDS,
    PATIENCE_SECONDS,
    RECALL_SECONDS,
    describe,
    need,
    tls_context,
)
from streamreid.messages.delivery import BrokerError, More
from streamreid.messages.envelope import CONTENT_TYPE, Message
from streamreid.messages.places_board import topic_part

__all__ = ["NatsBroker"]

_T = TypeVar("_T")

_RESERVED = r"/.*>\x00\s%"
"""What a token of a subject cannot hold."""


class NatsBroker:
    """Connects with nats-py, whose event loop runs in a thread of its own.

    Args:
        config: The section.
        site: Name of the site.

    Raises:
        MissingExtraError: nats-py is not installed.
    """

    name = "nats"
    unacknowledged = None
    recall = RECALL_SECONDS
    batch = 1000

    def __init__(self, config: NatsConfig, site: str) -> None:
        need("nats", "Sending messages to NATS")
        self._config = config
        self._prefix = f"{config.subject}.{site}."
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._connection: Any = None
        self._stream: Any = None
        self._problem: str | None = None

    @cached_property
    def _nats(self) -> Any:
        import nats
        import nats.js.api
        import nats.js.errors

        return nats

    # ---------------------------------------------------------------- connection

    def open(self) -> None:
        """See `Broker`."""
        where = f"{self._config.host}:{self._config.port}"
        loop = self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=loop.run_forever, name="messages-nats-client", daemon=True)
        self._thread.start()
        self._problem = None
        options = self._options(where)
        try:
            self._call(self._connect(options), 3 * CONNECT_SECONDS)
        except BrokerError:
            raise
        except Exception as error:
            why = self._problem if not str(error).strip() or "no servers" in str(error) else None
            raise BrokerError(f"cannot use {where}: {why or self._words(error)}") from None

    def _options(self, where: str) -> dict[str, Any]:
        config = self._config
        scheme = "tls" if config.scheme == "tls" else "nats"
        from streamreid.addresses import split_address

        address = split_address(config.address)
        assert address is not None
        login = f"{address.user}{':' + address.password if address.password else ''}@" if address.user else ""
        host = f"[{config.host}]" if ":" in config.host else config.host  # IPv6
        options: dict[str, Any] = {
            "servers": [f"{scheme}://{login}{host}:{config.port}"],
            "allow_reconnect": False,
            "max_reconnect_attempts": 1,
            "reconnect_time_wait": 0.1,
            "connect_timeout": CONNECT_SECONDS,
            "error_cb": self._on_error,
            "name": "streamreid",
            "pending_size": 64 * 1024 * 1024,
            "user": config.user,
            "password": config.password.get_secret_value() if config.password else None,
            "token": config.token.get_secret_value() if config.token else None,
        }
        if scheme == "tls":
            options |= {"tls": tls_context(config.tls, where), "tls_hostname": config.host}
        return {key: value for key, value in options.items() if value is not None}

    async def _connect(self, options: dict[str, Any]) -> None:
        self._connection = await self._nats.connect(**options)
        self._stream = self._connection.jetstream(timeout=CONNECT_SECONDS, publish_async_max_pending=2 * self.batch)
        await self._ensure_stream()

    async def _ensure_stream(self) -> None:
        """A stream that takes the subjects: one that is there, else a new one."""
        errors = self._nats.js.errors
        subject = f"{self._config.subject}.>"
        try:
            await self._stream.find_stream_name_by_subject(subject)
            return
        except errors.NotFoundError:
            pass
        except errors.ServiceUnavailableError:
            raise BrokerError(
                f"{self._config.host}: JetStream is not switched on there (nats-server --jetstream)"
            ) from None
        await self._stream.add_stream(name=self._config.stream, subjects=[subject])

    async def _on_error(self, error: Exception) -> None:
        self._problem = self._words(error)

    def _words(self, error: BaseException) -> str:
        text = re.sub(r"^nats: ", "", describe(error)).strip("'\" ")
        if "authorization" in text.lower() or "authentication" in text.lower():
            return f"user, password or token are refused ({text})"
        if "permissions violation" in text.lower():
            return f"the user may not do that ({text})"
        return text

    def _call(self, work: Coroutine[Any, Any, _T], timeout: float) -> _T:
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    def close(self, *, goodbye: bool = False) -> None:
        """See `Broker`."""
        loop, thread, connection = self._loop, self._thread, self._connection
        self._loop = self._thread = self._connection = self._stream = None
        if loop is None:
            return

        async def end() -> None:
            if connection is not None:
                await connection.close()
            for task in asyncio.all_tasks():
                if task is not asyncio.current_task():
                    task.cancel()

        with suppress(Exception):  # it is gone either way
            asyncio.run_coroutine_threadsafe(end(), loop).result(2.0)
        loop.call_soon_threadsafe(loop.stop)
        if thread is not None:
            thread.join(2.0)
        if not loop.is_running():
            loop.close()

    # ---------------------------------------------------------------- messages

    def check(self) -> None:
        """See `Broker`: whoever is logged in is let in."""

    def send(self, messages: Sequence[Message], more: More | None = None) -> None:
        """See `Broker`."""
        where = f"{self._config.host}:{self._config.port}"
        try:
            delivered, error = self._call(self._publish(messages), 600.0)
        except Exception as failure:
            raise BrokerError(f"{where}: {self._words(failure)}") from None
        if error is not None:
            raise BrokerError(f"{where}: {self._problem or self._words(error)}", delivered=delivered)

    async def _publish(self, messages: Sequence[Message]) -> tuple[int, BaseException | None]:
        """How many were confirmed from the beginning on, and why the next one was not."""
        waiting: list[asyncio.Future[Any]] = []
        error: BaseException | None = None
        try:
            for message in messages:
                headers = {"Nats-Msg-Id": message.id, "Content-Type": CONTENT_TYPE}
                subject = self._prefix + _tokens(message.subject)
                # Without wait_stall, which costs a task per message: more than a batch never waits here.
                waiting.append(await self._stream.publish_async(subject, message.body, headers=headers))
        except Exception as stalled:
            error = stalled
        missing: set[asyncio.Future[Any]] = set(waiting)
        while missing:
            came, missing = await asyncio.wait(missing, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_EXCEPTION)
            if not came or self._connection is None or self._connection.is_closed:
                break
            if any(future.exception() is not None for future in came):
                break
        for delivered, future in enumerate(waiting):
            if not future.done():
                return delivered, error or TimeoutError("the server confirms nothing")
            if (failure := future.exception()) is not None:
                return delivered, failure
        return len(waiting), error

    def idle(self) -> None:
        """See `Broker`."""
        if self._connection is None or self._connection.is_closed or not self._connection.is_connected:
            raise BrokerError(
                f"the connection to {self._config.host} is lost{f': {self._problem}' if self._problem else ''}"
            )


def _tokens(subject: str) -> str:
    """A message's subject as tokens of a NATS subject."""
    return ".".join(topic_part(part, _RESERVED) for part in subject.split("/", 1))
