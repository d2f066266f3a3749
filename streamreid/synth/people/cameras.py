"""Cameras of synthetic people: where they hang, what they look at, and how each renders light and colour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.synth.people.backdrops import Backdrop, paint_backdrop
from streamreid.synth.people.rendering import Light
from streamreid.types import FloatArray, Image

__all__ = ["Camera", "make_camera"]


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A camera that hangs in one place.

    Args:
        height: Metres above the floor.
        distance: Least and greatest distance of people in metres.
        pixels: Usual height of a person in pixels.
        sun: ``[3]`` towards the strongest light.
        contrast: Strength of that light; 0 is overcast.
        ambient: Linear BGR of the light from above.
        matrix: ``[3, 3]`` colours of the sensor from linear BGR.
        exposure: Factor.
        gamma: Exponent of the tone curve.
        toe: How much light the lens scatters over the picture, in [0, 0.2].
        knee: Strength of the S-shaped tone curve.
        blur: Sigma in pixels of the picture.
        sharpening: Strength of unsharp masking.
        noise: Sigma in grey levels at medium brightness.
        quality: Of JPEG.
        sloppiness: How far boxes are off, as a share of their sides.
        margin: Share of the box's sides that is added on each side.
        backdrop: What is behind people.
    """

    height: float
    distance: tuple[float, float]
    pixels: float
    sun: tuple[float, float, float]
    contrast: float
    ambient: tuple[float, float, float]
    matrix: NDArray[np.float32]
    exposure: float
    gamma: float
    toe: float
    knee: float
    blur: float
    sharpening: float
    noise: float
    quality: int
    sloppiness: float
    margin: float
    backdrop: Backdrop

    def light(self, rng: np.random.Generator) -> Light:
        """The light at one moment: clouds pass, lamps differ from place to place."""
        turn = np.array(self.sun) + rng.normal(0, 0.12, 3)
        turn[2] = max(turn[2], 0.15)
        turn /= np.linalg.norm(turn)
        level = float(np.exp(rng.normal(0, 0.18)))
        b, g, r = (float(c) * level for c in self.ambient)
        floor = 0.35 * self.backdrop.floor_colour
        return Light(
            direction=(float(turn[0]), float(turn[1]), float(turn[2])),
            strength=self.contrast * level * float(rng.choice([1.0, rng.uniform(0.1, 0.9)])),
            ambient=(b, g, r),
            bounce=(b * float(floor[0] + 0.15), g * float(floor[1] + 0.15), r * float(floor[2] + 0.15)),
            shadows=self.contrast > 0.35,
        )

    def develop(self, light: FloatArray, size: tuple[int, int], rng: np.random.Generator) -> bytes:
        """Linear BGR ``[h, w, 3]`` as this camera's JPEG of height and width ``size``."""
        x = cv2.resize(light, size[::-1], interpolation=cv2.INTER_AREA)
        x = x @ self.matrix.T * np.float32(self.exposure)
        mean = x.mean((0, 1), keepdims=True)
        x = x * np.float32(1 - self.toe) + mean * np.float32(self.toe) + np.float32(0.01 * self.toe)
        if self.blur > 0.2:
            x = cv2.GaussianBlur(x, (0, 0), self.blur * size[0] / 160)
        if rng.random() < 0.12:
            x = _moved(x, rng)
        x = np.clip(x, 0, None) ** np.float32(self.gamma / 2.2)
        x = x / (1 + self.knee * x) * np.float32(1 + self.knee)
        x = np.clip(x, 0, 1.4) * 255
        if self.sharpening:
            x = x + self.sharpening * (x - cv2.GaussianBlur(x, (0, 0), 1.2))
        grain = rng.standard_normal((*size, 1), np.float32) + rng.standard_normal((*size, 3), np.float32) / 3
        grain *= np.float32(self.noise)
        x = np.clip(x + grain * (0.6 + 0.4 * x / 128), 0, 255)
        return bytes(cv2.imencode(".jpg", x.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1])


def _moved(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Blurred by movement during the exposure."""
    length = int(rng.integers(3, 8))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    turn = cv2.getRotationMatrix2D((length / 2 - 0.5, length / 2 - 0.5), float(rng.uniform(-25, 25)), 1.0)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return np.asarray(cv2.filter2D(image, -1, kernel / max(float(kernel.sum()), 1e-6)), np.float32)


def make_camera(seed: int, number: int) -> Camera:
    """Camera ``number``; depends on these two numbers alone."""
    rng = np.random.default_rng((seed, 1, number))
    indoors = bool(rng.random() < 0.5)
    height = float(rng.uniform(2.2, 3.6) if indoors else rng.uniform(2.4, 7.0))
    near = float(rng.uniform(2.5, 7) if indoors else rng.uniform(5, 16))
    angle = rng.uniform(0, 2 * np.pi)
    rise = rng.uniform(0.8, 3.0) if indoors else rng.uniform(0.3, 2.0)
    kelvin = rng.normal(0, 0.08)
    warm = np.exp(np.array([-kelvin, rng.normal(0, 0.03), kelvin]))
    mix = np.eye(3) * rng.uniform(0.8, 1.25)
    mix += (1 - mix.sum(1, keepdims=True)) / 3 + rng.normal(0, 0.02, (3, 3))
    balance = np.exp(rng.normal(0, 0.05, 3))
    contrast = float(rng.choice([rng.uniform(0.05, 0.3), rng.uniform(0.3, 0.8), rng.uniform(0.8, 2.2)]))
    ambient = 0.75 * warm
    return Camera(
        height=height,
        distance=(near, near * float(rng.uniform(1.5, 3.0))),
        pixels=float(np.exp(rng.uniform(np.log(70), np.log(260)))),
        sun=(float(np.cos(angle)), float(np.sin(angle)), float(rise)),
        contrast=contrast * (0.6 if indoors else 1.0),
        ambient=(float(ambient[0]), float(ambient[1]), float(ambient[2])),
        matrix=(mix * balance[:, None]).astype(np.float32),
        exposure=float(np.exp(rng.normal(0.1, 0.35)) / (1 + 0.35 * contrast)),
        gamma=float(np.exp(rng.normal(0, 0.16))),
        toe=float(rng.choice([0.0, rng.uniform(0, 0.06), rng.uniform(0.05, 0.22)])),
        knee=float(rng.uniform(0, 0.5)),
        blur=float(rng.uniform(0.0, 1.3)),
        sharpening=float(rng.choice([0.0, rng.uniform(0.2, 1.0)])),
        noise=float(rng.uniform(0.5, 6)),
        quality=int(rng.integers(45, 95)),
        sloppiness=float(rng.uniform(0.01, 0.05)),
        margin=float(rng.uniform(0.0, 0.07)),
        backdrop=paint_backdrop(rng, indoors=indoors, level=ambient),
    )


def as_image(jpeg: bytes) -> Image:
    """Decode what `Camera.develop` gave."""
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
