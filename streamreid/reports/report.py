"""A report of a run: how many different people were where and when, where they went, and what is uncertain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamreid._version import __version__
from streamreid.errors import OutputError
from streamreid.files import atomic_write
from streamreid.places import EVERYWHERE, CountsTable, FlowsTable
from streamreid.reports.charts import (
    dwell_chart,
    flow_chart,
    occupancy_chart,
    people_chart,
    period_label,
    place_label,
)
from streamreid.reports.footprints import GROUND, Footprints
from streamreid.reports.maps import Base, draw_heat, draw_paths
from streamreid.reports.page import Page, Picture, Table, bullets, numbers, pair, paragraphs
from streamreid.runs.finished_run import FinishedRun

__all__ = ["Report", "write_page"]

_UNSURE = 0.9
"""Link probability below which an appearance is listed as uncertain."""

_MOST_UNSURE = 50
"""Uncertain appearances that are listed, the least probable first."""

_MOST_WAYS = 20
"""Ways that are listed, the most frequent first."""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What a page is made of.

    Args:
        run: The run.
        title: Of the page.
        counts: Per place and period.
        whole: Per place over the whole time.
        flows: Between places.
        footprints: Where people stood.
        bases: What maps are drawn on; none without maps.
        min_people: Nothing is said of fewer people than this, and so nothing of single ones: no appearances and no
            paths; 0 for no such limit.
        folder: Of the run's results; None of a cache or a gallery, from which no film can be cut.
    """

    run: FinishedRun
    title: str
    counts: CountsTable
    whole: CountsTable
    flows: FlowsTable
    footprints: Footprints = field(default_factory=Footprints)
    bases: dict[str, Base] = field(default_factory=dict)
    min_people: int = 0
    folder: Path | None = None


def write_page(report: Report, path: Path) -> None:
    """Write a report as one HTML file that needs no network.

    Raises:
        MissingExtraError: plotly is not installed.
        OutputError: The file cannot be written.
    """
    text = _page(report).html(_footer(report))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}. Choose another place (--html)") from error


def _page(report: Report) -> Page:
    run = report.run
    start, end = run.start, run.end
    if end is None:  # of a gallery that has forgotten everybody, counts may be left
        end = max((row["end"] for row in report.counts), default=None)
    when = "nobody was seen" if start is None or end is None else period_label(start, end)
    dated = start is not None and start >= 1e8
    notices = [run.state] if run.goes_on or not run.complete else []
    page = Page(
        report.title, f"{when}{' (UTC)' if dated else ''} · cameras: {', '.join(run.cameras) or 'none'}", notices
    )
    page.add("overview", "Overview", _overview(report))
    page.add("people-per-place", "People per place and period", *_counts(page, report))
    page.add("flow", "Where people went", *_flows(page, report))
    page.add("maps", "Where people walked and stood", *_maps(report))
    page.add("persons", "Who appeared where and when", *(_persons(run, report.folder) if not report.min_people else ()))
    page.add("uncertain", "What is uncertain, and why", *_uncertain(report))
    page.add("meaning", "What the numbers mean", _meaning())
    return page


def _overview(report: Report) -> str:
    whole = next((row for row in report.whole if row["place"] == EVERYWHERE), next(iter(report.whole), None))
    run = report.run
    if whole is None or whole["withheld"]:
        return paragraphs("Nobody was seen." if whole is None else "The number is withheld: so few people were seen.")
    interval = (
        "without interval" if whole["unique_low"] is None else f"{whole['unique_low']} to {whole['unique_high']} (90 %)"
    )
    confirmed = sum(person.confirmed for person in run.identities.values())
    cells = [("different people", str(whole["unique"]), interval)]
    if whole["visits"] is not None:
        cells.append(("visits", str(whole["visits"]), f"{whole['re_entries']} by people who were there before"))
    if whole["occupancy_max"] is not None:
        mean = whole["occupancy_mean"]
        average = "" if mean is None else f"{mean:.1f} on average"
        cells.append(("at the same time, at most", str(whole["occupancy_max"]), average))
    cells.append(("cameras", str(len(run.cameras)), "with results"))
    if confirmed or not run.identities:
        cells.append(("identities", str(len(run.identities)), f"{confirmed} of them confirmed"))
    return numbers(cells)


