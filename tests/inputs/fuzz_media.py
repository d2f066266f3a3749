"""Valid video in great variety, made at random, and read as ffprobe says.

``python -m tests.inputs.fuzz_media --count 300 --seed 7`` makes 300 files, one after the other, reads each, and prints
those whose frame count, times or sizes differ. Without ``--seed`` it takes a new one, and prints it.
`test_media_variety.py` does a few of a fixed seed.
"""

from __future__ import annotations

import argparse
import math
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.sources import open_source

if __package__:
    from tests.inputs.media import ffmpeg, ffprobe
else:  # as a script
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.inputs.media import ffmpeg, ffprobe

__all__ = ["Media", "check", "draw", "make"]

_CODECS = {
    "h264": ["libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"],
    "hevc": ["libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"],
    "mpeg4": ["mpeg4", "-q:v", "5"],
    "mpeg2": ["mpeg2video", "-q:v", "5"],
    "mjpeg": ["mjpeg", "-q:v", "5", "-pix_fmt", "yuvj420p"],
    "ffv1": ["ffv1"],
    "vp9": ["libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"],
    "vp8": ["libvpx", "-deadline", "realtime", "-cpu-used", "8"],
    "prores": ["prores_ks"],
    "wmv2": ["wmv2", "-q:v", "5"],
    "flv1": ["flv", "-q:v", "5"],
    "theora": ["libtheora"],
}
_CONTAINERS = {
    "mp4": ("h264", "hevc", "mpeg4", "mpeg2", "vp9"),
    "mov": ("h264", "hevc", "mpeg4", "mjpeg", "prores"),
    "mkv": ("h264", "hevc", "mpeg4", "mpeg2", "mjpeg", "ffv1", "vp8", "vp9"),
    "webm": ("vp8", "vp9"),
    "avi": ("h264", "mpeg4", "mjpeg", "ffv1"),
    "ts": ("h264", "hevc", "mpeg2"),
    "m2ts": ("h264", "hevc", "mpeg2"),
    "mpg": ("mpeg2",),
    "flv": ("h264", "flv1"),
    "wmv": ("wmv2",),
    "ogv": ("theora",),
    "264": ("h264",),
    "265": ("hevc",),
    "m2v": ("mpeg2",),
}
_REORDERED = {"h264", "hevc", "mpeg4", "mpeg2"}
_INTERLACED = {"h264", "mpeg2"}
_MPEG2_RATES = ("25", "30000/1001", "24", "30", "50", "60")
_RATES = ("5", "8", "10", "12", "15", "20", "30000/1001", "25", "30", "50", "60")
_ASPECTS = ("1/1", "1/1", "1/1", "12/11", "2/1", "4/3", "8/9", "10/11")
_TICK = {"mkv": 1e-3, "webm": 1e-3, "flv": 1e-3, "wmv": 1e-3}
_RAW = {"264", "265", "m2v"}
_COUNTED = {"avi", *_RAW}
"""Without presentation times: the right ones are counted by the rate."""


@dataclass(frozen=True)
class Media:
    """One file: container and codec, pictures per second, B frames in a row, seconds at which its stamps begin,
    degrees, pixel aspect, ..."""

    container: str
    codec: str
    rate: str
    frames: int
    size: tuple[int, int]
    b_frames: int = 0
    start: float = 0.0
    rotation: int = 0
    aspect: str = "1/1"
    interlaced: bool = False
    uneven: bool = False
    sound: bool = False


def draw(dice: random.Random) -> Media:
    """A combination that its container and codec allow."""
    container = dice.choice(list(_CONTAINERS))
    codec = dice.choice(_CONTAINERS[container])
    rate = dice.choice(_MPEG2_RATES if codec == "mpeg2" else _RATES)
    interlaced = codec in _INTERLACED and container not in ("flv", "avi", *_RAW) and dice.random() < 0.25
    timed = container not in (*_COUNTED, "ogv")
    b_frames = dice.choice((0, 1, 2, 3)) if codec in _REORDERED else 0
    return Media(
        container,
        codec,
        rate,
        dice.randint(3, 24),
        (16 * dice.randint(3, 10), 16 * dice.randint(2, 8)),
        min(b_frames, 2) if codec in ("mpeg2", "mpeg4") else b_frames,
        dice.choice((0.0, 0.0, 0.04, 1.4, 3600.0, 95_442.7)) if timed else 0.0,
        dice.choice((0, 0, 90, 180, 270)) if container in ("mp4", "mov") else 0,
        dice.choice(_ASPECTS)
        if codec not in ("wmv2", "flv1", "vp8", "theora", "mjpeg") and container not in ("flv", "avi")
        else "1/1",
        interlaced,
        timed and not interlaced and codec != "mpeg2" and dice.random() < 0.25,
        container not in ("webm", "ogv", *_RAW) and dice.random() < 0.3,
    )


