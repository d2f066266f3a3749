"""Cameras: add, try, change, pause and remove them, find them in the network, calibrate them by clicks, the plan of the
ground, and the cameras file."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from streamreid.web.registry import Asked, PageNotFound, Pages
from streamreid.web.run_parts import live_parts

__all__ = ["add"]


def add(pages: Pages) -> None:
    """Add the page."""
    pages.add("cameras", _show, title="cameras.title", wanted=lambda site: live_parts(site) is not None)


def _show(asked: Asked) -> dict[str, Any]:
    site = asked.site
    live = live_parts(site)
    assert live is not None
    cameras = site.cameras()
    names = [camera["name"] for camera in cameras]
    if asked.rest and asked.rest not in names:
        raise PageNotFound(f"there is no camera '{asked.rest}'")
    configs = {config.name: config for config in live.pipeline.cameras.configs}
    setup = live.setup
    calibrated = [name for name in names if configs[name].calibration is not None]
    chosen = configs.get(asked.rest)
    points = () if chosen is None or chosen.calibration is None else chosen.calibration.points or ()
    size = None if chosen is None else live.pipeline.statistics.of(chosen.name).size
    return {
        "cameras": cameras,
        "camera": next((camera for camera in cameras if camera["name"] == asked.rest), None),
        "calibrated": calibrated,
        "others": [name for name in calibrated if name != asked.rest],
        "points": [] if size is None else [[x / size[0], y / size[1], a, b] for x, y, a, b in points],
        "plan": setup.plan.to_dict() if setup.plan.picture is not None else None,
        "file": None if setup.file is None else str(setup.file.path.name),
        "changes": live.changes.differences(live.pipeline.cameras.configs) or live.places.differences,
        "can_search": find_spec("onveef") is not None,
    }
