"""``streamreid run`` and ``serve`` with cameras that workers of a cluster read."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from streamreid._yaml import validate
from streamreid.cameras.config_watcher import CameraConfigWatcher
from streamreid.cli.console import errors, output, stop_on_signals
from streamreid.cli.page import page_of_run, tell_page
from streamreid.cli.progress import RunProgress, line
from streamreid.cli.run_summary import exit_code, print_summary
from streamreid.config import CameraConfig, Config, ServerConfig
from streamreid.config.association import check_cameras
from streamreid.errors import ConfigError, OutputError, StreamReIDError
from streamreid.serving import TOKEN_VARIABLE, VIEWER_TOKEN_VARIABLE

__all__ = ["execute_on_cluster"]

_EDIT_SECONDS = 60.0


def execute_on_cluster(
    config: Config,
    folder: Path,
    *,
    overwrite: bool,
    append: bool,
    endless: bool,
    quiet: bool,
    cache: Path | None = None,
    watched: Path | None = None,
    read: Callable[[], Config] | None = None,
) -> int:
    """Run on a cluster, serve if asked to, show progress, print the table. Returns the exit code.

    Args:
        config: What to do.
        folder: Where results go.
        overwrite: Replace results that are there.
        append: Whether the run goes on in a folder with results.
        endless: Whether cameras are live, or there is none yet.
        quiet: Say nothing but errors.
        cache: Refused: what it stores stays with the workers.
        watched: The cameras file, to follow its changes if cameras are live.
        read: How it is read.
    """
    from streamreid.cluster.ray_run import RayRun  # Ray is an extra

    if cache is not None:
        raise ConfigError("--cache stores what workers see, which stays with them; run without --cluster to make one")
    if config.topology is not None:
        check_cameras(config.topology, [c.name for c in config.cameras])
    serving = config.server.listen is not None
    config = config.model_copy(update={"server": _with_tokens(config.server)})
    page = page_of_run(config.server) if serving else None
    with ExitStack() as stack:
        stay = serving and endless
        cluster = stack.enter_context(
            RayRun(config, folder, overwrite=overwrite, append=append, stay=stay, describe=line, page=page)
        )
        if cluster.address:
            errors.print(f"serving at {cluster.address}", highlight=False)
            tell_page(cluster.address, page, config.server)
        if watched is not None and config.live.watch and endless:
            remote: Any = _SiteCameras(cluster)
            stack.enter_context(CameraConfigWatcher(watched, remote, load=read, changes=remote))
        with stop_on_signals(cluster.stop), RunProgress(errors, quiet=quiet) as progress:
            summary = cluster.follow(lambda said: progress.offer(lambda: said.text))
    if not quiet:
        print_summary(summary, output, config.association)
    return exit_code(summary)


def _with_tokens(config: ServerConfig) -> ServerConfig:
    """The site may run where the variables are not set."""
    if config.listen is None:
        return config
    found = {"token": os.environ.get(TOKEN_VARIABLE), "viewer_token": os.environ.get(VIEWER_TOKEN_VARIABLE)}
    new = {name: SecretStr(text) for name, text in found.items() if text is not None and getattr(config, name) is None}
    return validate(ServerConfig, {**config.model_dump(), **new}, where="environment variables")


class _SiteCameras:
    """The cameras of a site in another process, as the watcher of the cameras file uses them."""

    def __init__(self, site: Any) -> None:
        self._site = site

    @property
    def configs(self) -> list[CameraConfig]:
        """As they are now."""
        found: list[CameraConfig] = self._site.call("cameras", seconds=_EDIT_SECONDS)
        return found

    def remove(self, name: str) -> None:
        """See `Cameras.remove`."""
        self._edit("remove", name)

    def admit(self, config: CameraConfig) -> bool:
        """See `Cameras.admit`."""
        return bool(self._edit("admit", config))

    def file_says(self, said: tuple[CameraConfig, ...], _now: object) -> None:
        """See `CameraOverrides.file_says`."""
        self._edit("file_says", said)

    def save(self, _now: object) -> None:
        """See `CameraOverrides.save`."""
        try:
            self._edit("save")
        except StreamReIDError as error:
            raise OutputError(str(error)) from None

    def _edit(self, what: str, *arguments: Any) -> Any:
        value, problem = self._site.call("edit", what, *arguments, seconds=_EDIT_SECONDS)
        if problem:
            raise ConfigError(problem)
        return value
