"""What the page shows of a run that is over, of the replay of a cache, and of a gallery."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np

from streamreid.errors import CameraNotFound, DataError, StreamReIDError
from streamreid.gallery import Gallery
from streamreid.ground.ground_plan import GroundPlan
from streamreid.places import EVERYWHERE, camera_place
from streamreid.reports.camera_pictures import CameraPictures
from streamreid.reports.footprints import GROUND, Footprints, gather_footprints
from streamreid.reports.histories import gallery_history
from streamreid.runs.finished_corrections import FinishedCorrections
from streamreid.runs.finished_identity import FinishedIdentity
from streamreid.runs.finished_run import FinishedRun
from streamreid.runs.path_board import Way
from streamreid.runs.questions import asked_places, moment
from streamreid.runs.review import Review, finished_review
from streamreid.runs.store_corrections import StoreCorrections
from streamreid.secrets import redact
from streamreid.serving.event_stream import EventHub
from streamreid.serving.resources import TRACKS
from streamreid.sinks.colours import Colours, read_colours, told_colours
from streamreid.sinks.jsonl_reader import read_lines
from streamreid.types import TrackKey
from streamreid.web.crops import CropMaker
from streamreid.web.recorded_frames import RecordedFrames
from streamreid.web.site_view import SiteKind
from streamreid.web.viewed_corrections import ViewedCorrections

__all__ = ["FinishedView"]

_EVENTS = 2000
"""Newest events that are kept."""


class FinishedView:
    """A `SiteView` of a run that is over.

    Args:
        finished: The run.
        pictures: Where its pictures are.
        title: What it is called.
        corrections: Keeps what people correct, of a run or of the gallery; None where nothing can be corrected.
        gallery: What is shown, or that of the run: pictures can be searched for in it.
        stored_crops: Whether pictures that the gallery stores may be shown.

    Attributes:
        finished: May be replaced by one in which somebody was corrected.
    """

    kind: SiteKind = "finished"

    def __init__(
        self,
        finished: FinishedRun,
        pictures: CameraPictures,
        *,
        title: str = "",
        corrections: FinishedCorrections | StoreCorrections | None = None,
        gallery: Gallery | None = None,
        stored_crops: bool = True,
    ) -> None:
        self.finished = finished
        self._footprints: Footprints | None = None
        self._colours: dict[TrackKey, Colours] | None = None
        self._hidden = pictures.blur == "people"
        self._reading = Lock()
        self.hub = EventHub()
        self.title = title or finished.path.name
        self._frames = RecordedFrames(finished, pictures)
        self._crops = CropMaker(self._frames.frame)
        self.gallery = gallery
        self._stored_crops = stored_crops
        self.corrections: ViewedCorrections | None = None
        self.review: Review | None = None
        if isinstance(corrections, FinishedCorrections):
            made = corrections
            self.corrections = ViewedCorrections(made, lambda: made.run, made.folder, self._changed)
            self.review = finished_review(self.corrections)
        elif corrections is not None and gallery is not None:
            store = gallery
            read = lambda: gallery_history(store)  # noqa: E731
            self.corrections = ViewedCorrections(corrections, read, finished.path, self._changed)

    @property
    def can_change(self) -> bool:
        """Whether corrections can be kept."""
        return self.corrections is not None

    def _changed(self, finished: FinishedRun, event: dict[str, Any]) -> None:
        self.finished = finished
        self._frames.follow(finished)
        if event["kind"] == "expire":
            self._footprints = self._colours = None
        self.hub.publish("identity", event)

    @property
    def has_pictures(self) -> bool:
        """Whether the results say where people were in pictures."""
        return self.finished.has_boxes

    @property
    def parts(self) -> tuple[str, ...]:
        """Results do not name them."""
        return ()

    def notes(self) -> list[str]:
        """How far the run is, and what its results do not tell."""
        run = self.finished
        state = [run.state] if run.goes_on or not run.complete else []
        return [*state, *run.notes, *(redact(why) for why in self._frames.reasons.values())]

    @cached_property
    def _summary(self) -> dict[str, Any]:
        try:
            return self.finished.summary or {}
        except StreamReIDError:
            return {}

    def cameras(self) -> list[dict[str, Any]]:
        """All cameras, with the figures that the run left."""
        told, config = self._summary.get("cameras", {}), self.finished.config if self._summary else None
        settings = {} if config is None else {camera.name: camera for camera in config.cameras}
        views = []
        for name in self.finished.cameras:
            figures, camera = told.get(name, {}), settings.get(name)
            views.append(
                {
                    "name": name,
                    "uri": redact(figures.get("source") or (camera.uri if camera is not None else "")),
                    "live": False,
                    "state": "failed" if figures.get("error") else "finished",
                    "reason": redact(figures.get("error") or self._frames.reasons.get(name, "")),
                    "frames": figures.get("frames", 0),
                    "dropped": figures.get("dropped_by_reason", {}),
                    "tracks": figures.get("tracks", 0),
                    "rate": 0.0,
                    "age": figures.get("age_seconds"),
                    "last_time": figures.get("last_time"),
                    "clocks": figures.get("clocks", {}),
                    "stride": 1 if camera is None else camera.stride,
                    "roi": None if camera is None else camera.roi,
                    "size": figures.get("frame_size"),
                    "warnings": [redact(text) for text in figures.get("warnings", [])],
                }
            )
        return views

    def people(self, limit: int = 1000, camera: str | None = None) -> list[dict[str, Any]]:
        """Who was seen, the last seen first."""
        people = [p for p in self.finished.identities.values() if camera is None or camera in p.cameras]
        people.sort(key=lambda person: (-person.end, person.global_id))
        return [_person(person)[0] for person in people[:limit]]

    def person(self, global_id: int) -> dict[str, Any] | None:
        """One of them, with appearances."""
        try:
            view, appearances = _person(self.finished.identities[global_id], most=None)
        except KeyError:
            return None
        return {**view, "appearances": appearances}

    @cached_property
    def plan(self) -> GroundPlan | None:
        """The one that was kept beside the results."""
        return GroundPlan(self.finished.path) if self.finished.has_boxes else None

    def footprints(self) -> Footprints:
        """Where people stood and walked: read once, and again after somebody was erased."""
        with self._reading:
            if self._footprints is None:
                self._footprints = gather_footprints(self.finished)
            return self._footprints

    def ways(self, tracks: Iterable[TrackKey]) -> dict[TrackKey, Way]:
        """Where tracks were on the ground."""
        if not self.finished.has_boxes:
            return {}
        ground = self.footprints().surfaces.get(GROUND)
        return {} if ground is None else {key: ground.paths[key] for key in tracks if ground.paths.get(key)}

    def places(self) -> list[dict[str, Any]]:
        """Zones, lines, cameras and the site; nobody is there any more."""
        log, cameras = self.finished.place_log, list(self.finished.cameras)
        empty = {"occupancy": 0, "people": [], "entries": 0, "exits": 0}
        known = [(p.name, str(p.kind), list(p.cameras)) for p in log.places.values()]
        known += [(camera_place(name), "camera", [name]) for name in cameras] + [(EVERYWHERE, "site", cameras)]
        return [{"name": name, "kind": kind, "cameras": shown, **empty} for name, kind, shown in known]

    def counts(self, every: str | None = None, **asked: Any) -> list[dict[str, Any]]:
        """Counts per place and period; ``interval`` is always worked out where the run left what it needs."""
        asked.pop("interval", None)
        return [dict(row) for row in self.finished.counts(every, **self._question(**asked))]

    def flows(self, **asked: Any) -> list[dict[str, Any]]:
        """Moves between places."""
        return [dict(row) for row in self.finished.flows(**self._question(**asked))]

    def _question(self, **asked: Any) -> dict[str, Any]:
        run, since, until = self.finished, asked.get("since"), asked.get("until")
        names, groups = asked_places(run.place_log, asked.get("places") or [])
        return {
            "places": names,
            "groups": groups,
            "start": None if since is None else moment(since, run.start, "from"),
            "end": None if until is None else moment(until, run.start, "to"),
            "min_people": asked.get("min_people", 0),
        }

    def run(self) -> dict[str, Any]:
        """The run as a whole."""
        told, run = self._summary, self.finished
        confirmed = sum(person.confirmed for person in run.identities.values())
        return {
            "detector": str(told.get("detector", "–")),
            "engine": str(told.get("engine", "–")),
            "seconds": told.get("seconds"),
            "frames": told.get("frames", 0),
            "identities": len(run.identities),
            "confirmed": confirmed,
            "unlinked_tracks": len(run.unlinked),
            "bottleneck": told.get("bottleneck"),
            "busy": _shares(told.get("milliseconds_per_frame")),
            "cameras": {camera["name"]: camera["state"] for camera in self.cameras()},
        }

    def log(self) -> list[dict[str, Any]]:
        """A run that is over has said what it had to."""
        return []

    def events(self, limit: int = 100) -> list[dict[str, Any]]:
        """The newest events of the run, after those of this page."""
        events, _, _ = self.hub.after(0, ("identity", "camera", "place"))
        now = [{"topic": event.topic, "number": event.number, **event.data} for event in events]
        return list(reversed([*self._events, *now]))[:limit]

    @cached_property
    def _events(self) -> deque[dict[str, Any]]:
        newest: deque[dict[str, Any]] = deque(maxlen=_EVENTS)
        topics = {"event": "identity", "place": "place"}

        def take(line: dict[str, Any], _: int) -> None:
            kind = line.get("type")
            if kind in topics:
                newest.append({**line, "topic": topics[kind], "number": 0})

        if self.finished.has_boxes:
            read_lines(self.finished.path, take)
        return newest

    def span(self) -> tuple[float, float] | None:
        """First and last capture time at which anybody was seen."""
        start, end = self.finished.start, self.finished.end
        return None if start is None or end is None else (start, end)

    def frame(self, camera: str, width: int, time: float | None = None) -> tuple[bytes, bytes] | None:
        """A frame of a recording.

        Raises:
            CameraNotFound: There is no camera of that name.
        """
        if camera not in self.finished.cameras:
            raise CameraNotFound(camera, list(self.finished.cameras)[:20])
        return self._frames.frame(camera, width, time)

    def colours(self, tracks: Sequence[TrackKey]) -> Colours:
        """Of a person's body parts, as the run wrote them, or as the gallery keeps them."""
        if self._hidden:
            return {}
        if not self.finished.has_boxes:
            return {} if self.gallery is None else self._remembered_colours(self.gallery, [row for _, row in tracks])
        with self._reading:
            if self._colours is None:
                try:
                    self._colours = read_colours(self.finished.path)
                except DataError:
                    self._colours = {}
            known = self._colours
        keys = [(camera, track) for camera, track in reversed(tracks)]
        return next((known[key] for key in keys if key in known), {})

    @staticmethod
    def _remembered_colours(gallery: Gallery, rows: Sequence[int]) -> Colours:
        known = gallery.part_colours(rows)
        newest = next((known[row] for row in reversed(rows) if row in known), None)
        return {} if newest is None else told_colours(np.frombuffer(newest, np.uint8).reshape(-1, 4))

    def crop(self, key: TrackKey, time: float | None = None) -> bytes | None:
        """A picture out of the recording, with the same people hidden as in frames; of a gallery the one it stores."""
        if not self.finished.has_boxes:
            stores = self.gallery is not None and self._stored_crops
            return next(iter(self.gallery.crops([key[1]]).values()), None) if self.gallery and stores else None
        span = next((s for s in self.finished.place_log.spans if s.key == key), None)
        if span is None:
            return None
        return self._crops.crop(key, (span.start + span.end) / 2 if time is None else time)

    def close(self) -> None:
        """Close recordings, and tell listeners that nothing more comes."""
        self.hub.close()
        self._frames.close()


