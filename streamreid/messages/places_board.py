"""The newest state of every place, for brokers that keep one (MQTT): written by the run, read by their threads."""

from __future__ import annotations

import re
import threading
from typing import Any

__all__ = ["PlacesBoard", "topic_part"]


def topic_part(text: str) -> str:
    """A name as one level of an MQTT topic."""
    return re.sub(r"[/+#\x00\s]", "_", text) or "_"


class PlacesBoard:
    """States by the name of the place."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[str, dict[str, Any]] = {}

    def update(self, place: str, **values: Any) -> None:
        """Change values of a place; the others stay."""
        with self._lock:
            self._states.setdefault(place, {"place": place}).update(values)

    def kinds(self) -> set[tuple[str, str]]:
        """What is known of which place: pairs of its name and a key of its state."""
        with self._lock:
            return {(place, key) for place, state in self._states.items() for key in state}

    def states(self) -> dict[str, dict[str, Any]]:
        """A copy of all states."""
        with self._lock:
            return {place: dict(state) for place, state in self._states.items()}
