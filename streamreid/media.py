"""What counts as a video, a picture or a webcam by its name, and how a file is named to FFmpeg. Every room asks
here."""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "MOST_DEVICES",
    "PICTURE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "ffmpeg_name",
    "is_picture",
    "is_video",
    "webcam_number",
]

VIDEO_SUFFIXES = frozenset(
    [
        *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".insv"),
        *(
            ".mkv",
            ".webm",
            ".avi",
            ".divx",
            ".wmv",
            ".asf",
            ".flv",
            ".ogv",
            ".ogm",
            ".rm",
            ".rmvb",
            ".nut",
            ".ivf",
            ".y4m",
        ),
        *(".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".mpv", ".vob", ".mod", ".tod", ".ps"),
        *(".ts", ".mts", ".m2ts", ".m2t", ".tp", ".trp"),
        *(".mxf", ".gxf", ".dv", ".dif", ".wtv", ".dav"),
        *(
            ".h264",
            ".264",
            ".avc",
            ".h265",
            ".265",
            ".hevc",
            ".h266",
            ".266",
            ".vvc",
            ".av1",
            ".obu",
            ".mjpeg",
            ".mjpg",
            ".m4e",
        ),
    ]
)
"""Endings of videos that FFmpeg reads, in lower case: files (.dav is Dahua's), discs, camcorders, broadcast, raw
streams."""

MOST_DEVICES = 1000
"""Numbers from here on are names of files and folders (20261129), not of webcams."""

PICTURE_SUFFIXES = frozenset([".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"])
"""Endings of pictures that OpenCV reads, in lower case."""


def is_video(path: Path) -> bool:
    """Whether a path is a file with a video's ending, in any case (``.MTS``)."""
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()


def is_picture(path: Path) -> bool:
    """Whether a file's ending is that of a picture, in any case. Names with a leading dot are thumbnails and resource
    forks of other systems."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def webcam_number(uri: str) -> int | None:
    """The number of a webcam; None if ``uri`` is no number below 1000, or if there is a file or folder of that name
    (0007), which counts first."""
    if not (uri.isascii() and uri.isdigit()) or int(uri) >= MOST_DEVICES or Path(uri).exists():
        return None
    return int(uri)


def ffmpeg_name(path: str | Path) -> str:
    """A file for FFmpeg, which takes what stands before a colon (``2026-11-29T10:00:00.mp4``) for a protocol unless one
    is given."""
    return f"file:{path}"
