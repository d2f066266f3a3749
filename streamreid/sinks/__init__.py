"""Results out: MOTChallenge text, JSON lines, Parquet, annotated video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from streamreid.config import OutputConfig
from streamreid.sinks.base import FinalIdentities, PeopleCount, Sink
from streamreid.sinks.crops import CropSink
from streamreid.sinks.drawing import Blur, DrawStyle, Painter, blurred, style_of
from streamreid.sinks.group import SinkGroup, output_name
from streamreid.sinks.jsonl import JsonlSink
from streamreid.sinks.mosaic import Mosaic
from streamreid.sinks.mot import MotSink
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


def draw_style(output: OutputConfig) -> DrawStyle:
    """How films are drawn according to the configuration."""
    return style_of(output)


def open_sinks(
    output: OutputConfig,
    folder: Path | str,
    cameras: list[str],
    *,
    films: bool = True,
    live: bool = False,
    believed: Callable[[], FinalIdentities] | None = None,
    only: str | None = None,
    scope: str = "",
) -> list[Sink]:
    """The sinks that a configuration asks for.

    Files: ``mot/<camera>.txt``, ``mot/global/<camera>.txt``, ``results.jsonl``, ``results.parquet``,
    ``videos/<camera>.mp4``, ``mosaic.mp4``, ``crops/``.

    Args:
        output: What is wanted.
        folder: Where it goes.
        cameras: Names, in the order of the mosaic.
        films: Also open the video sinks. Runs over recordings say False and call ``render_videos`` afterwards, so that
            films show final
        ids.
        believed: Who is who at present; may be asked from any thread.
        live: A run that may be started again in the same folder: files of earlier runs are added to or kept.
        only: Open this one only, by the name of ``output_name``, because it failed in this run.
        scope: Of the global ids, for crops; see `CropSink`.

    Raises:
        OutputError: The folder is not writable.
        MissingExtraError: Parquet is wanted but pyarrow is not installed.
    """
    folder = Path(folder)
    sinks: list[Sink] = []

    def wanted(name: str, asked: bool) -> bool:
        return asked and only in (None, name)

    try:
        if wanted("mot", output.mot or (not films and (output.video or output.mosaic))):  # films are drawn from it
            sinks.append(MotSink(folder / "mot", cameras, append=live))
        if wanted("jsonl", output.jsonl):
            sinks.append(JsonlSink(folder / "results.jsonl", cameras, append=live, resumed=only is not None))
        if wanted("parquet", output.parquet):
            sinks.append(ParquetSink(folder / "results.parquet", append=live, believed=believed))
        if wanted("crops", output.crops):
            sinks.append(
                CropSink(
                    folder / "crops",
                    cameras,
                    every=output.crops_every,
                    min_height=output.crops_min_height,
                    live=live,
                    blur=draw_style(output).blur,
                    scope=scope,
                )
            )
        if wanted("video", films and output.video):
            sinks.append(VideoSink(folder / "videos", draw_style(output), live=live))
        if wanted("mosaic", films and output.mosaic):
            sinks.append(MosaicSink(folder / "mosaic.mp4", cameras, draw_style(output), live=live))
    except BaseException:
        for sink in sinks:
            sink.abort()
        raise
    return sinks
