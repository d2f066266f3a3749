"""Frames in: video files, folders of images, network streams and webcams, each frame stamped with its capture time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamreid._lazy import lazily

if TYPE_CHECKING:
    from streamreid.sources._memory import few_arenas, give_back
    from streamreid.sources.base import FrameSource
    from streamreid.sources.clock import Clock, ManualClock, SystemClock
    from streamreid.sources.factory import open_source
    from streamreid.sources.images import ImageFolderSource
    from streamreid.sources.kinds import is_box_file, is_live, with_kind, with_kinds
    from streamreid.sources.live import LiveSource
    from streamreid.sources.paced_file import DatedSource, PacedSource
    from streamreid.sources.prefetch_reader import PrefetchReader
    from streamreid.sources.status import SourceStatus, WatchedSource
    from streamreid.sources.stream import StreamSource
    from streamreid.sources.video import VideoFileSource
    from streamreid.sources.webcam import WebcamSource


__all__ = [
    "Clock",
    "DatedSource",
    "FrameSource",
    "ImageFolderSource",
    "LiveSource",
    "ManualClock",
    "PacedSource",
    "PrefetchReader",
    "SourceStatus",
    "StreamSource",
    "SystemClock",
    "VideoFileSource",
    "WatchedSource",
    "WebcamSource",
    "few_arenas",
    "give_back",
    "is_box_file",
    "is_live",
    "open_source",
    "with_kind",
    "with_kinds",
]

__getattr__ = lazily(
    __name__,
    {
        "few_arenas": "_memory",
        "give_back": "_memory",
        "FrameSource": "base",
        "Clock": "clock",
        "ManualClock": "clock",
        "SystemClock": "clock",
        "open_source": "factory",
        "ImageFolderSource": "images",
        "is_box_file": "kinds",
        "is_live": "kinds",
        "with_kind": "kinds",
        "with_kinds": "kinds",
        "LiveSource": "live",
        "DatedSource": "paced_file",
        "PacedSource": "paced_file",
        "PrefetchReader": "prefetch_reader",
        "SourceStatus": "status",
        "WatchedSource": "status",
        "StreamSource": "stream",
        "VideoFileSource": "video",
        "WebcamSource": "webcam",
    },
)
