"""Tables of a gallery, in the order in which versions of streamreid added them; the same for SQLite and PostgreSQL.

``{serial}`` and ``{blob}`` are filled in from the database's dialect. A version is a list of statements that run in one
transaction; a gallery of an older version runs those it lacks, one of a newer version is refused.

The tables keep the names that they were given first: ``appearances`` holds track records (``TrackRecord``), ``crops``
their pictures, ``part_colours`` their colours, ``erased`` the global ids that were forgotten.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

from streamreid.errors import GalleryError
from streamreid.gallery.database import Database

__all__ = ["APPLICATION_ID", "MIGRATIONS", "VERSION", "bring_up_to_date", "refuse_newer"]

APPLICATION_ID = 0x53524731  # "SRG1": tells our SQLite files from others

_VERSION_1 = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE identities (
        id BIGINT PRIMARY KEY, name TEXT NOT NULL DEFAULT '', created DOUBLE PRECISION NOT NULL)""",
    """CREATE TABLE appearances (
        id {serial}, run TEXT NOT NULL, camera TEXT NOT NULL, track BIGINT NOT NULL,
        identity BIGINT NOT NULL REFERENCES identities(id) ON DELETE CASCADE,
        began DOUBLE PRECISION NOT NULL, ended DOUBLE PRECISION NOT NULL, probability DOUBLE PRECISION NOT NULL,
        observations BIGINT NOT NULL, stored DOUBLE PRECISION NOT NULL, UNIQUE (run, camera, track))""",
    "CREATE INDEX appearances_identity ON appearances(identity)",
    "CREATE INDEX appearances_stored ON appearances(camera, stored)",
    """CREATE TABLE prototypes (
        id {serial}, appearance BIGINT NOT NULL REFERENCES appearances(id) ON DELETE CASCADE,
        quality DOUBLE PRECISION NOT NULL, features {blob} NOT NULL)""",
    "CREATE INDEX prototypes_appearance ON prototypes(appearance)",
    """CREATE TABLE events (
        id {serial}, run TEXT NOT NULL, stored DOUBLE PRECISION NOT NULL, kind TEXT NOT NULL, time DOUBLE PRECISION
        NOT NULL, identity BIGINT NOT NULL, other BIGINT NOT NULL, camera TEXT NOT NULL, track BIGINT NOT NULL,
        probability DOUBLE PRECISION NOT NULL)""",
    "CREATE INDEX events_identity ON events(identity)",
    "CREATE INDEX events_other ON events(other)",
    "CREATE TABLE aliases (id BIGINT PRIMARY KEY, identity BIGINT NOT NULL)",
    "CREATE TABLE erased (id BIGINT PRIMARY KEY, stored DOUBLE PRECISION NOT NULL)",
    """CREATE TABLE changes (
        id {serial}, identity BIGINT NOT NULL, kind TEXT NOT NULL, stored DOUBLE PRECISION NOT NULL)""",
    """CREATE TABLE audit (
        id {serial}, stored DOUBLE PRECISION NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
        detail TEXT NOT NULL)""",
)

# Corrections, pictures, reasons of events, and the list of copies.
_VERSION_2 = (
    "ALTER TABLE events ADD COLUMN reasons TEXT NOT NULL DEFAULT ''",
    """CREATE TABLE constraints (
        id {serial}, kind TEXT NOT NULL, one BIGINT NOT NULL, other BIGINT NOT NULL, stored DOUBLE PRECISION NOT NULL,
        UNIQUE (one, other))""",
    """CREATE TABLE crops (
        appearance BIGINT PRIMARY KEY REFERENCES appearances(id) ON DELETE CASCADE, picture {blob} NOT NULL)""",
    """CREATE TABLE copies (
        id {serial}, kind TEXT NOT NULL, path TEXT NOT NULL UNIQUE, stored DOUBLE PRECISION NOT NULL,
        ids TEXT NOT NULL)""",
)

