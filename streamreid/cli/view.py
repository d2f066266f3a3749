"""``streamreid view``: a page of a run that is over, of a cache or of a gallery."""

from __future__ import annotations

import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from streamreid.cli.clip import Blurring, Moved, pictures_of
from streamreid.cli.console import errors, set_up_logging, stop_on_signals
from streamreid.cli.history import open_history
from streamreid.cli.page import require_page
from streamreid.config import ServerConfig
from streamreid.runs.finished_corrections import FinishedCorrections
from streamreid.runs.finished_run import FinishedRun

__all__ = ["view"]


def view(
    run: Annotated[
        str, typer.Argument(metavar="RUN|GALLERY|CACHE", help="Folder of results or of a cache, or a gallery.")
    ],
    listen: Annotated[
        str, typer.Option("--listen", "-l", metavar="[HOST:]PORT", help="Where to show it; 0 takes a free port.")
    ] = "8080",
    blur: Blurring = "none",
    sources: Moved = None,
    browser: Annotated[bool, typer.Option("--browser", help="Open it in the browser of this machine.")] = False,
) -> None:
    """Show a page of a run, a cache or a gallery until stopped (Ctrl-C).

    Pictures come from the recordings, found through the run's summary, or
    from the films that the run drew. People are hidden as they were in the
    run (output.blur). Other machines need a token (STREAMREID_TOKEN).
    """
    set_up_logging()
    require_page()
    from streamreid.web.finished_app import page_server  # an extra
    from streamreid.web.finished_view import FinishedView

    with open_history(run, sources, "view") as finished:
        title = "gallery" if "://" in run else Path(run).resolve().name
        corrections = FinishedCorrections(run) if _is_folder_of_results(finished) else None
        shown = FinishedView(finished, pictures_of(finished, sources, blur), title=title, corrections=corrections)
        with page_server(shown, ServerConfig(listen=listen)) as server:
            errors.print(f"page: {server.address}/page/ (Ctrl-C ends it)", highlight=False)
            if browser:
                webbrowser.open(f"{server.address}/page/")
            _wait()
            shown.close()


def _is_folder_of_results(finished: FinishedRun) -> bool:
    """Whether corrections can be kept: not beside a cache or a gallery, nor while the run goes on."""
    return finished.has_boxes and not finished.goes_on and (finished.path / "summary.json").exists()


def _wait() -> None:
    """Until Ctrl-C or SIGTERM."""
    asked = threading.Event()
    with stop_on_signals(asked.set, "stopping"):
        asked.wait()
