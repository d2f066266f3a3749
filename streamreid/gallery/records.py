"""What a gallery holds, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from streamreid.types import Float64Array, FloatArray, IdentityEvent, IntArray, PartFeatures, PossibleLinks, TrackKey

__all__ = [
    "COUNTED",
    "HOUR",
    "AuditEntry",
    "Batch",
    "Change",
    "Constraint",
    "ConstraintKind",
    "EngineStamp",
    "Erasure",
    "EventRecord",
    "HourlyCount",
    "IdentityRecord",
    "Limits",
    "LinkTable",
    "PossibleLinks",
    "PrototypeBlock",
    "Retention",
    "TrackRecord",
]

ConstraintKind = Literal["same", "different"]

HOUR = 3600.0
"""Seconds."""

COUNTED = (
    "visits",
    "entries",
    "exits",
    "re_entries",
    "passers_by",
    "occupancy_mean",
    "occupancy_max",
    "dwell_median",
    "dwell_p90",
    "people",
    "people_low",
    "people_high",
)
"""The numbers of an hourly count, in their order."""


@dataclass(frozen=True, slots=True)
class EngineStamp:
    """Which engine made the features; features of another one cannot be compared with them.

    Args:
        name: What it is called in messages.
        fingerprint: Hash of everything that changes features.
        parts: K.
        dim: D.
    """

    name: str
    fingerprint: str
    parts: int
    dim: int


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """One track of one camera: when and where an identity was seen.

    Args:
        run: Which run of the program; track ids are unique in a run and camera only.
        camera: Name of the camera.
        track_id: Its id there.
        global_id: The identity.
        start: Capture time of the first observation, seconds.
        end: Capture time of the last one.
        probability: Link probability in [0, 1].
        observations: Observations with features.
        stored: UTC seconds at which it was last written; filled in by the gallery.
    """

    run: str
    camera: str
    track_id: int
    global_id: int
    start: float
    end: float
    probability: float = 1.0
    observations: int = 1
    stored: float = 0.0

    @property
    def key(self) -> tuple[str, str, int]:
        """Run, camera and track: unique in a gallery."""
        return self.run, self.camera, self.track_id


@dataclass(frozen=True, slots=True)
class HourlyCount:
    """How many people were at a place in an hour. It names nobody.

    Args:
        runs: Runs that counted.
        place: A zone, a camera (``camera:NAME``), or ``everywhere``.
        hour: When the hour began, UTC seconds.
        seconds: How much of the hour the runs watched, at most 3600.
        visits, entries, exits, re_entries, passers_by, occupancy_mean, occupancy_max, dwell_median, dwell_p90: As in
            `streamreid.places.CountsTable`, dwell in seconds; None where withheld, dwell also where nobody was or
            where several runs saw somebody.
        people: Number of different people, ``unique`` of that table; None where withheld.
        people_low: Lower end of its 90 % interval; None where there is none.
        people_high: Upper end.
        min_people: Counts of fewer people than this, but not none, are withheld.
        tracks: How many tracks were counted; None where withheld, and where an earlier version counted.
        revised: UTC seconds of the last write; filled in by the gallery.
    """

    runs: tuple[str, ...]
    place: str
    hour: float
    seconds: float
    visits: int | None
    entries: int | None
    exits: int | None
    re_entries: int | None
    passers_by: int | None
    occupancy_mean: float | None
    occupancy_max: int | None
    dwell_median: float | None
    dwell_p90: float | None
    people: int | None
    people_low: int | None
    people_high: int | None
    min_people: int = 0
    tracks: int | None = None
    revised: float = 0.0

    @property
    def withheld(self) -> bool:
        """Whether it is about so few people that nothing is said of them."""
        return self.people is None

    def without_numbers(self) -> HourlyCount:
        """Only what says where and when."""
        nothing = dict.fromkeys((*COUNTED, "tracks"))
        return replace(self, **nothing)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, eq=False)
class LinkTable:
    """Which of the tracks in a gallery may be one person.

    Args:
        tracks: ``[E, 2]`` row ids of two tracks of a run, the later one first.
        track_log_odds: ``[E]`` that both are one person, without the prior of one in so many people.
        people: ``[F, 2]`` row id of a track and global id of somebody who was known before its run.
        people_log_odds: ``[F]`` that the track is this person, as ``track_log_odds``.
        compared: Row ids of the tracks that were compared with others; of the rest nothing is known but who they are.
    """

    tracks: IntArray
    track_log_odds: Float64Array
    people: IntArray
    people_log_odds: Float64Array
    compared: frozenset[int]


@dataclass(slots=True)
class Batch:
    """What is written in one transaction: all of it is there afterwards, or nothing.

    Args:
        run: The run it belongs to.
        track_records: By camera and track id, new ones and those that went on; a later one replaces an earlier one.
        prototypes: By camera and track id the part features, and their quality ``[P]`` in [0, 1], that take the place
            of the older ones of this track.
        events: What was decided.
        crops: By camera and track id a JPEG picture.
        colours: By camera and track id the colours of body parts, as bytes.
        counts: By place and hour; a later one replaces an earlier one.
        links: By camera and track id who else the track may be; a later one replaces an earlier one.
    """

    run: str
    track_records: dict[TrackKey, TrackRecord] = field(default_factory=dict)
    prototypes: dict[TrackKey, tuple[PartFeatures, FloatArray]] = field(default_factory=dict)
    events: list[IdentityEvent] = field(default_factory=list)
    crops: dict[TrackKey, bytes] = field(default_factory=dict)
    colours: dict[TrackKey, bytes] = field(default_factory=dict)
    counts: dict[tuple[str, float], HourlyCount] = field(default_factory=dict)
    links: dict[TrackKey, PossibleLinks] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.track_records or self.events or self.counts or self.links)

    def __len__(self) -> int:
        """Number of track records and events that wait in the batch."""
        return len(self.track_records) + len(self.events)

    def absorb(self, later: Batch) -> None:
        """Add what came later, for another attempt to write both."""
        self.track_records.update(later.track_records)
        self.prototypes.update(later.prototypes)
        self.events += later.events
        self.crops.update(later.crops)
        self.colours.update(later.colours)
        self.counts.update(later.counts)
        self.links.update(later.links)

    def discard(self, key: TrackKey) -> None:
        """Leave out everything of a track but its events."""
        for held in (self.track_records, self.prototypes, self.crops, self.colours, self.links):
            held.pop(key, None)


@dataclass(frozen=True, slots=True)
class IdentityRecord:
    """One remembered identity, summed up.

    Args:
        global_id: Never given to another identity.
        name: Given by an operator; empty if none.
        first_seen: Capture time in seconds.
        last_seen: Capture time in seconds.
        stored: UTC seconds of the last write.
        cameras: Those that saw it.
        track_records: How many tracks.
        prototypes: How many part features are kept.
        probability: Least link probability of the tracks, in [0, 1].
        confirmed: Whether a run confirmed the identity, or it was seen as often and as long as that takes by default.
            At its end, a run also stores identities that were seen often enough but not for long enough.
        staff: Whether somebody said that they work there.
    """

    global_id: int
    name: str
    first_seen: float
    last_seen: float
    stored: float
    cameras: frozenset[str]
    track_records: int
    prototypes: int
    probability: float
    confirmed: bool = True
    staff: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class PrototypeBlock:
    """Prototypes of remembered identities, row by row.

    Args:
        ids: ``[P]`` int64, rising over the life of a gallery; a prototype never changes under its id.
        global_ids: ``[P]`` int64 identities.
        features: P rows.
        quality: ``[P]`` float32 in [0, 1].
        track_records: ``[P]`` int64 row ids of the track records they come from.
    """

    ids: IntArray
    global_ids: IntArray
    features: PartFeatures
    quality: FloatArray
    track_records: IntArray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An identity event of some run, with its reasons. See ``IdentityEvent``."""

    run: str
    stored: float
    event: IdentityEvent


