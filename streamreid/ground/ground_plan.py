"""A plan of the ground: a picture, and how its pixels and metres belong together."""

from __future__ import annotations

import io
import json
import math
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from streamreid.errors import ConfigError, OutputError
from streamreid.files import atomic_write, write_json
from streamreid.types import Float64Array

__all__ = ["MOST_BYTES", "MOST_PIXELS", "PLAN", "GroundPlan", "PlanScale", "checked_plan"]

PLAN = "plan.png"
"""Name of the picture in the folder of the results; the scale is beside it in ``plan.json``."""

MOST_BYTES = 8 << 20
"""Of a file that is sent; a scanned A3 page has some MB."""

MOST_PIXELS = 25_000_000
"""Of a plan, in memory 75 MB; A3 at 300 dpi has 17 million. The header says how many there are, before anything is
unpacked."""

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_LONGEST = 1e6


def checked_plan(data: bytes, *, most_bytes: int = MOST_BYTES, most_pixels: int = MOST_PIXELS) -> bytes:
    """A picture that was sent, as PNG without anything but its pixels.

    Args:
        data: A file: PNG, JPEG, WebP, GIF (its first picture) or BMP.
        most_bytes: Of the file.
        most_pixels: Of the picture.

    Raises:
        ConfigError: It is none of these, or too large. What is too large is not unpacked.
    """
    if len(data) > most_bytes:
        raise ConfigError(
            f"the plan has {len(data) / (1 << 20):.1f} MiB; at most {most_bytes / (1 << 20):.1f} MiB are taken"
        )
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            width, height = picture.size
            if width * height > most_pixels:
                raise ConfigError(
                    f"the plan has {width}x{height} pixels; at most {most_pixels / 1e6:g} million are taken: make it "
                    "smaller"
                )
            picture.draft("RGB", picture.size)
            result = io.BytesIO()
            picture.convert("RGB").save(result, "PNG")
    except Image.DecompressionBombError:
        raise ConfigError("the plan has far too many pixels; make it smaller") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, MemoryError):
        raise ConfigError("the plan is no picture, or damaged; send PNG, JPEG, WebP, GIF or BMP") from None
    return result.getvalue()


@dataclass(frozen=True, slots=True)
class PlanScale:
    """Where the plan's pixels lie on the ground: x to the right, y upwards on the plan.

    Args:
        metres_per_pixel: Greater than 0.
        origin: Pixel across and down that is (0, 0) on the ground.
    """

    metres_per_pixel: float
    origin: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        values = (self.metres_per_pixel, *self.origin)
        if not all(math.isfinite(v) and abs(v) < _LONGEST for v in values) or self.metres_per_pixel < 1e-6:
            raise ConfigError("the scale of the plan is a positive number of metres per pixel, its origin a pixel")

    @classmethod
    def of_distance(
        cls, one: tuple[float, float], other: tuple[float, float], metres: float, origin: tuple[float, float]
    ) -> PlanScale:
        """From two pixels whose distance on the ground is known.

        Raises:
            ConfigError: They are one, or the distance is none.
        """
        apart = math.dist(one, other)
        if not (apart >= 1 and metres > 0 and math.isfinite(metres)):
            raise ConfigError("click two places on the plan that are apart, and give their distance in metres")
        return cls(metres / apart, origin)

    def to_ground(self, pixels: Float64Array) -> Float64Array:
        """Pixels ``[N, 2]`` of the plan in metres ``[N, 2]``."""
        return (np.asarray(pixels, np.float64) - self.origin) * (self.metres_per_pixel, -self.metres_per_pixel)

    def to_plan(self, ground: Float64Array) -> Float64Array:
        """Metres ``[N, 2]`` in pixels ``[N, 2]`` of the plan."""
        scale = self.metres_per_pixel, -self.metres_per_pixel
        return np.asarray(ground, np.float64) / scale + self.origin


class GroundPlan:
    """The plan of a run; methods may be called from any thread.

    Args:
        folder: Of the results, where it is kept; None keeps it in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._path = None if folder is None else folder / PLAN
        self._lock = threading.Lock()
        self._data: bytes | None = None
        self._scale: PlanScale | None = None
        if self._path is not None:
            self._read(self._path)

    def _read(self, path: Path) -> None:
        try:
            self._data = path.read_bytes()
            said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            x, y = said["origin"]
            self._scale = PlanScale(float(said["metres_per_pixel"]), (float(x), float(y)))
        except (OSError, ValueError, KeyError, TypeError, IndexError, ConfigError):
            return  # there is none, or no scale yet

    @property
    def picture(self) -> bytes | None:
        """As PNG; None where there is none."""
        return self._data

    @property
    def scale(self) -> PlanScale | None:
        """None where there is none yet."""
        return self._scale

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the picture."""
        data = self._data
        if data is None:
            return None
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            return picture.size

    def put(self, data: bytes) -> None:
        """Take another picture; the scale is gone.

        Raises:
            ConfigError: It is none that is taken.
            OutputError: It cannot be written.
        """
        picture = checked_plan(data)
        with self._lock:
            self._scale, self._data = None, picture
            if self._path is not None:
                try:
                    self._path.with_suffix(".json").unlink(missing_ok=True)
                    with atomic_write(self._path) as part:
                        part.write_bytes(picture)
                except OSError as error:
                    raise OutputError(f"cannot write '{self._path}': {error.strerror or error}") from error

    def rescale(self, scale: PlanScale) -> None:
        """Take another scale.

        Raises:
            ConfigError: There is no plan.
            OutputError: It cannot be written.
        """
        with self._lock:
            if self._data is None:
                raise ConfigError("there is no plan yet; send a picture first")
            self._scale = scale
            if self._path is not None:
                values = {"metres_per_pixel": scale.metres_per_pixel, "origin": list(scale.origin)}
                write_json(self._path.with_suffix(".json"), values)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can say it."""
        scale = self._scale
        return {
            "size": self.size,
            "metres_per_pixel": None if scale is None else scale.metres_per_pixel,
            "origin": None if scale is None else list(scale.origin),
        }
