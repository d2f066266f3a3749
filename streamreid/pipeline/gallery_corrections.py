"""What people correct in a run, in the gallery beside it.

Identities are stored once they are confirmed, some time after they began: what is said of one that is not stored yet
waits until it is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence

from streamreid.errors import GalleryError
from streamreid.gallery import Gallery, GallerySearch
from streamreid.gallery.corrections import unmerge
from streamreid.types import PartFeatures, TrackKey

__all__ = ["GalleryCorrections"]

log = logging.getLogger(__name__)

_MOST_WAITING = 1000
"""Corrections that wait for an identity to be stored; the oldest are dropped."""

_CLOSEST = 50
"""Identities among which somebody who was erased would be the closest of all."""


class GalleryCorrections:
    """Corrections of a gallery beside a run.

    Args:
        store: The gallery.
        run: Name of the run there; None for one that is over: any run with these tracks.
        made: Is told what is changed here, so that the run does not take it for a change by others.
        pair: Is told of which two identities something is said here.
        let_go: Drops what waits to be stored of identities; not while frames are followed.
        flush: Hands on what waits to be stored, which is to be there before what is said of it; None where nothing
            waits, and everything is said at once.
    """

    def __init__(
        self,
        store: Gallery,
        run: str | None = None,
        *,
        made: Callable[[Iterable[tuple[int, str]]], None] = lambda _: None,
        pair: Callable[[int, int], None] = lambda one, other: None,
        let_go: Callable[[Iterable[int]], None] = lambda _: None,
        flush: Callable[[], None] | None = None,
    ) -> None:
        self._store = store
        self._run = run
        self._made = made
        self._pair = pair
        self._forget_waiting = let_go
        self._flush = flush
        self._lock = threading.Lock()
        self._waiting: list[tuple[frozenset[int], Callable[[], bool]]] = []

    def let_go(self, ids: Iterable[int]) -> None:
        """Drop what waits to be stored or said of identities; not while frames are followed."""
        gone = frozenset(ids)
        self._forget_waiting(gone)
        with self._lock:
            self._waiting = [item for item in self._waiting if not item[0] & gone]

    def flush(self) -> None:
        """Hand on what waits to be stored, and say what was said so far after that."""
        if self._flush is not None:
            self._flush()

    def stored(self, global_id: int) -> bool:
        """Whether the gallery has an identity."""
        return bool(self._store.resolve(global_id))

    def rename(self, global_id: int, name: str) -> None:
        """Give a name."""

        def said() -> bool:
            if not (present := self._store.resolve(global_id)):
                return False
            self._made([(present, "rename")])
            self._store.rename(present, name)
            return True

        self._say(said, global_id)

    def tag_staff(self, global_id: int, staff: bool) -> None:
        """Say that somebody works there, or take it back."""

        def said() -> bool:
            if not (present := self._store.resolve(global_id)):
                return False
            self._made([(present, "rename")])
            self._store.tag_staff(present, staff)
            return True

        self._say(said, global_id)

    def merge(self, keep: int, other: int) -> None:
        """Say that two identities are one person."""

        def said() -> bool:
            one, two = self._store.resolve(keep), self._store.resolve(other)
            if not one or not two:
                return False
            if one != two:
                self._made([(one, "merge"), (two, "merge")])
                self._store.merge(one, two, force=True)
            elif other != two:  # the run's own event has joined them
                with self._store.tables.database.writing():
                    self._store.tables.constraints.put("same", keep, other)
            return True

        self._say(said, keep, other)

    def unmerge(self, keep: int, other: int, tracks: Iterable[TrackKey]) -> None:
        """Part what was merged."""
        theirs = set(tracks)

        def said() -> bool:
            present = self._store.resolve(other)
            if not present or present == other:  # the merge was never stored
                return True
            merges = [c for c in self._store.corrections() if c.kind == "merge" and c.other == other and not c.undone]
            self._made([(present, "split"), (other, "split")])
            if merges and merges[-1].one == present:
                self._made([(present, "rename"), (other, "rename")])
                self._store.undo(merges[-1].number)
                return True
            rows = self._rows(present, theirs)
            with self._store.tables.database.writing():
                unmerge(self._store.tables, present, other, rows)
            return True

        self._say(said, keep, other)

    def split(self, global_id: int, new: int, tracks: Iterable[TrackKey]) -> None:
        """Say that tracks of an identity are another one, whose number nobody has in the gallery."""
        theirs = set(tracks)

        def said() -> bool:
            if not (present := self._store.resolve(global_id)):
                return False
            rows = self._rows(present, theirs)
            if rows:
                self._made([(present, "split"), (new, "split")])
                self._store.split(present, rows, new=new)
            return True

        self._say(said, global_id, new)

    def unsplit(self, keep: int, new: int) -> None:
        """Join what was split; nothing is said of the two any more."""

        def said() -> bool:
            one, two = self._store.resolve(keep), self._store.resolve(new)
            if one and two and one != two:
                self._made([(one, "merge"), (two, "merge")])
                self._store.merge(one, two, force=True)
            with self._store.tables.database.writing():
                self._store.tables.constraints.take_back(keep, new)
            return True

        self._say(said, keep, new)

    def separate(self, one: int, other: int) -> None:
        """Say that two identities are different people."""

        def said() -> bool:
            a, b = self._store.resolve(one), self._store.resolve(other)
            if not a or not b:
                return False
            if a != b:
                self._made([(a, "constraint"), (b, "constraint")])
                self._store.separate(a, b)
            return True

        self._say(said, one, other)

    def take_back_different(self, one: int, other: int) -> None:
        """Two identities may be one person again."""

        def said() -> bool:
            with self._store.tables.database.writing():
                self._store.tables.constraints.take_back(one, other)
            return True

        self._say(said, one, other)

    # ---------------------------------------------------------------- erasure

    def features_of(self, global_id: int) -> Sequence[PartFeatures]:
        """What the gallery knows an identity by."""
        present = self._store.resolve(global_id)
        return [block.features for block in self._store.prototypes(ids=[present])] if present else []

    def forget(
        self, global_id: int, known: Sequence[PartFeatures], *, actor: str
    ) -> tuple[dict[str, int], dict[str, str], list[int]]:
        """Erase an identity. What waits to be stored of it was let go before.

        Args:
            global_id: Whom.
            known: Features of the person, to search for remains.
            actor: For the audit log.

        Returns:
            Rows removed, where something remains and why, and global ids that a search still finds.
        """
        erasure = self._store.forget([global_id], actor=actor)
        search = GallerySearch(self._store, folder=self._store.scratch_folder)
        found = {m.global_id for features in known for m in search.search(features, _CLOSEST)}
        search.close()
        remains = {**dict.fromkeys(erasure.remains, "bytes of their features"), **erasure.unreachable}
        erased = {**{f"gallery {table}": n for table, n in erasure.removed.items() if n}}
        return erased, remains, sorted(found & {global_id})

    # ---------------------------------------------------------------- now, or when they are stored

    def _rows(self, global_id: int, tracks: set[TrackKey]) -> list[int]:
        """Track records of an identity that are some tracks of the run."""
        return [
            row
            for row, a in self._store.track_records([global_id]).items()
            if self._run in (None, a.run) and (a.camera, a.track_id) in tracks
        ]

    def _say(self, said: Callable[[], bool], *ids: int) -> None:
        with self._lock:
            self._waiting.append((frozenset(ids), said))
            if len(ids) == 2:
                self._pair(*ids)
            del self._waiting[:-_MOST_WAITING]
        if self._flush is None:
            self.carry_out_waiting()

    def carry_out_waiting(self) -> None:
        """Say what can be said now; from any thread."""
        with self._lock:
            waiting, left = self._waiting, []
            for position, (ids, said) in enumerate(waiting):
                try:
                    if not said():
                        left.append((ids, said))
                except GalleryError as error:
                    log.error("a correction waits until the gallery takes it: %s", error)
                    left += waiting[position:]
                    break
            self._waiting = left
