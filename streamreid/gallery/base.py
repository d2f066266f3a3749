"""What a gallery holds, as values, and what every store can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from streamreid.features.similarity import Calibration
from streamreid.types import FloatArray, IdentityEvent, IntArray, PartFeatures

__all__ = [
    "AuditEntry",
    "Batch",
    "Change",
    "Constraint",
    "EngineStamp",
    "Erasure",
    "EventRecord",
    "GalleryStore",
    "IdentityRecord",
    "Limits",
    "PrototypeBlock",
    "Retention",
    "TrackRecord",
]

ConstraintKind = Literal["same", "different"]


@dataclass(frozen=True, slots=True)
class EngineStamp:
    """Which engine made the features; features of another one cannot be compared with them.

    Args:
        name: For people to read.
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
    """One track of one camera: when and where somebody was seen.

    Args:
        run: Which run of the program; track ids are unique in a run and camera only.
        camera: Name of the camera.
        track_id: Its id there.
        global_id: Who.
        start: Capture time of the first observation, seconds.
        end: Capture time of the last one.
        probability: Link probability in [0, 1].
        observations: Observations with features.
        stored: UTC seconds at which it was last written; filled in by the store.
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


@dataclass(slots=True)
class Batch:
    """What is written in one transaction: all of it is there afterwards, or nothing.

    Args:
        run: The run it belongs to.
        appearances: New ones and those that went on; a later one replaces an earlier one of the same key.
        views: Per ``(camera, track_id)`` the views that take the place of the older ones of this appearance, and their
            quality ``[P]``.
        events: What was decided.
        crops: Per ``(camera, track_id)`` a JPEG picture.
    """

    run: str
    appearances: dict[tuple[str, int], TrackRecord] = field(default_factory=dict)
    views: dict[tuple[str, int], tuple[PartFeatures, FloatArray]] = field(default_factory=dict)
    events: list[IdentityEvent] = field(default_factory=list)
    crops: dict[tuple[str, int], bytes] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.appearances or self.events)

    def absorb(self, later: Batch) -> None:
        """Add what came later, for another attempt to write both."""
        self.appearances.update(later.appearances)
        self.views.update(later.views)
        self.events += later.events
        self.crops.update(later.crops)


@dataclass(frozen=True, slots=True)
class IdentityRecord:
    """One remembered person, summed up.

    Args:
        global_id: Never used for anybody else.
        name: Given by a person; empty if none.
        first_seen: Capture time in seconds.
        last_seen: Capture time in seconds.
        stored: UTC seconds of the last write.
        cameras: Where.
        appearances: How many tracks.
        prototypes: How many views are kept.
        probability: Least link probability of the appearances.
        confirmed: Whether a run confirmed the person, or it was seen as often and as long as that takes by default. At
            its end, a run also stores who was seen often enough but not for long enough.
    """

    global_id: int
    name: str
    first_seen: float
    last_seen: float
    stored: float
    cameras: frozenset[str]
    appearances: int
    prototypes: int
    probability: float
    confirmed: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class PrototypeBlock:
    """Views of remembered people, row by row.

    Args:
        ids: ``[P]`` int64, rising over the life of a store; a view never changes under its id.
        global_ids: ``[P]`` int64 who.
        features: P rows.
        quality: ``[P]`` float32 in [0, 1].
        appearances: ``[P]`` int64 row ids of the appearances they come from.
    """

    ids: IntArray
    global_ids: IntArray
    features: PartFeatures
    quality: FloatArray
    appearances: IntArray

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
    """What a person has said about two identities; later clustering respects it."""

    kind: ConstraintKind
    one: int
    other: int
    stored: float = 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """Something of an identity changed: ``write``, ``merge``, ``split``, ``rename``, ``constraint``, ``forget``,
    ``expire`` or ``evict``."""

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
        """Of one camera."""
        return self.cameras.get(camera, self.seconds)

    @property
    def shortest(self) -> float | None:
        """The shortest one, None if nothing expires."""
        return min([*self.cameras.values(), *([self.seconds] if self.seconds is not None else [])], default=None)


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps; see ``GalleryConfig`` for the meaning."""

    prototypes: int = 8
    max_identities: int = 20_000
    max_prototypes: int = 100_000
    max_events: int = 200_000
    max_appearances: int = 500_000


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


