"""``streamreid replay``: tracking and association once more, from stored detections and features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from streamreid.cli.console import set_up_logging
from streamreid.cli.run import change, follow, merge, read_settings
from streamreid.config import Config, load_config
from streamreid.pipeline import Replay
from streamreid.pipeline.replay import replayed_config
from streamreid.pipeline.run import choose_folder

__all__ = ["replay"]


def replay(
    cache: Annotated[Path, typer.Argument(help="Folder that `streamreid run --cache` wrote.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the results (default: runs/replay).")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace results that are in the folder already.")] = False,
    sources: Annotated[
        Path | None,
        typer.Option("--sources", "-s", help="YAML of a run: its tracker, association and output; the rest must fit the cache."),
    ] = None,
    settings_file: Annotated[
        Path | None, typer.Option("--settings", help="YAML with tracker and association sections, as `streamreid tune` writes it.")
    ] = None,
    detector: Annotated[str | None, typer.Option(help="Refuse the cache if it is of another detector.")] = None,
    engine: Annotated[str | None, typer.Option(help="Refuse the cache if it is of another engine.")] = None,
    video: Annotated[bool | None, typer.Option("--video/--no-video", help="Draw a video per camera (needs the sources).")] = None,
    mosaic: Annotated[bool | None, typer.Option("--mosaic/--no-mosaic", help="Draw one video of all cameras (needs the sources).")] = None,
    parquet: Annotated[bool | None, typer.Option("--parquet/--no-parquet", help="Write a Parquet table.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A tracker, association or output setting, e.g. --set tracker.lost_seconds=5")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what is chosen and why.")] = False,
) -> None:
    """Track and link people again from a cache, without detector, engine or pictures.

    With unchanged settings the results are those of the run that was stored.

    A cache of another detector, engine or camera, or with other settings of
    these, is refused with the reason (exit code 2).
    """
    set_up_logging(quiet=quiet, verbose=verbose)
    data = (replayed_config(cache) if sources is None else load_config(sources)).model_dump()
    merge(data, read_settings(settings_file))
    changes: dict[str, Any] = {
        "detector.model": detector,
        "engine.model": engine,
        "output.video": video,
        "output.mosaic": mosaic,
        "output.parquet": parquet,
    }
    change(data, changes, settings or [])
    following = Replay(cache, Config.from_dict(data, where="command line"))
    folder = choose_folder(out or following.config.output.dir, "replay", overwrite=overwrite)
    raise typer.Exit(follow(following, folder, quiet=quiet))
