"""The figure of `scale.py`: frames per second and age over cameras, and over people per frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["draw_scale", "line_of"]

COLOURS = {"frames/s": "#1f6f8b", "age": "#c8553d"}


def line_of(figures: Mapping[str, Any], *, people: int | None = None) -> list[tuple[int, Mapping[str, Any]]]:
    """Points of one line, by their number.

    Args:
        figures: Of `scale.py`, a point named ``CAMERASxPEOPLE``.
        people: Those of a line over cameras; None: the line over people of one camera.
    """
    found = []
    for name, point in figures.items():
        cameras, times, seen = name.partition("x")
        if not (times and cameras.isdigit() and seen.isdigit()):
            continue
        if people is None and cameras == "1":
            found.append((int(seen), point))
        elif people is not None and int(seen) == people:
            found.append((int(cameras), point))
    return sorted(found, key=lambda pair: pair[0])


def draw_scale(figures: Mapping[str, Any], path: Path, base: int = 5) -> None:
    """Draw it as SVG, the same for the same figures.

    Args:
        figures: Of `scale.py`.
        path: The file.
        base: People per camera of the line over cameras.
    """
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "streamreid", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot

    picture, panels = pyplot.subplots(1, 2, figsize=(8.4, 3.2), layout="constrained")
    lines = (
        (f"cameras ({base} people in each)", line_of(figures, people=base)),
        ("people per frame (one camera)", line_of(figures)),
    )
    for panel, (label, points) in zip(panels, lines, strict=True):
        _panel(panel, label, points)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(picture)


def _panel(panel: Any, label: str, points: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Both values of one line, each at an axis of its own, and what limits each point."""
    places = range(len(points))
    rates = [point["frames_per_second"] for _, point in points]
    panel.plot(places, rates, "o-", color=COLOURS["frames/s"])
    panel.set_ylim(0, 1.3 * max(rates, default=1))
    panel.set_xticks(list(places), [str(number) for number, _ in points])
    panel.set_xlabel(label)
    panel.set_ylabel("frames/s, all cameras", color=COLOURS["frames/s"])
    for place, (_, point) in zip(places, points, strict=True):
        limit = next(iter(point["limited_by"]))
        panel.annotate(limit, (place, rates[place]), (0, 6), textcoords="offset points", ha="center", fontsize=7)
    ages = panel.twinx()
    ages.plot(places, [point["age_p95_ms"] for _, point in points], "s--", color=COLOURS["age"])
    ages.set_yscale("log")
    for axis in (ages.yaxis.set_major_formatter, ages.yaxis.set_minor_formatter):
        axis("{x:,.0f}")
    ages.tick_params(axis="y", which="both", labelsize=7)
    ages.set_ylabel("age p95, ms (live)", color=COLOURS["age"])
