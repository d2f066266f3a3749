"""What was measured of detectors that are known by their checksum: how their boxes of one person become one, and at
which input sizes they are worth their time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streamreid.detection.nms import SoftSuppression
from streamreid.weights import sha256_file

__all__ = ["PROFILE", "DetectorProfile", "SizeRule", "profile_of"]

PROFILE = "streamreid.profile"
"""Key of a detector bundle's metadata under which the profile's name is kept: its graph has another checksum."""


@dataclass(frozen=True, slots=True)
class SizeRule:
    """Which input size a detector gets where none is set.

    Args:
        sizes: Longest sides of the input in pixels, ascending.
        first: The one to begin with, and to keep where people are neither small nor tall in it.
        least_height: Pixels in the input that people should be tall (see ``input_size``): fewer, and more are missed.
        plenty: Pixels above which nothing is lost by a smaller input.
    """

    sizes: tuple[int, ...]
    first: int
    least_height: float
    plenty: float


@dataclass(frozen=True, slots=True)
class DetectorProfile:
    """One detector.

    Args:
        name: Of its weights.
        sizes: Its sizes.
        suppression: How boxes of one person become one.
    """

    name: str
    sizes: SizeRule
    suppression: SoftSuppression


_NANO_SIZES = SizeRule((416, 512, 576, 640, 736, 832), 640, least_height=40.0, plenty=100.0)
# It makes several boxes of a person, which overlap by .5 to .7 and have scores nearly as high as the best one's. With
# these values precision and recall from any score on are those of YOLO11n, for which the tracker's thresholds are set
# (MOT17 frames and generated scenes); without, 8 points of precision fewer from a score of .3 on.
_NANO_SUPPRESSION = SoftSuppression(start=0.4, loss=2.0, vote=0.7)
_PROFILES = {
    "e8af074932d4ed7e232278e3055cefcdea3edf178874a3694ae292649fb464dd": DetectorProfile(
        "yolox-nano", _NANO_SIZES, _NANO_SUPPRESSION
    ),
    # The same weights, for people only.
    "e06971a13b9687fc708977e168ff0616d3e301a3f851137a8baad529a402756e": DetectorProfile(
        "person-nano", _NANO_SIZES, _NANO_SUPPRESSION
    ),
}


def profile_of(path: Path, metadata: Mapping[str, str]) -> DetectorProfile | None:
    """What is known of a detector; None if nothing is.

    Args:
        path: Its file.
        metadata: Of its bundle, if it has one.
    """
    named = metadata.get(PROFILE)
    if named is not None:
        return next((p for p in _PROFILES.values() if p.name == named), None)
    return _PROFILES.get(sha256_file(path)) if path.is_file() else None
