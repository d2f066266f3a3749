"""What looks say of which box is which track."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreid.features.prototype_bank import PrototypeBank
from streamreid.features.similarity import Calibration, SiteCalibration
from streamreid.tracking.candidates import FramePeople
from streamreid.tracking.owner_changes import SEEN_IN_COMMON
from streamreid.tracking.track_table import filled
from streamreid.types import BoolArray, FloatArray

__all__ = ["Looks", "coin", "probable"]

Rows = NDArray[np.intp]


class Looks:
    """Compares the people of a frame with the tracks of its camera.

    Args:
        appearance: What is known of each track; only read.
        calibration: Turns the engine's part similarity into a probability.
        weight: Of looks against overlap, where a person is seen completely.
    """

    def __init__(self, appearance: PrototypeBank, calibration: Calibration | SiteCalibration, weight: float) -> None:
        self._appearance = appearance
        self._calibration = calibration
        self._weight = np.float32(weight)

    def of_pairs(
        self, tracks: Rows, people: FramePeople, numbers: Rows
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """What looks say of tracks and people, each ``[P]``: the probability that they are one, drawn to 1/2 as far
        as the person is hidden; a rank in [0, 1] to choose between candidates, 1/2 where nothing is known; the weight
        of looks against overlap; and the similarity, infinite where too little was seen in common to tell.

        The rank is the similarity from the toss of a coin (0) to certainty (1). Probabilities would not do: they are
        all 1 among people who look somewhat alike, and the choice between them would be left to overlap.
        """
        seen = people.seen.take(numbers)
        count = int(np.count_nonzero(seen)) if people.looked else 0
        if people.looked and count == len(seen):
            return self._of_seen(tracks, people, numbers)
        looks = rank = filled(0.5, len(tracks), np.float32)
        weight, told = np.zeros(len(tracks), np.float32), filled(np.inf, len(tracks), np.float32)
        if count:
            some, rank = seen.nonzero()[0], looks.copy()
            looks[some], rank[some], weight[some], told[some] = self._of_seen(
                tracks.take(some), people, numbers.take(some)
            )
        return looks, rank, weight, told

    def _of_seen(
        self, tracks: Rows, people: FramePeople, numbers: Rows
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """The same of people of whom something was seen."""
        similarity, common = self._appearance.similarity_of_pairs(tracks, people.features, people.rows.take(numbers))
        known, clear = common > 0, people.clear.take(numbers)
        looks = np.where(known, self._calibration.probability(similarity) - np.float32(0.5), np.float32(0)) * clear
        rank = np.where(known, self.rank(similarity), np.float32(0.5))
        weight = self._weight * np.sqrt(common * clear)
        told = np.where(common > SEEN_IN_COMMON, similarity, np.float32(np.inf))
        return looks + np.float32(0.5), rank, weight, told

    def rank(self, similarity: FloatArray) -> FloatArray:
        """From the toss of a coin (0) to certainty (1), elementwise."""
        even = coin(self._calibration)
        return np.asarray(np.minimum(np.maximum((similarity - even) / max(1.0 - even, 1e-6), 0.0), 1.0), np.float32)

    def alike(self, similarity: FloatArray, common: FloatArray) -> BoolArray:
        """Whether two are rather one than two, elementwise."""
        return np.asarray((common > 0) & (self._calibration.probability(similarity) >= 0.5))


def coin(calibration: Calibration | SiteCalibration) -> float:
    """Similarity from which two people are rather one than two."""
    now = calibration.calibration if isinstance(calibration, SiteCalibration) else calibration
    return min(max(-now.intercept / max(now.slope, 1e-6), -1.0), 1.0)


def probable(least: float, looks: FloatArray, places: FloatArray) -> BoolArray:
    """Where looks (probabilities, at least ``least``) and places (log-odds) together make it probable that a lost track
    was found again, elementwise."""
    return np.asarray((looks >= least) & (_log_odds(looks) + places >= np.log(least / (1.0 - least))))


def _log_odds(probability: FloatArray) -> FloatArray:
    """Log-odds, bounded: no look is surer than 500 to 1."""
    p = np.clip(probability, 0.002, 0.998)
    return np.asarray(np.log(p / (1.0 - p)), np.float32)
