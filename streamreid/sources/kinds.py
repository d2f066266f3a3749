"""What kind of source an address is: a recording, which has an end and is read whole, or a camera, whose frames are
lost when nobody takes them.

This is the one place that decides. ``live: true | false`` of the camera counts first. Files and folders are recordings,
webcams and rtsp://, rtmp:// and udp:// addresses are cameras. An http(s):// address may be either, and its ending says
nothing: it is opened, and what has a length, or is a playlist that ends, is a recording.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from time import monotonic
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.media import VIDEO_SUFFIXES, webcam_number

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = [
    "Kind",
    "ask",
    "ended_recording",
    "has_end",
    "is_box_file",
    "is_live",
    "is_remote",
    "with_kind",
    "with_kinds",
]

Kind = Literal["recording", "camera"]

_PICTURES = frozenset({"image2", "image2pipe", "jpeg_pipe", "mpjpeg", "png_pipe", "webp_pipe"})
"""Formats of single pictures: a snapshot's address gives the newest one each time it is asked, a multipart answer goes
on without end."""

_PLAYLISTS = frozenset({"dash", "hls"})

_REMEMBERED = 60.0
"""Seconds for which an answer counts: cameras allow few connections, and several parts of a start ask."""

_AT_ONCE = 32
"""Cameras that are opened side by side to see what they are."""

_answers: dict[str, tuple[float, Kind | None]] = {}
_lock = threading.Lock()


def is_live(camera: CameraConfig) -> bool:
    """Whether a camera's frames are lost when nobody takes them, by its settings and address. Opens nothing: an http(s)
    address counts as a camera until `with_kind` has seen what it is."""
    if camera.live is not None:
        return camera.live
    return is_remote(camera.uri) or webcam_number(camera.uri) is not None


def is_box_file(camera: CameraConfig) -> bool:
    """Whether a camera is a text file of boxes (MOT text) instead of pictures. Opens nothing."""
    return not is_remote(camera.uri) and Path(camera.uri).suffix.lower() == ".txt" and not Path(camera.uri).is_dir()


def is_remote(uri: str) -> bool:
    """Whether an address leads over a network."""
    return "://" in uri and not uri.lower().startswith("file://")


def with_kind(camera: CameraConfig) -> CameraConfig:
    """The camera with ``live: false`` if its http(s) address is a recording; opens it if need be. Others are returned
    as they are."""
    if camera.live is not None or not _is_http(camera.uri):
        return camera
    kind = ask(camera)
    if kind is None and PurePosixPath(urlsplit(camera.uri).path).suffix.lower() in VIDEO_SUFFIXES:  # the only hint
        # A camera that is not there is waited for; a file that is not there is a mistake, to be said now.
        kind = "recording"
    return camera.model_copy(update={"live": False}) if kind == "recording" else camera


def with_kinds(cameras: Iterable[CameraConfig]) -> tuple[CameraConfig, ...]:
    """The same for many cameras, at the same time."""
    cameras = tuple(cameras)
    if not any(c.live is None and _is_http(c.uri) for c in cameras):
        return cameras
    with ThreadPoolExecutor(min(len(cameras), _AT_ONCE), thread_name_prefix="kind") as pool:
        return tuple(pool.map(with_kind, cameras))


def ask(camera: CameraConfig) -> Kind | None:
    """Open an address and see what it is; None if it cannot be opened. An address is asked once a minute at most."""
    with _lock:
        asked, kind = _answers.get(camera.uri, (float("-inf"), None))
    if monotonic() - asked <= _REMEMBERED:
        return kind
    from streamreid.sources._av import HTTP_OPTIONS, open_container  # FFmpeg: only an address has to be opened

    try:
        container, _ = open_container(
            camera.uri, camera.name, options=HTTP_OPTIONS, timeout=(camera.connect_timeout, camera.timeout), sized=False
        )
    except SourceError:
        kind = None
    else:
        kind = "recording" if has_end(container) else "camera"
        container.close()
    with _lock:
        _answers[camera.uri] = monotonic(), kind
    return kind


def has_end(container: InputContainer) -> bool:
    """Whether the end of the data is expected: it has a duration (of HLS only a playlist with an end has), or an HTTP
    answer of known length."""
    if container.format.name == "rtsp" or container.format.name in _PICTURES:
        return False
    # The size of a playlist is that of its text.
    return bool(container.duration) or (container.format.name not in _PLAYLISTS and (container.size or 0) > 0)


def ended_recording(camera: CameraConfig, dropped: int | None = None) -> str:
    """What to say when a camera came to an end as only a recording does; '' where its address is none of HTTP.

    Args:
        camera: It was read as a camera.
        dropped: Frames that were left out, if known.
    """
    if not _is_http(camera.uri):
        return ""
    left_out = "frames are left out" if dropped is None else f"{dropped} of its frames were left out"
    return (
        "its address is that of a recording, which has come to its end, but it was read as a camera: "
        f"{left_out}; download it and follow the file, or set live: false, to have them all"
    )


def _is_http(uri: str) -> bool:
    return uri.lower().startswith(("http://", "https://"))
