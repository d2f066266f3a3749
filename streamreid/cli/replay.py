"""``streamreid replay``: tracking and association once more, from stored detections and features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamreid.cli import options as o
from streamreid.cli.console import set_up_logging
from streamreid.cli.execution import follow
from streamreid.config import load_config
from streamreid.config.inputs import load_settings
from streamreid.replay import Replay
from streamreid.replay.replay import replayed_config
from streamreid.runs.result_folder import ResultsFolder

__all__ = ["replay"]


def replay(
    cache: Annotated[Path, typer.Argument(help="Folder that `streamreid run --cache` wrote.")],
    out: o.Out = None,
    overwrite: o.Overwrite = False,
    sources: Annotated[
        Path | None,
        typer.Option(
            "--sources", "-s", help="YAML of a run: its tracker, association and output; the rest must fit the cache."
        ),
    ] = None,
    settings_file: o.SettingsFile = None,
    detector: Annotated[str | None, typer.Option(help="Refuse the cache if it is of another detector.")] = None,
    engine: Annotated[str | None, typer.Option(help="Refuse the cache if it is of another engine.")] = None,
    delay: o.Delay = None,
    offline: o.Offline = None,
    gallery: o.Gallery = None,
    video: o.Video = None,
    mosaic: o.Mosaic = None,
    parquet: o.Parquet = None,
    settings: o.Set = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Track and link people again from a cache, without detector, engine or pictures.

    With unchanged settings the results are those of the run that was stored.
    Videos are drawn from the sources, which must still be there.

    A cache of another detector, engine or camera, or with other settings of
    these, is refused with the reason (exit code 2).
    """
    set_up_logging(quiet=quiet, verbose=verbose)
    config = replayed_config(cache) if sources is None else load_config(sources)
    changes = o.changes(
        settings,
        detector=detector,
        engine=engine,
        delay=delay,
        offline=offline,
        gallery=gallery,
        video=video,
        mosaic=mosaic,
        parquet=parquet,
    )
    # A recording is remembered again only if that is said here.
    changes = {"gallery.store": None, **load_settings(settings_file), **changes}
    following = Replay(cache, config.with_settings(changes, where="command line"))
    with following, ResultsFolder.claim(out or following.config.output.dir, "replay", overwrite=overwrite) as folder:
        code = follow(following, folder, quiet=quiet)
    raise typer.Exit(code)
