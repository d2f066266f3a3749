"""``streamreid run``: follow people in files and streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from streamreid._association_settings import check_cameras
from streamreid._limits import raise_open_files
from streamreid._yaml import parse_yaml, read_yaml, validate
from streamreid.cameras.config_watcher import CameraConfigWatcher
from streamreid.cameras.runtime_overrides import CameraOverrides
from streamreid.cli import options as o
from streamreid.cli.console import errors, output, set_up_logging, stop_on_signals
from streamreid.cli.progress import RunProgress
from streamreid.cli.report import print_summary
from streamreid.config import Config, load_config
from streamreid.errors import ConfigError
from streamreid.media import is_picture, is_video
from streamreid.pipeline import FrameProcessor, Pipeline
from streamreid.pipeline.ground_plane import check_start
from streamreid.pipeline.pipeline import camera_name
from streamreid.pipeline.run_state import read_begin
from streamreid.runs import run as run_pipeline
from streamreid.runs.result_folder import ResultsFolder
from streamreid.serving import Server
from streamreid.sinks import Sink
from streamreid.sources import few_arenas, is_live, with_kinds

__all__ = [
    "appends",
    "as_sources",
    "change",
    "configure",
    "execute",
    "follow",
    "launch",
    "merge",
    "read_settings",
    "run",
]


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
    settings_file: o.SettingsFile = None,
    settings: o.Set = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Follow people across cameras and write who was where, when."""
    set_up_logging(quiet=quiet, verbose=verbose)
    drawn = {"video": video, "mosaic": mosaic}
    written = {"parquet": parquet, "rotate": rotate, "keep": keep}
    changes = o.changes(
        detector=detector, engine=engine, delay=delay, gallery=gallery, listen=serve, watch=watch, **drawn, **written
    )
    read = partial(configure, videos or [], sources, changes, settings or [], settings_file)
    listing = as_sources(videos or [], sources)[1]
    raise typer.Exit(launch(read, "run", listing, out=out, overwrite=overwrite, quiet=quiet, cache=cache))


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
    with ResultsFolder.claim(asked, own, overwrite=overwrite, append=appends(config)) as folder:
        return execute(config, folder, quiet=quiet, cache=cache, watched=sources, read=known)


def appends(config: Config) -> bool:
    """Whether a run goes on in a folder with results of an earlier one: live runs do."""
    return config.live.append and _endless(config)


def _endless(config: Config) -> bool:
    """Whether cameras are live, or there is none yet."""
    return not config.cameras or any(is_live(c) for c in config.cameras)


def configure(
    videos: list[str],
    sources: Path | None,
    changes: dict[str, Any],
    settings: list[str],
    settings_file: Path | None = None,
    *,
    empty: bool = False,
) -> Config:
    """The configuration from a YAML file or from sources on the command line, with the sections of a settings file and
    single settings changed.

    Args:
        videos: Sources given on the command line.
        sources: The YAML file, instead.
        changes: Settings by dotted key; None leaves them as they are.
        settings: Settings as written on the command line.
        settings_file: YAML with sections but no cameras.
        empty: Neither gives a run without cameras, to which some may be added, instead of an error.

    Raises:
        ConfigError: Neither or both given, or a wrong key or value.
    """
    names: list[str] = []
    videos, sources = as_sources(videos, sources)
    none = empty and sources is None and not videos
    if sources is not None and not videos:
        data = load_config(sources).model_dump()
    elif (videos and sources is None) or none:
        data = {"cameras": [{"name": camera_name(v, names), "uri": v} for v in videos or ["none"]]}
    else:
        raise ConfigError("pass either --sources cams.yaml or one or more videos: streamreid run a.mp4 b.mp4")
    merge(data, read_settings(settings_file))
    change(data, changes, settings)
    config = Config.from_dict(data, where="command line")
    return config.model_copy(update={"cameras": ()}) if none else config


def as_sources(videos: list[str], sources: Path | None) -> tuple[list[str], Path | None]:
    """Sources of the command line: a YAML file that is the only one stands for ``--sources``.

    Raises:
        ConfigError: A YAML file among videos, or a folder that holds videos instead of pictures.
    """
    listings = [v for v in videos if "://" not in v and Path(v).suffix.lower() in (".yaml", ".yml")]
    if listings and (len(videos) > 1 or sources is not None):
        raise ConfigError(
            f"'{listings[0]}' is a cameras file, and a run has either one or videos: write all cameras into it "
            f"(--sources {listings[0]})"
        )
    if listings:
        return [], Path(listings[0])
    for folder in (Path(v) for v in videos if "://" not in v and Path(v).is_dir()):
        _no_recordings(folder)
    return videos, sources


