"""From the configuration to a gallery."""

from __future__ import annotations

from streamreid._startup import starting
from streamreid.config import GalleryConfig
from streamreid.errors import ConfigError
from streamreid.gallery.gallery import Gallery
from streamreid.gallery.records import Limits, Retention
from streamreid.secrets import redact

__all__ = ["limits_of", "open_gallery", "retention_of"]


def open_gallery(config: GalleryConfig, *, read_only: bool = False, patience: float = 10.0) -> Gallery:
    """Open the gallery that the configuration names; it is made if it is not there.

    Args:
        config: ``store`` must be given.
        read_only: Never write.
        patience: Seconds to wait for another process.

    Raises:
        ConfigError: No store, or an address of a kind that is not known.
        GalleryError: See ``Gallery.open``.
        MissingExtraError: A driver or ``cryptography`` is not installed.
    """
    store = config.store
    if store is None:
        raise ConfigError("no gallery is configured: set gallery.store, or pass --gallery FILE (or postgresql://...)")
    with starting(f"gallery '{redact(store)}'"):
        return _open(store, config, read_only=read_only, patience=patience)


def _open(store: str, config: GalleryConfig, *, read_only: bool, patience: float) -> Gallery:
    key = config.key_variable if config.encryption else None
    if "://" in store and not store.startswith(("postgresql://", "postgres://")):
        raise ConfigError(f"gallery '{redact(store)}': give a file, or an address that begins with postgresql://")
    return Gallery.open(
        store, limits_of(config), key_variable=key, read_only=read_only, patience=patience, private=config.private
    )


def limits_of(config: GalleryConfig) -> Limits:
    """How many rows of each kind the configuration allows."""
    return Limits(
        config.prototypes, config.max_identities, config.max_prototypes, config.max_events, config.max_appearances
    )


def retention_of(config: GalleryConfig) -> Retention:
    """How long what was recorded is kept."""
    seconds = None if config.retention_hours is None else config.retention_hours * 3600
    return Retention(seconds, {name: hours * 3600 for name, hours in config.camera_retention_hours.items()})
