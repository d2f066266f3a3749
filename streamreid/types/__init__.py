"""The values that travel between the rooms: frames, detections, part features, tracks, tracklets, identities, events.

Images are uint8 BGR ``[H, W, 3]``. Boxes are float32 ``xyxy`` in pixels of the full frame. Times are capture times in
seconds: UTC for live cameras, offset + presentation time for files. Track ids are per camera and per run, global ids
never repeat; 0 means "none yet".
"""

from __future__ import annotations

from streamreid.types.arrays import BoolArray, ClockName, Float64Array, FloatArray, Image, IntArray, TrackKey
from streamreid.types.frames import Detections, EmbeddedFrame, Frame, PartFeatures, SimilaritySums
from streamreid.types.identities import (
    EventKind,
    Identity,
    IdentityEvent,
    IdentitySummary,
    KnownIdentity,
    PossibleLinks,
)
from streamreid.types.results import FrameResult
from streamreid.types.tracks import Tracklet, Tracks

__all__ = [
    "BoolArray",
    "ClockName",
    "Detections",
    "EmbeddedFrame",
    "EventKind",
    "Float64Array",
    "FloatArray",
    "Frame",
    "FrameResult",
    "Identity",
    "IdentityEvent",
    "IdentitySummary",
    "Image",
    "IntArray",
    "KnownIdentity",
    "PartFeatures",
    "PossibleLinks",
    "SimilaritySums",
    "TrackKey",
    "Tracklet",
    "Tracks",
]
