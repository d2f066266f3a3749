"""Which older identities, of whom no track is in the window any more, each track may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from streamreid.association.camera_normalisation import CameraMeans
from streamreid.association.identity_registry import IdentityRegistry
from streamreid.association.identity_search import IdentityIndex
from streamreid.association.site_adaptation import AnyCalibration
from streamreid.association.track_evidence import Evidence
from streamreid.association.track_similarity import Views, compare
from streamreid.config import AssociationConfig
from streamreid.types import FloatArray, IntArray, TrackKey

__all__ = ["OlderIdentities"]

_PLAUSIBLE = 4  # older identities per track that take part in the grouping

_TOGETHER = 4096
"""Older identities up to which those of several tracks are collected once for all; about 25 MB."""

_AT_ONCE = 32
"""Tracks compared with them at a time: bounds memory to some MB."""


class OlderIdentities:
    """Finds them by looks, and looks again only where more is known of either.

    Args:
        config: How many take part.
        calibration: From similarity to log-odds.
        means: How the cameras differ.

    Attributes:
        index: Of what older identities look like.
        near: For each track the few that it looks most like: similarity, and share of parts that both saw.
    """

    def __init__(self, config: AssociationConfig, calibration: AnyCalibration, means: CameraMeans) -> None:
        self._config, self._calibration, self._means = config, calibration, means
        self.index = IdentityIndex()
        self.near: dict[TrackKey, dict[int, tuple[float, float]]] = {}
        self._renewed: set[int] = set()

    def __repr__(self) -> str:
        return f"OlderIdentities(identities={len(self.index)}, tracks={len(self.near)})"

    def refresh(
        self, keys: list[TrackKey], stale: list[TrackKey], tracks: Mapping[TrackKey, Evidence], book: IdentityRegistry
    ) -> None:
        """Look up what has changed.

        Args:
            keys: The tracks of the window.
            stale: Those of which more is known than before.
            tracks: What is known of each.
            book: The identities so far.
        """
        present = set(keys)
        self.near = {k: v for k, v in self.near.items() if k in present}
        stale = self._with_renewed(keys, stale, book)
        if not stale or not len(self.index):
            return
        wanted = self._with_own(stale, self.index.search([tracks[k] for k in stale], self._config.candidates), book)
        together = np.unique(wanted[wanted >= 0])
        # Most are asked for by several: collecting them once costs less than once per track.
        once = len(together) <= _TOGETHER
        views = self._past_views(together, book) if once and len(together) else None
        step = _AT_ONCE if once else 1
        for start in range(0, len(stale), step):
            keys, ids = stale[start : start + step], wanted[start : start + step]
            if not once:
                together = np.unique(ids[ids >= 0])
                views = self._past_views(together, book) if len(together) else None
            if views is None:
                self.near.update({key: {} for key in keys})
                continue
            compared = compare(self._means.stack([tracks[k] for k in keys]), views, self._config.unification)
            column = np.minimum(np.searchsorted(together, ids), len(together) - 1)
            similarity = np.take_along_axis(compared.similarity, column, 1)
            common = np.take_along_axis(compared.common, column, 1)
            self.near.update(zip(keys, self._plausible(ids, similarity, common), strict=True))

    def _with_own(self, keys: list[TrackKey], found: IntArray, book: IdentityRegistry) -> IntArray:
        """``[Q, 1 + C]`` ids ``found`` [Q, C] for each track, and before them that of its own identity, where something
        older is known of it and it was not found; -1 elsewhere."""
        own = np.full((len(keys), 1), -1, np.int64)
        for row, key in enumerate(keys):
            link = book.links.get(key)
            past = None if link is None else book.people[link.global_id].past
            if link is not None and past is not None and np.count_nonzero(past.prototypes.mass):
                own[row] = link.global_id
        own[(found == own).any(1)] = -1
        return np.concatenate([own, found], 1)

    def renew(self, ids: Iterable[int]) -> None:
        """More is known of these older identities than before: tracks of theirs are compared with them anew."""
        self._renewed.update(ids)

    def _with_renewed(self, keys: list[TrackKey], stale: list[TrackKey], book: IdentityRegistry) -> list[TrackKey]:
        """Tracks of which more is known, or of whose identity.

        Without the latter a track that is over would not be compared with what its identity remembers of older tracks,
        and would be somebody else as soon as those left the window.
        """
        if not self._renewed:
            return stale
        own = {k for k in keys if (link := book.links.get(k)) is not None and link.global_id in self._renewed}
        self._renewed.clear()
        return sorted(own.union(stale))

    def _past_views(self, people: IntArray, book: IdentityRegistry) -> Views:
        ids = people.tolist()

        def past() -> list[Evidence]:
            return [book.people[gid].past or Evidence([]) for gid in ids]

        views = self.index.views(ids, past)
        return self._means.moved(views, past() if self._means.moves else ())

    def _plausible(
        self, ids: IntArray, similarity: FloatArray, common: FloatArray
    ) -> list[dict[int, tuple[float, float]]]:
        """The few of ``ids`` [Q, C] (-1 is nobody) that each track looks most like, with similarity and common share
        ``[Q, C]``."""
        looks = np.where(ids >= 0, self._calibration.log_odds(similarity), np.float32(-np.inf))
        best = np.lexsort((ids, -looks))[:, :_PLAUSIBLE]
        columns = [np.take_along_axis(values, best, 1).tolist() for values in (ids, similarity, common, looks)]
        return [
            {gid: (alike, shared) for gid, alike, shared, odds in zip(*row, strict=True) if odds > -4.0}
            for row in zip(*columns, strict=True)
        ]
