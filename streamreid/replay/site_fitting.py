"""Fitting an engine's features to a site, without labels: what is fitted on one half of the tracks is judged on the
other, and kept only if it is better there.

Three things are known without labels: looks of one track are one person; people seen by one camera at one time are
different people; and two tracks of two cameras, each by far the most alike to the other, are probably one person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from streamreid.association.camera_normalisation import CameraMean, CameraMeans
from streamreid.association.site_adaptation import SiteAdaptation
from streamreid.association.track_similarity import Views
from streamreid.errors import DataError
from streamreid.features.logistic import fit_logistic
from streamreid.replay.link_calibration import Walked
from streamreid.replay.site_tracks import (
    RecordedTracks,
    Rows,
    SiteTracks,
    camera_means,
    check_enough,
    collect_tracks,
    halves_of,
    of_pairs,
    strangers,
    sure_pairs,
)
from streamreid.types import BoolArray, Float64Array, FloatArray

__all__ = [
    "BETTER",
    "STRENGTHS",
    "FittedSite",
    "Judgement",
    "RecordedTracks",
    "fit_adaptation",
    "fit_site",
    "fit_tracks",
    "judge_pairs",
]

STRENGTHS = (0.0, 0.3, 0.6, 1.0)
"""How far the features are whitened: 0 moves the cameras' means only, 1 makes all that varies about one person equally
little. Tried in this order; the best on tracks that were left out is taken."""

SHRINK, FLOOR = 100.0, 0.1
"""Pairs at which half of a covariance is believed, and the least variance of a direction as a share of the mean."""

BETTER = 0.005
"""Least share by which the separation must rise on tracks that were left out."""

WRONG = 0.1
"""Share of sure pairs that are two people after all; the log-loss allows for it, or such pairs alone would decide."""


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
    tracks = collect_tracks(recordings, seed)
    pairs = sure_pairs(tracks)
    check_enough(tracks, pairs)
    before, after = _judge_all(tracks, pairs, halves_of(len(tracks.keys), pairs, seed))
    best = max(STRENGTHS, key=lambda s: after[s].separation)
    better = after[best].separation > before.separation * (1 + BETTER)
    good = better and after[best].log_loss <= before.log_loss
    counts = {str(c): int(n) for c, n in zip(*np.unique(tracks.camera, return_counts=True), strict=True)}
    found = FittedSite(None, before, after, best if good else None, counts, len(pairs))
    if not good:
        return found
    everything = np.ones(len(tracks.keys), bool)
    fitted = fit_adaptation(tracks, pairs, everything, best, engine, scaled=True)
    return replace(found, adaptation=replace(fitted, report=found.as_dict()))


# -------------------------------------------------------------------- fitting


def fit_adaptation(
    tracks: SiteTracks, pairs: Rows, use: BoolArray, strength: float, engine: str, *, scaled: bool = False
) -> SiteAdaptation:
    """The closed form of one strength.

    Args:
        tracks: Of the site.
        pairs: ``[P, 2]`` surely one person.
        use: ``[N]`` tracks that are learnt from.
        strength: See ``STRENGTHS``.
        engine: Fingerprint of the engine.
        scaled: With the scale on which different people are as alike as before.
    """
    means = camera_means(tracks, use)
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
    fitted = SiteAdaptation(engine, dict(_known(tracks, use)), maps)
    return _scaled(fitted, tracks, pairs) if scaled else fitted


def _known(tracks: SiteTracks, use: BoolArray) -> list[tuple[str, CameraMean]]:
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


def _scaled(fitted: SiteAdaptation, tracks: SiteTracks, pairs: Rows) -> SiteAdaptation:
    """With the scale on which different people are as alike as before."""
    adapted = _adapted(fitted, tracks)
    one, two = strangers(tracks, pairs)
    old, new = (of_pairs(v, v, one, two) for v in (tracks.views, adapted[0]))
    scale = float(np.clip(old.std() / max(float(new.std()), 1e-6), 0.5, 2.0))
    return replace(fitted, scale=scale, offset=float(old.mean() - scale * new.mean()))


# -------------------------------------------------------------------- judging


def _adapted(fitted: SiteAdaptation | None, tracks: SiteTracks) -> tuple[Views, Views, Views]:
    """The whole tracks and their halves, as they would be compared."""
    everything = (tracks.views, *tracks.halves)
    if fitted is None:
        return everything
    means = CameraMeans(adapt=fitted.apply)
    means.begin(fitted.means)
    whole, first, second = (means.moved(v, tracks.evidence) for v in everything)
    return whole, first, second


def _judge_all(tracks: SiteTracks, pairs: Rows, half: BoolArray) -> tuple[Judgement, dict[float, Judgement]]:
    def judged(strength: float | None) -> Judgement:
        both = []
        for use in (half, ~half):
            fitted = None if strength is None else fit_adaptation(tracks, pairs, use, strength, "")
            both.append(judge_pairs(fitted, tracks, pairs, use)[1])
        return Judgement(*(float(np.mean([getattr(j, n) for j in both])) for n in ("log_loss", "separation")))

    return judged(None), {s: judged(s) for s in STRENGTHS}


def judge_pairs(
    fitted: SiteAdaptation | None, tracks: SiteTracks, pairs: Rows, fitted_on: BoolArray
) -> tuple[Views, Judgement]:
    """Judge by pairs of tracks that nothing was fitted on but the two figures that make a probability of a similarity.

    Args:
        fitted: None: the features as they are.
        tracks: Of the site.
        pairs: ``[P, 2]`` surely one person.
        fitted_on: ``[N]`` tracks that were learnt from.

    Returns:
        The tracks as they are compared, and how well they are told apart.

    Raises:
        DataError: Hardly anybody was seen together.
    """
    whole, first, second = _adapted(fitted, tracks)
    rows, pairs = np.flatnonzero(~fitted_on), pairs[~fitted_on[pairs].any(1)]
    one, two = strangers(tracks, pairs)
    away = ~(fitted_on[one] | fitted_on[two])
    other = of_pairs(whole, whole, one[away], two[away])
    if not len(other):
        raise DataError("too little to learn from: hardly anybody was seen together with others. Record for longer")
    same = np.concatenate([of_pairs(whole, whole, *pairs.T), of_pairs(first, second, rows, rows)])
    # Pairs across cameras are few and what counts: they weigh as much as all halves of one track.
    share = np.concatenate([np.full(len(pairs), 0.25 / len(pairs)), np.full(len(rows), 0.25 / len(rows))])
    values = np.concatenate([same, other]).astype(np.float64)
    labels = np.arange(len(values)) < len(same)
    weight = np.concatenate([share, np.full(len(other), 0.5 / len(other))])
    x = np.stack([values, np.ones(len(values))], 1)
    log_odds = x @ fit_logistic(x, labels, weight * len(values), ridge=1e-3)
    return whole, Judgement(
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
