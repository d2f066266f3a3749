"""How each moving camera moved from frame to frame, where a camera's configuration says that it moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from streamreid.tracking import CameraMotion
from streamreid.types import FloatArray, Frame

__all__ = ["CameraMotionEstimators", "MotionMethod"]

MotionMethod = Literal["none", "flow", "ecc"]


class CameraMotionEstimators:
    """Camera motion of all cameras, each frame against the one before.

    Args:
        method: Tells how a camera's motion is estimated ("none": it stands still).
    """

    def __init__(self, method: Callable[[str], MotionMethod]) -> None:
        self._method = method
        self._motions: dict[str, CameraMotion] = {}

    def __call__(self, frame: Frame, people: FloatArray) -> FloatArray | None:
        """Take a camera's next frame.

        Args:
            frame: With its picture.
            people: ``[N, 4]`` xyxy of people in it, who move by themselves.

        Returns:
            ``[2, 3]`` affine map from pixels of the camera's previous frame to pixels of this one; None for a camera
            that stands still.
        """
        method = self._method(frame.camera)
        if method == "none" or not frame.has_image:
            self._motions.pop(frame.camera, None)
            return None
        if frame.camera not in self._motions:
            self._motions[frame.camera] = CameraMotion(method)
        return self._motions[frame.camera](frame.image, people)

    def forget(self, camera: str) -> None:
        """Let go of what was estimated for a camera that was removed."""
        self._motions.pop(camera, None)
