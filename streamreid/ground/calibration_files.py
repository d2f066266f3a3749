"""From a camera's calibration settings to a camera over the ground: read, judged, and refused with what would make it
right."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np

from streamreid.config.calibration import CalibrationConfig
from streamreid.errors import ConfigError
from streamreid.ground.calibration_formats import Parts, calibration_text, read_parts
from streamreid.ground.calibration_plausibility import View, view_of
from streamreid.ground.camera_model import GroundCamera, OpenCvLens
from streamreid.ground.homography import fit_homography, inverse, through
from streamreid.ground.tsai_calibration import read_tsai
from streamreid.types import Float64Array

__all__ = ["file_and_key", "load_calibration"]

log = logging.getLogger(__name__)

_FAR = 0.5  # metres: points that disagree by more contradict each other
_UNITS = ((1.0, "metres"), (0.01, "centimetres"), (0.001, "millimetres"))
_MUCH = 1.5
"""Difference of two readings' oddness from which the less odd one is named: a factor of 4.5."""

_SIZES = ((640, 480), (768, 576), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160))
"""Pictures that a homography may be for; it does not say."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """One way to read a calibration.

    Args:
        make: Builds the camera for metres per unit.
        maps: What ``calibration.maps`` calls it, or "" where there is one way.
        unit: Metres per unit that the format has by default.
        size: Of the pictures, if it is known.
    """

    make: Callable[[float], GroundCamera]
    maps: str
    unit: float = 1.0
    size: tuple[int, int] | None = None


def load_calibration(name: str, config: CalibrationConfig) -> GroundCamera:
    """Read and check the calibration of a camera.

    Args:
        name: Of the camera.
        config: Where it is.

    Raises:
        ConfigError: Missing, malformed, degenerate, contradicting itself, or right only in another unit or direction
            (which is named).
    """
    where = f"camera '{name}': calibration"
    if config.file is not None:
        where = f"{where} '{config.file}'"
    try:
        return _choose(list(_readings(name, config, where)), config, where)
    except (
        cv2.error,
        np.linalg.LinAlgError,
        BadZipFile,
        EOFError,
        ArithmeticError,
        RecursionError,
        MemoryError,
    ) as error:
        raise ConfigError(f"{where}: cannot be used ({type(error).__name__}); check its numbers") from None


def _readings(name: str, config: CalibrationConfig, where: str) -> Iterator[_Reading]:
    """All ways to read it; the one that counts without further reasons first."""
    if config.points is not None:
        parts = Parts({"points": np.array(config.points)}, None, where)
    elif config.matrix is not None:
        parts = Parts({"numbers": np.array(config.matrix, np.float64)}, None, where)
    else:
        path, key = file_and_key(str(config.file))
        if path.suffix.lower() == ".xml" and (text := _tsai_text(path, where)) is not None:
            yield _Reading(lambda unit: read_tsai(name, text, unit, where), "", 0.001)
            return
        parts = read_parts(
            path, key, where, second=None if config.intrinsics is None else Path(config.intrinsics), camera=name
        )
    yield from _from_parts(name, parts, where)


def file_and_key(text: str) -> tuple[Path, str]:
    """The file, and which of the matrices in it: ``FILE.npz:NAME`` and ``FILE.txt:TITLE``."""
    for suffix in (".npz", ".txt"):
        stem, colon, key = text.partition(f"{suffix}:")
        if colon and not Path(text).exists():
            return Path(stem + suffix), key
    return Path(text), ""


def _from_parts(name: str, parts: Parts, where: str) -> Iterator[_Reading]:
    pixels, ground = parts.get("pixels"), parts.get("ground")
    points = parts.get("points")
    if points is None and pixels is not None and ground is not None:
        if (
            pixels.ndim != 2
            or ground.ndim != 2
            or len(pixels) != len(ground)
            or len(pixels) < 4
            or pixels.shape[1] < 2
            or ground.shape[1] < 2
        ):
            raise ConfigError(
                f"{where}: expected at least four points, the same number in the picture and on the ground"
            )
        points = np.concatenate([pixels[:, :2], ground[:, :2]], 1)
    if points is not None:
        yield _Reading(lambda unit: GroundCamera.from_homography(name, _fit(points, unit, where), where=where), "")
        return
    inner, rotation, shift = parts.get("inner"), parts.get("rotation"), parts.get("shift")
    if inner is not None and rotation is not None and shift is not None:
        yield from _from_pose(name, parts, where)
        return
    numbers = next((a for n in ("matrix", "homography", "numbers") if (a := parts.get(n)) is not None), None)
    if numbers is None:
        raise ConfigError(
            f"{where}: expected camera_matrix, rvec and tvec, a projection matrix, a homography, or points"
        )
    yield from _from_numbers(name, _shaped(numbers, where), where)


def _shaped(numbers: Float64Array, where: str) -> Float64Array:
    """3x3 or 3x4, from any way to write one."""
    numbers = np.squeeze(numbers)
    if numbers.shape in ((12,), (9,)):
        numbers = numbers.reshape(3, -1)
    if numbers.shape == (4, 4) and np.allclose(numbers[3, :3], 0) and numbers[3, 3] != 0:
        numbers = numbers[:3] / numbers[3, 3]
    if numbers.shape not in ((3, 3), (3, 4)) or not np.isfinite(numbers).all():
        shape = "x".join(map(str, numbers.shape)) or "one number"
        hint = "; a 4x3 matrix is written by its columns: transpose it" if numbers.shape == (4, 3) else ""
        raise ConfigError(f"{where}: expected a 3x3 or 3x4 matrix of finite numbers, got {shape}{hint}")
    if numbers.shape == (3, 4) and np.allclose(numbers[:, :3] @ numbers[:, :3].T, np.eye(3), atol=1e-3):
        raise ConfigError(
            f"{where}: a pose alone (rotation and translation); multiply it by the camera matrix, K [R | t], or give "
            "both in OpenCV's format: camera_matrix, rvec, tvec"
        )
    return numbers


def _from_pose(name: str, parts: Parts, where: str) -> Iterator[_Reading]:
    """Camera matrix, rotation and translation: from the world to the camera as OpenCV has it, or the camera's place in
    the world."""
    inner, turn, shift = (np.squeeze(np.asarray(parts.values[n])) for n in ("inner", "rotation", "shift"))
    shift = shift.reshape(-1)
    if (
        inner.shape != (3, 3)
        or shift.shape != (3,)
        or turn.shape not in ((3,), (3, 3))
        or not all(np.isfinite(a).all() for a in (inner, turn, shift))
    ):
        raise ConfigError(
            f"{where}: expected a 3x3 camera matrix, a rotation (3 numbers or 3x3) and a translation (3 numbers)"
        )
    rotation = np.asarray(cv2.Rodrigues(turn)[0] if turn.shape == (3,) else turn, np.float64)
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-2):
        raise ConfigError(
            f"{where}: the rotation is none: its rows are not at right angles; check the order of its numbers"
        )
    distortion = parts.get("distortion")
    lens = None
    if distortion is not None and np.abs(distortion).max(initial=0) > 0:
        if distortion.size not in (4, 5, 8, 12, 14):
            raise ConfigError(
                f"{where}: {distortion.size} distortion coefficients; OpenCV's lens model has 4, 5, 8, 12 or 14"
            )
        lens = OpenCvLens(inner, distortion.reshape(-1))
    size = parts.size or _size_of(inner)
    poses = (("world-to-camera", rotation, shift), ("camera-to-world", rotation.T, -rotation.T @ shift))
    for maps, r, t in poses:

        def make(unit: float, r: Float64Array = r, t: Float64Array = t) -> GroundCamera:
            matrix = inner @ np.concatenate([r, unit * t[:, None]], 1)
            # Boards on the floor often have z pointing down; the ground is the same.
            upside = float((-r.T @ t)[2]) < 0
            return GroundCamera.from_matrix(
                name, matrix @ np.diag([1, 1, -1, 1]) if upside else matrix, size=parts.size, lens=lens, where=where
            )

        yield _Reading(make, maps, size=size)


def _from_numbers(name: str, numbers: Float64Array, where: str) -> Iterator[_Reading]:
    if numbers.shape == (3, 3):
        if abs(np.linalg.det(numbers / max(np.abs(numbers).max(), 1e-12))) < 1e-14:
            raise ConfigError(
                f"{where}: the homography is degenerate, so nothing on the ground can be told apart; check its rows"
            )
        inverse = np.asarray(np.linalg.inv(numbers), np.float64)
        for maps, onto in (("pixels-to-ground", inverse), ("ground-to-pixels", numbers)):
            yield _Reading(
                lambda unit, onto=onto: GroundCamera.from_homography(
                    name, onto @ np.diag([1 / unit, 1 / unit, 1.0]), where=where
                ),  # type: ignore[misc]
                maps,
            )
        return
    yield _Reading(
        lambda unit: GroundCamera.from_matrix(
            name, numbers @ np.diag([1 / unit, 1 / unit, 1 / unit, 1.0]), where=where
        ),
        "world-to-camera",
        size=_size_of(_inner_of(numbers)),
    )
    inner, turned = _turned(numbers)
    if turned is not None:
        yield _Reading(
            lambda unit: GroundCamera.from_matrix(name, turned @ np.diag([1, 1, 1, unit]), where=where),
            "camera-to-world",
            size=_size_of(inner),
        )


def _inner_of(matrix: Float64Array) -> Float64Array:
    try:
        inner = cv2.decomposeProjectionMatrix(matrix)[0]
        return np.asarray(inner / inner[2, 2], np.float64)
    except cv2.error:
        return np.zeros((3, 3))


def _turned(matrix: Float64Array) -> tuple[Float64Array, Float64Array | None]:
    """K [R' | -R' t] of a matrix K [R | t]: what it is if it has the pose from the camera to the world."""
    inner = _inner_of(matrix)
    if not np.isfinite(inner).all() or abs(np.linalg.det(inner)) < 1e-9:
        return inner, None
    pose = np.linalg.solve(inner, matrix)
    scale = np.cbrt(np.linalg.det(pose[:, :3]))
    if not np.isfinite(scale) or abs(scale) < 1e-12:
        return inner, None
    pose = pose / scale
    return inner, np.asarray(inner @ np.concatenate([pose[:, :3].T, -pose[:, :3].T @ pose[:, 3:]], 1), np.float64)


def _size_of(inner: Float64Array) -> tuple[int, int] | None:
    """Of the pictures, by the principal point, which is near their middle."""
    width, height = round(2 * float(inner[0, 2])), round(2 * float(inner[1, 2]))
    return (width, height) if 160 <= width <= 20_000 and 120 <= height <= 20_000 else None


def _choose(readings: list[_Reading], config: CalibrationConfig, where: str) -> GroundCamera:
    """The reading that settings and plausibility ask for."""
    if config.maps == "pixels-to-ground" and all(r.maps != config.maps for r in readings):
        # The default of version 0.1.0, which wrote it into caches beside every kind of matrix.
        config = config.model_copy(update={"maps": None})
    known = [r for r in readings if config.maps in (None, r.maps) or not r.maps]
    if not known:
        raise ConfigError(
            f"{where}: maps: {config.maps} is for another kind of matrix; here it is one of "
            f"{', '.join(r.maps for r in readings)}"
        )
    first = known[0]
    unit = config.unit or first.unit
    camera, fault = _attempt(first, unit)
    view = None if camera is None else _best_view(camera, first)
    if camera is not None and view is not None and view.plausible:
        back = next((r for r in known[1:] if first.maps == "pixels-to-ground" and config.unit is None), None)
        tried = None if back is None else _attempt(back, unit)[0]
        seen = None if tried is None or back is None else _best_view(tried, back)
        if seen is not None and seen.plausible and seen.oddness < view.oddness - _MUCH:
            log.warning(
                "%s: taken from pixels to the ground: %s. From the ground to pixels it would be: %s. Say which: "
                "calibration.maps",
                where,
                view,
                seen,
            )
        return camera
    others = _alternatives(known, config, (first, unit))
    if others:
        # Which way a 3x3 matrix leads is nowhere written: the one that makes sense is meant.
        best = others[0]
        if best.unit == unit and {best.reading.maps, first.maps} == {"pixels-to-ground", "ground-to-pixels"}:
            log.info("%s: taken as leading from the ground to pixels: %s", where, best.view)
            return best.camera
    said = config.unit is not None and (config.maps is not None or not first.maps)
    if others and not said:
        reading, other, seen = others[0].reading, others[0].unit, others[0].view
        word = dict(_UNITS).get(other, "")
        keys = ([f"unit: {other:g}"] if other != unit else []) + (
            [f"maps: {reading.maps}"] if reading is not first else []
        )
        as_is = f"unit: {unit:g}" + (f", maps: {first.maps}" if first.maps else "")
        measure = f" in {word}" if other != unit and word else ""
        raise ConfigError(
            f"{where}: implausible as it stands: {view if view is not None else fault}. Read as "
            f"{reading.maps or 'given'}{measure} it fits: {seen}. Write calibration: {{..., {', '.join(keys)}}} (or "
            f"{as_is}, if it is right as it is)"
        )
    if camera is None:
        raise fault if fault is not None else ConfigError(f"{where}: cannot be used")
    log.warning(
        "%s: implausible: %s. Check units, directions and the size of the pictures; places may be missing or wrong",
        where,
        view,
    )
    return camera


@dataclass(frozen=True, slots=True)
class _Alternative:
    reading: _Reading
    unit: float
    camera: GroundCamera
    view: View


def _alternatives(
    readings: list[_Reading], config: CalibrationConfig, given: tuple[_Reading, float]
) -> list[_Alternative]:
    """All other ways to read it that make sense, the most usual first."""
    found = []
    for reading in readings:
        for unit in [config.unit] if config.unit is not None else [u for u, _ in _UNITS]:
            if reading is given[0] and unit == given[1]:
                continue
            camera, _ = _attempt(reading, unit)
            view = None if camera is None else _best_view(camera, reading)
            if camera is not None and view is not None and view.plausible:
                found.append(_Alternative(reading, unit, camera, view))
    return sorted(found, key=lambda a: a.view.oddness)


def _attempt(reading: _Reading, unit: float) -> tuple[GroundCamera | None, ConfigError | None]:
    try:
        return reading.make(unit), None
    except ConfigError as error:
        return None, error


def _best_view(camera: GroundCamera, reading: _Reading) -> View | None:
    """What it sees, in pictures of the size that suits it best if none is known."""
    sizes = [s for s in (camera.size or reading.size,) if s is not None] or list(_SIZES)
    views = []
    for size in sizes:
        try:
            views.append(
                view_of(camera.scaled(size) if camera.homography is not None else replace(camera, size=size), size)
            )
        except (ConfigError, np.linalg.LinAlgError):
            continue
    return next((v for v in views if v.plausible), views[len(views) // 2] if views else None)


def _tsai_text(path: Path, where: str) -> str | None:
    """The text of an XML file that is not one of OpenCV."""
    text = calibration_text(path, where)
    return None if "<opencv_storage" in text[:4096] else text


def _fit(points: Float64Array, unit: float, where: str) -> Float64Array:
    pixels, ground = points[:, :2], points[:, 2:] * unit
    onto = fit_homography(pixels, ground)
    if onto is None:
        raise ConfigError(f"{where}: the points lie on one line, so they say nothing of the ground; spread them")
    error = np.linalg.norm(through(inverse(onto), pixels) - ground, axis=1)
    worst = int(error.argmax())
    if error[worst] > _FAR:
        raise ConfigError(
            f"{where}: the points contradict each other: pixel {np.round(pixels[worst], 1).tolist()} is said to be at "
            f"{ground[worst].tolist()}, which is {error[worst]:.1f} m from where the others put it"
        )
    return onto
