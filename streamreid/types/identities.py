"""People across cameras and runs, and what changes in what is believed of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from streamreid.types.arrays import FloatArray, TrackKey
from streamreid.types.frames import PartFeatures

__all__ = ["EventKind", "Identity", "IdentityEvent", "IdentitySummary", "KnownIdentity", "PossibleLinks"]

EventKind = Literal["new", "link", "merge", "split", "confirm", "expire", "rename", "staff", "different"]


@dataclass(frozen=True, slots=True)
class Identity:
    """One person: the tracks, in one or several cameras, that are believed to be the same.

    Args:
        global_id: Never used for anybody else.
        members: ``(camera, track_id)`` pairs.
        probability: Probability in [0, 1] that all members are one person; 1 for a single track.
    """

    global_id: int
    members: frozenset[tuple[str, int]]
    probability: float = 1.0

    @property
    def cameras(self) -> frozenset[str]:
        """Cameras that saw this person."""
        return frozenset(camera for camera, _ in self.members)


@dataclass(frozen=True, slots=True)
class IdentitySummary:
    """What is known of an identity after an event.

    Args:
        first_seen: Capture time in seconds; of an identity of an earlier run as long ago as it was.
        last_seen: Capture time of the newest observation.
        cameras: Cameras that saw it.
        confirmed: Whether it was seen well enough to count as a person of its own.
        unlinked: Whether it only numbers a track that was seen too little to be a person.
        name: Given by a person; empty if none.
        staff: Whether a person said that they work there; counts leave staff out.
    """

    first_seen: float
    last_seen: float
    cameras: frozenset[str]
    confirmed: bool = False
    unlinked: bool = False
    name: str = ""
    staff: bool = False


@dataclass(frozen=True, slots=True)
class IdentityEvent:
    """A change in what is believed about who is who.

    ``new``: a track begins an identity, provisionally. ``link``: a track joins one. ``merge``: identity ``other_id``
    became part of ``global_id``. ``split``: a track left ``other_id`` for ``global_id``. ``confirm``: the identity was
    seen well enough to count as a person of its own. ``expire``: the identity is no longer searched.
    ``rename``: a person gave the identity a name, or took it back. ``staff``: a person said that they work there, or
    took it back (``summary.staff``). ``different``: a person said that ``global_id`` and ``other_id`` are two people
    (probability 0 that they are one), or took it back (probability 1: they may be one again). What a person
    corrected has ``reasons["correction"]``, what further pictures of doubtful tracks changed
    ``reasons["second_looks"]``.

    Args:
        kind: What happened.
        time: Capture time at which it was decided.
        global_id: The identity after the change.
        camera: Camera of the track concerned ('' for merge and expire).
        track_id: Track concerned (0 for merge and expire).
        probability: Link probability in [0, 1].
        other_id: The identity before the change, 0 if none.
        reasons: Why, term by term: what each kind of evidence added to the log-odds, and how alike which part was;
            empty where nothing was compared.
        members: Of a merge, the tracks that came from ``other_id``; of an expired identity, the tracks that it had.
        summary: What is known of ``global_id`` after the change; None where it expired, or the event was read from a
            file.
    """

    kind: EventKind
    time: float
    global_id: int
    camera: str = ""
    track_id: int = 0
    probability: float = 1.0
    other_id: int = 0
    reasons: Mapping[str, float] = field(default_factory=dict, hash=False)
    members: tuple[TrackKey, ...] = field(default=(), compare=False)
    summary: IdentitySummary | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """The name of the identity after the change; empty if it has none."""
        return "" if self.summary is None else self.summary.name


@dataclass(frozen=True, slots=True, eq=False)
class PossibleLinks:
    """Who else a track may be.

    Args:
        tracks: Earlier tracks of the same run, each with the log-odds that both are one person, without the prior of
            one in so many people.
        people: Global ids of people who were known before the run, with the log-odds that the track is one of them.
    """

    tracks: Mapping[TrackKey, float]
    people: Mapping[int, float]


@dataclass(frozen=True, slots=True, eq=False)
class KnownIdentity:
    """What is worth remembering of a person when the tracks are gone.

    Args:
        global_id: Never used for anybody else.
        prototypes: P rows: a few views of the person; visibility says how well each part was seen in each.
        quality: ``[P]`` float32 in [0, 1]: how good the pictures behind each view were.
        first_seen: Capture time in seconds.
        last_seen: Capture time in seconds.
        cameras: Cameras that saw this person.
        name: Given by a person; empty if none.
        staff: Whether a person said that they work there.
    """

    global_id: int
    prototypes: PartFeatures
    quality: FloatArray
    first_seen: float
    last_seen: float
    cameras: frozenset[str] = frozenset()
    name: str = ""
    staff: bool = False

    def __post_init__(self) -> None:
        if self.global_id < 1:
            raise ValueError(f"KnownIdentity: global ids begin at 1, got {self.global_id}")
        if self.quality.shape != (len(self.prototypes),):
            raise ValueError(
                f"KnownIdentity {self.global_id}: {len(self.prototypes)} prototypes but quality of shape "
                f"{self.quality.shape}; expected one value per row"
            )
        if self.last_seen < self.first_seen:
            raise ValueError(
                f"KnownIdentity {self.global_id}: last seen at {self.last_seen}, before it was first seen at "
                f"{self.first_seen}"
            )

    def __repr__(self) -> str:
        return (
            f"KnownIdentity(global_id={self.global_id}, views={len(self.prototypes)}, cameras={sorted(self.cameras)})"
        )
