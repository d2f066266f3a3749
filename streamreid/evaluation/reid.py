"""Re-identification scores: CMC, mAP and mINP by the Market-1501 protocol.

For every query the gallery pictures of the same person from the same camera are left out; other people of that camera
stay. Queries without any remaining match are skipped. AP is the mean over the matches of the precision at their rank;
ties keep the gallery's order (stable sort).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.datasets.layouts import Layout, Named, list_pictures
from streamreid.errors import DataError
from streamreid.types import FloatArray, IntArray

__all__ = ["PersonImages", "ReidScores", "person_images", "rank_scores", "read_folder", "rerank"]


@dataclass(frozen=True)
class PersonImages:
    """Pictures of people with Market-1501 names.

    Args:
        paths: Files, sorted by name.
        persons: ``[N]`` person numbers.
        cameras: ``[N]`` camera numbers.
    """

    paths: tuple[Path, ...]
    persons: IntArray
    cameras: IntArray

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True)
class ReidScores:
    """Fractions in [0, 1]; ``queries`` is how many queries counted."""

    r1: float
    r5: float
    r10: float
    map: float
    minp: float
    queries: int

    def as_dict(self) -> dict[str, float]:
        """The same figures as plain values, for JSON."""
        return {
            "R1": self.r1,
            "R5": self.r5,
            "R10": self.r10,
            "mAP": self.map,
            "mINP": self.minp,
            "queries": self.queries,
        }


def read_folder(folder: str | Path, layout: Layout = "market") -> PersonImages:
    """Read the names of a folder of person pictures; person -1 (junk) is left out.

    Raises:
        DataError: The folder is missing, holds no pictures, or a name does not say person and camera.
    """
    return person_images(list_pictures(folder, layout))


def person_images(named: list[Named]) -> PersonImages:
    """Paths, identities and cameras of named pictures as arrays."""
    persons, cameras = (np.array(values, np.int64) for values in ([n.person for n in named], [n.camera for n in named]))
    return PersonImages(tuple(n.path for n in named), persons, cameras)


def rank_scores(similarity: FloatArray, query: PersonImages, gallery: PersonImages) -> ReidScores:
    """Score a similarity matrix.

    Args:
        similarity: ``[Q, G]``, larger is more alike.
        query: Q pictures.
        gallery: G pictures.

    Raises:
        DataError: The matrix has another shape, holds NaN, or no query has a match from another camera.
    """
    if similarity.shape != (len(query), len(gallery)):
        raise DataError(
            f"similarity is {similarity.shape}, expected [{len(query)} queries, {len(gallery)} gallery pictures]"
        )
    if not np.isfinite(similarity).all():
        raise DataError("the similarity matrix holds NaN or infinity; check the features")
    precision, inverse, first = [], [], []
    for q in range(len(query)):
        same = gallery.persons == query.persons[q]
        keep = ~(same & (gallery.cameras == query.cameras[q]))
        matches = same[keep][np.argsort(-similarity[q, keep], kind="stable")]
        ranks = np.flatnonzero(matches) + 1
        if ranks.size:
            precision.append(float(np.mean(np.arange(1, ranks.size + 1) / ranks)))
            inverse.append(ranks.size / ranks[-1])
            first.append(ranks[0])
    if not first:
        raise DataError(
            "no query has a picture of the same person from another camera in the gallery; nothing can be scored"
        )
    best = np.array(first)
    r1, r5, r10 = (float(np.mean(best <= r)) for r in (1, 5, 10))
    return ReidScores(r1, r5, r10, float(np.mean(precision)), float(np.mean(inverse)), len(first))


def rerank(query: Any, cross: Any, gallery: Any, k1: int = 20, k2: int = 6, weight: float = 0.3) -> FloatArray:
    """k-reciprocal re-ranking (Zhong et al., CVPR 2017).

    The final distance is ``(1 - weight) * Jaccard distance of the k-reciprocal neighbourhoods + weight * original
    distance``.

    Args:
        query: ``[Q, Q]`` distances between queries.
        cross: ``[Q, G]`` distances between queries and gallery.
        gallery: ``[G, G]`` distances in the gallery.
        k1: Size of the neighbourhood.
        k2: Neighbours over which the encodings are averaged.
        weight: Share of the original distance.

    Returns:
        ``[Q, G]`` float32 distances.
    """
    count = len(query)
    every = np.block([[np.asarray(query), np.asarray(cross)], [np.asarray(cross).T, np.asarray(gallery)]]).astype(
        np.float64
    )
    every = every**2
    every = (every / every.max(axis=0)).T
    order = np.argsort(every, axis=1, kind="stable")
    encoding = np.stack([_encode(every, order, row, k1) for row in range(len(every))])
    if k2 > 1:
        encoding = np.stack([encoding[order[row, :k2]].mean(axis=0) for row in range(len(every))])
    jaccard = np.empty((count, len(every)))
    for row in range(count):
        least = np.minimum(encoding[row], encoding).sum(axis=1)
        jaccard[row] = 1 - least / (2 - least)
    return np.asarray((1 - weight) * jaccard[:, count:] + weight * every[:count, count:], np.float32)


def _reciprocal(order: NDArray[np.int64], row: int, k: int) -> NDArray[np.int64]:
    near = order[row, : k + 1]
    return np.asarray(near[(order[near, : k + 1] == row).any(axis=1)], np.int64)


def _encode(every: NDArray[np.float64], order: NDArray[np.int64], row: int, k1: int) -> NDArray[np.float64]:
    """Gaussian weights on the expanded k-reciprocal neighbours of one picture."""
    own = _reciprocal(order, row, k1)
    expanded = [own]
    for candidate in own:
        other = _reciprocal(order, int(candidate), round(k1 / 2))
        if len(np.intersect1d(other, own)) > 2 / 3 * len(other):
            expanded.append(other)
    members = np.unique(np.concatenate(expanded))
    weights = np.exp(-every[row, members])
    code = np.zeros(len(every))
    code[members] = weights / weights.sum()
    return code
