"""What fine-tuning an engine on a site needs and is judged by: who is surely one person, who surely is not, which
tracks may be learnt from, and how well features tell the others apart.

Torch is not needed here; ``streamreid.training.site_tuning`` changes the weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from streamreid.association.site_adaptation import SiteAdaptation
from streamreid.datasets.site_people import SitePeople
from streamreid.errors import DataError
from streamreid.features.similarity import Calibration
from streamreid.replay.site_fitting import BETTER, STRENGTHS, Judgement, fit_adaptation, judge_pairs
from streamreid.replay.site_pictures import SitePictures
from streamreid.replay.site_tracks import (
    LEAST_PAIRS,
    Rows,
    SiteTracks,
    check_enough,
    collect_tracks,
    halves_of,
    of_pairs,
    strangers,
    sure_pairs,
)
from streamreid.types import BoolArray, FloatArray, PartFeatures

__all__ = ["Judged", "TuningTask", "final_adaptation", "judge_features", "moved_calibration", "tuning_task"]

LEARNT_FROM = 0.6
"""Share of the people; the others judge."""


@dataclass(frozen=True, slots=True, eq=False)
class TuningTask:
    """What is learnt from, and what is judged by.

    Args:
        site: The pictures.
        tracks: Of the engine as it is.
        pairs: ``[P, 2]`` tracks of two cameras, surely one person.
        use: ``[N]`` tracks that may be learnt from.
        learnt: Rows of the pictures that are learnt from.
        people: These.
    """

    site: SitePictures
    tracks: SiteTracks
    pairs: Rows
    use: BoolArray
    learnt: Rows
    people: SitePeople


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """How features do on tracks that nothing was learnt from.

    Args:
        found: With the best of the closed-form adaptations, or without any.
        strength: Of that adaptation; None: without.
        same: Similarities of sure pairs, ...
        other: ... and of different people, adapted.
        views: ``[N, K, D]`` average features of the tracks, adapted.
    """

    found: Judgement
    strength: float | None
    same: FloatArray
    other: FloatArray
    views: FloatArray

    def better_than(self, other: Judged) -> bool:
        """Whether both figures are, the separation by more than chance."""
        return (
            self.found.separation > other.found.separation * (1 + BETTER)
            and self.found.log_loss <= other.found.log_loss
        )

    def as_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON."""
        return {
            "log_loss": round(self.found.log_loss, 5),
            "separation": round(self.found.separation, 4),
            "strength": self.strength,
        }


def tuning_task(site: SitePictures, features: PartFeatures, *, seed: int = 0) -> TuningTask:
    """Decide what is learnt from, by what the engine as it is says of the pictures.

    Args:
        site: The pictures.
        features: ``[M]`` of the engine as it is.
        seed: Of the lot that parts the people.

    Raises:
        DataError: Too little to learn from.
    """
    tracks = collect_tracks(site.recorded(features), seed)
    pairs = sure_pairs(tracks)
    check_enough(tracks, pairs)
    use = halves_of(len(tracks.keys), pairs, seed, LEARNT_FROM)
    own = pairs[use[pairs].all(1)]
    learnt, people = _people(site, tracks, own, use)
    if len(own) < LEAST_PAIRS or not people.apart.any():
        raise DataError(
            f"too little to fine-tune on: {len(own)} pairs of tracks of two cameras are surely one person among "
            f"those that may be learnt from, {LEAST_PAIRS} are needed, and people who are seen together. Record for "
            "longer, or leave out --fine-tune"
        )
    return TuningTask(site, tracks, pairs, use, learnt, people)


def _people(site: SitePictures, tracks: SiteTracks, pairs: Rows, use: BoolArray) -> tuple[Rows, SitePeople]:
    row = {key: i for i, key in enumerate(tracks.keys) if use[i]}
    owner = np.array([row.get((c, t + n * 1_000_000_000), -1) for n, (c, t) in site.owner], np.intp)
    chosen = np.flatnonzero(use)
    apart = np.zeros((len(tracks.keys),) * 2, bool)
    one, two = strangers(tracks, pairs)
    apart[one, two] = apart[two, one] = True
    person = np.arange(len(tracks.keys))
    for i, j in pairs.tolist():
        both = np.isin(person, person[[i, j]])
        if not apart[np.ix_(both, both)].any():  # or one of the pairs is two people after all
            person[both] = person[[i, j]].min()
    names, person = np.unique(person[chosen], return_inverse=True)
    merged = np.zeros((len(names),) * 2, bool)
    for a, b in zip(*np.nonzero(apart[np.ix_(chosen, chosen)]), strict=True):
        merged[person[a], person[b]] = True
    np.fill_diagonal(merged, False)
    number = np.full(len(tracks.keys), -1)
    number[chosen] = np.arange(len(chosen))
    camera = np.unique(tracks.camera, return_inverse=True)[1][chosen]
    kept = np.flatnonzero(owner >= 0)
    return kept, SitePeople(site.pictures[kept], number[owner[kept]], person, camera, merged | merged.T)


def judge_features(task: TuningTask, features: PartFeatures, *, seed: int = 0) -> Judged:
    """How well features tell the tracks apart that nothing was learnt from.

    Args:
        task: What is judged by.
        features: ``[M]`` of the pictures.
        seed: As in ``tuning_task``.
    """
    tracks = collect_tracks(task.site.recorded(features), seed)
    best: Judged | None = None
    for strength in (None, *STRENGTHS):
        fitted = None if strength is None else fit_adaptation(tracks, task.pairs, task.use, strength, "")
        views, found = judge_pairs(fitted, tracks, task.pairs, task.use)
        pairs = task.pairs[~task.use[task.pairs].any(1)]
        one, two = strangers(tracks, task.pairs)
        away = ~(task.use[one] | task.use[two])
        judged = Judged(
            found,
            strength,
            of_pairs(views, views, *pairs.T),
            of_pairs(views, views, one[away], two[away]),
            views.parts[:, 0],
        )
        if best is None or judged.better_than(best):
            best = judged
    assert best is not None
    return best


def final_adaptation(
    task: TuningTask, features: PartFeatures, judged: Judged, engine: str, report: dict[str, Any], *, seed: int = 0
) -> SiteAdaptation | None:
    """The closed-form adaptation of features, fitted on everything; None where none was better."""
    if judged.strength is None:
        return None
    tracks = collect_tracks(task.site.recorded(features), seed)
    everything = np.ones(len(tracks.keys), bool)
    fitted = fit_adaptation(tracks, task.pairs, everything, judged.strength, engine, scaled=True)
    return replace(fitted, report=report)


def moved_calibration(task: TuningTask, base: Calibration, features: PartFeatures, *, seed: int = 0) -> Calibration:
    """A calibration for other features: that of the engine they come from, on the scale on which different people are
    as alike as before."""
    after = collect_tracks(task.site.recorded(features), seed)
    one, two = strangers(task.tracks, task.pairs)
    old, new = (of_pairs(t.views, t.views, one, two).astype(np.float64) for t in (task.tracks, after))
    scale = float(np.clip(old.std() / max(float(new.std()), 1e-6), 0.5, 2.0))
    offset = float(old.mean() - scale * new.mean())
    known = base.impostor_mean is not None and base.impostor_deviation is not None
    return replace(
        base,
        slope=base.slope * scale,
        intercept=base.intercept + base.slope * offset,
        source=f"{base.source}, moved to a site",
        impostor_mean=(base.impostor_mean - offset) / scale if known and base.impostor_mean is not None else None,
        impostor_deviation=base.impostor_deviation / scale if known and base.impostor_deviation is not None else None,
    )
