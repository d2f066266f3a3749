"""The seam through which positions on the ground join the evidence of appearance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from streamreid.types import FloatArray, TrackKey, Tracks

__all__ = ["SpatialEvidence"]


class SpatialEvidence(Protocol):
    """What the places of two tracks say about their being one person.

    It sees every reported frame in the order of the run, keeps what it needs of each track, and is asked about pairs of
    tracks. Cameras it knows nothing about add nothing.
    """

    def observe_tracks(self, camera: str, time: float, tracks: Tracks, size: tuple[int, int]) -> None:
        """Take the boxes of one frame.

        Args:
            camera: Name of the camera.
            time: Capture time in seconds.
            tracks: The people in it.
            size: Width and height of the picture.
        """

    def log_odds(self, a: Sequence[TrackKey], b: Sequence[TrackKey]) -> FloatArray:
        """``[N, M]`` float32: log likelihood ratio of "one person" against "two people" for each pair, by place and
        time alone; 0 says nothing.

        Positive where they walked together, strongly negative (down to -30) where one person cannot have been in both
        places.
        """

    def forget(self, tracks: Iterable[TrackKey]) -> None:
        """These tracks will not be asked about again."""
