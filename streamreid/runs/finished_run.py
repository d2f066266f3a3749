"""A run that is over (or was killed, or goes on), opened from its folder: who appeared where and when."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from streamreid._folders import is_written
from streamreid.config import Config
from streamreid.config.output import duration
from streamreid.corrections import Correction, corrections_in
from streamreid.errors import DataError, StreamReIDError
from streamreid.places import CountsTable, Crossing, FlowsTable, PlaceLog, TrackSpan, count_flows, count_people
from streamreid.places.link_graph import who_may_be_who
from streamreid.places.partition_sampling import PartitionSamples
from streamreid.runs.correcting import apply_corrections
from streamreid.runs.finished_identity import Appearance, FinishedIdentity, Identities
from streamreid.runs.link_file import read_links
from streamreid.runs.place_log import read_place_log
from streamreid.runs.questions import moment
from streamreid.sinks import FinalIdentities
from streamreid.sinks.result_reader import Beliefs, Observations, read_results
from streamreid.types import TrackKey

__all__ = [
    "FinishedRun",
    "Reading",
    "SeenSpan",
    "open_run",
]

_LEAST_OBSERVATIONS = 3
"""Frames from which a track is a person where nothing says so but the Parquet table: the default of
``association.min_observations``."""

_ONLY_TABLE = (
    "There is only the Parquet table and no results.jsonl, so names, zones, lines and who is confirmed are not known."
)


_SLIVER = 1e-6
"""Seconds of a last period that is none of its own."""


@dataclass
class SeenSpan:
    """From when to when a track was seen, in how many frames."""

    start: float
    end: float
    observations: int = 0


@dataclass
class Reading:
    """What one pass over the results leaves: when each track was seen, and when each camera saw somebody."""

    spans: dict[TrackKey, SeenSpan] = field(default_factory=dict)
    watched: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, rows: Observations) -> None:
        """Take observations."""
        for camera, track, time in zip(rows.cameras, rows.track_ids.tolist(), rows.times.tolist(), strict=True):
            span = self.spans.get((camera, track))
            if span is None:
                span = self.spans[camera, track] = SeenSpan(time, time)
            span.start, span.end = min(span.start, time), max(span.end, time)
            span.observations += 1
            first, last = self.watched.get(camera, (time, time))
            self.watched[camera] = min(first, time), max(last, time)


class FinishedRun:
    """The results of a run, opened by `open_run`.

    Args:
        path: The folder.
        beliefs: Who is who.
        reading: When everybody was seen.
        notes: What the results do not tell, one sentence each.
        corrections: What people said afterwards.

    Attributes:
        complete: Whether the run came to its end.
        goes_on: Whether a process writes to the folder at the moment.
        cameras: Names, in the order of the run.
        watched: First and last capture time, in seconds, at which each camera saw somebody.
        identities: People by global id.
        unlinked: Tracks that were seen too little to be a person.
    """

    def __init__(
        self,
        path: Path,
        beliefs: Beliefs,
        reading: Reading,
        *,
        notes: Sequence[str] = (),
        corrections: Iterable[Correction] = (),
    ) -> None:
        self.path = path
        self.notes = tuple(notes)
        self.goes_on = is_written(path)
        self._read = copy.deepcopy(beliefs), reading
        corrections = list(corrections)
        apply_corrections(beliefs, corrections)
        self.corrections: tuple[Correction, ...] = tuple(corrections)
        self.complete = beliefs.complete
        self.watched: Mapping[str, tuple[float, float]] = reading.watched
        self.cameras: tuple[str, ...] = tuple(beliefs.cameras)
        self._beliefs, self._spans = beliefs, reading.spans
        people = _people(beliefs, reading.spans)
        linked = {appearance.key for person in people.values() for appearance in person.appearances}
        self.identities = Identities(people, beliefs.current)
        self.unlinked: tuple[TrackKey, ...] = tuple(sorted(set(reading.spans) - linked))

    def __repr__(self) -> str:
        return f"FinishedRun({str(self.path)!r}, identities={len(self.identities)}, cameras={list(self.cameras)})"

    def corrected(self, corrections: Iterable[Correction]) -> FinishedRun:
        """The same run, with these corrections instead of those so far."""
        beliefs, reading = self._read
        return FinishedRun(self.path, copy.deepcopy(beliefs), reading, notes=self.notes, corrections=corrections)

    def current(self, global_id: int) -> int:
        """Who an identity is now: it may have become part of another one."""
        return self._beliefs.current(global_id)

    @property
    def greatest_id(self) -> int:
        """The greatest global id that was ever given in the results or by a correction; 0 if none was."""
        said = [max(c.global_id, c.other_id) for c in self.corrections]
        return max([self._beliefs.greatest_id(), *said])

    def numbers_of(self, global_id: int) -> tuple[int, ...]:
        """The global ids by which the results, as they were written, call an identity and nobody else."""
        mine = {a.key for a in self.identities[global_id].appearances}
        written: dict[int, set[TrackKey]] = defaultdict(set)
        for key, (who, _) in self._read[0].links().items():
            if key in self._spans:
                written[who].add(key)
        return tuple(sorted(who for who, keys in written.items() if keys <= mine))

    @property
    def state(self) -> str:
        """One sentence about how far the run is."""
        if self.goes_on:
            return "The run goes on: this is what it has found so far."
        if not self.complete:
            return "The run was killed or failed: results end where it did, and who is who may be unfinished."
        return "The run came to its end."

    @property
    def has_boxes(self) -> bool:
        """Whether the folder says where people were in the pictures; a gallery does not."""
        return self.path.is_dir()

    @property
    def start(self) -> float | None:
        """First capture time at which anybody was seen, seconds; None if nobody was."""
        return min((first for first, _ in self.watched.values()), default=None)

    @property
    def end(self) -> float | None:
        """Last capture time at which anybody was seen, seconds; None if nobody was."""
        return max((last for _, last in self.watched.values()), default=None)

    @cached_property
    def summary(self) -> dict[str, Any] | None:
        """``summary.json``; None where the run did not get to write it.

        Raises:
            DataError: It is damaged.
        """
        path = self.path / "summary.json"
        if not self.has_boxes:
            return None
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read '{path}': {error}") from error
        if not isinstance(data, dict):
            raise DataError(f"'{path}' is not the summary of a run")
        return data

    @cached_property
    def config(self) -> Config | None:
        """The configuration of the run, without passwords; None where the run left no summary.

        Raises:
            DataError: The summary has none that this version can read.
        """
        if self.summary is None:
            return None
        try:
            return Config.stored(self.summary["configuration"], where=str(self.path / "summary.json"))
        except (KeyError, TypeError, StreamReIDError) as error:
            raise DataError(f"'{self.path / 'summary.json'}' has no configuration that can be read: {error}") from error

    @cached_property
    def place_log(self) -> PlaceLog:
        """What tracks did at places: visits of zones, crossings of lines, spans of all tracks."""
        if self.has_boxes and not self._beliefs.from_table:
            return read_place_log(self.path)
        spans = tuple(TrackSpan(*key, span.start, span.end, span.observations) for key, span in self._spans.items())
        return PlaceLog(spans=spans, watched=self.watched)

    @cached_property
    def crossings(self) -> tuple[Crossing, ...]:
        """The crossings of lines that count: not those between two tracks that are different people after all."""
        return tuple(
            c
            for c in self.place_log.crossings
            if not c.before or self.identity_of(c.camera, c.before) == self.identity_of(*c.key)
        )

    @cached_property
    def links(self) -> FinalIdentities:
        """Global id and link probability of every track; tracks of nobody have the global id 0."""
        people = {a.key: (who, a.probability) for who, person in self.identities.items() for a in person.appearances}
        confirmed = [who for who, person in self.identities.items() if person.confirmed]
        names = {who: person.name for who, person in self.identities.items() if person.name}
        return FinalIdentities(
            {**dict.fromkeys(self.unlinked, (0, 0.0)), **people},
            confirmed=confirmed,
            unlinked=(0,),
            names=names,
            staff=[who for who, person in self.identities.items() if person.staff],
        )

    @cached_property
    def samples(self) -> PartitionSamples | None:
        """Who may be who, for the intervals of counts; None where the run did not write which tracks may be one person
        (runs of earlier versions, and runs that go on or were killed).

        Raises:
            DataError: What it wrote is damaged.
        """
        links = read_links(self.path)
        if links is None:
            return None
        tracks = [track.key for track in links.tracks]
        return who_may_be_who(tracks, links.pairs, links.log_odds, self.links, self.place_log.spans)

    def moment(self, text: str) -> float:
        """The capture time of ``10:00`` on the day of the run (UTC), or of a date and time; see `questions.moment`.

        Raises:
            ConfigError: It is none.
        """
        return moment(text, self.start, "moment")

    def counts(self, every: str | float | None = None, **options: Any) -> CountsTable:
        """How many people were where: a row per place and period.

        Example:
            >>> table = open_run("runs/demo").counts(every="1h")  # doctest: +SKIP
            >>> pandas.DataFrame(table.to_dict())  # doctest: +SKIP

        Args:
            every: Length of the periods: seconds, or "30m", "1h", "1d"; None: one period.
            options: ``start``, ``end``, ``places``, ``groups``, ``staff``, ``staff_after``, ``min_people`` and others
                of `streamreid.places.count_people`.

        Raises:
            ConfigError: No such place, or no such time.
        """
        seconds = None if every is None else duration(every, "every")
        last = self.end
        if seconds is not None and last is not None and options.get("end") is None and last % seconds < _SLIVER:
            options["end"] = last  # a run that ends with a period begins no further one
        options.setdefault("samples", self.samples)
        return count_people(self.place_log, self.links, every=seconds, **options)

    def flows(self, **options: Any) -> FlowsTable:
        """Who went from where to where: a row per pair of places.

        Args:
            options: ``places``, ``groups``, ``start``, ``end``, ``staff``, ``min_people`` and others of
                `streamreid.places.count_flows`.

        Raises:
            ConfigError: No such place.
        """
        options.setdefault("samples", self.samples)
        return count_flows(self.place_log, self.links, **options)

    def observations(self, take: Callable[[Observations], None]) -> None:
        """Hand everybody in every frame to a function, a few thousand rows at once.

        Args:
            take: Called with columns of capture times, boxes and track ids; `identity_of` says who that is.
        """
        read_results(self.path, take)

    def identity_of(self, camera: str, track_id: int) -> int:
        """The global id of a track; 0 for one that belongs to nobody."""
        return self._who.get((camera, track_id), 0)

    @cached_property
    def _who(self) -> dict[TrackKey, int]:
        return {a.key: who for who, person in self.identities.items() for a in person.appearances}


def _people(beliefs: Beliefs, spans: Mapping[TrackKey, SeenSpan]) -> dict[int, FinishedIdentity]:
    found: dict[int, list[Appearance]] = defaultdict(list)
    for key, (who, probability) in beliefs.links().items():
        span = spans.get(key)
        if span is not None:  # a link without a frame: the frame's line was not written any more
            found[who].append(Appearance(*key, span.start, span.end, span.observations, probability))
    if beliefs.from_table:  # which tracks belong to nobody is said by the JSON lines alone
        for who in [w for w, seen in found.items() if max(a.observations for a in seen) < _LEAST_OBSERVATIONS]:
            del found[who]
    return {
        who: FinishedIdentity(
            who,
            tuple(sorted(found[who], key=lambda appearance: (appearance.start, appearance.key))),
            beliefs.is_confirmed(who),
            beliefs.names.get(who, ""),
            beliefs.is_staff(who),
        )
        for who in sorted(found)
    }


def open_run(path: str | Path) -> FinishedRun:
    """Open the folder of a run's results.

    Example:
        >>> from streamreid import Pipeline, open_run, run
        >>> with Pipeline.from_sources("entrance.mp4") as pipeline:
        ...     summary = run(pipeline, "results")
        >>> finished = open_run("results")
        >>> sorted(finished.identities)
        [1, 2]
        >>> for seen in finished.identities[1].appearances:
        ...     print(seen.camera, f"{seen.start:.1f} to {seen.end:.1f} s")
        entrance 0.0 to 3.9 s

    Args:
        path: What ``streamreid run`` wrote, also in segments, also while the run goes on or after it was killed.

    Raises:
        DataError: The folder holds no results, or damaged ones.
        MissingExtraError: There is only a Parquet table, and pyarrow is not installed.
    """
    folder, reading = Path(path), Reading()
    beliefs = read_results(folder, reading.take)
    notes = [_ONLY_TABLE] if beliefs.from_table else []
    return FinishedRun(folder, beliefs, reading, notes=notes, corrections=corrections_in(folder))
