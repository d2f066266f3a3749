"""Whether what a camera names on this machine is there and may be read: looked at, never opened."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from streamreid.config import CameraConfig
from streamreid.media import MOST_DEVICES, PICTURE_SUFFIXES, is_picture, webcam_number
from streamreid.sources.kinds import is_remote

__all__ = ["NO_PICTURES", "file_fault", "picture_folder", "source_fault"]

_HOST = re.compile(
    r"(?:\d{1,3}(?:\.\d{1,3}){3}|localhost)(?::\d+)?(?:/.*)?|(?:[\w-]{1,63}\.){1,8}[a-z]{2,20}(?::\d+)?/.*",
    re.IGNORECASE,
)
"""What looks like a host, with or without a port and a path."""

NO_PICTURES = f"contains no pictures ({', '.join(sorted(PICTURE_SUFFIXES))}). Name the folder that has them"
"""What is wrong with a folder that is no camera."""

_PATTERN = re.compile(r"[*?\[]")


def source_fault(camera: CameraConfig) -> str:
    """Why a camera's file or folder cannot be used, and what to do; empty where it can be, and for addresses and
    webcams, which are not asked."""
    uri = camera.uri
    if is_remote(uri) or webcam_number(uri) is not None:
        return ""
    path = Path(unquote(urlsplit(uri).path) if "://" in uri else uri)
    fault = file_fault(path)
    if not fault and path.is_dir() and not any(is_picture(p) for p in picture_folder(path).iterdir()):
        return NO_PICTURES
    return fault


def picture_folder(folder: Path) -> Path:
    """Where the pictures of a folder lie: in a MOTChallenge sequence in its ``img1``."""
    return folder / "img1" if (folder / "img1").is_dir() else folder


def file_fault(path: Path) -> str:
    """Why a file or folder cannot be read, and what to do; empty where it can be.

    Raises:
        OSError: A path through a file, a name that is too long, a network folder that is gone.
    """
    if not path.exists():
        return f"no such file. {_remedy(str(path))}"
    if path.is_file() and path.stat().st_size == 0:
        return "the file is empty (0 bytes). Copy or record it again"
    if not os.access(path, os.R_OK):
        return "may not be read. Check its permissions"
    return ""


def _remedy(uri: str) -> str:
    """What was probably meant by something that is no file."""
    name = Path(uri).name
    if name == "-":
        return "To read what another program writes, name /dev/stdin instead of '-', or a pipe made with mkfifo"
    if not name.strip():
        return "The name is blank"
    for host in (uri, name):
        if _HOST.fullmatch(host):
            return f"If it is a camera's address, begin it with its protocol: rtsp://{host}"
    if name.isdecimal() and int(name) >= MOST_DEVICES:
        return f"Numbers below {MOST_DEVICES} are webcams, others files or folders"
    if _PATTERN.search(name):
        return "Patterns are filled in by the shell where they match: check the folder, or name the files one by one"
    return "Check the path (in a YAML file it starts at the folder of that file)"
