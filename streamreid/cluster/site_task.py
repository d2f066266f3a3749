"""What the process of a site is told to do, and what it tells of itself: values that can be sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streamreid.cluster.lease_store import LeaseStore
from streamreid.config import Config
from streamreid.pipeline.run import Run
from streamreid.runs.summary import Summary
from streamreid.serving import LivePage, LiveParts

__all__ = ["SiteProgress", "SiteTask"]


@dataclass(frozen=True)
class SiteTask:
    """What the process of a site is to do, in values that can be sent to it.

    Args:
        run: Id of the run, the same for all processes of its site.
        config: Cameras and settings.
        folder: Of the results.
        directory: Working folder of the command, for relative paths.
        leases: Where leases are kept.
        overwrite: Whether results that are there are replaced.
        append: Whether a live run goes on in a folder with results.
        stay: Go on without any camera.
        describe: Says in a sentence what the run is doing.
        page: Makes the page for people beside the HTTP interface; None: there is none.
    """

    run: str
    config: Config
    folder: Path
    directory: Path
    leases: LeaseStore
    overwrite: bool = False
    append: bool = True
    stay: bool = False
    describe: Callable[[Run], str] = repr
    page: Callable[[LiveParts], LivePage] | None = None


@dataclass(frozen=True, slots=True)
class SiteProgress:
    """How a site is doing.

    Args:
        pid: Its process.
        standby: Whether another process runs the site.
        ready: Whether the run has begun.
        text: What it is doing, in a sentence.
        address: Of its HTTP interface; empty without it.
        frames: Frames with results in this process.
        wanted: Labels of workers that are to be started.
        log: What was logged since the last question.
        done: Whether the run is over.
        problem: Why it could not begin or go on; empty if it could.
        summary: Of a run that is over.
    """

    pid: int
    standby: bool = False
    ready: bool = False
    text: str = ""
    address: str = ""
    frames: int = 0
    wanted: Sequence[Mapping[str, str]] = ()
    log: list[tuple[str, int, str]] = field(default_factory=list)
    done: bool = False
    problem: str = ""
    summary: Summary | None = None
