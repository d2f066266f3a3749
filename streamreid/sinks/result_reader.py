"""Reading the results of a run again, also of one that goes on, was killed, or is in segments: who was where, and who
was who in the end.

The JSON lines are read where there are any, since only they have events, names and who is confirmed; else the Parquet
table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from streamreid.errors import DataError, MissingExtraError
from streamreid.sinks.jsonl_reader import find_results, read_lines
from streamreid.sinks.segments import result_folders
from streamreid.types import Float64Array, FloatArray, IntArray, TrackKey

__all__ = ["Beliefs", "Observations", "read_results"]

_ROWS = 20_000
"""Observations that are handed out at once."""

_NO_WORLD = (float("nan"), float("nan"))


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """People in frames, as columns in the order of the results.

    Args:
        cameras: ``[N]`` names.
        times: ``[N]`` float64 capture times in seconds.
        track_ids: ``[N]`` int64.
        boxes: ``[N, 4]`` float32 xyxy in pixels.
        world: ``[N, 2]`` float32 metres on the ground, NaN where it is not known.
    """

    cameras: list[str]
    times: Float64Array
    track_ids: IntArray
    boxes: FloatArray
    world: FloatArray

    def __len__(self) -> int:
        return len(self.cameras)


@dataclass
class Beliefs:
    """Who is who, as the results say up to where they were read.

    Args:
        complete: Whether the run came to its end.
        from_table: Whether only the Parquet table was there, which has no names and no events, and numbers tracks that
            belong to nobody like people.
    """

    complete: bool = False
    from_table: bool = False
    names: dict[int, str] = field(default_factory=dict)
    staff: set[int] = field(default_factory=set)
    confirmed: set[int] = field(default_factory=set)
    cameras: list[str] = field(default_factory=list)
    _links: dict[TrackKey, tuple[int, float]] = field(default_factory=dict)
    _unlinked: set[TrackKey] = field(default_factory=set)
    _merged: dict[int, int] = field(default_factory=dict)

    def current(self, global_id: int) -> int:
        """Who an identity is now: it may have been merged into others."""
        passed: set[int] = set()
        while global_id in self._merged and global_id not in passed:
            passed.add(global_id)
            global_id = self._merged[global_id]
        return global_id

    def links(self) -> dict[TrackKey, tuple[int, float]]:
        """Identity and link probability of every track that belongs to a person."""
        return {
            key: (self.current(who), probability)
            for key, (who, probability) in self._links.items()
            if who and key not in self._unlinked
        }

    def is_confirmed(self, global_id: int) -> bool:
        """Whether the identity, or one that became part of it, was confirmed."""
        return any(self.current(who) == global_id for who in self.confirmed)

    def is_staff(self, global_id: int) -> bool:
        """Whether the identity, or one that became part of it, works there."""
        return any(self.current(who) == global_id for who in self.staff)

    def take(self, line: dict[str, Any]) -> None:
        """Apply a JSON line."""
        match line["type"]:
            case "person":
                if line["global_id"] is not None:
                    self._link((line["camera"], line["track_id"]), line["global_id"], line["link_probability"])
            case "event":
                self._event(line)
            case "identity":
                who = line["global_id"]
                for camera, track in line["members"]:
                    self._link((camera, track), who, line["probability"])
                self.confirmed |= {who} if line.get("confirmed") else set()
                self.staff |= {who} if line.get("staff") else set()
                self._name(who, line.get("name"))
            case "unlinked":
                self._unlinked.add((line["camera"], line["track_id"]))
            case "header":
                self.complete = False
                self.cameras += [name for name in line["cameras"] if name not in self.cameras]
            case "end":
                self.complete = bool(line["complete"])

    def greatest_id(self) -> int:
        """The greatest global id that is named; 0 if none is."""
        linked = max((who for who, _ in self._links.values()), default=0)
        return max(linked, max(self._merged, default=0), max(self.confirmed, default=0))

    def rename(self, who: int, name: str) -> None:
        """Give a name; empty takes it away."""
        self._name(who, name)

    def tag_staff(self, who: int, staff: bool) -> None:
        """Somebody works there, or does not."""
        (self.staff.add if staff else self.staff.discard)(who)

    def merge(self, keep: int, other: int) -> None:
        """An identity became part of another one."""
        self._merged[other] = keep
        self._merged.pop(keep, None)

    def part(self, new: int, tracks: Iterable[TrackKey], *, of: int) -> None:
        """Tracks that are of an identity now are another one's from now on."""
        mine = [key for key in tracks if key in self._links and self.current(self._links[key][0]) == self.current(of)]
        confirmed = self.is_confirmed(self.current(of))
        self._merged.pop(new, None)
        for key in mine:
            self._link(key, new, self._links[key][1])
        self.confirmed |= {new} if confirmed else set()

    def take_person(self, who: int, name: str, *, confirmed: bool) -> None:
        """Take what is known of an identity besides its tracks."""
        self._name(who, name)
        self.confirmed |= {who} if confirmed else set()

    def take_row(self, camera: str, track: int, who: int, probability: float | None) -> None:
        """Apply a row of the Parquet table."""
        self._link((camera, track), who, 1.0 if probability is None else probability)

    def _link(self, key: TrackKey, who: int, probability: float) -> None:
        self._links[key] = (int(who), float(probability))
        self._unlinked.discard(key)

    def _event(self, line: dict[str, Any]) -> None:
        who, other = line["global_id"], line.get("other_id")
        match line["kind"]:
            case "merge" if other and other != who:
                self.merge(who, other)
            case "new" | "link" | "split" if line.get("camera") and line.get("track_id"):
                self._merged.pop(who, None)  # somebody parted what had been merged
                self._link((line["camera"], line["track_id"]), who, line["probability"])
            case "confirm":
                self.confirmed.add(who)
            case "staff":
                (self.staff.add if line.get("staff") else self.staff.discard)(who)
        self._name(who, line.get("name"))

    def _name(self, who: int, name: str | None) -> None:
        if name:
            self.names[who] = name
        elif name == "":
            self.names.pop(who, None)


