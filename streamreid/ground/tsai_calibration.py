"""Tsai's camera model in the XML that PETS and CAVIAR publish (R. Willson's conventions)."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from streamreid.errors import ConfigError
from streamreid.ground.camera_model import GroundCamera, Lens

__all__ = ["read_tsai"]

_TSAI = ("Geometry", "Intrinsic", "Extrinsic")
_MOST_DEPTH = 64
"""Of elements within elements in an XML calibration. PETS and CAVIAR have two; what is far deeper is no calibration,
and is not read to its end."""

_PIECE = 1 << 16
"""Characters that are parsed at once; expat reads what it is given to its end, whatever stands in it."""


def read_tsai(name: str, text: str, unit: float, where: str) -> GroundCamera:
    """A camera over the ground from the text of an XML file.

    Args:
        name: Of the camera.
        text: Of the file.
        unit: Metres per unit of the file.
        where: What errors name.

    Raises:
        ConfigError: It is no Tsai calibration.
    """
    try:
        parts = _tsai_values(text)
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
        raise ConfigError(
            f"{where}: not a Tsai calibration (Geometry, Intrinsic and Extrinsic with their values){missing}"
        ) from None
    return GroundCamera.from_matrix(
        name, inner @ np.concatenate([rotation, shift[:, None]], 1), size=size, lens=lens, where=where
    )


class _TsaiElements:
    """Takes the elements of an XML file one by one and keeps the attributes of three, so that no tree is built of a
    file that is something else.

    Raises:
        ValueError: The elements lie deeper than those of a calibration.
    """

    def __init__(self) -> None:
        self.found: dict[str, dict[str, str]] = {}
        self._depth = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise ValueError("too deep")
        if tag in _TSAI:
            self.found.setdefault(tag, attributes)

    def end(self, tag: str) -> None:
        self._depth -= 1


def _tsai_values(text: str) -> dict[str, dict[str, float]]:
    elements = _TsaiElements()
    parser = ElementTree.XMLParser(target=elements)  # noqa: S314 - a local file of the user
    for first in range(0, len(text), _PIECE):
        parser.feed(text[first : first + _PIECE])
    parser.close()
    return {element: {name: float(value) for name, value in elements.found[element].items()} for element in _TSAI}
