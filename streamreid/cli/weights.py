"""``streamreid weights``: which named files there are, and fetching them."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from streamreid import weights
from streamreid.cli.console import errors, output
from streamreid.cli.progress_line import Work
from streamreid.errors import WeightsError

__all__ = ["app"]

app = typer.Typer(
    help="Named detectors and samples: what is on this machine, and fetching the rest.", no_args_is_help=True
)


@app.command("list")
def list_() -> None:
    """Every name, whether it is on this machine, its licence, size and place."""
    table = Table("name", "present", "licence", "MB", Column("path", overflow="fold"), box=None, pad_edge=False)
    for w in weights.REGISTRY:
        try:
            present = "no" if weights.find(w.name) is None else "yes"
        except WeightsError:
            present = "wrong checksum"
        table.add_row(w.name, present, w.licence, f"{w.size / 1e6:.1f}", escape(str(w.path)))
    output.print(table)


@app.command("fetch")
def fetch(
    names: Annotated[list[str], typer.Argument(help="Names, or groups such as demo-videos.")],
    offline: Annotated[bool, typer.Option("--offline", help="Only look; name what is missing.")] = False,
) -> None:
    """Fetch named files, with their licences named and their checksums checked."""
    with Work("fetching", quiet=errors.is_terminal):  # which has a bar of its own
        paths = weights.fetch(names, console=errors, offline=offline)
    for path in paths:
        output.print(str(path), markup=False, highlight=False, soft_wrap=True)
