"""Fields of a protobuf message, read and written without knowing its schema
(https://protobuf.dev/programming-guides/encoding/)."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Field", "encode_bytes", "encode_varint", "fields"]

Field = tuple[int, "memoryview | int"]
"""A field's number and content: an int, or the bytes of a text, a message or packed values."""


def fields(data: memoryview) -> Iterator[Field]:
    """Number and content of a message's fields; numbers as int, everything else as bytes.

    Raises:
        ValueError: It is no protobuf message.
        IndexError: It ends too early.
    """
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        if kind == 2:
            length, place = _varint(data, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"no protobuf: wire type {kind}")
        if place + length > len(data):
            raise ValueError("no protobuf: a field is longer than what holds it")
        yield key >> 3, data[place : place + length]
        place += length


def encode_bytes(number: int, content: bytes) -> bytes:
    """A field that holds text, a message or packed values."""
    return _encode(number << 3 | 2) + _encode(len(content)) + content


def encode_varint(number: int, value: int) -> bytes:
    """A field that holds a whole number of 0 or more."""
    return _encode(number << 3) + _encode(value)


def _encode(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("no protobuf: a number of more than 64 bits")
