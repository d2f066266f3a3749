"""How people leave a gallery: by time, by the caps, or because they are to be forgotten."""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from streamreid.gallery.base import Change, Erasure, Retention
from streamreid.gallery.copy_registry import forget_in_copies
from streamreid.gallery.erasure_proof import ByteSignatures, find_residue
from streamreid.gallery.sql import chunks, marks
from streamreid.gallery.writing import Writing

__all__ = ["Erasing"]

_Self = TypeVar("_Self", bound="Erasing")
_HOUR_PER_DOUBLING = 3600.0


@dataclass(slots=True)
class _Erased:
    """What a transaction erased, with the bytes to look for afterwards."""

    ids: list[int]
    rows: dict[str, int] = field(default_factory=dict)
    pieces: ByteSignatures = field(default_factory=ByteSignatures)


class Erasing(Writing):
    """The erasing half of ``GalleryStore``."""

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Release the store. Safe to call twice."""

    @abstractmethod
    def _scrub(self, *, thorough: bool) -> None:
        """Make sure that erased rows are gone from the files; ``thorough`` rewrites them."""

    @abstractmethod
    def _files(self) -> list[Path]:
        """Files of the store that this process can search."""

    def retention(self) -> Retention:
        """See ``GalleryStore``."""
        with self._reading():
            text = self._meta("retention")
        kept = json.loads(text) if text else {"seconds": None, "cameras": {}}
        return Retention(kept["seconds"], kept["cameras"])

    def set_retention(self, retention: Retention) -> None:
        """See ``GalleryStore``."""
        if retention != self.retention():
            with self._writing():
                self._set_meta(
                    "retention", json.dumps({"seconds": retention.seconds, "cameras": dict(retention.cameras)})
                )

    def expire(self, retention: Retention | None = None, *, now: float | None = None) -> list[int]:
        """See ``GalleryStore``."""
        retention = self.retention() if retention is None else retention
        if retention.shortest is None:
            return []
        if now is None:
            self._keep_ages()
            now = self._ages.now()
        with self._reading():
            if not self._old(retention, now, "appearances", probe=True) and not self._old(
                retention, now, "events", probe=True
            ):
                return []
        with self._writing():
            rows = self._old(retention, now, "appearances")
            owners = self._delete_appearances(rows)
            events = self._old(retention, now, "events")
            for some in chunks(events):
                self._rows(f"DELETE FROM events WHERE id IN ({marks(some)})", some)
            gone = self._drop_empty(owners)
            self._drop_history(gone)
            self._changed([(i, "expire") for i in sorted(owners)])
        self._scrub(thorough=False)
        return sorted(gone)

    def _old(self, retention: Retention, now: float, table: str, *, probe: bool = False) -> list[int]:
        """Rows that are past their camera's time. Events without a camera follow the shortest retention."""
        result: list[int] = []
        cameras = [c for (c,) in self._rows(f"SELECT DISTINCT camera FROM {table}")]
        for camera in cameras:
            seconds = retention.shortest if camera == "" else retention.of(camera)
            if seconds is not None:
                limit = " LIMIT 1" if probe else ""
                rows = self._rows(
                    f"SELECT id FROM {table} WHERE camera = ? AND stored < ?{limit}", (camera, now - seconds)
                )
                result += [int(r[0]) for r in rows]
        return result

    def _delete_appearances(self, rows: Iterable[int]) -> set[int]:
        """Returns whose they were."""
        owners: set[int] = set()
        for some in chunks(rows):
            owners.update(
                int(r[0])
                for r in self._rows(f"SELECT DISTINCT identity FROM appearances WHERE id IN ({marks(some)})", some)
            )
            self._rows(f"DELETE FROM appearances WHERE id IN ({marks(some)})", some)
        return owners

    def _drop_history(self, ids: Iterable[int]) -> None:
        """Events and corrections of people of whom nothing else is left."""
        for some in chunks(ids):
            many = marks(some)
            self._rows(f"DELETE FROM events WHERE identity IN ({many}) OR other IN ({many})", [*some, *some])
            self._rows(f"DELETE FROM constraints WHERE one IN ({many}) OR other IN ({many})", [*some, *some])

    # ------------------------------------------------------------ caps

    def evict(self) -> list[int]:
        """See ``GalleryStore``.

        Usefulness of a person = time of the last write + one hour for every doubling of the number of appearances;
        people with a name or a correction are evicted after all others.
        """
        limits = self.limits
        with self._reading():
            people = int(self._rows("SELECT COUNT(*) FROM identities")[0][0])
            views = int(self._rows("SELECT COUNT(*) FROM prototypes")[0][0])
            events = int(self._rows("SELECT COUNT(*) FROM events")[0][0])
            tracks = int(self._rows("SELECT COUNT(*) FROM appearances")[0][0])
        gone = self._evict_appearances(tracks - limits.max_appearances) if tracks > limits.max_appearances else []
        if people > limits.max_identities or views > limits.max_prototypes:
            gone += self._evict(people - limits.max_identities, views - limits.max_prototypes)
        if events > limits.max_events:
            with self._writing():
                self._rows(
                    "DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT ?)",
                    (events - limits.max_events,),
                )
        return gone

    def _evict_appearances(self, surplus: int) -> list[int]:
        with self._writing():
            rows = [int(r[0]) for r in self._rows("SELECT id FROM appearances ORDER BY stored, id LIMIT ?", (surplus,))]
            owners = self._delete_appearances(rows)
            gone = self._drop_empty(owners)
            self._drop_history(gone)
            self._changed([(i, "evict") for i in sorted(owners)])
        self._scrub(thorough=False)
        return sorted(gone)

    def _evict(self, people: int, views: int) -> list[int]:
        records = self.identities()
        corrected = {i for c in self.constraints() for i in (c.one, c.other)}
        records.sort(
            key=lambda r: (
                bool(r.name) or r.global_id in corrected,
                r.stored + _HOUR_PER_DOUBLING * math.log2(1 + r.appearances),
                r.global_id,
            )
        )
        gone: list[int] = []
        for record in records:
            if people <= 0 and views <= 0:
                break
            gone.append(record.global_id)
            people, views = people - 1, views - record.prototypes
        with self._writing():
            self._delete_people(gone)
            self._changed([(i, "evict") for i in gone])
        self._scrub(thorough=False)
        return gone

    def _delete_people(self, ids: Sequence[int]) -> dict[str, int]:
        rows = dict.fromkeys(("identities", "appearances", "prototypes", "crops", "events", "constraints"), 0)
        for some in chunks(ids):
            many = marks(some)
            mine = f"(SELECT id FROM appearances WHERE identity IN ({many}))"
            for table in ("prototypes", "crops"):
                rows[table] += int(self._rows(f"SELECT COUNT(*) FROM {table} WHERE appearance IN {mine}", some)[0][0])
                self._rows(f"DELETE FROM {table} WHERE appearance IN {mine}", some)
            for table, where in (("events", "identity"), ("constraints", "one")):
                condition = f"{where} IN ({many}) OR other IN ({many})"
                rows[table] += int(self._rows(f"SELECT COUNT(*) FROM {table} WHERE {condition}", [*some, *some])[0][0])
                self._rows(f"DELETE FROM {table} WHERE {condition}", [*some, *some])
            for table, where in (("appearances", "identity"), ("identities", "id")):
                rows[table] += int(self._rows(f"SELECT COUNT(*) FROM {table} WHERE {where} IN ({many})", some)[0][0])
                self._rows(f"DELETE FROM {table} WHERE {where} IN ({many})", some)
            self._rows(f"DELETE FROM aliases WHERE identity IN ({many})", some)
        return rows

    # ------------------------------------------------------------ to be forgotten

    def forget(self, ids: Sequence[int], *, actor: str = "", visited: frozenset[str] = frozenset()) -> Erasure:
        """See ``GalleryStore``; ``visited`` are galleries in which they are erased already."""
        erased = self._erase(ids, actor)
        result = Erasure(erased.ids, erased.rows)
        self._scrub(thorough=not self._files())  # what cannot be searched is rewritten in any case
        result.remains, result.searched = find_residue(self._files(), erased.pieces)
        if result.remains:
            self._scrub(thorough=True)
            result.remains, result.searched = find_residue(self._files(), erased.pieces)
        with self._reading():
            copies = self._rows("SELECT kind, path FROM copies ORDER BY id")
        known = [(str(kind), str(place)) for kind, place in copies]
        forget_in_copies(known, result, self._open_copy, erased.pieces, visited=visited | {self.place})
        with self._writing():
            for path in result.done:
                if "://" not in path and not Path(path).exists():
                    self._rows("DELETE FROM copies WHERE path = ?", (path,))
        return result

    @property
    @abstractmethod
    def place(self) -> str:
        """The whole path, or the address without password: what other stores call this one in their lists of copies."""

    @property
    def origin(self) -> str:
        """What is the same for a store and all its copies, in which a global id means the same person."""
        with self._reading():
            return self._meta("origin") or self._meta("store") or ""

    @abstractmethod
    def _open_copy(self, place: str) -> Erasing:
        """A copy of this store, to erase in it: a path, or an address without password."""

    def _erase(self, ids: Sequence[int], actor: str) -> _Erased:
        with self._writing():
            asked = {int(i) for i in ids}
            now = set(self._resolve(sorted(asked)).values())
            merged = {
                int(r[0])
                for some in chunks(now)
                for r in self._rows(f"SELECT id FROM aliases WHERE identity IN ({marks(some)})", some)
            }
            # A number that nothing is known of (expired, or erased here before a copy was made) is noted all the same:
            # it must not come back.
            everyone = sorted(asked | now | merged)
            erased = _Erased(everyone)
            for some in chunks(now):
                mine = f"(SELECT id FROM appearances WHERE identity IN ({marks(some)}))"
                views = self._rows(f"SELECT features FROM prototypes WHERE appearance IN {mine}", some)
                pictures = self._rows(f"SELECT picture FROM crops WHERE appearance IN {mine}", some)
                erased.pieces |= ByteSignatures(r[0] for r in views) | ByteSignatures(
                    (r[0] for r in pictures), pictures=True
                )
            erased.rows = self._delete_people(sorted(now))
            self._drop_history(merged)
            moment = self._clock()
            self._many(
                "INSERT INTO erased (id, stored) VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
                [(i, moment) for i in everyone],
            )
            self._changed([(i, "forget") for i in everyone])
            self._note("forget", {"identities": everyone, "rows": sum(erased.rows.values())}, actor)
        return erased

    def forgotten(self) -> list[int]:
        """Global ids that were erased on request; the numbers alone are kept, so that they are not given or stored
        again."""
        with self._reading():
            return [int(r[0]) for r in self._rows("SELECT id FROM erased ORDER BY id")]

    def changes_since_start(self) -> list[Change]:
        """The whole list of changes, for inspection."""
        with self._reading():
            return [Change(int(i), kind) for i, kind in self._rows("SELECT identity, kind FROM changes ORDER BY id")]
