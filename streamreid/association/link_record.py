"""The log-odds of all pairs of tracks that may be one person, kept for counts: from them it is worked out how many
people there may have been (``places/partition_sampling.py``).

A track is compared with those before it once, when it leaves the association's window and everything is known of it.
Memory is bounded: the newest tracks are compared, and pairs that are hardly one person are dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamreid.association.online_clustering import OnlineClustering
from streamreid.association.track_evidence import Evidence
from streamreid.types import Float64Array, FloatArray, IntArray, PossibleLinks, TrackKey

__all__ = ["LinkRecord", "RecordedTrack", "TrackLinks"]

LEAST_LOG_ODDS = -1.0
"""Log-odds from which a pair is kept, without the prior of one in so many people: in a crowd of a hundred, one in three
hundred such pairs is one person."""

MOST_PAIRS = 64
"""Likeliest earlier tracks that are kept of each track."""

MOST_COMPARED = 2000
"""Newest tracks that a further one is compared with: about 9 KB each."""

MOST_TRACKS = 20_000
"""Newest tracks that are kept, with their pairs."""

MOST_PEOPLE = 2000
"""People of earlier runs, the last admitted, that every track is compared with: about 12 KB each."""

_BATCH = 32
"""Tracks that are compared at once: what leaves the window one by one is collected, as long calls cost less."""

_NO_CAMERA = ""
"""In the place of the camera of people of earlier runs, whose tracks are not known."""

_ROWS = 256
"""Tracks that a batch is compared with at once: bounds memory to some 10 MB."""


@dataclass(frozen=True, slots=True)
class RecordedTrack:
    """What counts need to know of a track.

    Args:
        camera: Name of the camera.
        track_id: In that camera.
        start: First capture time, seconds.
        end: Last capture time, seconds.
        observations: Frames in which it was detected.
        looks: Of these, how many were embedded.
        quality: Mean quality of the pictures behind it, in [0, 1].
    """

    camera: str
    track_id: int
    start: float
    end: float
    observations: int
    looks: int
    quality: float

    @property
    def key(self) -> TrackKey:
        """Camera and track id."""
        return self.camera, self.track_id


@dataclass(frozen=True, slots=True, eq=False)
class TrackLinks:
    """Pairs of N tracks that may be one person.

    Args:
        tracks: In the order in which they were compared.
        pairs: ``[E, 2]`` rows, the earlier one first.
        log_odds: ``[E]`` that both are one person, without the prior of one in so many people. Pairs that cannot be one
            person are not listed.
    """

    tracks: tuple[RecordedTrack, ...]
    pairs: IntArray
    log_odds: Float64Array


@dataclass(slots=True, eq=False)
class _Row:
    """A track with the earlier ones that it may be, by their numbers."""

    track: RecordedTrack
    number: int
    others: IntArray
    log_odds: FloatArray
    people: IntArray
    people_log_odds: FloatArray


class LinkRecord:
    """Compares tracks as they leave the window and keeps what was found.

    Args:
        grouping: Compares.
        most: Tracks that are kept.
        compared: Tracks that a further one is compared with.
    """

    def __init__(self, grouping: OnlineClustering, *, most: int = MOST_TRACKS, compared: int = MOST_COMPARED) -> None:
        self._grouping = grouping
        self._rows: deque[_Row] = deque(maxlen=most)
        self._known: deque[tuple[int, TrackKey, Evidence]] = deque(maxlen=compared)
        self._waiting: dict[TrackKey, Evidence] = {}
        self._people: dict[int, Evidence] = {}
        self._fresh: deque[_Row] = deque(maxlen=most)
        self._count = 0

    def __len__(self) -> int:
        return len(self._rows) + len(self._waiting)

    def take(self, key: TrackKey, evidence: Evidence) -> None:
        """Take a track that left the window; its evidence does not change any more."""
        evidence.prototypes.pack()
        self._waiting[key] = evidence
        if len(self._waiting) >= _BATCH:
            self._flush()

    def remember(self, global_id: int, evidence: Evidence) -> None:
        """Compare tracks from now on also with somebody who was known before the run.

        Args:
            global_id: The person.
            evidence: What earlier runs saw; this run adds nothing to it.
        """
        evidence.prototypes.pack()
        self._people.pop(global_id, None)
        self._people[global_id] = evidence
        for known in list(self._people)[:-MOST_PEOPLE]:
            del self._people[known]

    def forget_people(self, ids: Iterable[int]) -> None:
        """These people of earlier runs are not known any more."""
        for who in ids:
            self._people.pop(who, None)

    def evidence(self, key: TrackKey) -> Evidence | None:
        """What was seen of a track that left the window; None where it is not kept any more."""
        if key in self._waiting:
            return self._waiting[key]
        return next((evidence for _, known, evidence in reversed(self._known) if known == key), None)

    def forget(self, keys: Iterable[TrackKey]) -> None:
        """Keep nothing of these tracks, because their person is not remembered any more; counts take who they were as
        it was decided."""
        gone = set(keys)
        if gone:
            self._flush()
            self._known = deque([k for k in self._known if k[1] not in gone], self._known.maxlen)
            self._rows = deque([r for r in self._rows if r.track.key not in gone], self._rows.maxlen)
            self._fresh = deque([r for r in self._fresh if r.track.key not in gone], self._fresh.maxlen)

    def expire(self, horizon: float) -> None:
        """Keep nothing of tracks that ended before a time; counts take who they were as it was decided."""
        if any(evidence.end < horizon for evidence in self._waiting.values()):
            self._flush()
        while self._rows and self._rows[0].track.end < horizon:
            self._rows.popleft()
        while self._known and self._known[0][2].end < horizon:
            self._known.popleft()

    def links(self, window: Mapping[TrackKey, Evidence]) -> TrackLinks:
        """Everything that was found so far.

        Args:
            window: Tracks that are still in the window; they are compared now, and again when they leave it.
        """
        self._flush()
        return _joined([*self._rows, *self._of_window(window)])

    def fresh(self, window: Mapping[TrackKey, Evidence] | None = None) -> dict[TrackKey, PossibleLinks]:
        """What was found since the last call, by track.

        Args:
            window: At the end of a run, the tracks that are still in the window; None takes those that left it and were
                compared since.
        """
        if window is not None:
            self._flush()
        rows = [*self._fresh, *(() if window is None else self._of_window(window))]
        self._fresh.clear()
        if not rows:
            return {}
        key_of = {row.number: row.track.key for row in (*self._rows, *rows)}
        return {
            row.track.key: PossibleLinks(
                {
                    key_of[other]: float(odds)
                    for other, odds in zip(row.others.tolist(), row.log_odds.tolist(), strict=True)
                    if other in key_of
                },
                dict(zip(row.people.tolist(), row.people_log_odds.tolist(), strict=True)),
            )
            for row in rows
        }

    def _of_window(self, window: Mapping[TrackKey, Evidence]) -> list[_Row]:
        rows: list[_Row] = []
        known, count = list(self._known), self._count
        keys = sorted(window)
        for start in range(0, len(keys), _BATCH):
            batch = {k: window[k] for k in keys[start : start + _BATCH]}
            rows += self._compared(batch, known, count)
            known += [(count + i, k, e) for i, (k, e) in enumerate(batch.items())]
            count += len(batch)
        return rows

    def _flush(self) -> None:
        if self._waiting:
            rows = self._compared(self._waiting, list(self._known), self._count)
            self._rows.extend(rows)
            self._fresh.extend(rows)
            self._known.extend((self._count + i, k, e) for i, (k, e) in enumerate(self._waiting.items()))
            self._count += len(self._waiting)
            self._waiting = {}

    def _compared(
        self, batch: Mapping[TrackKey, Evidence], known: list[tuple[int, TrackKey, Evidence]], count: int
    ) -> list[_Row]:
        """The batch with the earlier ones that each may be, those of the batch itself among them, and with the people
        of earlier runs."""
        keys = list(batch)
        others = [*known, *((count + i, k, e) for i, (k, e) in enumerate(batch.items()))]
        people = [(who, (_NO_CAMERA, who), e) for who, e in self._people.items()]
        found = self._likely(batch, others, before=[count + row for row in range(len(keys))])
        remembered = self._likely(batch, people)
        return [
            _Row(_recorded(key, batch[key]), count + row, *found[row], *remembered[row]) for row, key in enumerate(keys)
        ]

    def _likely(
        self,
        batch: Mapping[TrackKey, Evidence],
        others: list[tuple[int, TrackKey, Evidence]],
        *,
        before: Sequence[int] | None = None,
    ) -> list[tuple[IntArray, FloatArray]]:
        """For each of the batch the numbers of the others that it may be, and the log-odds.

        Args:
            batch: Tracks.
            others: Number, key and evidence.
            before: For each of the batch, the number below which others are wanted; None wants all.
        """
        found: list[tuple[list[IntArray], list[FloatArray]]] = [
            ([np.zeros(0, np.int64)], [np.zeros(0, np.float32)]) for _ in batch
        ]
        for start in range(0, len(others), _ROWS):
            chunk = others[start : start + _ROWS]
            numbers = np.array([n for n, _, _ in chunk], np.int64)
            log_odds, common, never = self._grouping.all_pairs.between(
                (list(batch), list(batch.values())), ([k for _, k, _ in chunk], [e for _, _, e in chunk])
            )
            likely = ~never & (common > 0) & (log_odds > LEAST_LOG_ODDS)
            for row, (who, odds) in enumerate(found):
                keep = likely[row] if before is None else likely[row] & (numbers < before[row])
                who.append(numbers[keep])
                odds.append(log_odds[row][keep])
        return [_likeliest(np.concatenate(who), np.concatenate(odds)) for who, odds in found]


def _likeliest(others: IntArray, log_odds: FloatArray) -> tuple[IntArray, FloatArray]:
    best = np.sort(np.argsort(-log_odds, kind="stable")[:MOST_PAIRS])
    return others[best], log_odds[best]


def _recorded(key: TrackKey, item: Evidence) -> RecordedTrack:
    mean = item.quality / item.looks if item.looks else 0.0
    return RecordedTrack(*key, item.start, item.end, item.observations, item.looks, mean)


def _joined(rows: list[_Row]) -> TrackLinks:
    """Numbers of tracks become rows; those of tracks that are no longer kept are left out."""
    row_of = {row.number: at for at, row in enumerate(rows)}
    pairs = [
        (row_of[other], at, log_odds)
        for at, row in enumerate(rows)
        for other, log_odds in zip(row.others.tolist(), row.log_odds.tolist(), strict=True)
        if other in row_of
    ]
    return TrackLinks(
        tuple(row.track for row in rows),
        np.array([pair[:2] for pair in pairs], np.int64).reshape(-1, 2),
        np.array([pair[2] for pair in pairs], np.float64),
    )
