"""How large a frame is made for the detector: a set size, or one chosen by the height of the people in it.

The time of a detector grows with the square of its input, and what it gains ends where people are tall enough. So each
camera begins with the detector's usual size, which stays unless its people are small in it or very tall. A decision
depends only on the camera's own frames up to then, in their order, so results do not depend on batches.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from streamreid.detection.profiles import SizeRule
from streamreid.types import Detections, Frame

__all__ = ["InputSizes"]

_FIRST_SECONDS = 1.0
"""Capture seconds after a camera's first frame until its size is judged for the first time: a wrong one costs little
until then."""

_SECONDS = 10.0
"""Capture seconds between two judgements afterwards. Each change compiles the graph once for the new size (a third of a
second), so it must not come often."""

_LEAST_PEOPLE = 10
"""Heights below which nothing is judged."""

_MOST_PEOPLE = 500
"""Heights kept between two judgements."""

_SURE = 0.4
"""Score from which a box counts: of nine in ten such boxes of the profiled detectors there is a
person."""

_SMALL_PERSON = 25.0
"""Percentile of heights that is called a small person. The tenth would do for who is far away, but where six people
are in a picture, one thing that is taken for a person in every frame is more than a tenth of all boxes."""

_SMALLER = 1.25
"""Heights have to differ from a limit by this factor before a size that was taken because of it is left again: sizes do
not go to and fro."""

_USUAL = 640
"""Longest side where a detector has no rule, in pixels: what most detectors are trained at."""


@dataclass(slots=True)
class _Camera:
    source: tuple[int, int]
    size: int
    last: float
    due: float
    heights: list[float] = field(default_factory=list)


class InputSizes:
    """Longest side of the input for each frame.

    Attributes:
        rule: How sizes are chosen; None where one is set.

    Args:
        size: The one that is set, in pixels; None to choose.
        rule: How to choose; None takes the usual size.
    """

    def __init__(self, size: int | None, rule: SizeRule | None) -> None:
        self.rule = rule if size is None else None
        self._size = size or _USUAL
        self._cameras: dict[str, _Camera] = {}

    @property
    def largest(self) -> int:
        """The largest size there can be, in pixels."""
        return self._size if self.rule is None else self.rule.sizes[-1]

    def due(self, frame: Frame) -> bool:
        """Whether the camera's size is to be judged at this frame: all its earlier frames must have been noted."""
        camera = self._cameras.get(frame.camera)
        return self.rule is not None and (camera is None or self._begins(camera, frame) or frame.time >= camera.due)

    def now(self, frame: Frame) -> int:
        """Longest side of the input for a frame in pixels, as was decided last."""
        return self._size if self.rule is None else self._cameras[frame.camera].size

    def of(self, frame: Frame) -> int:
        """Longest side of the input for a frame in pixels; judges the camera's size where that is due."""
        if self.rule is None:
            return self._size
        camera = self._cameras.get(frame.camera)
        if camera is None or self._begins(camera, frame):
            size = min(self.rule.first, _useful(self.rule, frame.size)[-1])
            camera = _Camera(frame.size, size, frame.time, frame.time + _FIRST_SECONDS)
            self._cameras[frame.camera] = camera
        elif frame.time >= camera.due and len(camera.heights) >= _LEAST_PEOPLE:
            camera.size = _judged(camera, self.rule)
            camera.due, camera.heights = frame.time + _SECONDS, []
        camera.last = max(camera.last, frame.time)
        return camera.size

    def note(self, frame: Frame, people: Detections) -> None:
        """Take what was found in a frame; frames of a camera come in their order."""
        camera = self._cameras.get(frame.camera)
        if self.rule is None or camera is None or len(camera.heights) >= _MOST_PEOPLE:
            return
        sure = people.boxes[people.scores >= _SURE]
        # People who are cut off by the border say nothing of how tall they are.
        whole = sure[(sure[:, 1] > 1) & (sure[:, 3] < frame.size[1] - 1)]
        camera.heights += (whole[:, 3] - whole[:, 1]).tolist()

    @staticmethod
    def _begins(camera: _Camera, frame: Frame) -> bool:
        """Whether another source has taken the camera's name, or the same one starts over."""
        return frame.size != camera.source or frame.time < camera.last - _SECONDS


def _useful(rule: SizeRule, source: tuple[int, int]) -> list[int]:
    """Sizes that show something more than the one before: more pixels than the source has do not."""
    return [size for size in rule.sizes if size <= max(*source, rule.sizes[0])]


def _judged(camera: _Camera, rule: SizeRule) -> int:
    small = float(np.percentile(camera.heights, _SMALL_PERSON)) / max(camera.source)
    useful = _useful(rule, camera.source)

    def reaching(height: float) -> int:
        return next((size for size in useful if size * small >= height), useful[-1])

    # What is usual, unless people need more, or less is plenty; the camera's size stays within the slack of the limits.
    up = sorted((reaching(rule.least_height), rule.first, reaching(rule.plenty / _SMALLER)))[1]
    down = sorted((reaching(rule.least_height * _SMALLER), rule.first, reaching(rule.plenty)))[1]
    return min(max(camera.size, min(up, useful[-1])), min(down, useful[-1]))