def read_results(folder: Path, take: Callable[[Observations], None] | None = None) -> Beliefs:
    """Who is who in a run, and where everybody was.

    Args:
        folder: Of the results.
        take: Called with everybody in every frame, a few thousand at once.

    Raises:
        DataError: The folder holds neither JSON lines nor Parquet, or damaged ones.
        MissingExtraError: There is only Parquet, and pyarrow is not installed.
    """
    if not folder.is_dir():
        raise DataError(f"'{folder}' is not a folder; expected the folder of a run's results")
    beliefs = Beliefs()
    if find_results(folder):
        _read_lines(folder, beliefs, take)
        return beliefs
    tables = [table for part in result_folders(folder) if (table := _table(part)) is not None]
    if not tables:
        raise DataError(
            f"'{folder}' holds neither results.jsonl nor results.parquet, and this needs one of them: run with "
            "output.jsonl (the default) or output.parquet"
        )
    for table in tables:
        _read_parquet(table, beliefs, take)
    return beliefs


def _read_lines(folder: Path, beliefs: Beliefs, take: Callable[[Observations], None] | None) -> None:
    rows: list[dict[str, Any]] = []

    def flush() -> None:
        if take is not None and rows:
            take(_columns(rows))
        rows.clear()

    def line_read(line: dict[str, Any], _: int) -> None:
        beliefs.take(line)
        if line["type"] == "person":
            rows.append(line)
            if len(rows) >= _ROWS:
                flush()

    read_lines(folder, line_read)
    flush()


def _columns(rows: list[dict[str, Any]]) -> Observations:
    ltwh = np.array([row["box"] for row in rows], np.float64)
    return Observations(
        [row["camera"] for row in rows],
        np.array([row["time"] for row in rows], np.float64),
        np.array([row["track_id"] for row in rows], np.int64),
        np.concatenate([ltwh[:, :2], ltwh[:, :2] + ltwh[:, 2:]], 1).astype(np.float32),
        np.array([row.get("world", _NO_WORLD) for row in rows], np.float32),
    )


def _table(folder: Path) -> Path | None:
    """The Parquet table in a folder: a file, or a folder of parts, also of a recording that was killed."""
    return next(
        (path for name in ("results.parquet", "results.parquet.parts") if (path := folder / name).exists()), None
    )


def _read_parquet(table: Path, beliefs: Beliefs, take: Callable[[Observations], None] | None) -> None:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet", "Reading Parquet") from error
    beliefs.from_table = True
    beliefs.complete = table.suffix != ".parts"
    for file in sorted(table.glob("*.parquet")) if table.is_dir() else [table]:
        try:
            for batch in ParquetFile(file).iter_batches(_ROWS):
                _take_batch(batch.to_pydict(), beliefs, take)
        except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are among these
            if file.exists():
                raise DataError(f"'{file}' is not a Parquet table of streamreid ({error})") from error


def _take_batch(batch: dict[str, list[Any]], beliefs: Beliefs, take: Callable[[Observations], None] | None) -> None:
    missing = [None] * len(batch["camera"])
    finals, places = batch["final_global_id"], (batch.get("world_x", missing), batch.get("world_y", missing))
    for camera, track, now, final, probability in zip(
        batch["camera"], batch["track_id"], batch["global_id"], finals, batch["link_probability"], strict=True
    ):
        if final or now:
            beliefs.take_row(camera, track, final or now, probability)
    beliefs.cameras += [name for name in dict.fromkeys(batch["camera"]) if name not in beliefs.cameras]
    if take is not None and batch["camera"]:
        left, top, width, height = (np.array(batch[side], np.float32) for side in ("left", "top", "width", "height"))
        take(
            Observations(
                batch["camera"],
                np.array(batch["time"], np.float64),
                np.array(batch["track_id"], np.int64),
                np.stack([left, top, left + width, top + height], 1),
                np.array(places, np.float32).T,
            )
        )
