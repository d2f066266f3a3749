"""How the delivery to a broker goes, for metrics, the summary and the end table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["DeliveryState"]


@dataclass(slots=True)
class DeliveryState:
    """Figures of one broker in this run.

    Args:
        broker: Its key in the YAML: mqtt, kafka, nats, redis, webhook.
        connected: Whether it takes messages now.
        delivered: Messages that it confirmed.
        waiting: Messages in the outbox that it does not have.
        oldest_seconds: How long the oldest of these has waited.
        given_up: Messages that it never gets, because too much waited or for too long.
        refused: Messages that it did not take because they are wrong for it.
        unstored: Messages that could not be stored in the outbox (disk full).
        failures: Failed attempts to connect or send.
        error: Why it takes none, as it last said; None while it does.
    """

    broker: str
    connected: bool = False
    delivered: int = 0
    waiting: int = 0
    oldest_seconds: float = 0.0
    given_up: int = 0
    refused: int = 0
    unstored: int = 0
    failures: int = 0
    error: str | None = None

    @property
    def lost(self) -> int:
        """Messages that the broker never gets."""
        return self.given_up + self.refused + self.unstored

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = asdict(self)
        values["oldest_seconds"] = round(self.oldest_seconds, 1)
        return {key: value for key, value in values.items() if key != "broker"}
