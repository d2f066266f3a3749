"""Occlusion unification at test (OAMN; Chen et al., ICCV 2021): the gallery is compared as if covered like the query.

The grader's largest score says how much of the query is covered: up to 0.5 nothing, up to 0.75 a quarter, else a half,
on the side of that score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from streamreid.config import EngineConfig
from streamreid.errors import ConfigError
from streamreid.features.similarity import part_similarity
from streamreid.reid.bundle import Bundle
from streamreid.runtimes import load_runtime
from streamreid.types import FloatArray, Image, IntArray, PartFeatures

__all__ = ["UnifiedGallery", "Unifier", "Unifies", "grade", "unified_similarity"]

_BATCH = 16
"""Pictures through the grader at a time."""


class Unifies(Protocol):
    """Grades queries and makes gallery variants: an exported bundle (`Unifier`) or a network in training."""

    def grades(self, queries: Sequence[Image]) -> IntArray:
        """Variant that each query is compared with, ``[Q]``."""
        ...

    def variants(self, gallery: Sequence[Image]) -> list[PartFeatures]:
        """The gallery in each variant."""
        ...


class Unifier:
    """The two graphs of a bundle that occlusion unification needs: grades of queries, nine variants of gallery
    pictures.

    Args:
        bundle: Exported with ``--unified``.
        config: Runtime and precision.

    Raises:
        ConfigError: The bundle has no grader or no variants.
    """

    def __init__(self, bundle: Bundle, config: EngineConfig) -> None:
        m = bundle.manifest
        if "occlusion" not in m.outputs.extra or "unified.onnx" not in m.files:
            raise ConfigError(
                f"engine '{m.name}' cannot unify occlusions: it has no "
                f"{'grader' if 'occlusion' not in m.outputs.extra else 'gallery variants'}; train with network.grader "
                "and export with --unified"
            )
        self._size = (m.input.height, m.input.width)
        self._grader = load_runtime(
            bundle.model, runtime=config.runtime, precision=config.precision, image=m.input.image()
        )
        self._variants = load_runtime(
            bundle.folder / "unified.onnx", runtime=config.runtime, precision=config.precision, image=m.input.image()
        )
        self._scores = [o.name for o in self._grader.outputs].index(m.outputs.extra["occlusion"])
        names = [o.name for o in self._variants.outputs]
        self._outputs = [names.index(n) for n in ("parts", "visibility")]

    def grades(self, queries: Sequence[Image]) -> IntArray:
        """Variant that each query is compared with, ``[Q]``."""
        return grade(
            np.concatenate(
                [self._grader(self._crops(queries, i))[self._scores] for i in range(0, len(queries), _BATCH)]
            )
        )

    def variants(self, gallery: Sequence[Image]) -> list[PartFeatures]:
        """The gallery nine times, in the order of ``training.papers.oamn.unification.VARIANTS``."""
        found = [self._variants(self._crops(gallery, i)) for i in range(0, len(gallery), _BATCH)]
        parts, seen = (np.concatenate([f[o] for f in found]).astype(np.float32) for o in self._outputs)
        return [
            PartFeatures(np.ascontiguousarray(parts[:, v]), np.clip(seen[:, v], 0, 1)) for v in range(parts.shape[1])
        ]

    def _crops(self, pictures: Sequence[Image], start: int) -> Image:
        some = pictures[start : start + _BATCH]
        return np.stack([cv2.resize(p, self._size[::-1], interpolation=cv2.INTER_LINEAR) for p in some]).astype(
            np.uint8
        )


def grade(scores: FloatArray) -> IntArray:
    """Number of the variant for the grader's scores.

    Args:
        scores: ``[Q, 4]`` for left, right, bottom, top, summing to 1.

    Returns:
        ``[Q]``: 0 nothing covered, ``1 + 2 * side`` a quarter, ``2 + 2 * side`` a half.
    """
    side, top = scores.argmax(axis=1), scores.max(axis=1)
    return np.where(top <= 0.5, 0, 1 + 2 * side + (top > 0.75)).astype(np.int64)


def unified_similarity(query: PartFeatures, grades: IntArray, variants: Sequence[PartFeatures]) -> FloatArray:
    """Part similarity ``[Q, G]`` of every query with the gallery's variant of its grade.

    Args:
        query: Q people.
        grades: ``[Q]`` from `grade`.
        variants: The gallery's G people in each variant.
    """
    result = np.zeros((len(query), len(variants[0])), np.float32)
    for number in np.unique(grades):
        rows = np.flatnonzero(grades == number)
        some = PartFeatures(query.parts[rows], query.visibility[rows])
        result[rows] = part_similarity(some, variants[int(number)])[0]
    return result


@dataclass(frozen=True)
class UnifiedGallery:
    """A gallery prepared once for many sets of queries.

    Args:
        unifier: Grades queries.
        variants: See `Unifier.variants`.
    """

    unifier: Unifies
    variants: Sequence[PartFeatures]

    def similarity(self, pictures: Sequence[Image], features: PartFeatures) -> FloatArray:
        """``[Q, G]`` of queries whose features are at hand."""
        return unified_similarity(features, self.unifier.grades(pictures), self.variants)
