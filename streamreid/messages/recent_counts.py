"""Counts of the last hour for the states of places, in a thread of their own: the run does not wait for them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from streamreid._threads import Thread
from streamreid.messages.places_board import PlacesBoard

__all__ = ["Counts", "RecentCounts"]

log = logging.getLogger(__name__)

Counts = Callable[[], Iterable[Mapping[str, Any]]]
"""Rows of counts (``places.counts.COLUMNS``) of the last hour, one per place."""

_FIRST, _EVERY = 5.0, 60.0
"""Seconds until the first counts, and between two: a sensor need not be newer, and counting takes the more
processor time the more people came."""

_REST = 20.0
"""Times as long as counting took until it is done again: intervals may take seconds, and a twentieth of a core at
most."""

_SHORT = 2.0
"""Seconds within which the end of a run may wait for counts."""

_TOLD = ("unique", "unique_low", "unique_high", "visits", "entries", "exits", "dwell_median")
"""Columns that a state shows."""


class RecentCounts:
    """Puts counts on the board.

    Args:
        board: Of the places.
        counts: Counts now; called by the thread.
    """

    def __init__(self, board: PlacesBoard, counts: Counts) -> None:
        self._board, self._counts = board, counts
        self._over = threading.Event()
        self._took = 0.0
        self._problem = ""
        self._thread = Thread(target=self._run, name="messages-counts", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, *, last: bool) -> None:
        """End.

        Args:
            last: Count once more, if that takes no long time: the state that stays is that of the end.
        """
        self._over.set()
        self._thread.join(10.0)
        if last and not self._thread.is_alive() and self._took < _SHORT:
            self._refresh()

    def _run(self) -> None:
        wait = _FIRST
        while not self._over.wait(wait):
            self._refresh()
            wait = max(_EVERY, _REST * self._took)

    def _refresh(self) -> None:
        begun = time.monotonic()
        try:
            for row in self._counts():
                if not row["withheld"]:
                    self._board.update(row["place"], last_hour={key: row[key] for key in _TOLD})
        except Exception as error:  # counts are not worth a run
            if str(error) != self._problem:
                log.warning("messages: counts of the last hour are not told: %s", error)
            self._problem = str(error)
        self._took = time.monotonic() - begun
