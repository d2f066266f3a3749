"""What people correct in a run: the record that is kept in ``corrections.jsonl``, beside the results.

One JSON object per line: ``number`` (from 1), ``kind``, ``said`` (UTC seconds), ``actor``, ``time`` (capture time),
``global_id``, ``other_id``, ``tracks`` ([[camera, track_id], ...]), ``name``, ``before``, ``staff``, ``same``,
``unsure``, ``undoes``, ``in_results``; what says nothing is left out. It is the audit of the run, and what its results
are read with afterwards.

===========  =======================================================================================================
kind         what it says
===========  =======================================================================================================
rename       ``global_id`` is called ``name``; before, it was called ``before``.
staff        ``global_id`` works there, or does not (``staff``).
merge        ``other_id``, with ``tracks``, is part of ``global_id``.
split        ``tracks`` of ``global_id`` are another person, ``other_id``.
different    ``global_id`` and ``other_id`` are two people.
pair         The two ``tracks`` are one person (``same``) or two, or nobody could tell (``unsure``).
forget       ``global_id`` was erased. ``tracks`` are listed until their results are erased, too.
undo         The correction of number ``undoes`` does not hold any more.
===========  =======================================================================================================
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from streamreid.errors import ConfigError, CorrectionError, DataError, OutputError
from streamreid.files import atomic_write
from streamreid.types import TrackKey

__all__ = [
    "CORRECTIONS",
    "Correction",
    "CorrectionKind",
    "CorrectionLog",
    "Corrections",
    "Forgotten",
    "checked_name",
    "corrections_in",
]

CORRECTIONS = "corrections.jsonl"

CorrectionKind = Literal["rename", "staff", "merge", "split", "different", "pair", "forget", "undo"]

NAME_CHARACTERS = 100
"""Of a name that people give."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person said about who is who.

    Args:
        number: Of this correction, from 1.
        kind: What is said.
        global_id: Whom it is about; of a merge, who stays.
        other_id: Of a merge, who became part; of a split, the new identity; the other one of two different people.
        said: When, UTC seconds.
        actor: Who said so.
        time: Capture time in seconds that is meant, of a split.
        tracks: Of a merge, those of ``other_id``; of a split, those that left; of a pair, the two.
        name: The new name.
        before: What it was before: the name of an identity; of a merge, that of ``other_id``.
        staff: Whether they work there.
        same: Of a pair: whether it is one person.
        unsure: Of a pair: nobody could tell.
        undoes: Number of the correction that is taken back.
        in_results: Whether the events of the run say so already.
    """

    number: int
    kind: CorrectionKind
    global_id: int = 0
    other_id: int = 0
    said: float = 0.0
    actor: str = ""
    time: float | None = None
    tracks: tuple[TrackKey, ...] = ()
    name: str = ""
    before: str = ""
    staff: bool = False
    same: bool = False
    unsure: bool = False
    undoes: int = 0
    in_results: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON; what says nothing is left out."""
        values = {name: value for name, value in asdict(self).items() if value not in ("", 0, None, (), False)}
        return {**values, **({"tracks": [list(key) for key in self.tracks]} if self.tracks else {})}

    @classmethod
    def of(cls, values: dict[str, Any]) -> Correction:
        """From ``as_dict``.

        Raises:
            ValueError, TypeError, KeyError: It is none.
        """
        known = {name: values[name] for name in cls.__slots__ if name in values}
        tracks = tuple((str(camera), int(track)) for camera, track in values.get("tracks", ()))
        return cls(**{**known, "tracks": tracks})


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The proof of an erasure.

    Args:
        correction: As it is noted.
        identities: Global ids that are gone.
        erased: Rows, lines, pictures and films that were removed, by kind.
        remains: Where something of them still is: place, and what to do.
        found: Global ids that a search for what they looked like still finds; none if all is well.
    """

    correction: Correction
    identities: tuple[int, ...]
    erased: dict[str, int]
    remains: dict[str, str]
    found: tuple[int, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing remains anywhere that is known."""
        return not self.remains and not self.found

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "identities": list(self.identities),
            "erased": self.erased,
            "remains": self.remains,
            "found_by_search": list(self.found),
            "complete": self.complete,
        }


class Corrections(Protocol):
    """Takes corrections: of a live run, of a finished one, of a gallery.

    Every method raises `UnknownIdentity` where there is no such person, `CorrectionError` where what is said
    contradicts what was said before, and `OutputError` or `GalleryError` where it cannot be kept; nothing is changed
    then.
    """

    def rename(self, global_id: int, name: str, *, actor: str = "") -> Correction:
        """Give a name; empty takes it away."""

    def tag_staff(self, global_id: int, staff: bool = True, *, actor: str = "") -> Correction:
        """Say that somebody works there, or take it back; counts leave staff out."""

    def merge(self, keep: int, other: int, *, actor: str = "") -> Correction:
        """Say that two identities are one person; ``other`` becomes part of ``keep``."""

    def split(
        self, global_id: int, *, at: float | None = None, tracks: Iterable[TrackKey] = (), actor: str = ""
    ) -> Correction:
        """Say that tracks of an identity are somebody else: those after a moment (by their middle), or some by
        themselves. ``other_id`` of the answer is the new identity."""

    def separate(self, one: int, other: int, *, actor: str = "") -> Correction:
        """Say that two identities are different people, however alike."""

    def forget(self, global_id: int, *, actor: str = "") -> Forgotten:
        """Erase every trace of a person. This cannot be undone."""

    def undo(self, number: int | None = None, *, actor: str = "") -> Correction:
        """Take back a correction: the newest, or the one of a number. The answer's ``undoes`` says which."""

    def history(self) -> list[Correction]:
        """All corrections, the oldest first."""


