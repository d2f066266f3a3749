"""Options that several verbs share, each written once, and the settings that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "Cluster",
    "Delay",
    "Detector",
    "Engine",
    "Gallery",
    "Keep",
    "Mosaic",
    "Offline",
    "Out",
    "Overwrite",
    "Parquet",
    "Quiet",
    "Rotate",
    "Serve",
    "Set",
    "SettingsFile",
    "Verbose",
    "Video",
    "Watch",
    "changes",
]

_SETTINGS = {
    "cluster": "cluster.address",
    "detector": "detector.model",
    "engine": "engine.model",
    "delay": "tracker.delay",
    "offline": "association.offline",
    "gallery": "gallery.store",
    "video": "output.video",
    "mosaic": "output.mosaic",
    "parquet": "output.parquet",
    "keep": "output.rotate.keep",
    "listen": "server.listen",
    "watch": "live.watch",
}

Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="local|auto|ray://HEAD:10001",
        help=(
            "Work on a Ray cluster: started on this machine (local), the one this machine belongs to (auto), or one "
            "elsewhere."
        ),
    ),
]
Delay = Annotated[
    float | None,
    typer.Option(
        "--delay",
        metavar="SECONDS",
        help=(
            "Hand out results so many seconds later, and better: short gaps filled, people shown from their first "
            "moment, late finds renamed."
        ),
    ),
]
Detector = Annotated[str | None, typer.Option("--detector", help="Named detector, .onnx, .pt, or mot:FOLDER.")]
Engine = Annotated[str | None, typer.Option("--engine", help="Engine bundle: a folder, a shipped name, auto or none.")]
Gallery = Annotated[
    str | None,
    typer.Option(
        "--gallery",
        metavar="FILE|ADDRESS",
        help=(
            "Remember people in this SQLite file or postgresql:// database, so that who comes back gets the old id; "
            "nobody is remembered without."
        ),
    ),
]
Keep = Annotated[
    int | None,
    typer.Option(
        "--keep",
        metavar="N",
        min=0,
        help="With --rotate: how many segments are kept besides the one being written (default: all).",
    ),
]
Mosaic = Annotated[bool | None, typer.Option("--mosaic/--no-mosaic", help="Write one annotated video of all cameras.")]
Offline = Annotated[
    bool | None,
    typer.Option(
        "--offline/--online",
        help="Link all tracks of a recording anew at its end, all at once, or leave what was decided while it ran.",
    ),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the results (default: runs/<name>).")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite/--no-overwrite", help="Replace results that are in the folder already.")
]
Parquet = Annotated[bool | None, typer.Option("--parquet/--no-parquet", help="Write a Parquet table.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")]
Rotate = Annotated[
    str | None,
    typer.Option(
        "--rotate",
        metavar="TIME|SIZE",
        help=(
            "Results of live cameras in segments: a new one every 1d (6h, 30m), or when one is larger than 1GB, or "
            "both: 1d,1GB."
        ),
    ),
]
Serve = Annotated[
    str | None,
    typer.Option(
        "--serve",
        metavar="[HOST:]PORT",
        help=(
            "Serve cameras, identities, events, health and metrics by HTTP while running; with a HOST other than this "
            "machine a token is needed."
        ),
    ),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Any setting of the YAML, e.g. --set tracker.lost_seconds=5")
]
SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", help="YAML with tracker, association, ... sections, as `streamreid tune` writes it."),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say what is chosen and why.")]
Watch = Annotated[
    bool | None,
    typer.Option(
        "--watch/--no-watch", help="Follow changes of the cameras file while live cameras run (default: yes)."
    ),
]
Video = Annotated[bool | None, typer.Option("--video/--no-video", help="Write an annotated video per camera.")]


def changes(settings: Sequence[str] | None, **given: Any) -> dict[str, Any]:
    """The settings that the options of a command line change, by dotted key; options that are not given change none.

    Args:
        settings: Those given with --set, which win.
        given: Options by their names here.

    Raises:
        ConfigError: ``rotate`` is neither a time nor a size, or an item of ``settings`` is not SECTION.KEY=VALUE.
    """
    from streamreid._yaml import validate  # --help needs none of these
    from streamreid.config import OutputConfig
    from streamreid.config.changes import parse_settings

    rotate = given.pop("rotate", None)
    changed = {_SETTINGS[name]: value for name, value in given.items() if value is not None}
    if rotate is not None:
        when = validate(OutputConfig, {"rotate": rotate}, where="--rotate").rotate
        assert when is not None
        changed = {"output.rotate.every": when.every, "output.rotate.size": when.size} | changed
    return changed | parse_settings(settings or ())
