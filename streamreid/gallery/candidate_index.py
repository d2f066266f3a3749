"""Candidates for the exact search, from an approximate index of vectors in memory: usearch's HNSW graph (Malkov &
Yashunin, 2018).

The index lives with the process only. Erased entries are marked in the graph and leave it when it is made anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from streamreid.errors import MissingExtraError
from streamreid.types import FloatArray, IntArray

__all__ = ["CandidateIndex"]

_CONNECTIVITY = 16
"""Neighbours per node of the HNSW graph (M of Malkov & Yashunin)."""

_EXPANSION_ADD = 64
"""Candidates looked at when a vector is added (efConstruction)."""


class CandidateIndex:
    """Vectors by id, searched by inner product.

    Args:
        dim: Values per vector.

    Raises:
        MissingExtraError: usearch is not installed.
    """

    def __init__(self, dim: int) -> None:
        try:
            from usearch.index import Index
        except ImportError:
            raise MissingExtraError("usearch", "index", "the approximate index of a large gallery") from None
        self._graph: Any = Index(
            ndim=dim, metric="ip", dtype="f16", connectivity=_CONNECTIVITY, expansion_add=_EXPANSION_ADD
        )
        self.erased = 0

    def __len__(self) -> int:
        return len(self._graph)

    def __contains__(self, view: int) -> bool:
        return bool(view in self._graph)

    def __repr__(self) -> str:
        return f"CandidateIndex(n={len(self)}, dim={self._graph.ndim})"

    def add(self, ids: IntArray, vectors: FloatArray) -> None:
        """Add vectors ``[N, D]`` under their ids."""
        if len(ids):
            self._graph.add(ids.astype(np.uint64), vectors.astype(np.float16))

    def remove(self, ids: IntArray) -> None:
        """Let go of some; ids that are not there are ignored."""
        there = [i for i in ids.tolist() if i in self._graph]
        if there:
            self._graph.remove(np.array(there, np.uint64))
            self.erased += len(there)

    def search(self, vectors: FloatArray, count: int) -> IntArray:
        """Ids of about the ``count`` nearest to each of ``[Q, D]`` vectors, all together."""
        count = min(count, len(self))
        if not count or not len(vectors):
            return np.zeros(0, np.int64)
        self._graph.expansion_search = count
        found = self._graph.search(vectors.astype(np.float16), count)
        return np.asarray(found.keys).reshape(-1).astype(np.int64)
