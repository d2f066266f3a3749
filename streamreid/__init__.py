"""Follow people across many cameras.

    from streamreid import Pipeline

    with Pipeline.from_sources("entrance.mp4", "hall.mp4") as pipeline:
        for result in pipeline:
            print(result.frame.camera, result.frame.time, result.global_ids, result.to_supervision())

The whole public API:

    Pipeline, run, Replay               frames in, people with identities out; a run with its files; a run once more
    Config, load_config                 cameras and settings
    FeatureExtractor                    pictures of people to part features
    open_run                            a finished run: its people, where they were and when
    search_gallery                      who looks like this, where and when were they seen
    Tracker, Associator                 one camera; across cameras; each on its own
    Frame, Detections, PartFeatures,    the values that travel
    Tracks, Tracklet, FrameResult,
    Identity, IdentityEvent
    StreamReIDError                     base of every error that is raised on purpose (streamreid.errors has the tree)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamreid._version import __version__

if TYPE_CHECKING:
    from streamreid.association import Associator
    from streamreid.config import Config, load_config
    from streamreid.errors import StreamReIDError
    from streamreid.pipeline import Pipeline
    from streamreid.reid import FeatureExtractor
    from streamreid.replay import Replay
    from streamreid.runs.finished_run import open_run
    from streamreid.runs.gallery_search import search_gallery
    from streamreid.runs.run import run
    from streamreid.tracking import Tracker
    from streamreid.types import Detections, Frame, FrameResult, Identity, IdentityEvent, PartFeatures, Tracklet, Tracks

__all__ = [
    "Associator",
    "Config",
    "Detections",
    "FeatureExtractor",
    "Frame",
    "FrameResult",
    "Identity",
    "IdentityEvent",
    "PartFeatures",
    "Pipeline",
    "Replay",
    "StreamReIDError",
    "Tracker",
    "Tracklet",
    "Tracks",
    "__version__",
    "load_config",
    "open_run",
    "run",
    "search_gallery",
]


_HOMES = {
    "Associator": "association",
    "Config": "config",
    "FeatureExtractor": "reid",
    "Pipeline": "pipeline",
    "Replay": "replay",
    "StreamReIDError": "errors",
    "Tracker": "tracking",
    "load_config": "config",
    "open_run": "runs.finished_run",
    "run": "runs",
    "search_gallery": "runs.gallery_search",
}
"""Rooms of the names that are not in ``types``."""


def __getattr__(name: str) -> Any:
    # Names are imported when they are used: the command line can still set its environment, and values stay quick to
    # import.
    if name not in __all__:
        raise AttributeError(f"module 'streamreid' has no attribute '{name}'")
    return getattr(import_module(f"streamreid.{_HOMES.get(name, 'types')}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
