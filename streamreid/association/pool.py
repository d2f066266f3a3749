"""Views of older identities, made ready for comparison once and not anew for every track that may be one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from streamreid.association.comparing import Views, stack
from streamreid.association.evidence import Evidence

__all__ = ["ViewPool"]

_FIRST = 64


class ViewPool:
    """The views of the identities that were asked for last.

    Args:
        most: How many are kept. Each takes V * K * D floats, 18 KiB with the shipped engine.
    """

    def __init__(self, most: int = 512) -> None:
        self._most = most
        self._held: dict[
            int, tuple[int, Evidence, int]
        ] = {}  # slot, evidence, its observations when it was stacked; the longest unused first
        self._views: Views | None = None
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._held)

    def views(self, people: Sequence[tuple[int, Evidence]]) -> Views:
        """Their views, as ``stack`` gives them.

        Args:
            people: Global ids, each once, and what is known of each; of everybody something was seen.
        """
        if len(people) > self._most or not people:
            return stack([evidence for _, evidence in people])
        rows = [self._row(gid, evidence) for gid, evidence in people]
        stale = [i for i, row in enumerate(rows) if row < 0]
        if stale:
            self._make_room(len(people), {gid for gid, _ in people})
            views = stack([people[i][1] for i in stale])
            kept = self._fit(views, len(stale))
            if not kept:  # of another shape than all before
                return self.views(people)
            for i in stale:
                gid, evidence = people[i]
                slot = self._held[gid][0] if gid in self._held else self._free.pop()
                self._held[gid] = (slot, evidence, evidence.observations)
                rows[i] = slot
            self._put(np.array([rows[i] for i in stale]), views)
        assert self._views is not None
        return self._views[np.array(rows)]

    def drop(self, ids: Iterable[int]) -> None:
        """Forget people; unknown ones are ignored."""
        self._free += [self._held.pop(gid)[0] for gid in ids if gid in self._held]

    def _row(self, gid: int, evidence: Evidence) -> int:
        """Where its views are; -1 if they are not there or no longer true."""
        held = self._held.pop(gid, None)
        if held is None:
            return -1
        self._held[gid] = held
        return held[0] if held[1] is evidence and held[2] == evidence.observations else -1

    def _make_room(self, count: int, wanted: set[int]) -> None:
        """Drop the longest unused, so that ``count`` people fit."""
        over = len(self._held.keys() | wanted) - self._most
        for gid in [g for g in self._held if g not in wanted][: max(over, 0)]:
            self._free.append(self._held.pop(gid)[0])

    def _fit(self, views: Views, count: int) -> bool:
        """Make room for more rows and more views per part; False if all had to be forgotten."""
        old = self._views
        if old is not None and old.parts.shape[2:] != views.parts.shape[2:]:
            self._held, self._free, self._views = {}, [], None
            return False
        rows = 0 if old is None else len(old)
        need = rows + max(count - len(self._free), 0)
        each = max(views.parts.shape[1], 1 if old is None else old.parts.shape[1])
        if old is None or need > rows or each > old.parts.shape[1]:
            size = rows if need <= rows else min(max(need, 2 * rows, _FIRST), max(self._most, need))
            self._views = (views if old is None else old).padded(size, each, keep=rows)
            self._free += range(size - 1, rows - 1, -1)
        return True

    def _put(self, rows: np.ndarray, views: Views) -> None:
        assert self._views is not None
        n = views.parts.shape[1]
        self._views.parts[rows, :n], self._views.mass[rows, :n] = views.parts, views.mass
        self._views.parts[rows, n:], self._views.mass[rows, n:] = 0, 0
        self._views.visibility[rows] = views.visibility
