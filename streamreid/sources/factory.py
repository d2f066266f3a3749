"""From a camera's address to the source that reads it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.media import webcam_number
from streamreid.secrets import redact
from streamreid.sources.base import FrameSource
from streamreid.sources.clock import Clock
from streamreid.sources.detection_file import BoxesSource
from streamreid.sources.images import ImageFolderSource
from streamreid.sources.kinds import ask, is_box_file, is_live, is_remote, with_kind
from streamreid.sources.paced_file import PacedSource
from streamreid.sources.protocols import missing_protocol
from streamreid.sources.stream import StreamSource
from streamreid.sources.video import VideoFileSource
from streamreid.sources.webcam import WebcamSource

__all__ = ["open_source"]


def open_source(camera: CameraConfig, *, clock: Clock | None = None) -> FrameSource:
    """Open a camera: a folder of images, a webcam number, a stream's address, a text file of boxes, or a video file
    (also by http).

    Whether an address is a recording or a camera is told by `streamreid.sources.kinds`. Streams and webcams are opened
    later, when they are read, and again when they are lost (unless ``reconnect`` is 0).

    Args:
        camera: The camera.
        clock: Tells the arrival time of live pictures; default the machine's clock.

    Raises:
        SourceError: It cannot be opened. The other cameras can still be read.
    """
    camera = with_kind(camera)
    try:
        source = _remote(camera, clock) if is_remote(camera.uri) else _local(camera, clock)
    except (
        OSError,
        ValueError,
    ) as error:  # a name that is too long, a path through a file, a network folder that is gone
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SourceError(
            f"camera '{camera.name}': {redact(camera.uri)}: cannot be opened ({reason}). Check the path or address"
        ) from None
    return PacedSource(camera, source, clock=clock) if camera.live and not source.live else source


def _remote(camera: CameraConfig, clock: Clock | None) -> FrameSource:
    missing = missing_protocol(camera.uri)
    if missing:
        raise SourceError(f"camera '{camera.name}': {redact(camera.uri)}: {missing}")
    # A stream to be played as a camera is one already; a recording is paced.
    paced = camera.live and camera.uri.lower().startswith("http") and ask(camera) == "recording"
    return VideoFileSource(camera) if paced or not is_live(camera) else StreamSource(camera, clock=clock)


def _local(camera: CameraConfig, clock: Clock | None) -> FrameSource:
    uri = camera.uri
    if "://" in uri:
        return _local(camera.model_copy(update={"uri": unquote(urlsplit(uri).path)}), clock)
    if Path(uri).is_dir():
        return ImageFolderSource(camera)
    if webcam_number(uri) is not None:
        return WebcamSource(camera, clock=clock)
    if is_box_file(camera):
        return BoxesSource(camera)
    return VideoFileSource(camera)
