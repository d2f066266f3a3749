"""Small media files as other programs write them, made anew for each test, and what ffprobe says of them."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

__all__ = [
    "encode",
    "ffmpeg",
    "mpegts",
    "packet_data",
    "picture",
    "pictures_of",
    "remux",
    "steps",
    "with_stamp",
    "without_stamps",
]

SIZE = (96, 64)
TICKS = 90_000


def picture(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A picture that tells its number, modulo 28, by the brightness of its left half."""
    image = np.random.default_rng(number).integers(0, 60, (size[1], size[0], 3), np.uint8)
    image[:, : size[0] // 2] = 22 + 8 * (number % 28)
    return image


def pictures_of(images: Iterable[np.ndarray]) -> list[int]:
    """The numbers of such pictures."""
    return [round((float(np.median(i[8:-8, 8 : i.shape[1] // 2 - 8])) - 20) / 8) for i in images]


def encode(
    path: Path,
    frames: int = 40,
    *,
    codec: str = "libx264",
    fps: int = 10,
    stamps: Sequence[float] | None = None,
    size: tuple[int, int] = SIZE,
    form: str | None = None,
    tick: int | None = None,
    **options: str,
) -> Path:
    """Encode numbered pictures, ``fps`` per second or at ``stamps`` seconds; ``tick`` is the encoder's ticks per
    second."""
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate = 1_000_000
        base = Fraction(1, tick or fps)
        stream.codec_context.time_base = base
        if tick is not None:
            stream.codec_context.framerate = Fraction(tick)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number, size), format="bgr24")
            frame.pts, frame.time_base = round((number / fps if stamps is None else stamps[number]) / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def ffmpeg(*arguments: object) -> None:
    """Run ffmpeg."""
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)], check=True, timeout=60)


def remux(source: Path, target: Path, *before: object) -> Path:
    """Copy the packets into another container, as a cut without re-encoding does; ``before`` goes in front of the
    input."""
    ffmpeg(*before, "-i", source, "-c", "copy", target)
    return target


def mpegts(path: Path, at: float, frames: int = 20, fps: int = 10) -> bytes:
    """A transport stream without B frames whose first picture has the stamp ``at`` (seconds)."""
    source = encode(path.with_suffix(".mp4"), frames, fps=fps, bf="0", g="10")
    ffmpeg("-i", source, "-c", "copy", "-output_ts_offset", at, "-muxdelay", 0, "-muxpreload", 0, "-f", "mpegts", path)
    return path.read_bytes()


def packet_data(data: bytes) -> list[int]:
    """Where the video's PES packets begin in a transport stream (ISO 13818-1, 2.4.3)."""
    found = []
    for at in range(0, len(data), 188):
        start = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
        if data[at + 1] & 0x40 and data[start : start + 3] == b"\0\0\1" and 0xE0 <= data[start + 3] <= 0xEF:
            found.append(start)
    return found


def with_stamp(data: bytes, number: int, shift: float) -> bytes:
    """The same with the presentation (and decoding) stamp of one picture moved by ``shift`` seconds."""
    result = bytearray(data)
    at = packet_data(data)[number]
    both = result[at + 7] >> 6 == 3
    for field, mark in ((at + 9, 3 if both else 2), (at + 14, 1))[: 1 + both]:
        a, b, c = struct.unpack(">BHH", result[field : field + 5])
        value = ((a >> 1 & 7) << 30 | b >> 1 << 15 | c >> 1) + round(shift * TICKS)
        value %= 2**33
        words = mark << 4 | value >> 30 << 1 | 1, (value >> 15 & 0x7FFF) << 1 | 1, (value & 0x7FFF) << 1 | 1
        result[field : field + 5] = struct.pack(">BHH", *words)
    return bytes(result)


def without_stamps(data: bytes) -> bytes:
    """The same with stamps on every second picture only, which ISO 13818-1 allows."""
    result = bytearray(data)
    for at in packet_data(data)[1::2]:
        length = result[at + 8]
        result[at + 7] &= 0x3F
        result[at + 9 : at + 9 + length] = b"\xff" * length
    return bytes(result)


def steps(times: Iterable[float]) -> np.ndarray:
    """Distances of times."""
    return np.diff(np.fromiter(times, float))


def ffprobe(path: Path, entries: str) -> dict[str, list[dict[str, str]]]:
    """What ffprobe says of the first video."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", entries, "-of", "json", str(path)]
    result = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    found: dict[str, list[dict[str, str]]] = json.loads(result.stdout)
    return found