def make(media: Media, folder: Path) -> Path:
    """Write the file."""
    path = folder / f"a.{media.container}"
    plain = path.with_stem("plain") if media.rotation else path
    width, height = media.size
    filters = [f"setsar={media.aspect}"]
    if media.uneven:
        filters.insert(0, "select='not(eq(mod(n,5),3))'")
    if media.interlaced:
        filters.append("setfield=tff")
    source = f"testsrc2=s={width}x{height}:r={media.rate}"
    sound = ["-f", "lavfi", "-i", "sine"] if media.sound else []
    encode = ["-c:v", *_CODECS[media.codec], "-frames:v", media.frames]
    if media.codec in _REORDERED:
        encode += ["-bf", media.b_frames, "-g", 10]
    if media.codec == "hevc":
        encode[-4:] = ["-g", 10]
        encode[encode.index("log-level=error")] = f"log-level=error:bframes={media.b_frames}:keyint=10"
    if media.interlaced:
        encode += ["-flags", "+ildct+ilme"]
    if media.interlaced and media.codec == "h264":
        encode += ["-x264opts", "tff=1"]
    if media.sound:
        encode += [
            "-c:a",
            "wmav2"
            if media.container == "wmv"
            else "mp2"
            if media.container in ("avi", "mpg", "ts", "m2ts")
            else "aac",
        ]
        encode += ["-ar", "44100", "-t", media.frames / Fraction(media.rate) + 0.0]
    timing = ["-vsync", "vfr" if media.uneven else "passthrough"]
    offset = ["-output_ts_offset", media.start] if media.start else []
    ffmpeg("-f", "lavfi", "-i", source, *sound, "-vf", ",".join(filters), *timing, *encode, *offset, plain)
    if media.rotation:
        ffmpeg("-i", plain, "-c", "copy", "-metadata:s:v:0", f"rotate={media.rotation}", *offset, path)
    return path


def check(media: Media, path: Path) -> list[str]:
    """In which points what is read differs from what ffprobe says."""
    truth = ffprobe(path, "frame=pts_time,best_effort_timestamp_time,width,height,sample_aspect_ratio")["frames"]
    try:
        with open_source(CameraConfig(name="cam", uri=str(path))) as source:
            expected, frames = source.expected_frames, [(f.time, f.size) for f in source]
    except SourceError as error:
        return [str(error)]
    if len(frames) != len(truth):
        return [f"{len(frames)} frames instead of {len(truth)}"]
    found = []
    if media.container in ("mp4", "mov", "avi") and expected != len(frames):
        found.append(f"{expected} frames expected instead of {len(frames)}")
    right = _times(media, truth)
    times = np.array([moment for moment, _ in frames])
    worst = float(np.abs(times - right).max())
    if worst > _TICK.get(media.container, 1e-4) * 1.1:
        found.append(
            f"times are off by up to {worst:.4f} s: {np.round(times[:6], 4).tolist()} instead of "
            f"{np.round(right[:6], 4).tolist()}"
        )
    size = _shown(media, truth[0])
    if any(max(abs(w - size[0]), abs(h - size[1])) > 1 for _, (w, h) in frames):
        found.append(f"{frames[0][1]} instead of {size}")
    unsaid = [w for w in source.warnings if "deinterlaced" not in w and "square" not in w]
    return [*found, *unsaid]


def _times(media: Media, truth: list[dict[str, str]]) -> np.ndarray:
    """Seconds since the first picture."""
    if media.container in _COUNTED:
        return np.arange(len(truth)) / float(Fraction(media.rate))
    stamps = np.array(
        [float(frame.get("pts_time") or frame.get("best_effort_timestamp_time") or "nan") for frame in truth]
    )
    stamps -= stamps[0]
    # Of some pictures, as those that come while the decoder is drained, ffprobe tells no time.
    return np.where(np.isnan(stamps), np.arange(len(truth)) / float(Fraction(media.rate)), stamps)


def _shown(media: Media, frame: dict[str, str]) -> tuple[int, int]:
    """Size in square pixels, upright."""
    width, height = int(frame["width"]), int(frame["height"])
    text = frame.get("sample_aspect_ratio", "1:1").replace(":", "/")
    aspect = Fraction(text) if not text.startswith("0/") and text != "N/A" else Fraction(1)
    if aspect > 1:
        width = round(width * aspect)
    elif aspect < 1:
        height = round(height / aspect)
    return (height, width) if media.rotation in (90, 270) else (width, height)


def main() -> int:
    """Make and check many; the exit code tells whether all were right."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=300, help="how many files")
    parser.add_argument("--seed", type=int, help="of the dice; default: a new one")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    dice, began, wrong = random.Random(seed), time.monotonic(), 0
    print(f"seed {seed}", flush=True)
    for number in range(options.count):
        media = draw(dice)
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = make(media, Path(folder))
            except subprocess.CalledProcessError as error:
                print(f"{number} {media}: ffmpeg cannot make it ({error})", flush=True)
                wrong += 1
                continue
            problems = check(media, path)
        if problems:
            wrong += 1
            print(f"{number} {media}", *(f"    {problem}" for problem in problems), sep="\n", flush=True)
    print(f"{options.count - wrong} of {options.count} are right, {math.ceil(time.monotonic() - began)} s")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