# Counts that outlive the people they counted.
_VERSION_3 = (
    """CREATE TABLE hourly_counts (
        id {serial}, run TEXT NOT NULL, place TEXT NOT NULL, hour DOUBLE PRECISION NOT NULL,
        seconds DOUBLE PRECISION NOT NULL, visits BIGINT NOT NULL, entries BIGINT NOT NULL, exits BIGINT NOT NULL,
        re_entries BIGINT NOT NULL, passers_by BIGINT NOT NULL, occupancy_mean DOUBLE PRECISION NOT NULL,
        occupancy_max BIGINT NOT NULL, dwell_median DOUBLE PRECISION, dwell_p90 DOUBLE PRECISION,
        people BIGINT NOT NULL, people_low BIGINT, people_high BIGINT, min_people BIGINT NOT NULL,
        revised DOUBLE PRECISION NOT NULL, UNIQUE (run, place, hour))""",
)

# Corrections that can be undone, and who works there.
_VERSION_4 = (
    "ALTER TABLE identities ADD COLUMN staff BIGINT NOT NULL DEFAULT 0",
    """CREATE TABLE corrections (
        id {serial}, kind TEXT NOT NULL, one BIGINT NOT NULL, other BIGINT NOT NULL, detail TEXT NOT NULL,
        stored DOUBLE PRECISION NOT NULL, undone BIGINT NOT NULL DEFAULT 0)""",
)

# Which tracks may be one person, for counts with intervals over several runs.
_VERSION_5 = (
    "ALTER TABLE appearances ADD COLUMN compared BIGINT NOT NULL DEFAULT 0",
    """CREATE TABLE track_links (
        id {serial}, track BIGINT NOT NULL REFERENCES appearances(id) ON DELETE CASCADE,
        earlier BIGINT NOT NULL REFERENCES appearances(id) ON DELETE CASCADE, log_odds DOUBLE PRECISION NOT NULL)""",
    "CREATE INDEX track_links_track ON track_links(track)",
    "CREATE INDEX track_links_earlier ON track_links(earlier)",
    """CREATE TABLE identity_links (
        id {serial}, track BIGINT NOT NULL REFERENCES appearances(id) ON DELETE CASCADE,
        identity BIGINT NOT NULL REFERENCES identities(id) ON DELETE CASCADE, log_odds DOUBLE PRECISION NOT NULL)""",
    "CREATE INDEX identity_links_track ON identity_links(track)",
    "CREATE INDEX identity_links_identity ON identity_links(identity)",
    "ALTER TABLE hourly_counts ADD COLUMN tracks BIGINT",
)

# Colours of body parts, for figures where no picture is stored.
_VERSION_6 = (
    """CREATE TABLE part_colours (
        appearance BIGINT PRIMARY KEY REFERENCES appearances(id) ON DELETE CASCADE, colours {blob} NOT NULL)""",
)

MIGRATIONS = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, _VERSION_5, _VERSION_6)
VERSION = len(MIGRATIONS)


def refuse_newer(address: str, version: int) -> None:
    """Let nothing touch tables that this version of streamreid does not know.

    Raises:
        GalleryError: ``version`` is above ``VERSION``.
    """
    if version > VERSION:
        raise GalleryError(
            f"gallery '{address}' was written by a newer streamreid (its tables have version {version}, this one knows "
            f"{VERSION}); upgrade streamreid, or use another gallery. Nothing was changed."
        )


def bring_up_to_date(database: Database, *, clock: Callable[[], float], created: Callable[[], None]) -> None:
    """Make the tables, or add what an older version lacks, in one transaction.

    Args:
        database: Where.
        clock: UTC seconds.
        created: Called in the same transaction when the tables are new.

    Raises:
        GalleryError: The tables are of a newer version; or of an older one, or not there, and the database is read
            only.
    """
    with database.reading():
        version = database.version()
    refuse_newer(database.address, version)
    if version == VERSION:
        return
    if database.read_only:
        raise GalleryError(
            f"gallery '{database.address}' is of an older version ({version}) and cannot be upgraded while it is "
            "read only"
            if version
            else f"there is no gallery in '{database.address}', and it was to be read only"
        )
    with database.writing():
        version = database.version()  # another process may have been faster
        if version >= VERSION:
            return
        dialect = database.dialect
        for statement in dialect.preamble:
            database.rows(statement)
        for statement in (s for statements in MIGRATIONS[version:] for s in statements):
            database.rows(statement.format(serial=dialect.serial, blob=dialect.blob))
        database.set_version(VERSION)
        if version == 0:
            database.many(
                "INSERT INTO meta (name, value) VALUES (?, ?)",
                [("store", uuid.uuid4().hex), ("next_id", "1"), ("created", repr(clock())), ("cipher", "none")],
            )
            created()
