"""``streamreid evaluate``: how good results are, against ground truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamreid.cli import evaluate_reid
from streamreid.cli.console import output
from streamreid.cli.progress_line import Work
from streamreid.errors import ConfigError
from streamreid.evaluation import (
    RULES,
    MotScores,
    MulticamEvaluation,
    OverTime,
    evaluate_mot,
    evaluate_multicam,
    evaluate_over_time,
    evaluate_world,
    rate_of,
    read_clocks,
    write_report,
)
from streamreid.mot_text import Layout

__all__ = ["app"]

app = typer.Typer(help="Score results against ground truth.", no_args_is_help=True)

_FULL = ("hota", "deta", "assa", "loca", "mota", "motp", "idf1", "idp", "idr", "idsw", "frag", "fp", "fn")
_NARROW = ("hota", "deta", "assa", "mota", "idf1", "idsw", "frag", "fp", "fn")
_NAMES = {"hota": "HOTA", "deta": "DetA", "assa": "AssA", "loca": "LocA", "frag": "Frag"}
_FULL_WIDTH = 112
"""Columns that the whole table of scores needs."""

Frames = Annotated[
    str | None,
    typer.Option(help="First and last frame to score, as FIRST:LAST (both included); default: what the truth covers."),
]
Report = Annotated[
    Path | None,
    typer.Option(
        help="Also write an error browser: one HTML file with timelines, merges, splits and switches, readable offline."
    ),
]
Fps = Annotated[
    float | None,
    typer.Option(
        min=0.001, help="Frame rate, for seconds in the report where the results (a run's JSON lines) do not tell them."
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="What text files are, where their values do not tell: mot or aicity. Default: recognised by their values.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _frames(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, last = text.partition(":")
    if not (first.strip().isdecimal() and last.strip().isdecimal() and int(first) <= int(last)):
        raise ConfigError(f"--frames {text!r}: expected FIRST:LAST with FIRST <= LAST, for example 1:400")
    return int(first), int(last)


def _layout(text: str | None) -> Layout | None:
    if text not in (None, "mot", "aicity"):
        raise ConfigError(f"--format {text!r} is not one of mot, aicity")
    return cast("Layout | None", text)


def _print_json(data: Any) -> None:
    typer.echo(json.dumps(data, indent=2))


def _print_scores(rows: dict[str, MotScores], first: str) -> None:
    narrow = output.is_terminal and output.width < _FULL_WIDTH
    columns = _NARROW if narrow else _FULL
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in columns:
        table.add_column(_NAMES.get(name, name.upper()), justify="right", no_wrap=True)
    for number, (name, scores) in enumerate(rows.items(), 1):
        values = [getattr(scores, column) for column in columns]
        cells = [str(value) if isinstance(value, int) else f"{value:.4f}" for value in values]
        table.add_row(Text(name), *cells, style="bold" if number == len(rows) and number > 1 else None)
    # Rich cuts a table down to 80 columns where the output is a file or a pipe; numbers must survive that.
    wide = Console(emoji=False, width=_FULL_WIDTH + max(map(len, rows)))
    (output if output.is_terminal else wide).print(table)


@app.command()
def mot(
    results: Annotated[
        Path, typer.Argument(help="MOT text, JSON lines, Parquet, or a folder (of a run, or of MOT text files).")
    ],
    truth: Annotated[
        Path,
        typer.Argument(help="Ground truth: MOT text, or a folder with one file per sequence or <sequence>/gt/gt.txt."),
    ],
    frames: Frames = None,
    layout: Format = None,
    rules: Annotated[str, typer.Option(help=f"Which boxes count: {', '.join(RULES)}.")] = "plain",
    report: Report = None,
    fps: Fps = None,
    as_json: AsJson = False,
) -> None:
    """Score tracks inside cameras: HOTA, CLEAR MOT, identity (IDF1)."""
    chosen = next((rule for rule in RULES if rule == rules), None)
    if chosen is None:
        raise ConfigError(f"--rules {rules!r} is not one of {', '.join(RULES)}")
    with Work("scoring"):
        found = evaluate_mot(results, truth, frames=_frames(frames), rules=chosen, layout=_layout(layout))
    if report is not None:
        write_report(report, found, title=f"Tracks of {results.name}", clocks=read_clocks(results), fps=fps)
    if as_json:
        _print_json(found.as_dict())
        return
    rows = dict(found.sequences)
    if len(rows) > 1:
        rows["combined"] = found.combined
    _print_scores(rows, "sequence")
    for name, count in found.left_out.items():
        if count:
            span = "{}:{}".format(*found.frames[name])
            output.print(Text(f"{name}: {count} result boxes outside frames {span} were left out", "yellow"))


@app.command()
def multicam(
    results: Annotated[
        Path, typer.Argument(help="Folder of a run (its global ids are scored), or AI City text, JSON lines, Parquet.")
    ],
    truth: Annotated[
        list[str],
        typer.Argument(
            help="Ground truth files, one per camera (CAMERA=FILE if the names differ), or one AI City text."
        ),
    ],
    frames: Frames = None,
    layout: Format = None,
    partial: Annotated[
        list[str] | None,
        typer.Option(
            help=(
                "A camera in which not everybody is annotated: results that match nobody there are not counted. May "
                "be repeated."
            )
        ),
    ] = None,
    over_time: Annotated[
        bool,
        typer.Option(
            "--over-time",
            help="Also score equal parts of the recording, and whether people who come back have their id.",
        ),
    ] = False,
    parts: Annotated[int, typer.Option(min=1, help="In how many parts --over-time scores it.")] = 3,
    report: Report = None,
    fps: Fps = None,
    as_json: AsJson = False,
) -> None:
    """Score ids across cameras: all cameras as one sequence of (camera, frame), and identities merged or split."""
    span, choice = _frames(frames), _layout(layout)
    with Work("scoring"):
        found = evaluate_multicam(results, truth, frames=span, partial=partial or [], layout=choice)
        later = None
        if over_time:
            rate = fps or rate_of(read_clocks(results))
            if rate is None:
                raise ConfigError(f"--over-time tells gaps in seconds, and '{results}' has no times; give --fps")
            later = evaluate_over_time(
                results, truth, fps=rate, parts=parts, frames=span, partial=partial or [], layout=choice
            )
    if report is not None:
        write_report(report, found, title=f"Identities of {results.name}", clocks=read_clocks(results), fps=fps)
    if as_json:
        _print_json(found.as_dict() | ({} if later is None else {"over_time": later.as_dict()}))
        return
    _print_scores({**found.cameras, "all cameras": found.combined}, "camera")
    _print_identities(found)
    if later is not None:
        _print_over_time(later)


def _print_over_time(found: OverTime) -> None:
    output.print()
    _print_scores({"frames {}:{}".format(*part.frames): part.scores for part in found.parts}, "part")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("last seen", "returns", "right", "to another camera", "right"):
        table.add_column(name, justify="left" if name == "last seen" else "right", no_wrap=True)
    for row in found.returns:
        if row.most == 0:
            gap = "elsewhere at that moment"
        elif row.most is None:
            gap = f"{row.least:g} s ago or more"
        else:
            gap = f"{row.least:g} to {row.most:g} s ago"
        shares = (_share(row.right, row.count), _share(row.other_camera_right, row.other_camera))
        table.add_row(gap, str(row.count), shares[0], str(row.other_camera), shares[1])
    output.print()
    (output if output.is_terminal else Console(emoji=False, width=_FULL_WIDTH)).print(table)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


def _print_identities(found: MulticamEvaluation) -> None:
    errors = found.identities
    lines = [
        f"\nframes {found.frames[0]}:{found.frames[1]} · {found.combined.truth_ids} people, "
        f"{found.combined.result_ids} ids",
        f"seen by several cameras: {errors.shared} people, {errors.linked} of them with one id in all their cameras",
        f"merges {errors.merge_count} (people that share an id with another), splits {errors.split_count} (ids too "
        "many for a person)",
    ]
    for word, kind, mixtures in (
        ("merged into id", "person", errors.merges[:5]),
        ("split: person", "id", errors.splits[:5]),
    ):
        for mixture in mixtures:
            parts = ", ".join(f"{kind} {part} ({boxes} boxes)" for part, boxes in mixture.parts)
            lines.append(f"  {word} {mixture.id}: {parts}")
    for camera, count in found.removed.items():
        if count:
            lines.append(f"{camera}: {count} result boxes on people who are not annotated were not counted")
    output.print(Text("\n".join(lines)), soft_wrap=True)


@app.command()
def world(
    results: Annotated[
        Path,
        typer.Argument(
            help=(
                "AI City text, MOT text with world coordinates in columns 8 and 9, or JSON lines whose people carry "
                "'world'."
            )
        ),
    ],
    truth: Annotated[Path, typer.Argument(help="Ground truth in one of these formats.")],
    radius: Annotated[float, typer.Option(help="Greatest distance of a match, in the unit of the coordinates.")] = 1.0,
    frames: Frames = None,
    layout: Format = None,
    as_json: AsJson = False,
) -> None:
    """Score positions on the ground plane: MOTA, IDF1 and HOTA by distance instead of overlap.

    An id that several cameras place in the same frame stands at the mean of
    its positions. HOTA's similarity is 1 - distance / (2 radius).
    """
    found = evaluate_world(results, truth, radius=radius, frames=_frames(frames), layout=_layout(layout))
    if as_json:
        _print_json(found.as_dict())
        return
    _print_scores({results.stem: found.scores}, "results")
    lines = [
        f"frames {found.frames[0]}:{found.frames[1]} · {found.scores.truth_ids} people, {found.scores.result_ids} ids"
    ]
    lines.append(f"radius {found.radius:g}, mean distance of the matches {found.mean_distance:.3f}")
    if found.averaged:
        lines.append(f"{found.averaged} positions are the mean of several cameras")
    output.print(Text("\n".join(lines)), soft_wrap=True)


app.command("reid")(evaluate_reid.reid)
