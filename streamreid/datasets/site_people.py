"""Pictures of people whom nobody named: tracks of a site, and what is known of who is who among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.types import BoolArray, Image

__all__ = ["SitePeople"]


@dataclass(frozen=True, slots=True, eq=False)
class SitePeople:
    """M pictures of T tracks, which show G people as far as is known: two of them may be one person.

    Args:
        pictures: ``[M, H, W, 3]`` uint8 BGR.
        track: ``[M]`` whose picture it is.
        person: ``[T]`` who is shown, a number below G.
        camera: ``[T]`` number of the camera.
        apart: ``[G, G]`` surely two people.
    """

    pictures: Image
    track: NDArray[np.intp]
    person: NDArray[np.intp]
    camera: NDArray[np.intp]
    apart: BoolArray

    def __post_init__(self) -> None:
        if len(self.track) != len(self.pictures) or len(self.person) != len(self.camera):
            raise ValueError(
                f"SitePeople: {len(self.pictures)} pictures, {len(self.track)} owners; {len(self.person)} and "
                f"{len(self.camera)} tracks"
            )
        if self.apart.shape != (len(self.apart), len(self.apart)) or (self.apart != self.apart.T).any():
            raise ValueError(f"SitePeople: apart must be symmetric [G, G], got {self.apart.shape}")

    def __repr__(self) -> str:
        return f"SitePeople(pictures={len(self.pictures)}, tracks={len(self.person)}, people={len(self.apart)})"
