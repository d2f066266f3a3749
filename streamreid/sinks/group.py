"""Many sinks as one, none of which can stop the others: one that fails is dropped with its reason, and the run goes on as long as one is left."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping, Sequence

from streamreid.errors import OutputError, StreamReIDError
from streamreid.secrets import redact
from streamreid.sinks.base import FinalIdentities, Sink, SinkContext
from streamreid.types import FrameResult, IdentityEvent

__all__ = ["SinkGroup", "output_name"]

_log = logging.getLogger(__name__)


def output_name(sink: Sink) -> str:
    """What a sink is called in messages, metrics and ``summary.json``: mot, jsonl, parquet, crops, video, mosaic, world, or its class."""
    return str(getattr(sink, "output", type(sink).__name__))


class SinkGroup(SinkContext):
    """Hands everything to each of its sinks.

    Args:
        sinks: In the order in which they are called.
        failures: Reasons of failed sinks, by name; a shared one is added to.
        required: Whether it is an error that no sink is left (of listeners, none is needed).

    Attributes:
        failed: Names of the sinks of this group that failed.
    """

    def __init__(self, sinks: Sequence[Sink], failures: MutableMapping[str, str] | None = None, *, required: bool = True) -> None:
        self.sinks = list(sinks)
        self.failures: MutableMapping[str, str] = {} if failures is None else failures
        self.failed: set[str] = set()
        self._required = required and bool(sinks)

    def write(self, result: FrameResult) -> None:
        """Hand on a frame's result.

        Raises:
            OutputError: The last sink failed.
        """
        self._each(lambda sink: sink.write(result))

    def event(self, event: IdentityEvent) -> None:
        """Hand on an event.

        Raises:
            OutputError: The last sink failed.
        """
        self._each(lambda sink: sink.event(event))

    def settle(self, identities: FinalIdentities) -> None:
        """Hand on tracks that no revision can reach any more.

        Raises:
            OutputError: The last sink failed.
        """
        self._each(lambda sink: sink.settle(identities))

    def close(self, identities: FinalIdentities) -> None:
        """Finish all.

        Raises:
            OutputError: None of them could be finished.
        """
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
        self.failed.add(name)
        self.failures[name] = reason
        _abort(sink)
        if self._required and not self.sinks:
            raise OutputError(f"no result can be written any more; the last output that failed was '{name}': {reason}") from error
        _log.error("output '%s' is given up, everything else goes on: %s", name, reason)
        if not isinstance(error, StreamReIDError):
            _log.debug("output '%s'", name, exc_info=error)


def _abort(sink: Sink) -> None:
    try:
        sink.abort()
    except Exception as error:
        _log.debug("'%s' could not be finished: %s", output_name(sink), redact(error))
