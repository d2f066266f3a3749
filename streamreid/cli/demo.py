"""``streamreid demo``: four real cameras, from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from streamreid import weights
from streamreid.cli.console import errors, set_up_logging
from streamreid.cli.run import execute
from streamreid.config import Config
from streamreid.pipeline.run import choose_folder

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results.")] = Path("runs/demo"),
    engine: Annotated[str, typer.Option(help="Engine bundle: a folder, a shipped name, auto or none.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what is chosen and why.")] = False,
) -> None:
    """Fetch a sample and a detector once, follow the people in it across four cameras, and write videos and tables to runs/demo."""
    set_up_logging(quiet=quiet, verbose=verbose)
    files = weights.fetch(["demo-videos", "yolo11n"], console=None if quiet else errors)
    videos = sorted(p for p in files if p.suffix == ".mp4")
    data: dict[str, Any] = {
        "cameras": [{"name": video.stem, "uri": str(video)} for video in videos],
        "engine": {"model": engine},
        "output": {"mosaic": True},
    }
    raise typer.Exit(execute(Config.from_dict(data), choose_folder(out, "demo", overwrite=True), quiet=quiet))
