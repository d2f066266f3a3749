"""Names of pictures as in Market-1501 (Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015):
``PPPP_cCsS_FFFFFF_NN.jpg``.

PPPP is the person, 0000 a distractor and -1 junk; C is the camera; S, FFFFFF and NN are sequence, frame and box, which
nobody here needs. DukeMTMC-reID, Occluded-Duke and CUHK03-NP have the same names.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["JUNK", "PersonCamera", "parse_name"]

JUNK = -1
"""Person number of boxes that show no whole person."""

_NAME = re.compile(r"^(-?\d+)_c(\d+)")


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
