"""Who looks like this: exact search over all views, or over the candidates of an approximate index.

The part similarity is no inner product (its divisor depends on which parts both pictures show), so an index of vectors
cannot answer it. Above a configurable size an index of the whole-person vectors names candidates, and those are ranked
exactly.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamreid._threads import Thread
from streamreid.errors import EngineMismatchError, MissingExtraError
from streamreid.features.similarity import Calibration, PackedParts, SiteCalibration
from streamreid.gallery.candidate_index import CandidateIndex
from streamreid.gallery.gallery import Gallery
from streamreid.gallery.prototype_matrix import PrototypeMatrix
from streamreid.gallery.records import Change
from streamreid.types import FloatArray, IntArray, PartFeatures

__all__ = ["GallerySearch", "Match"]

log = logging.getLogger(__name__)

_CANDIDATES, _SHARE = 1000, 250  # at least so many, and one of so many views: see benchmarks/gallery.py for the recall
MOST_ODDS = 30.0
"""Log-odds beyond which a calibration says nothing more."""

_STALE = 0.5
"""Share of erased entries from which the index is built anew."""

_PIECE = 2000  # views taken at a time when the index is made
_BLOCK = 512  # views read at a time: what is converted stays in the cache


@dataclass(frozen=True, slots=True)
class Match:
    """An identity that looks like the query.

    Args:
        global_id: The identity.
        similarity: Best part similarity of any row of the query with any prototype of the identity, in [-1, 1].
        common: Share of parts that both of these show, in [0, 1].
        probability: Probability in (0, 1) that these two show one person, by the engine's calibration.
        prototypes: Id of each prototype that was among the best, with its similarity, best first.
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
            whatever the number. The index takes minutes to make for a million views: it is for processes that stay.
        folder: Where the matrix file is made (it has no name); None keeps it in memory. Encrypted stores always do.
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
        return 0 if self._index is None else len(self._index)

    @property
    def nbytes(self) -> int:
        """Bytes of the search matrix."""
        return 0 if self._matrix is None else self._matrix.nbytes

    def close(self) -> None:
        """Let go of matrix and index."""
        with self._lock:
            if self._matrix is not None:
                self._matrix.close()
            self._matrix = self._index = None

    # ------------------------------------------------------------ following the store

    def reload(self) -> None:
        """Build the matrix of prototypes anew from the store, and drop the index."""
        stamp = self.store.engine()
        position = self.store.position()
        with self._lock:
            if self._matrix is not None:
                self._matrix.close()
            self._matrix = self._index = None
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
            before = self._matrix.ids[np.isin(self._matrix.global_ids, sorted(people))]
            self._matrix.keep_only(np.array(sorted(people), np.int64), ids)
            for block in blocks:
                self._matrix.add(block.ids, block.global_ids, block.features)
            self._matrix.assign(ids, owners)
            if self._index is not None:
                gone = before[~np.isin(before, ids)]
                self._index.remove(gone)
                new = np.array([i for block in blocks for i in block.ids.tolist() if i not in self._index], np.int64)
                self._index.add(new, self._matrix.foreground(self._matrix.row_numbers(new)))
            self._want_index()

    # ------------------------------------------------------------ the index

    def _want_index(self) -> None:
        """Begin to make the index when the matrix has grown to it, or anew when erased entries weigh in it; searches
        are exact until it is ready."""
        matrix = self._matrix
        if matrix is None or self._index_from is None or (self._builder is not None and self._builder.is_alive()):
            return
        if len(matrix) < self._index_from:
            self._index = None
            return
        if self._index is not None and self._index.erased <= _STALE * len(matrix):
            return
        try:
            index = CandidateIndex(matrix.shape[1])
        except MissingExtraError as error:
            log.warning("%s; %d views are searched one by one", error, len(matrix))
            self._index_from = None
            return
        self._builder = Thread(target=self._build, args=(matrix, index), name="gallery-index", daemon=True)
        self._builder.start()

    def _build(self, matrix: PrototypeMatrix, index: CandidateIndex) -> None:
        with self._lock:
            ids = matrix.ids[matrix.ids > 0].copy()
        for start in range(0, len(ids), _PIECE):
            with self._lock:
                if self._matrix is not matrix:
                    return
                rows = matrix.row_numbers(ids[start : start + _PIECE])
                there, vectors = matrix.ids[rows].copy(), matrix.foreground(rows)
            index.add(there, vectors)
        with self._lock:
            if self._matrix is not matrix:
                return
            now = matrix.ids[matrix.ids > 0]
            index.remove(ids[~np.isin(ids, now)])
            late = now[~np.isin(now, ids)]
            index.add(late, matrix.foreground(matrix.row_numbers(late)))
            self._index = index

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
            rows = None
            if among is not None:
                rows = np.flatnonzero(np.isin(matrix.global_ids, sorted(among)))
            elif self._index is not None and not exact:
                rows = self._candidates(features, top)
            similarity, common = matrix.compare(PackedParts(features), rows)
            people = matrix.global_ids if rows is None else matrix.global_ids[rows]
            views = matrix.ids if rows is None else matrix.ids[rows]
            return self._rank(similarity, common, people, views, top, set(without))

    def _candidates(self, features: PartFeatures, top: int) -> IntArray:
        assert self._index is not None
        assert self._matrix is not None
        found = self._index.search(features.parts[:, 0], max(_CANDIDATES, 50 * top, len(self._matrix) // _SHARE))
        return self._matrix.row_numbers(np.unique(found))

    def _rank(
        self,
        similarity: FloatArray,
        common: FloatArray,
        people: IntArray,
        views: IntArray,
        top: int,
        without: set[int],
    ) -> list[Match]:
        allowed = (common >= self._least) & (people > 0)[None]
        if without:
            allowed &= ~np.isin(people, sorted(without))[None]
        values = np.where(allowed, similarity, -np.inf)
        best_query = values.argmax(0)
        columns = np.arange(values.shape[1])
        value = values[best_query, columns]
        # Enough of the best views for so many people; all of them if a few people own the best.
        wanted = 64 * top
        order = columns[np.isfinite(value)]
        if len(order) > wanted:
            picked = order[np.argpartition(-value[order], wanted - 1)[:wanted]]
            order = picked if len(set(people[picked].tolist())) >= top else order
        order = order[np.lexsort((views[order], -value[order]))]
        found: dict[int, list[int]] = {}
        for column in order.tolist():
            who = int(people[column])
            if who in found or len(found) < top:
                found.setdefault(who, []).append(column)
        evidence = self._evidence(values, people, found)
        shared = common[best_query, columns]
        return [self._match(who, mine, value, shared, views, evidence[who]) for who, mine in found.items()]

    def _evidence(self, values: FloatArray, people: IntArray, wanted: Collection[int]) -> dict[int, float]:
        """``Match.evidence`` of some people from the similarities ``values`` [Q, P], -inf where a pair has too little
        in common to count."""
        columns = np.flatnonzero(np.isin(people, sorted(wanted)))
        odds = self._calibration.log_odds(values[:, columns]).astype(np.float64)
        counted = np.isfinite(odds)
        ratios = np.where(counted, np.exp(np.clip(odds, -MOST_ODDS, MOST_ODDS)), 0.0).sum(0)
        who, owner = np.unique(people[columns], return_inverse=True)
        mean = np.bincount(owner, ratios) / np.maximum(np.bincount(owner, counted.sum(0)), 1)
        return dict(zip(who.tolist(), np.log(np.maximum(mean, np.exp(-MOST_ODDS))).tolist(), strict=True))

    def _match(
        self,
        who: int,
        columns: list[int],
        value: FloatArray,
        common: FloatArray,
        views: IntArray,
        evidence: float,
    ) -> Match:
        best = columns[0]
        probability = float(self._calibration.probability(value[best : best + 1])[0])
        pairs = tuple((int(views[c]), float(value[c])) for c in columns)
        return Match(who, float(value[best]), float(common[best]), probability, pairs, evidence)
