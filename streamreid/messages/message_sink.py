"""The sink that tells brokers: puts messages on disk and leaves the rest to threads."""

from __future__ import annotations

import logging
import sqlite3
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from streamreid.config.messages import MessagesConfig, site_name
from streamreid.messages.courier import Courier
from streamreid.messages.deliveries import DeliveryState
from streamreid.messages.delivery import Broker
from streamreid.messages.drafts import identity_drafts, place_draft, run_ended, run_started
from streamreid.messages.envelope import Draft, Envelope
from streamreid.messages.factory import make_brokers
from streamreid.messages.outbox import Outbox
from streamreid.messages.places_board import PlacesBoard
from streamreid.messages.recent_counts import Counts, RecentCounts
from streamreid.places.records import PlaceEvent, camera_place
from streamreid.sinks.base import FinalIdentities, SinkContext
from streamreid.types import FrameResult, IdentityEvent

__all__ = ["OUTBOX", "MessageSink"]

log = logging.getLogger(__name__)

OUTBOX = "outbox.db"
"""Name of the outbox in the folder of the results."""

_MOST_PENDING = 10_000
"""Messages that are kept in memory while the disk is full."""


class MessageSink(SinkContext):
    """Tells brokers of identity events and events at places.

    It never fails a run and never waits for a broker: messages are on disk when `tell` returns, and threads deliver
    them. While the disk is full, some wait in memory; what is lost is counted.

    Args:
        config: The section.
        folder: Of the results; the outbox is kept there.
        cameras: Their names.
        zones: Names of the zones.
        live: Whether the run has no end; its outbox then stays when all is delivered, so that numbers go on.
        continued: Whether identities keep the numbers that an earlier run gave them.
        version: Of streamreid.
        counts: Counts of the last hour, for the states of places that MQTT keeps.
        brokers: Instead of those of the configuration.

    Raises:
        OutputError: The outbox cannot be opened.
        MissingExtraError: A client library is not installed.
    """

    output = "messages"

    def __init__(
        self,
        config: MessagesConfig,
        folder: Path,
        *,
        cameras: Sequence[str] = (),
        zones: Sequence[str] = (),
        live: bool = False,
        continued: bool = False,
        version: str = "",
        counts: Counts | None = None,
        brokers: Sequence[Broker] | None = None,
    ) -> None:
        self._config = config
        self._live = live
        site = config.site or site_name(folder.resolve().name)
        self._board = PlacesBoard()
        for place in (*map(camera_place, cameras), *zones):
            self._board.update(place, occupancy=0, capture_time=None)
        found = make_brokers(config, site, self._board) if brokers is None else list(brokers)
        outbox = config.outbox
        self._outbox = Outbox(
            folder / OUTBOX,
            [broker.name for broker in found],
            max_size=outbox.max_size,
            max_age=outbox.max_age,
            envelope=Envelope(site, uuid.uuid4().hex[:16]),
        )
        self._courier = Courier(self._outbox, found)
        self._pending: list[Draft] = []
        self._problem = ""
        self._shown: set[str] = set()
        self._closed = False
        self._put([run_started(cameras=cameras, version=version, live=live, continued=continued, now=time.time())])
        self._courier.start()
        self._recent = None if counts is None or config.mqtt is None else RecentCounts(self._board, counts)
        if self._recent is not None:
            self._recent.start()

    @property
    def states(self) -> list[DeliveryState]:
        """How the deliveries go, broker by broker; kept up to date."""
        return self._courier.states

    # ---------------------------------------------------------------- what is told

    def write(self, result: FrameResult) -> None:
        """Note how many people a camera shows; pictures and boxes are never sent."""
        who, place = result.global_ids, camera_place(result.frame.camera)
        self._shown.add(place)
        self._board.update(
            place,
            occupancy=len(result.tracks),
            identities=sorted({int(i) for i in who if i}),
            capture_time=round(float(result.frame.time), 3),
        )
        if self._pending:
            self._put([])

    def event(self, event: IdentityEvent) -> None:
        """Tell an identity event."""
        self.tell([event])

    def place(self, event: PlaceEvent) -> None:
        """Tell an event at a place."""
        self.tell((), [event])

    def tell(self, events: Sequence[IdentityEvent], happenings: Sequence[PlaceEvent] = ()) -> None:
        """Tell identity events, and what happened at places; they are on disk when this returns.

        Args:
            events: Of identities.
            happenings: At places.
        """
        drafts = [draft for event in events for draft in identity_drafts(event)]
        self._put([*drafts, *map(place_draft, happenings)])
        for happened in happenings:
            if happened.occupancy is not None and happened.place:
                self._board.update(happened.place, occupancy=happened.occupancy, capture_time=round(happened.time, 3))

    def close(self, identities: FinalIdentities) -> None:
        """Tell that the run is over, and deliver what waits (``outbox.close_seconds`` at most)."""
        self._finish(run_ended(identities, now=time.time()), self._config.outbox.close_seconds, complete=True)

    def abort(self) -> None:
        """Tell that the run failed. What is not delivered at once stays in the outbox."""
        self._finish(run_ended(None, now=time.time()), min(2.0, self._config.outbox.close_seconds), complete=False)

    # ---------------------------------------------------------------- the outbox

    def _put(self, drafts: Sequence[Draft]) -> None:
        self._pending += drafts
        if not self._pending:
            return
        try:
            self._outbox.add(self._pending)
        except (sqlite3.Error, OSError) as error:
            self._stay(error)
            return
        self._pending = []
        if self._problem:
            log.warning("messages: the outbox is written again")
            self._problem = ""
        self._courier.notify()

    def _stay(self, error: Exception) -> None:
        """Messages could not be stored: keep the newest in memory until that works."""
        over = len(self._pending) - _MOST_PENDING
        if over > 0:
            self._pending = self._pending[over:]
            for state in self.states:
                state.unstored += over
        if str(error) != self._problem:
            log.error(
                "messages: the outbox '%s' cannot be written (%s); up to %d messages wait in memory, everything else "
                "goes on",
                self._outbox.path,
                error,
                _MOST_PENDING,
            )
        self._problem = str(error)

    def _finish(self, last: Draft, seconds: float, *, complete: bool) -> None:
        if self._closed:
            return
        self._closed = True
        for place in self._shown:  # zones are told empty by their last events
            self._board.update(place, occupancy=0, identities=[])
        if self._recent is not None:
            self._recent.close(last=complete)
        self._put([last])
        for state in self.states:
            state.unstored += len(self._pending)
        self._courier.close(seconds, remove=not self._live)
        for state in self.states:
            if state.waiting:
                log.warning(
                    "messages: %d messages for %s wait in '%s'%s; the next run in this folder delivers them, or: "
                    "streamreid events deliver %s -s YOUR.yaml",
                    state.waiting,
                    state.broker,
                    self._outbox.path,
                    f" ({state.error})" if state.error else "",
                    self._outbox.path.parent,
                )
