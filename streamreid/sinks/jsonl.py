"""JSON lines: every person in every frame, every identity event, and at the end who was who.

Schema 1. One object per line, UTF-8; ``type`` says which kind. Readers must ignore keys and types they do not know.

``header``
    The first line (and again where a live run was started anew in the same folder): ``schema`` (1), ``version`` of
    streamreid, ``cameras`` (names), ``resumed`` (only where true: the same run goes on here, behind lines that could
    not be written), ``clocks`` (the values that ``clock`` can take and what they mean), ``units``.
``person``
    One person in one frame: ``camera``, ``frame`` (number of the picture in its source, from 0), ``time`` (capture
    time, seconds), ``clock``, ``box`` ([left, top, width, height], pixels), ``score`` (detector, 0..1), ``track_id``
    (unique in the camera and run), ``global_id`` (who, as believed when the line was written; null if not decided
    yet), ``link_probability`` (0..1; null if ``global_id`` is null), ``visibility`` (per part, 0..1; part 0 is the
    whole person), ``world`` ([x, y] on the ground in metres; only where the camera is calibrated and the place is
    known).
``event``
    A change of belief: ``kind`` (new, link, merge, split, confirm, expire, rename, staff, different),
    ``time``, ``global_id``, ``camera``,
    ``track_id``, ``probability``, ``other_id``; empty camera, track 0 and other 0 are null. ``reasons`` (where there
    are any): term -> value, what each kind of evidence added to the log-odds and how alike which part was.
    ``name``: what a person called ``global_id`` (`streamreid gallery rename`), where there is a name; "" where one
    was taken back. Person and identity lines of a named identity have it too. ``staff``: whether ``global_id`` works
    there, in events of the kind ``staff``; identity lines of staff have ``"staff": true``. What people corrected has
    the reason ``correction``.
``place``
    Something happened at a zone or line, or a person was first or last seen: ``kind`` (zone_entered, zone_left,
    line_crossed, occupancy_reached, occupancy_ended, loitering, first_seen, last_seen, alert), ``time``, ``place``,
    ``camera``, ``track_id``, ``global_id`` (as believed then), and what the kind has: ``start`` and ``dwell``
    (seconds) of the stay, ``entered`` and ``left`` (whether the boundary was crossed), ``direction`` and ``point``,
    ``probability`` and ``track_before`` where the line lies between two tracks of the person, ``occupancy`` (people
    there then), of an alert its name ``alert``, its ``rule``, ``value`` and ``suppressed``.
``visit``
    A track was in a zone: ``place``, ``camera``, ``track_id``, ``start``, ``end``, ``entered``, ``left``. Written when
    the visit is over; nothing in it depends on who is who.
``identity``
    Written when the run ends, or in a run without end when a person is no longer searched: ``global_id``, ``members``
    ([[camera, track_id], ...]), ``probability`` (the least of its members'), ``confirmed`` (seen well enough and long
    enough). These lines supersede the ``global_id`` of the person lines.
``unlinked``
    At the same times, a track that was seen too little to be a person: ``camera``, ``track_id``, ``global_id`` (a
    number for the track, which counts nobody).
``end``
    The last line: ``complete`` (false if the run failed), ``frames`` per camera, ``people`` (person lines),
    ``events``, ``tracks``, ``identities`` (people), ``confirmed`` (those among them), ``unlinked_tracks``. A run
    without it was killed or is still going on.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from streamreid.places.records import PlaceEvent, Visit
from streamreid.sinks.base import FinalIdentities, LineFile, SinkContext
from streamreid.sinks.result_block import BlockColumns, ResultBlock
from streamreid.types import FrameResult, IdentityEvent

__all__ = ["SCHEMA", "JsonlSink", "group_identities"]

SCHEMA = 1
"""Version of the format; it grows when a reader must change."""

_CLOCKS = {
    "pts": "presentation time stamps of the file or stream",
    "rtcp": "RTCP sender reports of the camera",
    "arrival": "arrival at the receiving machine",
    "rate": "frame number / frame rate",
}
_UNITS = {
    "time": "seconds (UTC for live cameras; offset + presentation time for files)",
    "box": "pixels: left, top, width, height",
}
# One encoder for all lines: json.dumps with arguments would build a new one per call.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _version() -> str:
    # streamreid.__version__ would tie this room to the package root, which knows the pipeline.
    try:
        return version("streamreid")
    except PackageNotFoundError:
        return "unknown"


def group_identities(identities: FinalIdentities) -> list[tuple[int, list[tuple[str, int]], float]]:
    """Identities with their sorted members and the least link probability among them, ordered by global id."""
    members: dict[int, list[tuple[str, int]]] = defaultdict(list)
    least: dict[int, float] = {}
    for track, (global_id, probability) in identities.items():
        members[global_id].append(track)
        least[global_id] = min(probability, least.get(global_id, 1.0))
    return [(g, sorted(members[g]), least[g]) for g in sorted(members)]


class JsonlSink(SinkContext):
    """Writes JSON lines as described in this module.

    Args:
        path: The file.
        cameras: Names for the header.
        append: Go on behind an earlier run; otherwise the file is replaced.
        resumed: The run is the same as before, and lines are missing in between. The counts of its last line begin
            here.
        block_seconds: How long people may wait to be written together with others; 0 writes each frame at once.
    """

    output = "jsonl"

    def __init__(
        self,
        path: Path | str,
        cameras: list[str] | None = None,
        *,
        append: bool = False,
        resumed: bool = False,
        block_seconds: float = 0.0,
    ) -> None:
        self._file = LineFile(Path(path), append=append)
        self._frames: Counter[str] = Counter(dict.fromkeys(cameras or [], 0))
        self._counts = {"people": 0, "events": 0, "tracks": 0, "identities": 0, "confirmed": 0, "unlinked_tracks": 0}
        self._closed = False
        self._block = ResultBlock(block_seconds)
        names = list(self._frames)
        header = {
            "schema": SCHEMA,
            "type": "header",
            "version": _version(),
            "cameras": names,
            **({"resumed": True} if resumed else {}),
        }
        self._put({**header, "clocks": _CLOCKS, "units": _UNITS})

    def _put(self, line: dict[str, Any]) -> None:
        self._write_block()
        self._file.write(_encode(line) + "\n")

    def write(self, result: FrameResult) -> None:
        """Append one line per person of a frame."""
        self._frames[result.frame.camera] += 1
        self._counts["people"] += len(result.tracks)
        if self._block.add(result):
            self._write_block()

    def _write_block(self) -> None:
        if len(self._block):
            # One call for all people; no string in a line can hold this border, as quotes in strings are escaped.
            lines = orjson.dumps(_people(self._block.take()))[1:-1].replace(_BORDER, _LINE_END)
            self._file.write(lines + b"\n")

    def event(self, event: IdentityEvent) -> None:
        """Append one line for a change of an identity."""
        self._counts["events"] += 1
        line: dict[str, Any] = {
            "type": "event",
            "kind": event.kind,
            "time": round(float(event.time), 6),
            "global_id": int(event.global_id),
            "camera": event.camera or None,
            "track_id": int(event.track_id) or None,
            "probability": round(float(event.probability), 4),
            "other_id": int(event.other_id) or None,
        }
        if event.name or event.kind == "rename":
            line["name"] = event.name
        if event.kind == "staff":
            line["staff"] = event.summary is not None and event.summary.staff
        if event.reasons:
            line["reasons"] = {term: round(float(value), 4) for term, value in event.reasons.items()}
        self._put(line)

    def place(self, event: PlaceEvent) -> None:
        """Append one line for what happened at a place."""
        self._put({"type": "place", **event.to_dict()})

    def visit(self, visit: Visit) -> None:
        """Append one line for the visit of a track."""
        self._put({"type": "visit", **visit.to_dict()})

    def finalize_tracks(self, identities: FinalIdentities) -> None:
        """Append who was who of those who are no longer searched."""
        identities = FinalIdentities.of(identities)
        for global_id, members, probability in group_identities(identities):
            listed = [[camera, int(track)] for camera, track in members]
            if global_id in identities.unlinked or not global_id:
                for camera, track in listed:
                    self._put(
                        {"type": "unlinked", "global_id": int(global_id) or None, "camera": camera, "track_id": track}
                    )
                continue
            line: dict[str, Any] = {
                "type": "identity",
                "global_id": int(global_id),
                "members": listed,
                "probability": round(float(probability), 4),
            }
            line["confirmed"] = global_id in identities.confirmed
            if global_id in identities.names:
                line["name"] = identities.names[global_id]
            if global_id in identities.staff:
                line["staff"] = True
            self._put(line)
        found = identities.count()
        self._counts["tracks"] += len(identities)
        for name in ("identities", "confirmed", "unlinked_tracks"):
            self._counts[name] += getattr(found, name)

    def close(self, identities: FinalIdentities) -> None:
        """Append who was who and the counts."""
        if self._closed:
            return
        self.finalize_tracks(identities)
        self._end(complete=True)

    def abort(self) -> None:
        """Append the counts, marked incomplete."""
        if not self._closed:
            self._end(complete=False)

    def _end(self, complete: bool) -> None:
        self._closed = True
        try:
            self._put({"type": "end", "complete": complete, "frames": dict(self._frames), **self._counts})
        finally:
            self._file.close()


_BORDER, _LINE_END = b'},{"type":"person",', b'}\n{"type":"person",'


def _people(results: Sequence[FrameResult]) -> list[dict[str, Any]]:
    """What is written of the people of some frames, in the order of the keys."""
    columns = BlockColumns.of(results)
    boxes = iter(columns.boxes.round(2).tolist())
    scores = iter(columns.scores.astype(np.float64).round(4).tolist())
    probabilities = iter(columns.probabilities.astype(np.float64).round(4).tolist())
    ids, identities, world = iter(columns.ids), iter(columns.who), iter(columns.world)
    visibility = iter(_visibility(results))
    people = []
    for result in results:
        frame, names = result.frame, result.names
        head = {
            "type": "person",
            "camera": frame.camera,
            "frame": int(frame.index),
            "time": round(float(frame.time), 6),
            "clock": frame.clock,
        }
        for _ in range(len(result.tracks)):
            who, probability, place = next(identities), next(probabilities), next(world)
            person = {
                **head,
                "box": next(boxes),
                "score": next(scores),
                "track_id": next(ids),
                "global_id": who or None,
                "link_probability": probability if who else None,
                "visibility": next(visibility),
            }
            if place is not None:
                person["world"] = [round(place[0], 3), round(place[1], 3)]
            if who in names:
                person["name"] = names[who]
            people.append(person)
    return people


def _visibility(results: Sequence[FrameResult]) -> list[list[float]]:
    found = [result.visibility for result in results]
    if len({len(item[0]) for item in found}) > 1:  # parts of engines that differ
        return [row for item in found for row in item.astype(np.float64).round(3).tolist()]
    rounded: list[list[float]] = np.concatenate(found).astype(np.float64).round(3).tolist()
    return rounded
