"""A whole run: pipeline, sinks, videos, summary. What ``streamreid run`` and every clip of ``streamreid batch`` do."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from streamreid.config import CameraConfig, Config
from streamreid.pipeline.files import FolderLock, write_json
from streamreid.pipeline.folders import choose_folder
from streamreid.pipeline.following import Following
from streamreid.pipeline.grounding import WORLD, write_world
from streamreid.pipeline.recording import Recording
from streamreid.pipeline.summary import CameraSummary, Summary, summarise
from streamreid.secrets import redact_data
from streamreid.sinks import RotatingSink, Sink, WorldSink, list_pieces, open_sinks, render_videos
from streamreid.sources import SystemClock, open_source
from streamreid.types import Frame

__all__ = ["CameraSummary", "Summary", "choose_folder", "run", "write_json"]

log = logging.getLogger(__name__)
Progress = Callable[[Following], None]


def run(
    pipeline: Following,
    folder: Path,
    *,
    progress: Progress | None = None,
    rendering: Callable[[str], None] | None = None,
    listeners: Sequence[Sink] = (),
) -> Summary:
    """Run a pipeline to its end (or until ``pipeline.stop()``), write everything the configuration asks for.

    Args:
        pipeline: Fresh pipeline or replay.
        folder: Results go here; it is made if needed. A live run adds to what an earlier live run left.
        progress: Called after every frame, and twice a second while live cameras give nothing.
        rendering: Called with a sentence when the videos are being drawn.
        listeners: Sinks that get everything too.

    Raises:
        SourceError: No camera could be opened.
        OutputError: Results cannot be written.
    """
    output, live = pipeline.config.output, pipeline.live
    show = progress or (lambda _: None)
    with FolderLock(folder, wanted=live):
        own = _open_sinks(pipeline, folder)
        sinks = [*own, *listeners]
        pieces = next((sink for sink in own if isinstance(sink, RotatingSink)), None)
        try:
            _record(pipeline, Recording(pipeline, sinks, folder, continued=live, pieces=pieces), show)
        except BaseException:
            for sink in sinks:
                sink.abort()
            raise
        if not live and (output.video or output.mosaic):
            if rendering is not None:
                rendering("drawing the videos")
            render_videos(_frames_again(pipeline), folder, output)
        if pipeline.ground is not None and not live:
            write_world(folder / WORLD, pipeline.ground.finish(pipeline.identities), *pipeline.ground.timing)
        summary = summarise(pipeline, folder)
        write_json(folder / "summary.json", {**summary.as_dict(), "configuration": _public(pipeline)})
    return summary


def _open_sinks(pipeline: Following, folder: Path) -> list[Sink]:
    output, live = pipeline.config.output, pipeline.live

    def in_folder(path: Path) -> list[Sink]:
        # Videos of files are drawn afterwards, when every correction of an identity is known.
        sinks = open_sinks(output, path, [c.name for c in pipeline.camera_configs], films=live, live=live)
        return [*sinks, WorldSink(path / WORLD)] if live and pipeline.ground is not None else sinks

    if live and (output.rotate is not None or list_pieces(folder)):
        return [RotatingSink(folder, output.rotate, in_folder, lambda: pipeline.identities, SystemClock().now)]
    return in_folder(folder)


def _record(pipeline: Following, recording: Recording, show: Progress) -> None:
    def idle() -> None:
        recording.flush()
        recording.tick()
        show(pipeline)

    pipeline.idle = idle
    for result in pipeline:
        with pipeline.statistics.stage("write"):
            recording.write(result)
        show(pipeline)
    recording.close()


def _frames_again(pipeline: Following) -> dict[str, Callable[[], Iterator[Frame]]]:
    """For each camera, its used frames once more (only those that were processed)."""

    def again(camera: CameraConfig, count: int) -> Iterator[Frame]:
        with open_source(camera) as source:
            for number, frame in enumerate(source, 1):
                yield frame
                if number >= count:
                    return

    counts = pipeline.statistics.cameras
    return {c.name: (lambda c=c: again(c, counts[c.name].frames)) for c in pipeline.config.cameras if counts[c.name].frames}  # type: ignore[misc]


def _public(pipeline: Following) -> Any:
    config: Config = pipeline.config.model_copy(update={"cameras": tuple(pipeline.camera_configs)})
    return redact_data(json.loads(config.model_dump_json()))
