"""Further pictures of people out of a cache, which holds the features of everybody in every frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from streamreid.association.second_looks import FurtherPicture
from streamreid.types import EmbeddedFrame, FloatArray

__all__ = ["CachedPictures"]


class CachedPictures:
    """The frames of a cache once more, from front to back.

    Args:
        frames: Reads them from the beginning.

    Attributes:
        lost: No camera: all are in the cache.
    """

    def __init__(self, frames: Callable[[], Iterable[EmbeddedFrame]]) -> None:
        self._frames = frames
        self._open: Iterator[EmbeddedFrame] | None = None
        self.lost: dict[str, str] = {}

    def describe(self, wanted: Sequence[FurtherPicture]) -> Iterator[tuple[FurtherPicture, FloatArray, FloatArray]]:
        """Features of whom is wanted, in the order of the frames; those that are not stored are left out."""
        if self._open is None:
            self._open = iter(self._frames())
        asked: dict[tuple[str, float], list[FurtherPicture]] = {}
        for picture in wanted:
            asked.setdefault((picture.camera, picture.time), []).append(picture)
        for item in self._open if asked else ():
            for picture in asked.pop((item.frame.camera, item.frame.time), []):
                visibility = item.features.visibility[picture.row]
                if visibility.any():
                    yield picture, item.features.parts[picture.row], visibility
            if not asked:
                return

    def close(self) -> None:
        """Read no further."""
        self._open = None
