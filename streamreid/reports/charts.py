"""Charts of a report, as data for plotly.js, each with a sentence that says what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from streamreid.places import EVERYWHERE, CountsTable, FlowsTable

__all__ = ["Chart", "dwell_chart", "flow_chart", "occupancy_chart", "people_chart", "period_label", "place_label"]

_DATED = 1e8
"""Capture times from which they are dates; smaller ones are seconds of recordings."""

_SHOWN = 6
"""Places that a chart shows at first; the others are in its legend, to be switched on."""

_UNITS = (("hours", 3600.0, 7200.0), ("minutes", 60.0, 120.0), ("seconds", 1.0, 0.0))
"""How long people stayed: unit, its seconds, and the seconds from which it is used."""

_SHORT = {"hours": "h", "minutes": "min", "seconds": "s"}

_WHOLE = 10.0
"""Times from so many units on are told without a decimal."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart.

    Args:
        key: Its element on the page.
        title: What it is of.
        says: What it shows, in a sentence, for those who cannot see it.
        traces: For plotly.js; a ``colour`` is the number of a colour of the page.
        layout: For plotly.js, besides what all charts share.
    """

    key: str
    title: str
    says: str
    traces: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any]


def place_label(place: str) -> str:
    """A place's name for people: ``everywhere``, ``camera hall``, or the zone's."""
    return place.replace("camera:", "camera ", 1) if place.startswith("camera:") else place


def _moment(time: float, *, day: bool) -> str:
    if time >= _DATED:
        return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%d %H:%M:%S" if day else "%H:%M:%S")
    seconds = int(time)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def period_label(start: float, end: float) -> str:
    """A period for people: date and times in UTC, or hours, minutes and seconds of recordings."""
    return f"{_moment(start, day=True)} to {_moment(end, day=False)}"


def _by_place(table: CountsTable) -> dict[str, list[Mapping[str, Any]]]:
    """The rows of each place: the whole site first, then zones, then cameras."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in table:
        rows.setdefault(row["place"], []).append(row)
    cameras = [place for place in rows if place.startswith("camera:")]
    if EVERYWHERE in rows and len(cameras) == 1:  # it is everywhere
        del rows[cameras[0]]
    order = {EVERYWHERE: 0}
    return dict(sorted(rows.items(), key=lambda item: order.get(item[0], 2 if item[0].startswith("camera:") else 1)))


