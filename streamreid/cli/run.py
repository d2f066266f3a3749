"""``streamreid run``: follow people in files and streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from streamreid._limits import raise_open_files
from streamreid.cameras.config_watcher import CameraConfigWatcher
from streamreid.cameras.runtime_overrides import CameraOverrides
from streamreid.cli import options as o
from streamreid.cli.cluster_run import execute_on_cluster
from streamreid.cli.console import errors, output, set_up_logging, stop_on_signals
from streamreid.cli.page import page_of_run, tell_page
from streamreid.cli.progress import RunProgress
from streamreid.cli.run_summary import exit_code, print_summary
from streamreid.config import Config
from streamreid.config.association import check_cameras
from streamreid.config.inputs import configure, split_sources
from streamreid.pipeline import Pipeline, Run
from streamreid.pipeline.ground_plane import check_start
from streamreid.pipeline.run_state import read_begin
from streamreid.runs import run as run_pipeline
from streamreid.runs.place_editor import PlaceEditor
from streamreid.runs.place_overrides import PlaceOverrides
from streamreid.runs.result_folder import ResultsFolder, choose_folder
from streamreid.serving import Server
from streamreid.serving.setup_parts import SetupParts
from streamreid.sinks import Sink
from streamreid.sources import few_arenas, is_live, with_kinds

__all__ = ["appends", "execute", "follow", "launch", "run"]


def run(
    videos: Annotated[
        list[str] | None,
        typer.Argument(
            help="Videos, folders of images, addresses or webcam numbers; or one YAML file, as with --sources."
        ),
    ] = None,
    sources: Annotated[
        Path | None, typer.Option("--sources", "-s", help="YAML file with cameras and settings.")
    ] = None,
    out: o.Out = None,
    overwrite: o.Overwrite = False,
    detector: o.Detector = None,
    engine: o.Engine = None,
    delay: o.Delay = None,
    video: o.Video = None,
    mosaic: o.Mosaic = None,
    parquet: o.Parquet = None,
    rotate: o.Rotate = None,
    keep: o.Keep = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Also store detections and features here, for `streamreid replay` and `streamreid tune`; results stay "
                "the same, but all boxes are looked at, which takes longer."
            )
        ),
    ] = None,
    gallery: o.Gallery = None,
    serve: o.Serve = None,
    watch: o.Watch = None,
    cluster: o.Cluster = None,
    settings_file: o.SettingsFile = None,
    settings: o.Set = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Follow people across cameras and write who was where, when."""
    set_up_logging(quiet=quiet, verbose=verbose)
    drawn = {"video": video, "mosaic": mosaic}
    written = {"parquet": parquet, "rotate": rotate, "keep": keep}
    models = {"detector": detector, "engine": engine, "delay": delay, "gallery": gallery}
    changes = o.changes(settings, listen=serve, watch=watch, cluster=cluster, **models, **drawn, **written)
    read = partial(configure, videos or [], sources, settings_file=settings_file, changes=changes)
    cameras_file = split_sources(videos or [], sources)[1]
    raise typer.Exit(launch(read, "run", cameras_file, out=out, overwrite=overwrite, quiet=quiet, cache=cache))


def launch(
    read: Callable[[], Config],
    name: str,
    sources: Path | None,
    *,
    out: Path | None,
    overwrite: bool,
    quiet: bool,
    cache: Path | None = None,
) -> int:
    """Choose the folder of the results and run. Returns the exit code.

    Args:
        read: Reads the configuration, now and when the cameras file was edited.
        name: Of the results folder, where there is no cameras file to be named after.
        sources: The cameras file.
        out: The folder asked for.
        overwrite: Whether results that are there are replaced.
        quiet: Say nothing but errors.
        cache: Also store detections and features here.
    """

    def known() -> Config:
        # Whether there are live cameras decides what becomes of results that are there.
        config = read()
        return config.model_copy(update={"cameras": with_kinds(config.cameras)})

    config = known()
    asked, own = out or config.output.dir, sources.stem if sources else name
    if config.cluster.address is not None:
        append = appends(config)
        path = choose_folder(asked, own, overwrite=overwrite, append=append)
        return execute_on_cluster(
            config,
            path,
            overwrite=overwrite,
            append=append,
            endless=_endless(config),
            quiet=quiet,
            cache=cache,
            watched=sources,
            read=known,
        )
    with ResultsFolder.claim(asked, own, overwrite=overwrite, append=appends(config)) as folder:
        return execute(config, folder, quiet=quiet, cache=cache, watched=sources, read=known)


def appends(config: Config) -> bool:
    """Whether a run goes on in a folder with results of an earlier one: live runs do."""
    return config.live.append and _endless(config)


def _endless(config: Config) -> bool:
    """Whether cameras are live, or there is none yet."""
    return not config.cameras or any(is_live(c) for c in config.cameras)


def execute(
    config: Config,
    folder: ResultsFolder,
    *,
    quiet: bool,
    cache: Path | None = None,
    watched: Path | None = None,
    read: Callable[[], Config] | None = None,
) -> int:
    """Run, serve if asked to, show progress, print the table. Returns the exit code.

    Args:
        config: What to do.
        folder: Where results go, locked.
        quiet: Say nothing but errors.
        cache: Also store detections and features here; a cache that is there is replaced where results are.
        watched: The cameras file, to follow its changes if cameras are live.
        read: How it is read.
    """
    anew = folder.overwrite
    begin = read_begin(folder.path) if appends(config) and not anew else None
    serving, endless = config.server.listen is not None, _endless(config)
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
            Pipeline(config, cache=cache, overwrite=anew, begin=begin, stay=serving and endless)
        )
        pipeline.require_camera()
        folder.begin(config)  # all is open; before the server, which may write into the folder
        listeners: list[Sink] = []
        editor = PlaceEditor(pipeline, places)
        if serving:
            page = page_of_run(config.server)
            setup = SetupParts.of_run(folder.path, watched)
            server = stack.enter_context(
                Server(pipeline, config.server, changes, places=editor, setup=setup, page=page)
            )
            listeners += server.sinks
            errors.print(f"serving at {server.address}", highlight=False)
            tell_page(server.address, page, config.server)
        if watched is not None and config.live.watch and pipeline.live:
            follow_places = lambda now: editor.file_says(now.zones, now.lines)  # noqa: E731
            stack.enter_context(
                CameraConfigWatcher(watched, pipeline.cameras, load=read, changes=changes, places=follow_places)
            )
        return follow(pipeline, folder, quiet=quiet, listeners=listeners)


def follow(following: Run, folder: ResultsFolder, *, quiet: bool, listeners: Sequence[Sink] = ()) -> int:
    """Run a pipeline or a replay, show progress, print the table. Returns the exit code."""
    with following, stop_on_signals(following.stop), RunProgress(errors, quiet=quiet) as progress:
        summary = run_pipeline(following, folder, progress=progress.update, rendering=progress.say, listeners=listeners)
    if not quiet:
        print_summary(summary, output, following.config.association)
    return exit_code(summary)
