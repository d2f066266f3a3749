"""What else a report can be made of besides a run's folder: a cache, which is replayed, and a gallery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from streamreid.cache.manifest import MANIFEST
from streamreid.config.output import duration
from streamreid.errors import ConfigError
from streamreid.gallery import Gallery, HourlyCount
from streamreid.gallery.records import HOUR
from streamreid.places import EVERYWHERE, CountsTable, FlowsTable, Place, PlaceLog
from streamreid.places.counts import COLUMNS
from streamreid.places.flows import default_places
from streamreid.replay import Replay
from streamreid.replay.replay import replayed_config
from streamreid.runs.finished_run import FinishedRun, Reading, SeenSpan, open_run
from streamreid.runs.run import run
from streamreid.sinks.result_reader import Beliefs

__all__ = ["GalleryHistory", "gallery_history", "is_cache", "replayed_run"]


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


class GalleryHistory(FinishedRun):
    """What a gallery knows: of people, and of hours whose people it has forgotten.

    Args:
        path: Of the gallery.
        beliefs: Who is who.
        reading: When everybody was seen.
        kept: Hourly counts, nothing withheld but what places ask for.
        notes: What the gallery does not tell, one sentence each.
    """

    def __init__(
        self, path: Path, beliefs: Beliefs, reading: Reading, kept: Sequence[HourlyCount], *, notes: Sequence[str]
    ) -> None:
        super().__init__(path, beliefs, reading, notes=notes)
        self._kept = tuple(kept)

    @property
    def start(self) -> float | None:
        """First capture time at which anybody was seen, or counted; None if nobody was."""
        times = [first for first, _ in self.watched.values()] + [count.hour for count in self._kept]
        return min(times, default=None)

    @cached_property
    def place_log(self) -> PlaceLog:
        """Spans of all tracks, and the names of all places that were counted."""
        known = super().place_log
        zones = {c.place: Place(c.place, "zone", ()) for c in self._kept if c.place not in known.place_names}
        return replace(known, places={name: zone for name, zone in zones.items() if name != EVERYWHERE})

    def counts(self, every: str | float | None = None, **options: Any) -> CountsTable:
        """How many people were where. Of hours, those of which the gallery counted more people than it still knows
        are as they were counted; see `FinishedRun.counts`."""
        # What is left of the people says nothing of zones.
        wanted = options.pop("places", None)
        zones = set(self.place_log.places)
        for group, members in (options.get("groups") or {}).items():
            if zones.intersection(members):
                raise ConfigError(
                    f"'{group}': the gallery has only counts of {', '.join(sorted(zones.intersection(members)))}, "
                    "which cannot be one place with others; ask for each alone"
                )
        names = self.place_log.place_names if wanted is None else wanted
        table = super().counts(every, places=[name for name in names if name not in zones], **options)
        asked = options.get("groups") or options.get("staff") or options.get("staff_after")
        if asked or every is None or duration(every, "every") != HOUR:
            return table
        begin, end = options.get("start"), options.get("end")
        kept = {
            (count.place, count.hour): _row(count, options.get("min_people", 0))
            for count in self._kept
            if count.place in names
            and (begin is None or count.hour >= begin)
            and (end is None or count.hour + HOUR <= end)
        }
        rows = {(row["place"], row["start"] // HOUR * HOUR): row for row in table}
        for cell, row in kept.items():
            if cell not in rows or _tells_more(row, rows[cell]):
                rows[cell] = row
        order = {name: number for number, name in enumerate(names)}
        return CountsTable(tuple(rows[cell] for cell in sorted(rows, key=lambda c: (order[c[0]], c[1]))), table.staff)

    def flows(self, **options: Any) -> FlowsTable:
        """Who went from where to where, of people who are remembered; see `FinishedRun.flows`."""
        if options.get("places") is None:
            options["places"] = default_places(replace(self.place_log, places={}))
        return super().flows(**options)


def _tells_more(kept: Mapping[str, Any], left: Mapping[str, Any]) -> bool:
    """Whether an hour was counted with more people than are left of it."""
    return not kept["withheld"] and (left["withheld"] or kept["unique"] > left["unique"])


def _row(count: HourlyCount, min_people: int) -> dict[str, Any]:
    """A row of a table of counts."""
    withheld = count.people is None or 0 < count.people < min_people
    told = {
        "place": count.place,
        "start": count.hour,
        "end": count.hour + HOUR,
        "withheld": withheld,
    }
    numbers = {name: getattr(count, name) for name in COLUMNS if hasattr(count, name) and name not in told}
    people = {"unique": count.people, "unique_low": count.people_low, "unique_high": count.people_high}
    return {**dict.fromkeys(COLUMNS), **({} if withheld else {**numbers, **people}), **told}


def gallery_history(store: Gallery) -> GalleryHistory:
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
        beliefs.tag_staff(person.global_id, person.staff)
    note = (
        "A gallery keeps when and where people were seen, in all runs, until it forgets them; it has no boxes, and so "
        "no maps, zones and lines."
    )
    kept = store.counts()
    hours = len({count.hour for count in kept})
    text = (
        f"Counts of {hours} hour{'s' * (hours != 1)} are kept, also of people who are forgotten: --every 1h shows them."
    )
    more = [text] if hours else []
    return GalleryHistory(Path(store.address), beliefs, reading, kept, notes=[note, *more])
