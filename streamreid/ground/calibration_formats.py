"""Files with calibrations, as public data sets and tools write them: what is in them, under common names, without
judging it.

Read are Tsai XML (PETS, CAVIAR), OpenCV's FileStorage (XML, YAML, JSON; also two files per camera, as WILDTRACK has
them), matrices in text (with comments and labels, as EPFL and AI City write them), CSV, JSON, ``.npy`` and ``.npz``.

Messages say where a file is wrong, never what stands there: by HTTP, whoever adds a camera chooses the file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import Any

import cv2
import numpy as np

from streamreid._yaml import parse_yaml
from streamreid.errors import ConfigError
from streamreid.ground.matrix_text import one_matrix
from streamreid.textfiles import read_text
from streamreid.types import Float64Array

__all__ = ["Parts", "calibration_text", "read_parts"]


_NAMES = {
    "inner": ("cameramatrix", "k", "intrinsic", "intrinsics", "intrinsicmatrix", "mtx", "m1"),
    "distortion": ("distortioncoefficients", "distcoeffs", "distcoeff", "distortion", "dist", "d", "d1"),
    "rotation": ("rvec", "rotationvector", "rotation", "rotationmatrix", "r", "rvecs"),
    "shift": ("tvec", "translationvector", "translation", "t", "tvecs"),
    "matrix": ("p", "projectionmatrix", "projection"),
    "homography": ("h", "homography", "homographymatrix", "groundhomography"),
    "pixels": ("camerapoints", "imagepoints", "pixels", "pixelpoints"),
    "ground": ("mappoints", "worldpoints", "ground", "groundpoints", "objectpoints"),
}
"""What tools call the parts of a calibration; compared in lower case and without other characters than letters and
digits."""

_PARTNERS = (
    ("intrinsic_zero", "extrinsic"),
    ("intrinsic_original", "extrinsic"),
    ("intrinsic", "extrinsic"),
    ("intr", "extr"),
)
_MOST_NUMBERS = 64
"""Numbers that a matrix in a calibration file may have."""

_MOST_BYTES = 8 << 20
"""Of a calibration file. Devices and pipes, which never end, are not read at all."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a file holds; of the parts, those that are not there are missing.

    Args:
        values: By name: ``matrix`` and ``homography`` may also be "numbers" of which only the shape tells what they
            are.
        size: Width and height of the pictures, or None.
        where: For messages.
    """

    values: Mapping[str, Float64Array] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    where: str = ""

    def get(self, name: str) -> Float64Array | None:
        """One matrix or vector of the calibration, or None where the file has none of that name."""
        return self.values.get(name)


def read_parts(path: Path, key: str, where: str, *, second: Path | None = None, camera: str = "") -> Parts:
    """Read a file, and the second file of a pair.

    Args:
        path: The file.
        key: Which array of an ``.npz`` file, or which camera of a text file with several.
        where: For messages.
        camera: Name of the camera, which picks a matrix of a text file with several where ``key`` does not.
        second: File with the camera matrix where ``path`` has the pose alone, or the other way round; default: looked
            for beside it.

    Raises:
        ConfigError: Missing or malformed.
    """
    parts = _read(path, key, where, camera)
    values = dict(parts.values)
    has_inner, has_pose = "inner" in values, "rotation" in values and "shift" in values
    if second is None and has_inner != has_pose and not {"matrix", "homography", "numbers"} & set(values):
        second = _partner(path, to_pose=has_inner)
        if second is None:
            what, other = (
                ("camera matrix", "pose (rotation and translation)") if has_inner else ("pose", "camera matrix")
            )
            raise ConfigError(
                f"{where}: holds the {what} alone; name the file with the {other} too: calibration: {{file: "
                f"EXTRINSICS, intrinsics: INTRINSICS}}"
            )
    if second is not None:
        other_parts = _read(second, "", where.replace(str(path), str(second)))
        values = {**other_parts.values, **values}
        return Parts(values, parts.size or other_parts.size, where)
    return parts


def _partner(path: Path, *, to_pose: bool) -> Path | None:
    """The other file of a pair like intr_cam1.xml and extr_cam1.xml, beside the first or in a folder whose name differs
    in the same way."""
    path = Path(os.path.abspath(path))  # a file in the working folder has a parent without a name
    for inner, outer in _PARTNERS:
        old, new = (inner, outer) if to_pose else (outer, inner)
        name = path.name.replace(old, new)
        folders = [path.parent, path.parent.with_name(path.parent.name.replace(old, new))]
        if not to_pose:
            folders += [path.parent.with_name(n) for n in ("intrinsic_zero", "intrinsic", "intrinsics")]
        for swapped in dict.fromkeys(
            (name, name.replace("intr_" if to_pose else "extr_", "extr_" if to_pose else "intr_"))
        ):
            for folder in folders:
                if (folder / swapped) != path and (folder / swapped).is_file():
                    return folder / swapped
    return None


def _read(path: Path, key: str, where: str, camera: str = "") -> Parts:
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        return _numpy(path, key, where)
    text = calibration_text(path, where)
    if suffix == ".xml" or (suffix in (".yml", ".yaml") and text.lstrip().startswith("%YAML")):
        return _storage(path, where)
    if suffix in (".yml", ".yaml"):
        try:
            data = parse_yaml(text, where)
        except ConfigError:
            raise ConfigError(f"{where}: not valid YAML") from None
        return _from_data(data, where)
    if suffix == ".json":
        try:
            return _from_data(json.loads(text), where)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{where}: not valid JSON (line {getattr(error, 'lineno', 1)})") from None
    return Parts({"numbers": one_matrix(text, where, key, camera, path.name)}, None, where)


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


def calibration_text(path: Path, where: str) -> str:
    """Text of a calibration file.

    Raises:
        ConfigError: It is no ordinary file, too large, or no text.
    """
    try:
        return read_text(_checked(path, where))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: not a text file (byte {error.start})") from None
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror or error}") from None


def _numpy(path: Path, key: str, where: str) -> Parts:
    try:
        data = np.load(_checked(path, where), allow_pickle=False)
        if path.suffix.lower() == ".npy":
            return Parts({"numbers": np.asarray(data, np.float64)}, None, where)
        names = list(data.files)
        arrays = {n: np.asarray(data[n], np.float64) for n in names if data[n].dtype.kind in "iuf"}
    except (OSError, ValueError, TypeError, EOFError):
        raise ConfigError(f"{where}: not a matrix of numbers; expected 3x3 or 3x4") from None
    if key and key not in names:
        raise ConfigError(f"{where}: holds no '{key}', only {', '.join(names)}")
    if key or len(names) == 1:
        return Parts({"numbers": arrays[key or names[0]]}, None, where)
    known = _named(arrays)
    if not known:
        raise ConfigError(f"{where}: holds {', '.join(names)}; pick one with {path.name}:NAME")
    return Parts(known, None, where)


def _storage(path: Path, where: str) -> Parts:
    """OpenCV's own reader for its files."""
    try:
        storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
        if not storage.isOpened():
            raise ConfigError(f"{where}: OpenCV cannot open it; is it a calibration?")
        root = storage.root()
        found: dict[str, Any] = {name: _node(root.getNode(name)) for name in root.keys()[:200]}
        storage.release()
    except (cv2.error, SystemError, UnicodeDecodeError):
        raise ConfigError(
            f"{where}: neither a Tsai calibration (Geometry, Intrinsic, Extrinsic) nor one that OpenCV reads"
        ) from None
    return _from_data({k: v for k, v in found.items() if v is not None}, where)


