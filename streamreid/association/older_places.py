"""What places say of tracks and of older identities: evidence that outlives the tracks it was found with."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from streamreid.association.identity_registry import IdentityRegistry
from streamreid.association.spatial_evidence import SpatialEvidence
from streamreid.types import FloatArray, TrackKey

__all__ = ["OlderPlaces"]

_LEAST = 0.1
"""Log-odds that say something."""


class OlderPlaces:
    """A track that leaves the window takes its positions along. Whoever walked with it until then keeps the log-odds,
    as evidence of being the identity that remembers it: people who are always seen by somebody stay who they are.

    Args:
        place: Where people stand, for calibrated cameras; None says nothing.

    Attributes:
        known: For each track the log-odds by place of being an older identity, above 0.
    """

    def __init__(self, place: SpatialEvidence | None) -> None:
        self._place = place
        self.known: dict[TrackKey, dict[int, float]] = {}
        self._rows: dict[TrackKey, int] = {}
        self._table: FloatArray | None = None

    def __repr__(self) -> str:
        return f"OlderPlaces(tracks={len(self.known)})"

    def table(self, keys: Sequence[TrackKey]) -> FloatArray | None:
        """``[T, T]`` log-odds by place of the tracks with each other; None where no camera is calibrated. What is known
        of other tracks is dropped."""
        if self._place is None:
            return None
        self._rows = {key: row for row, key in enumerate(keys)}
        self._table = np.array(self._place.log_odds(keys, keys), np.float32)
        np.fill_diagonal(self._table, 0.0)
        self.known = {key: held for key, held in self.known.items() if key in self._rows}
        return self._table

    def retire(self, gone: Collection[TrackKey], book: IdentityRegistry) -> None:
        """Tracks of the last table leave the window; those of the same identity that stay keep what connects them.

        Args:
            gone: The tracks that leave.
            book: Who belongs to whom.
        """
        if self._table is None:
            return
        leaving = set(gone)
        for key in leaving & self._rows.keys():
            gid = book.owner(key)
            if not gid:
                continue
            for other in book.people[gid].members & self._rows.keys():
                said = float(self._table[self._rows[key], self._rows[other]])
                if other not in leaving and said > _LEAST:
                    held = self.known.setdefault(other, {})
                    held[gid] = max(held.get(gid, 0.0), said)
