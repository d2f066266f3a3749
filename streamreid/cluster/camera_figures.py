"""Figures of one camera on their way from its worker to the site's statistics, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from streamreid.cameras.statistics import CameraCount, Statistics
from streamreid.errors import SourceError
from streamreid.sources import SourceStatus

__all__ = ["apply_figures", "camera_figures"]


def camera_figures(count: CameraCount) -> dict[str, Any]:
    """What a worker knows of a camera and the site does not."""
    return {
        "drops": dict(count.drops),
        "detected": count.detected,
        "expected": count.expected,
        "live": count.live,
        "paused": count.paused,
        "warnings": list(count.warnings),
        "findings": list(count.findings),
        "error": count.error,
        "status": None if count.status is None else asdict(count.status),
    }


def apply_figures(statistics: Statistics, camera: str, figures: Mapping[str, Any]) -> None:
    """Take them into the site's statistics; none are there before the camera is open."""
    if not figures:
        return
    count = statistics.of(camera)
    count.drops = {str(reason): int(number) for reason, number in figures.get("drops", {}).items()}
    count.detected, count.expected = int(figures.get("detected", 0)), figures.get("expected")
    count.live, count.paused = bool(figures.get("live")), bool(figures.get("paused"))
    count.warnings = [str(text) for text in figures.get("warnings", ())]
    count.findings = [str(text) for text in figures.get("findings", ())]
    status = figures.get("status")
    count.status = None if status is None else _status(status)
    error = figures.get("error")
    if error is None:
        count.error = None
    else:
        statistics.record_failure(camera, SourceError(str(error)))


def _status(values: Mapping[str, Any]) -> SourceStatus:
    known = {item.name for item in fields(SourceStatus)}
    given: dict[str, Any] = {key: value for key, value in values.items() if key in known}
    if given.get("size"):
        given["size"] = tuple(given["size"])
    return SourceStatus(**given)
