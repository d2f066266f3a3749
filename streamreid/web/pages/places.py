"""Places: zones and lines on the picture or the plan, who is there, counts per hour, flows, where people stand."""

from __future__ import annotations

from typing import Any

import numpy as np

from streamreid.ground.ground_plan import GroundPlan, PlanScale
from streamreid.runs.heat_board import HEAT_CELLS
from streamreid.types import Float64Array
from streamreid.web.finished_view import FinishedView
from streamreid.web.registry import Asked, PageNotFound, Pages
from streamreid.web.run_parts import finished_run, live_parts
from streamreid.web.site_view import SiteView

__all__ = ["add"]

_PLAN = "plan"
_EVERY = ("15m", "1h", "1d")
_MOST_ROWS = 200
"""Of the table of counts, the newest."""

_MOST_FLOWS = 30

Point = tuple[float, float]


def add(pages: Pages) -> None:
    """Add the page."""
    pages.add("places", _show, title="places.title")


def _show(asked: Asked) -> dict[str, Any]:
    site, names = asked.site, [camera["name"] for camera in asked.site.cameras()]
    live, chosen = live_parts(site), asked.rest or next(iter(names), "")
    plan = site.plan
    has_plan = plan is not None and plan.picture is not None
    on_plan = asked.query.get("on") == _PLAN and has_plan
    if chosen and not on_plan and chosen not in names:
        raise PageNotFound(f"there is no camera '{chosen}'")
    every = asked.query.get("every", "1h")
    every = every if every in _EVERY else "1h"
    interval, heat = (asked.query.get(key) == "1" for key in ("interval", "heat"))
    question = {"interval": True} if interval and live is not None else {}
    drawn = _drawn(site, chosen, plan if on_plan else None) if chosen else []
    return {
        "can_draw": asked.can_change and live is not None,
        "cameras": names,
        "chosen": _PLAN if on_plan else chosen,
        "on_plan": on_plan,
        "plan": plan.to_dict() if plan is not None and has_plan else None,
        "drawn": drawn,
        "places": [place for place in site.places() if place["kind"] in ("zone", "line")],
        "others": [place for place in site.places() if place["kind"] not in ("zone", "line")],
        "counts": list(reversed(site.counts(every, **question)))[:_MOST_ROWS],
        "flows": site.flows()[:_MOST_FLOWS],
        "every": every,
        "interval": interval,
        "periods": _EVERY,
        "heat": _cells(_heat(site, chosen)) if heat and chosen and not on_plan else [],
        "heat_shown": heat,
        "columns": HEAT_CELLS[0],
        "rows": HEAT_CELLS[1],
    }


def _size(site: SiteView, camera: str) -> tuple[int, int] | None:
    """Width and height of a camera's pictures."""
    live = live_parts(site)
    if live is not None:
        return live.pipeline.statistics.of(camera).size
    shown = next((view.get("size") for view in site.cameras() if view["name"] == camera), None)
    return None if shown is None else (int(shown[0]), int(shown[1]))


def _outlines(site: SiteView) -> list[tuple[str, str | None, bool, bool, list[Point]]]:
    """Name, camera, whether on the ground, whether a line, and corners of all zones and lines."""
    live, finished = live_parts(site), finished_run(site)
    said = live.places if live is not None else None if finished is None else finished.config
    if said is None:
        return []
    zones = [(z.name, z.camera, z.ground is not None, False, list(z.ground or z.polygon or ())) for z in said.zones]
    return [*zones, *((n.name, n.camera, n.ground, True, [n.begin, n.end]) for n in said.lines)]


def _drawn(site: SiteView, camera: str, plan: GroundPlan | None) -> list[dict[str, Any]]:
    """Zones and lines of a camera's picture, or of the plan, in fractions of it."""
    scale = None if plan is None else plan.scale
    size = _size(site, camera) if plan is None else plan.size
    shapes = []
    for name, of, grounded, line, corners in _outlines(site):
        if grounded != (plan is not None) or (plan is None and of != camera):
            continue
        points = _fractions(corners, size, scale)
        if points is not None:
            path = " ".join(f"{x:.4f},{y:.4f}" for x, y in points)
            shapes.append({"name": name, "line": line, "points": path, "x": points[0][0], "y": points[0][1]})
    return shapes


def _fractions(corners: list[Point], size: tuple[int, int] | None, scale: PlanScale | None) -> list[Point] | None:
    array = np.asarray(corners, np.float64)
    if scale is not None:
        array = scale.to_plan(array)
    elif array.max() <= 1.0:
        size = (1, 1)
    if size is None:
        return None
    return [(float(x), float(y)) for x, y in (array / size).tolist()]


def _heat(site: SiteView, camera: str) -> Float64Array | None:
    live = live_parts(site)
    if live is not None:
        return live.setup.heat.grid(camera)
    if not isinstance(site, FinishedView) or not site.has_pictures:
        return None
    prints = site.footprints()
    surface, size = prints.surfaces.get(camera), _size(site, camera) or prints.extent.get(camera)
    if surface is None or size is None:
        return None
    fine = surface.grid((0.0, 0.0), size)
    columns, rows = HEAT_CELLS
    grid = np.zeros((rows, columns))
    for (y, x), seconds in np.ndenumerate(fine):
        grid[min(rows - 1, y * rows // fine.shape[0]), min(columns - 1, x * columns // fine.shape[1])] += seconds
    return grid


def _cells(grid: Float64Array | None) -> list[dict[str, float]]:
    """The cells in which somebody stood: column, row, and how dark (root of the share of the fullest one)."""
    if grid is None or not grid.max():
        return []
    shares = np.sqrt(grid / grid.max())
    return [
        {"x": int(x), "y": int(y), "share": round(float(shares[y, x]), 3), "seconds": round(float(grid[y, x]), 1)}
        for y, x in zip(*(found.tolist() for found in np.nonzero(grid)), strict=True)
    ]
