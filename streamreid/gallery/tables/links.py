"""The tables ``track_links`` and ``identity_links``: which tracks may be one person, and which of the people who were
known before a run each of its tracks may be. Counts with intervals are made from them. They go with the tracks and the
people that they are about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from streamreid.gallery.database import Database, chunks, conditions, marks
from streamreid.gallery.records import LinkTable, PossibleLinks
from streamreid.types import TrackKey

__all__ = ["LinksTable"]

_Key = TypeVar("_Key")

MOST_LINKS = 2_000_000
"""Links that are kept of each kind, about 50 bytes each; those of the tracks that were stored first go first."""

_PER_TRACK = 64
"""Likeliest links of each kind that are kept of a track."""


class LinksTable:
    """Links by the row id of the later track.

    Args:
        database: Where the tables are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self) -> int:
        """Number of links of both kinds."""
        return sum(
            int(self._database.rows(f"SELECT COUNT(*) FROM {name}")[0][0]) for name in ("track_links", "identity_links")
        )

    def records(self, rows: Sequence[int] | None = None) -> LinkTable:
        """Links of tracks, and which tracks were compared at all.

        Args:
            rows: Row ids of the later tracks; None for all.
        """
        read = self._database.rows
        tracks, people, compared = [], [], []
        with self._database.reading():
            for where, values in conditions(rows, "track"):
                tracks += read(f"SELECT track, earlier, log_odds FROM track_links{where}", values)
                people += read(f"SELECT track, identity, log_odds FROM identity_links{where}", values)
                there = f"{where.replace('track', 'id')} AND" if where else " WHERE"
                compared += read(f"SELECT id FROM appearances{there} compared = 1", values)
        return LinkTable(
            np.array([r[:2] for r in tracks], np.int64).reshape(-1, 2),
            np.array([r[2] for r in tracks], np.float64),
            np.array([r[:2] for r in people], np.int64).reshape(-1, 2),
            np.array([r[2] for r in people], np.float64),
            frozenset(int(r[0]) for r in compared),
        )

    # ------------------------------------------------------------ writing, in the transaction of the caller

    def put(self, run: str, links: Mapping[TrackKey, PossibleLinks], people: Mapping[int, int]) -> None:
        """Put links of tracks of a run in the place of their earlier ones. Those of tracks and people that are not
        stored are left out.

        Args:
            run: Its name.
            links: By camera and track id.
            people: For global ids in them, the one under which the identity is kept.
        """
        row_of = self._rows_of(run, [*links, *(key for found in links.values() for key in found.tracks)])
        mine = {row_of[key]: found for key, found in links.items() if key in row_of}
        for some in chunks(mine):
            for name in ("track_links", "identity_links"):
                self._database.rows(f"DELETE FROM {name} WHERE track IN ({marks(some)})", some)
            self._database.rows(f"UPDATE appearances SET compared = 1 WHERE id IN ({marks(some)})", some)
        self._database.many(
            "INSERT INTO track_links (track, earlier, log_odds) VALUES (?, ?, ?)",
            [
                (row, row_of[key], odds)
                for row, found in mine.items()
                for key, odds in _likeliest(found.tracks, row_of)
                if row_of[key] != row
            ],
        )
        self._database.many(
            "INSERT INTO identity_links (track, identity, log_odds) VALUES (?, ?, ?)",
            [(row, people[who], odds) for row, found in mine.items() for who, odds in _likeliest(found.people, people)],
        )

    def _rows_of(self, run: str, keys: Iterable[TrackKey]) -> dict[TrackKey, int]:
        tracks: dict[str, set[int]] = defaultdict(set)
        for camera, track in keys:
            tracks[camera].add(track)
        return {
            (camera, int(track)): int(row)
            for camera, theirs in tracks.items()
            for some in chunks(theirs)
            for track, row in self._database.rows(
                f"SELECT track, id FROM appearances WHERE run = ? AND camera = ? AND track IN ({marks(some)})",
                [run, camera, *some],
            )
        }

    def part(self, whole: int, part: int) -> None:
        """What was said of ``whole`` is said of ``part`` as well, which was a part of it."""
        self._database.rows(
            "INSERT INTO identity_links (track, identity, log_odds) "
            "SELECT track, ?, log_odds FROM identity_links WHERE identity = ?",
            (part, whole),
        )

    def surplus(self) -> dict[str, int]:
        """How many links there are more than are kept, by table; nothing where there are not."""
        counts = {
            name: int(self._database.rows(f"SELECT COUNT(*) FROM {name}")[0][0]) - MOST_LINKS
            for name in ("track_links", "identity_links")
        }
        return {name: count for name, count in counts.items() if count > 0}

    def cap(self) -> None:
        """Remove the links of the tracks that were stored first, so that no more are left than are kept. Counts take
        these tracks as it was decided."""
        for name, surplus in self.surplus().items():
            last = self._database.rows(f"SELECT track FROM {name} ORDER BY track LIMIT 1 OFFSET ?", (surplus - 1,))
            self._database.rows(
                "UPDATE appearances SET compared = 0 WHERE id <= ? AND compared = 1", (int(last[0][0]),)
            )
            self._database.rows(f"DELETE FROM {name} WHERE track <= ?", (int(last[0][0]),))


def _likeliest(found: Mapping[_Key, float], known: Mapping[_Key, int]) -> list[tuple[_Key, float]]:
    mine = [(key, odds) for key, odds in found.items() if key in known]
    return sorted(mine, key=lambda item: -item[1])[:_PER_TRACK]
