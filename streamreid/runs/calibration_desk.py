"""Calibrates cameras of a run by clicks, and shows at once where people whom other cameras see would stand."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from streamreid.config import CameraConfig
from streamreid.errors import CameraNotFound, ConfigError
from streamreid.ground.calibration_files import load_calibration
from streamreid.ground.camera_model import GroundCamera
from streamreid.ground.clicked_calibration import MOST_POINTS, calibrate_by_clicks, seen_by_other
from streamreid.ground.ground_plan import GroundPlan
from streamreid.pipeline.run import Run
from streamreid.sinks import FinalIdentities
from streamreid.sinks.base import SinkContext
from streamreid.types import Float64Array, FrameResult, IdentityEvent

__all__ = ["CalibrationDesk", "GroundBoard", "points_of"]

_FRESH_SECONDS = 5.0
"""A person is drawn where another camera saw them within so many seconds of capture time."""

_BODY = 1.7
"""Metres that a person is drawn high."""

Point = tuple[tuple[float, float], str, tuple[float, float]]
"""A click in the picture (fractions of it), what else is known (ground, other or plan), and that."""


class GroundBoard(SinkContext):
    """A sink that remembers where each camera's people stood in its newest frame, if it is calibrated."""

    output = "ground board"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, list[int], Float64Array]] = {}

    def write(self, result: FrameResult) -> None:
        """Take a frame."""
        if result.world is None:
            return
        world = result.world.astype(np.float64)
        known = np.isfinite(world).all(1)
        ids = result.global_ids[known].tolist()
        with self._lock:
            self._seen[result.frame.camera] = float(result.frame.time), ids, world[known]

    def event(self, event: IdentityEvent) -> None:
        """Nothing is kept of events."""

    def close(self, identities: FinalIdentities) -> None:
        """Nothing is written."""

    def abort(self) -> None:
        """Nothing is written."""

    def others(self, camera: str) -> list[tuple[str, int, tuple[float, float]]]:
        """Camera, global id and metres of people whom other cameras saw a moment ago."""
        with self._lock:
            newest = max((time for time, _, _ in self._seen.values()), default=0.0)
            return [
                (name, who, (float(x), float(y)))
                for name, (time, ids, world) in self._seen.items()
                if name != camera and newest - time <= _FRESH_SECONDS
                for who, (x, y) in zip(ids, world.tolist(), strict=True)
            ]


def points_of(items: Any) -> list[Point]:
    """Clicks as they come by HTTP: ``{"pixel": [x, y], "ground": [x, y]}``, or ``"other"`` (a pixel in another camera's
    picture) or ``"plan"`` (a pixel of the plan) instead of ``"ground"``. Pixels of cameras are fractions of pictures.

    Raises:
        ConfigError: One is something else.
    """
    found: list[Point] = []
    try:
        for item in list(items)[: MOST_POINTS + 1]:
            (kind,) = set(item) - {"pixel"}
            (x, y), (a, b) = item["pixel"], item[kind]
            if kind not in ("ground", "other", "plan"):
                raise KeyError(kind)
            found.append(((float(x), float(y)), kind, (float(a), float(b))))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ConfigError(
            "a point is {'pixel': [x, y], 'ground': [x, y]}, with 'other' or 'plan' for 'ground' where the place was "
            "clicked in another camera or on the plan"
        ) from None
    return found


class CalibrationDesk:
    """Calibrations of a run's cameras.

    Args:
        run: The run.
        plan: Of the ground.
        board: Knows where people stand.
    """

    def __init__(self, run: Run, plan: GroundPlan, board: GroundBoard) -> None:
        self._run, self._plan, self._board = run, plan, board

    def calibrate(self, camera: str, points: Sequence[Point], *, other: str | None = None) -> dict[str, Any]:
        """Work out the model of a camera.

        Args:
            camera: Its name.
            points: See `points_of`.
            other: The calibrated camera in which places were clicked as well.

        Returns:
            As :meth:`streamreid.ground.clicked_calibration.ClickedCalibration.to_dict`, with ``size``, and ``people``
            of other cameras as they would stand in the picture: lines from feet to head in fractions of it.

        Raises:
            CameraNotFound: There is none of that name.
            ConfigError: Nothing can be worked out; the message says why.
        """
        size = self._size(self._config(camera))
        pixels = np.array([pixel for pixel, _, _ in points], np.float64).reshape(-1, 2) * size
        ground, doubts = self._ground(points, other)
        found = calibrate_by_clicks(camera, np.concatenate([pixels, ground], 1), size=size)
        people = [] if found.camera is None else self._people(camera, found.camera, size)
        values = found.to_dict()
        return {**values, "size": list(size), "problems": [*values["problems"], *doubts], "people": people}

    def _ground(self, points: Sequence[Point], other: str | None) -> tuple[Float64Array, list[str]]:
        """``[N, 2]`` metres, and what is doubtful."""
        ground = np.array([place for _, _, place in points], np.float64).reshape(-1, 2)
        kinds = np.array([kind for _, kind, _ in points])
        if (kinds == "plan").any():
            if self._plan.scale is None:
                raise ConfigError("the plan has no scale yet; click two places on it and give their distance")
            ground[kinds == "plan"] = self._plan.scale.to_ground(ground[kinds == "plan"])
        if not (kinds == "other").any():
            return ground, []
        if other is None:
            raise ConfigError("say in which other camera the places were clicked: 'other'")
        config = self._config(other)
        if config.calibration is None:
            raise ConfigError(
                f"camera '{other}' is not calibrated, so it says nothing of the ground; calibrate one of the two by "
                "places with coordinates, or by a plan"
            )
        size = self._size(config)
        model = load_calibration(other, config.calibration).scaled(size)
        ground[kinds == "other"], doubts = seen_by_other(model, ground[kinds == "other"] * size)
        return ground, doubts

    def _people(self, camera: str, model: GroundCamera, size: tuple[int, int]) -> list[dict[str, Any]]:
        people = []
        for name, who, (x, y) in self._board.others(camera):
            pixels, depth = model.project(np.array([[x, y, 0.0], [x, y, _BODY]]))
            if (depth > 0).all() and np.isfinite(pixels).all():
                feet, head = (pixels / size).round(4).tolist()
                people.append({"camera": name, "global_id": who or None, "feet": feet, "head": head})
        return people

    def _config(self, camera: str) -> CameraConfig:
        configs = {config.name: config for config in self._run.camera_configs}
        if camera not in configs:
            raise CameraNotFound(camera, list(configs)[:20])
        return configs[camera]

    def _size(self, config: CameraConfig) -> tuple[int, int]:
        size = self._run.statistics.of(config.name).size
        if size is None:
            raise ConfigError(f"camera '{config.name}' has shown nothing yet; wait for its first picture")
        return size
