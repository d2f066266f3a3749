"""From the configuration to the sinks of a run. What draws pictures or writes tables is imported where it is asked
for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
            films show final ids.
        believed: Who is who at present; may be asked from any thread.
        live: A run that may be started again in the same folder: files of earlier runs are added to or kept.
        only: Open this one only, by the name of ``output_name``, because it failed in this run.
        scope: Of the global ids, for crops; see `CropSink`.

    Raises:
        OutputError: The folder is not writable.
        MissingExtraError: Parquet is wanted but pyarrow is not installed.
    """
    place = _Place(output, Path(folder), cameras, live=live, resumed=only is not None, believed=believed, scope=scope)
    wanted: dict[str, tuple[bool, Callable[[], Sink]]] = {
        "mot": (output.mot or (not films and (output.video or output.mosaic)), place.mot),  # films are drawn from it
        "jsonl": (output.jsonl, place.jsonl),
        "parquet": (output.parquet, place.parquet),
        "crops": (output.crops, place.crops),
        "video": (films and output.video, place.video),
        "mosaic": (films and output.mosaic, place.mosaic),
    }
    sinks: list[Sink] = []
    try:
        for name, (asked, opened) in wanted.items():
            if asked and only in (None, name):
                sinks.append(opened())
    except BaseException:
        for sink in sinks:
            sink.abort()
        raise
    return sinks


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the sinks of a run go, and how each is opened; see `open_sinks`."""

    output: OutputConfig
    folder: Path
    cameras: list[str]
    live: bool
    resumed: bool
    believed: Callable[[], FinalIdentities] | None
    scope: str

    @property
    def block(self) -> float:
        """Seconds of results that are written at once."""
        return 0.0 if self.live else BLOCK_SECONDS

    def mot(self) -> Sink:
        """Text per camera."""
        return MotSink(self.folder / "mot", self.cameras, append=self.live, block_seconds=self.block)

    def jsonl(self) -> Sink:
        """JSON lines."""
        path = self.folder / "results.jsonl"
        return JsonlSink(path, self.cameras, append=self.live, resumed=self.resumed, block_seconds=self.block)

    def parquet(self) -> Sink:
        """A table."""
        from streamreid.sinks.parquet import ParquetSink

        return ParquetSink(self.folder / "results.parquet", append=self.live, believed=self.believed)

    def crops(self) -> Sink:
        """Pictures of people."""
        from streamreid.sinks.crops import CropSink

        return CropSink(
            self.folder / "crops",
            self.cameras,
            every=self.output.crops_every,
            min_height=self.output.crops_min_height,
            live=self.live,
            blur=draw_style(self.output).blur,
            scope=self.scope,
        )

    def video(self) -> Sink:
        """A film per camera."""
        from streamreid.sinks.video import VideoSink

        return VideoSink(self.folder / "videos", draw_style(self.output), live=self.live)

    def mosaic(self) -> Sink:
        """A film of all cameras."""
        from streamreid.sinks.video import MosaicSink

        return MosaicSink(self.folder / "mosaic.mp4", self.cameras, draw_style(self.output), live=self.live)
