"""The occlusion-unified part similarity: two people are compared only as far as both were seen.

With w = sqrt(visibility),

    similarity(a, b) = sum_k w_ak w_bk <a_k, b_k> / sum_k w_ak w_bk

so the numerator is one matrix product over the K*D concatenation of w*parts and the denominator one over w. It is the
visibility-weighted mean of part distances of PAB-ReID (arXiv 2404.03443, section on inference) and BPBReID, written as
two GEMMs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from streamreid.errors import EngineMismatchError
from streamreid.features.packed import LEAST_WEIGHT, PackedParts
from streamreid.types import BoolArray, FloatArray, IntArray, PartFeatures, SimilaritySums

__all__ = [
    "Calibration",
    "PackedParts",
    "SiteCalibration",
    "combine_parts",
    "part_similarity",
    "similarity_of_pairs",
]


def part_similarity(a: PartFeatures | PackedParts, b: PartFeatures | PackedParts) -> tuple[FloatArray, FloatArray]:
    """Similarity of every person in ``a`` with every person in ``b``.

    A side that is compared again and again is better kept as `PackedParts`: packing it takes as long as a comparison.

    Args:
        a: N people.
        b: M people, from the same engine.

    Returns:
        similarity: ``[N, M]`` float32 in [-1, 1]; 0 where no part was seen in both.
        common: ``[N, M]`` float32 in [0, 1]: the share of parts that was seen in both (0 = no evidence).

    Raises:
        EngineMismatchError: If K or D differ.
    """
    if a.shape != b.shape:
        raise EngineMismatchError(
            f"features of different engines cannot be compared: {a.shape[0]} parts of {a.shape[1]} values against "
            f"{b.shape[0]} of {b.shape[1]}. Recompute one side with the other's engine."
        )
    left = a if isinstance(a, PackedParts) else PackedParts(a)
    right = b if isinstance(b, PackedParts) else PackedParts(b)
    return left.compare(right)


def similarity_of_pairs(features: PartFeatures, one: IntArray, two: IntArray) -> tuple[FloatArray, FloatArray]:
    """The same of some pairs of people.

    Args:
        features: N people.
        one: ``[P]`` row of the first of each pair.
        two: ``[P]`` row of the other.

    Returns:
        ``[P]`` similarity and common share.
    """
    each = np.einsum("pkd,pkd->kp", features.parts[one], features.parts[two])
    return combine_parts(each, np.sqrt((features.visibility[one] * features.visibility[two]).T))


def combine_parts(
    each: FloatArray, weight: FloatArray, total: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """The same similarity where a part has several prototypes, so that the likeness of each part is known already.

    Args:
        each: ``[K, N, M]`` likeness of each part in [-1, 1], of all pairs; ``[K, P]`` of some, as all that follows.
        weight: ``[K, N, M]`` w_ak w_bk, how well each part was seen in both.
        total: ``[N, M]`` what the weighted sum is divided by; by default the sum of the weights.

    Returns:
        similarity: ``[N, M]`` float32 in [-1, 1]; 0 where no part was seen in both.
        common: ``[N, M]`` float32 in [0, 1]: the share of parts that was seen in both.
    """
    total = np.add.reduce(weight, 0) if total is None else total
    similarity = np.divide(
        np.add.reduce(weight * each, 0), total, out=np.zeros(total.shape, np.float32), where=total > LEAST_WEIGHT
    )
    np.minimum(np.maximum(similarity, -1, out=similarity), 1, out=similarity)
    return similarity, np.asarray(total / max(len(each), 1), np.float32)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a part similarity translates into a probability: ``sigmoid(slope * similarity + intercept)`` (Platt scaling).

    Trackers and associators decide on probabilities, so their settings hold for every engine.

    Args:
        slope: Positive.
        intercept: At similarity 0.
        source: What it was fitted on; "default" means on nothing.
        impostor_mean: Mean similarity of different people seen by one camera, where it was fitted; None if unknown.
        impostor_deviation: Standard deviation of the same.
    """

    slope: float = 12.0
    intercept: float = -6.0
    source: str = "default"
    impostor_mean: float | None = None
    impostor_deviation: float | None = None

    def log_odds(self, similarity: FloatArray) -> FloatArray:
        """Log-odds that two feature rows show the same person, elementwise."""
        return np.asarray(self.slope * np.asarray(similarity, np.float32) + self.intercept, np.float32)

    def probability(self, similarity: FloatArray) -> FloatArray:
        """Probability in (0, 1) that two feature rows show the same person, elementwise."""
        return np.asarray(
            1.0 / (1.0 + np.exp(-np.minimum(np.maximum(self.log_odds(similarity), -30.0), 30.0))), np.float32
        )


