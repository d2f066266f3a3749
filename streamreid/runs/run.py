"""A whole run: pipeline, sinks, videos, summary. What ``streamreid run`` and every clip of ``streamreid batch`` do."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamreid._age_clock import boot_seconds
from streamreid._version import __version__
from streamreid.config import CameraConfig, Config
from streamreid.corrections import CorrectionLog
from streamreid.errors import DataError, OutputError, StreamReIDError
from streamreid.files import write_json
from streamreid.pipeline.ground_plane import WORLD, write_world
from streamreid.pipeline.run import Run
from streamreid.runs.result_folder import ResultsFolder, choose_folder
from streamreid.runs.result_writer import ResultWriter, begin_state
from streamreid.runs.summary import CameraSummary, Summary, summarise
from streamreid.secrets import redact, redact_data
from streamreid.sinks import Sink, SinkGroup, list_segments, open_sinks
from streamreid.sources import SystemClock, open_source
from streamreid.types import Frame

if TYPE_CHECKING:
    from streamreid.gallery import Gallery
    from streamreid.messages import MessageSink
    from streamreid.sinks import MaskFiles, RotatingSink

__all__ = ["CameraSummary", "Summary", "choose_folder", "run", "write_json"]

log = logging.getLogger(__name__)
Progress = Callable[[Run], None]

_MASKS = ".masks"
"""Folder beside the results while a run with blurred films goes on."""


def run(
    pipeline: Run,
    folder: str | Path | ResultsFolder,
    *,
    progress: Progress | None = None,
    rendering: Callable[[str], None] | None = None,
    listeners: Sequence[Sink] = (),
) -> Summary:
    """Run a pipeline to its end (or until ``pipeline.stop()``), write everything the configuration asks for.

    Example:
        >>> from streamreid import Pipeline, run
        >>> with Pipeline.from_sources("entrance.mp4", output={"parquet": False}) as pipeline:
        ...     summary = run(pipeline, "results")  # results.jsonl, mot/, summary.json
        >>> summary.frames, sorted(summary.cameras)
        (40, ['entrance'])

    An output that cannot be written is given up with its reason, in ``pipeline.statistics.outputs`` and the summary,
    and the others go on; in live runs text and tables are tried again until they can be written.

    Args:
        pipeline: Fresh pipeline or replay.
        folder: Results go here; it is made if needed. A live run adds to what an earlier live run left, results of
            recordings are replaced once the first new result is there.
        progress: Called after every frame, and twice a second while live cameras give nothing.
        rendering: Called with a sentence when the videos are being drawn.
        listeners: Sinks that get everything too.

    Raises:
        SourceError: No camera could be opened.
        FolderBusy: Another process writes to the folder.
        OutputError: No result can be written.
    """
    if isinstance(folder, str | Path):
        with ResultsFolder(Path(folder), overwrite=not pipeline.live) as claimed:
            return run(pipeline, claimed, progress=progress, rendering=rendering, listeners=listeners)
    path = folder.path
    pipeline.require_camera()
    if pipeline.memory is None:
        folder.begin(pipeline.config)
    else:
        _begin_with_gallery(pipeline.memory.store, folder, pipeline.config)
    with ExitStack() as stack:
        masks = _mask_files(pipeline, path)
        if masks is not None:
            stack.enter_context(masks)
        return _run(pipeline, folder, masks, (progress or (lambda _: None), rendering or (lambda _: None)), listeners)


def _run(
    pipeline: Run,
    folder: ResultsFolder,
    masks: MaskFiles | None,
    tell: tuple[Progress, Callable[[str], None]],
    listeners: Sequence[Sink],
) -> Summary:
    path, failures, (show, rendering) = folder.path, pipeline.statistics.outputs, tell
    if pipeline.live:
        begin_state(path, pipeline.begin)
    scope = _take_up_corrections(pipeline, path)
    own, reopen, segments = _open_sinks(pipeline, path)
    # Colours without the people whose they are would be no result.
    extras: list[Sink] = list(listeners)
    if pipeline.config.output.part_colours and not _let_go_of(pipeline):
        from streamreid.sinks.colours import COLOURS, ColourSink

        extras.append(ColourSink(path / COLOURS, append=pipeline.live))
    sinks: list[Sink] = [SinkGroup(own, failures, reopen=reopen), SinkGroup(extras, failures, required=False)]
    try:
        messages = None
        if pipeline.config.messages.brokers:
            settled, messages = _open_messages(pipeline, path)
            sinks += [settled, messages]
        recording = ResultWriter(pipeline, sinks, path, continued=pipeline.live, segments=segments, messages=messages)
        _record(pipeline, recording, folder, show)
    except BaseException:
        for sink in sinks:
            sink.abort()
        raise
    if not pipeline.live:
        _write_afterwards(pipeline, path, masks, rendering)
    try:
        _erase_forgotten(path, scope)
    except OutputError as error:
        _give_up(failures, "erasure", error)
    summary = summarise(pipeline, path)
    try:
        write_json(path / "summary.json", {**summary.as_dict(), "configuration": _public(pipeline)})
    except OutputError as error:
        _give_up(failures, "summary", error)
        summary = replace(summary, outputs_failed=dict(failures))
    return summary


def _let_go_of(pipeline: Run) -> bool:
    """Whether results are deleted after some time: what is written when the run ends would outlive them."""
    rotate = pipeline.config.output.rotate
    return rotate is not None and rotate.keep_hours is not None


def _begin_with_gallery(store: Gallery, folder: ResultsFolder, config: Config) -> None:
    """Begin, and note on both sides that these results belong to the gallery."""
    from streamreid.runs.erasure import mark_results, register_results

    register_results(store, folder.path)
    folder.begin(config)
    mark_results(store, folder.path)


def _open_messages(pipeline: Run, folder: Path) -> tuple[Sink, MessageSink]:
    """Where brokers are told what happens, and what has to be counted for that."""
    from streamreid.messages import MessageSink
    from streamreid.runs.recent_counts import SettledTracksSink, counts_of_last_hour

    settled, config = SettledTracksSink(), pipeline.config.messages
    sink = MessageSink(
        config,
        folder,
        cameras=[c.name for c in pipeline.camera_configs],
        zones=list(dict.fromkeys(zone.name for zone in pipeline.config.zones)),
        live=pipeline.live,
        continued=bool(pipeline.begin.runs) or pipeline.memory is not None,
        version=__version__,
        counts=lambda: counts_of_last_hour(pipeline, settled.tracks, interval=True),
    )
    pipeline.statistics.deliveries = sink.states
    return settled, sink


def _write_afterwards(pipeline: Run, folder: Path, masks: MaskFiles | None, rendering: Callable[[str], None]) -> None:
    """Of recordings: films, with final identities, and ways on the ground."""
    output, failures = pipeline.config.output, pipeline.statistics.outputs
    if output.video or output.mosaic:
        rendering("drawing the videos")
        films = "mosaic" if output.mosaic else "video"
        try:
            if "mot" in failures:
                raise OutputError("films are drawn from the MOT text, which could not be written")
            from streamreid.sinks import render_videos

            if masks is not None:
                masks.close()
            render_videos(
                _frames_again(pipeline),
                folder,
                output,
                masks=None if masks is None else masks.folder,
                names=pipeline.identities.names,
            )
        except (OutputError, DataError) as error:
            _give_up(failures, films, error)
    if pipeline.ground is not None:
        try:
            write_world(folder / WORLD, pipeline.ground.finish(pipeline.identities), *pipeline.ground.timing)
        except OutputError as error:
            _give_up(failures, "world", error)


def _take_up_corrections(pipeline: Run, folder: Path) -> str:
    """Keep what people correct beside the results; who was forgotten in a run that was killed goes from its results.

    Returns:
        The scope of crops.
    """
    scope = _scope(pipeline)
    _erase_forgotten(folder, scope)
    if isinstance(pipeline, Run):  # a run on a cluster associates elsewhere
        pipeline.corrections.keep_in(folder)
    return scope


def _scope(pipeline: Run) -> str:
    """In which global ids of crops are unique; '' where that is nowhere."""
    if pipeline.memory is None:
        return ""
    from streamreid.runs.erasure import crop_scope

    return crop_scope(pipeline.memory.store)


def _erase_forgotten(folder: Path, scope: str) -> None:
    """Erase from results whoever was forgotten while they were written."""
    said = CorrectionLog(folder)
    if any(correction.kind == "forget" for correction in said.entries):
        from streamreid.runs.erasure import NO_SCOPE, erase_forgotten

        erase_forgotten(folder, said, scope=scope or NO_SCOPE)


def _give_up(failures: MutableMapping[str, str], name: str, error: StreamReIDError) -> None:
    failures[name] = redact(error)
    log.error("output '%s' is given up: %s", name, failures[name])


def _mask_files(pipeline: Run, folder: Path) -> MaskFiles | None:
    """Keep what is to be blurred in films that are drawn afterwards, when it is known who was where before and
    after."""
    output = pipeline.config.output
    if pipeline.live or not pipeline.masks.wanted or not (output.video or output.mosaic):
        return None
    from streamreid.sinks import MaskFiles

    files = MaskFiles(folder / _MASKS)
    pipeline.masks.record_to(
        lambda camera, moment: files.write(camera, moment.index, moment.boxes),
        ahead=pipeline.config.tracker.lost_seconds,
    )
    return files


def _open_sinks(
    pipeline: Run, folder: Path
) -> tuple[list[Sink], Callable[[str], Sink | None] | None, RotatingSink | None]:
    """The sinks of a run; how one of them is opened anew (by its name; of live runs only); and the one among them whose
    results come in segments."""
    output, live, scope = pipeline.config.output, pipeline.live, _scope(pipeline)

    def in_folder(path: Path, only: str | None = None) -> list[Sink]:
        # Videos of files are drawn afterwards, when every correction of an identity is known.
        cameras = [c.name for c in pipeline.camera_configs]
        sinks = open_sinks(
            output, path, cameras, films=live, live=live, believed=lambda: pipeline.identities, only=only, scope=scope
        )
        if live and pipeline.ground is not None:
            from streamreid.sinks import WorldSink

            sinks += [WorldSink(path / WORLD)] if only in (None, WorldSink.output) else []
        return sinks

    def again(path: Path, name: str) -> Sink | None:
        return next(iter(in_folder(path, name)), None)

    if live and (output.rotate is not None or list_segments(folder)):
        from streamreid.sinks import RotatingSink

        failures = pipeline.statistics.outputs
        now, identities = SystemClock().now, lambda: pipeline.identities
        rotating = RotatingSink(
            folder, output.rotate, in_folder, identities, now, steady=boot_seconds, reopen=again, failures=failures
        )
        return [rotating], None, rotating
    return in_folder(folder), partial(again, folder) if live else None, None


def _record(pipeline: Run, recording: ResultWriter, folder: ResultsFolder, show: Progress) -> None:
    def idle() -> None:
        recording.flush()
        recording.tick()
        show(pipeline)

    for result in pipeline.results(idle=idle):
        with pipeline.statistics.stage("write"):
            recording.write(result)
        folder.commit()
        show(pipeline)
    recording.close()


def _frames_again(pipeline: Run) -> dict[str, Callable[[], Iterator[Frame]]]:
    """For each camera, its used frames once more (only those that were processed)."""

    def again(camera: CameraConfig, count: int) -> Iterator[Frame]:
        with open_source(camera) as source:
            for number, frame in enumerate(source, 1):
                yield frame
                if number >= count:
                    return

    counts = pipeline.statistics.cameras
    used = [c for c in pipeline.config.cameras if counts[c.name].frames]
    return {c.name: partial(again, c, counts[c.name].frames) for c in used}


def _public(pipeline: Run) -> Any:
    now = {
        "cameras": tuple(pipeline.camera_configs),
        "zones": pipeline.places.zones,
        "lines": pipeline.places.lines,
    }
    config: Config = pipeline.config.model_copy(update=now)
    return redact_data(json.loads(config.model_dump_json()))
