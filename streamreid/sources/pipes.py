"""Named pipes and devices as videos: they are opened without waiting for whoever writes for longer than is allowed."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamreid.errors import SourceError

__all__ = ["is_pipe", "waiting_pipe"]


def is_pipe(path: Path) -> bool:
    """Whether a path is a named pipe or a character device, which can keep whoever opens or reads it waiting for
    ever."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


@contextmanager
def waiting_pipe(path: Path, where: str, seconds: float) -> Iterator[str]:
    """A pipe in which data waits, as FFmpeg names it; reading never blocks, so that FFmpeg's own time limits hold.

    Args:
        path: Of the pipe.
        where: Camera and path, for messages.
        seconds: How long to wait for the first data.

    Raises:
        SourceError: It cannot be opened, or nothing comes in time.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise SourceError(f"{where}: cannot be opened ({error.strerror}). Check the path") from None
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not any(event & select.POLLIN for _, event in poll.poll(1000 * seconds)):
            raise SourceError(
                f"{where}: is a pipe or a device, and nothing was written into it for {seconds:g} s (connect_timeout). "
                "Start what writes into it first"
            )
        yield f"pipe:{descriptor}"  # FFmpeg has a descriptor of its own from then on
    finally:
        os.close(descriptor)
