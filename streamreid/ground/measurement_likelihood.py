"""How well people measurement_likelihood the boxes of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.ground.body_model import body_boxes, box_slopes, hidden_by, share_inside
from streamreid.ground.camera_model import GroundCamera
from streamreid.ground.kalman_filter import GroundSettings, correct
from streamreid.types import Float64Array

__all__ = ["CameraFrame", "Chances", "Explained", "measurement_likelihood"]

_STANDS, _LEGLESS, _VAGUE = range(3)
"""A box shows somebody whole; or without feet, hidden by whatever; or badly."""


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """N people and M boxes.

    Args:
        slopes: ``[N, 4, 6]`` derivatives of the predicted edges by what is believed.
        gap: ``[N, M, 4]`` edges found less predicted, pixels; 0 where the picture ends before either.
        noise: ``[3, N, M, 4]`` variances, for each way to measurement_likelihood a box.
        odds: ``[3, N, M]`` log-odds of the box's being this person's against being nobody's.
        inside: ``[N]`` share of the predicted box in the picture, as it matters for being found.
        hidden: ``[N, N, 2]`` see ``hidden_by``.
    """

    slopes: Float64Array
    gap: Float64Array
    noise: Float64Array
    odds: Float64Array
    inside: Float64Array
    hidden: Float64Array

    def chances(
        self, hypotheses: Sequence[NDArray[np.int64]], settings: GroundSettings
    ) -> tuple[Float64Array, Float64Array, NDArray[np.int64]]:
        """What hypotheses say in which these people are there, T in all, one hypothesis behind the other.

        Returns:
            Chance to be found ``[T]``, log-odds of each box ``[T, M]``, and by which of the three ways ``[T, M]``.
        """
        cover = np.minimum(np.concatenate([self.hidden[np.ix_(p, p)].sum(1) for p in hypotheses]), 1.0)
        people = np.concatenate(hypotheses)
        seen = settings.hidden_detection_rate + (settings.detection_rate - settings.hidden_detection_rate) * (
            1 - cover[:, 0]
        )
        legless = np.clip(cover[:, 1], 0.02, 0.98)
        vague = np.full(len(people), settings.outlier_rate)
        prior = np.log(np.stack([(1 - vague) * (1 - legless), (1 - vague) * legless, vague]))
        ways = prior[:, :, None] + self.odds[:, people]
        best = ways.max(0)
        return (
            np.clip(self.inside[people] * seen, 0.01, 0.97),
            best + np.log(np.exp(ways - best).sum(0)),
            ways.argmax(0),
        )

    def corrected(
        self,
        mean: Float64Array,
        cov: Float64Array,
        rows: NDArray[np.int64],
        boxes: NDArray[np.int64],
        way: NDArray[np.int64],
        settings: GroundSettings,
    ) -> tuple[Float64Array, Float64Array]:
        """Beliefs of people ``rows`` after a box each, in a way each."""
        gap, noise = self.gap[rows, boxes], self.noise[way, rows, boxes]
        return correct(mean, cov, self.slopes[rows], gap, noise, settings.heights)


@dataclass(frozen=True, slots=True, eq=False)
class Chances:
    """What hypotheses say of the people in them, T in all, one hypothesis behind the other.

    Args:
        people: ``[T]`` rows of the beliefs.
        begin: ``[H]`` where each hypothesis begins.
        found: ``[T]`` chance to be found.
        odds: ``[T, M]`` log-odds of each box.
        ways: ``[T, M]`` by which of the three ways.
    """

    people: NDArray[np.int64]
    begin: NDArray[np.int64]
    found: Float64Array
    odds: Float64Array
    ways: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class CameraFrame:
    """A frame: the camera, the size of its picture, and how long ago the people's beliefs say it was."""

    camera: GroundCamera
    size: tuple[int, int]
    lag: float


