"""Identities that outlive a run: remembered, searched, corrected, forgotten."""

from streamreid.gallery.base import (
    Appearance,
    Batch,
    Constraint,
    EngineStamp,
    Erasure,
    GalleryStore,
    IdentityRecord,
    Limits,
    PrototypeBlock,
    Retention,
)
from streamreid.gallery.postgres_store import PostgresGallery
from streamreid.gallery.sqlite_store import SqliteGallery

__all__ = [
    "Appearance",
    "Batch",
    "Constraint",
    "EngineStamp",
    "Erasure",
    "GalleryStore",
    "IdentityRecord",
    "Limits",
    "PostgresGallery",
    "PrototypeBlock",
    "Retention",
    "SqliteGallery",
]
