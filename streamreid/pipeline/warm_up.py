"""The first runs of detector and engine compile graphs, which takes seconds: they are done before results matter."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from streamreid._startup import starting
from streamreid.detection import Detector
from streamreid.reid import Embedder
from streamreid.types import Detections, Frame

__all__ = ["warm_up"]

_CROPS = (1, 2, 8)
"""One, one per core, and enough people for the runtime to group them."""


def warm_up(detector: Detector, embedder: Embedder, frames: Sequence[Frame], *, batch: int) -> None:
    """Run both on frames whose results nobody sees. What fails here fails again, and is then told.

    Args:
        detector: Finds people.
        embedder: Turns them into part features.
        frames: One at least.
        batch: Largest number of frames that the detector gets at once.
    """
    with starting("first inference of detector and engine"):
        for count in _CROPS:
            some = [frames[i % len(frames)] for i in range(min(count, 2, batch))]
            with suppress(Exception):
                detector(some)
            width, height = some[0].size
            boxes = Detections.from_arrays([[0, 0, width / 4, height / 2]] * count)
            with suppress(Exception):
                embedder(some[:1], [boxes])
