"""Webhooks: one POST per message or batch, signed as https://www.standardwebhooks.com describes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from streamreid.config.messages import WebhookConfig
from streamreid.messages.brokers.base import CONNECT_SECONDS, describe, need, tls_context
from streamreid.messages.delivery import BrokerError, MessageRefused, More
from streamreid.messages.envelope import CONTENT_TYPE, Message

__all__ = ["WebhookBroker", "sign"]

_BATCH_TYPE = "application/cloudevents-batch+json"

_WRONG = (400, 406, 410, 413, 415, 422)
"""Answers that say: this message is wrong, and will be tomorrow. All others (no route, not logged in, busy) are about
the receiver and are waited for."""


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of ``webhook-signature``: ``v1,`` and base64 of HMAC-SHA256 over ``ID.TIMESTAMP.BODY``.

    Args:
        secret: As both sides know it; ``whsec_`` begins one that is base64.
        message_id: The header ``webhook-id``.
        timestamp: The header ``webhook-timestamp``, seconds since the epoch.
        body: Of the request.
    """
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


class WebhookBroker:
    """Posts with httpx, one request after the other.

    Args:
        config: The section.

    Raises:
        MissingExtraError: httpx is not installed.
    """

    name = "webhook"
    unacknowledged = None
    recall = 0.0

    def __init__(self, config: WebhookConfig) -> None:
        need("httpx", "Sending messages by HTTP")
        for name in ("httpx", "httpcore"):  # they log the address of every request, which may hold a token
            logging.getLogger(name).setLevel(logging.WARNING)
        self._config = config
        self.batch = config.batch
        self._client: Any = None
        self._where = f"{config.scheme}://{config.host}:{config.port}"

    @cached_property
    def _httpx(self) -> Any:
        import httpx

        return httpx

    def open(self) -> None:
        """See `Broker`. Whether the receiver takes messages shows when there is one."""
        config = self._config
        verify: Any = tls_context(config.tls, self._where) if config.scheme == "https" else True
        headers = {"user-agent": "streamreid"}
        if config.token is not None:
            headers["authorization"] = f"Bearer {config.token.get_secret_value()}"
        timeout = self._httpx.Timeout(config.timeout, connect=min(CONNECT_SECONDS, config.timeout))
        self._client = self._httpx.Client(
            verify=verify, headers=headers, timeout=timeout, trust_env=False, follow_redirects=False
        )

    def check(self) -> None:
        """See `Broker`: what the receiver answers to OPTIONS."""
        status = self._request("OPTIONS", b"", {})
        if status in (401, 403):
            raise BrokerError(f"{self._where} answers {status}: the token is refused")
        if status == 404 or (status >= 500 and status != 501):
            raise BrokerError(f"{self._where} answers {status}")

    def send(self, messages: Sequence[Message], more: More | None = None) -> None:
        """See `Broker`."""
        if self._config.batch == 1:
            body, kind, name = messages[0].body, CONTENT_TYPE, messages[0].id
        else:
            body = b"[" + b",".join(m.body for m in messages) + b"]"
            kind = _BATCH_TYPE
            name = messages[0].id if len(messages) == 1 else f"{messages[0].id}-{messages[-1].sequence}"
        timestamp = int(time.time())
        headers = {"content-type": kind, "webhook-id": name, "webhook-timestamp": str(timestamp)}
        if self._config.secret is not None:
            headers["webhook-signature"] = sign(self._config.secret.get_secret_value(), name, timestamp, body)
        status = self._request("POST", body, headers)
        if 200 <= status < 300:
            return
        if status in _WRONG and len(messages) == 1:
            raise MessageRefused(f"{self._where} answers {status}")
        if status in _WRONG:
            self._one_by_one(messages)
            return
        raise BrokerError(f"{self._where} answers {status}{_advice(status)}")

    def _one_by_one(self, messages: Sequence[Message]) -> None:
        """A batch was called wrong: find the message that is."""
        half = len(messages) // 2
        self.send(messages[:half])
        try:
            self.send(messages[half:])
        except BrokerError as error:
            error.delivered += half
            raise

    def _request(self, method: str, body: bytes, headers: dict[str, str]) -> int:
        try:
            answer = self._client.request(method, self._config.address, content=body, headers=headers)
        except (self._httpx.HTTPError, OSError) as error:
            raise BrokerError(f"{self._where}: {describe(error)}") from None
        return int(answer.status_code)

    def idle(self) -> None:
        """See `Broker`."""

    def close(self, *, goodbye: bool = False) -> None:
        """See `Broker`."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _advice(status: int) -> str:
    if status in (401, 403):
        return ": the token or the signature is refused"
    if 300 <= status < 400:
        return ": redirects are not followed; write the address that it leads to"
    return ""
