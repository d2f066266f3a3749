"""Identities that outlive a run: remembered, searched, corrected, forgotten."""

from streamreid.gallery.background_writer import BackgroundWriter
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
from streamreid.gallery.factory import limits_of, open_gallery, retention_of
from streamreid.gallery.id_allocator import IdAllocator
from streamreid.gallery.permissions import make_folder, make_private
from streamreid.gallery.postgres_store import PostgresGallery
from streamreid.gallery.prototype_selection import choose_views
from streamreid.gallery.search import GallerySearch, Match
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
    "IdAllocator",
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
