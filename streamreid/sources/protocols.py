"""Which protocols the FFmpeg inside PyAV speaks: srt:// and rist:// need libraries that it is mostly built without."""

from __future__ import annotations

from functools import cache

import av
from av.error import FFmpegError, ProtocolNotFoundError

__all__ = ["missing_protocol"]

_OPTIONAL = frozenset({"srt", "rist"})
"""Schemes that depend on the build. The others belong to every FFmpeg."""

_PROBE_SECONDS = 0.2
"""Where the protocol is there, nobody answers on this machine's port 1; where it is not, FFmpeg says so at once."""


def missing_protocol(uri: str) -> str:
    """What is missing to play an address, with the remedy; empty if nothing is missing.

    Args:
        uri: As a camera has it.
    """
    scheme, colon, _ = uri.partition("://")
    scheme = scheme.lower()
    if not colon or scheme not in _OPTIONAL or _speaks(scheme):
        return ""
    library = {"srt": "libsrt", "rist": "librist"}[scheme]
    version = ".".join(map(str, av.library_versions.get("libavformat", ())))
    return (
        f"this PyAV ({av.__version__}, libavformat {version}) is built without {library} and cannot play {scheme}://. "
        f"Have a media server (MediaMTX, for example) pass the stream on as rtsp://, or install PyAV built against an "
        f"FFmpeg with {library} (pip install --no-binary av av)"
    )


@cache
def _speaks(scheme: str) -> bool:
    try:
        av.open(f"{scheme}://127.0.0.1:1", timeout=_PROBE_SECONDS).close()
    except ProtocolNotFoundError:
        return False
    except (FFmpegError, OSError, ValueError):
        return True
    return True
