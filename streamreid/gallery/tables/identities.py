"""The tables ``identities``, ``aliases`` and ``erased``: who is remembered, under which global id, who was
forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from streamreid.config.association import AssociationConfig
from streamreid.errors import GalleryError
from streamreid.gallery.codec import ValueCodec
from streamreid.gallery.database import Database, chunks, conditions, marks
from streamreid.gallery.records import IdentityRecord

__all__ = ["IdentityTable"]

_DEFAULT = AssociationConfig()
_SEEN_WELL = (
    f"SUM(observations) >= {_DEFAULT.confirm_observations} AND MAX(ended) - MIN(began) >= {_DEFAULT.confirm_seconds}"
)
_CONFIRMED_BY_RUNS = (
    "SELECT identity FROM events WHERE kind = 'confirm'",
    "SELECT a.identity FROM aliases a JOIN events e ON e.identity = a.id WHERE e.kind = 'confirm'",
)
"""Events keep the global id of their time; aliases lead from there to the present one. Old events expire, so
what was seen counts as well."""


@dataclass(slots=True)
class _Span:
    """An identity's track records summed up."""

    began: float
    ended: float
    stored: float
    cameras: set[str] = field(default_factory=set)
    count: int = 0
    least_probability: float = 1.0


class IdentityTable:
    """Identities by global id; after a merge the old id is an alias of the present one.

    Args:
        database: Where the tables are.
        codec: Reads and writes names.
    """

    def __init__(self, database: Database, codec: ValueCodec) -> None:
        self._database = database
        self._codec = codec

    # ------------------------------------------------------------ reading

    def count(self) -> int:
        """How many identities there are."""
        return int(self._database.rows("SELECT COUNT(*) FROM identities")[0][0])

    def count_confirmed(self) -> int:
        """How many of them are confirmed."""
        seen_well = f"SELECT identity FROM appearances GROUP BY identity HAVING {_SEEN_WELL}"
        either = " OR ".join(f"id IN ({rows})" for rows in (seen_well, *_CONFIRMED_BY_RUNS))
        return int(self._database.rows(f"SELECT COUNT(*) FROM identities WHERE {either}")[0][0])

    def records(self, ids: Sequence[int] | None = None) -> list[IdentityRecord]:
        """Identities summed up, by global id; all where ``ids`` is None."""
        with self._database.reading():
            return [r for where, values in conditions(ids, "identity") for r in self._records(where, values)]

    def _records(self, where: str, values: list[int]) -> list[IdentityRecord]:
        spans = self._spans(where, values)
        prototypes: dict[int, int] = dict(
            self._database.rows(
                "SELECT a.identity, COUNT(*) FROM prototypes p JOIN appearances a ON a.id = p.appearance"
                f"{where.replace('identity', 'a.identity')} GROUP BY a.identity",
                values,
            )
        )
        confirmed = self._confirmed(where, values)
        select = f"SELECT id, name, created, staff FROM identities{where.replace('identity', 'id')} ORDER BY id"
        result = []
        for global_id, name, created, staff in self._database.rows(select, values):
            span = spans.get(global_id) or _Span(0.0, 0.0, created)
            result.append(
                IdentityRecord(
                    int(global_id),
                    self._codec.open_text(name),
                    span.began,
                    span.ended,
                    span.stored,
                    frozenset(span.cameras),
                    span.count,
                    int(prototypes.get(global_id, 0)),
                    float(span.least_probability),
                    int(global_id) in confirmed,
                    bool(staff),
                )
            )
        return result

    def _spans(self, where: str, values: list[int]) -> Mapping[int, _Span]:
        spans: dict[int, _Span] = {}
        grouped = (
            "SELECT identity, camera, MIN(began), MAX(ended), MAX(stored), COUNT(*), MIN(probability) "
            f"FROM appearances{where} GROUP BY identity, camera"
        )
        for global_id, camera, began, ended, stored, count, probability in self._database.rows(grouped, values):
            span = spans.setdefault(global_id, _Span(began, ended, stored))
            span.began, span.ended = min(span.began, began), max(span.ended, ended)
            span.stored = max(span.stored, stored)
            span.cameras.add(camera)
            span.count += count
            span.least_probability = min(span.least_probability, probability)
        return spans

    def _confirmed(self, where: str, values: list[int]) -> set[int]:
        """Which of some identities (all where the condition is empty) are confirmed."""
        rows = self._database.rows(
            f"SELECT identity FROM appearances{where} GROUP BY identity HAVING {_SEEN_WELL}", values
        )
        for confirmed in _CONFIRMED_BY_RUNS:
            column = "a.identity" if " a " in confirmed else "identity"
            rows += self._database.rows(confirmed + where.replace("WHERE identity", f"AND {column}"), values)
        return {int(row[0]) for row in rows}

    def resolve(self, ids: Sequence[int]) -> dict[int, int]:
        """The present global ids of those identities that are there."""
        present: dict[int, int] = {}
        with self._database.reading():
            for where, values in conditions(ids, "id"):
                present.update(self._database.rows(f"SELECT id, identity FROM aliases{where}", values))
                present.update((i, i) for (i,) in self._database.rows(f"SELECT id FROM identities{where}", values))
        return present

    def require(self, global_id: int) -> int:
        """The present global id of an identity.

        Raises:
            GalleryError: It is not there.
        """
        present = self.resolve([global_id]).get(global_id, 0)
        if not present:
            raise GalleryError(
                f"gallery '{self._database.address}' has no identity {global_id}: it never had, it expired, or it was "
                "forgotten (see `streamreid gallery list`)"
            )
        return present

    def aliases(self, ids: Iterable[int]) -> set[int]:
        """Global ids that were merged into some identities."""
        return {
            int(r[0])
            for some in chunks(ids)
            for r in self._database.rows(f"SELECT id FROM aliases WHERE identity IN ({marks(some)})", some)
        }

    # ------------------------------------------------------------ writing, in the transaction of the caller

    def create(self, ids: Sequence[int], now: float) -> None:
        """Add identities without a name.

        Args:
            ids: Global ids that are not there yet.
            now: UTC seconds.
        """
        self._database.many("INSERT INTO identities (id, created) VALUES (?, ?)", [(i, now) for i in ids])

    def rename(self, global_id: int, name: str) -> None:
        """Give a name; empty takes it away."""
        values = (self._codec.seal_text(name), global_id)
        self._database.rows("UPDATE identities SET name = ? WHERE id = ?", values)

    def tags(self, global_id: int) -> tuple[str, bool]:
        """Name of an identity that is there, and whether it is staff."""
        name, staff = self._database.rows("SELECT name, staff FROM identities WHERE id = ?", (global_id,))[0]
        return self._codec.open_text(name), bool(staff)

    def tag_staff(self, global_id: int, staff: bool) -> None:
        """Say that somebody works there, or take it back."""
        self._database.rows("UPDATE identities SET staff = ? WHERE id = ?", (int(staff), global_id))

    def revive(self, global_id: int, aliases: Iterable[int], now: float) -> None:
        """An identity that had become part of another one is one of its own again, without a name.

        Args:
            global_id: An alias now.
            aliases: Global ids that lead to it from now on.
            now: UTC seconds.
        """
        self._database.rows("DELETE FROM aliases WHERE id = ?", (global_id,))
        self.create([global_id], now)
        for some in chunks(aliases):
            self._database.rows(f"UPDATE aliases SET identity = ? WHERE id IN ({marks(some)})", [global_id, *some])

    def join(self, keep: int, other: int) -> None:
        """Make everything of ``other`` part of ``keep``; the global id ``other`` is its alias from now on."""
        rows = self._database.rows
        name, staff = rows("SELECT name, staff FROM identities WHERE id = ?", (other,))[0]
        rows("UPDATE identities SET staff = 1 WHERE id = ? AND ? = 1", (keep, staff))
        rows("UPDATE identities SET name = ? WHERE id = ? AND name = ''", (name, keep))
        rows("UPDATE appearances SET identity = ? WHERE identity = ?", (keep, other))
        rows("UPDATE aliases SET identity = ? WHERE identity = ?", (keep, other))
        rows("UPDATE identity_links SET identity = ? WHERE identity = ?", (keep, other))
        rows("DELETE FROM identities WHERE id = ?", (other,))
        rows("INSERT INTO aliases (id, identity) VALUES (?, ?)", (other, keep))

    def add_alias(self, alias: int, global_id: int) -> None:
        """Let an unused global id lead to an identity; nothing changes if it leads somewhere already."""
        self._database.rows(
            "INSERT INTO aliases (id, identity) VALUES (?, ?) ON CONFLICT (id) DO NOTHING", (alias, global_id)
        )

    def drop_empty(self, ids: Iterable[int]) -> set[int]:
        """Remove those of some identities that have no track record left; named ones, too: the name has nobody behind
        it.

        Returns:
            Their global ids.
        """
        empty: set[int] = set()
        for some in chunks(ids):
            rows = self._database.rows(
                f"SELECT id FROM identities i WHERE id IN ({marks(some)}) "
                "AND NOT EXISTS (SELECT 1 FROM appearances a WHERE a.identity = i.id)",
                some,
            )
            empty.update(int(r[0]) for r in rows)
        self.delete(empty)
        return empty

    def delete(self, ids: Iterable[int]) -> None:
        """Remove identities with their aliases."""
        for some in chunks(ids):
            self._database.rows(f"DELETE FROM identities WHERE id IN ({marks(some)})", some)
            self._database.rows(f"DELETE FROM aliases WHERE identity IN ({marks(some)})", some)

    # ------------------------------------------------------------ global ids that were forgotten

    def forgotten(self, ids: Iterable[int] | None = None) -> list[int]:
        """Global ids that were erased on request, of some or of all, sorted."""
        with self._database.reading():
            if ids is None:
                return [int(r[0]) for r in self._database.rows("SELECT id FROM erased ORDER BY id")]
            return [
                int(r[0])
                for some in chunks(ids)
                for r in self._database.rows(f"SELECT id FROM erased WHERE id IN ({marks(some)}) ORDER BY id", some)
            ]

    def note_forgotten(self, ids: Sequence[int], now: float) -> None:
        """Keep global ids, so that they are not given or stored again."""
        insert = "INSERT INTO erased (id, stored) VALUES (?, ?) ON CONFLICT (id) DO NOTHING"
        self._database.many(insert, [(i, now) for i in ids])
