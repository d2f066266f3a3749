"""What else a report can be made of besides a run's folder: a cache, which is replayed, and a gallery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from streamreid.cache.manifest import MANIFEST
from streamreid.gallery import Gallery
from streamreid.replay import Replay
from streamreid.replay.replay import replayed_config
from streamreid.runs.finished_run import FinishedRun, Reading, SeenSpan, open_run
from streamreid.runs.run import run
from streamreid.sinks.result_reader import Beliefs

__all__ = ["gallery_history", "is_cache", "replayed_run"]


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
    with TemporaryDirectory(prefix="streamreid-report-") as folder:
        with Replay(cache, config) as replay:
            run(replay, folder)
        yield open_run(folder)


def gallery_history(store: Gallery) -> FinishedRun:
    """Who is in a gallery, as if it were the results of one run: its track records of all runs, by the row in which
    each is stored instead of the track id, which is unique in a run only."""
    beliefs, reading = Beliefs(complete=True), Reading()
    for row, record in store.track_records().items():
        key = record.camera, row
        beliefs.take_row(*key, store.resolve(record.global_id), record.probability)
        reading.spans[key] = SeenSpan(record.start, record.end, record.observations)
        first, last = reading.watched.get(record.camera, (record.start, record.end))
        reading.watched[record.camera] = min(first, record.start), max(last, record.end)
    beliefs.cameras += sorted(reading.watched)
    for person in store.identities():
        beliefs.take_person(person.global_id, person.name, confirmed=person.confirmed)
    note = (
        "A gallery keeps when and where people were seen, in all runs, until it forgets them; it has no boxes, and so "
        "no maps, zones and lines."
    )
    return FinishedRun(Path(store.address), beliefs, reading, notes=[note])
