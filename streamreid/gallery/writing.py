"""What goes into a gallery: ids, appearances, views, events, pictures; names and corrections by people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from streamreid.errors import GalleryError
from streamreid.features.similarity import Calibration
from streamreid.gallery.base import Batch, TrackRecord
from streamreid.gallery.prototype_selection import choose_views
from streamreid.gallery.reading import Reading
from streamreid.gallery.sql import chunks, marks

__all__ = ["Writing"]

_KEPT_CHANGES = 100_000
_KEPT_NOTES = 100_000


class Writing(Reading):
    """The writing half of ``GalleryStore``."""

    def reserve_ids(self, count: int, *, least: int = 1) -> int:
        """See ``GalleryStore``."""
        with self._writing():
            first = max(int(self._meta("next_id") or 1), least)
            self._set_meta("next_id", str(first + count))
        return first

    def return_ids(self, first: int, end: int) -> None:
        """See ``GalleryStore``."""
        with self._writing():
            if int(self._meta("next_id") or 1) == end:
                self._set_meta("next_id", str(first))

    def write(self, batch: Batch) -> None:
        """See ``GalleryStore``."""
        if not batch:
            return
        self._keep_ages()
        self._own_runs.add(batch.run)
        now = self._clock()
        with self._writing():
            wanted = {a.global_id for a in batch.appearances.values()}
            there = self._resolve(sorted(wanted))
            gone = {
                i
                for some in chunks(wanted)
                for (i,) in self._rows(f"SELECT id FROM erased WHERE id IN ({marks(some)})", some)
            }
            fresh = sorted(wanted - set(there) - gone)
            self._many("INSERT INTO identities (id, created) VALUES (?, ?)", [(i, now) for i in fresh])
            there.update((i, i) for i in fresh)
            kept = {key: a for key, a in batch.appearances.items() if a.global_id in there}
            before, rows = self._put_appearances(kept, there, now)
            self._put_views(batch, rows)
            self._many(
                "INSERT INTO crops (appearance, picture) VALUES (?, ?) ON CONFLICT (appearance) DO UPDATE SET picture "
                "= excluded.picture",
                [(rows[key], self._cipher.seal(picture)) for key, picture in batch.crops.items() if key in rows],
            )
            touched = {there[a.global_id] for a in kept.values()}
            self._cap_views(touched)
            self._put_events(batch, gone, now)
            emptied = self._drop_empty(before - touched)
            touched |= self._merge_as_decided(batch, emptied)
            self._changed([(i, "merge" if i in emptied else "write") for i in sorted(touched | before)])
            if fresh:
                self._set_meta("next_id", str(max(int(self._meta("next_id") or 1), fresh[-1] + 1)))

    def _keep_ages(self) -> None:
        """Where this machine's clock was set, what this process has stored is dated anew, so that it is as old as
        before."""
        step = self._ages.step
        if step and self._own_runs:
            runs = sorted(self._own_runs)
            with self._writing():
                for table in ("appearances", "events"):
                    self._rows(f"UPDATE {table} SET stored = stored + ? WHERE run IN ({marks(runs)})", [step, *runs])
        self._ages.settle(step)

    def _put_appearances(
        self, kept: Mapping[tuple[str, int], TrackRecord], there: Mapping[int, int], now: float
    ) -> tuple[set[int], dict[tuple[str, int], int]]:
        """Whose the appearances were until now, and their row ids."""
        before: set[int] = set()
        rows: dict[tuple[str, int], int] = {}
        for key, a in kept.items():
            found = self._rows(
                "SELECT id, identity FROM appearances WHERE run = ? AND camera = ? AND track = ?",
                (a.run, a.camera, a.track_id),
            )
            if found:
                rows[key] = int(found[0][0])
                before.add(int(found[0][1]))
        self._many(
            "UPDATE appearances SET identity = ?, began = ?, ended = ?, probability = ?, observations = ?, stored = ? "
            "WHERE id = ?",
            [
                (there[a.global_id], a.start, a.end, a.probability, a.observations, now, rows[k])
                for k, a in kept.items()
                if k in rows
            ],
        )
        new = [k for k in kept if k not in rows]
        sql = (
            "INSERT INTO appearances (run, camera, track, identity, began, ended, probability, observations, stored) "
            "VALUES (?,?,?,?,?,?,?,?,?) RETURNING id"
        )
        values = [
            (a.run, a.camera, a.track_id, there[a.global_id], a.start, a.end, a.probability, a.observations, now)
            for a in (kept[k] for k in new)
        ]
        rows.update(zip(new, self._returning(sql, values), strict=True))
        return before, rows

    def _put_views(self, batch: Batch, rows: Mapping[tuple[str, int], int]) -> None:
        new = [key for key in batch.views if key in rows]
        for some in chunks(rows[key] for key in new):
            self._rows(f"DELETE FROM prototypes WHERE appearance IN ({marks(some)})", some)
        values = []
        for key in new:
            features, quality = batch.views[key]
            for row in range(len(features)):
                values.append(
                    (rows[key], float(quality[row]), self._pack(features.parts[row], features.visibility[row]))
                )
        self._many("INSERT INTO prototypes (appearance, quality, features) VALUES (?, ?, ?)", values)

    def _cap_views(self, ids: Iterable[int]) -> None:
        """Keep at most ``limits.prototypes`` views of each of these people: good ones that differ."""
        for some in chunks(ids):
            crowded = self._rows(
                "SELECT a.identity FROM prototypes p JOIN appearances a ON a.id = p.appearance WHERE a.identity IN "
                f"({marks(some)}) GROUP BY a.identity HAVING COUNT(*) > ?",
                [*some, self.limits.prototypes],
            )
            for (who,) in crowded:
                found = self._rows(
                    "SELECT p.id, p.quality, p.features FROM prototypes p JOIN appearances a ON a.id = p.appearance "
                    "WHERE a.identity = ?",
                    (who,),
                )
                quality = np.array([r[1] for r in found], np.float32)
                keep = choose_views(self._unpack([r[2] for r in found]), quality, self.limits.prototypes)
                surplus = sorted(set(range(len(found))) - set(keep.tolist()))
                self._many("DELETE FROM prototypes WHERE id = ?", [(found[row][0],) for row in surplus])

    def _put_events(self, batch: Batch, gone: set[int], now: float) -> None:
        self._many(
            "INSERT INTO events (run, stored, kind, time, identity, other, camera, track, probability, reasons) "
            "VALUES (?,?,?,?,?,?,?,?,?,?)",
            [
                (
                    batch.run,
                    now,
                    e.kind,
                    float(e.time),
                    e.global_id,
                    e.other_id,
                    e.camera,
                    e.track_id,
                    float(e.probability),
                    json.dumps({k: round(float(v), 4) for k, v in e.reasons.items()}) if e.reasons else "",
                )
                for e in batch.events
                if e.global_id not in gone and e.other_id not in gone
            ],
        )

    def _merge_as_decided(self, batch: Batch, emptied: set[int]) -> set[int]:
        """Identities that the association merged away live on under the other's id, with what earlier runs knew of
        them. Returns the others."""
        kept: set[int] = set()
        for e in batch.events:
            if e.kind != "merge" or e.other_id == e.global_id:
                continue
            there = self._resolve([e.global_id, e.other_id])
            one, two = there.get(e.global_id, 0), there.get(e.other_id, 0)
            if one and two and one != two:
                self._join(one, two)
                emptied.add(two)
                kept.add(one)
            elif one and e.other_id in emptied:
                self._rows(
                    "INSERT INTO aliases (id, identity) VALUES (?, ?) ON CONFLICT (id) DO NOTHING", (e.other_id, one)
                )
        self._cap_views(kept)
        return kept

    def _join(self, one: int, two: int) -> None:
        """Everything of ``two`` becomes ``one``'s; the id ``two`` leads there from now on."""
        name = self._rows("SELECT name FROM identities WHERE id = ?", (two,))[0][0]
        self._rows("UPDATE identities SET name = ? WHERE id = ? AND name = ''", (name, one))
        self._rows("UPDATE appearances SET identity = ? WHERE identity = ?", (one, two))
        self._rows("UPDATE aliases SET identity = ? WHERE identity = ?", (one, two))
        self._rows("DELETE FROM identities WHERE id = ?", (two,))
        self._rows("INSERT INTO aliases (id, identity) VALUES (?, ?)", (two, one))

    def _drop_empty(self, ids: Iterable[int]) -> set[int]:
        """Remove identities that no appearance is left of. A named one, too: there is nobody behind the name any
        more."""
        empty: set[int] = set()
        for some in chunks(ids):
            rows = self._rows(
                f"SELECT id FROM identities i WHERE id IN ({marks(some)}) AND NOT EXISTS (SELECT 1 FROM appearances a "
                "WHERE a.identity = i.id)",
                some,
            )
            empty.update(int(r[0]) for r in rows)
        for some in chunks(empty):
            self._rows(f"DELETE FROM identities WHERE id IN ({marks(some)})", some)
            self._rows(f"DELETE FROM aliases WHERE identity IN ({marks(some)})", some)
        return empty

    def _changed(self, changes: Sequence[tuple[int, str]]) -> None:
        """Tell other processes; the list is kept to its newest entries."""
        now = self._clock()
        self._many(
            "INSERT INTO changes (identity, kind, stored) VALUES (?, ?, ?)", [(i, kind, now) for i, kind in changes]
        )
        self._rows("DELETE FROM changes WHERE id <= (SELECT MAX(id) FROM changes) - ?", (_KEPT_CHANGES,))

    # ------------------------------------------------------------ people's corrections

    def _must_exist(self, global_id: int) -> int:
        now = self._resolve([global_id]).get(global_id, 0)
        if not now:
            raise GalleryError(
                f"gallery '{self.address}' has no identity {global_id}: it never had, it expired, or it was forgotten "
                "(see `streamreid gallery list`)"
            )
        return now

    def rename(self, global_id: int, name: str) -> None:
        """See ``GalleryStore``."""
        with self._writing():
            who = self._must_exist(global_id)
            self._rows("UPDATE identities SET name = ? WHERE id = ?", (self._seal_text(name.strip()), who))
            self._changed([(who, "rename")])

    def merge(self, keep: int, other: int, *, force: bool = False) -> None:
        """See ``GalleryStore``."""
        with self._writing():
            one, two = self._must_exist(keep), self._must_exist(other)
            if one == two:
                raise GalleryError(f"{keep} and {other} are one identity already ({one})")
            low, high = sorted((one, two))
            said = self._rows(
                "SELECT kind FROM constraints WHERE one = ? AND other = ? AND kind = 'different'", (low, high)
            )
            if said and not force:
                raise GalleryError(
                    f"identities {keep} and {other} were said to be different people; pass --force to say that this "
                    "was wrong"
                )
            self._join(one, two)
            self._constrain("same", low, high)
            self._cap_views([one])
            self._changed([(one, "merge"), (two, "merge")])

    def split(self, global_id: int, rows: Sequence[int]) -> int:
        """See ``GalleryStore``."""
        with self._writing():
            who = self._must_exist(global_id)
            mine = {int(r[0]) for r in self._rows("SELECT id FROM appearances WHERE identity = ?", (who,))}
            wanted = {int(r) for r in rows}
            if not wanted or not wanted <= mine:
                raise GalleryError(
                    f"identity {who} has the appearances {', '.join(map(str, sorted(mine)))}; cannot split off "
                    f"{', '.join(map(str, sorted(wanted - mine))) or 'none'} (see `streamreid gallery show {who}`)"
                )
            if wanted == mine:
                raise GalleryError(f"these are all appearances of identity {who}; leave at least one")
            new = int(self._meta("next_id") or 1)
            self._set_meta("next_id", str(new + 1))
            self._rows("INSERT INTO identities (id, created) VALUES (?, ?)", (new, self._clock()))
            for some in chunks(wanted):
                self._rows(f"UPDATE appearances SET identity = ? WHERE id IN ({marks(some)})", [new, *some])
            self._constrain("different", *sorted((who, new)))
            self._changed([(who, "split"), (new, "split")])
        return new

    def separate(self, one: int, other: int) -> None:
        """See ``GalleryStore``."""
        with self._writing():
            a, b = self._must_exist(one), self._must_exist(other)
            if a == b:
                raise GalleryError(
                    f"{one} and {other} are one identity now ({a}); use `streamreid gallery split` to part it"
                )
            self._constrain("different", *sorted((a, b)))
            self._changed([(a, "constraint"), (b, "constraint")])

    def _constrain(self, kind: str, one: int, other: int) -> None:
        self._rows(
            "INSERT INTO constraints (kind, one, other, stored) VALUES (?, ?, ?, ?) ON CONFLICT (one, other) DO "
            "UPDATE SET kind = excluded.kind, stored = excluded.stored",
            (kind, one, other, self._clock()),
        )

    # ------------------------------------------------------------ notes

    def calibration(self) -> Calibration | None:
        """See ``GalleryStore``."""
        with self._reading():
            text = self._meta("calibration")
        return Calibration(**json.loads(text)) if text else None

    def set_calibration(self, calibration: Calibration) -> None:
        """See ``GalleryStore``."""
        with self._writing():
            self._set_meta("calibration", json.dumps(asdict(calibration)))

    def audit(self, action: str, detail: Mapping[str, object], *, actor: str = "") -> None:
        """See ``GalleryStore``."""
        with self._writing():
            self._note(action, detail, actor)

    def _note(self, action: str, detail: Mapping[str, object], actor: str) -> None:
        values = (self._clock(), actor, action, json.dumps(dict(detail), sort_keys=True))
        self._rows("INSERT INTO audit (stored, actor, action, detail) VALUES (?, ?, ?, ?)", values)
        self._rows("DELETE FROM audit WHERE id <= (SELECT MAX(id) FROM audit) - ?", (_KEPT_NOTES,))

    def note_copy(self, kind: str, path: Path | str, ids: Sequence[int]) -> None:
        """See ``GalleryStore``."""
        with self._writing():
            self._rows(
                "INSERT INTO copies (kind, path, stored, ids) VALUES (?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET "
                "kind = excluded.kind, stored = excluded.stored, ids = excluded.ids",
                (
                    kind,
                    path if isinstance(path, str) else str(path.resolve()),
                    self._clock(),
                    json.dumps(sorted(int(i) for i in ids)),
                ),
            )
