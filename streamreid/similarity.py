"""The occlusion-unified part similarity: two people are compared only as far as both were seen.

With w = sqrt(visibility),

    similarity(a, b) = sum_k w_ak w_bk <a_k, b_k> / sum_k w_ak w_bk

so the numerator is one matrix product over the K*D concatenation of w*parts and the denominator one over w.
It is the visibility-weighted mean of part distances of PAB-ReID (arXiv 2404.03443, section on inference) and BPBReID, written as two GEMMs.
"""

from __future__ import annotations

import numpy as np

from streamreid.errors import EngineMismatchError
from streamreid.types import FloatArray, PartFeatures

__all__ = ["part_similarity"]


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
    numerator = (a.parts * wa[..., None]).reshape(len(a), -1) @ (b.parts * wb[..., None]).reshape(len(b), -1).T
    denominator = wa @ wb.T
    similarity = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 1e-6)
    return np.clip(similarity, -1.0, 1.0), denominator / max(a.shape[0], 1)
