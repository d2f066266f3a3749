"""Live: what the cameras show now, or of a finished run what its recordings show."""

from __future__ import annotations

from math import isfinite
from typing import Any

from streamreid.web.registry import Asked, PageNotFound, Pages

__all__ = ["add"]


def add(pages: Pages) -> None:
    """Add the page."""
    pages.add("live", _show, title="live.title", finished_title="live.playback", wanted=lambda site: site.has_pictures)


def _show(asked: Asked) -> dict[str, Any]:
    cameras = asked.site.cameras()
    chosen = asked.rest
    if chosen and chosen not in [camera["name"] for camera in cameras]:
        raise PageNotFound(f"there is no camera '{chosen}'")
    shown = [camera for camera in cameras if chosen in ("", camera["name"])]
    span = asked.site.span()
    start = None if span is None else _start(asked.query.get("time"), span)
    return {"cameras": cameras, "shown": shown, "chosen": chosen, "run": asked.site.run(), "span": span, "start": start}


def _start(text: str | None, span: tuple[float, float]) -> float:
    """The moment that an address asks for, else the beginning."""
    try:
        time = float(text or span[0])
        return min(max(time, span[0]), span[1]) if isfinite(time) else span[0]
    except ValueError:
        return span[0]