def _no_recordings(folder: Path) -> None:
    """A folder of pictures is a camera; one of videos is many recordings.

    Raises:
        ConfigError: It holds videos, itself or in subfolders, and no pictures.
    """
    names = [p for p in folder.iterdir() if not p.name.startswith(".")]
    if any(is_picture(p) for p in names):
        return
    found = [p for p in names if is_video(p)] or [p for f in names if f.is_dir() for p in f.iterdir() if is_video(p)]
    if found:
        raise ConfigError(
            f"'{folder}' holds videos ({found[0].name}{', ...' if len(found) > 1 else ''}). Each a recording of its "
            f"own: streamreid batch {folder} --out results/. All of them cameras of one scene: streamreid batch "
            f"{folder} --out results/ --together"
        )


def merge(data: dict[str, Any], sections: dict[str, Any]) -> None:
    """Put the values of a settings file's sections into ``data``."""
    for section, values in sections.items():
        data[section] = {**(data.get(section) or {}), **values}


def change(data: dict[str, Any], changes: dict[str, Any], settings: list[str]) -> None:
    """Set single settings in ``data``: ``changes`` by dotted key (None is "leave as it is"), ``settings`` as written on
    the command line.

    A setting of ``cameras`` is one of each of them. Keys may lead deeper than a section: ``output.rotate.keep``.

    Raises:
        ConfigError: A setting is not SECTION.KEY=VALUE, or is one of cameras where none are listed.
    """
    changes = {key: value for key, value in changes.items() if value is not None}
    for item in settings:
        key, equals, text = item.partition("=")
        if not equals or "." not in key:
            raise ConfigError(f"--set {item}: write SECTION.KEY=VALUE, for example tracker.lost_seconds=5")
        changes[key] = parse_yaml(text, f"--set {key}")
    for key, value in changes.items():
        section, _, rest = key.partition(".")
        if section == "cameras":
            if not data.get(section):
                raise ConfigError(f"--set {key}={value}: no cameras are listed here; write it into their cams.yaml")
            data[section] = [_with(camera, rest.split("."), value) for camera in data[section]]
        else:
            data[section] = _with(data.get(section), rest.split("."), value)


def _with(values: Any, keys: list[str], value: Any) -> dict[str, Any]:
    """``values`` with one set; what is no dictionary on the way there becomes one."""
    values = values if isinstance(values, dict) else {}
    return {**values, keys[0]: value if len(keys) == 1 else _with(values.get(keys[0]), keys[1:], value)}


def read_settings(path: Path | None) -> dict[str, Any]:
    """Sections of a YAML file that has settings but no cameras.

    Raises:
        ConfigError: It cannot be read or lists cameras.
    """
    if path is None:
        return {}
    data, lines = read_yaml(path)
    if not isinstance(data, dict) or "cameras" in data:
        raise ConfigError(
            f"{path}:{lines.get(('cameras',), 1)}: a settings file has sections such as 'tracker:' and no cameras"
        )
    checked = validate(Config, {"cameras": [{"name": "any", "uri": "any"}], **data}, where=str(path), lines=lines)
    return checked.model_dump(exclude_unset=True, exclude={"cameras"})


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
    config = config if anew else config.model_copy(update={"cameras": changes.begin(check)})
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
        if serving:
            server = stack.enter_context(Server(pipeline, config.server, changes))
            listeners.append(server.board)
            errors.print(f"serving at {server.address}", highlight=False)
        if watched is not None and config.live.watch and pipeline.live:
            stack.enter_context(CameraConfigWatcher(watched, pipeline.cameras, load=read, changes=changes))
        return follow(pipeline, folder, quiet=quiet, listeners=listeners)


def follow(following: FrameProcessor, folder: ResultsFolder, *, quiet: bool, listeners: Sequence[Sink] = ()) -> int:
    """Run a pipeline or a replay, show progress, print the table. Returns the exit code."""
    with following, stop_on_signals(following.stop), RunProgress(errors, quiet=quiet) as progress:
        summary = run_pipeline(following, folder, progress=progress.update, rendering=progress.say, listeners=listeners)
    if not quiet:
        print_summary(summary, output)
    memory = following.memory
    unsaved = bool(summary.outputs_failed) or (memory is not None and bool(memory.problem or memory.lost))
    return 130 if summary.interrupted else 3 if summary.failed else 2 if unsaved else 0
