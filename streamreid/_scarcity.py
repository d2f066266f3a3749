"""Errors that say nothing about what was done, only that the process had no descriptor, memory, thread or space left at
that moment: they may pass."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator

from streamreid.errors import StreamReIDError

__all__ = ["is_scarcity", "start_or_call"]

_NUMBERS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.ENOSPC}

_WORDS = (
    "can't start new thread",
    "bad_alloc",
    "bad allocation",
    "out of memory",
    "cannot allocate",
    "failed to allocate",
    *(os.strerror(number).lower() for number in sorted(_NUMBERS)),
)
"""Of Python, the C++ library, ONNX Runtime and OpenVINO, which have no class of error for it, and of the system, whose
words alone are left of a C++ ``system_error``."""


def is_scarcity(error: BaseException) -> bool:
    """Whether an error, or one that led to it, is a lack of descriptors, memory, threads or space."""
    return any(
        isinstance(e, MemoryError)
        or (isinstance(e, OSError) and e.errno in _NUMBERS)
        # Our own messages may quote anything; ONNX Runtime's errors are no RuntimeErrors.
        or (not isinstance(e, (StreamReIDError, OSError)) and any(word in str(e).lower() for word in _WORDS))
        for e in _chain(error)
    )


def start_or_call(thread: threading.Thread) -> None:
    """Start a thread; where there can be none, do its work here and now."""
    try:
        thread.start()
    except RuntimeError:
        thread.run()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    known: set[int] = set()
    while error is not None and id(error) not in known:
        known.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
