"""Names of pictures as in Market-1501 (Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015):
``PPPP_cCsS_FFFFFF_NN.jpg``.

PPPP is the person, 0000 a distractor and -1 junk; C is the camera; S, FFFFFF and NN are sequence, frame and box.
DukeMTMC-reID and Occluded-Duke (``PPPP_cC_fFFFFFFF``) have no sequences; CUHK03-NP has such names with numbers in the
place of frames.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["JUNK", "PersonCamera", "parse_frame", "parse_name"]

JUNK = -1
"""Person number of boxes that show no whole person."""

_NAME = re.compile(r"^(-?\d+)_c(\d+)")
_FRAME = re.compile(r"^-?\d+_c\d+(?:s(\d+))?_f?(\d+)")


class PersonCamera(NamedTuple):
    """Who is shown, and by which camera.

    Attributes:
        person: From 1; 0 for distractors, -1 for junk.
        camera: From 1.
    """

    person: int
    camera: int

    @property
    def is_person(self) -> bool:
        """Whether somebody is shown who has a number."""
        return self.person > 0


def parse_name(name: str) -> PersonCamera | None:
    """Person and camera in the name of a picture; None if it has no such name."""
    match = _NAME.match(name)
    return None if match is None else PersonCamera(int(match[1]), int(match[2]))


def parse_frame(name: str) -> tuple[int, int] | None:
    """Sequence (0 where there are none) and frame in the name of a picture; None if it says no frame. Frames of two
    sequences cannot be compared."""
    match = _FRAME.match(name)
    return None if match is None else (int(match[1] or 0), int(match[2]))
