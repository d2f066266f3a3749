"""How values of a gallery are written as bytes and text: packed, and encrypted where the gallery is."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from streamreid.errors import GalleryError
from streamreid.gallery.cipher import Cipher, PlainCipher, cipher_from_environment
from streamreid.gallery.records import EngineStamp
from streamreid.types import PartFeatures

if TYPE_CHECKING:
    from streamreid.gallery.tables.metadata import MetadataTable

__all__ = ["KEY_VARIABLE", "ValueCodec", "begin_encryption", "unlock"]

KEY_VARIABLE = "STREAMREID_GALLERY_KEY"
"""Environment variable of the key where the configuration names no other."""

_PROBE = b"streamreid"
"""What is stored encrypted, to tell the right key from a wrong one."""


class ValueCodec:
    """Turns features, names and pictures into what is stored, and back.

    Args:
        cipher: Of the gallery.
        engine: The engine of the features, if there are any.
        address: Of the gallery, for messages.
    """

    def __init__(self, cipher: Cipher, engine: Callable[[], EngineStamp | None], address: str) -> None:
        self._cipher = cipher
        self._engine = engine
        self._address = address

    @property
    def encrypted(self) -> bool:
        """Whether features, names and pictures are written encrypted."""
        return self._cipher.name != "none"

    def seal(self, data: bytes) -> bytes:
        """Encrypt bytes for storing them."""
        return self._cipher.seal(data)

    def open(self, data: bytes) -> bytes:
        """Bytes after reading.

        Raises:
            GalleryError: Written with another key, or damaged.
        """
        return self._cipher.open(bytes(data))

    def seal_text(self, text: str) -> str:
        """Text for writing; the bytes of an encrypted one in hexadecimal digits."""
        return self.seal(text.encode()).hex() if text and self.encrypted else text

    def open_text(self, text: str) -> str:
        """Text after reading.

        Raises:
            GalleryError: Written with another key, or damaged.
        """
        return self.open(bytes.fromhex(text)).decode() if text and self.encrypted else text

    def pack(self, features: PartFeatures) -> list[bytes]:
        """Each prototype: parts ``[K, D]``, then visibility ``[K]``, as float16 little-endian."""
        count, (parts, dim) = len(features), features.shape
        values = np.empty((count, parts * dim + parts), "<f2")
        values[:, : parts * dim] = features.parts.reshape(count, parts * dim)
        values[:, parts * dim :] = features.visibility
        data, size = values.tobytes(), values.strides[0]
        packed = [data[start : start + size] for start in range(0, count * size, size)]
        return [self.seal(value) for value in packed] if self.encrypted else packed

    def unpack(self, values: Sequence[bytes]) -> PartFeatures:
        """Prototypes from ``pack``, one row each.

        Raises:
            GalleryError: One of them is damaged, or written with another key.
        """
        stamp = self._engine()
        if stamp is None or not values:
            return PartFeatures.unseen(0, *((stamp.parts, stamp.dim) if stamp else (1, 1)))
        k, d = stamp.parts, stamp.dim
        try:
            data = np.frombuffer(b"".join(self.open(v) for v in values), "<f2").reshape(len(values), k * d + k)
        except ValueError:
            raise GalleryError(
                f"gallery '{self._address}': a prototype has not the size of {k} parts of {d} values; the file is "
                "damaged. Restore a backup."
            ) from None
        parts = data[:, : k * d].astype(np.float32).reshape(len(values), k, d)
        return PartFeatures(parts, data[:, k * d :].astype(np.float32))


def begin_encryption(metadata: MetadataTable, variable: str) -> None:
    """Note in a new gallery that it is encrypted, in the transaction that makes its tables.

    Args:
        metadata: Of the gallery.
        variable: Environment variable with the key.

    Raises:
        GalleryError: The variable is not set, or the key too short.
        MissingExtraError: ``cryptography`` is not installed.
    """
    salt = uuid.uuid4().bytes
    cipher = cipher_from_environment(variable, salt)
    for name, value in (("cipher", cipher.name), ("salt", salt.hex()), ("probe", cipher.seal(_PROBE).hex())):
        metadata.set(name, value)


def unlock(metadata: MetadataTable, variable: str | None, address: str) -> Cipher:
    """The cipher of a gallery; a plain one where it is not encrypted.

    Args:
        metadata: Of the gallery.
        variable: Environment variable with the key where the gallery is to be encrypted; None takes it as it is.
        address: Of the gallery, for messages.

    Raises:
        GalleryError: It is not encrypted and was to be; or the key is missing, too short, or another one.
        MissingExtraError: ``cryptography`` is not installed.
    """
    if metadata.get("cipher") in (None, "none"):
        if variable is not None:
            raise GalleryError(
                f"gallery '{address}' is not encrypted, but gallery.encryption is on; copy it into a new encrypted one "
                "(`streamreid gallery copy OLD NEW --encrypt`), then forget the old one"
            )
        return PlainCipher()
    variable = variable or KEY_VARIABLE
    cipher = cipher_from_environment(variable, bytes.fromhex(metadata.get("salt") or ""))
    try:
        right = cipher.open(bytes.fromhex(metadata.get("probe") or "")) == _PROBE
    except GalleryError:
        right = False
    if not right:
        raise GalleryError(f"the key in {variable} is not the key of gallery '{address}'; nothing was changed")
    return cipher
