"""The tables ``appearances`` (track records), ``crops`` (their pictures) and ``part_colours``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from streamreid.gallery.codec import ValueCodec
from streamreid.gallery.database import Database, Row, chunks, conditions, marks
from streamreid.gallery.records import Retention, TrackRecord
from streamreid.gallery.tables.expiry import expired_rows
from streamreid.types import TrackKey

__all__ = ["TrackRecordTable"]

_COLUMNS = "id, run, camera, track, identity, began, ended, probability, observations, stored"


class TrackRecordTable:
    """Which tracks an identity has, by row id; a run, camera and track id has one row.

    Args:
        database: Where the tables are.
        codec: Reads and writes pictures.
    """

    def __init__(self, database: Database, codec: ValueCodec) -> None:
        self._database = database
        self._codec = codec

    # ------------------------------------------------------------ reading

    def count(self) -> int:
        """Number of rows in the table."""
        return int(self._database.rows("SELECT COUNT(*) FROM appearances")[0][0])

    def records(self, ids: Sequence[int] | None = None) -> dict[int, TrackRecord]:
        """Track records by row id, in the order in which they began.

        Args:
            ids: Global ids; None for all.
        """
        found: list[Row] = []
        with self._database.reading():
            for where, values in conditions(ids, "identity"):
                found += self._database.rows(f"SELECT {_COLUMNS} FROM appearances{where}", values)
        found.sort(key=lambda r: (r[5], r[2], r[0]))
        return {
            int(row): TrackRecord(
                run,
                camera,
                int(track),
                int(global_id),
                float(began),
                float(ended),
                float(probability),
                int(observations),
                float(stored),
            )
            for row, run, camera, track, global_id, began, ended, probability, observations, stored in found
        }

    def rows_of(self, global_id: int) -> set[int]:
        """Row ids of an identity's track records."""
        return {int(r[0]) for r in self._database.rows("SELECT id FROM appearances WHERE identity = ?", (global_id,))}

    def oldest(self, count: int) -> list[int]:
        """Row ids of those that were written longest ago."""
        select = "SELECT id FROM appearances ORDER BY stored, id LIMIT ?"
        return [int(r[0]) for r in self._database.rows(select, (count,))]

    def expired(self, retention: Retention, now: float, *, most: int | None = None) -> list[int]:
        """Row ids of those past their camera's retention; ``most`` per camera are enough.

        Args:
            retention: How long each camera's are kept.
            now: UTC seconds.
            most: None for all.
        """
        return expired_rows(self._database, "appearances", retention, now, most=most)

    # ------------------------------------------------------------ writing, in the transaction of the caller

    def put(
        self, records: Mapping[TrackKey, TrackRecord], present: Mapping[int, int], now: float
    ) -> tuple[set[int], dict[TrackKey, int], set[TrackKey]]:
        """Add new ones, and let those go on that are there.

        Args:
            records: By camera and track id.
            present: For each global id in them the one under which the identity is kept.
            now: UTC seconds.

        Returns:
            The global ids that those who were there had until now, all row ids, and those who were there.
        """
        before, rows = self._find(records)
        continued = set(rows)
        values = {
            key: (present[r.global_id], r.start, r.end, r.probability, r.observations, now)
            for key, r in records.items()
        }
        self._database.many(
            "UPDATE appearances SET identity = ?, began = ?, ended = ?, probability = ?, observations = ?, "
            "stored = ? WHERE id = ?",
            [(*values[key], row) for key, row in rows.items()],
        )
        new = [key for key in records if key not in continued]
        added = self._database.insert(
            "appearances",
            ("run", "camera", "track", "identity", "began", "ended", "probability", "observations", "stored"),
            [(*records[key].key, *values[key]) for key in new],
        )
        rows.update(zip(new, added, strict=True))
        return before, rows, continued

    def _find(self, records: Mapping[TrackKey, TrackRecord]) -> tuple[set[int], dict[TrackKey, int]]:
        """Global ids and row ids of those that are there, a camera's with one statement."""
        tracks: dict[tuple[str, str], dict[int, TrackKey]] = {}
        for key, record in records.items():
            tracks.setdefault((record.run, record.camera), {})[record.track_id] = key
        before: set[int] = set()
        rows: dict[TrackKey, int] = {}
        for (run, camera), keys in tracks.items():
            for some in chunks(keys):
                for row, track, global_id in self._database.rows(
                    f"SELECT id, track, identity FROM appearances WHERE run = ? AND camera = ? AND track IN "
                    f"({marks(some)})",
                    [run, camera, *some],
                ):
                    rows[keys[int(track)]] = int(row)
                    before.add(int(global_id))
        return before, rows

    def assign(self, rows: Iterable[int], global_id: int) -> None:
        """Give some to an identity."""
        for some in chunks(rows):
            update = f"UPDATE appearances SET identity = ? WHERE id IN ({marks(some)})"
            self._database.rows(update, [global_id, *some])

    def delete(self, rows: Iterable[int]) -> set[int]:
        """Remove some, with their prototypes and pictures. Returns the global ids of those that had them."""
        owners: set[int] = set()
        for some in chunks(rows):
            select = f"SELECT DISTINCT identity FROM appearances WHERE id IN ({marks(some)})"
            owners.update(int(r[0]) for r in self._database.rows(select, some))
            self._database.rows(f"DELETE FROM appearances WHERE id IN ({marks(some)})", some)
        return owners

    # ------------------------------------------------------------ pictures and colours

    def crops(self, rows: Sequence[int]) -> dict[int, bytes]:
        """JPEG pictures by row id, where stored."""
        return self._opened("crops", "picture", rows)

    def colours(self, rows: Sequence[int]) -> dict[int, bytes]:
        """Colours of body parts by row id, where stored."""
        return self._opened("part_colours", "colours", rows)

    def put_crops(self, pictures: Mapping[int, bytes]) -> None:
        """Put JPEG pictures by row id in the place of older ones."""
        self._seal("crops", "picture", pictures)

    def put_colours(self, colours: Mapping[int, bytes]) -> None:
        """Put colours of body parts by row id in the place of older ones."""
        self._seal("part_colours", "colours", colours)

    def _opened(self, table: str, column: str, rows: Sequence[int]) -> dict[int, bytes]:
        result: dict[int, bytes] = {}
        with self._database.reading():
            for where, values in conditions(rows, "appearance"):
                for row, value in self._database.rows(f"SELECT appearance, {column} FROM {table}{where}", values):
                    result[int(row)] = self._codec.open(value)
        return result

    def _seal(self, table: str, column: str, values: Mapping[int, bytes]) -> None:
        self._database.many(
            f"INSERT INTO {table} (appearance, {column}) VALUES (?, ?) ON CONFLICT (appearance) DO UPDATE SET "
            f"{column} = excluded.{column}",
            [(row, self._codec.seal(value)) for row, value in values.items()],
        )

    def stored_crops(self, ids: Iterable[int]) -> list[bytes]:
        """The bytes of identities' pictures as they are stored."""
        return [
            bytes(r[0])
            for some in chunks(ids)
            for r in self._database.rows(
                "SELECT picture FROM crops WHERE appearance IN (SELECT id FROM appearances WHERE identity IN "
                f"({marks(some)}))",
                some,
            )
        ]
