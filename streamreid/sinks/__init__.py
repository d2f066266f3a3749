"""Results out: MOTChallenge text, JSON lines, Parquet, annotated video."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamreid._lazy import lazily

if TYPE_CHECKING:
    from streamreid.sinks.base import FinalIdentities, PeopleCount, Sink
    from streamreid.sinks.crops import CropSink
    from streamreid.sinks.drawing import Blur, DrawStyle, Painter, blurred
    from streamreid.sinks.group import SinkGroup, output_name
    from streamreid.sinks.jsonl import JsonlSink
    from streamreid.sinks.mosaic import Mosaic
    from streamreid.sinks.mot import MotSink
    from streamreid.sinks.opening import draw_style, open_sinks
    from streamreid.sinks.parquet import ParquetSink
    from streamreid.sinks.rotation import RotatingSink
    from streamreid.sinks.segments import RESULTS, list_segments, result_folders
    from streamreid.sinks.video import MosaicSink, VideoSink
    from streamreid.sinks.video_rendering import MaskFiles, render_videos
    from streamreid.sinks.world import WorldSink

__all__ = [
    "RESULTS",
    "Blur",
    "CropSink",
    "DrawStyle",
    "FinalIdentities",
    "JsonlSink",
    "MaskFiles",
    "Mosaic",
    "MosaicSink",
    "MotSink",
    "Painter",
    "ParquetSink",
    "PeopleCount",
    "RotatingSink",
    "Sink",
    "SinkGroup",
    "VideoSink",
    "WorldSink",
    "blurred",
    "draw_style",
    "list_segments",
    "open_sinks",
    "output_name",
    "render_videos",
    "result_folders",
]

__getattr__ = lazily(
    __name__,
    {
        "FinalIdentities": "base",
        "PeopleCount": "base",
        "Sink": "base",
        "CropSink": "crops",
        "Blur": "drawing",
        "DrawStyle": "drawing",
        "Painter": "drawing",
        "blurred": "drawing",
        "SinkGroup": "group",
        "output_name": "group",
        "JsonlSink": "jsonl",
        "Mosaic": "mosaic",
        "MotSink": "mot",
        "draw_style": "opening",
        "open_sinks": "opening",
        "ParquetSink": "parquet",
        "RotatingSink": "rotation",
        "RESULTS": "segments",
        "list_segments": "segments",
        "result_folders": "segments",
        "MosaicSink": "video",
        "VideoSink": "video",
        "MaskFiles": "video_rendering",
        "render_videos": "video_rendering",
        "WorldSink": "world",
    },
)
