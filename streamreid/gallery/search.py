"""Who looks like this: exact search over all views, or over the candidates of an approximate index.

The part similarity is no inner product (its divisor depends on which parts both pictures show), so an index of vectors
cannot answer it. Above a configurable size, an index of the views in few dimensions names candidates, and those are
ranked exactly.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import NamedTuple

import numpy as np

from streamreid._threads import Thread
from streamreid.errors import EngineMismatchError
from streamreid.features.similarity import Calibration, PackedParts, SiteCalibration
from streamreid.gallery.candidate_index import CandidateIndex
from streamreid.gallery.gallery import Gallery
from streamreid.gallery.prototype_matrix import FEW, PrototypeMatrix, greatest
from streamreid.gallery.records import Change
from streamreid.types import FloatArray, IntArray, PartFeatures

__all__ = ["GallerySearch", "Match"]

_CANDIDATES, _SHARE = 1000, 250  # at least so many, and one of so many views: see benchmarks/gallery.py for the recall
MOST_ODDS = 30.0
"""Log-odds beyond which a calibration says nothing more."""

_LEAST_RATIO = float(np.exp(-MOST_ODDS))

_GROWN = 4
"""Times as many views as the index was learnt from, from which it is made anew."""

_PIECE = 2000  # views taken at a time when the index is made
_SAMPLE = 4096  # views by which its dimensions are chosen
_BLOCK = 512  # views read at a time: what is converted stays in the cache


@dataclass(frozen=True, slots=True)
class Match:
    """An identity that looks like the query.

    Args:
        global_id: The identity.
        similarity: Best part similarity of any row of the query with any prototype of the identity, in [-1, 1].
        common: Share of parts that both of these show, in [0, 1].
        probability: Probability in (0, 1) that these two show one person, by the engine's calibration.
        prototypes: Id of each prototype that shows enough of the same parts, with its similarity, best first.
        evidence: Log of how much more probable all similarities are for one person than for two; None if not known.
            The query resembles one of the prototypes, and nobody knows which, so it is the log of the mean, over all
            pairs of a row of the query and a prototype, of the likelihood ratio of the pair. The best pair alone would
            speak for whoever has most prototypes.
    """

    global_id: int
    similarity: float
    common: float
    probability: float
    prototypes: tuple[tuple[int, float], ...]
    evidence: float | None = None


class GallerySearch:
    """Holds the views of a store as a matrix and follows its changes.

    Args:
        store: Where they come from.
        calibration: Turns similarity into probability.
        index_from: Views from which on candidates come from an approximate index, made beside; None searches exactly
            whatever the number. The index takes half a minute to make for a million views: it is for processes that
            stay.
        folder: Where the files of the matrix are made (they have no name); None keeps it in memory. Encrypted stores
            always do.
        least_common: Share of parts that must be seen in both pictures.
    """

    def __init__(
        self,
        store: Gallery,
        calibration: Calibration | SiteCalibration | None = None,
        *,
        index_from: int | None = None,
        folder: Path | None = None,
        least_common: float = 0.1,
    ) -> None:
        self.store = store
        self._calibration = calibration or Calibration()
        self._index_from = index_from
        self._folder = folder
        self._least = least_common
        self._lock = threading.Lock()
        self._matrix: PrototypeMatrix | None = None
        self._index: CandidateIndex | None = None
        self._growing: CandidateIndex | None = None
        self._learnt_from = 0
        self._builder: threading.Thread | None = None
        self._position = 0
        self.reload()

    def __len__(self) -> int:
        return 0 if self._matrix is None else len(self._matrix)

    def __repr__(self) -> str:
        return f"GallerySearch({self._matrix!r}, index={self._index!r})"

    @property
    def indexed(self) -> bool:
        """Whether candidates come from the approximate index now."""
        return self._index is not None

    @property
    def indexed_count(self) -> int:
        """Prototypes in the approximate index; 0 where there is none."""
        return 0 if self._index is None else len(self)

    @property
    def nbytes(self) -> int:
        """Bytes of the search matrix."""
        return 0 if self._matrix is None else self._matrix.nbytes

    def close(self) -> None:
        """Let go of matrix and index."""
        with self._lock:
            if self._matrix is not None:
                self._matrix.close()
            self._matrix = self._index = self._growing = None

    # ------------------------------------------------------------ following the store

    def reload(self) -> None:
        """Build the matrix of prototypes anew from the store, and drop the index."""
        stamp = self.store.engine()
        position = self.store.position()
        with self._lock:
            if self._matrix is not None:
                self._matrix.close()
            self._matrix = self._index = self._growing = None
            self._position = position
            if stamp is None:
                return
            folder = None if self.store.encrypted else self._folder
            self._matrix = PrototypeMatrix((stamp.parts, stamp.dim), folder=folder)
            for block in self.store.prototypes(block=_BLOCK):
                self._matrix.add(block.ids, block.global_ids, block.features)
            self._want_index()

    def refresh(self) -> list[Change]:
        """Take in what changed since the last call.

        Returns:
            The changes; where too much was missed to say, a write for everybody who is there.
        """
        changes, position = self.store.changes(self._position)
        if changes is None or self._matrix is None:
            self.reload()
            return [Change(who, "write") for who in sorted(self.people())]
        people = {c.identity for c in changes}
        if people:
            self._take(people)
        self._position = position
        return changes

    def people(self) -> set[int]:
        """Global ids of whom there is a view."""
        with self._lock:
            return set() if self._matrix is None else set(self._matrix.global_ids.tolist()) - {0}

    def knows(self, global_id: int) -> bool:
        """Whether there is a view of somebody."""
        with self._lock:
            return self._matrix is not None and bool((self._matrix.global_ids == global_id).any())

    def _take(self, people: set[int]) -> None:
        ids, owners = self.store.prototype_ids(sorted(people))
        assert self._matrix is not None
        missing = sorted({int(o) for i, o in zip(ids.tolist(), owners.tolist(), strict=True) if i not in self._matrix})
        blocks = list(self.store.prototypes(ids=missing)) if missing else []
        with self._lock:
            before = self._matrix.rows_of(people)
            self._matrix.keep_only(np.array(sorted(people), np.int64), ids)
            for block in blocks:
                self._matrix.add(block.ids, block.global_ids, block.features)
            self._matrix.assign(ids, owners)
            changed = np.union1d(before, self._matrix.row_numbers(ids))
            for index in (self._index, self._growing):
                if index is not None:
                    index.put(self._matrix, changed)
            self._want_index()

    # ------------------------------------------------------------ the index

    def _want_index(self) -> None:
        """Begin to make the index when the matrix has grown to it, or anew when it has outgrown it; searches are exact
        until it is ready."""
        matrix = self._matrix
        if matrix is None or self._index_from is None or (self._builder is not None and self._builder.is_alive()):
            return
        if len(matrix) < self._index_from:
            self._index = None
            return
        if self._index is not None and len(matrix) < _GROWN * self._learnt_from:
            return
        self._builder = Thread(target=self._build, args=(matrix,), name="gallery-index", daemon=True)
        self._builder.start()

    def _build(self, matrix: PrototypeMatrix) -> None:
        with self._lock:
            if self._matrix is not matrix:
                return
            there = np.flatnonzero(matrix.ids)
            self._learnt_from = len(there)
            sample = matrix.packed(np.sort(np.random.default_rng(0).permutation(there)[:_SAMPLE]))
        index, start = CandidateIndex(sample), 0
        while True:
            with self._lock:
                if self._matrix is not matrix:
                    return
                self._growing = index  # what changes from now on is put there by whoever changes it
                rows = np.arange(start, min(start + _PIECE, len(matrix.ids)))
                index.put(matrix, rows)
                start += len(rows)
                if start == len(matrix.ids):
                    self._index, self._growing = index, None
                    return

    def wait_for_index(self) -> bool:
        """Wait until an index that is being made is ready. Returns whether there is one."""
        builder = self._builder
        if builder is not None:
            builder.join()
        return self.indexed

    # ------------------------------------------------------------ search

    def search(
        self,
        features: PartFeatures,
        top: int = 10,
        *,
        without: Collection[int] = (),
        among: Collection[int] | None = None,
        exact: bool = False,
    ) -> list[Match]:
        """The people who look most like the query.

        Args:
            features: One or several views of one person.
            top: How many people.
            without: Global ids to leave out.
            among: Only these global ids.
            exact: Never use the index.

        Returns:
            Best first.

        Raises:
            EngineMismatchError: Features of another K or D.
        """
        if top < 1 or not len(features):
            return []
        with self._lock:
            matrix = self._matrix
            if matrix is None or not len(matrix):
                return []
            if features.shape != matrix.shape:
                raise EngineMismatchError(
                    f"the query has {features.shape[0]} parts of {features.shape[1]} values, the gallery "
                    f"{matrix.shape[0]} of {matrix.shape[1]}; describe it with the gallery's engine"
                )
            packed, excluded, complete = PackedParts(features), set(without), False
            likely = partial(matrix.likely, packed, top, least=self._least, without=excluded)
            if among is not None:
                rows, complete = matrix.rows_of(among), True
            elif len(matrix.ids) <= FEW:
                rows, complete = np.arange(len(matrix.ids)), True
            elif self._index is not None and not exact:
                count = max(_CANDIDATES, 50 * top, len(matrix) // _SHARE)
                rows = likely(among=self._index.search(matrix, packed, count, least=self._least))
            else:
                rows = likely()
            seen = self._compared(matrix, packed, rows)
            people = _best_people(seen, top, excluded)
            if complete:
                seen = seen.of(_rows_of(people, seen.people))
            else:
                seen = self._compared(matrix, packed, matrix.rows_of(people))
            return self._matches(seen, people)

    def _compared(self, matrix: PrototypeMatrix, query: PackedParts, rows: IntArray) -> _Compared:
        similarity, common = matrix.compare(query, None if len(rows) == len(matrix.ids) else rows)
        similarity[common < self._least] = -np.inf
        return _Compared(similarity, common, matrix.global_ids[rows], matrix.ids[rows])

    def _matches(self, seen: _Compared, people: list[int]) -> list[Match]:
        """The matches of some people, in their order; nobody else is among those compared."""
        best_query = seen.similarity.argmax(0)
        columns = np.arange(len(best_query))
        value, shared = seen.similarity[best_query, columns], seen.common[best_query, columns]
        probability = self._calibration.probability(value).tolist()
        evidence = self._evidence(seen.similarity, seen.people, people)
        values, common, views, owners = value.tolist(), shared.tolist(), seen.views.tolist(), seen.people.tolist()
        best: dict[int, int] = {}
        pairs: dict[int, list[tuple[int, float]]] = {who: [] for who in people}
        for column in np.lexsort((seen.views, -value)).tolist():
            if values[column] > -inf:
                who = owners[column]
                best.setdefault(who, column)
                pairs[who].append((views[column], values[column]))
        return [
            Match(who, values[row], common[row], probability[row], tuple(pairs[who]), evidence[who])
            for who in people
            for row in [best[who]]
        ]

    def _evidence(self, values: FloatArray, people: IntArray, asked: list[int]) -> dict[int, float]:
        """``Match.evidence`` of those asked for, from the similarities ``values`` [Q, P] of all their views, which are
        of ``people`` [P]; -inf where a pair has too little in common to count."""
        odds = self._calibration.log_odds(values).astype(np.float64)
        counted = np.isfinite(odds)
        ratios = np.where(counted, np.exp(np.minimum(np.maximum(odds, -MOST_ODDS), MOST_ODDS)), 0.0).sum(0)
        who = np.sort(np.array(asked, np.int64))
        owner = np.searchsorted(who, people)
        counts = np.bincount(owner, counted.sum(0), len(who))
        mean = np.bincount(owner, ratios, len(who)) / np.maximum(counts, 1)
        return dict(zip(who.tolist(), np.log(np.maximum(mean, _LEAST_RATIO)).tolist(), strict=True))


class _Compared(NamedTuple):
    """Queries beside some rows.

    Args:
        similarity: ``[Q, R]``, -inf where too little was seen in both.
        common: ``[Q, R]`` share of parts seen in both.
        people: ``[R]`` global ids, 0 for free rows.
        views: ``[R]`` ids of the prototypes.
    """

    similarity: FloatArray
    common: FloatArray
    people: IntArray
    views: IntArray

    def of(self, columns: IntArray) -> _Compared:
        """Some of the rows."""
        return _Compared(
            self.similarity[:, columns], self.common[:, columns], self.people[columns], self.views[columns]
        )


def _best_people(seen: _Compared, top: int, without: set[int]) -> list[int]:
    """Global ids of those who look most like the query, best first."""
    best = seen.similarity.max(0, initial=-np.inf)
    wanted = 4 * top
    while True:
        rows = greatest(best, wanted)
        rows = np.flatnonzero(best >= best[rows].min(initial=np.inf))  # and all that are as great as the last of them
        found: dict[int, None] = {}
        for row in rows[np.lexsort((seen.views[rows], -best[rows]))].tolist():
            who = int(seen.people[row])
            if best[row] == -np.inf or len(found) == top:
                break
            if who and who not in without:
                found.setdefault(who)
        if len(rows) == len(best) or len(found) == top:
            return list(found)
        wanted *= 8


def _rows_of(people: list[int], owners: IntArray) -> IntArray:
    """Rows whose owner is one of a few people."""
    who = np.sort(np.array(people, np.int64))
    if not len(who):
        return np.zeros(0, np.int64)
    return np.flatnonzero(who[np.minimum(np.searchsorted(who, owners), len(who) - 1)] == owners)
