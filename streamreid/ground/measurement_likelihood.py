"""How well people explain the boxes of a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.ground.body_model import boxes_and_slopes, hidden_shares, share_inside
from streamreid.ground.camera_model import GroundCamera
from streamreid.ground.kalman_filter import GroundSettings, limit_bodies
from streamreid.types import BoolArray, Float64Array

__all__ = [
    "INWARDS",
    "LEGS",
    "CameraFrame",
    "Explained",
    "cut_edges",
    "edge_noise",
    "measurement_likelihood",
    "predicted_boxes",
    "visible_share",
]

LEGS = 0.7
"""Standard deviation of the lower edge where feet are hidden, as a share of the box's height."""

_FAR = 64.0
"""Squared standard deviations by which an edge is off that make a box somebody else's, whatever the other edges."""

_HOPELESS = 10.0
"""Log-odds below those that explanations may differ by at which a box is nobody's: what else the explanation would have
to gain at once."""

_BODY = np.array([0, 1, 4, 5])
"""What of a belief a box depends on: place, body height, girth."""

INWARDS = np.array([1.0, 1.0, -1.0, -1.0])[:, None]
"""Which way an edge moves when the box becomes smaller."""


@dataclass(frozen=True, slots=True, eq=False)
class CameraFrame:
    """A frame: the camera, the size of its picture, and how long ago the people's beliefs say it was."""

    camera: GroundCamera
    size: tuple[int, int]
    lag: float


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """N people and M boxes: P pairs of a person and a box that may be theirs; all others are too far apart.

    A box shows somebody whole; or without feet, hidden by whatever; or badly: three ways.

    Args:
        person: ``[P]`` rows of people, rising.
        box: ``[P]``.
        count: ``[N]`` pairs of each person.
        odds: ``[3, P]`` log-odds of the box's being this person's against being nobody's, for each way.
        inside: ``[N]`` share of the predicted box in the picture, as it matters for being found.
        hidden: ``[N, N]`` twice; see ``hidden_shares``.
        turned: ``[N, 4, 6]`` derivatives of the predicted edges by what is believed, times the covariance.
        high: ``[N]`` height of the predicted box, pixels.
        root: ``[10, 3, P]`` Cholesky factors of the covariances of the gaps between edges found and predicted, in box
            heights, row by row.
        gap: ``[4, 3, P]`` these gaps, made independent and of variance 1 by the factors.
    """

    person: NDArray[np.int64]
    box: NDArray[np.int64]
    count: NDArray[np.int64]
    odds: Float64Array
    inside: Float64Array
    hidden: tuple[Float64Array, Float64Array]
    turned: Float64Array
    high: Float64Array
    root: Float64Array
    gap: Float64Array

    def corrected(
        self,
        mean: Float64Array,
        cov: Float64Array,
        pair: NDArray[np.int64],
        way: NDArray[np.int64],
        settings: GroundSettings,
    ) -> tuple[Float64Array, Float64Array]:
        """Kalman correction of K beliefs by a box each.

        Args:
            mean: ``[K, 6]``.
            cov: ``[K, 6, 6]``.
            pair: ``[K]`` which pair.
            way: ``[K]`` in which way.
            settings: Limits of bodies.
        """
        root, gap = self.root[:, way, pair], self.gap[:, way, pair]
        people = self.person[pair]
        turned = (self.turned[people] / self.high[people][:, None, None]).transpose(1, 2, 0)  # [4, 6, K]
        whole = np.empty(turned.shape)  # the gain is its transpose times the gaps
        at = 0
        for i in range(4):
            row = turned[i]
            for k in range(i):
                row = row - root[at + k] * whole[k]
            np.divide(row, root[at + i], out=whole[i])
            at += i + 1
        better = mean + (whole * gap[:, None]).sum(0).T
        limit_bodies(better, settings.heights)
        each = np.ascontiguousarray(whole.transpose(2, 0, 1))
        return better, cov - each.transpose(0, 2, 1) @ each


def measurement_likelihood(
    seen: CameraFrame, mean: Float64Array, cov: Float64Array, boxes: Float64Array, settings: GroundSettings
) -> Explained:
    """Compare predicted with found boxes, edge by edge.

    Args:
        seen: Whose frame.
        mean: ``[N, 6]`` beliefs.
        cov: ``[N, 6, 6]``.
        boxes: ``[M, 4]`` xyxy.
        settings: How boxes err.
    """
    shown, slopes, known, people = predicted_boxes(seen, mean)
    high = np.where(known, np.maximum(shown[:, 3] - shown[:, 1], 8.0), 100.0)
    turned = slopes @ cov
    spread = turned @ slopes.transpose(0, 2, 1)
    noise = edge_noise(high, settings)
    vague = settings.outlier_scale**2 * noise
    np.maximum(vague[3], (LEGS * high) ** 2, out=vague[3])
    gap = boxes.T[:, None] - shown.T[:, :, None]  # [4, N, M]
    # Where the predicted edge is beyond the picture as well, nothing is said.
    free = cut_edges(boxes, seen.size)[:, None] & (gap * INWARDS[:, None] > 0)
    gap[free] = 0.0
    most = np.diagonal(spread, axis1=1, axis2=2).T + vague
    far = (gap**2 / most[..., None]).max(0, initial=0.0)
    person, box = np.nonzero((far < _FAR) & known[:, None])
    odds, root, apart = _density(
        gap[:, person, box], spread[person], noise[:, person], free[:, person, box], high[person], settings
    )
    # A box of nobody may be anywhere, and of many sizes.
    odds -= np.log(settings.clutter * 0.5 * high**2 / (seen.size[0] * seen.size[1]))[person]
    near = np.flatnonzero(odds.max(0) > -settings.odds_window - _HOPELESS)
    person, box, odds, root, apart = person[near], box[near], odds[:, near], root[:, :, near], apart[:, :, near]
    depth = people[:, :2] @ seen.camera.matrix[2, :2] + people[:, 2] * (0.5 * seen.camera.matrix[2, 2])
    inside = np.where(known, visible_share(shown, seen.size), 0.0)
    hidden = hidden_shares(shown, depth)
    count = np.bincount(person, minlength=len(mean))
    return Explained(person, box, count, odds, inside, hidden, turned, high, root, apart)


