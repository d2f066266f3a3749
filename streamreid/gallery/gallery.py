"""A gallery: identities that outlive a run, in an SQLite file or in PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from streamreid.features.similarity import Calibration
from streamreid.gallery import corrections
from streamreid.gallery.batch_storage import store_batch
from streamreid.gallery.codec import KEY_VARIABLE, ValueCodec, begin_encryption, unlock
from streamreid.gallery.database import Database
from streamreid.gallery.erasure import forget
from streamreid.gallery.migration import copy_tables, write_backup
from streamreid.gallery.postgres_database import PostgresDatabase
from streamreid.gallery.records import (
    AuditEntry,
    Batch,
    Change,
    Constraint,
    EngineStamp,
    Erasure,
    EventRecord,
    GalleryCorrection,
    HourlyCount,
    IdentityRecord,
    Limits,
    LinkTable,
    PrototypeBlock,
    Retention,
    TrackRecord,
)
from streamreid.gallery.retention import AgeKeeper, evict, expire
from streamreid.gallery.schema import bring_up_to_date
from streamreid.gallery.sqlite_database import SqliteDatabase
from streamreid.gallery.tables import Tables
from streamreid.gallery.tables.hourly_counts import joined_counts
from streamreid.gallery.tables.metadata import MetadataTable
from streamreid.types import IntArray

__all__ = ["Gallery"]


class Gallery:
    """Remembers identities: who they are, when and where they were seen, what they look like.

    ``Gallery.open`` takes a path or an address; ``open_gallery`` takes the section of a configuration. Every method
    raises ``GalleryError`` when the database cannot be read or written; what it has written when it returns is durable.

    Args:
        database: Where the tables are; they are made or brought up to date.
        limits: Caps.
        key_variable: Environment variable with the key, to encrypt a new gallery; an encrypted one is opened with it.
        clock: UTC seconds.
        steady: Seconds that pass, whatever the clock is set to; see ``AgeClock``.

    Attributes:
        limits: The caps.
        tables: The tables, one by one.

    Raises:
        GalleryError: The tables are of a newer version, or encrypted with another key.
        MissingExtraError: The gallery is encrypted and ``cryptography`` is not installed.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> folder = tempfile.TemporaryDirectory()
        >>> with Gallery.open(Path(folder.name) / "people.db") as gallery:
        ...     gallery.write(Batch("run", {("hall", 1): TrackRecord("run", "hall", 1, 7, start=2.0, end=9.5)}))
        ...     [(r.global_id, sorted(r.cameras), r.last_seen) for r in gallery.identities()]
        [(7, ['hall'], 9.5)]
        >>> folder.cleanup()
    """

    def __init__(
        self,
        database: Database,
        limits: Limits | None = None,
        *,
        key_variable: str | None = None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._database = database
        self._clock = clock
        metadata = MetadataTable(database)

        def created() -> None:
            if key_variable is not None:
                begin_encryption(metadata, key_variable)

        bring_up_to_date(database, clock=clock, created=created)
        cipher = unlock(metadata, key_variable, database.address)
        codec = ValueCodec(cipher, metadata.engine, database.address)
        # Backups are encrypted with the same key.
        self._key_variable = (key_variable or KEY_VARIABLE) if codec.encrypted else None
        self.tables = Tables(database, metadata, codec, clock)
        self._ages = AgeKeeper(self.tables, clock, steady)

    @classmethod
    def open(
        cls,
        place: str | Path,
        limits: Limits | None = None,
        *,
        key_variable: str | None = None,
        read_only: bool = False,
        patience: float = 10.0,
        private: bool = True,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] | None = None,
    ) -> Gallery:
        """Open a gallery; it is made if it is not there.

        Args:
            place: An SQLite file, or ``postgresql://user:password@host:port/database``.
            limits: Caps.
            key_variable: Environment variable with the key, to encrypt a new gallery.
            read_only: Never write; the gallery must exist.
            patience: Seconds to wait for a server, and for another process that is writing.
            private: Only the owner can read the file and its backups (0600); folders that are made for them are 0700.
            clock, steady: As in the constructor.

        Raises:
            GalleryError: Not a gallery, damaged, of a newer version, not writable, in use, not reachable, or encrypted
                with another key.
            MissingExtraError: psycopg or ``cryptography`` is needed and not installed.
        """
        database: Database
        if "://" in str(place):
            database = PostgresDatabase(str(place), read_only=read_only, patience=patience, private=private)
        else:
            database = SqliteDatabase(place, read_only=read_only, patience=patience, private=private)
        try:
            return cls(database, limits, key_variable=key_variable, clock=clock, steady=steady)
        except BaseException:
            database.close()
            raise

    def __repr__(self) -> str:
        return f"Gallery({self.address!r})"

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the database. Safe to call twice."""
        self._database.close()

    # ------------------------------------------------------------ where and how it is stored

    @property
    def address(self) -> str:
        """Path or address without password, for messages."""
        return self._database.address

    @property
    def place(self) -> str:
        """The whole path, or the address without password: its name in other galleries' lists of copies."""
        return self._database.place

    @property
    def origin(self) -> str:
        """What is the same for a gallery and all its copies, in which a global id means the same person."""
        return self.tables.metadata.origin()

    @property
    def read_only(self) -> bool:
        """Whether it was opened for reading only."""
        return self._database.read_only

    @property
    def encrypted(self) -> bool:
        """Whether features, names and pictures are stored encrypted."""
        return self.tables.codec.encrypted

    @property
    def scratch_folder(self) -> Path:
        """Where large working copies may lie; those of an encrypted gallery stay in memory."""
        return self._database.scratch_folder

    @property
    def id_block(self) -> int:
        """Global ids that a run reserves at a time."""
        return self._database.id_block

    def check(self) -> None:
        """Search for damage as far as the database can; ``GalleryError`` says what was found."""
        self._database.check()

    def stats(self) -> dict[str, object]:
        """Counts (of identities also those confirmed and not), sizes, engine, oldest and newest record."""
        return self.tables.statistics()

    # ------------------------------------------------------------ what goes with the features

    def claim(self, stamp: EngineStamp) -> None:
        """Bind a new gallery to an engine, or check that it is bound to this one.

        Raises:
            EngineMismatchError: It holds features of another engine.
        """
        self.tables.metadata.claim(stamp)

    def engine(self) -> EngineStamp | None:
        """The engine whose features are kept; None in an empty gallery."""
        return self.tables.metadata.engine()

    def calibration(self) -> Calibration | None:
        """From similarity to probability as the last run had it on its site; None if no run said."""
        return self.tables.metadata.calibration()

    def set_calibration(self, calibration: Calibration) -> None:
        """Keep a run's calibration for searches without a run."""
        self.tables.metadata.set_calibration(calibration)

    def camera_means(self) -> bytes:
        """How the cameras' features differ, as the last run packed it; empty if no run said."""
        return bytes.fromhex(self.tables.codec.open_text(self.tables.metadata.get("camera_means") or ""))

    def set_camera_means(self, means: bytes) -> None:
        """Keep how the cameras' features differ, for the next run."""
        self.tables.metadata.set("camera_means", self.tables.codec.seal_text(means.hex()))

    def learnt_cameras(self) -> str:
        """What runs learnt of how their cameras relate, as the last one said; empty if none did."""
        return self.tables.codec.open_text(self.tables.metadata.get("learnt_cameras") or "")

    def set_learnt_cameras(self, learnt: str) -> None:
        """Keep what was learnt of how the cameras relate, for the next run."""
        self.tables.metadata.set("learnt_cameras", self.tables.codec.seal_text(learnt))

    # ------------------------------------------------------------ what runs write

    def reserve_ids(self, count: int, *, least: int = 1) -> int:
        """Take ``count`` global ids, none below ``least``, for this process alone. Returns the first one."""
        return self.tables.metadata.reserve_ids(count, least=least)

    def return_ids(self, first: int, end: int) -> None:
        """Give back the unused end ``first .. end - 1`` of a reservation, as far as nobody reserved after it."""
        self.tables.metadata.return_ids(first, end)

    def write(self, batch: Batch) -> None:
        """Store a batch in one transaction. Identities that were forgotten are left out; merged ones are followed."""
        if batch:
            self._ages.follow(batch.run)
            store_batch(self.tables, batch, most_prototypes=self.limits.prototypes)

    # ------------------------------------------------------------ what is remembered

    def identities(self, ids: Sequence[int] | None = None) -> list[IdentityRecord]:
        """Remembered identities by global id; all where ``ids`` is None."""
        return self.tables.identities.records(ids)

    def track_records(self, ids: Sequence[int] | None = None) -> dict[int, TrackRecord]:
        """Track records by row id, in the order in which they began; ``ids`` are global ids."""
        return self.tables.track_records.records(ids)

    def prototypes(
        self, *, after: int = 0, ids: Sequence[int] | None = None, block: int = 4096
    ) -> Iterator[PrototypeBlock]:
        """Prototypes in the order of their ids, at most ``block`` at a time; ``ids`` are global ids."""
        return self.tables.prototypes.blocks(after=after, ids=ids, block=block)

    def prototype_ids(self, ids: Sequence[int]) -> tuple[IntArray, IntArray]:
        """Ids and global ids ``[P]`` of the prototypes of some identities, without features."""
        return self.tables.prototypes.ids_of(ids)

    def events(self, global_id: int) -> list[EventRecord]:
        """History of an identity, in the order in which it was stored."""
        return self.tables.events.records(global_id)

    def crops(self, rows: Sequence[int]) -> dict[int, bytes]:
        """JPEG pictures by row id of the track record, where stored."""
        return self.tables.track_records.crops(rows)

    def part_colours(self, rows: Sequence[int]) -> dict[int, bytes]:
        """Colours of body parts by row id of the track record, as runs wrote them, where stored."""
        return self.tables.track_records.colours(rows)

    def counts(self, *, min_people: int = 0) -> list[HourlyCount]:
        """How many people were where in each hour, by place and hour; also of people who are forgotten.

        Args:
            min_people: Counts of fewer people than this, but not none, are withheld; a place can ask for more.
        """
        return joined_counts(self.tables.hourly_counts.records(), min_people)

    def links(self, rows: Sequence[int] | None = None) -> LinkTable:
        """Which tracks may be one person; ``rows`` are row ids of the later tracks."""
        return self.tables.links.records(rows)

    def resolve(self, global_id: int) -> int:
        """The global id under which an identity is kept now (after merges); 0 if it is not there."""
        return self.tables.identities.resolve([global_id]).get(global_id, 0)

    # ------------------------------------------------------------ what operators correct

    def rename(self, global_id: int, name: str) -> None:
        """Give an identity a name; empty takes it away. ``GalleryError`` if it is not there."""
        corrections.rename(self.tables, global_id, name)

    def merge(self, keep: int, other: int, *, force: bool = False) -> None:
        """Say that two identities are one person; ``other`` becomes part of ``keep``.

        Raises:
            GalleryError: One is not there, they are one already, or they were said to be different (unless ``force``).
        """
        corrections.merge(self.tables, keep, other, force=force, most_prototypes=self.limits.prototypes)

    def split(self, global_id: int, rows: Sequence[int], *, new: int | None = None) -> int:
        """Say that some track records, by row id, are another person. Returns the new global id: ``new``, which was
        reserved before, or the next one.

        Raises:
            GalleryError: The identity or one of the rows is not there, or no row would be left.
        """
        return corrections.split(self.tables, global_id, rows, new=new)

    def separate(self, one: int, other: int) -> None:
        """Say that two identities are different people.

        Raises:
            GalleryError: One is not there, or they are one identity.
        """
        corrections.separate(self.tables, one, other)

    def tag_staff(self, global_id: int, staff: bool = True) -> None:
        """Say that somebody works there, or take it back; counts leave staff out. ``GalleryError`` if it is not
        there."""
        corrections.tag_staff(self.tables, global_id, staff=staff)

    def corrections(self) -> list[GalleryCorrection]:
        """What operators corrected, the oldest first; the newest ten thousand."""
        return self.tables.corrections.records()

    def undo(self, number: int | None = None) -> GalleryCorrection:
        """Undo a correction: the newest that was not undone, or the one of a number.

        Returns:
            What was undone.

        Raises:
            CorrectionError: There is none, or what came after it does not allow it.
        """
        return corrections.undo(self.tables, number, most_prototypes=self.limits.prototypes)

    def constraints(self) -> list[Constraint]:
        """Pairs of identities that people said are the same or different."""
        return self.tables.constraints.records()

    # ------------------------------------------------------------ what leaves

    def forget(self, ids: Sequence[int], *, actor: str = "", visited: frozenset[str] = frozenset()) -> Erasure:
        """Erase every trace of people, here and in known backups, copies and exports and in what this is a copy of.

        Args:
            ids: Global ids.
            actor: For the audit log.
            visited: Places of galleries in which they are erased already.

        Returns:
            What was erased and searched, and what remains.
        """
        return forget(self.tables, ids, actor=actor, open_copy=self._open_copy, visited=visited)

    def _open_copy(self, place: str) -> Gallery:
        database = self._database
        return Gallery.open(place, self.limits, patience=database.patience, private=database.private, clock=self._clock)

    def forget_counts(self, place: str | None = None) -> int:
        """Remove the hourly counts of a place, or all. Returns how many there were."""
        with self._database.writing():
            return self.tables.hourly_counts.delete(place)

    def forgotten(self) -> list[int]:
        """Global ids that were erased on request; only these are kept, so that they are never given or stored again."""
        return self.tables.identities.forgotten()

    def retention(self) -> Retention:
        """How long the last run wanted things kept; no limit of time if none said."""
        return self.tables.metadata.retention()

    def set_retention(self, retention: Retention) -> None:
        """Keep the retention with the gallery, for those who open it without a configuration."""
        self.tables.metadata.set_retention(retention)

    def expire(self, retention: Retention | None = None, *, now: float | None = None) -> list[int]:
        """Erase what is past its time.

        Args:
            retention: None for the gallery's own.
            now: UTC seconds; None for now.

        Returns:
            Global ids of identities of which nothing is left.
        """
        retention = self.retention() if retention is None else retention
        if retention.shortest is None:
            return []
        return expire(self.tables, retention, self._ages.now() if now is None else now)

    def evict(self) -> list[int]:
        """Keep within the caps. Returns global ids of identities that were erased."""
        return evict(self.tables, self.limits)

    # ------------------------------------------------------------ other processes

    def position(self) -> int:
        """Where the list of changes ends now."""
        return self.tables.changes.position()

    def changes(self, after: int) -> tuple[list[Change] | None, int]:
        """Changes since a position and the new position; None where the list no longer reaches back: read all anew."""
        return self.tables.changes.after(after)

    def wait(self, seconds: float) -> bool:
        """Wait until another process changed something, at most so long. Returns whether something changed."""
        return self._database.wait(seconds)

    # ------------------------------------------------------------ copies and the audit log

    def audit(self, action: str, detail: Mapping[str, object], *, actor: str = "") -> None:
        """Note a search, a correction or an erasure."""
        self.tables.audit.add(action, detail, actor)

    def audit_log(self) -> list[AuditEntry]:
        """The whole audit log, oldest entry first."""
        return self.tables.audit.entries()

    def note_copy(self, kind: str, path: Path | str, ids: Sequence[int]) -> None:
        """Remember that data was written elsewhere, so that it can be erased there too; see ``CopyTable.add``."""
        self.tables.copies.add(kind, path, ids)

    def backup(self, path: Path) -> None:
        """Write a consistent copy as an SQLite file, with the gallery's key if it has one, and note it.

        Raises:
            GalleryError: The file exists, or cannot be written.
        """

        def fill(file: Path) -> None:
            private = self._database.private
            with Gallery.open(file, self.limits, key_variable=self._key_variable, private=private) as target:
                self.copy_to(target)

        write_backup(self.tables, Path(path), fill)

    def copy_to(self, target: Gallery) -> None:
        """Copy everything into an empty gallery, in one transaction; the target's key is used there.

        Raises:
            GalleryError: The target holds something already, or one of them fails; nothing is in the target then.
        """
        copy_tables(self.tables, target.tables)
