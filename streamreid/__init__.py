"""Follow people across many cameras.

from streamreid import Pipeline

with Pipeline.from_sources("entrance.mp4", "hall.mp4") as pipeline:
    for result in pipeline:
        print(result.frame.camera, result.frame.time, result.global_ids, result.to_supervision())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamreid._version import __version__

if TYPE_CHECKING:
    from streamreid.config import Config, load_config
    from streamreid.errors import StreamReIDError
    from streamreid.pipeline import Pipeline
    from streamreid.runs.gallery_search import search_gallery
    from streamreid.types import Detections, Frame, FrameResult, Identity, IdentityEvent, PartFeatures, Tracklet, Tracks

__all__ = [
    "Config",
    "Detections",
    "FeatureExtractor",
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
    "search_gallery",
]


_HOMES = {
    "Config": "config",
    "load_config": "config",
    "StreamReIDError": "errors",
    "Pipeline": "pipeline",
    "FeatureExtractor": "reid",
    "search_gallery": "runs.gallery_search",
}


def __getattr__(name: str) -> Any:
    # Names are imported when they are used: the command line can still set its environment, and values stay quick to
    # import.
    if name not in __all__:
        raise AttributeError(f"module 'streamreid' has no attribute '{name}'")
    return getattr(import_module(f"streamreid.{_HOMES.get(name, 'types')}"), name)
