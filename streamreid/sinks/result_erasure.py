"""People are erased from the results of a run: every line, row, picture and film of somebody who is to be forgotten.

Erased is whatever names one of the global ids, and whatever belongs to a track (of one camera) that was that person in
the end, also from before the track had an identity:

- ``links.jsonl`` goes as a whole.
- ``colours.jsonl``: the lines of the tracks.
- ``results.jsonl``: lines; an ``identity`` line of somebody else loses such tracks. A half line that a killed run left
  at the end goes, too.
- ``results.parquet``, the file or its parts: rows.
- ``mot/``, ``mot/global/``, ``world.txt``: lines.
- ``crops/``: pictures, and rows of ``identities.csv``.
- films of cameras that saw the person, and the mosaic: the whole file, since nobody can be taken out of a film.

Lines, rows and pictures of all others stay byte for byte, as do the header and the counts in the last line, which say
how much was written once.

Everything new is written beside the old first. Then the files are exchanged one by one, those by which the person's
tracks are known last; an erasure that was interrupted is completed by the next one.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from streamreid.sinks.colours import COLOURS
from streamreid.sinks.film_times import film_camera, times_name
from streamreid.sinks.result_rows import (
    Track,
    csv_rows,
    json_items,
    mot_rows,
    parquet_files,
    row_groups,
    tracks_of,
    whole_number,
)
from streamreid.sinks.segments import list_segments

__all__ = ["ErasedResults", "erase_people", "has_crops"]

_ASIDE = ".forget"
"""End of the names of new files until they are exchanged."""


@dataclass(slots=True)
class ErasedResults:
    """What was, or would be, erased from results.

    Args:
        counts: How many lines, rows, pictures or films by kind of output.
        films: Films that go as a whole.
        left: Files in which the people may be and that stay: path and reason.
    """

    counts: dict[str, int] = field(default_factory=dict)
    films: list[Path] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether anything of them was found."""
        return any(self.counts.values()) or bool(self.films) or bool(self.left)

    def count(self, kind: str, number: int) -> None:
        """Count erased rows of one kind."""
        if number:
            self.counts[kind] = self.counts.get(kind, 0) + number


@dataclass(slots=True)
class _Wanted:
    """By what the people are known in one folder of results."""

    ids: frozenset[int]
    merged: frozenset[int] = frozenset()
    merges: list[tuple[int, int]] = field(default_factory=list)
    owners: dict[Track, int] = field(default_factory=dict)
    tracks: frozenset[Track] = frozenset()

    def named(self, who: Any) -> bool:
        return isinstance(who, int) and (who in self.ids or who in self.merged)

    def conclude(self) -> None:
        """All was read: who became part of these people, through any number of merges, and which tracks are theirs."""
        merged = set(self.ids)
        while more := {other for who, other in self.merges if who in merged and other not in merged}:
            merged |= more
        self.merged = frozenset(merged)
        self.tracks = frozenset(track for track, who in self.owners.items() if who in merged)


def erase_people(
    folder: Path,
    ids: Collection[int],
    *,
    scope: str = "",
    crops_only: bool = False,
    change: bool = True,
    tracks: Collection[Track] = (),
) -> ErasedResults:
    """Erase people from a folder of results, which the caller has locked.

    Args:
        folder: Of a run, or of a recording of a batch.
        ids: Global ids.
        scope: Scope of crops (see `CropSink`) in which the global ids mean these people.
        crops_only: Only crops of that scope: everything else in the folder is of a later run, in which the ids mean
            others.
        change: Otherwise nothing is changed, and the answer says what would be.
        tracks: Tracks that are theirs whatever the files say, since somebody corrected who they are.

    Raises:
        OSError: A file cannot be read or written; what was erased until then is erased, and the next call goes on.
    """
    places = [folder, *(segment.path for segment in list_segments(folder))]
    wanted = _Wanted(frozenset(ids)) if crops_only else _wanted(places, frozenset(ids))
    wanted.tracks |= frozenset(tracks)
    result = ErasedResults()
    swaps: list[tuple[Path, Path]] = []
    knowing: list[tuple[Path, Path]] = []
    doomed: list[Path] = []
    try:
        for place in places:
            looking = _Place(place, wanted, result, change)
            if not crops_only:
                looking.collect_changes(swaps, knowing, doomed)
            looking.crops(swaps, doomed, scope, live=(folder / "state.json").exists())
    except BaseException:
        for new, _ in [*swaps, *knowing]:
            new.unlink(missing_ok=True)
        raise
    if change:
        for path in doomed:
            path.unlink(missing_ok=True)
        for new, old in [*swaps, *sorted(knowing, key=lambda swap: swap[1].name == "results.jsonl")]:
            os.replace(new, old)
        for place in {path.parent for path in doomed} | {old.parent for _, old in [*swaps, *knowing]}:
            _sync(place)
    return result