def checked_name(name: str) -> str:
    """A name as it is kept: without spaces around it.

    Raises:
        ConfigError: It is too long, or holds control characters.
    """
    name = name.strip()
    if len(name) > NAME_CHARACTERS:
        raise ConfigError(f"a name has at most {NAME_CHARACTERS} characters; this one has {len(name)}")
    if any(not c.isprintable() for c in name):
        raise ConfigError("a name is one line of printable characters")
    return name


class CorrectionLog:
    """Corrections of a run, in memory and in ``corrections.jsonl``.

    Args:
        folder: Of the results; None keeps them in memory only.
        clock: UTC seconds.

    Raises:
        DataError: The file is damaged.
    """

    def __init__(self, folder: Path | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._path: Path | None = None
        self.entries: list[Correction] = []
        if folder is not None:
            self.keep_in(folder)

    def keep_in(self, folder: Path) -> None:
        """From now on in this folder, behind what is there.

        Raises:
            DataError: What is there is damaged.
        """
        self._path = folder / CORRECTIONS
        earlier, torn = _read(self._path)
        offset = max((c.number for c in earlier), default=0)
        moved = [replace(c, number=c.number + offset, undoes=c.undoes and c.undoes + offset) for c in self.entries]
        self.entries = [*earlier, *moved]
        if moved or torn:  # a half line that a crash left would spoil the next one
            self._write()

    @property
    def undone(self) -> frozenset[int]:
        """Numbers of corrections that do not hold any more."""
        return frozenset(c.undoes for c in self.entries if c.undoes)

    def next(self, kind: CorrectionKind, **values: Any) -> Correction:
        """A correction that is not kept yet."""
        number = max((c.number for c in self.entries), default=0) + 1
        return Correction(number, kind, said=round(self._clock(), 3), **values)

    def add(self, entry: Correction) -> Correction:
        """Keep a correction.

        Raises:
            OutputError: It cannot be written; it is not kept then.
        """
        self._append(entry)
        self.entries.append(entry)
        return entry

    def to_undo(self, number: int | None) -> Correction:
        """The correction of a number, or the newest one that holds and can be undone.

        Raises:
            CorrectionError: There is none.
        """
        undone = self.undone
        held = [c for c in self.entries if c.number not in undone and c.kind not in ("undo", "forget")]
        if number is None:
            if not held:
                raise CorrectionError("there is no correction to undo")
            return held[-1]
        found = next((c for c in self.entries if c.number == number), None)
        if found is None:
            raise CorrectionError(f"there is no correction {number}")
        if found.kind == "forget":
            raise CorrectionError(f"correction {number} forgot a person, of whom nothing is kept: it cannot be undone")
        if found not in held:
            raise CorrectionError(f"correction {number} is undone already, or undoes another one")
        return found

    def forget(self, ids: Collection[int], tracks: Collection[TrackKey]) -> None:
        """Keep nothing of what was said of people who are forgotten, but that they were.

        Raises:
            OutputError: The file cannot be written anew.
        """
        gone, theirs = set(ids), set(tracks)
        kept = [
            replace(c, tracks=() if theirs & set(c.tracks) else c.tracks) if c.kind == "forget" else c
            for c in self.entries
            if c.kind == "forget" or not ({c.global_id, c.other_id} & gone or theirs & set(c.tracks))
        ]
        numbers = {c.number for c in kept}
        self.entries = [c for c in kept if not c.undoes or c.undoes in numbers]
        self._write()

    def _write(self) -> None:
        """All anew; nothing where there was never one."""
        if self._path is None or not (self.entries or self._path.exists()):
            return
        try:
            with atomic_write(self._path, durable=True) as part:
                part.write_text("".join(_line(c) for c in self.entries), encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write '{self._path}': {error.strerror or error}") from error

    def _append(self, entry: Correction) -> None:
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line(entry))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"cannot keep a correction in '{self._path}': {error.strerror or error}") from error


def _line(entry: Correction) -> str:
    return json.dumps(entry.as_dict(), ensure_ascii=False, separators=(",", ":")) + "\n"


def corrections_in(folder: Path) -> list[Correction]:
    """What was said of the people in a folder of results; nothing is written, so that any number may read.

    Raises:
        DataError: The file is damaged.
    """
    return _read(folder / CORRECTIONS)[0]


def _read(path: Path) -> tuple[list[Correction], bool]:
    """What a file holds, and whether a half line that a crash left at its end was passed over.

    Raises:
        DataError: It is damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        return [], False
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read '{path}': {error}") from error
    entries = []
    for number, line in enumerate(lines, 1):
        if not line.endswith("\n"):
            break
        try:
            entries.append(Correction.of(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"'{path}', line {number} is no correction ({error}); mend or delete the line") from error
    return entries, bool(lines) and not lines[-1].endswith("\n")
