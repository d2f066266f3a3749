"""What every sink can do, and files that stay readable when the process is killed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import OutputError
from streamreid.files import atomic_write
from streamreid.places.records import PlaceEvent, Visit
from streamreid.types import FloatArray, FrameResult, IdentityEvent

__all__ = ["FinalIdentities", "LineFile", "PeopleCount", "Sink", "SinkContext", "atomic_text", "ltwh", "write_failed"]


class FinalIdentities(dict[tuple[str, int], tuple[int, float]]):
    """``(camera, track_id) -> (global_id, probability)``: what is believed at the end of a run, after all revisions.

    Args:
        links: The mapping.
        confirmed: Global ids of people who were seen well enough to be confirmed.
        unlinked: Global ids that only number a track that was seen too little to be a person; so does 0.
        names: Names that people gave, by global id.
        staff: Global ids of people of whom somebody said that they work there.
    """

    def __init__(
        self,
        links: Mapping[tuple[str, int], tuple[int, float]] | None = None,
        *,
        confirmed: Iterable[int] = (),
        unlinked: Iterable[int] = (),
        names: Mapping[int, str] | None = None,
        staff: Iterable[int] = (),
    ) -> None:
        super().__init__(links or {})
        self.staff = frozenset(staff)
        self.names = dict(names or {})
        self.confirmed, self.unlinked = frozenset(confirmed), frozenset(unlinked)

    @classmethod
    def of(cls, links: Mapping[tuple[str, int], tuple[int, float]]) -> FinalIdentities:
        """The same, of any mapping."""
        return links if isinstance(links, cls) else cls(links)

    @property
    def people(self) -> frozenset[int]:
        """Global ids of people: all but those of unlinked tracks."""
        return frozenset(who for who, _ in self.values() if who) - self.unlinked

    def count(self) -> PeopleCount:
        """People, confirmed people, unlinked tracks."""
        people = self.people
        return PeopleCount(
            len(people), len(people & self.confirmed), sum(who not in people for who, _ in self.values())
        )


@dataclass(frozen=True, slots=True)
class PeopleCount:
    """How many people, in three numbers.

    Args:
        identities: People: identities with at least one track that was seen ``association.min_observations`` times.
        confirmed: Those among them who were seen ``association.confirm_observations`` times over
            ``association.confirm_seconds`` or longer.
        unlinked_tracks: Tracks that belong to nobody: seen too little so far, or when they ended.
    """

    identities: int = 0
    confirmed: int = 0
    unlinked_tracks: int = 0

    def __add__(self, other: PeopleCount) -> PeopleCount:
        return PeopleCount(
            self.identities + other.identities,
            self.confirmed + other.confirmed,
            self.unlinked_tracks + other.unlinked_tracks,
        )


class Sink(Protocol):
    """Takes results as they come.

    ``close`` (or ``abort``) is called once; calling either again does nothing. Every method raises ``OutputError`` when
    the results cannot be written; what was written before stays readable.
    """

    def write(self, result: FrameResult) -> None:
        """Take the people of one frame."""

    def event(self, event: IdentityEvent) -> None:
        """Take a change in what is believed about who is who."""

    def place(self, event: PlaceEvent) -> None:
        """Take what happened at a zone or line, or that a person was first or last seen."""

    def visit(self, visit: Visit) -> None:
        """Take the visit of a track to a zone, when it is over."""

    def finalize_tracks(self, identities: FinalIdentities) -> None:
        """Take tracks that no revision can reach any more, in runs without end; ``close`` will not name them again."""

    def close(self, identities: FinalIdentities) -> None:
        """Finish the files with the final identities."""

    def abort(self) -> None:
        """Finish the files with what is known now, because the run failed: final identities are not available."""


class SinkContext:
    """Makes a sink usable in ``with``: leaving the block without ``close`` aborts, so no thread or open file is left
    behind."""

    def __enter__(self) -> SinkContext:
        return self

    def place(self, event: PlaceEvent) -> None:
        """Most sinks tell nothing of places."""

    def visit(self, visit: Visit) -> None:
        """Most sinks keep nothing of places."""

    def finalize_tracks(self, identities: FinalIdentities) -> None:
        """Most sinks have nothing to do: what they wrote stays as it was believed."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def abort(self) -> None:
        """Finish the files of a run that failed, without final identities."""
        raise NotImplementedError


def write_failed(path: Path, error: OSError) -> OutputError:
    """The error for a file that could not be written."""
    advice = "Free space or choose another folder (output.dir, --out); what was written so far is kept."
    return OutputError(f"cannot write '{path}': {error.strerror or error}. {advice}")


class LineFile:
    """A text file that only ever grows by whole lines.

    Every ``write`` goes to the operating system at once (one call per frame costs microseconds), so a killed process
    loses nothing that was written; a write that fails half-way (disk full) is taken back, so the file still ends with a
    complete line.

    Args:
        path: The file; its folder is made.
        append: Go on behind the lines that are there (a line that a killed process left half is removed); otherwise the
            file is replaced.

    Attributes:
        begun: Bytes that were there before.
    """

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.begun = _whole_lines(path) if append else 0
            self._file = open(path, "ab" if append else "wb", buffering=0)  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise write_failed(path, error) from error
        self._size = self.begun

    @property
    def size(self) -> int:
        """Length of the file so far, in bytes."""
        return self._size

    def write(self, lines: str | bytes) -> None:
        """Append lines, each ending in a newline, as text or in UTF-8.

        Raises:
            OutputError: The disk is full or the file went away.
        """
        data = memoryview(lines.encode() if isinstance(lines, str) else lines)
        done = 0
        try:
            while done < len(data):
                done += self._file.write(data[done:]) or 0
        except OSError as error:
            with suppress(OSError):  # not a plain file
                self._file.truncate(self._size)
            raise write_failed(self.path, error) from error
        self._size += done

    def close(self) -> None:
        """Close the file; again is harmless."""
        self._file.close()


def _whole_lines(path: Path) -> int:
    """Cut a half line off the end of a file; its length then."""
    if not path.exists():
        return 0
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        keep = end
        while keep:
            start = max(0, keep - 65536)
            file.seek(start)
            newline = file.read(keep - start).rfind(b"\n")
            keep = start if newline < 0 else start + newline + 1
            if newline >= 0:
                break
        if keep < end:
            file.truncate(keep)
        return keep


@contextmanager
def atomic_text(path: Path) -> Iterator[TextIO]:
    """A text file that appears under its name only when it is complete.

    Args:
        path: The final name.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part, open(part, "w", encoding="utf-8", newline="\n") as file:
            yield file
    except OSError as error:
        raise write_failed(path, error) from error


def ltwh(boxes: FloatArray) -> NDArray[np.float64]:
    """``[N, 4]`` xyxy as left, top, width, height."""
    result = boxes.astype(np.float64)
    result[:, 2:] -= result[:, :2]
    return result
