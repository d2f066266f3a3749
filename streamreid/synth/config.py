"""What a generated scene is like: how many people and cameras, how crowded, how bad the cameras are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from streamreid._sections import Section

__all__ = ["LEVELS", "Crowding", "Level", "SceneConfig"]

Level = Literal["light", "medium", "heavy"]


@dataclass(frozen=True, slots=True)
class Crowding:
    """How much of people is hidden.

    Args:
        occupancy: People in one place at a time, on average, where the length of the scene is not given.
        obstacles: Obstacles per place.
        low: Share of obstacles that are low walls, which hide legs.
        group: Probability that somebody walks beside the person before.
        stay: Least and greatest number of points that people walk to inside a place.
    """

    occupancy: float
    obstacles: int
    low: float
    group: float
    stay: tuple[int, int]

    @property
    def visit(self) -> float:
        """Seconds that people stay in a place, on average (as measured)."""
        return 7.0 + 4.5 * (self.stay[0] + self.stay[1]) / 2


LEVELS: dict[str, Crowding] = {
    "light": Crowding(3.0, 0, 0.0, 0.0, (1, 3)),
    "medium": Crowding(6.0, 3, 0.4, 0.25, (2, 4)),
    "heavy": Crowding(10.0, 6, 0.6, 0.5, (3, 6)),
}


_LEAST = 60.0  # seconds


class SceneConfig(Section):
    """A generated scene. The same values and people give the same scene."""

    people: int = Field(default=30, ge=1, le=2000, description="How many people walk about.")
    cameras: int = Field(default=4, ge=1, le=64, description="How many cameras watch.")
    level: Level = Field(default="medium", description="How much people are hidden, by each other and by obstacles.")
    seconds: float | None = Field(
        default=None,
        gt=0,
        le=86400,
        description="Length; empty: as long as keeps the places as crowded as the level says.",
    )
    fps: float = Field(default=10.0, gt=0, le=60, description="Frames per second of every camera.")
    width: int = Field(default=768, ge=160, le=3840, description="Width of the pictures in pixels.")
    height: int = Field(default=432, ge=120, le=2160, description="Height of the pictures in pixels.")
    visits: int = Field(default=2, ge=1, le=20, description="How many places everybody walks through.")
    linger: int = Field(
        default=0, ge=0, le=1000, description="To how many points more than usual everybody walks inside each place."
    )
    away: tuple[float, float] = Field(
        default=(0.0, 0.0),
        description="Least and greatest number of seconds that people stay out of view between two visits.",
    )
    passing: float = Field(
        default=0.0, ge=0, le=1, description="Share of visits that only cross a corner of the place."
    )
    overlap: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of the cameras that share their place with others and look at it from different sides.",
    )
    together: int = Field(
        default=2, ge=2, le=8, description="How many cameras look at a place that is looked at by several."
    )
    place: tuple[float, float] = Field(default=(11.0, 8.0), description="Width and depth of a place in metres.")
    lighting: float = Field(
        default=1.0, ge=0, le=2, description="How differently the cameras render light and colour; 0 is all alike."
    )
    skew: float = Field(
        default=0.0, ge=0, le=60, description="Clocks are wrong by up to so many seconds, the first camera's is right."
    )
    drop: float = Field(default=0.0, ge=0, le=0.9, description="Share of frames that get lost.")
    offline: int = Field(default=0, ge=0, le=64, description="How many cameras are off for a fifth of the time.")
    seed: int = Field(default=0, ge=0, description="Another number, another scene.")

    @model_validator(mode="after")
    def _even(self) -> SceneConfig:
        if self.width % 2 or self.height % 2:
            raise ValueError(f"width and height must be even numbers, got {self.width} x {self.height}")
        if not all(2 <= side <= 100 for side in self.place):
            raise ValueError(f"a place is 2 to 100 m wide and deep, got {self.place[0]:g} x {self.place[1]:g}")
        if not 0 <= self.away[0] <= self.away[1]:
            raise ValueError(f"away is the least and the greatest number of seconds, got {list(self.away)}")
        if self.offline > self.cameras:
            raise ValueError(f"{self.offline} cameras cannot be off: there are {self.cameras}")
        if self.frames < 1:
            raise ValueError(f"{self.duration:g} s at {self.fps:g} frames per second are no frame at all")
        return self

    @property
    def crowding(self) -> Crowding:
        """The numbers behind the level's name."""
        return LEVELS[self.level]

    @property
    def groups(self) -> list[int]:
        """How many cameras look at each place."""
        several = min(round(self.overlap * self.cameras / self.together), self.cameras // self.together)
        return [self.together] * several + [1] * (self.cameras - self.together * several)

    @property
    def duration(self) -> float:
        """Length of the scene in seconds, given or from the number of visits."""
        if self.seconds is not None:
            return self.seconds
        return max(
            _LEAST,
            self.people
            * self.visits
            * (self.crowding.visit + 4.5 * self.linger)
            / (len(self.groups) * self.crowding.occupancy),
        )

    @property
    def frames(self) -> int:
        """Frames of a camera that is always on."""
        return round(self.duration * self.fps)
