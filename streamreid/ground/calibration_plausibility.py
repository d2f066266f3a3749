"""Whether a calibration can be that of a camera that watches people, and what it would have to be read as to be one.

Units and directions are nowhere in a file: a matrix in centimetres, or one from the camera to the world, is as valid as
the right one. But a camera hangs between knee height and a roof, sees the ground in the lower part of its picture, and
people on it stand upright and are more than a few pixels high.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamreid.ground.camera_model import GroundCamera

__all__ = ["View", "view_of"]


_PERSON = 1.7
"""Metres."""

_LOWEST, _HIGHEST = 0.3, 100.0
"""Metres above the ground at which cameras hang: a robot's, a crane's. Centimetres make 30 to 10,000 of them,
millimetres more."""

_SMALLEST, _LARGEST = 0.008, 4.0
"""A person's height as a share of the picture's: 9 pixels of 1080, and somebody just below the camera."""

_USUAL_HEIGHT, _USUAL_PERSON = 4.0, 0.2
"""Metres above the ground and share of the picture's height: a camera under a ceiling or on a wall."""

_LEAST_GROUND = 0.25
"""Share of the lower part of the picture that must show the ground."""

_UPRIGHT = 0.6
"""Share of the places at which a person's head must be above the feet."""

_STEEP = 0.85
"""Cosine to the vertical from which a camera looks down so steeply that heads point everywhere."""

_GRID = np.array([(x, y) for y in (0.55, 0.7, 0.85, 0.98) for x in (0.2, 0.5, 0.8)])
"""Places in the picture, as shares of its width and height."""


@dataclass(frozen=True, slots=True)
class View:
    """What a camera would see.

    Args:
        height: Of the camera above the ground, metres.
        ground: Share of the lower part of the picture that shows the ground.
        upright: Share of the people there whose head is above their feet.
        person: Median height of a person there as a share of the picture's; NaN where no ground is seen.
        pixels: The same in pixels.
    """

    height: float
    ground: float
    upright: float
    person: float
    pixels: float

    @property
    def plausible(self) -> bool:
        """Whether a camera that watches people can see this."""
        fits = _LOWEST <= self.height <= _HIGHEST and self.ground >= _LEAST_GROUND
        return fits and self.upright >= _UPRIGHT and _SMALLEST <= self.person <= _LARGEST

    @property
    def oddness(self) -> float:
        """How far it is from a usual camera, in factors (natural logarithm): less is more likely."""
        return abs(float(np.log(max(self.height, 1e-6) / _USUAL_HEIGHT))) + abs(
            float(np.log(max(self.person, 1e-6) / _USUAL_PERSON))
        )

    def __str__(self) -> str:
        if self.ground < _LEAST_GROUND:
            return f"the camera {self.height:.3g} m above the ground, and no ground in the lower part of its picture"
        turned = ", people upside down" if self.upright < _UPRIGHT else ""
        return f"the camera {self.height:.3g} m above the ground, a person {self.pixels:.3g} pixels high{turned}"


def view_of(camera: GroundCamera, size: tuple[int, int]) -> View:
    """What ``camera`` would see in pictures of ``size``."""
    pixels = _GRID * size
    with np.errstate(all="ignore"):
        places = camera.to_plane(pixels)
        known = np.isfinite(places).all(1)
        feet = np.concatenate([places[known], np.zeros((int(known.sum()), 1))], 1)
        steps = np.vstack([np.eye(3)[2], np.eye(3)[0], np.eye(3)[1]]) * _PERSON
        moved = np.stack([camera.project(feet + step)[0] for step in steps])
        spans = np.linalg.norm(moved - pixels[known][None], axis=2)
    steep = abs(float(camera.matrix[2, 2])) > _STEEP
    # From straight above, a person is as high in the picture as the same length on the ground.
    lengths = spans.max(0) if steep else spans[0]
    lengths = lengths[np.isfinite(lengths)]
    heads = moved[0][np.isfinite(moved[0]).all(1)]
    below = pixels[known][np.isfinite(moved[0]).all(1)]
    upright = 1.0 if steep or not len(heads) else float((heads[:, 1] < below[:, 1]).mean())
    person = float(np.median(lengths)) if len(lengths) else float("nan")
    return View(float(camera.position[2]), float(known.mean()), upright, person / size[1], person)
