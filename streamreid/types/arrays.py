"""Arrays by what they hold, and names of a few plain values."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["BoolArray", "ClockName", "Float64Array", "FloatArray", "Image", "IntArray", "TrackKey"]

Image = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
Float64Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

TrackKey = tuple[str, int]
"""A track of a run: name of its camera, track id in that camera."""

ClockName = Literal["pts", "rtcp", "arrival", "rate"]
"""Where a capture time came from: presentation time stamps, RTCP sender reports, arrival at this machine, or frame
number / frame rate."""
