"""Writes to a gallery beside a run: at most a second late, again and again where the store is away for a while, and
never in the way of the cameras."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from streamreid._threads import Thread
from streamreid.errors import GalleryError, StreamReIDError
from streamreid.gallery.gallery import Gallery
from streamreid.gallery.records import Batch, Change, Retention
from streamreid.gallery.search import GallerySearch

__all__ = ["BackgroundWriter"]

log = logging.getLogger(__name__)

_MOST_EVENTS = 100_000
"""Events held while the store is away; older ones are dropped and counted."""

_MOST_TRACKS = 20_000
"""Track records held while the store is away; older ones are dropped and counted."""

_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
"""Seconds before the first repetition of a failed write, and the longest pause it doubles to."""

_HOUSEKEEPING = 5.0
"""Seconds between looks at retention and caps."""

_LAST_ATTEMPTS = 3
"""Attempts to write what is left when a run ends."""


class BackgroundWriter:
    """One thread that writes and cleans up, one that hears of changes by others.

    Args:
        store: Where to.
        search: Kept up to date.
        retention: Enforced every few seconds.
        seconds: Longest time that something waits to be written.
        chore: Done now and then by the writing thread.

    Attributes:
        problem: Why something is not stored at the moment; empty if all is.
        written: Batches that were stored.
        lost: Appearances and events that will never be stored.
    """

    def __init__(
        self,
        store: Gallery,
        search: GallerySearch,
        retention: Retention,
        *,
        seconds: float = 1.0,
        chore: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = store
        self.search = search
        self.problem = ""
        self.written = 0
        self.lost = 0
        self._lost_before = 0  # before the store was last away
        self._retention = retention
        self._seconds = seconds
        self._chore = chore
        self._lock = threading.Lock()
        self._pending: Batch | None = None
        self.changes: list[Change] = []
        self._wake = threading.Event()
        self._others = threading.Event()
        self._stop = threading.Event()
        self._cleaned = -_HOUSEKEEPING
        self._threads = [
            Thread(target=self._work, name="gallery", daemon=True),
            Thread(target=self._listen, name="gallery-listen", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Appearances and events that are not stored yet."""
        with self._lock:
            return 0 if self._pending is None else len(self._pending)

    def put(self, batch: Batch) -> None:
        """Queue a batch; the writer stores it within a second while the store answers."""
        if not batch:
            return
        with self._lock:
            if self._pending is None:
                self._pending = batch
            else:
                self._pending.absorb(batch)
                self._bound(self._pending)
        self._wake.set()

    def _bound(self, pending: Batch) -> None:
        """A store that is away for long must not fill the memory: the oldest things go first, and are counted."""
        events = len(pending.events) - _MOST_EVENTS
        tracks = len(pending.track_records) - _MOST_TRACKS
        if events > 0:
            del pending.events[:events]
        for key in list(pending.track_records)[: max(tracks, 0)]:
            pending.discard(key)
        for key in list(pending.links)[: max(len(pending.links) - _MOST_TRACKS, 0)]:
            del pending.links[key]
        lost = max(events, 0) + max(tracks, 0)
        if lost and self.lost == self._lost_before:
            log.error(
                "gallery '%s' has been away for so long that the oldest of what waits is being dropped",
                self.store.address,
            )
        self.lost += lost

    def drain(self) -> list[Change]:
        """Changes by anybody since the last call."""
        with self._lock:
            changes, self.changes = self.changes, []
        return changes

    def close(self) -> str:
        """Write what waits and stop.

        Returns:
            Why something could not be written; empty if all was.
        """
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join()
        for attempt in range(_LAST_ATTEMPTS):
            if self._pending is None or self._write():
                break
            time.sleep(0.3 * (attempt + 1))
        if self._pending is not None:
            waiting = self.waiting
            self.lost += waiting
            self.problem = f"{waiting} appearances and events of the last moments could not be stored: {self.problem}"
            log.error("%s", self.problem)
        return self.problem

    # ------------------------------------------------------------ threads

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                if self.store.wait(0.5):
                    self._others.set()
                    self._wake.set()
            except StreamReIDError:
                self._stop.wait(2.0)  # the writing thread tells of it

    def _work(self) -> None:
        pause = _PAUSE
        while not self._stop.is_set():
            self._wake.wait(self._seconds / 2)
            self._wake.clear()
            if self._stop.is_set():
                return
            try:
                fine = self._write() and self._follow()
            except Exception:  # whatever it is, the cameras go on
                log.exception("the gallery's thread met something unexpected; it goes on")
                fine = False
            if fine:
                pause = _PAUSE
            else:
                self._stop.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _write(self) -> bool:
        with self._lock:
            batch, self._pending = self._pending, None
        if batch is None:
            return True
        try:
            self.store.write(batch)
        except Exception as error:  # whatever it is, what could not be written waits for the next attempt
            with self._lock:
                if self._pending is not None:
                    batch.absorb(self._pending)
                self._pending = batch
                self._bound(batch)
            self._trouble(error)
            return False
        self.written += 1
        if self.problem:
            lost, self._lost_before = self.lost - self._lost_before, self.lost
            what = f"{lost} appearances and events were lost meanwhile" if lost else "nothing was lost"
            log.warning("gallery '%s' takes data again; %s", self.store.address, what)
            self.problem = ""
        self._others.set()
        return True

    def _follow(self) -> bool:
        try:
            self._chore()
            if self._others.is_set():
                self._others.clear()
                changes = self.search.refresh()
                with self._lock:
                    self.changes += changes
            now = time.monotonic()
            if now - self._cleaned >= _HOUSEKEEPING:
                self._cleaned = now
                if self.store.expire(self._retention) or self.store.evict():
                    self._others.set()
        except GalleryError as error:
            self._trouble(error)
            return False
        return True

    def _trouble(self, error: Exception) -> None:
        text = str(error) if isinstance(error, GalleryError) else f"{type(error).__name__}: {error}"
        if text != self.problem:
            log.error(
                "%s What is seen meanwhile waits in memory and is written when that is possible.",
                text,
                exc_info=None if isinstance(error, GalleryError) else error,
            )
        self.problem = text