_COUNT_COLUMNS = (
    ("people", "unique"),
    ("from", "unique_low"),
    ("to", "unique_high"),
    ("visits", "visits"),
    ("entries", "entries"),
    ("exits", "exits"),
    ("came again", "re_entries"),
    ("passers-by", "passers_by"),
    ("mean occupancy", "occupancy_mean"),
    ("max", "occupancy_max"),
    ("median dwell, s", "dwell_median"),
    ("90 % dwell, s", "dwell_p90"),
    ("queue", "queue_max"),
)


def _counts_table(table: CountsTable, caption: str) -> Table:
    used = [(name, key) for name, key in _COUNT_COLUMNS if any(row[key] is not None for row in table)]
    rows = [
        [
            place_label(row["place"]),
            period_label(row["start"], row["end"]) + (" (withheld)" if row["withheld"] else ""),
            *(row[key] for _, key in used),
        ]
        for row in table
    ]
    return Table(["place:", "period:", *(name for name, _ in used)], rows, caption)


def _counts(page: Page, report: Report) -> Iterator[str]:
    if not len(report.counts):
        yield paragraphs("Nobody was seen, so there is nothing to count.")
        return
    table = _counts_table(report.counts, "Counts per place and period")
    yield page.chart(people_chart(report.counts), table)
    charts = [
        (occupancy_chart(report.counts), table),
        (dwell_chart(report.whole), _counts_table(report.whole, "Counts per place over the whole time")),
    ]
    yield pair(*(page.chart(chart, beside) for chart, beside in charts if chart is not None))


def _lines(run: FinishedRun) -> Iterator[str]:
    """How often, and by how many people, each line was crossed."""
    log = run.place_log
    names = sorted({name for name, place in log.places.items() if place.kind == "line"})
    rows = []
    for name in names:
        for direction in ("in", "out"):
            keys = [c.key for c in run.crossings if c.line == name and c.direction == direction]
            rows.append([name, direction, len(keys), len({who for key in keys if (who := run.identity_of(*key))})])
    if rows:
        table = Table(["line:", "direction:", "crossings", "people"], rows, "Crossings of lines")
        yield f"<figure><figcaption><h3>Crossings of lines, the whole time</h3></figcaption>{table.html()}</figure>"


def _flows(page: Page, report: Report) -> Iterator[str]:
    yield from _lines(report.run)
    chart = flow_chart(report.flows)
    if chart is None:
        yield paragraphs("Nobody was seen to go from one place to another.")
        return
    rows = [
        [
            *(place_label(row[side]) for side in ("origin", "destination")),
            *(row[key] for key in ("moves", "moves_low", "moves_high", "people", "travel_median", "travel_p90")),
        ]
        for row in report.flows
    ]
    columns = ["from:", "to:", "moves", "at least", "at most", "people", "median travel time, s", "90 % travel time, s"]
    yield page.chart(chart, Table(columns, rows, "Moves between places"))
    ways = [[" → ".join(map(place_label, way)), count] for way, count in report.flows.ways[:_MOST_WAYS] if len(way) > 1]
    if ways:
        table = Table(["way:", "people"], ways, "The most frequent ways")
        yield f"<figure><figcaption><h3>The most frequent ways</h3></figcaption>{table.html()}</figure>"


def _maps(report: Report) -> Iterator[str]:
    run = report.run
    for camera, base in report.bases.items():
        surface = report.footprints.surfaces[camera]
        name = "the ground plan" if camera == GROUND else f"camera {camera}"
        heat, hottest = draw_heat(base, surface)
        people = len({who for key in surface.paths if (who := run.identity_of(*key))})
        left_out = f" {surface.left_out} older paths are left out." if surface.left_out else ""
        paths = draw_paths(base, surface, lambda key: run.identity_of(*key))
        unit = "square of 25 cm" if camera == GROUND else "square of 8 pixels"
        pictures = [
            Picture(
                paths,
                f"Paths, {name}",
                f"Paths of {people} people on {name}, drawn in a colour for each person.",
                f"{len(surface.paths)} tracks of {people} people; tracks of nobody are grey.{left_out}",
            ),
            Picture(
                heat,
                f"Where people stood, {name}",
                f"Heat map of {name}: {surface.seconds:.0f} person-seconds in all.",
                f"{surface.seconds:.0f} person-seconds in all; bright is long, at most {hottest:.1f} s in a {unit}.",
            ),
        ]
        yield pair(*(picture.html() for picture in (pictures[1:] if report.min_people else pictures)))


