"""Opens what the configuration names."""

from __future__ import annotations

from streamreid.config.messages import MessagesConfig
from streamreid.messages.delivery import Broker
from streamreid.messages.places_board import PlacesBoard

__all__ = ["make_brokers"]


def make_brokers(
    config: MessagesConfig, site: str, board: PlacesBoard | None = None, *, trial: bool = False
) -> list[Broker]:
    """The brokers of a configuration, not connected yet.

    Args:
        config: The section.
        site: Name of the site.
        board: States of places, for brokers that keep them.
        trial: Only to see whether they can be connected to.

    Raises:
        MissingExtraError: A client library is not installed.
    """
    brokers: list[Broker] = []
    if config.mqtt is not None:
        from streamreid.messages.brokers.mqtt import MqttBroker

        brokers.append(MqttBroker(config.mqtt, site, board, trial=trial))
    if config.kafka is not None:
        from streamreid.messages.brokers.kafka import KafkaBroker

        brokers.append(KafkaBroker(config.kafka))
    if config.nats is not None:
        from streamreid.messages.brokers.nats import NatsBroker

        brokers.append(NatsBroker(config.nats, site))
    if config.redis is not None:
        from streamreid.messages.brokers.redis import RedisBroker

        brokers.append(RedisBroker(config.redis))
    if config.webhook is not None:
        from streamreid.messages.brokers.webhook import WebhookBroker

        brokers.append(WebhookBroker(config.webhook))
    return brokers
