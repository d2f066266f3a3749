"""From the configuration to the sinks of a run. What draws pictures or writes tables is imported where it is asked
for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from streamreid.config import OutputConfig
from streamreid.sinks.base import FinalIdentities, Sink
from streamreid.sinks.jsonl import JsonlSink
from streamreid.sinks.mot import MotSink
from streamreid.sinks.result_block import BLOCK_SECONDS

if TYPE_CHECKING:
    from streamreid.sinks.drawing import DrawStyle

__all__ = ["draw_style", "open_sinks"]


def draw_style(output: OutputConfig) -> DrawStyle:
    """How films are drawn according to the configuration."""
    from streamreid.sinks.drawing import style_of

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
    block = 0.0 if live else BLOCK_SECONDS

    def wanted(name: str, asked: bool) -> bool:
        return asked and only in (None, name)

    try:
        if wanted("mot", output.mot or (not films and (output.video or output.mosaic))):  # films are drawn from it
            sinks.append(MotSink(folder / "mot", cameras, append=live, block_seconds=block))
        if wanted("jsonl", output.jsonl):
            sinks.append(
                JsonlSink(folder / "results.jsonl", cameras, append=live, resumed=only is not None, block_seconds=block)
            )
        if wanted("parquet", output.parquet):
            from streamreid.sinks.parquet import ParquetSink

            sinks.append(ParquetSink(folder / "results.parquet", append=live, believed=believed))
        if wanted("crops", output.crops):
            from streamreid.sinks.crops import CropSink

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
            from streamreid.sinks.video import VideoSink

            sinks.append(VideoSink(folder / "videos", draw_style(output), live=live))
        if wanted("mosaic", films and output.mosaic):
            from streamreid.sinks.video import MosaicSink

            sinks.append(MosaicSink(folder / "mosaic.mp4", cameras, draw_style(output), live=live))
    except BaseException:
        for sink in sinks:
            sink.abort()
        raise
    return sinks
