"""Where somebody was when."""

from __future__ import annotations

from array import array

import numpy as np

from streamreid.types import Float64Array

__all__ = ["TrackPath"]


class TrackPath:
    """When and where one track's feet were: in plain numbers, because a run without end keeps thousands of these.

    Args:
        time: Seconds, near those that follow.
    """

    __slots__ = ("_base", "_values")

    def __init__(self, time: float) -> None:
        self._base = time
        self._values = array("f")

    def __len__(self) -> int:
        return len(self._values) // 3

    def add(self, time: float, x: float, y: float) -> None:
        """Another moment, and where the feet were then."""
        self._values.extend((time - self._base, x, y))

    @property
    def first(self) -> float:
        """Time of the first moment."""
        return self._base + self._values[0]

    @property
    def last(self) -> float:
        """Time of the last moment."""
        return self._base + self._values[-3]

    @property
    def rows(self) -> Float64Array:
        """``[N, 3]`` time, x, y."""
        rows = np.array(self._values, np.float64).reshape(-1, 3)
        rows[:, 0] += self._base
        return rows
