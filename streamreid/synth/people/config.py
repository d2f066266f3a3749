"""What a set of synthetic people is like."""

from __future__ import annotations

from pydantic import Field, model_validator

from streamreid._sections import Section

__all__ = ["GENERATOR", "PeopleConfig"]

GENERATOR = 1
"""Version of the generator: the same version, settings and clothes give the same pictures."""


class PeopleConfig(Section):
    """A set of pictures of people that never lived. Every person depends on the seed and their number alone."""

    people: int = Field(default=1000, ge=1, le=9_000_000, description="How many people to train on.")
    cameras: int = Field(default=24, ge=1, le=900, description="How many cameras see them, each with its own picture.")
    cameras_per_person: int = Field(default=3, ge=1, le=64, description="By how many of them each person is seen.")
    pictures: int = Field(default=3, ge=1, le=100, description="Pictures of each person by each of these cameras.")
    test_people: int = Field(
        default=0, ge=0, le=900_000, description="Further people, seen by further cameras: query and gallery."
    )
    test_cameras: int = Field(default=6, ge=2, le=90, description="How many cameras see these.")
    occluded: float = Field(
        default=0.2, ge=0, le=1, description="Share of pictures with somebody or something in front of the person."
    )
    behind: float = Field(default=0.3, ge=0, le=1, description="Share of pictures with somebody else behind.")
    cut: float = Field(
        default=0.12, ge=0, le=1, description="Share of pictures whose box leaves out the head, the legs or a side."
    )
    seed: int = Field(default=0, ge=0, description="Another number, other people and cameras.")

    @model_validator(mode="after")
    def _enough_cameras(self) -> PeopleConfig:
        if self.cameras_per_person > self.cameras:
            raise ValueError(
                f"nobody can be seen by {self.cameras_per_person} cameras (cameras_per_person): there are "
                f"{self.cameras} (cameras)"
            )
        return self
