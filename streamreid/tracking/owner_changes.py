"""Tracks that went on with somebody else: found by looks, and told from people who only look different for a moment.

Where people meet, or are missed for a while, a box may go to the wrong track, which then looks like another person.
So looks that are less like the track than those of one person in one camera nearly always are put it in *doubt*:
nothing is learnt of it until several looks together say whether the person of before is back, or somebody else has been
there since the doubt began. Of tracks that met nobody only looks of quite another person raise a doubt: people turn
round and walk through shadows.

Some are taken for somebody else all the same. When the ended track is found again just where the one that went on for
it is missed, there was one person all the time. Both tracks would take turns from then on, and as they overlap in
time, nothing could make them one identity again: so the newer one goes on alone, with the looks of both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.boxes import pair_intersection
from streamreid.features.prototype_bank import PrototypeBank
from streamreid.features.similarity import Calibration, SiteCalibration
from streamreid.tracking.track_table import TrackTable
from streamreid.types import BoolArray, Float64Array, FloatArray, IntArray, PartFeatures

__all__ = ["SEEN_IN_COMMON", "OwnerChanges", "Successors"]

Rows = NDArray[np.intp]

SEEN_IN_COMMON = 0.2
"""Share of parts seen in common from which a look tells whether a track is somebody else."""

_ALONE = -2.0
"""Log-odds below which a look raises doubt about a track that met nobody."""

_KNOWN = 0.99
"""How well the best part of a track must be known for a doubt: who comes into view looks different at first."""

_LOOKS = 2.0
"""Clear looks, together, that decide a doubt."""

_MOMENT = 0.25
"""Seconds between two looks that count as two: those of one moment show the same pose."""

_LEAST_SECONDS = 0.5
"""How long a doubt lasts at least before a track ends by it."""

_MISSED_SECONDS = 3.0
"""How long the track that went on may have been missed where the ended one is found again for both to be one."""

_ABSENT = 1.0
"""Seconds: who was missed for longer before they looked like somebody else nearly always is somebody else."""

_SAME_PLACE = 0.25
"""Share of the larger of two boxes that both cover where they are in one place."""


@dataclass(slots=True, eq=False)
class _Doubt:
    """What was seen of a track since it looked like somebody else.

    Args:
        since: Capture time of the first such look.
        before: When the track was seen last before it.
        least: Log-odds from which it is the person of before.
        parts: ``[K, D]`` sum of w * part.
        mass: ``[K]`` sum of w.
        looks: Number of clear looks.
        hits: Number of looks.
        last: Capture time of the last one.
    """

    since: float
    before: float
    least: float
    parts: FloatArray
    mass: FloatArray
    looks: float
    hits: int
    last: float

    @classmethod
    def begin(cls, time: float, before: float, least: float, shape: tuple[int, int]) -> _Doubt:
        return cls(time, before, least, np.zeros(shape, np.float32), np.zeros(shape[0], np.float32), 0.0, 0, -np.inf)

    def add(self, time: float, parts: FloatArray, visibility: FloatArray, quality: float) -> None:
        share = min(1.0, max(time - self.last, 0.0) / _MOMENT) * quality
        self.parts += parts * (share * visibility)[:, None]
        self.mass += share * visibility
        self.looks += share
        self.hits += 1
        self.last = time

    @property
    def mean(self) -> PartFeatures:
        norm = np.linalg.norm(self.parts, axis=1, keepdims=True)
        parts = self.parts / np.maximum(norm, 1e-9)
        return PartFeatures(parts[None], np.minimum(self.mass / max(self.looks, 1e-9), 1.0)[None])

    @property
    def decided(self) -> bool:
        return self.looks >= _LOOKS and self.last - self.since >= _LEAST_SECONDS


@dataclass(frozen=True, slots=True, eq=False)
class Successors:
    """M tracks whose person is somebody else by now.

    Args:
        numbers: ``[M]`` which of the people who were looked at they are.
        features: What the new people look like.
        looks: ``[M]`` from how many looks that is known.
        begun: ``[M]`` capture time of the first look of the new person.
        hits: ``[M]`` how many looks there were since.
        before: ``[M]`` when the person of before was seen last.
    """

    numbers: Rows
    features: PartFeatures
    looks: FloatArray
    begun: Float64Array
    hits: IntArray
    before: Float64Array


class OwnerChanges:
    """Watches the tracks of one camera.

    Args:
        appearance: What is known of each track; only read.
        calibration: Turns the engine's part similarity into a probability.
        probability: Least probability that several looks show the person of before; 0 watches nothing.
    """

    def __init__(
        self, appearance: PrototypeBank, calibration: Calibration | SiteCalibration, probability: float
    ) -> None:
        self._appearance = appearance
        self._calibration = calibration
        p = min(max(probability, 1e-6), 1 - 1e-6)
        self._least = float(np.log(p / (1 - p)))
        self.enabled = probability > 0
        self._doubts: dict[int, _Doubt] = {}
        self._predecessor: dict[int, int] = {}
        self._certain: set[int] = set()  # newer tracks of which nothing is undone

    def __repr__(self) -> str:
        return f"OwnerChanges(doubts={len(self._doubts)})"

    def doubted(self, ids: IntArray) -> BoolArray:
        """``[N]`` which of the tracks ``ids`` [N] may be somebody else."""
        if not self._doubts:
            return np.zeros(len(ids), bool)
        return np.array([i in self._doubts for i in ids.tolist()], bool)

    def watch(
        self,
        book: TrackTable,
        tracks: Rows,
        features: PartFeatures,
        people: Rows,
        quality: FloatArray,
        similarity: FloatArray,
        time: float,
    ) -> Successors | None:
        """Take the looks of one frame.

        Args:
            book: All tracks; those that look like themselves are noted.
            tracks: ``[M]`` rows of the tracks that were seen.
            features: Of the people of the frame.
            people: ``[M]`` whose of them each track's is.
            quality: ``[M]`` in [0, 1] how clear each look is; set to 0 where nothing may be learnt of the track.
            similarity: ``[M]`` of each with its track; infinite where too little was seen in common.
            time: Capture time in seconds.

        Returns:
            Those who are somebody else since some time; None if nobody is.
        """
        told = np.isfinite(similarity) & (quality > 0)
        log_odds = self._calibration.log_odds(similarity)
        odd = told & (log_odds < self._least)
        if not self._doubts and not np.count_nonzero(odd):  # as in most frames
            book.sure[tracks[told]] = time
            return None
        ids = book.ids.take(tracks)
        doubted = self.doubted(ids)
        met = book.met.take(tracks) >= book.sure.take(tracks)
        least = np.where(met, self._least, min(self._least, _ALONE))
        odd &= log_odds < least
        book.sure[tracks[told & ~odd & ~doubted]] = time
        for n in (odd & ~doubted).nonzero()[0].tolist():
            row = tracks[n]
            if self._appearance.known[row].max() >= _KNOWN:
                self._doubts[int(ids[n])] = _Doubt.begin(time, book.seen[row], float(least[n]), features.shape)
                doubted[n] = True
        gone = [
            n for n in doubted.nonzero()[0].tolist() if self._look(book, n, tracks, features, people, quality, time)
        ]
        quality[self.doubted(ids)] = 0
        if not gone:
            return None
        gone += self._exchanged(tracks, ids, gone)
        return self._successors(ids, np.array(sorted(gone), np.intp))

    def _exchanged(self, tracks: Rows, ids: IntArray, gone: list[int]) -> list[int]:
        """Tracks in doubt whose person is the new one of a track among ``gone``: both end at once, so that each can be
        found again where the other was."""
        rest = [n for n, i in enumerate(ids.tolist()) if i in self._doubts and n not in gone]
        found = set()
        for who in ids[gone].tolist() if rest else ():
            alike, common = self._appearance.similarity(tracks[rest], self._doubts[who].mean)
            likely = (common[:, 0] > SEEN_IN_COMMON) & (self._calibration.log_odds(alike[:, 0]) >= self._least)
            found |= {rest[n] for n in likely.nonzero()[0].tolist()}
        return sorted(found)

    def _look(
        self,
        book: TrackTable,
        number: int,
        tracks: Rows,
        features: PartFeatures,
        people: Rows,
        quality: FloatArray,
        time: float,
    ) -> bool:
        """One more look at a track in doubt. Returns whether it is somebody else; the doubt ends if it is not."""
        row, person, clear = tracks[number : number + 1], people[number], float(quality[number])
        visibility = features.visibility[person]
        who = int(book.ids[row[0]])
        doubt = self._doubts[who]
        if clear <= 0 or not np.count_nonzero(visibility):
            return False
        doubt.add(time, features.parts[person], visibility, clear)
        alike, _ = self._appearance.similarity_of_pairs(row, doubt.mean, np.zeros(1, np.intp))
        if self._calibration.log_odds(alike)[0] >= doubt.least:
            del self._doubts[who]
            book.sure[row] = time
            return False
        return doubt.decided

    def _successors(self, ids: IntArray, numbers: Rows) -> Successors:
        doubts = [self._doubts.pop(i) for i in ids[numbers].tolist()]
        means = [d.mean for d in doubts]
        return Successors(
            numbers,
            PartFeatures(np.concatenate([m.parts for m in means]), np.concatenate([m.visibility for m in means])),
            np.array([d.looks for d in doubts], np.float32),
            np.array([d.since for d in doubts]),
            np.array([d.hits for d in doubts], np.int64),
            np.array([d.before for d in doubts]),
        )

    def part(self, older: IntArray, newer: IntArray, absent: Float64Array) -> None:
        """Tracks ``newer`` [M] go on where the people of ``older`` [M] are no longer, after these were missed for
        ``absent`` [M] seconds."""
        self._predecessor |= dict(zip(newer.tolist(), older.tolist(), strict=True))
        self._certain |= set(newer[absent > _ABSENT].tolist())

    def allowed(self, older: IntArray, newer: IntArray) -> BoolArray:
        """``[N, M]`` whether the tracks ``newer`` [M] may turn out to be ``older`` [N]: not those they were parted
        from."""
        if not self._predecessor:
            return np.ones((len(older), len(newer)), bool)
        return np.array([[self._predecessor.get(new) != old for new in newer.tolist()] for old in older.tolist()])

    def undone(
        self, book: TrackTable, taken: IntArray, boxes: FloatArray, found: FloatArray, time: float
    ) -> tuple[Rows, Rows]:
        """Ended tracks that are found where the tracks that went on for them are missed.

        Args:
            book: All tracks.
            taken: ``[T]`` number of the box that each track is given in this frame, or -1.
            boxes: ``[T, 4]`` where each track is expected.
            found: ``[N, 4]`` the boxes of the frame.
            time: Capture time in seconds.

        Returns:
            Rows ``[M]`` of the newer tracks and of the ended ones, who are the same people; what was known of their
            doubts is forgotten.
        """
        nobody = np.zeros(0, np.intp)
        if not self._predecessor:
            return nobody, nobody
        row = {track: number for number, track in enumerate(book.ids.tolist())}
        pairs = self._predecessor.items()
        last = {old: new for new, old in pairs if {new, old} <= row.keys() and new not in self._certain}  # the newest
        newer = np.array([row[new] for new in last.values()], np.intp)
        older = np.array([row[old] for old in last], np.intp)
        kept = (taken[older] >= 0) & (taken[newer] < 0) & (time - book.seen[newer] <= _MISSED_SECONDS)
        newer, older = newer[kept], older[kept]
        if not len(newer):
            return nobody, nobody
        there, here = boxes[newer], found[taken[older]]
        larger = np.maximum(*(np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (there, here)))
        kept = pair_intersection(there, here) >= _SAME_PLACE * larger
        newer, older = newer[kept], older[kept]
        for track in book.ids[newer].tolist():
            self._predecessor.pop(track)
            self._doubts.pop(track, None)
        return newer, older

    def forget(self, ids: Iterable[int]) -> None:
        """Only the tracks ``ids`` are followed on."""
        if self._doubts or self._predecessor:
            kept = set(ids)
            self._doubts = {i: doubt for i, doubt in self._doubts.items() if i in kept}
            self._predecessor = {new: old for new, old in self._predecessor.items() if new in kept and old in kept}
            self._certain &= self._predecessor.keys()
