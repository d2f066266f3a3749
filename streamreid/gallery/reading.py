"""Questions to a gallery: who is remembered, where they appeared, what they look like, what changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid._association_settings import AssociationConfig
from streamreid.gallery.base import (
    AuditEntry,
    Change,
    Constraint,
    EventRecord,
    IdentityRecord,
    PrototypeBlock,
    TrackRecord,
)
from streamreid.gallery.sql import Sql, chunks, marks
from streamreid.types import IdentityEvent

__all__ = ["Reading"]

_APPEARANCE = "id, run, camera, track, identity, began, ended, probability, observations, stored"
_COUNTED = ("identities", "appearances", "prototypes", "events", "constraints", "crops", "erased")

_DEFAULT = AssociationConfig()
_SEEN_WELL = (
    f"SUM(observations) >= {_DEFAULT.confirm_observations} AND MAX(ended) - MIN(began) >= {_DEFAULT.confirm_seconds}"
)
_CONFIRMED_BY_RUNS = (
    "SELECT identity FROM events WHERE kind = 'confirm'",
    "SELECT a.identity FROM aliases a JOIN events e ON e.identity = a.id WHERE e.kind = 'confirm'",
)
"""Events keep the id that a person had then; aliases lead from there to the present one. Old events expire, so what was
seen counts as well."""


class Reading(Sql):
    """The reading half of ``GalleryStore``."""

    def identities(self, ids: Sequence[int] | None = None) -> list[IdentityRecord]:
        """See ``GalleryStore``."""
        with self._reading():
            return [record for part in self._parts(ids) for record in self._identities(*part)]

    def _parts(self, ids: Sequence[int] | None, column: str = "identity") -> Iterator[tuple[str, list[int]]]:
        """Conditions that pick some identities, a few at a time; one that picks all where ``ids`` is None."""
        if ids is None:
            yield "", []
        else:
            for some in chunks(ids):
                yield f" WHERE {column} IN ({marks(some)})", some

    def _identities(self, where: str, values: list[int]) -> list[IdentityRecord]:
        seen: dict[int, list[Any]] = {}
        grouped = (
            "SELECT identity, camera, MIN(began), MAX(ended), MAX(stored), COUNT(*), MIN(probability) FROM appearances"
            f"{where} GROUP BY identity, camera"
        )
        for who, camera, began, ended, stored, count, least in self._rows(grouped, values):
            s = seen.setdefault(who, [began, ended, stored, set(), 0, 1.0])
            s[0], s[1], s[2] = min(s[0], began), max(s[1], ended), max(s[2], stored)
            s[3].add(camera)
            s[4] += count
            s[5] = min(s[5], least)
        views = dict(
            self._rows(
                "SELECT a.identity, COUNT(*) FROM prototypes p JOIN appearances a ON a.id = "
                f"p.appearance{where.replace('identity', 'a.identity')} GROUP BY a.identity",
                values,
            )
        )
        sure = self._confirmed(where, values)
        result = []
        for who, name, created in self._rows(
            f"SELECT id, name, created FROM identities{where.replace('identity', 'id')} ORDER BY id", values
        ):
            began, ended, stored, cameras, count, least = seen.get(who, [0.0, 0.0, created, set(), 0, 1.0])
            result.append(
                IdentityRecord(
                    int(who),
                    self._open_text(name),
                    began,
                    ended,
                    stored,
                    frozenset(cameras),
                    count,
                    int(views.get(who, 0)),
                    float(least),
                    int(who) in sure,
                )
            )
        return result

    def _confirmed(self, where: str, values: list[int]) -> set[int]:
        """Who of some identities (all where the condition is empty) is confirmed."""
        found = self._rows(f"SELECT identity FROM appearances{where} GROUP BY identity HAVING {_SEEN_WELL}", values)
        for said in _CONFIRMED_BY_RUNS:
            found += self._rows(
                said + where.replace("WHERE identity", "AND a.identity" if " a " in said else "AND identity"), values
            )
        return {int(row[0]) for row in found}

    def appearances(self, ids: Sequence[int] | None = None) -> dict[int, TrackRecord]:
        """See ``GalleryStore``."""
        found: list[tuple[Any, ...]] = []
        with self._reading():
            for where, values in self._parts(ids):
                found += self._rows(f"SELECT {_APPEARANCE} FROM appearances{where}", values)
        found.sort(key=lambda r: (r[5], r[2], r[0]))
        return {
            int(r[0]): TrackRecord(
                r[1], r[2], int(r[3]), int(r[4]), float(r[5]), float(r[6]), float(r[7]), int(r[8]), float(r[9])
            )
            for r in found
        }

    def prototypes(
        self, *, after: int = 0, ids: Sequence[int] | None = None, block: int = 4096
    ) -> Iterator[PrototypeBlock]:
        """See ``GalleryStore``."""
        select = (
            "SELECT p.id, a.identity, p.quality, p.appearance, p.features FROM prototypes p JOIN appearances a ON "
            "a.id = p.appearance"
        )
        for where, values in self._parts(ids, "a.identity"):
            last = after
            while True:
                condition = f"{where} AND p.id > ?" if where else " WHERE p.id > ?"
                with self._reading():
                    rows = self._rows(f"{select}{condition} ORDER BY p.id LIMIT ?", [*values, last, block])
                    features = self._unpack([r[4] for r in rows])
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

    def prototype_ids(self, ids: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """See ``GalleryStore``."""
        found: list[tuple[int, int]] = []
        with self._reading():
            for where, values in self._parts(ids, "a.identity"):
                found += self._rows(
                    f"SELECT p.id, a.identity FROM prototypes p JOIN appearances a ON a.id = p.appearance{where}",
                    values,
                )
        table = np.array(sorted(found), np.int64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def events(self, global_id: int) -> list[EventRecord]:
        """See ``GalleryStore``."""
        with self._reading():
            rows = self._rows(
                "SELECT run, stored, kind, time, identity, camera, track, probability, other, reasons FROM events "
                "WHERE identity = ? OR other = ? ORDER BY id",
                (global_id, global_id),
            )
        return [
            EventRecord(
                r[0],
                float(r[1]),
                IdentityEvent(r[2], float(r[3]), r[4], r[5], r[6], float(r[7]), r[8], json.loads(r[9]) if r[9] else {}),
            )
            for r in rows
        ]

    def crops(self, rows: Sequence[int]) -> dict[int, bytes]:
        """See ``GalleryStore``."""
        result: dict[int, bytes] = {}
        with self._reading():
            for where, values in self._parts(rows, "appearance"):
                for row, picture in self._rows(f"SELECT appearance, picture FROM crops{where}", values):
                    result[int(row)] = self._cipher.open(bytes(picture))
        return result

    def resolve(self, global_id: int) -> int:
        """See ``GalleryStore``."""
        with self._reading():
            return self._resolve([global_id]).get(global_id, 0)

    def _resolve(self, ids: Sequence[int]) -> dict[int, int]:
        """The present ids of those identities that are there."""
        now: dict[int, int] = {}
        for where, values in self._parts(ids, "id"):
            now.update(self._rows(f"SELECT id, identity FROM aliases{where}", values))
            now.update((who, who) for (who,) in self._rows(f"SELECT id FROM identities{where}", values))
        return now

    def constraints(self) -> list[Constraint]:
        """See ``GalleryStore``."""
        with self._reading():
            rows = self._rows("SELECT kind, one, other, stored FROM constraints ORDER BY id")
        return [Constraint(r[0], int(r[1]), int(r[2]), float(r[3])) for r in rows]

    def position(self) -> int:
        """See ``GalleryStore``."""
        with self._reading():
            return int(self._rows("SELECT COALESCE(MAX(id), 0) FROM changes")[0][0])

    def changes(self, after: int) -> tuple[list[Change] | None, int]:
        """See ``GalleryStore``."""
        with self._reading():
            rows = self._rows("SELECT id, identity, kind FROM changes WHERE id > ? ORDER BY id", (after,))
            known = self._rows("SELECT 1 FROM changes WHERE id = ?", (after,)) if after and rows else [(1,)]
        if not rows:
            return [], after
        return ([Change(int(r[1]), r[2]) for r in rows] if known else None), int(rows[-1][0])

    def audit_log(self) -> list[AuditEntry]:
        """See ``GalleryStore``."""
        with self._reading():
            rows = self._rows("SELECT stored, actor, action, detail FROM audit ORDER BY id")
        return [AuditEntry(float(r[0]), r[1], r[2], json.loads(r[3])) for r in rows]

    def stats(self) -> dict[str, object]:
        """See ``GalleryStore``."""
        with self._reading():
            counts: dict[str, object] = {t: int(self._rows(f"SELECT COUNT(*) FROM {t}")[0][0]) for t in _COUNTED}
            all_people = int(str(counts["identities"]))
            oldest, newest = self._rows("SELECT MIN(stored), MAX(stored) FROM appearances")[0]
            sure = int(
                self._rows(
                    "SELECT COUNT(*) FROM identities WHERE id IN (SELECT identity FROM appearances GROUP BY identity "
                    f"HAVING {_SEEN_WELL})" + "".join(f" OR id IN ({said})" for said in _CONFIRMED_BY_RUNS)
                )[0][0]
            )
            views, total = self._rows("SELECT COUNT(*), SUM(LENGTH(features)) FROM prototypes")[0]
            copies = [{"kind": r[0], "path": r[1]} for r in self._rows("SELECT kind, path FROM copies ORDER BY id")]
            next_id = int(self._meta("next_id") or 1)
        stamp = self.engine()
        engine = (
            None
            if stamp is None
            else {"name": stamp.name, "parts": stamp.parts, "dim": stamp.dim, "fingerprint": stamp.fingerprint}
        )
        return {
            "address": self.address,
            "engine": engine,
            "encrypted": self.encrypted,
            "identities": counts.pop("identities"),
            "confirmed": sure,
            "unconfirmed": all_people - sure,
            **counts,
            "next_id": next_id,
            "oldest": oldest,
            "newest": newest,
            "bytes": self._size(),
            "bytes_per_prototype": round(float(total) / views, 1) if views else None,
            "copies": copies,
        }

    def _size(self) -> int:
        """Bytes on disk."""
        raise NotImplementedError
