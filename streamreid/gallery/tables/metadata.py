"""The table ``meta``: what a gallery says about itself, by name."""

from __future__ import annotations

import json
from dataclasses import asdict

from streamreid.errors import EngineMismatchError
from streamreid.features.similarity import Calibration
from streamreid.gallery.database import Database
from streamreid.gallery.records import EngineStamp, Retention

__all__ = ["MetadataTable"]


class MetadataTable:
    """Engine, calibration, retention, origin and the next global id of a gallery.

    Args:
        database: Where the table is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._engine: EngineStamp | None = None

    def get(self, name: str) -> str | None:
        """A value; None if it is not there."""
        with self._database.reading():
            found = self._database.rows("SELECT value FROM meta WHERE name = ?", (name,))
        return str(found[0][0]) if found else None

    def set(self, name: str, value: str) -> None:
        """Put a value in the place of the one that is there."""
        with self._database.writing():
            self._database.rows(
                "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, value),
            )

    # ------------------------------------------------------------ engine and calibration

    def engine(self) -> EngineStamp | None:
        """The engine of the features; None if no run has claimed the gallery yet."""
        if self._engine is None:
            text = self.get("engine")
            if text is not None:
                fingerprint, parts, dim, name = text.split(" ", 3)
                self._engine = EngineStamp(name, fingerprint, int(parts), int(dim))
        return self._engine

    def claim(self, stamp: EngineStamp) -> None:
        """Bind a new gallery to an engine, or check that it is bound to this one.

        Raises:
            EngineMismatchError: It holds features of another engine.
        """
        if self.engine() is None:
            with self._database.writing():
                if self.get("engine") is None:
                    self.set("engine", f"{stamp.fingerprint} {stamp.parts} {stamp.dim} {stamp.name}")
        mine = self.engine()
        assert mine is not None
        if (mine.fingerprint, mine.parts, mine.dim) != (stamp.fingerprint, stamp.parts, stamp.dim):
            raise EngineMismatchError(
                f"gallery '{self._database.address}' holds features of engine '{mine.name}' ({mine.parts} parts of "
                f"{mine.dim} values, fingerprint {mine.fingerprint[:12]}), not of '{stamp.name}' ({stamp.parts} "
                f"parts of {stamp.dim}, {stamp.fingerprint[:12]}): they cannot be compared. Name that engine "
                f"(--engine {mine.name}, or engine: {{model: {mine.name}}} in the YAML), or use another gallery"
            )

    def calibration(self) -> Calibration | None:
        """From similarity to probability as the last run had it; None if no run said."""
        text = self.get("calibration")
        return Calibration(**json.loads(text)) if text else None

    def set_calibration(self, calibration: Calibration) -> None:
        """Keep the link calibration of a run's engine for later searches."""
        self.set("calibration", json.dumps(asdict(calibration)))

    # ------------------------------------------------------------ retention and origin

    def retention(self) -> Retention:
        """How long the last run wanted things kept; no limit of time if none said."""
        text = self.get("retention")
        kept = json.loads(text) if text else {"seconds": None, "cameras": {}}
        return Retention(kept["seconds"], kept["cameras"])

    def set_retention(self, retention: Retention) -> None:
        """Keep the retention; nothing is written if it is the same."""
        if retention != self.retention():
            value = {"seconds": retention.seconds, "cameras": dict(retention.cameras)}
            self.set("retention", json.dumps(value))

    def origin(self) -> str:
        """What is the same for a gallery and all its copies, in which a global id means the same person."""
        return self.get("origin") or self.get("store") or ""

    # ------------------------------------------------------------ global ids

    def next_id(self) -> int:
        """The global id that is given next."""
        return int(self.get("next_id") or 1)

    def reserve_ids(self, count: int, *, least: int = 1) -> int:
        """Take ``count`` global ids, none below ``least``. Returns the first one."""
        with self._database.writing():
            first = max(self.next_id(), least)
            self.set("next_id", str(first + count))
        return first

    def return_ids(self, first: int, end: int) -> None:
        """Give back ``first .. end - 1``, as far as nobody reserved after them."""
        with self._database.writing():
            if self.next_id() == end:
                self.set("next_id", str(first))

    def skip_ids(self, used: int) -> None:
        """Give no global id up to ``used`` any more."""
        with self._database.writing():
            self.set("next_id", str(max(self.next_id(), used + 1)))
