"""``streamreid run``: follow people in files and streams."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from streamreid.cli import options as o
from streamreid.cli.console import set_up_logging

__all__ = ["run"]


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
    from streamreid.cli.launching import launch
    from streamreid.config.inputs import configure, split_sources

    set_up_logging(quiet=quiet, verbose=verbose)
    drawn = {"video": video, "mosaic": mosaic}
    written = {"parquet": parquet, "rotate": rotate, "keep": keep}
    models = {"detector": detector, "engine": engine, "delay": delay, "gallery": gallery}
    changes = o.changes(settings, listen=serve, watch=watch, cluster=cluster, **models, **drawn, **written)
    read = partial(configure, videos or [], sources, settings_file=settings_file, changes=changes)
    cameras_file = split_sources(videos or [], sources)[1]
    raise typer.Exit(launch(read, "run", cameras_file, out=out, overwrite=overwrite, quiet=quiet, cache=cache))
