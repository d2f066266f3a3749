"""Messages out: CloudEvents over MQTT, Kafka, NATS, Redis and webhooks, with an outbox on disk."""

from streamreid.messages.deliveries import DeliveryState
from streamreid.messages.message_sink import OUTBOX, MessageSink

__all__ = ["OUTBOX", "DeliveryState", "MessageSink"]