def measurement_likelihood(
    seen: CameraFrame,
    mean: Float64Array,
    cov: Float64Array,
    boxes: Float64Array,
    settings: GroundSettings,
    *,
    around: Float64Array | None = None,
) -> Explained:
    """Compare predicted with found boxes, edge by edge.

    Args:
        seen: Whose frame.
        mean: ``[N, 6]`` beliefs.
        cov: ``[N, 6, 6]``.
        boxes: ``[M, 4]`` xyxy.
        settings: How boxes err.
        around: ``[N, 6]`` where to take derivatives, if not at ``mean``.
    """
    point = mean if around is None else around
    people = point[:, [0, 1, 4, 5]]
    people[:, :2] -= seen.lag * point[:, 2:4]
    shown = body_boxes(seen.camera, people)
    known = np.isfinite(shown).all(1)
    slopes = np.zeros((len(people), 4, 6))
    slopes[:, :, [0, 1, 4, 5]] = box_slopes(seen.camera, people, shown)
    slopes[:, :, 2:4] = -seen.lag * slopes[:, :, :2]
    known &= np.isfinite(slopes).all((1, 2))  # hardly in front of the camera
    slopes[~known], shown[~known] = 0.0, -1e6
    high = np.where(known, np.maximum(shown[:, 3] - shown[:, 1], 8.0), 100.0)
    gap = boxes[None] - shown[:, None]
    if around is not None:
        gap = gap + (slopes @ (point - mean)[..., None])[:, None, :, 0]
    deviation = np.array(
        [settings.side_deviation, settings.head_deviation, settings.side_deviation, settings.foot_deviation]
    )
    noise = np.broadcast_to(((deviation * high[:, None]) ** 2 + settings.pixel_deviation**2)[:, None], gap.shape).copy()
    free = _cut(boxes, seen.size)[None] & (
        gap * np.array([1, 1, -1, -1]) > 0
    )  # the predicted edge is beyond the picture as well
    gap[free], noise[free] = 0.0, np.broadcast_to((high**2)[:, None, None], gap.shape)[free]
    legless = noise.copy()
    legless[..., 3] = np.maximum(legless[..., 3], (0.7 * high[:, None]) ** 2)
    noises = np.stack([noise, legless, noise * settings.outlier_scale**2])
    # A box of nobody may be anywhere, and of many sizes.
    nobody = np.log(settings.clutter * 0.5 * high**2 / (seen.size[0] * seen.size[1]))
    odds = _density(slopes, cov, gap, noises, high) - nobody[:, None]
    odds[:, ~known] = -1e6
    depth = seen.camera.project(np.concatenate([people[:, :2], people[:, 2:3] / 2], 1))[1]
    inside = np.where(known, np.clip((share_inside(shown, seen.size) - 0.2) / 0.3, 0, 1), 0.0)
    hidden = hidden_by(shown, depth) if len(shown) > 1 else np.zeros((len(shown), len(shown), 2))
    return Explained(slopes, gap, noises, odds, inside, hidden)


def _cut(boxes: Float64Array, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which edges ``[M, 4]`` lie on the border of the picture."""
    x, y = 0.01 * size[0], 0.01 * size[1]
    return np.stack([boxes[:, 0] < x, boxes[:, 1] < y, boxes[:, 2] > size[0] - x, boxes[:, 3] > size[1] - y], 1)


def _density(
    slopes: Float64Array, cov: Float64Array, gap: Float64Array, noise: Float64Array, high: Float64Array
) -> Float64Array:
    """Logarithm of the Gaussian density of the gaps, in box heights, with each of W noises ``[W, N, M, 4]``: ``[W, N,
    M]``.

    The Cholesky factor of each 4 x 4 matrix is written out: LAPACK takes them one by one.
    """
    share = np.einsum("nij,njk,nlk->iln", slopes, cov, slopes)[..., None] / (high**2)[:, None]  # [4, 4, N, 1]
    own = (noise / (high**2)[:, None, None]).transpose(3, 0, 1, 2)  # [4, W, N, M]
    left = (gap / high[:, None, None]).transpose(2, 0, 1)
    root: list[list[Float64Array]] = []
    z: list[Float64Array] = []
    total = np.full(noise.shape[:3], -2 * np.log(2 * np.pi))
    for i in range(4):
        row: list[Float64Array] = []
        for j in range(i):
            row.append((share[i, j] - sum(row[k] * root[j][k] for k in range(j))) / root[j][j])
        row.append(np.sqrt(share[i, i] + own[i] - sum(value**2 for value in row)))
        z.append((left[i] - sum(row[k] * z[k] for k in range(i))) / row[i])
        total -= 0.5 * z[i] ** 2 + np.log(row[i])
        root.append(row)
    return total
