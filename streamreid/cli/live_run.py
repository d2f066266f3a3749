"""What goes on beside a run: its HTTP interface and page, and the cameras file that is followed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from streamreid.cameras.config_watcher import CameraConfigWatcher
from streamreid.cameras.runtime_overrides import CameraOverrides
from streamreid.cli.console import errors
from streamreid.cli.page import page_of_run, tell_page
from streamreid.config import Config
from streamreid.pipeline import Pipeline
from streamreid.runs.place_editor import PlaceEditor
from streamreid.serving import Server
from streamreid.serving.setup_parts import SetupParts
from streamreid.sinks import Sink

__all__ = ["follow_file", "serve_run"]


@contextmanager
def serve_run(
    pipeline: Pipeline, folder: Path, watched: Path | None, changes: CameraOverrides, editor: PlaceEditor
) -> Iterator[Sequence[Sink]]:
    """Serve a run, and its page where that is installed; says where.

    Args:
        pipeline: The run.
        folder: Its results.
        watched: The cameras file.
        changes: What the interface changes of the cameras.
        editor: The same of zones and lines.

    Yields:
        Sinks that get everything.
    """
    config = pipeline.config.server
    page = page_of_run(config)
    setup = SetupParts.of_run(folder, watched)
    with Server(pipeline, config, changes, places=editor, setup=setup, page=page) as server:
        errors.print(f"serving at {server.address}", highlight=False)
        tell_page(server.address, page, config)
        yield server.sinks


def follow_file(
    pipeline: Pipeline,
    watched: Path,
    read: Callable[[], Config] | None,
    changes: CameraOverrides,
    editor: PlaceEditor,
) -> CameraConfigWatcher:
    """Follow the cameras file: what is changed there changes in the run.

    Args:
        pipeline: The run.
        watched: The file.
        read: How it is read.
        changes: What the interface changes of the cameras.
        editor: The same of zones and lines.
    """

    def follow_places(now: Config) -> Sequence[str]:
        return editor.file_says(now.zones, now.lines)

    return CameraConfigWatcher(watched, pipeline.cameras, load=read, changes=changes, places=follow_places)
