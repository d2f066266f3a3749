"""What a camera's settings must be to be usable, beyond their types: said when they are read, wherever they come
from."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["FARTHEST_PIXEL", "LATEST", "LONGEST_WAIT", "MOST_FRAMES", "checked_uri", "checked_wait"]

SCHEMES = (
    *(
        "rtsp",
        "rtsps",
        "satip",
        "http",
        "https",
        "rtmp",
        "rtmps",
        "rtmpt",
        "rtmpts",
        "rtp",
        "srtp",
        "udp",
        "tcp",
        "tls",
        "srt",
        "rist",
    ),
    *("mmsh", "mmst", "ftp", "file"),
)
"""Of addresses that can be played. FFmpeg knows more, which read files, descriptors or other addresses of this machine:
concat, subfile, pipe, unix, ..."""

MOST_CHARACTERS = 4096
"""Of an address or a path: the longest that Linux opens."""

LONGEST_FILE_NAME = 255
"""Bytes of one name on nearly every file system."""

LONGEST_WAIT = 900.0
"""Seconds that may be waited for a camera. Whoever writes 1000 or more means milliseconds."""

LATEST = 4_102_444_800.0
"""Seconds from 1970 to 2100. Whatever is later is meant in milliseconds."""

MOST_FRAMES = 2**31 - 1
"""The largest frame number or count that a setting may name: what a 32-bit signed field of MOT text readers holds."""

FARTHEST_PIXEL = 100_000
"""Pixels; no camera has as many in a row, so a coordinate beyond is a mistake of unit."""


def checked_uri(uri: str) -> str:
    """The address, path or number of a camera, as it is.

    Raises:
        ValueError: Nothing could be opened there, whatever is there. The message does not hold the address.
    """
    if len(uri) > MOST_CHARACTERS:
        raise ValueError(f"an address or path has at most {MOST_CHARACTERS} characters, got {len(uri)}")
    if any(ord(c) < 32 or ord(c) == 127 for c in uri):
        raise ValueError(
            "an address or path holds no control characters; was a line break or a zero byte copied with it?"
        )
    if uri.isdecimal() and len(uri) > LONGEST_FILE_NAME:
        raise ValueError(
            f"a number is a webcam's, or the name of a file or folder, which has at most {LONGEST_FILE_NAME} characters"
        )
    if "://" not in uri:
        return uri
    scheme = uri.partition("://")[0].lower()
    if scheme not in SCHEMES:
        raise ValueError(
            f"'{scheme[:40]}://' cannot be played; what can: {', '.join(s + '://' for s in SCHEMES)}, paths and "
            "webcam numbers"
        )
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise ValueError("not an address; write it as rtsp://user:password@host:port/path") from None
    if not parts.netloc and scheme != "file":
        raise ValueError(f"the address names no host; write it as {scheme}://user:password@host:port/path")
    return uri


def checked_wait(seconds: float) -> float:
    """A time to wait for a camera, as it is.

    Raises:
        ValueError: It is meant in milliseconds.
    """
    if seconds > LONGEST_WAIT:
        raise ValueError(f"seconds, and at most {LONGEST_WAIT:g}; for milliseconds write {seconds / 1000:g}")
    return seconds
