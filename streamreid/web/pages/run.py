"""Run: stages, queues, memory, events and findings."""

from __future__ import annotations

from typing import Any

from streamreid.web.registry import Asked, Pages

__all__ = ["add"]

_EVENTS = 100
"""Shown of the newest events."""


def add(pages: Pages) -> None:
    """Add the page."""
    pages.add("run", _show, title="run.title")


def _show(asked: Asked) -> dict[str, Any]:
    site = asked.site
    return {
        "run": site.run(),
        "cameras": site.cameras(),
        "events": site.events(_EVENTS),
        "notes": site.notes(),
        "log": site.log(),
    }
