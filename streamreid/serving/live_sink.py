"""The sink behind the HTTP interface: tells results and events to the hub."""

from __future__ import annotations

from streamreid.places.records import PlaceEvent, Visit
from streamreid.runs.recent_counts import SettledTracks
from streamreid.serving.event_stream import EventHub
from streamreid.sinks import FinalIdentities
from streamreid.sinks.base import ltwh
from streamreid.types import FrameResult, IdentityEvent

__all__ = ["LiveSink"]


class LiveSink:
    """A sink that writes nothing: for the interface only.

    Args:
        hub: Where events go.
    """

    def __init__(self, hub: EventHub) -> None:
        self.hub = hub
        self.settled = SettledTracks()

    def write(self, result: FrameResult) -> None:
        """Tell who is in a frame."""
        if self.hub.wanted("people"):
            self.hub.publish("people", _people(result))

    def event(self, event: IdentityEvent) -> None:
        """Tell a change of an identity."""
        self.hub.publish(
            "identity",
            {
                "kind": event.kind,
                "time": round(event.time, 3),
                "global_id": event.global_id,
                "camera": event.camera or None,
                "track_id": event.track_id or None,
                "probability": round(event.probability, 4),
                "other_id": event.other_id or None,
                "name": event.name or None,
                "reasons": {term: round(float(value), 3) for term, value in event.reasons.items()},
            },
        )

    def place(self, event: PlaceEvent) -> None:
        """Tell what happened at a zone or line."""
        self.hub.publish("place", event.to_dict())

    def visit(self, visit: Visit) -> None:
        """Nothing to tell: its events were told."""

    def finalize_tracks(self, identities: FinalIdentities) -> None:
        """Remember who these tracks were; nothing is to be told, since their events were."""
        self.settled.add(identities)

    def close(self, identities: FinalIdentities) -> None:
        """End the stream of events for everybody who listens."""
        self.hub.close()

    def abort(self) -> None:
        """End the stream of events of a run that failed."""
        self.hub.close()


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
            {
                "box": box,
                "track_id": track,
                "global_id": who or None,
                "link_probability": round(p, 4) if who else None,
                "name": result.names.get(who),
            }
            for box, track, who, p in rows
        ],
    }
