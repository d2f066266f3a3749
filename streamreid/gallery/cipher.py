"""Encryption at rest: AES-256-GCM with a key from the environment (NIST SP 800-38D)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from typing import Protocol

from streamreid.errors import GalleryError, MissingExtraError

__all__ = ["AesCipher", "Cipher", "PlainCipher", "cipher_from_environment", "new_key"]

_NONCE = 12
"""Bytes of the nonce of AES-GCM (NIST SP 800-38D, 8.2)."""

_BOUND = b"streamreid gallery 1"


class Cipher(Protocol):
    """Turns bytes into what is written, and back."""

    name: str

    def seal(self, data: bytes) -> bytes:
        """Encrypt bytes for storing them."""

    def open(self, data: bytes) -> bytes:
        """After reading.

        Raises:
            GalleryError: Sealed with another key, or damaged.
        """


class PlainCipher:
    """Writes bytes as they are."""

    name = "none"

    def seal(self, data: bytes) -> bytes:
        """See ``Cipher``."""
        return data

    def open(self, data: bytes) -> bytes:
        """See ``Cipher``."""
        return data


class AesCipher:
    """AES-256-GCM with a fresh random nonce in front of every value.

    Args:
        key: 32 bytes.

    Raises:
        MissingExtraError: ``cryptography`` is not installed.
    """

    name = "aes-256-gcm"

    def __init__(self, key: bytes) -> None:
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError:
            raise MissingExtraError("cryptography", "encryption", "an encrypted gallery") from None
        self._aes, self._invalid = AESGCM(key), InvalidTag

    def seal(self, data: bytes) -> bytes:
        """See ``Cipher``."""
        nonce = os.urandom(_NONCE)
        return nonce + self._aes.encrypt(nonce, data, _BOUND)

    def open(self, data: bytes) -> bytes:
        """See ``Cipher``."""
        try:
            return self._aes.decrypt(data[:_NONCE], data[_NONCE:], _BOUND)
        except (self._invalid, ValueError):
            raise GalleryError(
                "an encrypted value of the gallery cannot be read: it was written with another key, or is damaged"
            ) from None


def new_key() -> str:
    """A random key, as it goes into the environment."""
    return base64.b64encode(os.urandom(32)).decode()


def cipher_from_environment(variable: str, salt: bytes) -> AesCipher:
    """The cipher of the key in the environment: 32 bytes as base64 or hexadecimal, or a passphrase (stretched by
    scrypt, RFC 7914).

    Args:
        variable: Name of the environment variable.
        salt: Of the store, for a passphrase.

    Raises:
        GalleryError: It is not set or too short.
        MissingExtraError: ``cryptography`` is not installed.
    """
    text = os.environ.get(variable, "").strip()
    if not text:
        raise GalleryError(
            f"the gallery is encrypted and the environment variable {variable} is not set; set it to the key "
            "(`streamreid gallery key` makes a new one) or name another variable in gallery.key_variable"
        )
    for decode in (base64.b64decode, bytes.fromhex):
        try:
            key = decode(text, validate=True) if decode is base64.b64decode else decode(text)
        except (binascii.Error, ValueError):
            continue
        if len(key) == 32:
            return AesCipher(key)
    if len(text) < 12:
        raise GalleryError(
            f"the key in {variable} is too short: give 32 random bytes (`streamreid gallery key`) or at least 12 "
            "characters"
        )
    return AesCipher(hashlib.scrypt(text.encode(), salt=salt, n=2**15, r=8, p=1, maxmem=2**26, dklen=32))
