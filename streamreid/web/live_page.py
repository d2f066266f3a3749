"""The page of a live run."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from fastapi import FastAPI

from streamreid.config import OutputConfig
from streamreid.errors import CameraNotFound
from streamreid.gallery import Gallery
from streamreid.ground.ground_plan import GroundPlan
from streamreid.pipeline import Pipeline
from streamreid.pipeline.camera_tracking import CameraTracking
from streamreid.pipeline.live_corrections import LiveCorrections
from streamreid.reports.camera_pictures import stricter
from streamreid.runs.path_board import Way
from streamreid.runs.review import LiveReviewedRun, Review
from streamreid.serving.event_stream import EventHub
from streamreid.serving.live_places import LivePlaces
from streamreid.serving.resources import camera_view, identity_views, run_view
from streamreid.serving.review import add_review
from streamreid.serving.server import LivePage, LiveParts
from streamreid.sinks import Sink, draw_style
from streamreid.sinks.colours import Colours
from streamreid.types import TrackKey
from streamreid.web.frame import Frame
from streamreid.web.log_lines import LogLines
from streamreid.web.pictures import PictureFeed
from streamreid.web.site_view import SiteKind

__all__ = ["LiveView", "live_page"]

_STILL_SECONDS = 3.0
"""Seconds for which the next frame of a camera is waited for."""

_POLL_SECONDS = 0.02


class LiveView:
    """A `SiteView` of a run that goes on.

    Args:
        parts: The run and what belongs to it.
        feed: Makes its pictures.
    """

    kind: SiteKind = "live"
    can_change = True
    has_pictures = True

    def __init__(self, parts: LiveParts, feed: PictureFeed) -> None:
        self.live = parts
        self.feed = feed
        self._places = LivePlaces(parts.pipeline, parts.board.settled)
        pipeline = parts.pipeline
        reviewed = LiveReviewedRun(
            pipeline.corrections,
            pipeline.site.pair_links,
            lambda: pipeline.identities,
            lambda: pipeline.places.log().spans,
        )
        self.review = Review(reviewed)
        self._log = LogLines()
        self._log.open()

    @property
    def pipeline(self) -> Pipeline:
        """The run."""
        return self.live.pipeline

    @property
    def hub(self) -> EventHub:
        """Tells what happens."""
        return self.live.hub

    @property
    def title(self) -> str:
        """How many cameras there are."""
        return ", ".join(c.name for c in self.pipeline.cameras.configs[:4]) or "streamreid"

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of body parts."""
        return tuple(self.pipeline.site.engine.parts)

    def notes(self) -> list[str]:
        """What went wrong with outputs."""
        return [f"{name}: {why}" for name, why in self.pipeline.statistics.outputs.items()]

    def cameras(self) -> list[dict[str, Any]]:
        """All cameras."""
        self.pipeline.cameras.refresh_statistics()
        return [camera_view(self.pipeline, config) for config in self.pipeline.cameras.configs]

    def people(self, limit: int = 1000) -> list[dict[str, Any]]:
        """Who is remembered."""
        return identity_views(self.pipeline, limit=limit)

    def person(self, global_id: int) -> dict[str, Any] | None:
        """One of them, with appearances."""
        found = next(iter(identity_views(self.pipeline, only=global_id)), None)
        if found is None:
            return None
        spans = {(span.camera, span.track_id): span for span in self.pipeline.places.log().spans}
        links = self.pipeline.identities
        appearances = []
        for camera, track in (tuple(key) for key in found["tracks"]):
            span = spans.get((camera, track))
            if span is not None:
                appearances.append(
                    {
                        "camera": camera,
                        "track_id": track,
                        "start": span.start,
                        "end": span.end,
                        "observations": span.observations,
                        "probability": links.get((camera, track), (0, 0.0))[1],
                    }
                )
        return {**found, "appearances": sorted(appearances, key=lambda a: a["start"])}

    @property
    def plan(self) -> GroundPlan:
        """That of the run."""
        return self.live.setup.plan

    def ways(self, tracks: Iterable[TrackKey]) -> dict[TrackKey, Way]:
        """Where tracks were on the ground so far."""
        return self.live.setup.paths.ways(tracks)

    def places(self) -> list[dict[str, Any]]:
        """Places as they are now."""
        return self._places.zones()

    def counts(self, every: str | None = None, **asked: Any) -> list[dict[str, Any]]:
        """Counts per place and period."""
        return [dict(row) for row in self._places.counts(every, **asked)]

    def flows(self, **asked: Any) -> list[dict[str, Any]]:
        """Moves between places."""
        return [dict(row) for row in self._places.flows(**asked)]

    def run(self) -> dict[str, Any]:
        """The run as a whole, with its memory in MiB, what waits where, and what brokers have not got yet."""
        deliveries = [asdict(state) for state in self.pipeline.statistics.deliveries]
        waiting = {"deliveries": deliveries, "queues": self._queues()}
        return {**run_view(self.pipeline), "memory": _resident(), **waiting}

    def _queues(self) -> dict[str, int]:
        """How much waits, by what for."""
        queues, memory = {}, self.pipeline.memory
        if isinstance(self.pipeline.tracking, CameraTracking):
            queues["delay"] = self.pipeline.tracking.held
        if memory is not None:
            queues["gallery"] = memory.writer.waiting
        states = self.pipeline.statistics.deliveries
        return {**queues, **({"messages": sum(state.waiting for state in states)} if states else {})}

    def log(self) -> list[dict[str, Any]]:
        """The newest lines of the log."""
        return self._log.newest()

    def events(self, limit: int = 100) -> list[dict[str, Any]]:
        """The newest events."""
        events, _, _ = self.hub.after(0, ("identity", "camera", "place"))
        newest = reversed(events[-limit:])
        return [{"topic": event.topic, "number": event.number, **event.data} for event in newest]

    def span(self) -> tuple[float, float] | None:
        """It goes on."""
        return None

    def frame(self, camera: str, width: int, time: float | None = None) -> tuple[bytes, bytes] | None:
        """The next frame of a camera; None if none comes within some seconds.

        Raises:
            CameraNotFound: There is none of that name.
        """
        names = [config.name for config in self.pipeline.cameras.configs]
        if camera not in names:
            raise CameraNotFound(camera, names[:20])
        keys = ((camera, width),)
        self.feed.subscribe(keys)
        try:
            end = monotonic() + _STILL_SECONDS
            while monotonic() < end:
                made = self.feed.newest(keys[0])
                if made is not None:
                    return made.header, made.jpeg
                sleep(_POLL_SECONDS)
            return None
        finally:
            self.feed.unsubscribe(keys)

    @property
    def corrections(self) -> LiveCorrections:
        """Of the run."""
        return self.pipeline.corrections

    @property
    def gallery(self) -> Gallery | None:
        """Beside the run."""
        return None if self.pipeline.memory is None else self.pipeline.memory.store

    def colours(self, tracks: Sequence[TrackKey]) -> Colours:
        """Of a person's body parts; none where whole people are hidden from viewers."""
        if self.pipeline.config.page_blur == "people":
            return {}
        return next(
            (found for key in reversed(tracks) if (found := self.live.setup.colours.colours((key[0], key[1])))), {}
        )

    def crop(self, key: TrackKey, time: float | None = None) -> bytes | None:
        """The picture that the gallery stores or is about to store (``gallery.crops``); None where viewers may see less
        than it shows."""
        memory, config = self.pipeline.memory, self.pipeline.config
        if memory is None or stricter(config.page_blur, config.output.blur) != config.output.blur:
            return None
        held = memory.crops.jpeg(key)
        if held is not None:
            return held
        who = self.pipeline.identities.get(key, (0, 0.0))[0]
        rows = [
            row
            for row, a in memory.store.track_records([who]).items()
            if (a.run, a.camera, a.track_id) == (memory.run, *key)
        ]
        return next(iter(memory.store.crops(rows).values()), None) if rows else None

    def close(self) -> None:
        """Listen to the log no more."""
        self._log.close()


class _LivePage:
    def __init__(self, parts: LiveParts) -> None:
        self.feed = PictureFeed(draw_style(OutputConfig(blur=parts.pipeline.config.page_blur)).blur)
        self.view = LiveView(parts, self.feed)
        self.frame = Frame(self.view, parts.sessions, self.feed)

    @property
    def sinks(self) -> Sequence[Sink]:
        return (self.feed,)

    def add(self, app: FastAPI) -> None:
        self.frame.add(app)
        add_review(app, self.view.review)

    def close(self) -> None:
        self.feed.abort()
        self.view.close()


def _resident() -> float | None:
    """MiB of memory that this process holds; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * mmap.PAGESIZE / 2**20


def live_page(parts: LiveParts) -> LivePage:
    """The page of a run, for :class:`streamreid.serving.Server`."""
    return _LivePage(parts)