def has_crops(folder: Path, scope: str) -> bool:
    """Whether there are crops of a scope; they stay when a later run replaces the results."""
    places = [folder, *(segment.path for segment in list_segments(folder))]
    return any(
        row[-1:] == [scope]
        for place in places
        for table in place.glob("crops/run-*/identities.csv")
        for row in csv_rows(table)
    )


def _wanted(places: list[Path], ids: frozenset[int]) -> _Wanted:
    """Which tracks were these people in the end: by the JSON lines; where there are none, by the table, then by the MOT
    text."""
    wanted = _Wanted(ids)
    for learn in (_learn_mot, _learn_table, _learn_lines):
        for place in places:
            learn(place, wanted)
    wanted.conclude()
    return wanted


def _learn_lines(place: Path, wanted: _Wanted) -> None:
    for _, item in json_items(place / "results.jsonl"):
        kind, who = item.get("type"), item.get("global_id")
        if kind == "event" and item.get("kind") == "merge" and who and item.get("other_id"):
            wanted.merges.append((who, item["other_id"]))
        for track in tracks_of(item):
            if who or kind == "unlinked":
                wanted.owners[track] = who or 0


def _learn_table(place: Path, wanted: _Wanted) -> None:
    for path in parquet_files(place):
        for table in row_groups(path):
            columns = [
                table[name].to_pylist()
                for name in ("camera", "track_id", "global_id", "final_global_id")
                if name in table.schema.names
            ]
            for camera, track, *who in zip(*columns, strict=True):
                if who[-1] or who[0]:
                    wanted.owners[camera, track] = who[-1] or who[0]


def _learn_mot(place: Path, wanted: _Wanted) -> None:
    for path in sorted((place / "mot").glob("*.txt")):
        believed = {
            (frame, rest): who
            for _, frame, who, rest in mot_rows(place / "mot" / "global" / path.name)
            if who is not None
        }
        for _, frame, track, rest in mot_rows(path):
            if track is not None and (frame, rest) in believed:
                wanted.owners[path.stem, track] = believed[frame, rest]


