"""What a report or a page can be made of: a run's folder, a cache, which is replayed, or a gallery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamreid.cli._gallery import choose_store, note
from streamreid.reports.histories import gallery_history
from streamreid.reports.replayed_cache import is_cache, replayed_run
from streamreid.runs.finished_run import FinishedRun, open_run

__all__ = ["open_history"]


@contextmanager
def open_history(what: str, sources: Path | None, verb: str) -> Iterator[FinishedRun]:
    """The run, the replay of a cache, or the gallery.

    Args:
        what: Folder, file or address.
        sources: YAML file that names the gallery.
        verb: What is done with it, for the gallery's audit.

    Raises:
        DataError: It is none of these.
    """
    path = Path(what)
    if "://" in what or path.is_file():
        with choose_store(what, sources) as store:
            note(store, verb, {})
            yield gallery_history(store)
    elif is_cache(path):
        with replayed_run(path) as finished:
            yield finished
    else:
        yield open_run(path)
