"""What people correct in a gallery itself, without a run: the same corrections as of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import cast

from streamreid.corrections import Correction, CorrectionKind, Forgotten, checked_name
from streamreid.errors import ConfigError, CorrectionError, GalleryBusy, GalleryError, UnknownIdentity
from streamreid.gallery import Gallery
from streamreid.gallery.records import GalleryCorrection, TrackRecord
from streamreid.runs.erasure import forget_everywhere, found_by_search
from streamreid.types import TrackKey

__all__ = ["StoreCorrections"]


class StoreCorrections:
    """Corrections of a gallery. See `streamreid.corrections.Corrections`.

    A track is named by its camera and the row of its track record, as `streamreid.reports.histories` does, since
    track ids are unique in a run only.

    Args:
        store: The gallery, which stays open.
    """

    def __init__(self, store: Gallery) -> None:
        self._store = store
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"StoreCorrections({self._store.address!r})"

    def rename(self, global_id: int, name: str, *, actor: str = "") -> Correction:
        """Give a name; empty takes it away."""
        who, name = self._who(global_id), checked_name(name)
        detail = {"identity": who, "taken_away": not name}  # names are personal data: the log says that, not how
        return self._done("rename", detail, actor, lambda: self._store.rename(who, name))

    def tag_staff(self, global_id: int, staff: bool = True, *, actor: str = "") -> Correction:
        """Say that somebody works there, or take it back."""
        who = self._who(global_id)
        return self._done("staff", {"identity": who, "staff": staff}, actor, lambda: self._store.tag_staff(who, staff))

    def merge(self, keep: int, other: int, *, actor: str = "") -> Correction:
        """Say that two identities are one person; ``other`` becomes part of ``keep``."""
        one, two = self._who(keep), self._who(other)
        return self._done("merge", {"keep": one, "other": two}, actor, lambda: self._store.merge(one, two))

    def split(
        self, global_id: int, *, at: float | None = None, tracks: Iterable[TrackKey] = (), actor: str = ""
    ) -> Correction:
        """Say that track records of an identity are somebody else: those after a moment (by their middle), or some."""
        who, wanted = self._who(global_id), {row for _, row in tracks}
        if (at is None) == (not wanted):
            raise ConfigError("split at a moment, or name tracks: one of both")
        mine = self._store.track_records([who])
        rows = wanted if at is None else {row for row, a in mine.items() if _middle(a) >= at}
        if not rows or rows >= set(mine):
            raise CorrectionError(
                f"identity {who} has {len(mine)} tracks, of which {len(rows)} would leave: at least one must leave and "
                "one must stay"
            )
        return self._done("split", {"identity": who}, actor, lambda: self._store.split(who, sorted(rows)))

    def separate(self, one: int, other: int, *, actor: str = "") -> Correction:
        """Say that two identities are different people, however alike."""
        a, b = self._who(one), self._who(other)
        return self._done("different", {"one": a, "other": b}, actor, lambda: self._store.separate(a, b))

    def say(self, one: TrackKey, other: TrackKey, *, same: bool | None, actor: str = "") -> Correction:
        """A gallery asks nothing: it keeps no links between tracks.

        Raises:
            CorrectionError: Always.
        """
        raise CorrectionError("a gallery keeps no links between tracks; merge or split identities")

    def forget(self, global_id: int, *, actor: str = "") -> Forgotten:
        """Erase every trace of a person: here, in known copies, backups and exports."""
        who = self._who(global_id)
        views = [block.features for block in self._store.prototypes(ids=[who])]
        with self._contradictions():
            erasure, _ = forget_everywhere(self._store, [who], actor=actor)
        found = found_by_search(self._store, views, erasure.identities)
        erased = {table: count for table, count in erasure.removed.items() if count}
        remains = {**dict.fromkeys(erasure.remains, "bytes of their features"), **erasure.unreachable}
        entry = Correction(0, "forget", global_id=who, actor=actor)
        return Forgotten(entry, tuple(erasure.identities), erased, remains, tuple(found))

    def undo(self, number: int | None = None, *, actor: str = "") -> Correction:
        """Take back a correction: the newest, or the one of a number."""
        with self._contradictions():
            found = self._store.undo(number)
        self._store.audit("undo", {"correction": found.number, "kind": found.kind}, actor=actor)
        return Correction(0, "undo", found.one, found.other, actor=actor, undoes=found.number)

    def history(self) -> list[Correction]:
        """All corrections, the oldest first; behind each that was taken back an ``undo`` without a number."""
        entries = []
        for found in self._store.corrections():
            entries.append(_correction(found))
            if found.undone:
                entries.append(Correction(0, "undo", found.one, found.other, undoes=found.number))
        return entries

    # ---------------------------------------------------------------- what all of them need

    def _who(self, global_id: int) -> int:
        """Under which number an identity is kept now."""
        present = self._store.resolve(global_id)
        if not present:
            raise UnknownIdentity(f"gallery '{self._store.address}' has no identity {global_id}")
        return present

    def _done(
        self, kind: CorrectionKind, detail: Mapping[str, object], actor: str, change: Callable[[], object]
    ) -> Correction:
        with self._lock, self._contradictions():
            change()
            (*_, made) = self._store.corrections()
        self._store.audit(kind, detail, actor=actor)
        return _correction(made, actor)

    @contextmanager
    def _contradictions(self) -> Iterator[None]:
        """What the gallery refuses contradicts what was said before, unless the gallery itself is the reason."""
        try:
            yield
        except (CorrectionError, UnknownIdentity, GalleryBusy):
            raise
        except GalleryError as error:
            if self._store.read_only or error.__cause__ is not None:
                raise
            raise CorrectionError(str(error).replace("; pass --force to say that this was wrong", "")) from None


def _correction(found: GalleryCorrection, actor: str = "") -> Correction:
    staff = found.kind == "staff" and bool(found.detail.get("staff"))
    kind = cast(CorrectionKind, found.kind)
    return Correction(found.number, kind, found.one, found.other, said=round(found.stored, 3), actor=actor, staff=staff)


def _middle(record: TrackRecord) -> float:
    return (record.start + record.end) / 2
