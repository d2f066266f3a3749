"""Identities that outlive a run: remembered, searched, corrected, forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamreid._lazy import lazily

if TYPE_CHECKING:
    from streamreid.gallery.background_writer import BackgroundWriter
    from streamreid.gallery.factory import limits_of, open_gallery, retention_of
    from streamreid.gallery.gallery import Gallery
    from streamreid.gallery.id_allocator import IdAllocator
    from streamreid.gallery.permissions import make_folder, make_private
    from streamreid.gallery.prototype_selection import choose_prototypes
    from streamreid.gallery.records import (
        Batch,
        Change,
        Constraint,
        EngineStamp,
        Erasure,
        EventRecord,
        HourlyCount,
        IdentityRecord,
        Limits,
        PrototypeBlock,
        Retention,
        TrackRecord,
    )
    from streamreid.gallery.search import GallerySearch, Match


__all__ = [
    "BackgroundWriter",
    "Batch",
    "Change",
    "Constraint",
    "EngineStamp",
    "Erasure",
    "EventRecord",
    "Gallery",
    "GallerySearch",
    "HourlyCount",
    "IdAllocator",
    "IdentityRecord",
    "Limits",
    "Match",
    "PrototypeBlock",
    "Retention",
    "TrackRecord",
    "choose_prototypes",
    "limits_of",
    "make_folder",
    "make_private",
    "open_gallery",
    "retention_of",
]

__getattr__ = lazily(
    __name__,
    {
        "BackgroundWriter": "background_writer",
        "limits_of": "factory",
        "open_gallery": "factory",
        "retention_of": "factory",
        "Gallery": "gallery",
        "IdAllocator": "id_allocator",
        "make_folder": "permissions",
        "make_private": "permissions",
        "choose_prototypes": "prototype_selection",
        "Batch": "records",
        "Change": "records",
        "Constraint": "records",
        "EngineStamp": "records",
        "Erasure": "records",
        "EventRecord": "records",
        "HourlyCount": "records",
        "IdentityRecord": "records",
        "Limits": "records",
        "PrototypeBlock": "records",
        "Retention": "records",
        "TrackRecord": "records",
        "GallerySearch": "search",
        "Match": "search",
    },
)