def visible_share(shown: Float64Array, size: tuple[int, int]) -> Float64Array:
    """How well somebody can be found of whose predicted box ``[N, 4]`` a part is outside the picture, in [0, 1]."""
    return np.minimum(np.maximum((share_inside(shown, size) - 0.2) / 0.3, 0.0), 1.0)


def predicted_boxes(
    seen: CameraFrame, mean: Float64Array
) -> tuple[Float64Array, Float64Array, BoolArray, Float64Array]:
    """Boxes ``[N, 4]`` of ``[N, 6]`` beliefs, their derivatives ``[N, 4, 6]``, ``[N]`` who is well in front of the
    camera (of others the box is nowhere), and ``[N, 4]`` place, body height and girth at the time of the frame."""
    people = mean[:, _BODY]
    if seen.lag:
        people[:, :2] -= seen.lag * mean[:, 2:4]
    shown, moved = boxes_and_slopes(seen.camera, people)
    slopes = np.zeros((len(people), 4, 6))
    slopes[:, :, _BODY] = moved
    slopes[:, :, 2:4] = -seen.lag * slopes[:, :, :2]
    known = np.asarray(np.isfinite(slopes).all((1, 2)), bool)
    if not known.all():
        slopes[~known], shown[~known] = 0.0, -1e6
    return shown, slopes, known, people


def edge_noise(high: Float64Array, settings: GroundSettings) -> Float64Array:
    """``[4, N]`` variances of the edges of boxes so many pixels high that show people whole."""
    deviation = np.array(
        [settings.side_deviation, settings.head_deviation, settings.side_deviation, settings.foot_deviation]
    )
    return np.asarray((deviation[:, None] * high) ** 2 + settings.pixel_deviation**2, np.float64)


def cut_edges(boxes: Float64Array, size: tuple[int, int]) -> BoolArray:
    """Which edges ``[4, M]`` lie on the border of the picture."""
    x, y = 0.01 * size[0], 0.01 * size[1]
    return np.stack([boxes[:, 0] < x, boxes[:, 1] < y, boxes[:, 2] > size[0] - x, boxes[:, 3] > size[1] - y])


def _density(
    gap: Float64Array,
    spread: Float64Array,
    noise: Float64Array,
    free: BoolArray,
    high: Float64Array,
    settings: GroundSettings,
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Logarithm of the Gaussian density of P gaps, in box heights, in each way ``[3, P]``, and ``root`` and ``gap`` of
    ``Explained``.

    The Cholesky factor of each 4 x 4 matrix is written out: LAPACK takes them one by one.

    Args:
        gap: ``[4, P]`` edges found less predicted, pixels.
        spread: ``[P, 4, 4]`` covariance of predicted edges.
        noise: ``[4, P]`` variances of edges found.
        free: ``[4, P]`` edges of which nothing is said.
        high: ``[P]`` heights of the predicted boxes.
    """
    unit = high**2
    share = spread.transpose(1, 2, 0) / unit
    own = np.empty((4, 3, len(high)))  # by edge and way
    own[:, 0] = np.where(free, 1.0, noise / unit)
    own[:, 1] = own[:, 0]
    np.maximum(own[3, 0], LEGS**2, out=own[3, 1])
    np.multiply(own[:, 0], settings.outlier_scale**2, out=own[:, 2])
    left = gap / high
    root, z = np.empty((10, 3, len(high))), np.empty((4, 3, len(high)))
    scale = np.ones((3, len(high)))
    at, rows = 0, (0, 1, 3, 6)
    for i in range(4):
        value, rest = share[i, i] + own[i], left[i]
        for j in range(i):
            entry = share[i, j]
            for k in range(j):
                entry = entry - root[at + k] * root[rows[j] + k]
            entry = np.divide(entry, root[rows[j] + j], out=root[at + j])
            value = value - entry * entry
            rest = rest - entry * z[j]
        pivot = np.sqrt(value, out=root[at + i])
        np.divide(rest, pivot, out=z[i])
        scale = scale * pivot
        at += i + 1
    return -2 * np.log(2 * np.pi) - 0.5 * (z * z).sum(0) - np.log(scale), root, z
