"""Tracks inside one camera: motion on capture time, assignment by overlap and looks, occlusion, life cycle, delayed
results."""

from streamreid.tracking.camera_motion import CameraMotion
from streamreid.tracking.fixed_lag import FixedLagTracks
from streamreid.tracking.presets import botsort, bytetrack
from streamreid.tracking.tracker import Tracker

__all__ = ["CameraMotion", "FixedLagTracks", "Tracker", "botsort", "bytetrack"]
