"""Pairs of tracks, and of track_fragments of tracks, to fit and to judge the link probability with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.association.camera_normalisation import CameraMeans
from streamreid.association.link_fitting import Pairs, join_pairs
from streamreid.association.link_model import link_terms
from streamreid.association.similarity_cache import sides
from streamreid.association.site_adaptation import AnyCalibration
from streamreid.association.topology import Presences
from streamreid.association.track_constraints import TrackConstraints
from streamreid.association.track_evidence import Evidence, Presence
from streamreid.association.track_similarity import compare, stack
from streamreid.config.association import Unification
from streamreid.features.prototype_bank import PrototypeSums
from streamreid.types import BoolArray, Float64Array, FloatArray, TrackKey

__all__ = ["Look", "TrackFragment", "labelled_pairs", "own_pairs", "track_fragments"]

Whole = NDArray[np.int64]
_LENGTHS = (1, 2, 4, 8)
"""Embeddings per fragment: short and long tracks are both compared when the link model is fitted."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One description of one person.

    Args:
        time: Capture time in seconds.
        parts: ``[K, D]``.
        visibility: ``[K]``.
        quality: In [0, 1].
    """

    time: float
    parts: FloatArray
    visibility: FloatArray
    quality: float


@dataclass(frozen=True, slots=True, eq=False)
class TrackFragment:
    """Some consecutive looks at one track: what would be known of it had it been seen only then.

    Args:
        track: The whole track.
        evidence: Of these looks.
    """

    track: TrackKey
    evidence: Evidence


def track_fragments(
    tracks: Mapping[TrackKey, Sequence[Look]], *, slots: int = 3, visibility: bool = True, seed: int = 0
) -> list[TrackFragment]:
    """Every track as a whole, its halves, and a few short runs of looks.

    Args:
        tracks: Looks in order of time.
        slots: Views per part.
        visibility: False takes every part for fully seen.
        seed: Which runs.
    """
    rng = np.random.default_rng(seed)
    result = []
    for key, looks in sorted(tracks.items()):
        n = len(looks)
        runs = [(0, n), (0, n // 2), (n - n // 2, n)]
        for length in _LENGTHS:
            if 2 * length < n:
                first = int(rng.integers(0, n // 2 - length + 1))
                second = int(rng.integers((n + 1) // 2, n - length + 1))
                runs += [(first, first + length), (second, second + length)]
        for start, end in dict.fromkeys(r for r in runs if r[1] > r[0]):
            result.append(TrackFragment(key, _evidence(key, looks[start:end], slots, visibility)))
    return result


def _evidence(key: TrackKey, looks: Sequence[Look], slots: int, visibility: bool) -> Evidence:
    made = Evidence([Presence(key[0], looks[0].time, looks[-1].time)], PrototypeSums(slots))
    for look in looks:
        seen = look.visibility if visibility else np.full_like(look.visibility, float(look.visibility.any()))
        made.observe(look.time, look.parts, seen * np.float32(look.quality), look.quality)
    return made


def own_pairs(
    items: Sequence[TrackFragment],
    spans: Mapping[TrackKey, tuple[float, float]],
    calibration: AnyCalibration,
    how: Unification = "parts",
    means: CameraMeans | None = None,
) -> Pairs:
    """What is known without ground truth: two track_fragments of one track are one person, track_fragments of two
    tracks seen by one camera at one time are two.

    Each track counts once as itself and once for every other track beside it, however many track_fragments there are.

    Args:
        items: From :func:`track_fragments`.
        spans: When each track began and ended.
        calibration: Of the engine.
        how: How tracks are compared.
        means: How the cameras differ; None: they do not.
    """
    keys = sorted({p.track for p in items})
    number = {k: i for i, k in enumerate(keys)}
    start, end = np.array([spans[k][0] for k in keys]), np.array([spans[k][1] for k in keys])
    camera = np.unique([k[0] for k in keys], return_inverse=True)[1] if keys else np.zeros(0, int)
    beside = (camera[:, None] == camera[None]) & (start[:, None] < end[None]) & (start[None] < end[:, None])

    def masks(a: Whole, b: Whole, apart: BoolArray) -> tuple[BoolArray, BoolArray]:
        one = a[:, None] == b[None]
        return one & apart, beside[a[:, None], b[None]] & ~one

    crowd = 1.0 + beside.sum(1) - beside.diagonal()
    return _pairs(items, number, calibration, how, masks, crowd, means)


def labelled_pairs(
    items: Sequence[TrackFragment],
    person: Mapping[TrackKey, int],
    calibration: AnyCalibration,
    how: Unification = "parts",
    means: CameraMeans | None = None,
) -> Pairs:
    """Pairs of different tracks of which the persons are known; tracks of one camera that overlap in time are left out,
    for these are never linked.

    Args:
        items: From :func:`track_fragments`.
        person: Who each track is; others are left out.
        calibration: Of the engine.
        how: How tracks are compared.
        means: How the cameras differ; None: they do not.
    """
    items = [p for p in items if p.track in person]
    keys = sorted({p.track for p in items})
    number = {k: i for i, k in enumerate(keys)}
    who = np.array([person[k] for k in keys], np.int64)

    def masks(a: Whole, b: Whole, apart: BoolArray) -> tuple[BoolArray, BoolArray]:
        other = a[:, None] != b[None]
        one = who[a][:, None] == who[b][None]
        return one & other & apart, ~one & apart

    crowd = np.full(len(keys), float(len(set(who.tolist()))))
    return _pairs(items, number, calibration, how, masks, crowd, means)


def answered_pairs(
    items: Sequence[TrackFragment],
    said: TrackConstraints,
    calibration: AnyCalibration,
    how: Unification = "parts",
    means: CameraMeans | None = None,
) -> Pairs:
    """Pairs of tracks of which people said whether they are one person, and what follows from that.

    Args:
        items: From :func:`track_fragments`.
        said: What was said.
        calibration: Of the engine.
        how: How tracks are compared.
        means: How the cameras differ; None: they do not.
    """
    named = {key for pair in said.pairs for key in pair}
    items = [p for p in items if p.track in named]
    keys = sorted({p.track for p in items})
    number = {k: i for i, k in enumerate(keys)}
    answers = np.array([[{None: -1, True: 1, False: 0}[said.answer(a, b)] for b in keys] for a in keys], np.int64)

    def masks(a: Whole, b: Whole, apart: BoolArray) -> tuple[BoolArray, BoolArray]:
        other, found = a[:, None] != b[None], answers[a[:, None], b[None]]
        return (found == 1) & other & apart, (found == 0) & apart

    return _pairs(items, number, calibration, how, masks, np.full(len(keys), float(max(len(keys), 1))), means)


def _pairs(
    items: Sequence[TrackFragment],
    number: Mapping[TrackKey, int],
    calibration: AnyCalibration,
    how: Unification,
    masks: Callable[[Whole, Whole, BoolArray], tuple[BoolArray, BoolArray]],
    crowd: Float64Array,
    means: CameraMeans | None,
) -> Pairs:
    """All pairs, some hundred rows at a time.

    Args:
        items: Fragments of tracks.
        number: Of each track.
        calibration: Of the engine.
        how: How tracks are compared.
        masks: Which pairs of N and M tracks are one person and which are two, from their numbers and from whether the
            track_fragments are apart in time.
        crowd: For each track, how many people may be meant.
        means: How the cameras differ.
    """
    if not items:
        return join_pairs([])
    track = np.array([number[p.track] for p in items])
    evidence = [p.evidence for p in items]
    views, both = (stack if means is None else means.stack)(evidence), sides(evidence)
    seen = Presences.of([e.presence for e in evidence])
    gap, other = seen.gaps()
    apart = ~seen.simultaneous()
    people = np.sqrt(crowd[track][:, None] * crowd[track][None]).astype(np.float32)
    found = []
    for first in range(0, len(items), 256):
        rows = slice(first, first + 256)
        later = np.arange(len(items))[None] > np.arange(len(items))[rows, None]
        one, two = masks(track[rows], track, apart[rows])
        comparison = compare(views[rows], views, how)
        looks = calibration.log_odds(comparison.similarity)
        terms = link_terms(comparison, looks, both[rows], both, gap=gap[rows], other=other[rows], crowd=people[rows])
        use = later & (one | two) & (comparison.common > 1e-6)
        i, j = np.nonzero(use)
        counts = Pairs({n: t[use] for n, t in terms.items()}, one[use], np.ones(len(i), np.float32))
        found.append((counts, track[rows][i], track[j]))
    pairs = join_pairs([f[0] for f in found])
    a, b = np.concatenate([f[1] for f in found]), np.concatenate([f[2] for f in found])
    code = np.minimum(a, b) * len(number) + np.maximum(a, b)
    _, index, many = np.unique(code, return_inverse=True, return_counts=True)
    return Pairs(pairs.terms, pairs.same, (1.0 / many[index]).astype(np.float32))