def _persons(run: FinishedRun, folder: Path | None) -> Iterator[str]:
    if not run.identities:
        return
    rows = [
        [
            person.label,
            seen.camera,
            period_label(seen.start, seen.end),
            seen.end - seen.start,
            f"{seen.probability:.2f}",
        ]
        for person in run.identities.values()
        for seen in person.appearances
    ]
    table = Table(["person:", "camera:", "period:", "seconds", "probability"], rows, "Appearances")
    if folder is not None:
        example = f"streamreid clip {folder} --identity {next(iter(run.identities))}"
        yield paragraphs(f"A film of one person: {example}", quiet=True)
    yield f"<figure>{table.html()}</figure>"


def _uncertain(report: Report) -> Iterator[str]:
    run = report.run
    yield bullets([*_doubts(report)])
    unsure = sorted(
        (
            (appearance.probability, person.label, appearance)
            for person in run.identities.values()
            for appearance in person.appearances
            if appearance.probability < _UNSURE
        ),
        key=lambda row: row[0],
    )
    if unsure and not report.min_people:
        rows = [[label, a.camera, period_label(a.start, a.end), f"{p:.2f}"] for p, label, a in unsure[:_MOST_UNSURE]]
        table = Table(["person:", "camera:", "period:", "probability"], rows, "Uncertain appearances")
        yield (
            f"<figure><figcaption><h3>Appearances that may be somebody else</h3></figcaption>{table.html()}</figure>"
        )


def _doubts(report: Report) -> Iterator[str]:
    run = report.run
    if any(row["unique_low"] is not None for row in report.whole):
        yield (
            "Whether two tracks are one person is known with a probability only. The interval of 90 % of different "
            "people comes from these probabilities."
        )
    elif len(report.whole):
        yield "The run kept no link probabilities of pairs, so the number of different people has no interval."
    unsure = sum(a.probability < _UNSURE for p in run.identities.values() for a in p.appearances)
    total = sum(len(p.appearances) for p in run.identities.values())
    yield f"{unsure} of {total} appearances belong to their person with a probability below {_UNSURE:.0%}."
    if run.unlinked:
        tracks = "1 track was" if len(run.unlinked) == 1 else f"{len(run.unlinked)} tracks were"
        yield f"{tracks} seen too little to be counted as a person or linked to one."
    if not run.complete or run.goes_on:
        yield run.state
    withheld = sum(bool(row["withheld"]) for row in report.counts)
    if withheld:
        yield f"{withheld} rows are withheld, because they are about so few people."
    yield from run.notes
    yield from (base.note for base in report.bases.values() if base.note)
    summary = run.summary or {}
    for name, camera in summary.get("cameras", {}).items():
        yield from _camera_doubts(name, camera)
    for clock in summary.get("clock_offsets", ()):
        if clock.get("wrong"):
            pair_of = f"{clock['camera']} and {clock['reference']}"
            yield f"The clocks of cameras {pair_of} differ by {abs(clock['seconds']):.1f} s."
    for name, why in summary.get("outputs_failed", {}).items():
        yield f"Output '{name}' was given up: {why}"


def _camera_doubts(name: str, camera: dict[str, Any]) -> Iterator[str]:
    if camera.get("error"):
        yield f"Camera {name} failed: {camera['error']}"
    dropped, frames = camera.get("dropped") or 0, camera.get("frames") or 0
    if dropped:
        yield f"Camera {name}: {dropped} of {dropped + frames} frames were left out."
    yield from (f"Camera {name}: {warning}" for warning in camera.get("warnings", ()))


def _meaning() -> str:
    return bullets(
        [
            "Different people: how many people were there; who came twice counts once.",
            "Visits: stays of people. Who is back within 30 s, or in another camera of the place, goes on with the "
            "same visit.",
            "Entries and exits: visits that began and ended in the period; people who were there at the first and last "
            "frame did not come or go.",
            "Passers-by: visits of less than 5 s.",
            "Dwell: seconds that a person stayed, all visits together.",
            "Moves: a visit that is followed by a visit of the same person to another place.",
        ]
    )


def _footer(report: Report) -> str:
    return f"Made by streamreid {__version__}. This file needs no network and sends nothing."
