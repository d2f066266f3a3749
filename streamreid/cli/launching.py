"""The start of a run: which folder, which models. Detector and engine are opened by threads of their own while this
one imports what a run needs besides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from streamreid.config import CameraConfig, Config
from streamreid.errors import SourceError
from streamreid.pipeline.models import OpeningModels
from streamreid.secrets import redact
from streamreid.sources import is_live, with_kinds
from streamreid.sources.local_files import source_fault

__all__ = ["appends", "is_endless", "launch", "require_a_file"]


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
    if not is_endless(config) and config.cluster.address is None:
        require_a_file(config.cameras)
    asked, own = out or config.output.dir, sources.stem if sources else name
    if config.cluster.address is not None:
        from streamreid.cli.cluster_run import execute_on_cluster
        from streamreid.runs.result_folder import choose_folder

        append = appends(config)
        path = choose_folder(asked, own, overwrite=overwrite, append=append)
        return execute_on_cluster(
            config,
            path,
            overwrite=overwrite,
            append=append,
            endless=is_endless(config),
            quiet=quiet,
            cache=cache,
            watched=sources,
            read=known,
        )
    models = OpeningModels(config)  # what follows imports what comes after them
    from streamreid.cli.execution import execute
    from streamreid.runs.result_folder import ResultsFolder

    with ResultsFolder.claim(asked, own, overwrite=overwrite, append=appends(config)) as folder:
        return execute(config, folder, quiet=quiet, cache=cache, watched=sources, read=known, models=models)


def require_a_file(cameras: Sequence[CameraConfig]) -> None:
    """Say at once, before models are opened, that there is nothing to read. One camera that can be read is enough.

    Raises:
        SourceError: The file of every camera is missing or may not be read; the message says why.
    """
    faults = {}
    for camera in cameras:
        try:
            faults[camera.name] = "" if camera.paused else source_fault(camera)
        except (OSError, ValueError):  # what is wrong with it is said when it is opened
            return
    if all(faults.values()):
        lines = [f"  {camera.name}: {redact(camera.uri)}: {faults[camera.name]}" for camera in cameras]
        raise SourceError("\n".join(["no camera could be opened:", *lines]))


def appends(config: Config) -> bool:
    """Whether a run goes on in a folder with results of an earlier one: live runs do."""
    return config.live.append and is_endless(config)


def is_endless(config: Config) -> bool:
    """Whether cameras are live, or there is none yet."""
    return not config.cameras or any(is_live(c) for c in config.cameras)
