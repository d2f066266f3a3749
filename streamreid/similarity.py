"""The occlusion-unified part similarity: two people are compared only as far as both were seen.

With w = sqrt(visibility),

    similarity(a, b) = sum_k w_ak w_bk <a_k, b_k> / sum_k w_ak w_bk

so the numerator is one matrix product over the K*D concatenation of w*parts and the denominator one over w.
It is the visibility-weighted mean of part distances of PAB-ReID (arXiv 2404.03443, section on inference) and BPBReID, written as two GEMMs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamreid.errors import EngineMismatchError
from streamreid.types import FloatArray, PartFeatures

__all__ = ["Calibration", "part_similarity"]


def part_similarity(a: PartFeatures, b: PartFeatures) -> tuple[FloatArray, FloatArray]:
    """Similarity of every person in ``a`` with every person in ``b``.

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
            f"features of different engines cannot be compared: {a.shape[0]} parts of {a.shape[1]} values against {b.shape[0]} of {b.shape[1]}. "
            "Recompute one side with the other's engine."
        )
    wa, wb = np.sqrt(a.visibility), np.sqrt(b.visibility)
    width = a.shape[0] * a.shape[1]
    numerator = (a.parts * wa[..., None]).reshape(len(a), width) @ (b.parts * wb[..., None]).reshape(len(b), width).T
    denominator = wa @ wb.T
    similarity = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 1e-6)
    common = denominator / np.float32(max(a.shape[0], 1))
    return np.asarray(np.clip(similarity, -1.0, 1.0), np.float32), np.asarray(common, np.float32)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a part similarity translates into a probability: ``sigmoid(slope * similarity + intercept)`` (Platt scaling).

    Trackers and associators decide on probabilities, so their settings hold for every engine.

    Args:
        slope: Positive.
        intercept: At similarity 0.
        source: What it was fitted on; "default" means on nothing.
    """

    slope: float = 12.0
    intercept: float = -6.0
    source: str = "default"

    def probability(self, similarity: FloatArray) -> FloatArray:
        """Probability in (0, 1) that two feature rows show the same person, elementwise."""
        logit = np.clip(self.slope * np.asarray(similarity, np.float32) + self.intercept, -30.0, 30.0)
        return np.asarray(1.0 / (1.0 + np.exp(-logit)), np.float32)
