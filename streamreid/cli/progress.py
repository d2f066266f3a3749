"""One live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from streamreid.cameras.statistics import Statistics
from streamreid.cli.progress_line import Display, Heartbeat, duration
from streamreid.pipeline import Run

__all__ = ["RunProgress", "line"]

_SHOWN = 4
"""Cameras whose ages are shown; of more, the latest."""

_OFTEN_SECONDS = 120.0
"""Seconds from the start during which progress is printed often."""

_LATER_SECONDS = 60.0
"""Seconds between lines afterwards: logs of long runs stay short."""


def line(pipeline: Run) -> str:
    """What a run is doing, in one line: frames, rate, milliseconds per frame and stage, people in the pictures,
    identities."""
    s = pipeline.statistics
    expected = [c.expected for c in s.cameras.values() if c.error is None]
    total = f"/{sum(e for e in expected if e)}" if expected and all(expected) else ""
    stages = " ".join(f"{name} {ms:.1f}" for name, ms in s.per_frame().items() if ms and name != "wait")
    timing = f"ms/frame {stages} · " if stages else ""  # what workers of a cluster do is timed there
    people = pipeline.people_count
    failed = f" · {len(pipeline.failed)} failed" if pipeline.failed else ""
    tracks = sum(c.tracks for c in list(s.cameras.values()))
    return (
        f"frame {s.frames}{total} · {s.rate:.1f} fps · {timing}{tracks} tracks · {people.identities} "
        f"identities ({people.confirmed} confirmed){_live_part(s)}{failed}"
    )


def _live_part(s: Statistics) -> str:
    """Of live cameras: how old their frames are (p50/p95/p99), what was dropped, and what limits the rate."""
    live = {name: c for name, c in list(s.cameras.items()) if c.live and not c.removed}
    if not live:
        return ""
    ages = {name: found for name, c in live.items() if (found := c.ages.recent()) is not None}
    shown = sorted(ages, key=lambda name: -ages[name].p95)[:_SHOWN] if len(ages) > _SHOWN else list(ages)
    parts = [
        f"{name} {1000 * ages[name].p50:.0f}/{1000 * ages[name].p95:.0f}/{1000 * ages[name].p99:.0f}" for name in shown
    ]
    more = f" and {len(ages) - len(shown)} younger" if len(ages) > len(shown) else ""
    dropped = sum(c.dropped for c in live.values())
    away = sum(c.status is not None and c.status.state not in ("connected", "ended") for c in live.values())
    return (
        (f" · age ms {' '.join(parts)}{more}" if parts else "")
        + (f" · {dropped} dropped" if dropped else "")
        + (f" · load {100 * s.load:.0f} %" if s.load else "")
        + (f" · limited by {s.bottleneck}" if s.bottleneck and s.load > 1 else "")
        + (f" · {away} away" if away else "")
    )


class RunProgress:
    """Shows :func:`line` while a run goes on.

    Args:
        console: Where to; a terminal gets one line that is rewritten, anything else a line every ``every`` seconds,
            later every minute: logs of runs without end are not to consist of these. What takes longer than a minute
            without news is said to be still under way.
        quiet: Show nothing.
        every: Seconds between the first plain lines.
        clock: Seconds that pass.
    """

    def __init__(
        self, console: Console, *, quiet: bool = False, every: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._quiet = quiet
        self._clock = clock
        self._every = 0.125 if console.is_terminal else every
        self._began = clock()
        self._next = 0.0 if console.is_terminal else self._began + every
        self._said, self._when = "beginning", self._began
        self._heart = Heartbeat(self._still, clock=clock)
        self._live = (
            Live(console=console, refresh_per_second=8, transient=True) if console.is_terminal and not quiet else None
        )
        self._display = Display(self._live, self._heart, quiet=quiet)

    def __enter__(self) -> RunProgress:
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.stop()

    def update(self, pipeline: Run) -> None:
        """Show the present state if it is time to."""
        self.offer(lambda: line(pipeline))

    def offer(self, text: Callable[[], str]) -> None:
        """Show a sentence about the present state if it is time to; it is made only then."""
        now = self._clock()
        self._heart.cared()
        if not self._quiet and now >= self._next:
            often = self._live is not None or now - self._began < _OFTEN_SECONDS
            self._next = now + (self._every if often else max(self._every, _LATER_SECONDS))
            self.say(text())

    def say(self, text: str) -> None:
        """Show a sentence in place of the progress line, or as a line with the time."""
        if self._live is not None:
            self._live.update(Text(text, overflow="ellipsis", no_wrap=True))
        elif not self._quiet:
            self._said, self._when = text, self._clock()
            self._heart.said()
            self._console.print(Text(f"{time.strftime('%H:%M:%S')} {text}"), soft_wrap=True)

    def check(self) -> None:
        """Say what is still under way if nothing was said for a minute; called by itself while this is entered."""
        self._display.check()

    def _still(self) -> None:
        since = duration(self._clock() - self._when)
        self._console.print(Text(f"{time.strftime('%H:%M:%S')} still, after {since}: {self._said}"), soft_wrap=True)
