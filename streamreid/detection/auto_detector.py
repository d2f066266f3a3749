"""Which file ``detector: {model: auto}`` stands for: YOLOX-nano, which is Apache-2.0, or, where it cannot be fetched,
YOLO11n, which is AGPL-3.0 and comes from the package index. A detector that is named is never replaced."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from streamreid import weights
from streamreid.errors import WeightsUnavailableError

__all__ = ["ALTERNATIVE", "AUTO", "PREFERRED", "auto_detector", "find_auto_detector"]

log = logging.getLogger(__name__)

AUTO = "auto"
"""What ``detector.model`` says to leave the choice open."""

PREFERRED = "yolox-nano"
"""Named weights that ``auto`` takes."""

ALTERNATIVE = "yolo11n"
"""Named weights that it takes where the others cannot be fetched."""

_TRY_AGAIN = 3600.0
"""Seconds after a failed fetch until the next one, where the alternative is on this machine: behind a firewall that
drops packets, every start would wait in vain."""


def auto_detector(fetch: Callable[[str], Path] = weights.get) -> Path:
    """The file that ``auto`` stands for, fetched if needed: the preferred one, else its alternative, with a warning
    that names both licences.

    Args:
        fetch: Brings named weights.

    Raises:
        WeightsError: A file on this machine has a wrong checksum, or neither can be fetched.
    """
    path = weights.find(PREFERRED)
    if path is not None:
        return path
    alternative, failed = weights.find(ALTERNATIVE), weights.cache_folder() / f".{PREFERRED}.failed"
    try:
        if alternative is not None and _age(failed) < _TRY_AGAIN:
            raise WeightsUnavailableError("the last try failed less than an hour ago")
        path = fetch(PREFERRED)
    except WeightsUnavailableError as error:
        reason = str(error)
    else:
        with suppress(OSError):
            failed.unlink(missing_ok=True)
        return path
    if _age(failed) >= _TRY_AGAIN and not weights.offline_only():
        with suppress(OSError):
            failed.parent.mkdir(parents=True, exist_ok=True)
            failed.touch()
            os.utime(failed)
    try:
        path = alternative or fetch(ALTERNATIVE)
    except WeightsUnavailableError as error:
        raise WeightsUnavailableError(f"{reason}\nNor is its alternative there: {error}") from None
    log.warning(
        "detector: %s (%s) cannot be fetched here (%s), so %s is used, which is %s. To choose: --detector %s or "
        "--detector %s",
        PREFERRED,
        weights.entries(PREFERRED)[0].licence,
        _short(reason),
        ALTERNATIVE,
        weights.entries(ALTERNATIVE)[0].licence,
        PREFERRED,
        ALTERNATIVE,
    )
    return path


def find_auto_detector() -> Path | None:
    """What `auto_detector` would take of the files on this machine, without fetching; None if neither is there.

    Raises:
        WeightsError: A file has a wrong checksum.
    """
    return weights.find(PREFERRED) or weights.find(ALTERNATIVE)


def _age(path: Path) -> float:
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return float("inf")


def _short(reason: str) -> str:
    """The reason without the list of what to put where."""
    return reason.splitlines()[0].partition("cannot be fetched: ")[2] or reason.splitlines()[0]