def _beginnings(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Periods along the axis, by their beginning; whole where one points at them."""
    starts = [row["start"] for row in rows]
    several = len({start // 86400 for start in starts}) > 1
    labels = [_moment(start, day=several) for start in starts]
    return {"x": labels, "hovertext": [period_label(row["start"], row["end"]) for row in rows]}


def people_chart(table: CountsTable) -> Chart:
    """Different people per place and period, with the interval where there is one."""
    places = _by_place(table)
    whole = places.get(EVERYWHERE) or next(iter(places.values()), [])
    single = len(whole) <= 1
    traces: list[dict[str, Any]] = []
    if single:
        rows = [own[0] for own in places.values() if own]
        traces.append(
            {"type": "bar", "colour": 0, "name": "people", "x": [place_label(r["place"]) for r in rows], **_bars(rows)}
        )
    else:
        for number, (place, rows) in enumerate(places.items()):
            trace = {"type": "bar", "colour": number, "name": place_label(place), **_beginnings(rows), **_bars(rows)}
            traces.append({**trace, **({} if number < _SHOWN else {"visible": "legendonly"})})
    most = max(whole, key=lambda row: row["unique"] or 0, default=None)
    says = "Nobody was seen."
    if most is not None and most["unique"]:
        where = place_label(most["place"])
        says = f"{where}: {most['unique']} different people" + (
            "" if single else f" in the busiest period, {period_label(most['start'], most['end'])}"
        )
        says += _interval_in_words(most)
    return Chart(
        "people", "Different people", says, traces, {"yaxis": {"title": {"text": "people"}, "rangemode": "tozero"}}
    )


def _interval_in_words(row: Mapping[str, Any]) -> str:
    if row["unique_low"] is None:
        return "."
    low, high = row["unique_low"], row["unique_high"]
    if low == high:
        return ", with a probability of 90 % or more."
    return f"; with a probability of 90 % between {low} and {high} (the thin line on a bar)."


def _bars(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Heights, and what the interval adds above and below."""
    known = [row["unique_low"] is not None for row in rows]
    bars: dict[str, Any] = {"y": [row["unique"] for row in rows]}
    if any(known):
        bars["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [r["unique_high"] - r["unique"] if k else 0 for r, k in zip(rows, known, strict=True)],
            "arrayminus": [r["unique"] - r["unique_low"] if k else 0 for r, k in zip(rows, known, strict=True)],
        }
    return bars


def occupancy_chart(table: CountsTable) -> Chart | None:
    """People at the same time, over the periods; None of a single one."""
    places = {place: rows for place, rows in _by_place(table).items() if len(rows) > 1}
    if not places:
        return None
    traces = []
    for number, (place, rows) in enumerate(places.items()):
        hidden = {} if number < _SHOWN else {"visible": "legendonly"}
        common = {"type": "scatter", **_beginnings(rows), "colour": number, "legendgroup": place, **hidden}
        mean = [None if row["occupancy_mean"] is None else round(row["occupancy_mean"], 2) for row in rows]
        traces.append({**common, "mode": "lines+markers", "name": f"{place_label(place)}, mean", "y": mean})
        most = [row["occupancy_max"] for row in rows]
        traces.append({**common, "mode": "lines", "dash": "dot", "name": f"{place_label(place)}, most", "y": most})
    place, rows = next(iter(places.items()))
    most_row = max(rows, key=lambda row: row["occupancy_max"] or 0)
    says = (
        f"{place_label(place)}: at most {most_row['occupancy_max'] or 0} people at the same time, in the period "
        f"{period_label(most_row['start'], most_row['end'])}."
    )
    return Chart(
        "occupancy",
        "People at the same time",
        says,
        traces,
        {"yaxis": {"title": {"text": "people"}, "rangemode": "tozero"}},
    )


def dwell_chart(table: CountsTable) -> Chart | None:
    """How long a person stayed, per place over the whole time; None where nobody did, or it is not known."""
    rows = [own[0] for own in _by_place(table).values() if own and own[0]["dwell_median"] is not None]
    if not rows:
        return None
    names = [place_label(row["place"]) for row in rows]
    longest = max(row["dwell_p90"] for row in rows)
    unit, seconds = next(((name, size) for name, size, least in _UNITS if longest >= least))
    traces = [
        {
            "type": "bar",
            "colour": number,
            "name": name,
            "x": names,
            "y": [round(row[column] / seconds, 1) for row in rows],
        }
        for number, (name, column) in enumerate((("median", "dwell_median"), ("9 of 10 stayed less", "dwell_p90")))
    ]
    says = " ".join(
        f"{place_label(row['place'])}: half of the people stayed at least {_dwell(row['dwell_median'])}, one of "
        f"ten at least {_dwell(row['dwell_p90'])}."
        for row in rows[:3]
    )
    return Chart(
        "dwell",
        "How long a person stayed",
        says,
        traces,
        {"yaxis": {"title": {"text": unit}, "rangemode": "tozero"}},
    )


def _dwell(seconds: float) -> str:
    """A time as one says it: "1.5 s", "75 s", "12 min", "3.5 h"."""
    unit, size, _ = next(found for found in _UNITS if seconds >= found[2])
    value = seconds / size
    return f"{value:.{0 if value >= _WHOLE else 1}f} {_SHORT[unit]}"


def flow_chart(flows: FlowsTable) -> Chart | None:
    """How many moves lead from each place to each; None where nobody moved."""
    names, moves = flows.matrix()
    if not names:
        return None
    labels = [place_label(name) for name in names]
    most = max(flows, key=lambda row: row["moves"] or 0)
    says = (
        f"Most moves, {most['moves'] or 'a withheld number'}, lead from {place_label(most['origin'])} to "
        f"{place_label(most['destination'])}."
    )
    trace = {
        "type": "heatmap",
        "x": labels,
        "y": labels,
        "z": moves,
        "text": [["withheld" if count is None else count for count in row] for row in moves],
        "texttemplate": "%{text}",
        "hovertemplate": "from %{y} to %{x}: %{z} moves<extra></extra>",
        "showscale": False,
    }
    layout = {
        "xaxis": {"title": {"text": "to"}, "type": "category"},
        "yaxis": {"title": {"text": "from"}, "type": "category", "autorange": "reversed"},
    }
    return Chart("flows", "From where to where", says, [trace], layout)
