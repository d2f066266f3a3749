"""Calibrated cameras in a run: from the configuration to places, and from places to ``world.txt``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from streamreid.cameras.capture_times import check_mixed
from streamreid.config import CameraConfig, Config
from streamreid.errors import OutputError

if TYPE_CHECKING:
    from streamreid.ground.camera_model import GroundCamera
    from streamreid.ground.ground_evidence import WorldRow

__all__ = ["WORLD", "check_calibration", "check_start", "load_calibrations", "write_world"]

WORLD = "world.txt"


def load_calibrations(config: Config) -> dict[str, GroundCamera]:
    """The calibrated cameras by name; none where the ground plane is switched off.

    Raises:
        ConfigError: A calibration is missing, malformed or contradicts itself.
    """
    if all(c.calibration is None for c in config.cameras):
        return {}
    from streamreid.ground.calibration_files import load_calibration  # most sites have no calibrated camera

    cameras = {c.name: load_calibration(c.name, c.calibration) for c in config.cameras if c.calibration is not None}
    return cameras if config.ground.enabled else {}


def check_calibration(camera: CameraConfig) -> None:
    """Read a camera's calibration, if it has one, as the start of a run does.

    Raises:
        ConfigError: It is missing, malformed or contradicts itself.
    """
    if camera.calibration is not None:
        from streamreid.ground.calibration_files import load_calibration

        load_calibration(camera.name, camera.calibration)


def check_start(camera: CameraConfig, others: Sequence[CameraConfig], *, window: float, serving: bool = False) -> None:
    """Whether a run could begin with a camera beside others, as far as is known without opening it.

    Args:
        camera: The camera.
        others: Those beside it.
        window: Seconds over which tracks are compared (``association.window``).
        serving: Whether live cameras may come later.

    Raises:
        ConfigError: It has no common time with them, or its calibration cannot be used.
    """
    check_mixed([*others, camera], window=window, serving=serving)
    check_calibration(camera)


def write_world(path: Path, rows: list[WorldRow], start: float, step: float) -> None:
    """Write ways on the ground as MOT text with world coordinates: ``frame,id,-1,-1,-1,-1,1,x,y,0``.

    Frame n is the time ``start`` + (n - 1) * ``step``. Moments between two corrections of one person are interpolated.

    Args:
        path: The file.
        rows: Ordered by time and id.
        start: Time of the first frame.
        step: Seconds between frames.

    Raises:
        OutputError: It cannot be written.
    """
    last: dict[int, dict[int, tuple[float, float]]] = {}
    for time, who, x, y in rows:
        last.setdefault(who, {})[round((time - start) / step) + 1] = (x, y)
    lines: list[tuple[int, int, float, float]] = []
    for who, points in last.items():
        known = sorted(points)
        wanted = [f for a, b in pairwise(known) for f in range(a, b if (b - a) * step <= 2.0 else a + 1)] + known[-1:]
        ways = [np.interp(wanted, known, [points[f][axis] for f in known]).tolist() for axis in (0, 1)]
        lines += [(f, who, x, y) for f, x, y in zip(wanted, *ways, strict=True)]
    try:
        text = "".join(f"{f},{who},-1,-1,-1,-1,1,{x:.3f},{y:.3f},0\n" for f, who, x, y in sorted(lines))
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"cannot write '{path}': {error.strerror or error}. Free space or choose another folder (--out)."
        ) from error