class _Place:
    """One folder of results, or one segment of them, that people are erased from."""

    def __init__(self, folder: Path, wanted: _Wanted, result: ErasedResults, change: bool) -> None:
        self._folder, self._wanted, self._result, self._change = folder, wanted, result, change
        self._cameras: set[str] = set()

    def collect_changes(
        self, swaps: list[tuple[Path, Path]], knowing: list[tuple[Path, Path]], doomed: list[Path]
    ) -> None:
        """Find everything of these people but crops; add new files beside old ones to ``swaps`` and ``knowing``, files
        to be deleted to ``doomed``."""
        if self._change:
            for stale in [
                p for pattern in (f"*{_ASIDE}", f"mot/**/*{_ASIDE}", f"*/*{_ASIDE}") for p in self._folder.glob(pattern)
            ]:
                stale.unlink(missing_ok=True)
        texts = sorted((self._folder / "mot").glob("*.txt"))
        for path in texts:
            removed: set[tuple[str, str]] = set()
            knowing += self._text(path, partial(self._local, path.stem, removed))
            swaps += self._text(self._folder / "mot" / "global" / path.name, partial(self._everywhere, removed))
        swaps += self._text(self._folder / "world.txt", partial(self._everywhere, set()))
        for path in parquet_files(self._folder):
            knowing += self._table(path)
        knowing += self._lines(self._folder / "results.jsonl")
        knowing += self._coloured(self._folder / COLOURS)
        links = self._folder / "links.jsonl"
        if self._wanted.tracks and links.exists():
            doomed.append(links)  # lines refer to each other; counts have no intervals afterwards
        self._films(
            doomed, known=bool(texts or parquet_files(self._folder) or (self._folder / "results.jsonl").exists())
        )

    def _everywhere(self, removed: set[tuple[str, str]], frame: str, who: int, rest: str) -> bool:
        return self._wanted.named(who) or (frame, rest) in removed

    def _local(self, camera: str, removed: set[tuple[str, str]], frame: str, track: int, rest: str) -> bool:
        if (camera, track) not in self._wanted.tracks:
            return False
        self._cameras.add(camera)
        removed.add((frame, rest))
        return True

    def _text(self, path: Path, concerned: Callable[[str, int, str], bool]) -> list[tuple[Path, Path]]:
        def kept() -> Iterator[bytes]:
            for line, frame, number, rest in mot_rows(path):
                if number is None or not concerned(frame, number, rest):
                    yield line
                else:
                    self._result.count("mot" if path.name != "world.txt" else "world", 1)

        return self._exchange(path, kept())

    def _lines(self, path: Path) -> list[tuple[Path, Path]]:
        def kept() -> Iterator[bytes]:
            for line, item in json_items(path, half=True):
                new = self._line(line, item)
                if new != line:
                    self._result.count("jsonl", 1)
                yield new

        return self._exchange(path, kept())

    def _coloured(self, path: Path) -> list[tuple[Path, Path]]:
        def kept() -> Iterator[bytes]:
            for line, item in json_items(path):
                if any(track in self._wanted.tracks for track in tracks_of(item)):
                    self._result.count("colours", 1)
                else:
                    yield line

        return self._exchange(path, kept())

    def _line(self, line: bytes, item: dict[str, Any]) -> bytes:
        """A line without these people: as it is, empty, or (of another identity) without their tracks."""
        if not line.endswith(b"\n"):
            return b""
        tracks = {track for track in tracks_of(item) if track in self._wanted.tracks}
        named = any(self._wanted.named(item.get(key)) for key in ("global_id", "other_id"))
        if item.get("type") == "identity" and not named:
            if not tracks:
                return line
            rest = [[camera, track] for camera, track in item["members"] if (camera, track) not in tracks]
            return (
                json.dumps({**item, "members": rest}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
                if rest
                else b""
            )
        if not named and not tracks:
            return line
        if item.get("type") == "person":
            self._cameras.add(str(item.get("camera")))
        return b""

    def _table(self, path: Path) -> list[tuple[Path, Path]]:
        import pyarrow as pa
        import pyarrow.parquet

        new, writer, count = _aside(path), None, 0
        try:
            for table in row_groups(path):
                columns = [table[name].to_pylist() for name in ("camera", "track_id", "global_id", "final_global_id")]
                keep = [
                    not ((camera, track) in self._wanted.tracks or self._wanted.named(who) or self._wanted.named(final))
                    for camera, track, who, final in zip(*columns, strict=True)
                ]
                self._cameras |= {camera for camera, good in zip(columns[0], keep, strict=True) if not good}
                count += keep.count(False)
                if self._change:
                    writer = writer or pyarrow.parquet.ParquetWriter(new, table.schema)
                    writer.write_table(table.filter(pa.array(keep, pa.bool_())))
        finally:
            if writer is not None:
                writer.close()
            if not count:
                new.unlink(missing_ok=True)
        self._result.count("parquet", count)
        return _ready(new, path) if count and self._change else []

    def crops(self, swaps: list[tuple[Path, Path]], doomed: list[Path], scope: str, *, live: bool) -> None:
        """The same for pictures of tracks."""
        runs = sorted((self._folder / "crops").glob("run-*"))
        for run in runs:
            # Tracks of earlier recordings in this folder are others than today's: only the table beside their pictures
            # says who they are.
            tracks = set(self._wanted.tracks) if live or run == runs[-1] else set()
            table = run / "identities.csv"
            rows = csv_rows(table)
            gone = {
                number
                for number, row in enumerate(rows)
                if len(row) == 5
                and row[1].isdecimal()
                and ((row[0], int(row[1])) in tracks or (row[4] == scope and self._wanted.named(whole_number(row[2]))))
            }
            tracks |= {(rows[number][0], int(rows[number][1])) for number in gone}
            pictures = [
                path for camera, track in sorted(tracks) for path in sorted((run / camera).glob(f"{track:06d}_*.jpg"))
            ]
            doomed += pictures
            self._result.count("crops", len(pictures) + len(gone))
            if gone:
                text = io.StringIO(newline="")
                csv.writer(text).writerows(row for number, row in enumerate(rows) if number not in gone)
                swaps += self._exchange(table, [text.getvalue().encode()])

    def _films(self, doomed: list[Path], *, known: bool) -> None:
        films = sorted((self._folder / "videos").glob("*.mp4"))
        mosaics = sorted(self._folder.glob("mosaic*.mp4"))
        if not known:
            for film in [*films, *mosaics]:
                self._result.left[str(film)] = (
                    "nothing tells who is in this film any more; look at it, and delete it if need be"
                )
            return
        names = {path.stem for path in (self._folder / "mot").glob("*.txt")} | self._cameras
        gone = [film for film in films if film_camera(film, names) in self._cameras]
        gone += mosaics if self._cameras else []
        self._result.films += gone
        doomed += [*gone, *(path for film in gone if (path := times_name(film)).exists())]

    def _exchange(self, path: Path, lines: Iterable[bytes]) -> list[tuple[Path, Path]]:
        """Write lines beside a file; nothing where they are the same."""
        if not path.is_file():
            return []
        if not self._change:
            for _ in lines:
                pass
            return []
        new = _aside(path)
        with open(new, "wb") as file:
            for line in lines:
                file.write(line)
        if new.stat().st_size == path.stat().st_size:
            new.unlink()
            return []
        return _ready(new, path)


def _aside(path: Path) -> Path:
    # A leading dot keeps readers of a folder of parts away from it.
    return path.with_name(f".{path.name}{_ASIDE}")


def _ready(new: Path, old: Path) -> list[tuple[Path, Path]]:
    """A new file on the disk, for the same readers as the old one."""
    new.chmod(old.stat().st_mode & 0o777)
    with new.open("rb") as file:
        os.fsync(file.fileno())
    return [(new, old)]


def _sync(folder: Path) -> None:
    with suppress(OSError):  # not every file system knows it for folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
