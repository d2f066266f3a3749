"""One person on the ground, and how people move."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["GroundSettings", "GroundTrack"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GroundSettings:
    """How people move and how boxes err. Metres, seconds; shares of a box's height.

    Chosen on generated scenes (``streamreid synth``).
    """

    acceleration: float = 1.2
    calm: float = 1.0
    again: float = 0.25
    rounds: int = 1
    cover_noise: float = 3.0
    cover_cost: float = 3.0
    height: float = 1.70
    height_doubt: float = 0.10
    edge_noise: float = 0.05
    gate: float = 14.0
    agree: float = 0.35
    memory: float = 0.7
    lost: float = 2.0
    support: float = 0.3
    confirm: int = 4
    apart: float = 0.35
    double: float = 0.7


@dataclass(slots=True, eq=False)
class GroundTrack:
    """One person on the ground.

    Args:
        number: From 1, never used twice.
        mean: ``[5]`` x, y, speed in x and y, body height.
        cov: ``[5, 5]``.
        time: Of the last prediction.
        seen: Camera -> time it last showed the person.
        hits: Boxes in all.
        support: Share of the cameras that should see the person and do, averaged over the last second or two.
        path: Time, x, y of each correction.
    """

    number: int
    mean: Array
    cov: Array
    time: float
    seen: dict[str, float] = field(default_factory=dict)
    hits: int = 0
    support: float = 0.5
    confirmed: bool = False
    path: list[tuple[float, float, float]] = field(default_factory=list)

    @property
    def last(self) -> float:
        """When any camera last showed the person."""
        return max(self.seen.values(), default=self.time)
