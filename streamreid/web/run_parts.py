"""What is behind a `SiteView`, for pages that set a run up."""

from __future__ import annotations

from streamreid.runs.finished_run import FinishedRun
from streamreid.serving.server import LiveParts
from streamreid.web.site_view import SiteView

__all__ = ["finished_run", "live_parts"]


def live_parts(site: SiteView) -> LiveParts | None:
    """The run that goes on; None of one that is over."""
    found = getattr(site, "live", None)
    return found if isinstance(found, LiveParts) else None


def finished_run(site: SiteView) -> FinishedRun | None:
    """The run that is over; None of one that goes on."""
    found = getattr(site, "finished", None)
    return found if isinstance(found, FinishedRun) else None
