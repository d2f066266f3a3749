"""Run what is configured, serve it if asked to, show how it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from streamreid._limits import raise_open_files
from streamreid.cameras.runtime_overrides import CameraOverrides
from streamreid.cli.console import errors, output, stop_on_signals
from streamreid.cli.launching import appends, is_endless
from streamreid.cli.progress import RunProgress
from streamreid.config import Config
from streamreid.config.association import check_cameras
from streamreid.pipeline import Pipeline, Run
from streamreid.pipeline.ground_plane import check_start
from streamreid.pipeline.models import OpeningModels
from streamreid.pipeline.run_state import read_begin
from streamreid.runs import run as run_pipeline
from streamreid.runs.model_licences import detector_licence
from streamreid.runs.place_overrides import PlaceOverrides
from streamreid.runs.result_folder import ResultsFolder
from streamreid.sinks import Sink
from streamreid.sources import few_arenas

__all__ = ["execute", "follow"]


def execute(
    config: Config,
    folder: ResultsFolder,
    *,
    quiet: bool,
    cache: Path | None = None,
    watched: Path | None = None,
    read: Callable[[], Config] | None = None,
    models: OpeningModels | None = None,
) -> int:
    """Run, serve if asked to, show progress, print the table. Returns the exit code.

    Args:
        config: What to do.
        folder: Where results go, locked.
        quiet: Say nothing but errors.
        cache: Also store detections and features here; a cache that is there is replaced where results are.
        watched: The cameras file, to follow its changes if cameras are live.
        read: How it is read.
        models: Detector and engine, if they are being opened already.
    """
    anew = folder.overwrite
    begin = read_begin(folder.path) if appends(config) and not anew else None
    serving, endless = config.server.listen is not None, is_endless(config)
    if config.topology is not None:
        check_cameras(config.topology, [c.name for c in config.cameras])
    changes = CameraOverrides(folder.path, config.cameras, keep=appends(config) and config.server.keep_changes)
    check = partial(check_start, window=config.association.window, serving=serving and endless)
    places = PlaceOverrides(
        folder.path, config.zones, config.lines, keep=appends(config) and config.server.keep_changes
    )
    config = config if anew else places.begin(config.model_copy(update={"cameras": changes.begin(check)}))
    if endless:
        few_arenas()
        raise_open_files()
    with ExitStack() as stack:
        stack.callback(changes.close)
        pipeline = stack.enter_context(
            Pipeline(config, cache=cache, overwrite=anew, begin=begin, stay=serving and endless, models=models)
        )
        pipeline.require_camera()
        if not quiet:
            errors.print(_models(config, *pipeline.models), markup=False, highlight=False, soft_wrap=True)
        folder.begin(config)  # all is open; before the server, which may write into the folder
        listeners: list[Sink] = []
        watching = watched is not None and config.live.watch and pipeline.live
        if serving or watching:
            from streamreid.cli.live_run import follow_file, serve_run
            from streamreid.runs.place_editor import PlaceEditor

            editor = PlaceEditor(pipeline, places)
            if serving:
                listeners += stack.enter_context(serve_run(pipeline, folder.path, watched, changes, editor))
            if watched is not None and watching:
                stack.enter_context(follow_file(pipeline, watched, read, changes, editor))
        return follow(pipeline, folder, quiet=quiet, listeners=listeners)


def _models(config: Config, detector: str, engine: str) -> str:
    """What a run looks with, and on which terms."""
    licence = detector_licence(config.detector)
    return f"detector {detector}{f' ({licence})' if licence else ''}, engine {engine}"


def follow(following: Run, folder: ResultsFolder, *, quiet: bool, listeners: Sequence[Sink] = ()) -> int:
    """Run a pipeline or a replay, show progress, print the table. Returns the exit code."""
    with following, stop_on_signals(following.stop), RunProgress(errors, quiet=quiet) as progress:
        summary = run_pipeline(following, folder, progress=progress.update, rendering=progress.say, listeners=listeners)
    from streamreid.cli.run_summary import exit_code, print_summary  # at the end: tables take a while to import

    if not quiet:
        print_summary(summary, output, following.config.association)
    return exit_code(summary)
