"""Which file ``detector: {model: auto}`` stands for: the detector that comes with streamreid, which is Apache-2.0, so
that a run needs no network and nobody else's file."""

from __future__ import annotations

from pathlib import Path

from streamreid import weights

__all__ = ["ALTERNATIVE", "AUTO", "PREFERRED", "auto_detector", "find_auto_detector"]

AUTO = "auto"
"""What ``detector.model`` says to leave the choice open."""

PREFERRED = "person-nano"
"""Named weights that ``auto`` takes."""

ALTERNATIVE = "yolo11n"
"""Named weights, AGPL-3.0: what was the default before."""


def auto_detector() -> Path:
    """The file that ``auto`` stands for.

    Raises:
        WeightsError: It was changed, or is missing from this installation.
    """
    return weights.get(PREFERRED)


def find_auto_detector() -> Path | None:
    """The same; None if it is missing.

    Raises:
        WeightsError: It was changed.
    """
    return weights.find(PREFERRED)