@dataclass(frozen=True, slots=True)
class Constraint:
    """What an operator said about two identities; later clustering respects it."""

    kind: ConstraintKind
    one: int
    other: int
    stored: float = 0.0


@dataclass(frozen=True, slots=True)
class GalleryCorrection:
    """What an operator corrected in a gallery.

    Args:
        number: Of the correction, for ``Gallery.undo``.
        kind: ``rename``, ``staff``, ``merge``, ``split`` or ``different``.
        one: Global id; of a merge, the one that stays.
        other: Of a merge, the one that became part of it; of a split, the new one; 0 for none.
        stored: When, UTC seconds.
        undone: Whether it was undone.
        detail: What undoing it takes.
    """

    number: int
    kind: str
    one: int
    other: int = 0
    stored: float = 0.0
    undone: bool = False
    detail: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Change:
    """An identity changed.

    Args:
        identity: Its global id.
        kind: ``write``, ``merge``, ``split``, ``rename``, ``constraint``, ``forget``, ``expire`` or ``evict``.
    """

    identity: int
    kind: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who searched or erased what, when (UTC seconds)."""

    stored: float
    actor: str
    action: str
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what was recorded is kept, in seconds; None: no limit of time."""

    seconds: float | None = 24 * 3600.0
    cameras: Mapping[str, float] = field(default_factory=dict)

    def of(self, camera: str) -> float | None:
        """Seconds for which one camera's records are kept; None: no limit."""
        return self.cameras.get(camera, self.seconds)

    @property
    def shortest(self) -> float | None:
        """The shortest one, None if nothing expires."""
        return min([*self.cameras.values(), *([self.seconds] if self.seconds is not None else [])], default=None)


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps; see ``GalleryConfig`` for the meaning (``max_track_records`` is ``max_appearances`` there)."""

    prototypes: int = 8
    max_identities: int = 20_000
    max_prototypes: int = 100_000
    max_events: int = 200_000
    max_track_records: int = 500_000


@dataclass(slots=True)
class Erasure:
    """What an erasure did, and the proof.

    Args:
        identities: Global ids that are gone (with those that had been merged into them).
        removed: Rows by table.
        searched: Bytes of files that were searched for remains.
        remains: Places where bytes of erased features or pictures were still found; empty when all is well.
        done: Backups and exports from which they were removed as well.
        unreachable: Backups and exports that could not be opened, and caches and results in which they may still be:
            path and reason.
        results: Those of ``unreachable`` that are folders of results; `streamreid.runs.erasure` looks into them.
    """

    identities: list[int]
    removed: dict[str, int] = field(default_factory=dict)
    searched: int = 0
    remains: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    unreachable: dict[str, str] = field(default_factory=dict)
    results: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Nothing remains anywhere we know of."""
        return not self.remains and not self.unreachable
