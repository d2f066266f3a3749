"""Follow people across many cameras.

from streamreid import Pipeline

with Pipeline.from_sources("entrance.mp4", "hall.mp4") as pipeline:
    for result in pipeline:
        print(result.frame.camera, result.frame.time, result.global_ids, result.to_supervision())
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamreid._version import __version__
from streamreid.config import Config, load_config
from streamreid.errors import StreamReIDError
from streamreid.types import Detections, Frame, FrameResult, Identity, IdentityEvent, PartFeatures, Tracklet, Tracks

if TYPE_CHECKING:
    from streamreid.pipeline import Pipeline

__all__ = [
    "Config",
    "Detections",
    "Frame",
    "FrameResult",
    "Identity",
    "IdentityEvent",
    "PartFeatures",
    "Pipeline",
    "StreamReIDError",
    "Tracklet",
    "Tracks",
    "__version__",
    "load_config",
]


def __getattr__(name: str) -> Any:
    # The pipeline loads runtimes and decoders; values and configuration stay quick to import.
    if name == "Pipeline":
        from streamreid.pipeline import Pipeline

        return Pipeline
    raise AttributeError(f"module 'streamreid' has no attribute '{name}'")
