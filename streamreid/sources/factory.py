"""From a camera's address to the source that reads it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.secrets import redact
from streamreid.sources.base import FrameSource
from streamreid.sources.boxes import BoxesSource
from streamreid.sources.clock import Clock
from streamreid.sources.images import ImageFolderSource
from streamreid.sources.paced import PacedSource
from streamreid.sources.stream import StreamSource
from streamreid.sources.video import VideoFileSource
from streamreid.sources.webcam import WebcamSource

__all__ = ["is_box_file", "is_live", "open_source"]

_FILE_SUFFIXES = frozenset(
    [".264", ".265", ".avi", ".h264", ".h265", ".hevc", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"]
)


def open_source(camera: CameraConfig, *, clock: Clock | None = None) -> FrameSource:
    """Open a camera: a folder of images, a webcam number, a stream's address, a text file of boxes, or a video file (also by http).

    Streams and webcams are opened later, when they are read, and again when they are lost (unless ``reconnect`` is 0).

    Args:
        camera: The camera.
        clock: Tells the arrival time of live pictures; default the machine's clock.

    Raises:
        SourceError: It cannot be opened. The other cameras can still be read.
    """
    try:
        source = _open(camera, clock)
    except (OSError, ValueError) as error:  # a name that is too long, a path through a file, a network folder that is gone
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SourceError(f"camera '{camera.name}': {redact(camera.uri)}: cannot be opened ({reason}). Check the path or address") from None
    return PacedSource(camera, source, clock=clock) if camera.live and not source.live else source


def is_live(camera: CameraConfig) -> bool:
    """Whether a camera's frames are lost when nobody takes them: a stream, a webcam, or a file played as one. Opens nothing."""
    return camera.live or camera.uri.isdigit() or ("://" in camera.uri and not _is_file(camera.uri))


def is_box_file(camera: CameraConfig) -> bool:
    """Whether a camera is a text file of boxes (MOT text) instead of pictures. Opens nothing."""
    return "://" not in camera.uri and Path(camera.uri).suffix.lower() == ".txt" and not Path(camera.uri).is_dir()


def _is_file(uri: str) -> bool:
    parts = urlsplit(uri)
    scheme = parts.scheme.lower()
    return scheme == "file" or (scheme in ("http", "https") and PurePosixPath(parts.path).suffix.lower() in _FILE_SUFFIXES)


def _open(camera: CameraConfig, clock: Clock | None) -> FrameSource:
    uri = camera.uri
    if "://" in uri:
        parts = urlsplit(uri)
        if parts.scheme.lower() == "file":
            return _open(camera.model_copy(update={"uri": unquote(parts.path)}), clock)
        return VideoFileSource(camera) if _is_file(uri) else StreamSource(camera, clock=clock)
    if Path(uri).is_dir():
        return ImageFolderSource(camera)
    if uri.isdigit():
        return WebcamSource(camera, clock=clock)
    if is_box_file(camera):
        return BoxesSource(camera)
    return VideoFileSource(camera)