class GalleryStore(Protocol):
    """Remembers identities. Every method raises ``GalleryError`` when the store cannot be read or written; a method
    that returned is durable."""

    address: str
    limits: Limits

    def claim(self, stamp: EngineStamp) -> None:
        """Bind a new store to an engine, or check that it is bound to this one.

        Raises:
            EngineMismatchError: It holds features of another engine.
        """

    def engine(self) -> EngineStamp | None:
        """The engine whose features are kept; None in an empty store."""

    def calibration(self) -> Calibration | None:
        """From similarity to probability as the last run had it on its site; None if no run said."""

    def set_calibration(self, calibration: Calibration) -> None:
        """Keep a run's calibration for searches without a run."""

    def reserve_ids(self, count: int, *, least: int = 1) -> int:
        """Take ``count`` global ids, none below ``least``, for this process alone. Returns the first one; they are
        never given again."""

    def return_ids(self, first: int, end: int) -> None:
        """Give back the unused end ``first .. end - 1`` of a reservation, as far as nobody reserved after it."""

    def write(self, batch: Batch) -> None:
        """Store a batch in one transaction. Appearances of erased identities are left out; merged ids are followed."""

    def identities(self, ids: Sequence[int] | None = None) -> list[IdentityRecord]:
        """Remembered people by global id."""

    def appearances(self, ids: Sequence[int] | None = None) -> dict[int, TrackRecord]:
        """Appearances by row id, in the order in which they began."""

    def prototypes(
        self, *, after: int = 0, ids: Sequence[int] | None = None, block: int = 4096
    ) -> Iterator[PrototypeBlock]:
        """Views in the order of their ids, block by block; ``ids`` are global ids."""

    def prototype_ids(self, ids: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids and global ids of the views of some people, without features."""

    def events(self, global_id: int) -> list[EventRecord]:
        """History of an identity."""

    def crops(self, rows: Sequence[int]) -> dict[int, bytes]:
        """JPEG pictures by appearance row id, where stored."""

    def resolve(self, global_id: int) -> int:
        """The id under which an identity is kept now (after merges); 0 if it is not there."""

    def rename(self, global_id: int, name: str) -> None:
        """Give a name; empty takes it away."""

    def merge(self, keep: int, other: int, *, force: bool = False) -> None:
        """Say that two identities are one person; ``other`` becomes part of ``keep``."""

    def split(self, global_id: int, rows: Sequence[int]) -> int:
        """Say that some appearances are another person. Returns the new global id."""

    def separate(self, one: int, other: int) -> None:
        """Say that two identities are different people."""

    def constraints(self) -> list[Constraint]:
        """All corrections."""

    def forget(self, ids: Sequence[int], *, actor: str = "") -> Erasure:
        """Erase every trace of people, here, in known backups, copies and exports and in what this is a copy of, and
        search for remains."""

    def retention(self) -> Retention:
        """How long the last run wanted things kept; no limit of time if none said."""

    def set_retention(self, retention: Retention) -> None:
        """Keep the retention with the store, for those who open it without a configuration."""

    def expire(self, retention: Retention | None = None, *, now: float | None = None) -> list[int]:
        """Erase what is older than the retention (default: the store's own). Returns identities of whom nothing is
        left."""

    def evict(self) -> list[int]:
        """Keep within the caps. Returns identities that were erased."""

    def position(self) -> int:
        """Where the list of changes ends now."""

    def changes(self, after: int) -> tuple[list[Change] | None, int]:
        """Changes since a position and the new position; None where the list no longer reaches back so far: read
        everything anew."""

    def wait(self, seconds: float) -> bool:
        """Wait until another process changed something, at most so long. Returns whether something changed."""

    def audit(self, action: str, detail: Mapping[str, object], *, actor: str = "") -> None:
        """Note a search or an erasure."""

    def audit_log(self) -> list[AuditEntry]:
        """All notes, oldest first."""

    def stats(self) -> dict[str, object]:
        """Counts (of identities also those confirmed and not), sizes, engine, oldest and newest record."""

    def backup(self, path: Path) -> None:
        """Write a consistent copy as an SQLite file and note it."""

    def note_copy(self, kind: str, path: Path | str, ids: Sequence[int]) -> None:
        """Remember that data was written elsewhere, so that it can be erased there too."""

    def close(self) -> None:
        """Release the store. Safe to call twice."""
