"""How the fine parts a parser knows become the parts of the network: five merged ones by default, eight, five vertical
ones, or any of one's own as YAML.

Two vocabularies are understood. ``bodypix``: the 24 part numbers of BodyPix, and 24 and 25 for the upper and the lower
half of the torso. ``fields``: the 36 channels of BPBReID's files, 17 COCO keypoints and 19 limbs (`FIELD_NAMES`); poses
are turned into the same channels.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from streamreid._yaml import read_yaml
from streamreid.errors import ConfigError, DataError
from streamreid.types import FloatArray

__all__ = [
    "BODYPIX_CHANNELS",
    "FIELD_NAMES",
    "GROUPINGS",
    "LIMBS",
    "PART_NAMES",
    "Members",
    "PartGrouping",
    "load_grouping",
    "mirrored_parts",
    "read_parts",
    "write_parts",
]

KEYPOINTS = (
    "nose",
    *(
        f"{side}_{name}"
        for name in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in ("left", "right")
    ),
)
LIMBS: tuple[tuple[str, str], ...] = (
    ("left_ankle", "left_knee"),
    ("left_knee", "left_hip"),
    ("right_ankle", "right_knee"),
    ("right_knee", "right_hip"),
    ("left_hip", "right_hip"),
    ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"),
    ("left_shoulder", "right_shoulder"),
    ("left_shoulder", "left_elbow"),
    ("right_shoulder", "right_elbow"),
    ("left_elbow", "left_wrist"),
    ("right_elbow", "right_wrist"),
    ("left_eye", "right_eye"),
    ("nose", "left_eye"),
    ("nose", "right_eye"),
    ("left_eye", "left_ear"),
    ("right_eye", "right_ear"),
    ("left_ear", "left_shoulder"),
    ("right_ear", "right_shoulder"),
)
"""The limbs of channels 17 to 35, as pairs of keypoints."""
FIELD_NAMES: tuple[str, ...] = (*KEYPOINTS, *(f"{a}-{b}" for a, b in LIMBS))
BODYPIX_CHANNELS = 26
"""Channels of the stored label maps: 24 parts, person, background."""

_PARTS_FILE = "parts.json"


@dataclass(frozen=True)
class Members:
    """What a part consists of; a part's score is the maximum over its members.

    Args:
        bodypix: BodyPix numbers, 0 to 25.
        fields: Numbers of `FIELD_NAMES`, 0 to 35.
    """

    bodypix: tuple[int, ...] = ()
    fields: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name, values, most in (
            ("bodypix", self.bodypix, BODYPIX_CHANNELS),
            ("fields", self.fields, len(FIELD_NAMES)),
        ):
            wrong = [v for v in values if not 0 <= v < most]
            if wrong:
                raise ConfigError(f"{name}: {wrong} must lie in 0..{most - 1}")


@dataclass(frozen=True)
class PartGrouping:
    """Parts by name, from head to foot.

    Args:
        name: For messages.
        parts: Members of every part.
        upper: Parts of which one must be seen for a label to be plausible, and which lie above ...
        lower: ... these, of which one must be seen too. Empty: not checked.
    """

    name: str
    parts: dict[str, Members]
    upper: tuple[str, ...] = field(default=())
    lower: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not 1 <= len(self.parts) <= 254:
            raise ConfigError(f"grouping '{self.name}': {len(self.parts)} parts, expected 1 to 254")
        unknown = sorted({*self.upper, *self.lower} - set(self.parts))
        if unknown:
            raise ConfigError(
                f"grouping '{self.name}': upper and lower name parts that do not exist: {', '.join(unknown)}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parts, in the order of their features."""
        return tuple(self.parts)

    def merge(self, channels: FloatArray, vocabulary: str) -> FloatArray:
        """Maximum over each part's members.

        Args:
            channels: ``[26 or 36, H, W]``.
            vocabulary: ``bodypix`` or ``fields``.

        Returns:
            ``[parts, H, W]``.

        Raises:
            ConfigError: A part has no member in that vocabulary.
        """
        merged = []
        for name, members in self.parts.items():
            own: tuple[int, ...] = getattr(members, vocabulary)
            if not own:
                raise ConfigError(
                    f"grouping '{self.name}': part '{name}' says nothing under '{vocabulary}', which this parser needs"
                )
            merged.append(channels[list(own)].max(0))
        return np.stack(merged).astype(np.float32)


def _fields(*names: str) -> tuple[int, ...]:
    """Numbers of keypoints (``left_hip``) and limbs (``left_hip-right_hip``)."""
    return tuple(FIELD_NAMES.index(n) for n in names)


_HEAD = Members((0, 1), (0, 1, 2, 3, 4, *range(29, 36)))
_TORSO = Members(
    (12, 13),
    _fields(
        "left_hip",
        "right_hip",
        "left_hip-right_hip",
        "left_shoulder-left_hip",
        "right_shoulder-right_hip",
        "left_shoulder-right_shoulder",
    ),
)
_ARM = {
    side: _fields(
        f"{side}_shoulder",
        f"{side}_elbow",
        f"{side}_wrist",
        f"{side}_shoulder-{side}_elbow",
        f"{side}_elbow-{side}_wrist",
    )
    for side in ("left", "right")
}
_LEG = {
    side: _fields(f"{side}_knee", f"{side}_ankle-{side}_knee", f"{side}_knee-{side}_hip") for side in ("left", "right")
}

