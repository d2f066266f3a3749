"""Messages out: CloudEvents over MQTT, Kafka, NATS, Redis and webhooks, with an outbox on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamreid._lazy import lazily

if TYPE_CHECKING:
    from streamreid.messages.deliveries import DeliveryState
    from streamreid.messages.message_sink import OUTBOX, MessageSink


__all__ = ["OUTBOX", "DeliveryState", "MessageSink"]

__getattr__ = lazily(
    __name__,
    {
        "DeliveryState": "deliveries",
        "OUTBOX": "message_sink",
        "MessageSink": "message_sink",
    },
)
