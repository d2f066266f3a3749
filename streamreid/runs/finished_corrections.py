"""What people correct in a run that is over: kept in its folder, so that whoever opens the run reads it so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from streamreid.corrections import Correction, CorrectionLog, Forgotten, checked_name, corrections_in
from streamreid.errors import ConfigError, CorrectionError, DataError, UnknownIdentity
from streamreid.gallery import Gallery
from streamreid.pipeline.gallery_corrections import GalleryCorrections
from streamreid.runs.erasure import NO_SCOPE, crop_scope, erase_tracks
from streamreid.runs.finished_identity import FinishedIdentity
from streamreid.runs.finished_run import FinishedRun, open_run
from streamreid.runs.result_folder import ResultsFolder
from streamreid.sinks.result_erasure import erase_people
from streamreid.types import TrackKey

__all__ = ["FinishedCorrections"]


class FinishedCorrections:
    """Corrections of a finished run. See `streamreid.corrections.Corrections`.

    The results are not changed, but by `forget`: corrections are kept beside them, and applied when the run is opened.

    Example:
        >>> from streamreid import open_run
        >>> corrections = FinishedCorrections("runs/demo")  # doctest: +SKIP
        >>> corrections.rename(3, "Anna")  # doctest: +SKIP
        >>> open_run("runs/demo").identities.named("Anna").global_id  # doctest: +SKIP
        3

    Args:
        folder: Of the results.
        gallery: In which the global ids are those of this run; it is corrected as well.

    Raises:
        DataError: The folder holds no results, or damaged ones.
    """

    def __init__(self, folder: str | Path, *, gallery: Gallery | None = None) -> None:
        self.folder = Path(folder)
        self._run = open_run(self.folder)
        self._store = gallery
        self._gallery = None if gallery is None else GalleryCorrections(gallery)

    def __repr__(self) -> str:
        return f"FinishedCorrections({str(self.folder)!r})"

    @property
    def run(self) -> FinishedRun:
        """The run as it is corrected now."""
        return self._run

    def history(self) -> list[Correction]:
        """All corrections, the oldest first."""
        return corrections_in(self.folder)

    # ---------------------------------------------------------------- what is said

    def rename(self, global_id: int, name: str, *, actor: str = "") -> Correction:
        """Give a name; empty takes it away."""
        name = checked_name(name)
        with self._changing() as said:
            person = self._person(global_id)
            entry = said("rename", global_id=person.global_id, name=name, before=person.name, actor=actor)
            self._tell(lambda gallery: gallery.rename(person.global_id, name))
        return entry

    def tag_staff(self, global_id: int, staff: bool = True, *, actor: str = "") -> Correction:
        """Say that somebody works there, or take it back; counts leave staff out."""
        with self._changing() as said:
            who = self._person(global_id).global_id
            entry = said("staff", global_id=who, staff=staff, actor=actor)
            self._tell(lambda gallery: gallery.tag_staff(who, staff))
        return entry

    def merge(self, keep: int, other: int, *, actor: str = "") -> Correction:
        """Say that two identities are one person; ``other`` becomes part of ``keep``."""
        with self._changing() as said:
            one, two = self._person(keep), self._person(other)
            if one.global_id == two.global_id:
                raise CorrectionError(f"{keep} and {other} are one identity already ({one.global_id})")
            pair = {one.global_id, two.global_id}
            if any({c.global_id, c.other_id} == pair for c in self._holding() if c.kind == "different"):
                raise CorrectionError(
                    f"identities {keep} and {other} were said to be different people; undo that first"
                )
            entry = said(
                "merge",
                global_id=one.global_id,
                other_id=two.global_id,
                tracks=_tracks(two),
                name=one.name,
                before=two.name,
                actor=actor,
            )
            self._tell(lambda gallery: gallery.merge(one.global_id, two.global_id))
        return entry

    def split(
        self, global_id: int, *, at: float | None = None, tracks: Iterable[TrackKey] = (), actor: str = ""
    ) -> Correction:
        """Say that tracks are somebody else: those after a moment (capture time, by the middle of each), or some."""
        with self._changing() as said:
            person, wanted = self._person(global_id), set(tracks)
            if (at is None) == (not wanted):
                raise ConfigError("split at a moment, or name tracks: one of both")
            mine = set(_tracks(person))
            if at is not None:
                wanted = {a.key for a in person.appearances if (a.start + a.end) / 2 >= at}
            if not wanted or wanted >= mine or not wanted <= mine:
                strange = f", and {len(wanted - mine)} are not its" if wanted - mine else ""
                raise CorrectionError(
                    f"identity {person.global_id} has {len(mine)} tracks, of which {len(wanted & mine)} would leave: "
                    f"at least one must leave and one must stay{strange}"
                )
            new = self._new_id()
            parted = tuple(sorted(wanted))
            entry = said("split", global_id=person.global_id, other_id=new, tracks=parted, time=at, actor=actor)
            self._tell(lambda gallery: gallery.split(person.global_id, new, parted))
        return entry

    def separate(self, one: int, other: int, *, actor: str = "") -> Correction:
        """Say that two identities are different people, however alike."""
        with self._changing() as said:
            a, b = self._person(one).global_id, self._person(other).global_id
            if a == b:
                raise CorrectionError(f"{one} and {other} are one identity ({a}); split it to part it")
            entry = said("different", global_id=a, other_id=b, actor=actor)
            self._tell(lambda gallery: gallery.separate(a, b))
        return entry

    def say(self, one: TrackKey, other: TrackKey, *, same: bool | None, actor: str = "") -> Correction:
        """Say that two tracks are one person, or two people, or that nobody can tell: an answer in a review, which also
        merges or splits; see `streamreid.runs.review`.

        Raises:
            CorrectionError: A track is not in the results.
        """
        with self._changing() as said:
            for key in (one, other):
                if not self._run.identity_of(*key) and key not in self._run.unlinked:
                    raise CorrectionError(f"the run has no track {key[0]}/{key[1]}")
            return said("pair", tracks=(one, other), same=same is True, unsure=same is None, actor=actor)

    def forget(self, global_id: int, *, actor: str = "") -> Forgotten:
        """Erase a person from the results, and from the gallery. This cannot be undone."""
        with self._locked():
            person = self._person(global_id)
            who, tracks = person.global_id, _tracks(person)
            ids = self._run.numbers_of(who)
            log = CorrectionLog(self.folder)
            # Noted first, with the tracks: an erasure that is interrupted is completed by the next one.
            entry = log.add(log.next("forget", global_id=who, tracks=tracks, actor=actor))
            scope = NO_SCOPE if self._store is None else crop_scope(self._store)
            result = erase_tracks(self.folder, ids, tracks, scope=scope)
            erased = {**result.counts, **({"films": len(result.films)} if result.films else {})}
            remains = dict(result.left)
            left = erase_people(self.folder, ids, scope=scope, tracks=tracks, change=False)
            if any(left.counts.values()):
                remains[str(self.folder)] = f"still there after erasing: {left.counts}"
            log.forget([who, *ids], tracks)
            self._run = open_run(self.folder)
        cache = self.folder / "cache"
        if cache.exists():
            remains[str(cache)] = "a cache holds features of everybody who was seen; delete it"
        found: list[int] = []
        if self._gallery is not None:
            known = self._gallery.features_of(who)
            there, elsewhere, found = self._gallery.forget(who, known, actor=actor)
            erased |= there
            remains |= {place: why for place, why in elsewhere.items() if Path(place) != self.folder.absolute()}
        return Forgotten(replace(entry, tracks=()), tuple(sorted({who, *ids})), erased, remains, tuple(found))

    def undo(self, number: int | None = None, *, actor: str = "") -> Correction:
        """Take back a correction: the newest, or the one of a number."""
        with self._changing() as said:
            found = CorrectionLog(self.folder).to_undo(number)
            now = self._run.current(found.global_id)
            if now != found.global_id:
                raise CorrectionError(
                    f"correction {found.number} cannot be undone: identity {found.global_id} is part of {now} now; "
                    "undo that first"
                )
            entry = said("undo", global_id=found.global_id, other_id=found.other_id, undoes=found.number, actor=actor)
            self._tell(lambda gallery: _undo_there(gallery, found))
        return entry

    # ---------------------------------------------------------------- what all of them need

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with ResultsFolder(self.folder):
            self._run = self._run.corrected(corrections_in(self.folder))  # perhaps somebody else said something
            yield

    @contextmanager
    def _changing(self) -> Iterator[Callable[..., Correction]]:
        with self._locked():
            log = CorrectionLog(self.folder)

            def said(kind: Any, **values: Any) -> Correction:
                return log.add(log.next(kind, **values))

            yield said
            self._run = self._run.corrected(log.entries)

    def _holding(self) -> list[Correction]:
        log = CorrectionLog(self.folder)
        return [c for c in log.entries if c.number not in log.undone]

    def _person(self, global_id: int) -> FinishedIdentity:
        try:
            return self._run.identities[global_id]
        except DataError as error:
            raise UnknownIdentity(str(error)) from None

    def _new_id(self) -> int:
        if self._store is not None:
            return self._store.reserve_ids(1, least=self._run.greatest_id + 1)
        return self._run.greatest_id + 1

    def _tell(self, action: Callable[[GalleryCorrections], None]) -> None:
        if self._gallery is not None:
            action(self._gallery)


def _undo_there(gallery: GalleryCorrections, found: Correction) -> None:
    match found.kind:
        case "rename":
            gallery.rename(found.global_id, found.before)
        case "staff":
            gallery.tag_staff(found.global_id, not found.staff)
        case "different":
            gallery.take_back_different(found.global_id, found.other_id)
        case "merge":
            gallery.unmerge(found.global_id, found.other_id, found.tracks)
        case "split":
            gallery.unsplit(found.global_id, found.other_id)
        case _:
            pass


def _tracks(person: FinishedIdentity) -> tuple[TrackKey, ...]:
    return tuple(sorted(a.key for a in person.appearances))
