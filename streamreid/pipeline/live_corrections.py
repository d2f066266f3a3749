"""What people correct in a run that goes on: at once in its association, its events and its log, and in the gallery
where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamreid.association import Associator
from streamreid.association.identity_corrections import RememberedIdentity
from streamreid.association.identity_view import IdentityView
from streamreid.corrections import Correction, CorrectionLog, Forgotten, checked_name
from streamreid.errors import ConfigError, CorrectionError, UnknownIdentity
from streamreid.types import IdentityEvent, TrackKey

if TYPE_CHECKING:
    from streamreid.pipeline.gallery_corrections import GalleryCorrections

__all__ = ["LiveCorrections"]

_REMEMBERED = 200
"""Newest merges and splits of which it is kept what was known before: some 40 KB each."""


class LiveCorrections:
    """Corrections of a run; methods may be called from any thread. See `streamreid.corrections.Corrections`.

    Args:
        associator: Decides who is who.
        view: What is believed.
        lock: Held while anything changes.
        note: Takes the events.
        gallery: Corrections of the gallery beside the run, if there is one.
    """

    def __init__(
        self,
        associator: Associator,
        view: IdentityView,
        *,
        lock: AbstractContextManager[Any],
        note: Callable[[list[IdentityEvent]], None],
        gallery: GalleryCorrections | None = None,
    ) -> None:
        self._associator = associator
        self._view = view
        self._lock = lock
        self._note = note
        self._gallery = gallery
        self._log = CorrectionLog()
        self._before: dict[int, tuple[RememberedIdentity, ...]] = {}

    def __repr__(self) -> str:
        return f"LiveCorrections({len(self._log.entries)})"

    def keep_in(self, folder: Path) -> None:
        """Keep the log beside the results of the run, behind what an earlier part of it left there."""
        with self._lock:
            first = max((c.number for c in self._log.entries), default=0)
            self._log.keep_in(folder)
            moved = max((c.number for c in self._log.entries), default=0) - first
            self._before = {number + moved: what for number, what in self._before.items()}

    def history(self) -> list[Correction]:
        """All corrections, the oldest first."""
        with self._lock:
            return list(self._log.entries)

    # ---------------------------------------------------------------- what is said

    def rename(self, global_id: int, name: str, *, actor: str = "") -> Correction:
        """Give a name; empty takes it away."""
        name = checked_name(name)
        with self._changing():
            self._known(global_id)
            before = self._view.names.get(global_id, "")
            entry = self._keep("rename", global_id=global_id, name=name, before=before, actor=actor)
            self._associator.rename(global_id, name)
            if self._gallery is not None:
                self._gallery.rename(global_id, name)
        return entry

    def tag_staff(self, global_id: int, staff: bool = True, *, actor: str = "") -> Correction:
        """Say that somebody works there, or take it back; counts leave staff out."""
        with self._changing():
            self._known(global_id)
            entry = self._keep("staff", global_id=global_id, staff=staff, actor=actor)
            self._associator.corrections.tag_staff(global_id, staff)
            if self._gallery is not None:
                self._gallery.tag_staff(global_id, staff)
        return entry

    def merge(self, keep: int, other: int, *, actor: str = "") -> Correction:
        """Say that two identities are one person. The lesser number stays, since it is the older identity."""
        if keep == other:
            raise CorrectionError(f"a merge needs two identities; {keep} is given twice")
        with self._changing():
            for who in (keep, other):
                self._known(who)
            stays, goes = min(keep, other), max(keep, other)
            changes = self._associator.corrections
            before = changes.remembered(stays), changes.remembered(goes)
            if (stays, goes) in self._associator.separated:
                raise CorrectionError(
                    f"identities {keep} and {other} were said to be different people; undo that first"
                )
            tracks = tuple(sorted(before[1].state.members))
            values = {"global_id": stays, "other_id": goes, "tracks": tracks, "before": before[1].state.name}
            entry = self._keep("merge", **values, actor=actor)
            self._remember(entry.number, *before)
            changes.constrain(same=[(stays, goes)])
            if self._gallery is not None:
                self._gallery.merge(stays, goes)
        return entry

    def split(
        self, global_id: int, *, at: float | None = None, tracks: Iterable[TrackKey] = (), actor: str = ""
    ) -> Correction:
        """Say that tracks are somebody else: those after a moment (capture time, by the middle of each), or some."""
        with self._changing():
            self._known(global_id)
            changes = self._associator.corrections
            before, wanted = changes.remembered(global_id), tuple(sorted(set(tracks)))
            if (at is None) == (not wanted):
                raise ConfigError("split at a moment, or name tracks: one of both")
            if at is not None:
                wanted = tuple(
                    sorted(k for k in before.state.members if (m := self._middle(k)) is not None and m >= at)
                )
                if not wanted or set(wanted) == before.state.members:
                    side = "after" if not wanted else "before"
                    raise CorrectionError(f"identity {global_id} has no track {side} {at:.3f}: nothing is parted there")
            new = self._associator.new_id()
            entry = self._log.next("split", global_id=global_id, other_id=new, tracks=wanted, time=at, actor=actor)
            try:
                changes.split(global_id, wanted, new)
            except ValueError as error:
                raise CorrectionError(str(error)) from None
            self._log.add(_in_results(entry))
            self._remember(entry.number, before)
            if self._gallery is not None:
                self._gallery.separate(global_id, new)
        return entry

    def separate(self, one: int, other: int, *, actor: str = "") -> Correction:
        """Say that two identities are different people, however alike."""
        if one == other:
            raise CorrectionError(f"{one} cannot be different from itself; split it to part it")
        with self._changing():
            for who in (one, other):
                self._known(who)
            if (min(one, other), max(one, other)) in self._associator.separated:
                raise CorrectionError(f"identities {one} and {other} are said to be different already")
            entry = self._keep("different", global_id=one, other_id=other, actor=actor)
            self._associator.corrections.separate(one, other)
            if self._gallery is not None:
                self._gallery.separate(one, other)
        return entry

    def say(self, one: TrackKey, other: TrackKey, *, same: bool | None, actor: str = "") -> Correction:
        """Say that two tracks are one person, or two people, or that nobody can tell: an answer in a review, which also
        merges or splits; see `streamreid.runs.review`."""
        with self._changing():
            for key in (one, other):
                if key not in self._everybody():
                    raise CorrectionError(f"the run has no track {key[0]}/{key[1]}")
            if same is not None:
                try:
                    self._associator.corrections.say(one, other, same=same)
                except ValueError as error:
                    raise CorrectionError(str(error)) from None
            return self._keep("pair", tracks=(one, other), same=same is True, unsure=same is None, actor=actor)

    def forget(self, global_id: int, *, actor: str = "") -> Forgotten:
        """Erase a person: at once in memory and in the gallery, in the results of this run when it ends."""
        with self._changing():
            tracks = tuple(sorted(key for key, (who, _) in self._everybody().items() if who == global_id))
            stored = self._gallery is not None and self._gallery.stored(global_id)
            if not tracks and not stored and global_id not in self._view.entries:
                raise self._unknown(global_id)
            known = () if self._gallery is None else self._gallery.features_of(global_id)
            self._log.forget([global_id], tracks)
            # With the tracks, until they are erased from what the run writes.
            entry = self._keep("forget", global_id=global_id, tracks=tracks, actor=actor)
            self._before = {n: b for n, b in self._before.items() if all(r.state.global_id != global_id for r in b)}
            self._associator.forget([global_id])
            self._associator.corrections.forget([global_id])
        with self._lock:
            self._view.forget([global_id])
            if self._gallery is not None:
                self._gallery.let_go([global_id])
        erased = {"tracks": len(tracks)}
        remains: dict[str, str] = {}
        found: list[int] = []
        if self._gallery is not None:
            erased_there, remains, found = self._gallery.forget(global_id, known, actor=actor)
            erased |= erased_there
        return Forgotten(entry, (global_id,), erased, remains, tuple(found))

    # ---------------------------------------------------------------- and taken back

    def undo(self, number: int | None = None, *, actor: str = "") -> Correction:
        """Take back a correction: the newest, or the one of a number."""
        with self._changing():
            found = self._log.to_undo(number)
            try:
                self._undo(found)
            except ValueError as error:
                raise CorrectionError(f"correction {found.number} cannot be undone: {error}") from None
            self._before.pop(found.number, None)
            return self._log.add(
                _in_results(
                    self._log.next(
                        "undo", global_id=found.global_id, other_id=found.other_id, undoes=found.number, actor=actor
                    )
                )
            )

    def _undo(self, found: Correction) -> None:
        changes, gallery, before = self._associator.corrections, self._gallery, self._before.get(found.number)
        match found.kind:
            case "rename":
                self._known(found.global_id)
                self._associator.rename(found.global_id, found.before)
                if gallery is not None:
                    gallery.rename(found.global_id, found.before)
            case "staff":
                self._known(found.global_id)
                changes.tag_staff(found.global_id, not found.staff)
                if gallery is not None:
                    gallery.tag_staff(found.global_id, not found.staff)
            case "pair":
                one, other = found.tracks
                changes.say(one, other, same=None)
            case "different":
                changes.take_back_different(found.global_id, found.other_id)
                if gallery is not None:
                    gallery.take_back_different(found.global_id, found.other_id)
            case "merge" | "split" if before is None:
                raise ValueError("what was known before is not kept any more (the run was started again since)")
            case "merge":
                assert before is not None
                keep, gone = before
                changes.unmerge(keep, gone)
                if gallery is not None:
                    links = self._associator.links.items()
                    theirs = {key for key, (who, _) in links if who == found.other_id}
                    gallery.unmerge(found.global_id, found.other_id, theirs | set(found.tracks))
            case "split":
                assert before is not None
                changes.unsplit(before[0], found.other_id)
                if gallery is not None:
                    gallery.unsplit(found.global_id, found.other_id)

    # ---------------------------------------------------------------- what all of them need

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """While nothing else changes; afterwards the events of the change are handed on."""
        with self._lock:
            try:
                yield
            finally:
                self._note(self._associator.corrected())
                if self._gallery is not None:
                    self._gallery.flush()

    def _keep(self, kind: Any, **values: Any) -> Correction:
        return self._log.add(_in_results(self._log.next(kind, **values)))

    def _remember(self, number: int, *before: RememberedIdentity) -> None:
        self._before[number] = before
        while len(self._before) > _REMEMBERED:
            del self._before[min(self._before)]

    def _everybody(self) -> dict[TrackKey, tuple[int, float]]:
        return {**self._view.links, **self._associator.links}

    def _known(self, global_id: int) -> None:
        if not self._associator.knows(global_id):
            raise self._unknown(global_id)

    def _unknown(self, global_id: int) -> UnknownIdentity:
        return UnknownIdentity(
            f"identity {global_id} is not known: it never was, is not searched any more, became part of another one, "
            "or was forgotten"
        )

    def _middle(self, key: TrackKey) -> float | None:
        """Capture time of the middle of a track."""
        span = self._associator.span(key)
        return None if span is None else (span[0] + span[1]) / 2


def _in_results(entry: Correction) -> Correction:
    return replace(entry, in_results=True)
