"""A report of a cache: it is replayed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from streamreid.cache.manifest import MANIFEST
from streamreid.config import MessagesConfig
from streamreid.replay import Replay
from streamreid.replay.replay import replayed_config
from streamreid.runs.finished_run import FinishedRun, open_run
from streamreid.runs.run import run

__all__ = ["is_cache", "replayed_run"]


def is_cache(folder: Path) -> bool:
    """Whether a folder holds a cache and no results."""
    return (folder / MANIFEST).is_file() and not (folder / "results.jsonl").exists()


@contextmanager
def replayed_run(cache: Path) -> Iterator[FinishedRun]:
    """The results of a cache: it is replayed into a folder that is removed when the block is left.

    Raises:
        DataError: The cache is damaged or holds no frame.
    """
    only_lines = {f"output.{name}": False for name in ("mot", "parquet", "video", "mosaic", "crops")}
    config = replayed_config(cache).with_settings({"gallery.store": None, "output.jsonl": True, **only_lines})
    config = config.model_copy(update={"messages": MessagesConfig()})  # brokers were told already
    with TemporaryDirectory(prefix="streamreid-report-") as folder:
        with Replay(cache, config) as replay:
            run(replay, folder)
        yield open_run(folder)