class SiteCalibration:
    """A calibration that follows the site: people seen at the same time in one camera are different people, whatever
    the engine thinks.

    Similarities of different people have another level under other light, lenses and clothes than where the calibration
    was fitted. Their mean and deviation on the site, estimated while running, take the place of the reference (z-norm
    of speaker verification, Auckenthaler et al., "Score normalization for text-independent speaker verification
    systems", 2000):

        p = sigmoid(slope * (reference mean + (similarity - mean) * reference deviation / deviation) + intercept)

    Without reference figures, or before enough pairs were seen, it is the calibration itself.

    Args:
        base: The engine's calibration.
        prior: Weight, in pairs, of the reference figures.
        memory: Pairs after which older ones fade.
    """

    def __init__(self, base: Calibration | None = None, *, prior: float = 30.0, memory: float = 20_000.0) -> None:
        self.base = base or Calibration()
        self._memory = memory
        mean, deviation = self.base.impostor_mean, self.base.impostor_deviation
        self._follows = mean is not None and deviation is not None and deviation > 0
        self._weight = prior
        self._mean = mean or 0.0
        self._square = self._mean**2 + (deviation or 0.0) ** 2
        self._now: Calibration | None = None  # asked for several times between changes

    def observe(self, features: PartFeatures, boxes: FloatArray) -> SimilaritySums | None:
        """Take the people of one frame of one camera.

        Args:
            features: N rows.
            boxes: ``[N, 4]`` xyxy; pairs whose boxes touch are left out (two boxes of one person, one person in front
                of another).

        Returns:
            What was taken, so that another calibration can follow this one by ``add``; None if nothing was.
        """
        if not self._follows or np.count_nonzero(_seen_at_all(features.visibility)) < 2:
            return None
        similarity, common = part_similarity(features, features)
        sides = boxes.T
        apart = np.minimum(sides[2:, :, None], sides[2:, None]) <= np.maximum(sides[:2, :, None], sides[:2, None])
        apart = apart[0] | apart[1]
        values = similarity[np.triu(apart & (common > 0), 1)].astype(np.float64)
        if not len(values):
            return None
        sums = SimilaritySums(len(values), float(values.sum()), float((values**2).sum()))
        self.add(sums)
        return sums

    def add(self, sums: SimilaritySums) -> None:
        """Take similarities of people who were seen at the same time in one camera."""
        if not self._follows:
            return
        keep = max(0.0, 1.0 - sums.pairs / self._memory) if self._weight >= self._memory else 1.0
        total = self._weight * keep + sums.pairs
        self._mean += (sums.total - sums.pairs * self._mean) / total
        self._square += (sums.squares - sums.pairs * self._square) / total
        self._weight = total
        self._now = None

    @property
    def calibration(self) -> Calibration:
        """The calibration as it is now, in terms of plain similarity."""
        if not self._follows:
            return self.base
        if self._now is None:
            self._now = self._follow()
        return self._now

    def _follow(self) -> Calibration:
        reference, spread = self.base.impostor_mean or 0.0, self.base.impostor_deviation or 1.0
        # A few people in view make a small sample: the scale is trusted within bounds only.
        ratio = min(max(spread / sqrt(max(self._square - self._mean**2, 1e-8)), 0.5), 2.0)
        return Calibration(
            self.base.slope * ratio,
            self.base.slope * (reference - self._mean * ratio) + self.base.intercept,
            self.base.source,
            self._mean,
            spread / ratio,
        )

    def log_odds(self, similarity: FloatArray) -> FloatArray:
        """See :meth:`Calibration.log_odds`."""
        return self.calibration.log_odds(similarity)

    def probability(self, similarity: FloatArray) -> FloatArray:
        """See :meth:`Calibration.probability`."""
        return self.calibration.probability(similarity)


def _seen_at_all(visibility: FloatArray) -> BoolArray:
    """``[N]`` of whom any part was seen."""
    return np.asarray(np.logical_or.reduce(visibility > 0, 1))
