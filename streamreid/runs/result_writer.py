"""What a run leaves behind while it goes on: results to the sinks, and once a second where a next run would go on."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from streamreid.errors import OutputError
from streamreid.files import write_json
from streamreid.pipeline.ground_plane import WORLD
from streamreid.pipeline.kept_learning import write_learnt
from streamreid.pipeline.run import Run
from streamreid.pipeline.run_state import STATE, RunState, state_of
from streamreid.runs.link_file import write_links
from streamreid.sinks import Sink
from streamreid.types import FrameResult, IdentityEvent

if TYPE_CHECKING:
    from streamreid.messages import MessageSink
    from streamreid.sinks import RotatingSink

__all__ = ["ResultWriter", "begin_state"]

log = logging.getLogger(__name__)

_SECONDS = 1.0
"""Seconds between writes of ``state.json``: as much is looked up again after a crash."""

_LEARNT_SECONDS = 30.0
"""Seconds between writes of what was learnt of the cameras."""

_STATE_OUTPUT = "state"


def begin_state(folder: Path, begin: RunState) -> None:
    """Write ``state.json`` where there is none, before anything else of a live run: without it a folder that holds
    files of results is not gone on with, and a run that is killed while its files are being made, or finds no space for
    them, could not be started again.

    Args:
        folder: Of the results.
        begin: The first numbers.

    Raises:
        OutputError: It cannot be written.
    """
    if not (folder / STATE).exists():
        write_json(folder / STATE, state_of(begin, size=0, ended=True))


class ResultWriter:
    """Hands results and events to the sinks.

    Args:
        pipeline: Where events come from.
        sinks: All of them get everything, in the same order.
        folder: ``state.json`` is kept here for runs that can be continued.
        continued: Whether this is such a run (a live one).
        segments: The sink among them whose results come in segments, if there is one.
        messages: The sink among them that tells brokers, if there is one; it gets events before any file does, so that
            what a file says is never left untold.
    """

    def __init__(
        self,
        pipeline: Run,
        sinks: Sequence[Sink],
        folder: Path,
        *,
        continued: bool,
        segments: RotatingSink | None = None,
        messages: MessageSink | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._sinks = sinks
        self._folder = folder
        self._continued = continued
        self._segments = segments
        self._messages = messages
        begin = pipeline.begin
        self._next = RunState(begin.global_id, dict(begin.tracks), dict(begin.frames), begin.runs)
        self._saved = 0.0
        self._learnt_at = time.monotonic()
        if continued:
            self.save()

    def write(self, result: FrameResult) -> None:
        """Take a frame's result, after the events before it."""
        self.flush()
        for sink in self._sinks:
            sink.write(result)
        if self._continued:
            track, who = int(result.tracks.ids.max(initial=0)), int(result.global_ids.max(initial=0))
            self._next.seen(result.frame.camera, track=track, frame=result.frame.index, who=who)
        self.tick()

    def flush(self) -> None:
        """Hand on the events that have come, and tracks that are settled."""
        happenings, visits = self._pipeline.drain_place_events(), self._pipeline.places.drain_visits()
        events = self._pipeline.drain_events()
        if self._messages is not None and (events or happenings):
            self._messages.tell(events, happenings)
        for event in events:
            self._event(event)
        for sink in self._sinks:
            for happened in happenings if sink is not self._messages else ():
                sink.place(happened)
            for visit in visits:
                sink.visit(visit)
        settled = self._pipeline.drain_settled()
        if settled:
            for sink in self._sinks:
                sink.finalize_tracks(settled)

    def _event(self, event: IdentityEvent) -> None:
        for sink in self._sinks:
            if sink is not self._messages:
                sink.event(event)
        if self._continued:
            self._next.seen(event.camera, track=event.track_id, who=max(event.global_id, event.other_id))

    def tick(self) -> None:
        """Once a second: save where a next run would go on; begin a new segment if it is time to."""
        if self._continued and time.monotonic() - self._saved >= _SECONDS:
            if self._segments is not None:
                self._segments.turn()
            self.save()

    def save(self, *, ended: bool = False) -> None:
        """Write ``state.json``. Where it cannot be written, that is said once and tried again a second later: a run
        that is started again looks the numbers up in what was written.

        Args:
            ended: Whether the run is over.
        """
        self._saved = time.monotonic()
        results = self._folder if self._segments is None else self._segments.path
        segment = "" if self._segments is None else self._segments.path.name
        failures = self._pipeline.statistics.outputs
        try:
            size, world = _size(results / "results.jsonl"), _size(results / WORLD)
            write_json(self._folder / STATE, state_of(self._next, size=size, ended=ended, segment=segment, world=world))
            self._save_learnt(ended=ended)
            failures.pop(_STATE_OUTPUT, None)
        except (OutputError, OSError, MemoryError) as error:
            if _STATE_OUTPUT not in failures:
                log.error("where a next run would go on cannot be kept, everything else goes on: %s", error)
            failures[_STATE_OUTPUT] = str(error)

    def _save_learnt(self, *, ended: bool) -> None:
        """Keep what was learnt of the cameras, now and then and at the end."""
        if ended or time.monotonic() - self._learnt_at >= _LEARNT_SECONDS:
            self._learnt_at = time.monotonic()
            write_learnt(self._folder, self._pipeline.site.learnt())

    def close(self) -> None:
        """Finish: the last events, final identities, the numbers."""
        self.flush()
        identities = self._pipeline.identities
        for sink in self._sinks:
            sink.close(identities)
        self._write_links()
        if self._continued:
            self.save(ended=True)

    def _write_links(self) -> None:
        """Which tracks may be one person; where that cannot be written, counts have no intervals."""
        if not isinstance(self._pipeline, Run):
            return  # a run on a cluster associates elsewhere
        try:
            links = self._pipeline.site.pair_links()
            write_links(self._folder, links, append=self._continued and self._pipeline.begin.runs > 0)
        except OutputError as error:
            log.error("counts of this run will have no intervals: %s", error)
            self._pipeline.statistics.outputs["links"] = str(error)


def _size(path: Path) -> int:
    """Length of a file in bytes, 0 where there is none."""
    return path.stat().st_size if path.exists() else 0
