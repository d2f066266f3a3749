"""Identities that outlive a run: remembered, searched, corrected, forgotten."""

from streamreid.gallery.background import BackgroundWriter
from streamreid.gallery.base import (
    Batch,
    Change,
    Constraint,
    EngineStamp,
    Erasure,
    EventRecord,
    GalleryStore,
    IdentityRecord,
    Limits,
    PrototypeBlock,
    Retention,
    TrackRecord,
)
from streamreid.gallery.numbers import IdSource
from streamreid.gallery.opening import limits_of, open_gallery, retention_of
from streamreid.gallery.permissions import make_folder, make_private
from streamreid.gallery.postgres_store import PostgresGallery
from streamreid.gallery.search import GallerySearch, Match
from streamreid.gallery.selection import choose_views
from streamreid.gallery.sqlite_store import SqliteGallery

__all__ = [
    "BackgroundWriter",
    "Batch",
    "Change",
    "Constraint",
    "EngineStamp",
    "Erasure",
    "EventRecord",
    "GallerySearch",
    "GalleryStore",
    "IdSource",
    "IdentityRecord",
    "Limits",
    "Match",
    "PostgresGallery",
    "PrototypeBlock",
    "Retention",
    "SqliteGallery",
    "TrackRecord",
    "choose_views",
    "limits_of",
    "make_folder",
    "make_private",
    "open_gallery",
    "retention_of",
]
