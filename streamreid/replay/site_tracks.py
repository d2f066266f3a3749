"""The tracks of a site and what is known of them without labels: looks of one track are one person; people seen by one
camera at one time are different people; and two tracks of two cameras, each by far the most alike to the other, are
probably one person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.association.camera_normalisation import CameraMeans
from streamreid.association.pair_sampling import Look
from streamreid.association.track_evidence import Evidence, Presence, descriptors
from streamreid.association.track_similarity import Views, compare
from streamreid.errors import DataError
from streamreid.features.prototype_bank import PrototypeSums
from streamreid.types import BoolArray, FloatArray, TrackKey

__all__ = [
    "LEAST_PAIRS",
    "RecordedTracks",
    "Rows",
    "SiteTracks",
    "camera_means",
    "check_enough",
    "collect_tracks",
    "halves_of",
    "of_pairs",
    "strangers",
    "sure_pairs",
]

MARGIN = 0.05
"""By how much more alike than any other two tracks of two cameras must be to each other, to be taken for one person;
.8 to .9 of such pairs are right where half of the people are seen by both cameras."""

LEAST_TRACKS, LEAST_CAMERAS, LEAST_PAIRS = 8, 2, 6
"""Tracks in each of so many cameras, and sure pairs of two cameras in each half, from which something can be learnt."""

MOST_TRACKS = 2000
"""Of all cameras; comparisons grow with the square."""

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class SiteTracks:
    """N tracks of a site: what is known of each as a whole, in two halves, and look by look.

    Args:
        keys: Camera and number.
        evidence: Of each.
        views: One average view of each.
        halves: The same of the looks of either half of its time.
        together: ``[N, N]`` seen by one camera at one time.
        spread: ``[M, K, D]`` looks minus the average of their track, times the root of their visibility.
        owner: ``[M]`` whose looks these are.
        weight: ``[M, K]`` visibility of these looks.
    """

    keys: list[TrackKey]
    evidence: list[Evidence]
    views: Views
    halves: tuple[Views, Views]
    together: BoolArray
    spread: FloatArray
    owner: Rows
    weight: FloatArray

    @property
    def camera(self) -> NDArray[np.str_]:
        return np.array([k[0] for k in self.keys])


@dataclass(frozen=True, slots=True, eq=False)
class RecordedTracks:
    """The tracks of a recording.

    Args:
        looks: What was seen of each.
        spans: Capture times of the first and the last observation of each, in seconds.
    """

    looks: Mapping[TrackKey, Sequence[Look]]
    spans: Mapping[TrackKey, tuple[float, float]]


def collect_tracks(recordings: Sequence[RecordedTracks], seed: int) -> SiteTracks:
    looks: dict[TrackKey, Sequence[Look]] = {}
    spans: dict[TrackKey, tuple[int, float, float]] = {}
    for number, item in enumerate(recordings):
        for (camera, track), seen in item.looks.items():
            if len(seen) > 1:
                key = camera, track + number * 1_000_000_000
                looks[key] = sorted(seen, key=lambda look: look.time)
                spans[key] = (number, *item.spans[camera, track])
    keys = sorted(looks)
    if not keys:
        raise DataError(
            "nobody was described twice in these caches, so there is nothing to learn from; record with an engine "
            "(`streamreid run --engine auto --cache ...`)"
        )
    if len(keys) > MOST_TRACKS:
        chosen = np.random.default_rng(seed).choice(len(keys), MOST_TRACKS, replace=False)
        keys = [keys[i] for i in sorted(chosen.tolist())]
    evidence = [_evidence(k, looks[k]) for k in keys]
    first = [_evidence(k, looks[k][: len(looks[k]) // 2]) for k in keys]
    second = [_evidence(k, looks[k][len(looks[k]) // 2 :]) for k in keys]
    views = _average(evidence)
    owner = np.repeat(np.arange(len(keys)), [len(looks[k]) for k in keys])
    parts = np.stack([look.parts for k in keys for look in looks[k]])
    weight = np.stack([look.visibility * np.float32(look.quality) for k in keys for look in looks[k]])
    spread = (parts - views.parts[owner, 0]) * np.sqrt(weight)[..., None]
    return SiteTracks(
        keys, evidence, views, (_average(first), _average(second)), _together(keys, spans), spread, owner, weight
    )


def _evidence(key: TrackKey, looks: Sequence[Look]) -> Evidence:
    made = Evidence([Presence(key[0], looks[0].time, looks[-1].time)], PrototypeSums(1))
    for look in looks:
        made.observe(look.time, look.parts, look.visibility * np.float32(look.quality), look.quality)
    return made


def _average(evidence: list[Evidence]) -> Views:
    found = descriptors(evidence)
    return Views(found.parts[:, None], found.visibility[:, None], found.visibility)


def _together(keys: list[TrackKey], spans: dict[TrackKey, tuple[int, float, float]]) -> BoolArray:
    where = np.unique([f"{spans[k][0]} {k[0]}" for k in keys], return_inverse=True)[1]
    start, end = np.array([spans[k][1] for k in keys]), np.array([spans[k][2] for k in keys])
    overlap = (start[:, None] < end[None]) & (start[None] < end[:, None])
    return np.asarray((where[:, None] == where[None]) & overlap & ~np.eye(len(keys), dtype=bool))


def sure_pairs(tracks: SiteTracks) -> Rows:
    """``[P, 2]`` tracks of two cameras that are surely one person, as the engine's features say and also after what
    differs between the cameras on average was taken away."""
    means = camera_means(tracks, np.ones(len(tracks.keys), bool))
    moved = means.moved(tracks.views, tracks.evidence)
    both = [{(i, j) for i, j in _mutual(compare(v, v).similarity, tracks.camera)} for v in (tracks.views, moved)]
    return np.array(sorted(both[0] & both[1]), np.intp).reshape(-1, 2)


def _mutual(similarity: FloatArray, camera: NDArray[np.str_]) -> list[tuple[int, int]]:
    found = []
    names = sorted(set(camera.tolist()))
    for at, one in enumerate(names):
        for two in names[at + 1 :]:
            a, b = np.flatnonzero(camera == one), np.flatnonzero(camera == two)
            block = similarity[np.ix_(a, b)]
            if min(block.shape) < 2:
                continue
            best, other = block.argmax(1), block.argmax(0)
            by_row, by_column = np.sort(block, 1), np.sort(block, 0)
            for i, j in enumerate(best.tolist()):
                top = block[i, j]
                if other[j] == i and top - by_row[i, -2] > MARGIN and top - by_column[-2, j] > MARGIN:
                    found.append((int(a[i]), int(b[j])))
    return found


def check_enough(tracks: SiteTracks, pairs: Rows) -> None:
    names, counts = np.unique(tracks.camera, return_counts=True)
    enough = int((counts >= LEAST_TRACKS).sum())
    if enough < LEAST_CAMERAS:
        said = ", ".join(f"{n} {c}" for n, c in zip(names.tolist(), counts.tolist(), strict=True))
        raise DataError(
            f"too little to learn from: at least {LEAST_CAMERAS} cameras with {LEAST_TRACKS} tracks each are needed; "
            f"tracks by camera: {said}. Record for longer"
        )
    if len(pairs) < 2 * LEAST_PAIRS or not tracks.together.any():
        raise DataError(
            f"too little to learn from: {len(pairs)} pairs of tracks of two cameras are surely one person, "
            f"{2 * LEAST_PAIRS} are needed, and people who are seen together. Record for longer, or use "
            "`association.normalise: camera`, which needs no pairs"
        )


def halves_of(count: int, pairs: Rows, seed: int, share: float = 0.5) -> BoolArray:
    """``[N]`` which tracks are in a half of the size ``share``; those of one pair are in one."""
    rng = np.random.default_rng(seed)
    group = np.arange(count)
    for i, j in pairs.tolist():
        group[group == group[j]] = group[i]
    paired = np.unique(group[pairs[:, 0]])
    half = np.zeros(count, bool)
    for some in (paired, np.setdiff1d(np.unique(group), paired)):
        chosen = rng.permutation(some)[: int(len(some) * share)]
        half[np.isin(group, chosen)] = True
    return half


def camera_means(tracks: SiteTracks, use: BoolArray) -> CameraMeans:
    means = CameraMeans()
    means.learn({k: tracks.evidence[i] for i, k in enumerate(tracks.keys) if use[i]})
    means.follow()
    return means


def of_pairs(a: Views, b: Views, one: Rows, two: Rows) -> FloatArray:
    """``[P]`` similarity of tracks ``one`` [P] of ``a`` with ``two`` [P] of ``b``."""
    left, right = a.parts[one, 0], b.parts[two, 0]
    weight = np.sqrt(a.visibility[one] * b.visibility[two])
    each = (left * right).sum(2)
    return np.asarray((weight * each).sum(1) / np.maximum(weight.sum(1), 1e-6), np.float32)


def strangers(tracks: SiteTracks, pairs: Rows) -> tuple[Rows, Rows]:
    """Pairs of tracks that are different people: seen together by one camera, or one of a sure pair and those who were
    seen together with the other."""
    one, two = np.nonzero(np.triu(tracks.together))
    more = [(a, other) for a, b in (*pairs.tolist(), *pairs[:, ::-1].tolist()) for other in _beside(tracks, b)]
    extra = np.array(more, np.intp).reshape(-1, 2)
    return np.concatenate([one, extra[:, 0]]), np.concatenate([two, extra[:, 1]])


def _beside(tracks: SiteTracks, row: int) -> list[int]:
    return np.flatnonzero(tracks.together[row]).tolist()
