"""What a perception worker sends to the site service about ten times a second, and what it hears back.

Track updates of a camera are numbered from 0 under each lease. A worker keeps them until they are acknowledged and
sends them again after a gap; the site takes each number once, in order.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streamreid.errors import DataError

__all__ = ["MOST_BATCH_BYTES", "Ack", "CameraUpdates", "UpdateBatch"]

MOST_BATCH_BYTES = 8 << 20
"""A batch is no larger: that is a second of 500 cameras, and a receiver need not take more from anybody."""

_KIND = b"SRUB"
_VERSION = 1
_HEAD = struct.Struct("<4sHII")
"""Kind, version, CRC-32 of what follows, length of the JSON header."""


@dataclass(frozen=True, slots=True)
class CameraUpdates:
    """Consecutive track updates of one camera. One with neither updates nor earlier ones announces a camera: the answer
    says where its numbers begin.

    Args:
        camera: Its name.
        fence: Of the lease under which they were made, see `Lease`.
        oldest: Number of the oldest update that the worker still has: those before can never be sent again.
        first: Number of the first update here.
        updates: ``TrackUpdate.to_bytes()`` of each.
        ended: Whether nothing comes after these.
    """

    camera: str
    fence: int
    oldest: int = 0
    first: int = 0
    updates: tuple[bytes, ...] = ()
    ended: bool = False


@dataclass(frozen=True, slots=True)
class UpdateBatch:
    """All that a worker has to say at one moment.

    Args:
        worker: Its name.
        cameras: Updates by camera.
        models: What made them, see `model_stamp`; the site refuses what its own engine did not make.
        counts: Figures of the worker's cameras by name, see `camera_figures`; sent about once a second.
    """

    worker: str
    cameras: tuple[CameraUpdates, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """This batch with a checksum.

        Raises:
            DataError: It is larger than ``MOST_BATCH_BYTES``.
        """
        cameras = [[c.camera, c.fence, c.oldest, c.first, [len(u) for u in c.updates], c.ended] for c in self.cameras]
        values = {"worker": self.worker, "cameras": cameras, "models": dict(self.models), "counts": dict(self.counts)}
        return _packed(values, b"".join(u for c in self.cameras for u in c.updates))

    @classmethod
    def from_bytes(cls, data: bytes) -> UpdateBatch:
        """The batch of which ``to_bytes`` made these bytes.

        Raises:
            DataError: They are something else, of another version, damaged or too many.
        """
        values, rest = _unpacked(data)
        try:
            cameras, at = [], 0
            for camera, fence, oldest, first, lengths, ended in values["cameras"]:
                updates = []
                for length in map(int, lengths):
                    if length < 0 or at + length > len(rest):
                        raise ValueError("an update is cut off")
                    updates.append(rest[at : at + length])
                    at += length
                cameras.append(
                    CameraUpdates(str(camera), int(fence), int(oldest), int(first), tuple(updates), bool(ended))
                )
            if at != len(rest):
                raise ValueError(f"{len(rest) - at} bytes too many")
            return cls(str(values["worker"]), tuple(cameras), dict(values["models"]), dict(values["counts"]))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"a batch of track updates is damaged: {error}") from None


@dataclass(frozen=True, slots=True)
class Ack:
    """What the site service answers to a batch.

    Args:
        next: By camera, the number of the update that is expected next: all before are taken and may be forgotten, and
            sending goes on with it.
        refused: By camera, why nothing of it is taken from this worker: another one owns it, or it is not part of the
            run. The worker stops reading it.
        again: Recordings that are to be read from their beginning under a new lease, because the site began anew.
        begin: By announced camera, its first track id and first frame number.
        time: The site's clock in UTC seconds, from which a worker learns how wrong its own is.
    """

    next: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    again: tuple[str, ...] = ()
    begin: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    time: float = 0.0

    def to_bytes(self) -> bytes:
        """This answer with a checksum."""
        values = {"next": dict(self.next), "refused": dict(self.refused), "again": list(self.again)}
        return _packed({**values, "begin": dict(self.begin), "time": self.time}, b"")

    @classmethod
    def from_bytes(cls, data: bytes) -> Ack:
        """The answer of which ``to_bytes`` made these bytes.

        Raises:
            DataError: They are something else, of another version or damaged.
        """
        values, _ = _unpacked(data)
        try:
            expected = {str(camera): int(number) for camera, number in values["next"].items()}
            refused = {str(camera): str(reason) for camera, reason in values["refused"].items()}
            begin = {str(camera): (int(track), int(frame)) for camera, (track, frame) in values["begin"].items()}
            return cls(expected, refused, tuple(map(str, values["again"])), begin, float(values["time"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"an answer to a batch is damaged: {error}") from None


def _packed(values: Mapping[str, Any], rest: bytes) -> bytes:
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
    data = text + rest
    if len(data) + _HEAD.size > MOST_BATCH_BYTES:
        raise DataError(f"a batch of track updates has {len(data)} bytes, more than {MOST_BATCH_BYTES}: send fewer")
    return _HEAD.pack(_KIND, _VERSION, zlib.crc32(data), len(text)) + data


def _unpacked(data: bytes) -> tuple[dict[str, Any], bytes]:
    if len(data) > MOST_BATCH_BYTES:
        raise DataError(f"a batch of track updates has {len(data)} bytes, more than {MOST_BATCH_BYTES}")
    if len(data) < _HEAD.size or data[:4] != _KIND:
        raise DataError(f"these are not bytes of kind {_KIND.decode()}: they begin with {data[:4]!r}")
    _, version, checksum, length = _HEAD.unpack_from(data)
    if version != _VERSION:
        raise DataError(
            f"a batch of track updates of version {version}, expected {_VERSION}: run the same streamreid everywhere"
        )
    body = data[_HEAD.size :]
    if zlib.crc32(body) != checksum or length > len(body):
        raise DataError("a batch of track updates is damaged: its checksum is wrong")
    try:
        values = json.loads(body[:length])
    except ValueError as error:
        raise DataError(f"a batch of track updates is damaged: {error}") from None
    if not isinstance(values, dict):
        raise DataError("a batch of track updates is damaged: its header is no mapping")
    return values, body[length:]
