"""Tables of a gallery, in the order in which versions of streamreid added them; the same for SQLite and PostgreSQL.

``{serial}`` and ``{blob}`` are filled in by the store. A version is a list of statements that run in one transaction; a
store of an older version runs those it lacks, one of a newer version is refused.
"""

from __future__ import annotations

__all__ = ["APPLICATION_ID", "MIGRATIONS", "TABLES", "VERSION"]

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
        id {serial}, run TEXT NOT NULL, stored DOUBLE PRECISION NOT NULL, kind TEXT NOT NULL,
        time DOUBLE PRECISION NOT NULL,
        identity BIGINT NOT NULL, other BIGINT NOT NULL, camera TEXT NOT NULL, track BIGINT NOT NULL,
        probability DOUBLE PRECISION NOT NULL)""",
    "CREATE INDEX events_identity ON events(identity)",
    "CREATE INDEX events_other ON events(other)",
    "CREATE TABLE aliases (id BIGINT PRIMARY KEY, identity BIGINT NOT NULL)",
    "CREATE TABLE erased (id BIGINT PRIMARY KEY, stored DOUBLE PRECISION NOT NULL)",
    "CREATE TABLE changes (id {serial}, identity BIGINT NOT NULL, kind TEXT NOT NULL, stored DOUBLE PRECISION NOT "
    "NULL)",
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
    "CREATE TABLE crops (appearance BIGINT PRIMARY KEY REFERENCES appearances(id) ON DELETE CASCADE, picture {blob} "
    "NOT NULL)",
    "CREATE TABLE copies (id {serial}, kind TEXT NOT NULL, path TEXT NOT NULL UNIQUE, stored DOUBLE PRECISION NOT "
    "NULL, ids TEXT NOT NULL)",
)

MIGRATIONS = (_VERSION_1, _VERSION_2)
VERSION = len(MIGRATIONS)

TABLES = (
    "meta",
    "identities",
    "appearances",
    "prototypes",
    "events",
    "aliases",
    "erased",
    "changes",
    "audit",
    "constraints",
    "crops",
    "copies",
)
