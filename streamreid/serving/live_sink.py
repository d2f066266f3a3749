"""The sink behind the HTTP interface: tells events to the hub and keeps who was seen where last."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from streamreid.serving.event_stream import EventHub
from streamreid.sinks import FinalIdentities
from streamreid.sinks.base import ltwh
from streamreid.types import FrameResult, IdentityEvent

__all__ = ["LastSeen", "LiveSink"]


@dataclass(slots=True)
class LastSeen:
    """When and where an identity was seen in this run.

    Args:
        first: Capture time of the first frame with it, seconds.
        last: Of the newest one.
        camera: Where that was.
        cameras: All cameras in which it was seen.
    """

    first: float
    last: float
    camera: str
    cameras: set[str] = field(default_factory=set)


class LiveSink:
    """A sink that writes nothing: for the interface only.

    Args:
        hub: Where events go.
    """

    def __init__(self, hub: EventHub) -> None:
        self._hub = hub
        self._lock = threading.Lock()
        self._seen: dict[int, LastSeen] = {}

    def write(self, result: FrameResult) -> None:
        """Note everybody in a frame."""
        frame = result.frame
        with self._lock:
            for who in result.global_ids.tolist():
                if who:
                    found = self._seen.setdefault(who, LastSeen(frame.time, frame.time, frame.camera))
                    found.last, found.camera = frame.time, frame.camera
                    found.cameras.add(frame.camera)
        if self._hub.wanted("people"):
            self._hub.publish("people", _people(result))

    def event(self, event: IdentityEvent) -> None:
        """Tell it, and keep who was seen in step with it."""
        with self._lock:
            if event.kind == "merge":
                gone, stays = self._seen.pop(event.other_id, None), self._seen.get(event.global_id)
                if gone is not None and stays is not None:
                    stays.first = min(gone.first, stays.first)
                    stays.cameras |= gone.cameras
                elif gone is not None:
                    self._seen[event.global_id] = gone
            elif event.kind == "expire":
                self._seen.pop(event.global_id, None)
        self._hub.publish(
            "identity",
            {
                "kind": event.kind,
                "time": round(event.time, 3),
                "global_id": event.global_id,
                "camera": event.camera or None,
                "track_id": event.track_id or None,
                "probability": round(event.probability, 4),
                "other_id": event.other_id or None,
            },
        )

    def sightings(self) -> dict[int, LastSeen]:
        """Who was last seen when and where, by global id."""
        with self._lock:
            return {who: LastSeen(s.first, s.last, s.camera, set(s.cameras)) for who, s in self._seen.items()}

    def settle(self, identities: FinalIdentities) -> None:
        """Who has expired was taken off already."""

    def close(self, identities: FinalIdentities) -> None:
        """End the stream of events for everybody who listens."""
        self._hub.close()

    def abort(self) -> None:
        """End the stream of events of a run that failed."""
        self._hub.close()


def _people(result: FrameResult) -> dict[str, object]:
    frame, tracks = result.frame, result.tracks
    boxes = ltwh(tracks.boxes).round(1).tolist()
    rows = zip(boxes, tracks.ids.tolist(), result.global_ids.tolist(), result.probabilities.tolist(), strict=True)
    return {
        "camera": frame.camera,
        "frame": frame.index,
        "time": round(frame.time, 3),
        "clock": frame.clock,
        "size": list(frame.size),
        "people": [
            {"box": box, "track_id": track, "global_id": who or None, "link_probability": round(p, 4) if who else None}
            for box, track, who, p in rows
        ],
    }
