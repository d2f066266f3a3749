"""What a gallery knows of people in all runs and days, as if it were the results of one run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from streamreid.config.output import duration
from streamreid.errors import ConfigError
from streamreid.gallery import Gallery, HourlyCount
from streamreid.gallery.records import HOUR
from streamreid.places import EVERYWHERE, CountsTable, FlowsTable, PlaceInfo, PlaceLog
from streamreid.places.counts import periods, wanted_places
from streamreid.places.flows import default_places
from streamreid.places.partition_sampling import PartitionSamples
from streamreid.places.records import EARLIEST_DATE
from streamreid.reports.gallery_samples import MOST_SAMPLED, GalleryLinks
from streamreid.reports.kept_hours import KeptHours, either
from streamreid.runs.finished_run import FinishedRun, Reading, SeenSpan
from streamreid.sinks.result_reader import Beliefs
from streamreid.types import TrackKey

__all__ = ["GalleryHistory", "gallery_history"]


class GalleryHistory(FinishedRun):
    """What a gallery knows: of people, and of hours whose people it has forgotten.

    Tracks are called by camera and the row in which each is stored, as track ids are unique in a run only.

    Args:
        path: Of the gallery.
        beliefs: Who is who.
        reading: When everybody was seen.
        kept: Hourly counts of each run, nothing withheld.
        links: Which tracks may be one person.
        notes: What the gallery does not tell, one sentence each.
    """

    def __init__(
        self,
        path: Path,
        beliefs: Beliefs,
        reading: Reading,
        kept: Sequence[HourlyCount],
        links: GalleryLinks,
        *,
        notes: Sequence[str],
    ) -> None:
        super().__init__(path, beliefs, reading, notes=notes)
        self._possible = links
        self._kept = KeptHours(kept, links.records)
        self._undated = {r.run for r in links.records.values() if r.start < EARLIEST_DATE}

    @property
    def start(self) -> float | None:
        """First capture time at which anybody was seen, or counted; None if nobody was."""
        times = [first for first, _ in self.watched.values()] + [count.hour for count in self._kept.records]
        return min(times, default=None)

    @property
    def end(self) -> float | None:
        """Last capture time at which anybody was seen, or end of the last hour that was counted and of which nobody is
        remembered; None if nobody was."""
        last = super().end
        over = [c.hour + HOUR for c in self._kept.records if last is None or c.hour > last]
        return max([*over, *(() if last is None else (last,))], default=None)

    @cached_property
    def place_log(self) -> PlaceLog:
        """Spans of all tracks, and the names of all places that were counted."""
        known = super().place_log
        names = dict.fromkeys(c.place for c in self._kept.records if c.place not in known.place_names)
        return replace(known, places={name: PlaceInfo(name, "zone", ()) for name in names if name != EVERYWHERE})

    def samples_between(self, start: float | None, end: float | None) -> PartitionSamples | None:
        """Who may be who among the tracks of a time, in all runs.

        Args:
            start: Capture time, seconds; None: from the beginning.
            end: None: until the end.

        Returns:
            None of more than 20,000 tracks, and of tracks that no run compared.
        """
        there = [
            span.key
            for span in self.place_log.spans
            if (start is None or span.end >= start) and (end is None or span.start < end)
        ]
        return self._possible.samples(there, self.links, self.place_log.spans)

    def counts(self, every: str | float | None = None, **options: Any) -> CountsTable:
        """How many people were where, with the interval over restarts and days; see `FinishedRun.counts`. Of hours of
        which the gallery counted more people than it still knows, those are added as a number. Of zones it has only
        such numbers: a place that consists of a zone and others has people between the greatest and the sum of them."""
        asked, groups = options.pop("places", None), options.pop("groups", None) or {}
        zones = set(self.place_log.places)
        wanted = wanted_places(self.place_log, asked, groups)
        seconds = None if every is None else duration(every, "every")
        if seconds is not None and seconds % HOUR and (asked is not None or groups):
            _refuse_zones(wanted, zones, every)
        if "samples" not in options:
            options["samples"] = self.samples_between(options.get("start"), options.get("end"))
        options.setdefault("one_time", len(self._undated) < 2)
        mixed = {name: members for name, members in wanted.items() if len(members) > 1 and zones.intersection(members)}
        table = self._counted({n: members for n, members in wanted.items() if n not in mixed}, every, options)
        if not mixed or (seconds is not None and seconds % HOUR):
            return table
        parts = {
            name: [*((m,) for m in members if m in zones), tuple(m for m in members if m not in zones)]
            for name, members in mixed.items()
        }
        alone = {" ".join(members): members for theirs in parts.values() for members in theirs if members}
        apart = self._counted({**alone, EVERYWHERE: (EVERYWHERE,)}, every, {**options, "min_people": 0})
        cells, least = self._cells(seconds, options), int(options.get("min_people", 0))
        rows = {name: [row for row in table if row["place"] == name] for name in wanted}
        for name, theirs in parts.items():
            known = [[row for row in apart if row["place"] == " ".join(members)] for members in theirs if members]
            everybody = [row for row in apart if row["place"] == EVERYWHERE and self._kept.covers(mixed[name])]
            rows[name] = either(name, known, everybody, cells, min_people=least)
        return CountsTable(tuple(row for name in wanted for row in rows[name]), table.staff)

    def _cells(self, seconds: float | None, options: Mapping[str, Any]) -> list[tuple[float, float]]:
        first, last = options.get("start"), options.get("end")
        first, last = self.start if first is None else first, self.end if last is None else last
        return [] if first is None or last is None else periods(first, last, seconds)

    def _counted(
        self, wanted: Mapping[str, tuple[str, ...]], every: str | float | None, options: Mapping[str, Any]
    ) -> CountsTable:
        """The rows of places that are one zone, or cameras."""
        zones, seconds = set(self.place_log.places), None if every is None else duration(every, "every")
        people = {name: members for name, members in wanted.items() if not zones.intersection(members)}
        if not self.watched and options.get("start") is None:  # hours begin with the first that was counted
            options = {**options, "start": self.start}
        table = super().counts(every, places=(), groups=people, **options)
        if not self._kept.records or (seconds is not None and seconds % HOUR):
            return table
        rows = [
            row
            for name, members in wanted.items()
            for row in self._kept.added(
                name,
                members,
                [row for row in table if row["place"] == name],
                self._cells(seconds, options),
                asked=(options.get("start"), options.get("end")),
                samples=options["samples"],
                min_people=int(options.get("min_people", 0)),
                identities=self.links,
            )
        ]
        return CountsTable(tuple(rows), table.staff)

    def flows(self, **options: Any) -> FlowsTable:
        """Who went from where to where, of people who are remembered; see `FinishedRun.flows`."""
        if options.get("places") is None:
            options["places"] = default_places(replace(self.place_log, places={}))
        if "samples" not in options:
            options["samples"] = self.samples_between(options.get("start"), options.get("end"))
        return super().flows(**options)


def _refuse_zones(wanted: Mapping[str, Sequence[str]], zones: Collection[str], every: str | float | None) -> None:
    """Refuse zones in periods of which nothing is known of them.

    Raises:
        ConfigError: One is asked for.
    """
    asked = [member for members in wanted.values() for member in members if member in zones]
    if asked:
        raise ConfigError(
            f"counts of '{asked[0]}' every {every}: a gallery keeps counts of zones by the hour; ask for whole "
            "hours or days (1h, 1d), or report the run's folder"
        )


def gallery_history(store: Gallery) -> GalleryHistory:
    """Who is in a gallery, as if it were the results of one run.

    Example:
        >>> with Gallery.open("people.db", read_only=True) as store:  # doctest: +SKIP
        ...     table = gallery_history(store).counts(every="1d")
    """
    beliefs, reading = Beliefs(complete=True), Reading()
    links = GalleryLinks.of(store)
    present = {person.global_id: person for person in store.identities()}
    for row, record in links.records.items():
        key = record.camera, row
        who = record.global_id if record.global_id in present else store.resolve(record.global_id)
        beliefs.take_row(*key, who, record.probability)
        reading.spans[key] = SeenSpan(record.start, record.end, record.observations)
        first, last = reading.watched.get(record.camera, (record.start, record.end))
        reading.watched[record.camera] = min(first, record.start), max(last, record.end)
    beliefs.cameras += sorted(reading.watched)
    for person in present.values():
        beliefs.take_person(person.global_id, person.name, confirmed=person.confirmed)
        beliefs.tag_staff(person.global_id, person.staff)
    kept = store.tables.hourly_counts.records()
    return GalleryHistory(
        Path(store.address), beliefs, reading, kept, links, notes=[*_notes(links, kept, reading.spans)]
    )


def _notes(links: GalleryLinks, kept: Sequence[HourlyCount], tracks: Mapping[TrackKey, SeenSpan]) -> Iterable[str]:
    """What the gallery does not tell, and what is uncertain."""
    yield (
        "A gallery keeps when and where people were seen, in all runs, until it forgets them; it has no boxes, and so "
        "no maps and lines; of zones it has counts per hour, of runs whose times are dates."
    )
    hours = len({count.hour for count in kept})
    if hours:
        yield (
            f"Counts of {hours} hour{'s' * (hours != 1)} are kept, also of people who are forgotten or were seen too "
            "little to be remembered: they are added as a number. Nobody knows whether these are the same from hour to "
            "hour, so the interval reaches from one to the other."
        )
    blind = len(tracks) - links.compared(tracks)
    if blind:
        yield (
            f"{blind} of {len(tracks)} tracks were never compared with others (their run was killed, goes on, or was "
            "of a version that did not keep it): for them the interval takes who they are for certain."
        )
    if len({record.run for record in links.records.values() if record.start < EARLIEST_DATE}) > 1:
        yield (
            "Several runs were of recordings without a date, whose times all begin at 0: people are counted over all "
            "of them, but occupancy and periods mix these runs. Give them a start_time."
        )
    if len(tracks) > MOST_SAMPLED:
        yield (
            f"More than {MOST_SAMPLED} tracks are remembered; a time of more than so many has no interval: ask for a "
            "shorter one with --from and --to."
        )
