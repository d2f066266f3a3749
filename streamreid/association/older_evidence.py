"""What places and times say of tracks and of older identities: evidence that outlives the tracks it was found with."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from streamreid.association.identity_registry import IdentityRegistry
from streamreid.association.pair_graph import PairGraph
from streamreid.association.spatial_evidence import SpatialEvidence
from streamreid.types import FloatArray, TrackKey

__all__ = ["Held", "OlderEvidence"]

Held = dict[TrackKey, dict[int, float]]
"""For each track the log-odds of being an older identity."""

_LEAST = 0.1
"""Log-odds that say something."""


class OlderEvidence:
    """A track that leaves the window takes its positions and times along. Whoever was one person with it keeps the
    log-odds, as evidence of being the identity that remembers it: people who are always seen by somebody stay who they
    are.

    Args:
        place: Where people stand, for calibrated cameras; None says nothing.

    Attributes:
        places: By place, above 0.
        times: By how the times of both relate.
    """

    def __init__(self, place: SpatialEvidence | None) -> None:
        self._place = place
        self.places: Held = {}
        self.times: Held = {}
        self._rows: dict[TrackKey, int] = {}
        self._table: FloatArray | None = None
        self._graph: PairGraph | None = None

    def __repr__(self) -> str:
        return f"OlderEvidence(places={len(self.places)}, times={len(self.times)})"

    def begin(self, keys: Sequence[TrackKey]) -> FloatArray | None:
        """Begin a decision; what is known of other tracks is dropped.

        Args:
            keys: The tracks of the window.

        Returns:
            ``[T, T]`` log-odds by place of the tracks with each other; None where no camera is calibrated.
        """
        self._rows = {key: row for row, key in enumerate(keys)}
        self.places = {key: held for key, held in self.places.items() if key in self._rows}
        self.times = {key: held for key, held in self.times.items() if key in self._rows}
        if self._place is not None:
            self._table = np.array(self._place.log_odds(keys, keys), np.float32)
            np.fill_diagonal(self._table, 0.0)
        return self._table

    def decided(self, graph: PairGraph) -> None:
        """The evidence by which these tracks were grouped."""
        self._graph = graph

    def retire(self, gone: Collection[TrackKey], book: IdentityRegistry) -> None:
        """Tracks of the last decision leave the window; those of the same identity that stay keep what connects them.

        Args:
            gone: The tracks that leave.
            book: Who belongs to whom.
        """
        leaving = set(gone)
        pairs = [
            (key, other, gid)
            for key in sorted(leaving & self._rows.keys())
            if (gid := book.owner(key))
            for other in sorted((book.people[gid].members & self._rows.keys()) - leaving)
        ]
        if not pairs:
            return
        one = np.array([self._rows[key] for key, _, _ in pairs])
        two = np.array([self._rows[other] for _, other, _ in pairs])
        if self._table is not None:
            self._hold(self.places, pairs, np.maximum(self._table[one, two], 0.0))
        if self._graph is not None:
            at, there = self._graph.find(one, two)
            if there.any():
                self._hold(self.times, pairs, np.where(there, self._graph.terms["times"][at], np.float32(0.0)))

    @staticmethod
    def _hold(kept: Held, pairs: list[tuple[TrackKey, TrackKey, int]], said: FloatArray) -> None:
        for (_, other, gid), value in zip(pairs, said.tolist(), strict=True):
            if abs(value) > _LEAST:
                held = kept.setdefault(other, {})
                held[gid] = max(held.get(gid, value), value)
