"""``streamreid learn-topology``: which camera leads to which, and how long it takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.table import Table

from streamreid._version import __version__
from streamreid.association.topology_learning import CameraPass, LearntWay, learn_topology
from streamreid.cli.console import output, set_up_logging
from streamreid.cli.progress_line import Work
from streamreid.errors import ConfigError
from streamreid.replay.camera_passes import read_sightings
from streamreid.sinks.base import atomic_text

__all__ = ["learn_topology_command"]


def learn_topology_command(
    runs: Annotated[list[Path], typer.Argument(help="Folders that `streamreid run` wrote, or caches.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Settings file to write, for `run`, `batch` and `replay` --settings.")
    ] = Path("topology.yaml"),
    overwrite: Annotated[bool, typer.Option(help="Replace the file.")] = False,
    probability: Annotated[float, typer.Option(min=0, max=1, help="Links below this probability are ignored.")] = 0.8,
    people: Annotated[int, typer.Option(min=1, help="Different people that make a way.")] = 3,
    margin: Annotated[
        float, typer.Option(min=0, max=10, help="Least and greatest times are moved apart by this share.")
    ] = 0.25,
    closed: Annotated[
        bool,
        typer.Option(
            help="Say that there are no other ways than those found; only for recordings that are long enough."
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No table.")] = False,
) -> None:
    """Learn from confident links who sees the same floor and how long the ways between cameras take.

    The result is a settings file with a `topology` section, to be read, corrected and used.
    """
    set_up_logging(quiet=quiet)
    if out.exists() and not overwrite:
        raise ConfigError(f"'{out}' exists; pass --overwrite to replace it or choose another name")
    sightings: list[CameraPass] = []
    with Work("reading results", total=len(runs), quiet=quiet) as work:
        for number, run in enumerate(runs):
            sightings += _own_people(read_sightings(run), number)
            work.advance()
        work.step("learning the ways")
        topology, ways = learn_topology(sightings, probability=probability, people=people, margin=margin, closed=closed)
    data = {"topology": topology.model_dump(mode="json", by_alias=True)}
    head = f"# Camera graph learnt by streamreid {__version__} `learn-topology`; correct it where you know better.\n"
    with atomic_text(out) as file:
        file.write(head + yaml.safe_dump(data, sort_keys=False))
    if not quiet:
        _print(ways, out)


def _own_people(found: list[CameraPass], number: int) -> list[CameraPass]:
    """Global ids of several runs are different people."""
    return [replace(s, person=s.person + number * 1_000_000_000) for s in found]


def _print(ways: list[LearntWay], out: Path) -> None:
    table = Table("from", "to", "people", "shortest", "usual", "longest", title="ways between cameras (seconds)")
    for column in table.columns[2:]:
        column.justify = "right"
    for way in ways:
        times = ("same floor", "", "") if way.overlap else (f"{way.least:.1f}", f"{way.median:.1f}", f"{way.most:.1f}")
        table.add_row(way.first, way.then, str(way.people), *times)
    output.print(
        table if ways else "no way between cameras was seen often enough; give longer recordings or lower --people"
    )
    output.print(f"written: {out}; use it with: streamreid run ... --settings {out}", soft_wrap=True, highlight=False)
