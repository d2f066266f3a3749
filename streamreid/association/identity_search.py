"""Finding the older identities that may be meant, among a hundred thousand, in two passes.

The first pass compares codes of ``width`` values per part, the projections onto the directions in which the people
differ most (truncated singular value decomposition of each part's features, fitted anew whenever there are four times
as many people as at the last fit, up to a point), with the same occlusion-unified mean as everything else: two matrix
products. The second compares the few that remain view by view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from streamreid.association.track_evidence import Evidence, descriptors
from streamreid.association.track_similarity import Views, stack
from streamreid.association.view_pool import ViewPool
from streamreid.features.packed import PackedParts
from streamreid.types import FloatArray, IntArray, PartFeatures

__all__ = ["IdentityIndex"]

_SAMPLE = 4096
"""Features on which the quantiser is fitted: bounds the time of fitting."""


class IdentityIndex:
    """Coarse search over identities; costs one pass over ``width`` * K values per identity.

    Args:
        width: Values per part of a code.
        beam: How many times more candidates than wanted the first pass hands on.
    """

    def __init__(self, *, width: int = 16, beam: int = 8) -> None:
        self._width, self._beam = width, beam
        self._axes: FloatArray | None = None
        self._fitted = 0
        self._codes: PackedParts | None = None
        self._ids: IntArray = np.zeros(0, np.int64)  # by row, with room for more
        self._rows: dict[int, int] = {}
        self._evidence: dict[int, Evidence] = {}
        self._pool = ViewPool()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, gid: int) -> bool:
        return gid in self._rows

    def put(self, items: Iterable[tuple[int, Evidence]]) -> None:
        """Add identities, or replace what is known of them. Those of whom nothing was seen are left out."""
        new = {gid: evidence for gid, evidence in items if evidence.seen > 0}
        if not new:
            return
        self._evidence.update(new)
        for gid, evidence in new.items():
            if not self._pool.holds(gid, evidence):
                self._pool.put(gid, evidence)
        if self._due():
            self._fit()
            return
        codes = self._encode(list(new.values()))
        assert self._codes is not None
        old = [gid for gid in new if gid in self._rows]
        rows = {gid: i for i, gid in enumerate(new)}
        if old:
            self._codes.replace(np.array([self._rows[g] for g in old]), codes[[rows[g] for g in old]])
        fresh = [gid for gid in new if gid not in self._rows]
        if fresh:
            count, more = len(self._rows), len(fresh)
            if count + more > len(self._ids):
                self._ids = np.concatenate([self._ids[:count], np.zeros(max(more, count), np.int64)])
            self._ids[count : count + more] = fresh
            self._rows.update(zip(fresh, range(count, count + more), strict=True))
            self._codes.append(codes[[rows[g] for g in fresh]])

    def reserve(self, features: Sequence[PartFeatures]) -> None:
        """Make room for identities with these views, which are put next."""
        seen = [f for f in features if f.visibility.any()]
        if seen:
            self._pool.reserve(sum(map(len, seen)), seen[0].shape)

    def keep(self, gid: int, evidence: Evidence) -> None:
        """Take over the memory of an identity's views, before it is put with many others."""
        if evidence.seen > 0:
            self._pool.put(gid, evidence)

    def views(self, ids: Sequence[int], evidence: Callable[[], Sequence[Evidence]]) -> Views:
        """The views of some identities for a close comparison.

        Args:
            ids: At least one.
            evidence: Says what is known of each.
        """
        views = self._pool.views(ids)
        return stack(evidence()) if views is None else views

    def drop(self, ids: Iterable[int]) -> None:
        """Forget identities; unknown ones are ignored."""
        gone = [gid for gid in ids if gid in self._rows]
        if not gone or self._codes is None:
            return
        self._codes.remove(np.array([self._rows[g] for g in gone]))
        kept = np.ones(len(self._rows), bool)
        kept[[self._rows[g] for g in gone]] = False
        self._ids = self._ids[: len(kept)][kept]
        self._rows = {g: i for i, g in enumerate(self._ids.tolist())}
        for gid in gone:
            self._evidence.pop(gid, None)
            self._pool.drop(gid)

    def search(self, queries: list[Evidence], count: int) -> IntArray:
        """The identities that look most like each query, to be compared closely by the caller.

        Args:
            queries: Q tracks.
            count: How many are wanted in the end.

        Returns:
            ``[Q, C]`` global ids, best first, at most ``count`` * ``beam``; -1 where nobody is left.
        """
        if self._codes is None or not queries or not self._rows:
            return np.zeros((len(queries), 0), np.int64)
        rows, _ = PackedParts(self._encode(queries)).best(self._codes, count * self._beam)
        return np.asarray(np.where(rows >= 0, self._ids[rows], -1))

    def _due(self) -> bool:
        return self._codes is None or (self._fitted < _SAMPLE and len(self._evidence) >= 4 * self._fitted)

    def _fit(self) -> None:
        items = [self._evidence[g] for g in sorted(self._evidence)]
        features = descriptors(items)
        sample = features[:: max(1, len(items) // _SAMPLE)]
        weighted = sample.parts * np.sqrt(sample.visibility)[..., None]
        moment = np.einsum("nkd,nke->kde", weighted, weighted, optimize=True)
        _, vectors = np.linalg.eigh(moment.astype(np.float64))
        self._axes = np.ascontiguousarray(vectors[:, :, ::-1][:, :, : self._width], np.float32)
        self._fitted = len(items)
        ids = sorted(self._evidence)
        self._ids = np.array(ids, np.int64)
        self._rows = {g: i for i, g in enumerate(ids)}
        self._codes = PackedParts(self._project(features))

    def _encode(self, items: list[Evidence]) -> PartFeatures:
        return self._project(descriptors(items))

    def _project(self, features: PartFeatures) -> PartFeatures:
        assert self._axes is not None
        if features.shape != (len(self._axes), self._axes.shape[1]):  # nothing seen of anybody
            return PartFeatures.unseen(len(features), len(self._axes), self._axes.shape[2])
        codes = np.matmul(features.parts.transpose(1, 0, 2), self._axes).transpose(1, 0, 2)
        return PartFeatures(np.ascontiguousarray(codes, np.float32), features.visibility)
