"""The table ``prototypes``: part features of track records."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from streamreid.gallery.codec import ValueCodec
from streamreid.gallery.database import Database, chunks, conditions, marks
from streamreid.gallery.prototype_selection import choose_prototypes
from streamreid.gallery.records import PrototypeBlock
from streamreid.types import FloatArray, PartFeatures, TrackKey

__all__ = ["PrototypeTable"]

_OWNED = "prototypes p JOIN appearances a ON a.id = p.appearance"
_PACKED = 64
"""Track records whose prototypes are packed at a time: what is converted stays in the cache."""


class PrototypeTable:
    """Prototypes by id; the ids rise over the life of a gallery, and a prototype never changes under its id.

    Args:
        database: Where the table is.
        codec: Reads and writes features.
    """

    def __init__(self, database: Database, codec: ValueCodec) -> None:
        self._database = database
        self._codec = codec

    # ------------------------------------------------------------ reading

    def count(self) -> int:
        """Number of rows in the table."""
        return int(self._database.rows("SELECT COUNT(*) FROM prototypes")[0][0])

    def blocks(
        self, *, after: int = 0, ids: Sequence[int] | None = None, block: int = 4096
    ) -> Iterator[PrototypeBlock]:
        """Prototypes in the order of their ids, block by block.

        Args:
            after: Only those with a greater id.
            ids: Global ids; None for all. Of many, a few identities at a time are read.
            block: Rows read at a time.
        """
        select = f"SELECT p.id, a.identity, p.quality, p.appearance, p.features FROM {_OWNED}"
        for where, values in conditions(ids, "a.identity"):
            last = after
            while True:
                condition = f"{where} AND p.id > ?" if where else " WHERE p.id > ?"
                with self._database.reading():
                    rows = self._database.rows(f"{select}{condition} ORDER BY p.id LIMIT ?", [*values, last, block])
                    features = self._codec.unpack([r[4] for r in rows])
                if not rows:
                    break
                last = int(rows[-1][0])
                yield PrototypeBlock(
                    np.array([r[0] for r in rows], np.int64),
                    np.array([r[1] for r in rows], np.int64),
                    features,
                    np.array([r[2] for r in rows], np.float32),
                    np.array([r[3] for r in rows], np.int64),
                )
                if len(rows) < block:
                    break

    def ids_of(self, ids: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids and global ids ``[P]`` of identities' prototypes, without features."""
        found: list[tuple[int, int]] = []
        with self._database.reading():
            for where, values in conditions(ids, "a.identity"):
                rows = self._database.rows(f"SELECT p.id, a.identity FROM {_OWNED}{where}", values)
                found += [(int(i), int(global_id)) for i, global_id in rows]
        table = np.array(sorted(found), np.int64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def stored_features(self, ids: Iterable[int]) -> list[bytes]:
        """The bytes of identities' prototypes as they are stored."""
        return [
            bytes(r[0])
            for some in chunks(ids)
            for r in self._database.rows(f"SELECT p.features FROM {_OWNED} WHERE a.identity IN ({marks(some)})", some)
        ]

    # ------------------------------------------------------------ writing, in the transaction of the caller

    def put(
        self,
        prototypes: Mapping[TrackKey, tuple[PartFeatures, FloatArray]],
        rows: Mapping[TrackKey, int],
        *,
        continued: Collection[TrackKey],
    ) -> None:
        """Put prototypes in the place of the older ones of the same track record.

        Args:
            prototypes: Features and quality ``[P]`` by camera and track id.
            rows: Row ids of track records; prototypes of others are left out.
            continued: Those that may have older ones.
        """
        new = [key for key in prototypes if key in rows]
        for some in chunks(rows[key] for key in new if key in continued):
            self._database.rows(f"DELETE FROM prototypes WHERE appearance IN ({marks(some)})", some)
        for start in range(0, len(new), _PACKED):
            keys = new[start : start + _PACKED]
            found = [prototypes[key] for key in keys]
            owners = np.repeat([rows[key] for key in keys], [len(quality) for _, quality in found]).tolist()
            quality = np.concatenate([quality for _, quality in found]).tolist()
            packed = self._codec.pack(PartFeatures.concatenate([features for features, _ in found]))
            insert = "INSERT INTO prototypes (appearance, quality, features) VALUES (?, ?, ?)"
            self._database.many(insert, list(zip(owners, quality, packed, strict=True)))

    def cap(self, ids: Iterable[int], most: int) -> None:
        """Keep at most so many prototypes of each of some identities: good ones that differ.

        Args:
            ids: Global ids.
            most: At least 1.
        """
        for some in chunks(ids):
            crowded = self._database.rows(
                f"SELECT a.identity FROM {_OWNED} WHERE a.identity IN ({marks(some)}) GROUP BY a.identity HAVING "
                "COUNT(*) > ?",
                [*some, most],
            )
            for (global_id,) in crowded:
                self._cap(int(global_id), most)

    def _cap(self, global_id: int, most: int) -> None:
        rows = self._database.rows(
            f"SELECT p.id, p.quality, p.features FROM {_OWNED} WHERE a.identity = ?", (global_id,)
        )
        quality = np.array([r[1] for r in rows], np.float32)
        keep = set(choose_prototypes(self._codec.unpack([r[2] for r in rows]), quality, most).tolist())
        surplus = [(r[0],) for number, r in enumerate(rows) if number not in keep]
        self._database.many("DELETE FROM prototypes WHERE id = ?", surplus)
