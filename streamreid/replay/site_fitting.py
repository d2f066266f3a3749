"""Fitting an engine's features to a site, without labels: what is fitted on one half of the tracks is judged on the
other, and kept only if it is better there.

Three things are known without labels: looks of one track are one person; people seen by one camera at one time are
different people; and two tracks of two cameras, each by far the most alike to the other, are probably one person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.association.camera_normalisation import CameraMean, CameraMeans
from streamreid.association.pair_sampling import Look
from streamreid.association.site_adaptation import SiteAdaptation
from streamreid.association.track_evidence import Evidence, Presence, descriptors
from streamreid.association.track_similarity import Views, compare
from streamreid.errors import DataError
from streamreid.features.logistic import fit_logistic
from streamreid.features.prototype_bank import PrototypeSums
from streamreid.replay.link_calibration import Walked
from streamreid.types import BoolArray, Float64Array, FloatArray, TrackKey

__all__ = ["STRENGTHS", "FittedSite", "Judgement", "RecordedTracks", "fit_site", "fit_tracks"]

STRENGTHS = (0.0, 0.3, 0.6, 1.0)
"""How far the features are whitened: 0 moves the cameras' means only, 1 makes all that varies about one person equally
little. Tried in this order; the best on tracks that were left out is taken."""

MARGIN = 0.05
"""By how much more alike than any other two tracks of two cameras must be to each other, to be taken for one person;
.8 to .9 of such pairs are right where half of the people are seen by both cameras."""

LEAST_TRACKS, LEAST_CAMERAS, LEAST_PAIRS = 8, 2, 6
"""Tracks in each of so many cameras, and sure pairs of two cameras in each half, from which something can be learnt."""

SHRINK, FLOOR = 100.0, 0.1
"""Pairs at which half of a covariance is believed, and the least variance of a direction as a share of the mean."""

MOST_TRACKS = 2000
"""Of all cameras; comparisons grow with the square."""

BETTER = 0.005
"""Least share by which the separation must rise on tracks that were left out."""

WRONG = 0.1
"""Share of sure pairs that are two people after all; the log-loss allows for it, or such pairs alone would decide."""

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Judgement:
    """How well one and the same person is told from different people, on tracks that nothing was fitted on.

    Args:
        log_loss: Mean negative log-likelihood of pairs, in nats; both kinds count one half. 0.693 is the toss of a
            coin.
        separation: Distance of the means of both kinds in standard deviations (d').
    """

    log_loss: float
    separation: float


@dataclass(frozen=True, slots=True, eq=False)
class FittedSite:
    """What was found.

    Args:
        adaptation: The best, fitted on everything; None where none was better than the engine's features as they are.
        before: The engine's features as they are.
        after: For each strength.
        strength: The best; None where none was better.
        tracks: By camera.
        pairs: Of two cameras, surely one person.
    """

    adaptation: SiteAdaptation | None
    before: Judgement
    after: dict[float, Judgement]
    strength: float | None
    tracks: dict[str, int]
    pairs: int

    def as_dict(self) -> dict[str, Any]:
        """The same figures as plain values, for JSON."""

        def plain(found: Judgement) -> dict[str, float]:
            return {"log_loss": round(found.log_loss, 5), "separation": round(found.separation, 4)}

        return {
            "schema": 1,
            "tracks": self.tracks,
            "pairs": self.pairs,
            "before": plain(self.before),
            "after": {f"{s:g}": plain(j) for s, j in self.after.items()},
            "strength": self.strength,
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Tracks:
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


def fit_site(walked: Sequence[Walked], *, seed: int = 0) -> FittedSite:
    """Learn what differs between a site's cameras, and what varies about its people.

    Args:
        walked: Recordings of one engine and one site.
        seed: Of the lot that parts the tracks.

    Raises:
        DataError: Recordings of several engines or too little to learn from.
    """
    engines = {w.replay.manifest.engine.fingerprint for w in walked}
    if len(engines) > 1:
        names = sorted({w.replay.manifest.engine.name for w in walked})
        raise DataError(f"caches of several engines cannot be learnt from together: {', '.join(names)}")
    return fit_tracks([RecordedTracks(w.recorder.looks, w.recorder.spans) for w in walked], engines.pop(), seed=seed)


def fit_tracks(recordings: Sequence[RecordedTracks], engine: str, *, seed: int = 0) -> FittedSite:
    """The same from the tracks themselves.

    Args:
        recordings: Of one site.
        engine: Fingerprint of the engine.
        seed: Of the lot that parts the tracks.

    Raises:
        DataError: Too little to learn from.
    """
    tracks = _collect(recordings, seed)
    pairs = _sure_pairs(tracks)
    _check(tracks, pairs)
    before, after = _judge_all(tracks, pairs, _halves(len(tracks.keys), pairs, seed))
    best = max(STRENGTHS, key=lambda s: after[s].separation)
    better = after[best].separation > before.separation * (1 + BETTER)
    good = better and after[best].log_loss <= before.log_loss
    counts = {str(c): int(n) for c, n in zip(*np.unique(tracks.camera, return_counts=True), strict=True)}
    found = FittedSite(None, before, after, best if good else None, counts, len(pairs))
    if not good:
        return found
    everything = np.ones(len(tracks.keys), bool)
    fitted = _scaled(_fit(tracks, pairs, everything, best, engine), tracks, pairs)
    return replace(found, adaptation=replace(fitted, report=found.as_dict()))


# -------------------------------------------------------------------- what is known


def _collect(recordings: Sequence[RecordedTracks], seed: int) -> _Tracks:
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
    return _Tracks(
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


def _sure_pairs(tracks: _Tracks) -> Rows:
    """``[P, 2]`` tracks of two cameras that are surely one person, as the engine's features say and also after what
    differs between the cameras on average was taken away."""
    means = _means(tracks, np.ones(len(tracks.keys), bool))
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


def _check(tracks: _Tracks, pairs: Rows) -> None:
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


def _halves(count: int, pairs: Rows, seed: int) -> BoolArray:
    """``[N]`` which half each track is in; those of one pair are in one."""
    rng = np.random.default_rng(seed)
    group = np.arange(count)
    for i, j in pairs.tolist():
        group[group == group[j]] = group[i]
    paired = np.unique(group[pairs[:, 0]])
    half = np.zeros(count, bool)
    for some in (paired, np.setdiff1d(np.unique(group), paired)):
        chosen = rng.permutation(some)[: len(some) // 2]
        half[np.isin(group, chosen)] = True
    return half


# -------------------------------------------------------------------- fitting


def _means(tracks: _Tracks, use: BoolArray) -> CameraMeans:
    means = CameraMeans()
    means.learn({k: tracks.evidence[i] for i, k in enumerate(tracks.keys) if use[i]})
    means.follow()
    return means


def _fit(tracks: _Tracks, pairs: Rows, use: BoolArray, strength: float, engine: str) -> SiteAdaptation:
    means = _means(tracks, use)
    _, _, k, d = tracks.views.parts.shape
    maps = np.repeat(np.eye(d, dtype=np.float32)[None], k, 0)
    if strength > 0:
        moved = means.moved(tracks.views, tracks.evidence)
        pairs = pairs[use[pairs].all(1)]
        looks = use[tracks.owner]
        spread, weight = tracks.spread[looks], tracks.weight[looks]
        both = np.sqrt(moved.visibility[pairs[:, 0]] * moved.visibility[pairs[:, 1]])
        apart = (moved.parts[pairs[:, 0], 0] - moved.parts[pairs[:, 1], 0]) * np.sqrt(both / 2)[..., None]
        for part in range(k):
            within = spread[:, part].T @ spread[:, part] / max(float(weight[:, part].sum()), 1e-6)
            across = apart[:, part].T @ apart[:, part] / max(float(both[:, part].sum()), 1e-6)
            maps[part] = _whitening(within.astype(np.float64) + across, float(both[:, part].sum()), strength)
    # Every camera's means, also those of cameras with few tracks: they count as little as they know.
    return SiteAdaptation(engine, dict(_known(tracks, use)), maps)


def _known(tracks: _Tracks, use: BoolArray) -> list[tuple[str, CameraMean]]:
    found = tracks.views
    weighted = found.parts[:, 0] * found.visibility[..., None]
    return [
        (str(c), CameraMean(weighted[rows].sum(0), found.visibility[rows].sum(0)))
        for c in np.unique(tracks.camera[use])
        for rows in [use & (tracks.camera == c)]
    ]


def _whitening(covariance: Float64Array, count: float, strength: float) -> FloatArray:
    d = len(covariance)
    even = np.trace(covariance) / d
    shrunk = (count * covariance + SHRINK * even * np.eye(d)) / (count + SHRINK)
    values, vectors = np.linalg.eigh(shrunk)
    values = np.maximum(values, FLOOR * max(float(values.mean()), 1e-12)) / max(float(values.mean()), 1e-12)
    return np.asarray((vectors * values ** (-strength / 2)) @ vectors.T, np.float32)


def _scaled(fitted: SiteAdaptation, tracks: _Tracks, pairs: Rows) -> SiteAdaptation:
    """With the scale on which different people are as alike as before."""
    adapted = _adapted(fitted, tracks)
    one, two = _strangers(tracks, pairs)
    old, new = (_of_pairs(v, v, one, two) for v in (tracks.views, adapted[0]))
    scale = float(np.clip(old.std() / max(float(new.std()), 1e-6), 0.5, 2.0))
    return replace(fitted, scale=scale, offset=float(old.mean() - scale * new.mean()))


# -------------------------------------------------------------------- judging


def _adapted(fitted: SiteAdaptation | None, tracks: _Tracks) -> tuple[Views, Views, Views]:
    """The whole tracks and their halves, as they would be compared."""
    everything = (tracks.views, *tracks.halves)
    if fitted is None:
        return everything
    means = CameraMeans(adapt=fitted.apply)
    means.begin(fitted.means)
    whole, first, second = (means.moved(v, tracks.evidence) for v in everything)
    return whole, first, second


def _of_pairs(a: Views, b: Views, one: Rows, two: Rows) -> FloatArray:
    """``[P]`` similarity of tracks ``one`` [P] of ``a`` with ``two`` [P] of ``b``."""
    left, right = a.parts[one, 0], b.parts[two, 0]
    weight = np.sqrt(a.visibility[one] * b.visibility[two])
    each = (left * right).sum(2)
    return np.asarray((weight * each).sum(1) / np.maximum(weight.sum(1), 1e-6), np.float32)


def _strangers(tracks: _Tracks, pairs: Rows) -> tuple[Rows, Rows]:
    """Pairs of tracks that are different people: seen together by one camera, or one of a sure pair and those who were
    seen together with the other."""
    one, two = np.nonzero(np.triu(tracks.together))
    more = [(a, other) for a, b in (*pairs.tolist(), *pairs[:, ::-1].tolist()) for other in _beside(tracks, b)]
    extra = np.array(more, np.intp).reshape(-1, 2)
    return np.concatenate([one, extra[:, 0]]), np.concatenate([two, extra[:, 1]])


def _beside(tracks: _Tracks, row: int) -> list[int]:
    return np.flatnonzero(tracks.together[row]).tolist()


def _judge_all(tracks: _Tracks, pairs: Rows, half: BoolArray) -> tuple[Judgement, dict[float, Judgement]]:
    def judged(strength: float | None) -> Judgement:
        both = []
        for use in (half, ~half):
            fitted = None if strength is None else _fit(tracks, pairs, use, strength, "")
            both.append(_judge(_adapted(fitted, tracks), tracks, pairs, use))
        return Judgement(*(float(np.mean([getattr(j, n) for j in both])) for n in ("log_loss", "separation")))

    return judged(None), {s: judged(s) for s in STRENGTHS}


def _judge(adapted: tuple[Views, Views, Views], tracks: _Tracks, pairs: Rows, fitted_on: BoolArray) -> Judgement:
    """By pairs of tracks that nothing was fitted on but the two figures that make a probability of a similarity."""
    whole, first, second = adapted
    rows, pairs = np.flatnonzero(~fitted_on), pairs[~fitted_on[pairs].any(1)]
    one, two = _strangers(tracks, pairs)
    away = ~(fitted_on[one] | fitted_on[two])
    other = _of_pairs(whole, whole, one[away], two[away])
    if not len(other):
        raise DataError("too little to learn from: hardly anybody was seen together with others. Record for longer")
    same = np.concatenate([_of_pairs(whole, whole, *pairs.T), _of_pairs(first, second, rows, rows)])
    # Pairs across cameras are few and what counts: they weigh as much as all halves of one track.
    share = np.concatenate([np.full(len(pairs), 0.25 / len(pairs)), np.full(len(rows), 0.25 / len(rows))])
    values = np.concatenate([same, other]).astype(np.float64)
    labels = np.arange(len(values)) < len(same)
    weight = np.concatenate([share, np.full(len(other), 0.5 / len(other))])
    x = np.stack([values, np.ones(len(values))], 1)
    log_odds = x @ fit_logistic(x, labels, weight * len(values), ridge=1e-3)
    return Judgement(
        float((weight * _loss(np.where(labels, log_odds, -log_odds))).sum()), _separation(same, 2 * share, other)
    )


def _loss(log_odds: Float64Array) -> Float64Array:
    """Negative log-likelihood of labels of which some are wrong, less what the best answer costs."""
    p = 1.0 / (1.0 + np.exp(-np.clip(log_odds, -30, 30)))
    return np.asarray(np.log(1 - WRONG) - np.log((1 - WRONG) * p + WRONG * (1 - p)))


def _separation(same: FloatArray, weight: Float64Array, other: FloatArray) -> float:
    mean = float((weight * same).sum())
    spread = float((weight * (same - mean) ** 2).sum()) + float(other.var())
    return float((mean - other.mean()) / np.sqrt(max(spread / 2, 1e-12)))
