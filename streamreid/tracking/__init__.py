"""Tracks inside one camera: motion on capture time, assignment by overlap and looks, life cycle."""

from streamreid.tracking.tracker import Tracker

__all__ = ["Tracker"]
