"""What every sink can do, and files that stay readable when the process is killed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import OutputError
from streamreid.types import FloatArray, FrameResult, IdentityEvent

__all__ = ["FinalIdentities", "LineFile", "Sink", "SinkContext", "atomic_text", "ltwh", "write_failed"]

FinalIdentities = dict[tuple[str, int], tuple[int, float]]
"""``(camera, track_id) -> (global_id, probability)``: what is believed at the end of a run, after all revisions."""


class Sink(Protocol):
    """Takes results as they come.

    ``close`` (or ``abort``) is called once; calling either again does nothing. Every method raises ``OutputError`` when the results
    cannot be written; what was written before stays readable.
    """

    def write(self, result: FrameResult) -> None:
        """Take one frame's people."""

    def event(self, event: IdentityEvent) -> None:
        """Take a change in what is believed about who is who."""

    def close(self, identities: FinalIdentities) -> None:
        """Finish the files with the final identities."""

    def abort(self) -> None:
        """Finish the files with what is known now, because the run failed: final identities are not available."""


class SinkContext:
    """Makes a sink usable in ``with``: leaving the block without ``close`` aborts, so no thread or open file is left behind."""

    def __enter__(self) -> SinkContext:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.abort()

    def abort(self) -> None:
        """Finish without final identities."""
        raise NotImplementedError


def write_failed(path: Path, error: OSError) -> OutputError:
    """The error for a file that could not be written."""
    advice = "Free space or choose another folder (output.dir, --out); what was written so far is kept."
    return OutputError(f"cannot write '{path}': {error.strerror or error}. {advice}")


class LineFile:
    """A text file that only ever grows by whole lines.

    Every ``write`` goes to the operating system at once (one call per frame costs microseconds), so a killed process loses nothing that was
    written; a write that fails half-way (disk full) is taken back, so the file still ends with a complete line.

    Args:
        path: The file; replaced if it exists, its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise write_failed(path, error) from error
        self._size = 0

    def write(self, lines: str) -> None:
        """Append lines, each ending in a newline.

        Raises:
            OutputError: The disk is full or the file went away.
        """
        data = memoryview(lines.encode())
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


@contextmanager
def atomic_text(path: Path) -> Iterator[TextIO]:
    """A text file that appears under its name only when it is complete.

    Args:
        path: The final name.

    Raises:
        OutputError: It cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "w", encoding="utf-8", newline="\n") as file:
            yield file
        os.replace(part, path)
    except OSError as error:
        raise write_failed(path, error) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def ltwh(boxes: FloatArray) -> NDArray[np.float64]:
    """``[N, 4]`` xyxy as left, top, width, height."""
    result = boxes.astype(np.float64)
    result[:, 2:] -= result[:, :2]
    return result
