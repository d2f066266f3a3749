"""Sinks that go on in a new folder now and then, so that the results of runs without end stay in files of a size that
can be handled, and old ones can go."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from streamreid._age_clock import AgeClock
from streamreid.config import RotateConfig
from streamreid.errors import OutputError
from streamreid.places.records import PlaceEvent, Visit
from streamreid.sinks.base import FinalIdentities, Sink, SinkContext
from streamreid.sinks.group import SinkGroup
from streamreid.sinks.segments import (
    Segment,
    gather_results,
    last_written,
    list_segments,
    remove_leftovers,
    remove_segment,
    size_of,
)
from streamreid.sinks.video_encoder import adopt_unfinished
from streamreid.types import FrameResult, IdentityEvent

__all__ = ["RotatingSink"]

_log = logging.getLogger(__name__)
_EXPIRE_SECONDS = 60.0
"""Seconds between looks for segments that are too old."""

_LINGER = 5.0
"""Seconds after which a segment is finished: somebody who came in its last moments has an identity by then."""

_SIZE_SHARE = 50
"""A look at the sizes of many files is repeated after this many times as long as it took."""


class RotatingSink(SinkContext):
    """Hands everything to the sinks of the newest segment, and begins a new one when it is time to.

    The sinks of a segment that is over are finished a little later, when it is known who was in its last frames, and in
    another thread, while results go on into the next: nothing waits and nothing is lost. A sink that fails is given up
    until the next segment. A run that is started again goes on in the newest segment. Results that lie in the folder
    itself, from a run without segments, become the first segment.

    Args:
        folder: Of the results.
        rotate: When, and what is kept; None goes on in the newest segment for ever.
        open_sinks: Opens the sinks of a segment in its folder.
        believed: Who is who at present, with probabilities.
        now: The time, seconds since 1970.
        steady: Seconds that pass, whatever the clock is set to; see `AgeClock`.
        reopen: Opens one output of a segment anew, by folder and name.
        failures: Reasons of sinks that failed in the newest segment, by name; added to, and taken back when a new
            segment begins.

    Raises:
        OutputError: The folder is not writable.
    """

    output = "pieces"

    def __init__(
        self,
        folder: Path,
        rotate: RotateConfig | None,
        open_sinks: Callable[[Path], list[Sink]],
        believed: Callable[[], FinalIdentities],
        now: Callable[[], float] = time.time,
        *,
        steady: Callable[[], float] | None = None,
        reopen: Callable[[Path, str], Sink | None] | None = None,
        failures: MutableMapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._reopen = reopen
        self._rotate = rotate
        self._open = open_sinks
        self._believed = believed
        self._now = now
        self._ages = AgeClock(now, steady, what=f"'{folder}'")
        self._failures: MutableMapping[str, str] = {} if failures is None else failures
        self._closed = False
        self._ending: list[tuple[float, Segment, SinkGroup]] = []
        self.next_size = self._next_expiry = 0.0
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="pieces")
        segments = list_segments(folder)
        if not segments or [segment.number for segment in segments] == [
            0
        ]:  # the latter: gathering may have been interrupted
            gather_results(folder, segments[0] if segments else Segment.of(folder, 0, now()))
            segments = list_segments(folder)
        for segment in segments[:-1]:
            adopt_unfinished(segment.path)
        self._segment = segments[-1] if segments else Segment.of(folder, 1, now())
        if segments and self._over():
            adopt_unfinished(self._segment.path)
            self._segment = Segment.of(folder, self._segment.number + 1, now())
        self.sinks = SinkGroup(self._open(self._segment.path), self._failures, reopen=self._reopen_in(self._segment))
        self.worker.submit(remove_leftovers, folder)
        self._end(time.monotonic())

    @property
    def path(self) -> Path:
        """Folder of the newest segment."""
        return self._segment.path

    def write(self, result: FrameResult) -> None:
        """Take the people of one frame."""
        self.sinks.write(result)

    def event(self, event: IdentityEvent) -> None:
        """Take a change in what is believed about who is who."""
        self.sinks.event(event)

    def place(self, event: PlaceEvent) -> None:
        """Take what happened at a place."""
        self.sinks.place(event)

    def visit(self, visit: Visit) -> None:
        """Take the visit of a track."""
        self.sinks.visit(visit)

    def finalize_tracks(self, identities: FinalIdentities) -> None:
        """Take tracks that no revision can reach any more."""
        self.sinks.finalize_tracks(identities)

    def turn(self) -> bool:
        """Begin a new segment if it is time to, and delete old ones. Call about once a second, also while nothing
        comes.

        Where it cannot be opened, results go on into the old one, and the next call tries again.

        Returns:
            Whether a new segment began.
        """
        began = self._over() and self._begin()
        self._end(time.monotonic())
        return began

    def _begin(self) -> bool:
        segment = Segment.of(self._folder, self._segment.number + 1, self._now())
        try:
            sinks = self._open(segment.path)
        except OutputError as error:
            if self.output not in self._failures:
                _log.error("a new segment of the results cannot be begun, the old one goes on: %s", error)
            self._failures[self.output] = str(error)
            return False
        for name in [self.output, *(name for name in self._failures if name in self.sinks.failed)]:
            self._failures.pop(name, None)
        self.sinks.failures = {}  # what happens when it is finished is logged, and says nothing of the new segment
        self._ending.append((time.monotonic() + _LINGER, self._segment, self.sinks))
        self.sinks, self._segment = SinkGroup(sinks, self._failures, reopen=self._reopen_in(segment)), segment
        self.next_size = 0.0
        return True

    def _reopen_in(self, segment: Segment) -> Callable[[str], Sink | None] | None:
        return None if self._reopen is None else partial(self._reopen, segment.path)

    def _end(self, now: float) -> None:
        """Finish the segments whose time has come; delete what is old where there are new ones, and now and then."""
        due = [item for item in self._ending if item[0] <= now]
        self._ending = self._ending[len(due) :]
        for _, _, sinks in due:
            self.worker.submit(_finish, sinks, self._believed())
        if due or now >= self._next_expiry:
            self._next_expiry = time.monotonic() + _EXPIRE_SECONDS
            self.worker.submit(
                self._expire,
                self._segment,
                min([self._segment, *(segment for _, segment, _ in self._ending)], key=lambda p: p.number),
            )

    def _over(self) -> bool:
        """Whether the newest segment has lasted long enough or is large enough."""
        if self._rotate is None:
            return False
        now, start, longest = self._now(), self._segment.start, self._rotate.longest
        # Also where the clock was set back by more than a segment lasts.
        if longest is not None and (now // longest > start // longest or now < start - longest):
            return True
        began = time.monotonic()
        if self._rotate.size is None or began < self.next_size:
            return False
        size = size_of(self._segment.path)
        took = time.monotonic() - began
        self.next_size = began + _SIZE_SHARE * took
        return size >= self._rotate.size

    def _expire(self, newest: Segment, unfinished: Segment) -> None:
        """Delete what is no longer to be kept, of what is finished."""
        try:
            for segment in self._expired(newest):
                if segment.number >= unfinished.number:
                    break
                remove_segment(segment)
                _log.info("results '%s' deleted, as output.rotate says", segment.path)
        except (OutputError, OSError) as error:
            _log.error("%s", error)

    def _expired(self, newest: Segment) -> list[Segment]:
        if self._rotate is None:
            return []
        old = [segment for segment in list_segments(self._folder) if segment.number < newest.number]
        doomed = [] if self._rotate.keep is None else old[: max(0, len(old) - self._rotate.keep)]
        if self._rotate.keep_hours is not None:
            limit = self._ages.now() - 3600 * self._rotate.keep_hours
            # A segment ended when the next began, or before, if nothing ran then. What came before one that is too old
            # is too old, whatever the clock said.
            ends = [min(after.start, last_written(segment)) for segment, after in pairwise([*old, newest])]
            late = [i for i, end in enumerate(ends) if end <= limit]
            doomed = old[: max(len(doomed), max(late, default=-1) + 1)]
        return doomed

    def close(self, identities: FinalIdentities) -> None:
        """Finish all files.

        Raises:
            OutputError: One cannot be finished.
        """
        if self._closed:
            return
        self._closed = True
        self._end(np.inf)
        try:
            self.sinks.close(identities)
        finally:
            self.worker.shutdown(wait=True)

    def abort(self) -> None:
        """Finish all files with what is known now."""
        if not self._closed:
            self._closed = True
            self._end(np.inf)
            self.sinks.abort()
        self.worker.shutdown(wait=True)


def _finish(sinks: SinkGroup, identities: FinalIdentities) -> None:
    """Close the sinks of a segment that is over; the run goes on whatever happens here."""
    try:
        sinks.close(identities)
    except OutputError as error:
        _log.error("a segment of the results could not be finished: %s", error)
    except Exception:
        _log.exception("a segment of the results could not be finished")
