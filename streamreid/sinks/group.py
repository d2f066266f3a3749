"""Many sinks as one, none of which can stop the others: one that fails is dropped with its reason, and the run goes on
as long as one is left.

What is filmed live cannot be filmed again, so outputs of live runs that only ever grow are opened anew every few
seconds until that works, and the run goes on for a while even where nothing can be written: space is mostly freed
again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from streamreid._scarcity import is_scarcity
from streamreid.errors import OutputError, StreamReIDError
from streamreid.places.records import PlaceEvent, Visit
from streamreid.secrets import redact
from streamreid.sinks.base import FinalIdentities, Sink, SinkContext
from streamreid.types import FrameResult, IdentityEvent

__all__ = ["SinkGroup", "output_name"]

_log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
"""Between two attempts to open an output anew. One costs about a millisecond."""

PATIENCE_SECONDS = 600.0
"""For so long a live run goes on where nothing can be written: its identities, gallery and interface are worth more
than a new start into a full disk."""


REOPENED = ("mot", "jsonl", "parquet", "crops", "world")
"""Outputs that go on behind what is there. A film that is begun anew would be one more file every time."""


@dataclass(slots=True)
class _Gap:
    """What is missing in an output.

    Args:
        frames: So far.
        since: When it began, seconds of the monotonic clock.
        opened: Whether the output was opened anew; the gap is over when people were written to it.
    """

    frames: int = 0
    since: float = field(default_factory=monotonic)
    opened: bool = False


def output_name(sink: Sink) -> str:
    """What a sink is called in messages, metrics and ``summary.json``: mot, jsonl, parquet, crops, video, mosaic,
    world, or its class."""
    return str(getattr(sink, "output", type(sink).__name__))


class SinkGroup(SinkContext):
    """Hands everything to each of its sinks.

    Args:
        sinks: In the order in which they are called.
        failures: Reasons of failed sinks, by name; a shared one is added to.
        required: Whether it is an error that no sink is left (of listeners, none is needed).
        reopen: Opens one output anew by its name, behind what is there; None if that output is not to be opened anew.
            Without it a sink that failed stays dropped.

    Attributes:
        failed: Names of the sinks of this group that failed.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        failures: MutableMapping[str, str] | None = None,
        *,
        required: bool = True,
        reopen: Callable[[str], Sink | None] | None = None,
    ) -> None:
        self.sinks = list(sinks)
        self.failures: MutableMapping[str, str] = {} if failures is None else failures
        self.failed: set[str] = set()
        self._required = required and bool(sinks)
        self._reopen = reopen
        self._gone: dict[str, _Gap] = {}
        self._retry_at = 0.0
        self._none_since: float | None = None

    def write(self, result: FrameResult) -> None:
        """Hand on a frame's result.

        Raises:
            OutputError: The last sink failed.
        """
        if self._gone:
            self._try_again()
            for gap in self._gone.values():
                gap.frames += not gap.opened
        self._each(lambda sink: sink.write(result))
        if self._gone and len(result.tracks):
            self._close_gaps()

    def event(self, event: IdentityEvent) -> None:
        """Hand on an event.

        Raises:
            OutputError: The last sink failed.
        """
        self._each(lambda sink: sink.event(event))

    def place(self, event: PlaceEvent) -> None:
        """Hand on what happened at a place; sinks of users may not know the method.

        Raises:
            OutputError: The last sink failed.
        """
        self._each(lambda sink: sink.place(event) if hasattr(sink, "place") else None)

    def visit(self, visit: Visit) -> None:
        """Hand on a visit; sinks of users may not know the method.

        Raises:
            OutputError: The last sink failed.
        """
        self._each(lambda sink: sink.visit(visit) if hasattr(sink, "visit") else None)

    def finalize_tracks(self, identities: FinalIdentities) -> None:
        """Hand on tracks that no revision can reach any more.

        Raises:
            OutputError: The last sink failed.
        """
        self._each(lambda sink: sink.finalize_tracks(identities))

    def close(self, identities: FinalIdentities) -> None:
        """Finish all.

        Raises:
            OutputError: None of them could be finished.
        """
        if self._gone:
            self._retry_at = 0.0  # there may be space by now, for who is who at least
            self._try_again()
        self._each(lambda sink: sink.close(identities))

    def abort(self) -> None:
        """Finish all with what is known now; what fails is logged."""
        for sink in self.sinks:
            _abort(sink)

    def _each(self, action: Callable[[Sink], None]) -> None:
        for sink in list(self.sinks):
            try:
                action(sink)
            except Exception as error:
                self._drop(sink, error)

    def _drop(self, sink: Sink, error: Exception) -> None:
        self.sinks.remove(sink)
        name = output_name(sink)
        reason = redact(error) if isinstance(error, StreamReIDError) else f"{type(error).__name__}: {redact(error)}"
        again = (
            self._reopen is not None and (isinstance(error, StreamReIDError) or is_scarcity(error)) and name in REOPENED
        )
        self.failed.add(name)
        self.failures[name] = reason
        _abort(sink)
        known = name in self._gone
        if again:
            self._gone.setdefault(name, _Gap()).opened = False
            self._retry_at = monotonic() + RETRY_SECONDS
        self._require(name, error)
        if known:
            return
        if again:
            _log.error(
                "output '%s' cannot be written and is tried again every %g s, everything else goes on: %s",
                name,
                RETRY_SECONDS,
                reason,
            )
        else:
            _log.error("output '%s' is given up, everything else goes on: %s", name, reason)
        if not isinstance(error, StreamReIDError):
            _log.debug("output '%s'", name, exc_info=error)

    def _require(self, name: str, error: Exception | None = None) -> None:
        """No sink is left: that is an error, at once or after a while.

        Raises:
            OutputError: It is.
        """
        if not self._required or any(output_name(sink) not in self._gone for sink in self.sinks):
            return
        self._none_since = monotonic() if self._none_since is None else self._none_since
        if not self._gone or monotonic() - self._none_since >= PATIENCE_SECONDS:
            raise OutputError(
                f"no result can be written any more; the last output that failed was '{name}': "
                f"{self.failures.get(name)}"
            ) from error

    def _try_again(self) -> None:
        """Open anew what failed, if it is time to.

        Raises:
            OutputError: Nothing could be written for long.
        """
        if self._reopen is None or monotonic() < self._retry_at:
            return
        self._retry_at = monotonic() + RETRY_SECONDS
        for name, gap in [item for item in self._gone.items() if not item[1].opened]:
            try:
                sink = self._reopen(name)
            except Exception as error:  # also no thread or no memory
                self.failures[name] = redact(error)
                continue
            if sink is None:
                del self._gone[name]
                continue
            gap.opened = True
            self.sinks.append(sink)
        self._require(next(iter(self._gone), ""))

    def _close_gaps(self) -> None:
        """What was opened anew has taken people: it is written again."""
        for name, gap in [item for item in self._gone.items() if item[1].opened]:
            del self._gone[name]
            self._none_since = None
            self.failed.discard(name)
            self.failures.pop(name, None)
            _log.warning(
                "output '%s' is written again; %d frames of %.0f s are missing in it",
                name,
                gap.frames,
                monotonic() - gap.since,
            )


def _abort(sink: Sink) -> None:
    try:
        sink.abort()
    except Exception as error:
        _log.debug("'%s' could not be finished: %s", output_name(sink), redact(error))