GROUPINGS: dict[str, PartGrouping] = {
    "five": PartGrouping(
        "five",
        {
            "head": _HEAD,
            "torso": _TORSO,
            "arms": Members((2, 3, 4, 5, 6, 7, 8, 9, 10, 11), (*_ARM["left"], *_ARM["right"])),
            "legs": Members((14, 15, 16, 17, 18, 19, 20, 21), (*_LEG["left"], *_LEG["right"])),
            "feet": Members((22, 23), _fields("left_ankle", "right_ankle")),
        },
        ("torso",),
        ("legs",),
    ),
    "eight": PartGrouping(
        "eight",
        {
            "head": _HEAD,
            "left_arm": Members((2, 3, 6, 7, 10), _ARM["left"]),
            "right_arm": Members((4, 5, 8, 9, 11), _ARM["right"]),
            "torso": _TORSO,
            "left_leg": Members((14, 15, 18, 19), (*_LEG["left"], *_fields("left_hip-right_hip"))),
            "right_leg": Members((16, 17, 20, 21), _LEG["right"]),
            "left_foot": Members((22,), _fields("left_ankle")),
            "right_foot": Members((23,), _fields("right_ankle")),
        },
        ("torso",),
        ("left_leg", "right_leg"),
    ),
    # BPBReID's five_v takes the right flank only into the lower half of the body; both flanks are taken here.
    "five_vertical": PartGrouping(
        "five_vertical",
        {
            "head": _HEAD,
            "upper_body": Members(
                (2, 3, 4, 5, 24),
                _fields(
                    "left_shoulder",
                    "right_shoulder",
                    "left_elbow",
                    "right_elbow",
                    "left_shoulder-right_shoulder",
                    "left_shoulder-left_elbow",
                    "right_shoulder-right_elbow",
                ),
            ),
            "lower_body": Members(
                (6, 7, 8, 9, 10, 11, 25),
                _fields(
                    "left_wrist",
                    "right_wrist",
                    "left_hip",
                    "right_hip",
                    "left_elbow-left_wrist",
                    "right_elbow-right_wrist",
                    "left_shoulder-left_hip",
                    "right_shoulder-right_hip",
                ),
            ),
            "legs": Members((14, 15, 16, 17, 18, 19, 20, 21), (*_LEG["left"], *_LEG["right"])),
            "feet": Members((22, 23), _fields("left_ankle", "right_ankle")),
        },
        ("upper_body", "lower_body"),
        ("legs",),
    ),
}
PART_NAMES = GROUPINGS["five"].names


def load_grouping(name: str | Path) -> PartGrouping:
    """A built-in grouping by name, or one's own from a YAML file.

    The file says ``parts: {head: {bodypix: [0, 1], fields: [nose, left_eye-right_eye]}, ...}`` and may say ``upper``
    and ``lower`` (see `PartGrouping`); fields are numbers or names.

    Raises:
        ConfigError: Neither a built-in name nor a readable file, or the file is wrong.
    """
    if str(name) in GROUPINGS:
        return GROUPINGS[str(name)]
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"parts '{name}': known are {', '.join(GROUPINGS)}, or give a .yaml file")
    data, lines = read_yaml(path)
    lines.check()
    try:
        parts = {str(part): Members(_numbers(m, "bodypix"), _numbers(m, "fields")) for part, m in data["parts"].items()}
        return PartGrouping(path.stem, parts, tuple(data.get("upper", ())), tuple(data.get("lower", ())))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"{path}: expected 'parts: {{name: {{bodypix: [...], fields: [...]}}}}' ({error})") from error


def _numbers(members: dict[str, Any], vocabulary: str) -> tuple[int, ...]:
    unknown = set(members) - {"bodypix", "fields"}
    if unknown:
        raise ValueError(f"unknown key {', '.join(sorted(unknown))}")
    return tuple(v if isinstance(v, int) else FIELD_NAMES.index(v) for v in members.get(vocabulary, ()))


def mirrored_parts(names: tuple[str, ...]) -> tuple[int, ...]:
    """Which part each part becomes in the mirror image: ``left_*`` and ``right_*`` change places, all others stay."""
    swapped = [n.replace("left", "right", 1) if "left" in n else n.replace("right", "left", 1) for n in names]
    return tuple(names.index(s) if s in names else i for i, s in enumerate(swapped))


def read_parts(folder: Path) -> tuple[str, ...]:
    """Names of the parts in a folder of class maps (or in its subfolders); the five merged ones where nothing says so.

    Raises:
        DataError: ``parts.json`` cannot be read.
    """
    places = (
        folder / _PARTS_FILE,
        *sorted(folder.glob(f"*/{_PARTS_FILE}")),
        *sorted(folder.glob(f"*/*/{_PARTS_FILE}")),
    )
    path = next(filter(Path.exists, places), None)
    if path is None:
        return PART_NAMES
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["parts"]
        return tuple(str(n) for n in names)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a list of parts; run parse-labels again into another folder") from error


def write_parts(folder: Path, names: tuple[str, ...]) -> None:
    """Note the parts of a folder of class maps.

    Raises:
        DataError: The folder holds class maps of other parts.
    """
    if (folder / _PARTS_FILE).exists() or any(folder.glob("*.png")):
        known = read_parts(folder)
        if known != names:
            raise DataError(
                f"{folder}: holds class maps of {', '.join(known)}, not of {', '.join(names)}; choose another folder"
            )
    (folder / _PARTS_FILE).write_text(json.dumps({"parts": names}), encoding="utf-8")
