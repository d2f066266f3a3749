"""Probabilities that add up: how probable links are on average is learnt of the site.

On cameras that nobody trained for, people look less alike from camera to camera than where the link model was fitted,
and all probabilities are too low together. Nobody says who is who, but two counts say how many pairs of tracks are one
person: of N people who are equally often seen, one pair in N is; and those that were linked are. The intercept of the
link model follows the geometric mean of both, which is nothing where nobody was linked: an update of
calibration-in-the-large (Steyerberg, "Clinical Prediction Models", 2009) to an estimated number of cases, as in Saerens
et al., "Adjusting the outputs of a classifier to new a priori probabilities", Neural Computation 2002. With d the
change and x the log-odds of the pairs,

    sum sigmoid(x + d) + PRIOR d = expected pairs of one person

which has one solution: with few expected pairs next to no change. Both counts err to one side: whom hiding parts into
several people is counted several times, and links that were not found are missing. So the intercept is only ever
raised: on a hard site a lowered one would lose links, these would lower the counts, and so on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreid.types import FloatArray

__all__ = ["LinkIntercept", "intercept_change", "some_pairs"]

PRIOR = 30.0
"""Pairs of one person per unit of log-odds that the default intercept is worth."""

LIMIT = 1.5
"""Log-odds by which the intercept is raised at most: where it takes more, people are not what is counted."""

EVERY = 10.0
"""Seconds of capture time between two looks at the window; at first as many as a quarter of the time so far."""

MOST = 32_768
"""Pairs that are looked at; of more, a sample."""

_STEPS = 40  # halvings of the interval: to 2e-12


def intercept_change(log_odds: FloatArray, expected: float, pairs: float | None = None) -> float:
    """The change of the intercept with which probabilities add up to what is expected, shrunk.

    Args:
        log_odds: ``[P]`` of pairs that may be one person, without a change.
        expected: How many of all pairs are one person.
        pairs: How many pairs these are a sample of; by default they are all.

    Returns:
        In [0, LIMIT]; 0 without pairs.
    """
    if not len(log_odds):
        return 0.0
    odds = np.exp(-np.clip(log_odds.astype(np.float64), -30.0, 30.0))
    scale = 1.0 if pairs is None else pairs / len(log_odds)
    low, high = 0.0, LIMIT
    for _ in range(_STEPS):
        middle = (low + high) / 2
        said = scale * float((1.0 / (1.0 + odds * np.exp(-middle))).sum())
        if said + PRIOR * middle < expected:
            low = middle
        else:
            high = middle
    return 0.0 if low == 0.0 else (low + high) / 2


def some_pairs(tracks: int, most: int = MOST) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    """Numbers of the tracks of all pairs, or of a fixed sample of them, the lesser first; and how many pairs there are.

    Args:
        tracks: T.
        most: Pairs.
    """
    count = tracks * (tracks - 1) // 2
    if count <= most:
        one, two = np.triu_indices(tracks, 1)
        return one, two, float(count)
    rng = np.random.default_rng(tracks)
    one = rng.integers(0, tracks, most)
    two = (one + rng.integers(1, tracks, most)) % tracks
    code = np.unique(np.minimum(one, two) * tracks + np.maximum(one, two))
    return *np.divmod(code, tracks), float(count)


class LinkIntercept:
    """How far the intercept of the link model is from its default on this site.

    Attributes:
        change: In log-odds.
    """

    def __init__(self) -> None:
        self.change = 0.0
        self._begun: float | None = None
        self._looked = -np.inf

    def __repr__(self) -> str:
        return f"LinkIntercept(change={self.change:+.3f})"

    def due(self, now: float) -> bool:
        """Whether to look at the window at this capture time."""
        if self._begun is None:
            self._begun = now
        wait = min(EVERY, max((now - self._begun) / 4, 1.0))
        if now - self._looked < wait:
            return False
        self._looked = now
        return True

    def learn(self, log_odds: FloatArray, linked: float, people: float, pairs: float) -> None:
        """Take the pairs of the window.

        Args:
            log_odds: ``[P]`` of pairs that may be one person, by the default model.
            linked: Share of them that were linked.
            people: How many people may be meant.
            pairs: How many pairs these are a sample of.
        """
        expected = pairs * float(np.sqrt(linked / max(people, 1.0)))
        self.change = intercept_change(log_odds, expected, pairs)
