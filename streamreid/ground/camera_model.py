"""Calibrated cameras: from a pixel on the ground to metres and back, with the doubt that comes with it.

World coordinates are metres; x and y on the ground, z up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from streamreid.errors import ConfigError
from streamreid.types import Float64Array

__all__ = ["GroundCamera", "Lens", "OpenCvLens", "matrix_from_homography"]


@dataclass(frozen=True, slots=True)
class Lens:
    """Radial distortion as Tsai has it (IEEE J. Robotics and Automation 3(4), 1987): ideal = real * (1 + kappa * r^2),
    r in sensor units.

    Args:
        kappa: Per square sensor unit.
        scale: Sensor units per pixel, across and down.
        centre: Pixel at which there is none.
    """

    kappa: float
    scale: tuple[float, float]
    centre: tuple[float, float]

    def ideal(self, pixels: Float64Array) -> Float64Array:
        """Where pixels ``[N, 2]`` would be without distortion."""
        sensor = (pixels - self.centre) * self.scale
        return np.asarray(
            sensor * (1 + self.kappa * (sensor**2).sum(-1, keepdims=True)) / self.scale + self.centre, np.float64
        )

    def real(self, pixels: Float64Array) -> Float64Array:
        """Where ideal pixels ``[N, 2]`` are seen; far outside the picture, where the formula has no solution, nearly
        unchanged."""
        sensor = (pixels - self.centre) * self.scale
        wanted = np.linalg.norm(sensor, axis=-1, keepdims=True)
        radius = wanted.copy()
        for _ in range(8):  # Newton
            slope = 1 + 3 * self.kappa * radius**2
            radius = radius - (radius * (1 + self.kappa * radius**2) - wanted) / np.where(
                np.abs(slope) < 0.1, 0.1, slope
            )
        radius = np.clip(radius, 0.3 * wanted, 3 * wanted)
        return np.asarray(sensor * (radius / np.maximum(wanted, 1e-9)) / self.scale + self.centre, np.float64)

    def scaled(self, across: float, down: float) -> Lens:
        """The same for pictures so many times as wide and high."""
        centre = self.centre[0] * across, self.centre[1] * down
        return Lens(self.kappa, (self.scale[0] / across, self.scale[1] / down), centre)


@dataclass(frozen=True, slots=True, eq=False)
class OpenCvLens:
    """Radial and tangential distortion as OpenCV has it (docs.opencv.org, "Camera Calibration and 3D Reconstruction").

    Args:
        inner: ``[3, 3]`` camera matrix, pixels.
        coefficients: ``[4]``, ``[5]``, ``[8]``, ``[12]`` or ``[14]``: k1, k2, p1, p2, k3, ...
    """

    inner: Float64Array
    coefficients: Float64Array

    def ideal(self, pixels: Float64Array) -> Float64Array:
        """Where pixels ``[N, 2]`` would be without distortion."""
        if not len(pixels):
            return pixels
        points = np.ascontiguousarray(pixels, np.float64).reshape(-1, 1, 2)
        return np.asarray(cv2.undistortPoints(points, self.inner, self.coefficients, P=self.inner), np.float64).reshape(
            -1, 2
        )

    def real(self, pixels: Float64Array) -> Float64Array:
        """Where ideal pixels ``[..., 2]`` are seen; far outside the picture, where the polynomial turns back, nearly
        unchanged."""
        flat = np.asarray(pixels, np.float64).reshape(-1, 2)
        known = np.isfinite(flat).all(1)
        result = np.full(flat.shape, np.nan)
        centre, focal = self.inner[:2, 2], np.diag(self.inner)[:2]
        rays = np.concatenate([(flat[known] - centre) / focal, np.ones((int(known.sum()), 1))], 1)
        if len(rays):
            zero = np.zeros(3)
            bent = np.asarray(
                cv2.projectPoints(rays, zero, zero, self.inner, self.coefficients)[0], np.float64
            ).reshape(-1, 2)
            wanted = np.linalg.norm(flat[known] - centre, axis=1, keepdims=True)
            found = np.linalg.norm(bent - centre, axis=1, keepdims=True)
            odd = (found < 0.3 * wanted) | (found > 3 * wanted)
            result[known] = np.where(odd, flat[known], bent)
        return result.reshape(pixels.shape)

    def scaled(self, across: float, down: float) -> OpenCvLens:
        """The same for pictures so many times as wide and high."""
        return OpenCvLens(np.diag([across, down, 1.0]) @ self.inner, self.coefficients)


@dataclass(frozen=True, slots=True, eq=False)
class GroundCamera:
    """One calibrated camera.

    Args:
        name: Of the camera.
        matrix: ``[3, 4]`` from world to ideal pixels; scaled so that the third row gives the depth in metres, positive
            in front.
        lens: Distortion, or None.
        size: Width and height the calibration was made for, or None.
        homography: ``[3, 3]`` from the ground to pixels, if nothing else was given: ``matrix`` is then worked out for
            each size of picture.
    """

    name: str
    matrix: Float64Array
    lens: Lens | OpenCvLens | None = None
    size: tuple[int, int] | None = None
    homography: Float64Array | None = None

    @classmethod
    def from_homography(cls, name: str, homography: Float64Array, *, where: str = "") -> GroundCamera:
        """A camera of which only the ground is known.

        Args:
            name: Of the camera.
            homography: ``[3, 3]`` from the ground (metres) to pixels.
            where: For messages.

        Raises:
            ConfigError: Degenerate.
        """
        where = where or f"camera '{name}': calibration"
        matrix = matrix_from_homography(homography, (1280, 720), where=where)
        return replace(cls.from_matrix(name, matrix, where=where), homography=np.asarray(homography, np.float64))

    @classmethod
    def from_matrix(
        cls,
        name: str,
        matrix: Float64Array,
        *,
        size: tuple[int, int] | None = None,
        lens: Lens | OpenCvLens | None = None,
        where: str = "",
    ) -> GroundCamera:
        """Check and scale a projection matrix.

        Raises:
            ConfigError: It is not ``[3, 4]``, not finite or degenerate, or the camera hangs below the ground.
        """
        where = where or f"camera '{name}': calibration"
        m = np.asarray(matrix, np.float64)
        if m.shape != (3, 4) or not np.isfinite(m).all():
            raise ConfigError(f"{where}: expected a 3x4 matrix of finite numbers, got {'x'.join(map(str, m.shape))}")
        scale = float(np.linalg.norm(m[2, :3]))
        if scale < 1e-12 or np.linalg.cond(m[:, :3]) > 1e12 or np.linalg.cond(m[:, [0, 1, 3]]) > 1e14:
            raise ConfigError(
                f"{where}: the matrix is degenerate, so nothing on the ground can be told apart; check its rows"
            )
        position = -np.linalg.solve(m[:, :3], m[:, 3])
        if position[2] <= 0:
            raise ConfigError(
                f"{where}: the camera would hang {-position[2]:.2f} below the ground (z = 0); z must point up and the "
                "ground be z = 0"
            )
        m = m / scale
        # A matrix may come with either sign and a left-handed ground; but cameras look down on the ground, only level
        # ones need the hand.
        behind = m[2, 2] > 0 if abs(m[2, 2]) > 0.05 else np.linalg.det(m[:, :3]) < 0
        m = -m if behind else m
        return cls(name, m, lens, size)

    @property
    def position(self) -> Float64Array:
        """``[3]`` where the camera hangs, metres."""
        return np.asarray(-np.linalg.solve(self.matrix[:, :3], self.matrix[:, 3]), np.float64)

    def project(self, points: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Pixels ``[..., 2]`` and depths ``[...]`` in metres of world points ``[..., 3]``; pixels are NaN where the
        depth is not positive."""
        seen = points @ self.matrix[:, :3].T + self.matrix[:, 3]
        depth = seen[..., 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = np.where(depth[..., None] > 0.05, seen[..., :2] / depth[..., None], np.nan)
        if self.lens is not None:
            pixels = self.lens.real(pixels)
        return pixels, depth

    def to_plane(self, pixels: Float64Array, height: float = 0.0) -> Float64Array:
        """World points ``[N, 2]`` at ``height`` metres above the ground that are seen at pixels ``[N, 2]``; NaN above
        the horizon."""
        if self.lens is not None:
            pixels = self.lens.ideal(pixels)
        m = self.matrix
        plane = np.stack([m[:, 0], m[:, 1], m[:, 2] * height + m[:, 3]], 1)
        hit = np.concatenate([pixels, np.ones((len(pixels), 1))], 1) @ np.linalg.inv(plane).T
        with np.errstate(divide="ignore", invalid="ignore"):
            points = hit[:, :2] / hit[:, 2:]
        depth = points @ m[2, :2] + m[2, 2] * height + m[2, 3]
        return np.where((depth > 0.05)[:, None], points, np.nan)

    def to_ground(self, pixels: Float64Array, sigma: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Where pixels lie on the ground, and how sure that is.

        Args:
            pixels: ``[N, 2]``.
            sigma: ``[N, 2]`` standard deviation in pixels, across and down.

        Returns:
            Points ``[N, 2]`` in metres (NaN above the horizon) and covariances ``[N, 2, 2]``: J diag(sigma^2) J^T, J
            the derivative.
        """
        points = self.to_plane(pixels)
        across = self.to_plane(pixels + np.array([0.5, 0.0])) - self.to_plane(pixels - np.array([0.5, 0.0]))
        down = self.to_plane(pixels + np.array([0.0, 0.5])) - self.to_plane(pixels - np.array([0.0, 0.5]))
        jacobian = np.stack([across * sigma[:, :1], down * sigma[:, 1:]], 2)
        return points, jacobian @ jacobian.transpose(0, 2, 1)

    def scaled(self, size: tuple[int, int]) -> GroundCamera:
        """The same camera with pictures of another size.

        Raises:
            ConfigError: Their shape is not that of the calibration.
        """
        if self.homography is not None and self.size is None:
            matrix = matrix_from_homography(self.homography, size, where=f"camera '{self.name}': calibration")
            return GroundCamera.from_matrix(self.name, matrix, size=size)
        if self.size is None or self.size == size:
            return self if self.size == size else replace(self, size=size)
        across, down = size[0] / self.size[0], size[1] / self.size[1]
        if abs(across / down - 1) > 0.02:
            raise ConfigError(
                f"camera '{self.name}': calibrated for pictures of {self.size[0]}x{self.size[1]}, but they are "
                f"{size[0]}x{size[1]}, which is another shape: the calibration is of another camera or setting"
            )
        lens = None if self.lens is None else self.lens.scaled(across, down)
        return GroundCamera(self.name, np.diag([across, down, 1.0]) @ self.matrix, lens, size)


def matrix_from_homography(homography: Float64Array, size: tuple[int, int], *, where: str) -> Float64Array:
    """A projection matrix from the homography of the ground, for square pixels and the optical axis in the middle of
    the picture.

    H = K [r1 r2 t]; r1 and r2 orthogonal and of equal length give the focal length (Zhang, PAMI 22(11), 2000), r3 = r1
    x r2.

    Args:
        homography: ``[3, 3]`` from the ground (metres) to pixels.
        size: Width and height of the pictures.
        where: For messages.

    Raises:
        ConfigError: Degenerate.
    """
    h = np.asarray(homography, np.float64)
    if h.shape != (3, 3) or not np.isfinite(h).all() or abs(np.linalg.det(h / np.abs(h).max())) < 1e-14:
        raise ConfigError(
            f"{where}: the homography is degenerate, so nothing on the ground can be told apart; check its points or "
            "rows"
        )
    shift = np.array([[1, 0, -size[0] / 2], [0, 1, -size[1] / 2], [0, 0, 1]])
    a = shift @ h
    votes = []
    for top, bottom in (
        (a[0, 0] * a[0, 1] + a[1, 0] * a[1, 1], a[2, 0] * a[2, 1]),
        (a[0, 0] ** 2 + a[1, 0] ** 2 - a[0, 1] ** 2 - a[1, 1] ** 2, a[2, 0] ** 2 - a[2, 1] ** 2),
    ):
        if abs(bottom) > 1e-12 and -top / bottom > 0:
            votes.append((abs(bottom), -top / bottom))
    wide = max(size)
    focal = np.sqrt(max(votes)[1]) if votes else 1.0 * wide  # straight from above nothing can be told: a usual lens
    focal = float(np.clip(focal, 0.4 * wide, 6.0 * wide))
    inner = np.diag([focal, focal, 1.0])
    columns = np.linalg.solve(inner, a)
    columns /= (np.linalg.norm(columns[:, 0]) + np.linalg.norm(columns[:, 1])) / 2
    foot = np.linalg.solve(h, [size[0] / 2, size[1], 1.0])
    if columns[2] @ (foot / foot[2]) < 0:
        columns = -columns
    up = np.cross(columns[:, 0], columns[:, 1])
    position = -np.linalg.solve(np.stack([columns[:, 0], columns[:, 1], up], 1), columns[:, 2])
    if position[2] < 0:  # a left-handed ground: z still points up
        up = -up
    unshift = np.array([[1, 0, size[0] / 2], [0, 1, size[1] / 2], [0, 0, 1]])
    return np.asarray(unshift @ inner @ np.stack([columns[:, 0], columns[:, 1], up, columns[:, 2]], 1), np.float64)