def _shares(milliseconds: object) -> dict[str, float]:
    """Share of the time by stage, of what a summary says of each frame."""
    if not isinstance(milliseconds, dict):
        return {}
    spent = {str(name): float(ms) for name, ms in milliseconds.items() if isinstance(ms, int | float)}
    return {name: ms / max(sum(spent.values()), 1e-9) for name, ms in spent.items()}


def _person(person: FinishedIdentity, most: int | None = TRACKS) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """As ``GET /identities`` shows it, and all appearances."""
    appearances = [
        {
            "camera": a.camera,
            "track_id": a.track_id,
            "start": a.start,
            "end": a.end,
            "observations": a.observations,
            "probability": a.probability,
        }
        for a in person.appearances
    ]
    tracks = sorted([a.camera, a.track_id] for a in person.appearances)
    last = max(person.appearances, key=lambda appearance: appearance.end)
    view = {
        "global_id": person.global_id,
        "name": person.name or None,
        "cameras": sorted(person.cameras),
        "tracks": tracks if most is None else tracks[-most:],
        "track_count": len(tracks),
        "probability": round(person.probability, 4),
        "confirmed": person.confirmed,
        "staff": person.staff,
        "first_seen": round(person.start, 3),
        "last_seen": round(person.end, 3),
        "last_camera": last.camera,
    }
    return view, appearances
