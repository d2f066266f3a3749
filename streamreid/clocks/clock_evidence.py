"""How well each offset between two clocks explains where people are seen, who says so, and whether others agree.

Every sample is a person whom camera A sees at a place that camera B sees too. At the right offset somebody stands there
in B as well, at others only by chance. What chance gives is taken off by centring twice: a place where B often sees
somebody, and a moment at which B sees many people, count for nothing. The gains of one track go together (its samples
are not independent), so that tracks are what is counted:

* the estimate is the offset of greatest gain over all tracks, its standard error comes from resampling tracks
  (bootstrap, Efron 1979);
* the tracks are dealt into two halves; the best offset of each half must be confirmed by the other one, which had no
  part in choosing it. In a crowd some offset always looks good by chance; it does not look good in both halves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.types import Float64Array

__all__ = ["Estimate", "double_centred", "estimate_offset"]


_RESAMPLED = 200  # the standard error of a standard error from 200 resamplings is 5 %
_LEAST_TRACKS = 8  # four in each half, of which a mean and a deviation are taken
_CONFIRMED = 2.5
"""Standard errors by which the gain in the other half must be above chance. With 21 pairs of cameras, and both halves
needed, that is one pair in a thousand recordings."""

_BETTER = 2.0
"""Standard errors by which it must be above the gain with right clocks, where an offset is claimed."""

_RIGHT = 0.3
"""Seconds up to which an offset is no claim that clocks are wrong, and needs no such comparison."""

_APART = 0.6
"""Seconds by which the estimates of the halves may differ at least, whatever their standard errors."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """An offset that both halves confirm.

    Args:
        seconds: The offset.
        error: Its standard error.
        tracks: How many say something.
    """

    seconds: float
    error: float
    tracks: int


def double_centred(costs: Float64Array, moments: NDArray[np.int64]) -> Float64Array:
    """Gains over chance: row mean + column mean - cost, where a row is a sample and a column a moment of the other
    camera.

    Args:
        costs: ``[N, S]`` distance to the nearest person of the other camera, by offset; NaN where it saw nothing then.
        moments: ``[N, S]`` which moment of the other camera that is.

    Returns:
        ``[N, S]``; 0 where nothing is known.
    """
    known = np.isfinite(costs)
    filled = np.where(known, costs, 0.0)
    rows = filled.sum(1, keepdims=True) / np.maximum(known.sum(1, keepdims=True), 1)
    left = np.where(known, filled - rows, 0.0)
    number = np.where(known, moments - moments.min(), 0)
    total, count = np.bincount(number.ravel(), left.ravel()), np.bincount(number.ravel(), known.ravel())
    columns = total / np.maximum(count, 1)
    return np.where(known, columns[number] - left, 0.0)


def estimate_offset(gains: Float64Array, offsets: Float64Array, *, floor: float) -> Estimate | None:
    """The offset that explains most, if it holds in both halves of the tracks.

    Args:
        gains: ``[T, S]`` of each track, by offset.
        offsets: ``[S]`` seconds, evenly spaced.
        floor: Least standard error: what the sampling in time and the calibration leave.

    Returns:
        None if nothing can be said.
    """
    gains = gains[(gains != 0).any(1)]
    if len(gains) < _LEAST_TRACKS:
        return None
    halves = gains[0::2], gains[1::2]
    best = [int(half.sum(0).argmax()) for half in halves]
    if not all(_confirms(halves[1 - k], best[k], offsets) for k in (0, 1)):
        return None
    step = float(offsets[1] - offsets[0])
    weights = np.random.default_rng(0).multinomial(len(gains), np.full(len(gains), 1 / len(gains)), _RESAMPLED)
    peaks = _peaks(weights @ gains, offsets)
    whole = float(_peaks(gains.sum(0)[None], offsets)[0])
    apart = abs(float(np.diff(_peaks(np.stack([half.sum(0) for half in halves]), offsets))[0]))
    error = float(np.hypot(np.sqrt(np.mean((peaks - whole) ** 2)), floor))
    if apart > max(_APART, 4 * error) or abs(whole - offsets[0]) < step or abs(whole - offsets[-1]) < step:
        return None
    return Estimate(whole, max(error, apart / 4), len(gains))


def _confirms(gains: Float64Array, best: int, offsets: Float64Array) -> bool:
    """Whether tracks that had no part in choosing an offset agree with it: better than chance, and than right clocks if
    it says that they are wrong."""
    values = gains[:, best]
    if _deviations(values) < _CONFIRMED:
        return False
    if abs(offsets[best]) <= _RIGHT:
        return True
    return _deviations(values - gains[:, np.abs(offsets).argmin()]) >= _BETTER


def _deviations(values: Float64Array) -> float:
    """By how many of its standard errors a sum is above 0."""
    error = np.sqrt(len(values)) * np.std(values, ddof=1)
    return float(values.sum() / error) if error > 0 else 0.0


def _peaks(curves: Float64Array, offsets: Float64Array) -> Float64Array:
    """Where each curve ``[R, S]`` is greatest, between the offsets by a parabola."""
    at = np.clip(curves.argmax(1), 1, curves.shape[1] - 2)
    row = np.arange(len(curves))
    left, middle, right = (curves[row, at + k] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    part = np.where(bend < -1e-12, 0.5 * (left - right) / np.minimum(bend, -1e-12), 0.0)
    return np.asarray(offsets[at] + np.clip(part, -0.5, 0.5) * (offsets[1] - offsets[0]), np.float64)
