"""What the MQTT broker needs of a client library: connect, publish and wait for confirmations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import unquote

from streamreid.addresses import split_address
from streamreid.config.messages import MqttConfig
from streamreid.messages.delivery import BrokerError

__all__ = ["KEEPALIVE_SECONDS", "MoreToPublish", "MqttConnection", "Publication", "mqtt_login", "publish_refused"]

KEEPALIVE_SECONDS = 30
"""Seconds after which the broker notices that this program is gone, and tells the last will."""


class Publication(NamedTuple):
    """What is published under a topic.

    Args:
        topic: The whole topic.
        payload: What is said.
        content_type: Of the payload; None where nothing is said of it.
        expiry: Seconds after which the broker forgets it; None for never.
        retain: Whether the broker keeps it for whoever subscribes later.
    """

    topic: str
    payload: bytes
    content_type: str | None = None
    expiry: int | None = None
    retain: bool = False


MoreToPublish = Callable[[int], Sequence[Publication]]
"""Says how many publications more the broker has confirmed, in order, and returns the next ones."""


class MqttConnection(Protocol):
    """A connection with one client library. ``close`` and ``open`` may follow one another many times."""

    def open(self, client_id: str, will: Publication | None) -> None:
        """Connect and log in.

        Args:
            client_id: Name of this client; empty for one that the broker gives.
            will: What the broker says when this program is gone.

        Raises:
            BrokerError: That is not possible.
        """

    def publish(self, publications: Sequence[Publication], more: MoreToPublish | None = None) -> None:
        """Publish, in order, and wait until the broker has confirmed everything.

        Args:
            publications: In order.
            more: Asked, as confirmations come, for what is to be published behind them.

        Raises:
            BrokerError: Not all were confirmed; those that were are counted, from the first one on that ``more`` was
                not told of.
        """

    def check(self) -> None:
        """See whether the connection is there, and keep it alive.

        Raises:
            BrokerError: It is lost.
        """

    def close(self) -> None:
        """Disconnect, so that the last will is not told if the connection is there; never raises."""


def mqtt_login(config: MqttConfig) -> tuple[str | None, str | None]:
    """User and password, from the address or their keys."""
    address = split_address(config.address)
    assert address is not None
    if address.user:
        return unquote(address.user), unquote(address.password) if address.password else None
    return config.user, config.password.get_secret_value() if config.password else None


def publish_refused(topic: str, delivered: int, why: str) -> BrokerError:
    """The broker does not take a publication: the error that says so."""
    advice = "; let the user publish there" if "authorized" in why.lower() else ""
    return BrokerError(f"the broker does not take messages under {topic}: {why}{advice}", delivered=delivered)
