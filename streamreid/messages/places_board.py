"""The newest state of every place, for brokers that keep one (MQTT): written by the run, read by their threads."""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from typing import Any
from urllib.parse import quote

__all__ = ["PlacesBoard", "topic_part"]


@lru_cache(maxsize=10_000)
def topic_part(text: str, reserved: str = r"/+#\x00\s%") -> str:
    """A name as one level of a topic: what topics cannot hold is written as in addresses (``till 2`` is ``till%202``),
    so that names that differ have topics that differ.

    Args:
        text: The name.
        reserved: What the level cannot hold, as in a character class of a regular expression; ``%`` is among it.
    """
    return re.sub(f"[{reserved}]", lambda found: quote(found[0], safe="").replace(".", "%2E"), text) or "%"


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
