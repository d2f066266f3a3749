"""``streamreid view``: a page of a run that is over, of a cache or of a gallery."""

from __future__ import annotations

import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from streamreid.cli._gallery import choose_store, note
from streamreid.cli.clip import Blurring, Moved, pictures_of
from streamreid.cli.console import errors, set_up_logging, stop_on_signals
from streamreid.cli.history import open_history
from streamreid.cli.page import require_page
from streamreid.config import ServerConfig
from streamreid.errors import StreamReIDError
from streamreid.gallery import Gallery, open_gallery
from streamreid.reports.histories import gallery_history
from streamreid.runs.erasure import belongs_to
from streamreid.runs.finished_corrections import FinishedCorrections
from streamreid.runs.finished_run import FinishedRun
from streamreid.runs.store_corrections import StoreCorrections

__all__ = ["view"]

_PATIENCE_SECONDS = 2.0
"""For which the gallery of a run is waited for; the page goes without it then."""


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

    with _opened(run, sources) as (finished, gallery):
        corrections: FinishedCorrections | StoreCorrections | None = None
        if not finished.has_boxes and gallery is not None and not gallery.read_only:
            corrections = StoreCorrections(gallery)
        elif _is_folder_of_results(finished):
            corrections = FinishedCorrections(run, gallery=None if gallery is None or gallery.read_only else gallery)
        shown = FinishedView(
            finished,
            pictures_of(finished, sources, blur),
            title="gallery" if "://" in run else Path(run).resolve().name,
            corrections=corrections,
            gallery=gallery,
            stored_crops=blur == "none",
        )
        with page_server(shown, ServerConfig(listen=listen)) as server:
            errors.print(f"page: {server.address}/page/ (Ctrl-C ends it)", highlight=False)
            if browser:
                webbrowser.open(f"{server.address}/page/")
            _wait()
            shown.close()


@contextmanager
def _opened(what: str, sources: Path | None) -> Iterator[tuple[FinishedRun, Gallery | None]]:
    """What is shown, and the gallery that it is or that the run went on from."""
    if "://" in what or Path(what).is_file():
        with choose_store(what, sources) as store:
            note(store, "view", {})
            yield gallery_history(store), store
        return
    with open_history(what, sources, "view") as finished:
        store_of_run = _gallery_of(finished)
        try:
            yield finished, store_of_run
        finally:
            if store_of_run is not None:
                store_of_run.close()


def _gallery_of(finished: FinishedRun) -> Gallery | None:
    """The gallery of a run, where it is still the same one and can be opened."""
    with suppress(StreamReIDError):
        config = finished.config
        name = None if config is None else config.gallery.store
        if config is None or name is None or not _is_folder_of_results(finished):
            return None
        if "://" not in name and not Path(name).expanduser().exists():  # opening it would make one
            return None
        store = open_gallery(config.gallery, patience=_PATIENCE_SECONDS)
        if belongs_to(finished.path, store):
            return store
        store.close()
    return None


def _is_folder_of_results(finished: FinishedRun) -> bool:
    """Whether corrections can be kept: not beside a cache or a gallery, nor while the run goes on."""
    return finished.has_boxes and not finished.goes_on and (finished.path / "summary.json").exists()


def _wait() -> None:
    """Until Ctrl-C or SIGTERM."""
    asked = threading.Event()
    with stop_on_signals(asked.set, "stopping"):
        asked.wait()
