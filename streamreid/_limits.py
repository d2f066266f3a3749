"""Limits of the operating system on a process that runs for months."""

from __future__ import annotations

import logging

__all__ = ["OPEN_FILES", "raise_open_files"]

log = logging.getLogger(__name__)

OPEN_FILES = 8192
"""Files and connections at the same time: 256 connections by HTTP, about ten per camera. Not all that is allowed,
because libraries that wait with select() can only use the first 1024, and lower numbers are given first."""


def raise_open_files(wanted: int = OPEN_FILES) -> int:
    """Raise the process's soft limit of open files, up to its hard limit; it is never lowered.

    Args:
        wanted: How many.

    Returns:
        The limit that counts now, 0 where there is none (Windows).
    """
    try:
        import resource
    except ImportError:
        return 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft if soft != resource.RLIM_INFINITY else wanted
    new = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(new, soft), hard))
    except (OSError, ValueError) as error:
        log.warning("the limit of open files stays at %d: %s", soft, error)
        return soft
    if new < 1024:
        log.warning("only %d files may be open at the same time; set a higher limit (ulimit -n, LimitNOFILE)", new)
    return max(new, soft)
