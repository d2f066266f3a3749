"""``streamreid serve``: follow live cameras until stopped, with the HTTP interface."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamreid.cli import options as o
from streamreid.cli.console import set_up_logging
from streamreid.cli.run import appends, change, execute, merge, read_settings
from streamreid.config import Config, load_config
from streamreid.pipeline.folders import choose_folder, clear_results

__all__ = ["serve"]


def serve(
    sources: Annotated[
        Path | None, typer.Argument(help="YAML file with cameras and settings; without it cameras are added by HTTP.")
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option("--listen", "-l", metavar="[HOST:]PORT", help="Where to serve (default: server.listen of the YAML, else 8080)."),
    ] = None,
    out: o.Out = None,
    overwrite: o.Overwrite = False,
    detector: o.Detector = None,
    engine: o.Engine = None,
    delay: o.Delay = None,
    gallery: o.Gallery = None,
    parquet: o.Parquet = None,
    watch: o.Watch = None,
    settings_file: o.SettingsFile = None,
    settings: o.Set = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Follow live cameras until stopped; cameras come, go and change by HTTP and by the watched YAML file."""
    set_up_logging(quiet=quiet, verbose=verbose)
    # A configuration has cameras; a service may begin without.
    nobody = Config.from_dict({"cameras": [{"name": "none", "uri": "none"}]})
    data = (load_config(sources) if sources is not None else nobody).model_dump()
    merge(data, read_settings(settings_file))
    listen = listen or data["server"]["listen"] or "8080"
    changes = {
        "detector.model": detector,
        "engine.model": engine,
        "tracker.delay": delay,
        "gallery.store": gallery,
        "output.parquet": parquet,
        "server.listen": listen,
        "live.watch": watch,
    }
    change(data, changes, settings or [])
    config = Config.from_dict(data, where="command line")
    if sources is None:
        config = config.model_copy(update={"cameras": ()})
    folder = choose_folder(out or config.output.dir, sources.stem if sources else "serve", overwrite=overwrite, append=appends(config))
    if overwrite:
        clear_results(folder)
    raise typer.Exit(execute(config, folder, quiet=quiet, watched=sources))
