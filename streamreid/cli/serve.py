"""``streamreid serve``: follow live cameras until stopped, with the HTTP interface."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamreid.cameras.capture_times import check_mixed
from streamreid.cli import options as o
from streamreid.cli.console import set_up_logging
from streamreid.cli.launching import launch
from streamreid.config import Config
from streamreid.config.inputs import configure

__all__ = ["serve"]


def serve(
    sources: Annotated[
        Path | None, typer.Argument(help="YAML file with cameras and settings; without it cameras are added by HTTP.")
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            "-l",
            metavar="[HOST:]PORT",
            help="Where to serve (default: server.listen of the YAML, else 8080).",
        ),
    ] = None,
    out: o.Out = None,
    overwrite: o.Overwrite = False,
    detector: o.Detector = None,
    engine: o.Engine = None,
    delay: o.Delay = None,
    gallery: o.Gallery = None,
    parquet: o.Parquet = None,
    rotate: o.Rotate = None,
    keep: o.Keep = None,
    watch: o.Watch = None,
    cluster: o.Cluster = None,
    settings_file: o.SettingsFile = None,
    settings: o.Set = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Follow live cameras until stopped; cameras come, go and change by HTTP and by the watched YAML file."""
    set_up_logging(quiet=quiet, verbose=verbose)
    written = {"parquet": parquet, "rotate": rotate, "keep": keep}
    models = {"detector": detector, "engine": engine, "delay": delay, "gallery": gallery}
    changes = o.changes(settings, listen=listen, watch=watch, cluster=cluster, **models, **written)

    def read() -> Config:
        config = configure([], sources, settings_file=settings_file, changes=changes, allow_no_camera=True)
        check_mixed(config.cameras, window=config.association.window, where=str(sources), serving=True)
        server = config.server.model_copy(update={"listen": config.server.listen or "8080"})
        return config.model_copy(update={"server": server})

    raise typer.Exit(launch(read, "serve", sources, out=out, overwrite=overwrite, quiet=quiet))
