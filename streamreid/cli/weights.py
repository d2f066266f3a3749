"""``streamreid weights``: which named files there are, and fetching them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from streamreid import weights
from streamreid.cli.console import errors, output
from streamreid.cli.progress_line import Work

if TYPE_CHECKING:
    from streamreid.runs.model_licences import ModelLicence

__all__ = ["app"]

app = typer.Typer(
    help="Named detectors and samples: what is on this machine, and fetching the rest.", no_args_is_help=True
)

_WITH_PATHS = 120
"""Columns of text from which the table has room for paths; in fewer each would fill many lines."""

_WITH_DATA = 72
"""Columns of text from which it has room for the training data."""


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Every name, when it is loaded, whether it is on this machine, its licence (of code and weights, where they
    differ), size, training data and place; shipped engines too. Below it, what the training data allows."""
    from streamreid.runs.model_licences import model_licences

    def row(m: ModelLicence) -> dict[str, object]:
        return asdict(m) | {"commercial_use": m.commercial_use, "research_data": m.research_data}

    found = model_licences()
    if as_json:
        typer.echo(json.dumps([row(m) for m in found], indent=2))
        return
    whole = [Column(title, no_wrap=True) for title in ("name", "loaded as", "present", "licence", "MB")]
    wide, narrow = output.width >= _WITH_PATHS, output.width < _WITH_DATA
    table = Table(*whole, box=None, pad_edge=False)
    if not narrow:
        table.add_column("training data")
    if wide:
        table.add_column("path", overflow="fold")
    for m in found:
        present = m.present if isinstance(m.present, str) else "yes" if m.present else "no"
        licence = m.code_licence
        if m.weights_licence != licence:
            licence = f"code {licence}, weights {m.weights_licence}"
        size, data = f"{m.size / 1e6:.1f}", m.training_data or "–"
        more = [] if narrow else [data, escape(m.path)] if wide else [data]
        table.add_row(m.name, m.used, present, licence, size, *more)
    output.print(table)
    if not wide:
        output.print("where they are: --json, or a wider window")
    for text in dict.fromkeys(m.training_terms for m in found if m.training_terms):
        names = [m.name for m in found if m.training_terms == text]
        output.print(f"training data of {', '.join(names)}: {text}", markup=False, highlight=False, soft_wrap=True)


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
