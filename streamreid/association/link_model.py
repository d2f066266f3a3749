"""From evidence to the probability that two tracks are one person: a logistic model of a few terms, each of which can
be told to a user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamreid.association.track_similarity import Comparison
from streamreid.config.association import LinkConfig
from streamreid.types import FloatArray

__all__ = ["LOOKS_LIMIT", "TERMS", "Sides", "explain", "link_log_odds", "link_terms", "pair_terms", "sigmoid"]

TERMS = (
    "looks",
    "looks_common",
    "looks_crops",
    "common",
    "crops",
    "quality",
    "gap",
    "other_camera",
    "strangers",
    "times",
    "crowd",
    "place",
)
"""Names of the terms; ``LinkConfig`` has a weight for each, and an intercept."""

LOOKS_LIMIT = 12.0
"""Similarity alone is never surer than this, in log-odds."""

_CROPS = 3.0
"""Crops at which the mean of a track counts half as reliable as that of an endless one."""


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """What is known of N tracks beside their looks.

    Args:
        crops: ``[N]`` how many pictures of the track were described.
        quality: ``[N]`` their mean quality in [0, 1].
    """

    crops: FloatArray
    quality: FloatArray

    def __getitem__(self, rows: Any) -> Sides:
        """Rows by slice, integer array or boolean mask."""
        return Sides(self.crops[rows], self.quality[rows])


def link_terms(
    found: Comparison,
    looks: FloatArray,
    a: Sides,
    b: Sides,
    *,
    gap: FloatArray,
    other: FloatArray,
    strangers: FloatArray | float = 0.0,
    times: FloatArray | float = 0.0,
    crowd: FloatArray | float = 1.0,
    place: FloatArray | None = None,
) -> dict[str, FloatArray]:
    """The terms of every pair, each ``[N, M]``. Where nothing was seen in common, all terms of looks are 0.

    Args:
        found: Comparison of N with M tracks.
        looks: ``[N, M]`` log-odds by looks: the engine's calibration of ``found.similarity``.
        a: The N tracks.
        b: The M tracks.
        gap: ``[N, M]`` seconds between both; 0 where they overlap.
        other: ``[N, M]`` 1 where they are of two cameras.
        strangers: ``[N, M]`` log-odds by how much less both look like strangers than most do.
        times: ``[N, M]`` log-odds by how the times of both relate.
        crowd: ``[N, M]``, ``[M]`` or one number: how many people may be meant; without further evidence the odds of
            being a given one of them are one in so many.
        place: ``[N, M]`` log-odds by place; None says nothing.
    """
    both = Sides(np.minimum(a.crops[:, None], b.crops[None]), np.minimum(a.quality[:, None], b.quality[None]))
    return pair_terms(
        found.common, looks, both, gap=gap, other=other, strangers=strangers, times=times, crowd=crowd, place=place
    )


def pair_terms(
    common: FloatArray,
    looks: FloatArray,
    least: Sides,
    *,
    gap: FloatArray,
    other: FloatArray,
    strangers: FloatArray | float = 0.0,
    times: FloatArray | float = 0.0,
    crowd: FloatArray | float = 1.0,
    place: FloatArray | None = None,
) -> dict[str, FloatArray]:
    """As ``link_terms``, elementwise, of pairs in any shape.

    Args:
        common: The share of parts that was seen in both.
        looks: Log-odds by looks.
        least: The lesser of both sides' crops and quality.
        gap: See ``link_terms``; so are the others.
        other: See there.
        strangers: See there.
        times: See there.
        crowd: See there.
        place: See there.
    """
    seen = common > 1e-6
    if not seen.any():  # boxes alone: seven terms are nothing, which need not be worked out for every pair
        nothing = np.zeros(seen.shape, np.float32)
        crowded = np.broadcast_to(np.log(np.maximum(crowd, 1.0)), seen.shape)
        known = {"crowd": crowded, "place": nothing if place is None else place}
        return {name: np.asarray(known.get(name, nothing), np.float32) for name in TERMS}
    reliable = least.crops / (least.crops + _CROPS)
    base = np.where(seen, np.clip(looks, -LOOKS_LIMIT, LOOKS_LIMIT), 0.0)
    terms = {
        "looks": base,
        "looks_common": base * common,
        "looks_crops": base * reliable,
        "common": np.where(seen, common, 0.0),
        "crops": np.where(seen, reliable, 0.0),
        "quality": np.where(seen, least.quality, 0.0),
        "gap": np.where(seen, np.log1p(gap), 0.0),
        "other_camera": np.where(seen, other, 0.0),
        "strangers": np.where(seen, strangers, 0.0),
        "times": np.where(seen, times, 0.0),
        "crowd": np.broadcast_to(np.log(np.maximum(crowd, 1.0)), base.shape),
        "place": np.zeros_like(base) if place is None else place,
    }
    return {name: np.asarray(value, np.float32) for name, value in terms.items()}


def link_log_odds(model: LinkConfig, terms: Mapping[str, FloatArray]) -> FloatArray:
    """``[N, M]`` log-odds: intercept + sum of weight * term."""
    total = np.full_like(terms["looks"], model.intercept)
    for name in TERMS:
        weight = getattr(model, name)
        if weight:
            total += np.float32(weight) * terms[name]
    return total


def explain(model: LinkConfig, terms: Mapping[str, FloatArray]) -> dict[str, float]:
    """What each kind of evidence adds to the log-odds of one pair, or on average of several; terms of one kind are
    added up."""
    kinds: dict[str, tuple[str, ...]] = {
        "looks": ("looks", "looks_common", "looks_crops"),
        "seen": ("common", "crops", "quality"),
    }
    kinds |= {name: (name,) for name in ("gap", "other_camera", "strangers", "times", "crowd", "place")}
    result = {
        kind: sum(weight * float(terms[n].mean()) for n in names if (weight := getattr(model, n)))
        for kind, names in kinds.items()
    }
    return {"prior": model.intercept + model.exclusion, **{kind: value for kind, value in result.items() if value}}


def sigmoid(log_odds: FloatArray) -> FloatArray:
    """Probability of log-odds, elementwise: 1 / (1 + exp(-x)), float32."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -30.0, 30.0))), np.float32)
