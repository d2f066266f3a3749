"""``streamreid review``: how many doubtful links of a run are worth an answer, and what was answered as files."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from streamreid.cli.console import output, set_up_logging
from streamreid.cli.tables import print_table
from streamreid.runs.finished_corrections import FinishedCorrections
from streamreid.runs.review import finished_review
from streamreid.runs.review_export import export_review

__all__ = ["review"]


def review(
    run: Annotated[Path, typer.Argument(help="Folder of a run's results.")],
    export: Annotated[
        Path | None,
        typer.Option(help="New folder: write what was answered, and boxes with the corrected identities."),
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Questions to list.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """List the most doubtful links of a run; `streamreid view` asks about them."""
    set_up_logging()
    corrections = FinishedCorrections(run)
    if export is not None:
        counts = export_review(corrections.run, export)
        if as_json:
            print(json.dumps({"schema": 1, "folder": str(export), **counts}, indent=2))
            return
        output.print(Text(f"{export}: " + ", ".join(f"{n} {what.replace('_', ' ')}" for what, n in counts.items())))
        return
    asked = finished_review(corrections)
    questions, remaining = asked.questions(most), asked.remaining()
    if as_json:
        told = {"schema": 1, "answered": asked.answered(), "worth_answering": remaining}
        print(json.dumps({**told, "questions": [asdict(q) for q in questions]}, indent=2))
        return
    table = Table("track", "other track", "believed", "probability", "worth", box=None, pad_edge=False)
    for q in questions:
        believed = "one person" if q.believed else "two people"
        tracks = (Text(f"{camera}/{track}") for camera, track in (q.one, q.other))
        table.add_row(*tracks, believed, f"{q.probability:.2f}", f"{q.worth:.0f} boxes")
    if questions:
        print_table(output, table)
    output.print(f"{remaining} answers are worth giving, {asked.answered()} were given", highlight=False)
