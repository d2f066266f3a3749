"""Fitting the link model to pairs of which is known whether they are one person, and telling how honest its
probabilities are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.association.link_model import TERMS, link_log_odds, sigmoid
from streamreid.config.association import LinkConfig
from streamreid.errors import DataError
from streamreid.features.logistic import fit_logistic
from streamreid.types import BoolArray, FloatArray

__all__ = ["Pairs", "Reliability", "doubt", "fit_link", "join_pairs", "reliability"]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of tracks.

    Args:
        terms: ``{name: [N]}``, see ``links.TERMS``.
        same: ``[N]`` bool, one person or two.
        weight: ``[N]`` how much each pair counts.
    """

    terms: Mapping[str, FloatArray]
    same: BoolArray
    weight: FloatArray

    def __len__(self) -> int:
        return len(self.same)

    def __repr__(self) -> str:
        return f"Pairs(same={int(self.same.sum())}, different={int((~self.same).sum())})"

    def pick(self, rows: NDArray[np.intp] | BoolArray) -> Pairs:
        """Some of the pairs, by index or mask."""
        return Pairs({n: t[rows] for n, t in self.terms.items()}, self.same[rows], self.weight[rows])


def join_pairs(items: Sequence[Pairs]) -> Pairs:
    """All pairs of several sets."""
    if not items:
        return Pairs({n: np.zeros(0, np.float32) for n in TERMS}, np.zeros(0, bool), np.zeros(0, np.float32))
    terms = {n: np.concatenate([p.terms[n] for p in items]) for n in TERMS}
    return Pairs(terms, np.concatenate([p.same for p in items]), np.concatenate([p.weight for p in items]))


def fit_link(
    pairs: Pairs,
    base: LinkConfig,
    free: Collection[str] = (*TERMS, "intercept"),
    *,
    source: str = "",
    ridge: float = 1.0,
    least: int = 10,
) -> LinkConfig:
    """Fit the weights named in ``free``; the others stay as in ``base``.

    Maximum likelihood with a Gaussian prior around ``base``: minimises - sum_i weight_i log p_i + ridge / 2 *
    |change|^2 by Newton's method. Weights of terms that must not turn evidence around (``looks``, ``place``) are kept
    at 0 or more.

    Args:
        pairs: What is known.
        base: Where to begin.
        free: What may change.
        source: Noted in the result.
        ridge: Strength of the prior.
        least: Pairs of each kind that are needed.

    Raises:
        DataError: Too few pairs of one kind.
    """
    yes, no = int(pairs.same.sum()), int((~pairs.same).sum())
    if min(yes, no) < least:
        raise DataError(
            f"too little to fit link probabilities: {yes} pairs of one person and {no} of two people, {least} of each "
            "are needed. Give a longer recording, or one in which several people are seen at the same time"
        )
    names = [n for n in (*TERMS, "intercept") if n in free]
    while True:
        columns = [np.ones(len(pairs)) if n == "intercept" else pairs.terms[n].astype(np.float64) for n in names]
        fixed = base.model_copy(update=dict.fromkeys(names, 0.0))
        offset = link_log_odds(fixed, pairs.terms).astype(np.float64)
        start = np.array([getattr(base, n) for n in names])
        found = fit_logistic(
            np.stack(columns, 1), pairs.same, pairs.weight.astype(np.float64), offset=offset, start=start, ridge=ridge
        )
        result = dict(zip(names, (round(float(v), 6) for v in found), strict=True))
        wrong = [n for n in ("looks", "place") if result.get(n, 0.0) < 0]
        if not wrong:
            return base.model_copy(update={**result, "source": source})
        names = [n for n in names if n not in wrong]
        base = base.model_copy(update=dict.fromkeys(wrong, 0.0))


def doubt(pairs: Pairs, model: LinkConfig, share: float) -> Pairs:
    """Pairs of "two people" count less the more they look like one: two tracks of one person, or somebody in front of
    somebody else, are among them.

    The weight is that of the label being right, (1 - p) / (1 - p + share p), where ``share`` is how often it is not.

    Args:
        pairs: With labels of which those of two people may be wrong.
        model: For p.
        share: In [0, 1].
    """
    p = probabilities(model, pairs)
    right = np.where(pairs.same, 1.0, (1 - p) / np.maximum(1 - p + share * p, 1e-9))
    return Pairs(pairs.terms, pairs.same, (pairs.weight * right).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often what was said with a probability was true.

    Args:
        edges: Limits of the bins, one more than bins.
        count: How much lies in each bin.
        said: Mean probability in each bin; 0 where it is empty.
        true: Share that was true; 0 where it is empty.
        error: Expected calibration error: mean of |said - true| over everything (Naeini et al., AAAI 2015).
    """

    edges: tuple[float, ...]
    count: tuple[float, ...]
    said: tuple[float, ...]
    true: tuple[float, ...]
    error: float


def reliability(
    probability: FloatArray, true: BoolArray, weight: FloatArray | None = None, *, bins: int = 10
) -> Reliability:
    """Compare probabilities with what was true, in bins of equal width.

    Args:
        probability: ``[N]`` in [0, 1].
        true: ``[N]``.
        weight: ``[N]``, default 1.
        bins: How many.
    """
    w = np.ones(len(true)) if weight is None else weight.astype(np.float64)
    where = np.minimum((probability * bins).astype(int), bins - 1)
    count = np.bincount(where, w, bins)
    said = np.bincount(where, w * probability, bins) / np.maximum(count, 1e-12)
    right = np.bincount(where, w * true, bins) / np.maximum(count, 1e-12)
    error = float((count * np.abs(said - right)).sum() / max(count.sum(), 1e-12))
    edges = tuple(float(e) for e in np.linspace(0, 1, bins + 1))
    return Reliability(edges, tuple(count.tolist()), tuple(said.tolist()), tuple(right.tolist()), error)


def probabilities(model: LinkConfig, pairs: Pairs) -> FloatArray:
    """``[N]`` probability that each pair is one person."""
    return sigmoid(link_log_odds(model, pairs.terms))