def _node(node: Any) -> Any:
    if node.isReal() or node.isInt():
        return node.real()
    if node.isSeq():
        items = [node.at(i) for i in range(min(node.size(), _MOST_NUMBERS))]
        return [i.real() for i in items] if all(i.isReal() or i.isInt() for i in items) else [_node(i) for i in items]
    if node.isMap():
        try:
            matrix = node.mat()
        except cv2.error:
            matrix = None
        if matrix is not None:
            return matrix
        return {name: _node(node.getNode(name)) for name in node.keys()[:50]}
    return node.string() if node.isString() else None


def _from_data(data: Any, where: str) -> Parts:
    """Parts of a dictionary, or the numbers of a list."""
    if isinstance(data, dict):
        inside = next(
            (v for k, v in data.items() if isinstance(v, dict) and _plain(k) in ("calibration", "camera")), None
        )
        arrays = {str(k): a for k, v in data.items() if (a := _array(v)) is not None}
        known = _named(arrays)
        if not known and inside is not None:
            return _from_data(inside, where)
        if not known:
            raise ConfigError(
                f"{where}: holds nothing that is known; expected camera_matrix, rvec and tvec, a projection matrix P, "
                "a homography H, or points"
            )
        width, height = (
            next((int(v) for k, v in data.items() if _plain(k) in n and isinstance(v, (int, float))), 0)
            for n in (("imagewidth", "width"), ("imageheight", "height"))
        )
        return Parts(known, (width, height) if width > 0 and height > 0 else None, where)
    array = _array(data)
    if array is None:
        raise ConfigError(f"{where}: not a matrix of numbers; expected 3x3 or 3x4")
    return Parts({"numbers": array}, None, where)


def _plain(name: object) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name)[:80].lower())


def _named(arrays: Mapping[str, Float64Array]) -> dict[str, Float64Array]:
    found: dict[str, Float64Array] = {}
    for name, array in arrays.items():
        for part, names in _NAMES.items():
            if _plain(name) in names and part not in found:
                found[part] = array
    return found


def _array(value: Any) -> Float64Array | None:
    """A matrix: an array, nested lists, or rows, cols and data as OpenCV and ROS write them."""
    if isinstance(value, dict) and "data" in value:
        numbers = _array(value["data"])
        rows, cols = value.get("rows"), value.get("cols")
        if (
            numbers is None
            or not isinstance(rows, (int, float))
            or not isinstance(cols, (int, float))
            or numbers.size != rows * cols
        ):
            return numbers
        return numbers.reshape(int(rows), int(cols))
    if isinstance(value, (list, tuple, np.ndarray)) and len(value):
        try:
            return np.asarray(value, np.float64)
        except (ValueError, TypeError):
            return None
    return None
