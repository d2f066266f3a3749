"""What every source of frames has in common: the seam, the choice of frames, and the notes about what went wrong
without stopping it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol, TypeVar, runtime_checkable

from streamreid.config import CameraConfig
from streamreid.types import Frame

__all__ = ["FrameSource", "Notes", "Selection", "SourceBase"]

_MAX_NOTES = 50
"""Notes kept with their text; further ones are only counted."""

_Self = TypeVar("_Self")


@runtime_checkable
class FrameSource(Protocol):
    """Frames of one camera, in the order of their capture times.

    Opening errors are raised by the constructor, reading errors by the iterator; both are `SourceError`.

    Attributes:
        camera: Name of the camera.
        live: True if frames come at their own pace and are lost when nobody takes them.
    """

    camera: str
    live: bool

    @property
    def expected_frames(self) -> int | None:
        """About how many frames will come (for progress), None if unknown."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """What was wrong so far but did not stop the source, one sentence each."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """The frames, once; times strictly increase."""
        ...

    def close(self) -> None:
        """Let go of files and connections; the iterator ends. May be called from another thread and more than once."""
        ...

    def __enter__(self: _Self) -> _Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class SourceBase:
    """Shared by the sources: name, notes, context manager.

    Args:
        config: The camera.
        live: True for cameras that do not wait.
    """

    def __init__(self, config: CameraConfig, *, live: bool) -> None:
        self.camera = config.name
        self.live = live
        self._config = config
        self._notes = Notes()

    @property
    def expected_frames(self) -> int | None:
        """About how many frames will come, None if unknown."""
        return None

    @property
    def warnings(self) -> Sequence[str]:
        """What was wrong so far but did not stop the source."""
        return self._notes.all()

    def close(self) -> None:
        """Let go of what is held."""

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Selection:
    """Which of a source's pictures become frames: ``start``, then every ``stride``-th, at most ``frames``.

    Args:
        config: The camera.
        from_start: Whether ``start`` counts (files) or is ignored (live cameras).
    """

    def __init__(self, config: CameraConfig, *, from_start: bool = True) -> None:
        self._start = config.start if from_start else 0.0
        self._stride = config.stride
        self._limit = config.frames
        self._eligible = 0
        self.taken = 0

    @property
    def done(self) -> bool:
        """Whether the limit is reached."""
        return self._limit is not None and self.taken >= self._limit

    def take(self, elapsed: float) -> bool:
        """Whether to use the next picture.

        Args:
            elapsed: Seconds since the beginning of the file.
        """
        # Half a millisecond of tolerance: start: 2.0 means the frame at 1.9999 of a time base that cannot say 2.
        if self.done or elapsed < self._start - 5e-4:
            return False
        use = self._eligible % self._stride == 0
        self._eligible += 1
        self.taken += use
        return use

    def of(self, pictures: int) -> int:
        """How many of ``pictures`` behind ``start`` will be used."""
        used = -(-pictures // self._stride)
        return used if self._limit is None else min(used, self._limit)


class Notes:
    """Collects warnings: events in order (bounded, so that a flood does not fill memory) and counts, reported once with
    their number."""

    def __init__(self) -> None:
        self._events: list[str] = []
        self._left_out = 0
        self._counts: dict[tuple[str, str], int] = {}
        self._size: tuple[int, int] | None = None
        self._resized = False

    def add(self, text: str) -> None:
        """Note an event; the same text is noted once."""
        if text in self._events:
            return
        if len(self._events) < _MAX_NOTES:
            self._events.append(text)
        else:
            self._left_out += 1

    def count(self, one: str, many: str) -> None:
        """Count an event: ``one`` is the sentence for one, ``many`` the sentence for ``{n}``."""
        self._counts[one, many] = self._counts.get((one, many), 0) + 1

    def size(self, width: int, height: int, index: int) -> None:
        """Look at the size of picture ``index``: the first change is noted, later ones are counted."""
        if self._size is not None and self._size != (width, height):
            if self._resized:
                self.count("frame size changed once more", "frame size changed {n} more times")
            else:
                was = f"{self._size[0]}x{self._size[1]}"
                self.add(f"frame size changed from {was} to {width}x{height} at frame {index}")
            self._resized = True
        self._size = (width, height)

    def all(self) -> list[str]:
        """All warnings so far, counted ones in one sentence each."""
        counts = [one if n == 1 else many.format(n=n) for (one, many), n in list(self._counts.items())]
        more = [f"{self._left_out} more warnings of this kind"] if self._left_out else []
        return [*self._events, *more, *counts]
