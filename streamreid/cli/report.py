"""``streamreid report``: how many different people were where and when, as a page, tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from rich.table import Table

from streamreid.cli.clip import Blurring, Moved, pictures_of
from streamreid.cli.console import errors, output, set_up_logging
from streamreid.cli.history import open_history
from streamreid.cli.tables import print_table
from streamreid.config.output import duration
from streamreid.errors import ConfigError, OutputError
from streamreid.places import CountsTable
from streamreid.reports.charts import period_label, place_label
from streamreid.reports.footprints import GROUND, Footprints, gather_footprints
from streamreid.reports.maps import Base, bases_of, draw_heat, draw_paths
from streamreid.reports.report import Report, write_page
from streamreid.runs.finished_run import FinishedRun
from streamreid.runs.questions import asked_places, moment

__all__ = ["report"]


def report(
    run: Annotated[
        str, typer.Argument(metavar="RUN|GALLERY|CACHE", help="Folder of results or of a cache, or a gallery.")
    ],
    every: Annotated[
        str | None, typer.Option(help="Length of the periods: 15m, 1h, 1d; default: the whole time in one.")
    ] = None,
    page: Annotated[Path | None, typer.Option("--html", help="Write a page with charts and maps: one file.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the counts as CSV.")] = None,
    parquet: Annotated[Path | None, typer.Option("--parquet", help="Write the counts as Parquet.")] = None,
    flows: Annotated[Path | None, typer.Option("--flows", help="Write the moves between places as CSV.")] = None,
    paths: Annotated[
        Path | None,
        typer.Option("--paths", help="Folder for pictures of where people walked and stood: one of each per camera."),
    ] = None,
    place: Annotated[
        list[str] | None,
        typer.Option(help="Only this zone or camera; several, separated by commas, count as one place. Repeatable."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="From then on: 10:00, or 2026-11-29T10:00 (UTC), or seconds.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Until then.")] = None,
    staff: Annotated[
        list[str] | None, typer.Option(help="Name or global id of somebody who is not counted. Repeatable.")
    ] = None,
    staff_after: Annotated[
        str | None, typer.Option(help="Whoever is seen for longer than this in all is not counted: 4h.")
    ] = None,
    min_people: Annotated[
        int, typer.Option(min=0, help="Withhold counts of fewer people than this, and all of single people.")
    ] = 0,
    stills: Annotated[bool, typer.Option(help="Draw maps on a still of the camera.")] = True,
    blur: Blurring = "none",
    sources: Moved = None,
) -> None:
    """Say how many different people were where and when, how long they
    stayed and where they went.

    Counts go to the terminal, to a page (--html), to CSV or to Parquet.
    Stills of cameras are blurred as the run was (output.blur).
    """
    set_up_logging()
    with open_history(run, sources, "report") as finished:
        if not finished.complete or finished.goes_on:
            errors.print(finished.state, highlight=False)
        for sentence in finished.notes:
            errors.print(sentence, highlight=False, soft_wrap=True)
        options = _options(finished, place, since, until, staff, staff_after, min_people)
        _check_period(finished, options["start"], options["end"])
        _check_staff(finished, options["staff"])
        counts = finished.counts(every, **options)
        moves = finished.flows(**options)
        whole = counts if every is None else finished.counts(None, **options)
        _write_tables(counts, csv, parquet)
        if flows is not None:
            moves.write_csv(flows)
        footprints, bases = Footprints(), {}
        if finished.has_boxes and (page is not None or paths is not None):
            footprints = gather_footprints(finished)
            bases = bases_of(pictures_of(finished, sources, blur), footprints, stills=stills)
        if paths is not None:
            _write_maps(finished, footprints, bases, paths)
            paths = paths if bases else None
        if page is not None:
            title = f"Report of {'a gallery' if '://' in run else Path(run).resolve().name}"
            results = None if finished.path != Path(run) or not finished.has_boxes else finished.path
            write_page(Report(finished, title, counts, whole, moves, footprints, bases, min_people, results), page)
    _print(counts)
    written = [path for path in (page, csv, parquet, flows, paths) if path is not None]
    if written:
        output.print(f"written: {', '.join(map(str, written))}", highlight=False, markup=False, soft_wrap=True)


def _options(
    run: FinishedRun,
    place: Sequence[str] | None,
    since: str | None,
    until: str | None,
    staff: Sequence[str] | None,
    staff_after: str | None,
    min_people: int,
) -> dict[str, Any]:
    """The question as keyword arguments of counts and flows."""
    places, groups = asked_places(run.place_log, place or ())
    return {
        "places": places,
        "groups": groups,
        "start": None if since is None else moment(since, run.start, "--from"),
        "end": None if until is None else moment(until, run.start, "--to"),
        "staff": [int(who) if who.isdecimal() else who for who in staff or ()],
        "staff_after": None if staff_after is None else duration(staff_after, "--staff-after"),
        "min_people": min_people,
    }


def _check_staff(run: FinishedRun, staff: Sequence[str | int]) -> None:
    """Say who of the staff is not in the run: a name may be misspelt."""
    known = {*run.identities, *(person.name for person in run.identities.values())}
    for who in staff:
        if who not in known:
            errors.print(f"--staff {who}: nobody in it is called so; nobody is left out for it", highlight=False)


def _check_period(run: FinishedRun, start: float | None, end: float | None) -> None:
    """Say where a period that was asked for has nothing of the run in it.

    Raises:
        ConfigError: It ends before it begins.
    """
    if start is not None and end is not None and end <= start:
        raise ConfigError("--to is not later than --from; of another day, write the date, too (2026-11-30T06:00)")
    if run.start is None or run.end is None:
        return
    if (start is not None and start > run.end) or (end is not None and end <= run.start):
        errors.print(
            f"the run has nothing of that time: it lasts from {period_label(run.start, run.end)}", highlight=False
        )


def _write_tables(counts: CountsTable, csv: Path | None, parquet: Path | None) -> None:
    if csv is not None:
        counts.write_csv(csv)
    if parquet is not None:
        counts.write_parquet(parquet)


def _write_maps(run: FinishedRun, footprints: Footprints, bases: dict[str, Base], folder: Path) -> None:
    """``<camera>-paths.png`` and ``<camera>-heat.png``; ``ground-...`` for the ground plan."""
    if not run.has_boxes:
        errors.print("no pictures of where people walked: no boxes are kept here", highlight=False)
    elif unseen := [camera for camera in run.cameras if camera not in bases]:
        errors.print(f"no pictures of cameras that showed nobody: {', '.join(unseen)}", highlight=False, markup=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for camera, base in bases.items():
            surface = footprints.surfaces[camera]
            name = "ground" if camera == GROUND else camera
            pictures = {
                "paths": draw_paths(base, surface, lambda key: run.identity_of(*key)),
                "heat": draw_heat(base, surface)[0],
            }
            for kind, image in pictures.items():
                (folder / f"{name}-{kind}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
            if base.note:
                errors.print(f"drawn on empty ground: {base.note}", highlight=False, soft_wrap=True)
    except OSError as error:
        raise OutputError(f"cannot write to '{folder}': {error.strerror or error}. Choose another folder") from error


def _print(counts: CountsTable) -> None:
    if not len(counts):
        output.print("nobody was seen")
        return
    table = Table("place", "period", "people", "90 %", "visits", "at once", "median dwell", box=None, pad_edge=False)
    for row in counts:
        where = place_label(row["place"]), period_label(row["start"], row["end"])
        if row["withheld"]:
            table.add_row(*where, "withheld", "", "", "", "")
            continue
        interval = "" if row["unique_low"] is None else f"{row['unique_low']} to {row['unique_high']}"
        dwell = "" if row["dwell_median"] is None else f"{row['dwell_median']:.1f} s"
        numbers = (
            str(row["unique"]),
            interval,
            *("" if row[k] is None else str(row[k]) for k in ("visits", "occupancy_max")),
        )
        table.add_row(*where, *numbers, dwell)
    print_table(output, table)
