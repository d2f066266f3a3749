"""Calibration as users have it: Tsai XML, matrices in text, JSON or NumPy files, or a few points clicked on the ground."""

from __future__ import annotations

import json
import re
from pathlib import Path
from stat import S_ISREG
from typing import Any
from xml.etree import ElementTree
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid._calibration_settings import CalibrationConfig
from streamreid.association.geometry import GroundCamera, Lens
from streamreid.errors import ConfigError

__all__ = ["load_calibration"]

Array = NDArray[np.float64]
_MOST_BYTES = 16 << 20
"""Of a calibration file. Devices and pipes, which never end, are not read at all."""

_FAR = 0.5  # metres: points that disagree by more contradict each other


def load_calibration(name: str, config: CalibrationConfig) -> GroundCamera:
    """Read and check the calibration of a camera.

    Args:
        name: Of the camera.
        config: Where it is.

    Raises:
        ConfigError: Missing, malformed, degenerate or contradicting itself.
    """
    where = f"camera '{name}': calibration"
    try:
        return _load(name, config, where)
    except (cv2.error, np.linalg.LinAlgError, BadZipFile, EOFError, ArithmeticError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{where}: cannot be used ({type(error).__name__}); check its numbers") from None


def _load(name: str, config: CalibrationConfig, where: str) -> GroundCamera:
    if config.points is not None:
        return GroundCamera.from_homography(name, _fit(np.array(config.points), config.unit or 1.0, where), where=where)
    if config.matrix is not None:
        return _from_numbers(name, np.array(config.matrix, np.float64), config, where)
    file = str(config.file)
    where = f"{where} '{file}'"
    path, _, key = file.partition(".npz:")
    if Path(file.split(".npz:")[0] + (".npz" if key else "")).suffix.lower() == ".xml":
        return _tsai(name, _text(Path(file), where), config.unit or 0.001, where)
    return _from_numbers(name, _numbers(Path(path + ".npz") if key else Path(file), key, where), config, where)


# Messages say where a file is wrong, never what stands there: by HTTP, whoever adds a camera chooses the file.
def _checked(path: Path, where: str) -> Path:
    """An ordinary file that is small enough."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}: cannot be read: {getattr(error, 'strerror', None) or 'no such file'}") from None
    if not S_ISREG(status.st_mode):
        raise ConfigError(f"{where}: is not a file")
    if status.st_size > _MOST_BYTES:
        raise ConfigError(f"{where}: has {status.st_size >> 20} MB; a calibration has at most {_MOST_BYTES >> 20}")
    return path


def _text(path: Path, where: str) -> str:
    try:
        return _checked(path, where).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: not a text file (byte {error.start})") from None
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror or error}") from None


def _numbers(path: Path, key: str, where: str) -> Array:
    try:
        if path.suffix.lower() in (".npz", ".npy"):
            data = np.load(_checked(path, where), allow_pickle=False)
            if path.suffix.lower() == ".npy":
                return np.asarray(data, np.float64)
            names = list(data.files)
            if not key and len(names) > 1:
                raise ConfigError(f"{where}: holds {', '.join(names)}; pick one with {path.name}:NAME")
            if key and key not in names:
                raise ConfigError(f"{where}: holds no '{key}', only {', '.join(names)}")
            return np.asarray(data[key or names[0]], np.float64)
        if path.suffix.lower() == ".json":
            return np.asarray(json.loads(_text(path, where)), np.float64)
        return np.array(_rows(_text(path, where), where), np.float64)
    except (OSError, ValueError, TypeError):
        raise ConfigError(f"{where}: not a matrix of numbers; expected 3x3 or 3x4") from None


def _rows(text: str, where: str) -> list[list[float]]:
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            row = [float(v) for v in re.split(r"[,;\s]+", line.strip()) if v]
        except ValueError:
            raise ConfigError(f"{where}: line {number} is not a row of numbers; expected a 3x3 or 3x4 matrix") from None
        if row:
            rows.append(row)
    return rows


def _from_numbers(name: str, numbers: Array, config: CalibrationConfig, where: str) -> GroundCamera:
    unit = config.unit or 1.0
    if numbers.shape == (12,) or numbers.shape == (9,):
        numbers = numbers.reshape(3, -1)
    if numbers.shape == (3, 4):
        return GroundCamera.from_matrix(name, numbers @ np.diag([1 / unit, 1 / unit, 1 / unit, 1.0]), where=where)
    if numbers.shape != (3, 3) or not np.isfinite(numbers).all():
        raise ConfigError(f"{where}: expected a 3x3 or 3x4 matrix of finite numbers, got {'x'.join(map(str, numbers.shape))}")
    if abs(np.linalg.det(numbers / max(np.abs(numbers).max(), 1e-12))) < 1e-14:
        raise ConfigError(f"{where}: the homography is degenerate, so nothing on the ground can be told apart; check its rows")
    onto = numbers if config.maps == "ground-to-pixels" else np.asarray(np.linalg.inv(numbers), np.float64)
    return GroundCamera.from_homography(name, onto @ np.diag([1 / unit, 1 / unit, 1.0]), where=where)


def _fit(points: Array, unit: float, where: str) -> Array:
    pixels, ground = points[:, :2], points[:, 2:] * unit
    onto, _ = cv2.findHomography(ground, pixels, 0)
    if onto is None or not np.isfinite(onto).all():
        raise ConfigError(f"{where}: the points lie on one line, so they say nothing of the ground; spread them")
    back = np.concatenate([pixels, np.ones((len(pixels), 1))], 1) @ np.linalg.inv(onto).T
    error = np.linalg.norm(back[:, :2] / back[:, 2:] - ground, axis=1)
    worst = int(error.argmax())
    if error[worst] > _FAR:
        raise ConfigError(
            f"{where}: the points contradict each other: pixel {pixels[worst].tolist()} is said to be at {ground[worst].tolist()}, which is "
            f"{error[worst]:.1f} m from where the others put it"
        )
    return np.asarray(onto, np.float64)


def _tsai(name: str, text: str, unit: float, where: str) -> GroundCamera:
    """Tsai's model as PETS and CAVIAR write it (R. Willson's conventions)."""
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - a local file of the user
        parts = {key: {k: float(v) for k, v in _element(root, key).attrib.items()} for key in ("Geometry", "Intrinsic", "Extrinsic")}
        g, i, e = parts["Geometry"], parts["Intrinsic"], parts["Extrinsic"]
        sx, sy = (np.sin(e[k]) for k in ("rx", "ry"))
        cx, cy = (np.cos(e[k]) for k in ("rx", "ry"))
        sz, cz = np.sin(e["rz"]), np.cos(e["rz"])
        rotation = np.array(
            [
                [cy * cz, cz * sx * sy - cx * sz, sx * sz + cx * cz * sy],
                [cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - cz * sx],
                [-sy, cy * sx, cx * cy],
            ]
        )
        shift = np.array([e["tx"], e["ty"], e["tz"]]) * unit
        scale = g["dpx"] / i["sx"], g["dpy"]
        inner = np.array([[i["focal"] / scale[0], 0, i["cx"]], [0, i["focal"] / scale[1], i["cy"]], [0, 0, 1]])
        size = (round(g["width"]), round(g["height"])) if "width" in g and "height" in g else None
        lens = Lens(i["kappa1"], scale, (i["cx"], i["cy"])) if i.get("kappa1") else None
    except (ElementTree.ParseError, KeyError, ValueError, ZeroDivisionError) as error:
        missing = f": {error} is missing" if isinstance(error, KeyError) else ""
        raise ConfigError(f"{where}: not a Tsai calibration (Geometry, Intrinsic and Extrinsic with their values){missing}") from None
    return GroundCamera.from_matrix(name, inner @ np.concatenate([rotation, shift[:, None]], 1), size=size, lens=lens, where=where)


def _element(root: Any, name: str) -> Any:
    found = root if root.tag == name else root.find(f".//{name}")
    if found is None:
        raise KeyError(name)
    return found
