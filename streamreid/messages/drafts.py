"""What is said of an event: identity events, events at places, beginning and end of a run, as data for messages.

Revisions are messages of their own kind, told of every identity that they concern: whoever followed person 17 gets
``identity/17`` is 12 now, behind everything else that was said of 17.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streamreid.messages.envelope import Draft, capture_date
from streamreid.places.records import PlaceEvent
from streamreid.sinks import FinalIdentities
from streamreid.types import IdentityEvent

__all__ = ["identity_drafts", "identity_subject", "place_draft", "run_ended", "run_started"]

_IDENTITY, _PLACE, _RUN = "identity:1", "place:1", "run:1"

_MOST_TRACKS = 1000
"""Tracks that a message lists; brokers refuse messages of a megabyte."""


def identity_subject(global_id: int) -> str:
    """The subject of messages about an identity."""
    return f"identity/{global_id}"


def identity_drafts(event: IdentityEvent) -> list[Draft]:
    """The messages of an identity event: one about the identity, and of a revision one about the other identity too.

    Args:
        event: What happened.
    """
    data = _identity_data(event)
    kind, who = f"streamreid.identity.{event.kind}", event.global_id
    drafts = [Draft(kind, identity_subject(who), _IDENTITY, event.time, data)]
    other = event.other_id
    if other and other != who:  # who was told of it is told first
        about = {**data, "identity": other, "replaced_by": who if event.kind == "merge" else None}
        drafts.insert(0, Draft(kind, identity_subject(other), _IDENTITY, event.time, about))
    return drafts


def _identity_data(event: IdentityEvent) -> dict[str, Any]:
    tracks = event.members or (((event.camera, event.track_id),) if event.track_id else ())
    summary = event.summary
    return {
        "kind": event.kind,
        "identity": event.global_id,
        "replaced_by": None,
        "global_id": event.global_id,
        "other_id": event.other_id or None,
        "capture_time": _short(event.time, 1e6),
        "probability": _short(event.probability, 1e4),
        "reasons": {name: _short(value, 1e4) for name, value in event.reasons.items()},
        "tracks": [list(track) for track in tracks[:_MOST_TRACKS]],
        "tracks_omitted": max(0, len(tracks) - _MOST_TRACKS),
        "summary": None
        if summary is None
        else {
            "first_seen": _short(summary.first_seen, 1e6),
            "last_seen": _short(summary.last_seen, 1e6),
            "cameras": sorted(summary.cameras),
            "confirmed": summary.confirmed,
            "name": summary.name or None,
        },
    }


def _short(value: float, scale: float) -> float | None:
    """A number with as many decimals as the scale has zeros; None where it is none or infinite. Two to four times as
    fast as ``round(value, decimals)``."""
    try:
        return round(value * scale) / scale
    except (ValueError, OverflowError):
        return None


def place_draft(event: PlaceEvent) -> Draft:
    """The message of an event at a place.

    Args:
        event: What happened.
    """
    data = {
        "kind": event.kind,
        "capture_time": _short(event.time, 1e6),
        "place": event.place or None,
        "camera": event.camera or None,
        "track_id": event.track_id or None,
        "identity": event.global_id or None,
        "name": event.name or None,
        "start": None if event.start is None else _short(event.start, 1e6),
        "dwell": None if event.dwell is None else _short(event.dwell, 1e3),
        "entered": event.entered,
        "left": event.left,
        "direction": event.direction or None,
        "point": None if event.point is None else [_short(v, 1e3) for v in event.point],
        "probability": _short(event.probability, 1e4) if event.direction else None,
        "track_before": event.track_before or None,
        "occupancy": event.occupancy,
        "alert": event.alert or None,
        "rule": event.rule or None,
        "value": event.value,
        "suppressed": event.suppressed,
    }
    subject = identity_subject(event.global_id) if event.global_id else f"place/{event.place or 'everywhere'}"
    return Draft(f"streamreid.place.{event.kind}", subject, _PLACE, event.time, data)


def run_started(*, cameras: Sequence[str], version: str, live: bool, continued: bool, now: float) -> Draft:
    """The first message of a run.

    Args:
        cameras: Their names.
        version: Of streamreid.
        live: Whether cameras are live.
        continued: Whether identities keep the numbers that an earlier run gave them.
        now: Seconds since the epoch.
    """
    data: Mapping[str, Any] = {
        "kind": "started",
        "at": capture_date(now),
        "version": version,
        "cameras": list(cameras),
        "live": live,
        "continued": continued,
    }
    return Draft("streamreid.run.started", "run", _RUN, None, data)


def run_ended(identities: FinalIdentities | None, *, now: float) -> Draft:
    """The last message of a run.

    Args:
        identities: The final ones; None if the run failed.
        now: Seconds since the epoch.
    """
    count = None if identities is None else identities.count()
    data: Mapping[str, Any] = {
        "kind": "ended",
        "at": capture_date(now),
        "complete": identities is not None,
        "identities": None if count is None else count.identities,
        "confirmed": None if count is None else count.confirmed,
        "unlinked_tracks": None if count is None else count.unlinked_tracks,
    }
    return Draft("streamreid.run.ended", "run", _RUN, None, data)
