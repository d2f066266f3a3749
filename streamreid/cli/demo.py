"""``streamreid demo``: four real cameras, from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from streamreid import weights
from streamreid.cli import options as o
from streamreid.cli.console import errors, set_up_logging
from streamreid.cli.execution import execute
from streamreid.config import Config
from streamreid.runs.result_folder import ResultsFolder

__all__ = ["demo"]

_FOLDER = Path("runs/demo")


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results.")] = _FOLDER,
    overwrite: o.Overwrite = False,
    engine: Annotated[str, typer.Option(help="Engine bundle: a folder, a shipped name, auto or none.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what is chosen and why.")] = False,
) -> None:
    """Fetch a sample once, follow the people in it across four cameras, and write videos and tables to
    runs/demo."""
    set_up_logging(quiet=quiet, verbose=verbose)
    files = weights.fetch(["demo-videos"], console=None if quiet else errors)
    videos = sorted(p for p in files if p.suffix == ".mp4")
    data: dict[str, Any] = {
        "cameras": [{"name": video.stem, "uri": str(video)} for video in videos],
        "engine": {"model": engine},
        "output": {"mosaic": True},
    }
    with ResultsFolder.claim(
        out, "demo", overwrite=overwrite or out == _FOLDER
    ) as folder:  # a demo may be shown again and again
        code = execute(Config.from_dict(data), folder, quiet=quiet)
    if code == 0 and not quiet:
        errors.print(f"look at it: streamreid view {out}", highlight=False, markup=False)
    raise typer.Exit(code)
