"""People of several frames whose lines are written together: numbers are rounded and written for a block at once, which
costs a third of doing so frame by frame."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from streamreid.sinks.base import ltwh
from streamreid.types import FloatArray, Frame, FrameResult

__all__ = ["BLOCK_SECONDS", "BlockColumns", "ResultBlock"]

BLOCK_SECONDS = 0.25
"""How long lines of recordings wait for others. A run that is killed begins anew anyway."""

_MOST_FRAMES = 256


@dataclass(frozen=True, slots=True)
class BlockColumns:
    """The P people of a block, one frame after the other.

    Args:
        boxes: ``[P, 4]`` left, top, width, height.
        scores: ``[P]``.
        ids: Track ids.
        who: Global ids; 0 where nothing is decided.
        probabilities: ``[P]`` of the links.
        world: Where each stands; None where that is not known.
    """

    boxes: NDArray[np.float64]
    scores: FloatArray
    ids: list[int]
    who: list[int]
    probabilities: FloatArray
    world: list[list[float] | None]

    @classmethod
    def of(cls, results: Sequence[FrameResult]) -> BlockColumns:
        """Of one frame or more."""
        tracks = [result.tracks for result in results]
        world: list[list[float] | None] = []
        for result in results:
            if result.world is None:
                world += [None] * len(result.tracks)
            else:
                world += [p if isfinite(p[0]) and isfinite(p[1]) else None for p in result.world.tolist()]
        return cls(
            ltwh(np.concatenate([item.boxes for item in tracks])),
            np.concatenate([item.scores for item in tracks]),
            np.concatenate([item.ids for item in tracks]).tolist(),
            np.concatenate([result.global_ids for result in results]).tolist(),
            np.concatenate([result.probabilities for result in results]),
            world,
        )


class ResultBlock:
    """Results that wait to be written, without their pictures.

    Args:
        seconds: How long the first of them may wait; 0 writes each at once.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._results: list[FrameResult] = []
        self._written = -np.inf

    def __len__(self) -> int:
        return len(self._results)

    def add(self, result: FrameResult) -> bool:
        """Take a frame; returns whether the block is to be written now. One without people is not written, but those
        of before need not wait until somebody comes again."""
        if len(result.tracks):
            self._results.append(_without_picture(result) if self._seconds else result)
        if not self._results:
            return False
        return len(self._results) >= _MOST_FRAMES or time.monotonic() - self._written >= self._seconds

    def take(self) -> list[FrameResult]:
        """The results so far, which are not held any more."""
        results, self._results = self._results, []
        self._written = time.monotonic()
        return results


def _without_picture(result: FrameResult) -> FrameResult:
    frame = result.frame
    if not frame.has_image and result.blur_boxes is None and result.colours is None:
        return result
    bare = Frame.without_image(frame.camera, frame.index, frame.time, size=frame.size, clock=frame.clock)
    return replace(result, frame=bare, blur_boxes=None, colours=None)
