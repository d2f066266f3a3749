"""Tracking and association again, from a cache; what can be learnt from one."""

from streamreid.replay.replay import Replay

__all__ = ["Replay"]
