"""Frames in: video files, folders of images, network streams and webcams, each frame stamped with its capture time."""

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
