"""What the names of a folder's pictures say about time: frame numbers, dates, or nothing."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone

__all__ = ["frame_numbers", "name_times", "usual_step"]

_DIGITS = re.compile(r"(\d+)")
_DATE = re.compile(
    r"(?<!\d)((?:19|20)\d{2})[-_.]?(\d{2})[-_.]?(\d{2})[T_ "
    r".-]{0,2}(\d{2})[-_.:h]?(\d{2})[-_.:m]?(\d{2})(?:[-_.,s]?(\d{1,9}))?(?!\d)"
)
_EPOCH = re.compile(r"(?<!\d)(?:(\d{10})\.(\d{1,9})|(\d{13})|(\d{16})|(\d{19}))(?!\d)")
"""Seconds since 1970 with decimals (TUM RGB-D), or whole milliseconds, microseconds or nanoseconds (ROS, EuRoC)."""

_EPOCH_YEARS = (946_684_800, 4_102_444_800)
"""Seconds since 1970 of the years 2000 and 2100: other numbers of that many digits are no dates."""

_LARGEST = 10**9
"""A year at 30 frames per second; larger numbers are dates or names of another kind."""

_STEMS = re.compile(r"\.[^.]*$")


def frame_numbers(names: Sequence[str]) -> list[int] | None:
    """The numbers by which names differ (``img_0005.jpg``: 5), in the given order; None unless they differ in one
    number only, and increase.

    Args:
        names: File names in their natural order.
    """
    parts = [_DIGITS.split(_STEMS.sub("", name.casefold())) for name in names]
    if len({tuple(p[::2]) for p in parts}) != 1 or len(parts[0]) < 3:
        return None
    columns = [[int(p[k]) for p in parts] for k in range(1, len(parts[0]), 2)]
    varying = [column for column in columns if len(set(column)) > 1] or columns[-1:]
    numbers = varying[0]
    if len(varying) != 1 or numbers[-1] > _LARGEST or any(a >= b for a, b in itertools.pairwise(numbers)):
        return None
    return numbers


def usual_step(numbers: Sequence[int]) -> int:
    """The most frequent difference of neighbours (the smaller of two): 5 for 0, 5, 10, 20."""
    if len(numbers) < 2:
        return 1
    steps = Counter(b - a for a, b in itertools.pairwise(numbers))
    return min(steps, key=lambda step: (-steps[step], step))


def name_times(names: Sequence[str]) -> list[float] | None:
    """Seconds since 1970 that names tell, in the given order; None unless all of them do, and increase.

    Args:
        names: File names in their natural order: ``2026-11-29T10-00-00.250.jpg``, ``cam_20261129_100000_250.jpg``,
            ``1764410400.250000.png``, ``1764410400250.jpg``.
    """
    times = [_time(_STEMS.sub("", name)) for name in names]
    known = [time for time in times if time is not None]
    if len(known) < len(times) or len(times) < 2 or any(a >= b for a, b in itertools.pairwise(known)):
        return None
    return known


def _time(stem: str) -> float | None:
    epoch = _EPOCH.search(stem)
    if epoch is not None:
        whole, decimals, *scaled = epoch.groups()
        seconds = (
            float(f"{whole}.{decimals}")
            if whole
            else next(int(v) / 1000 ** (k + 1) for k, v in enumerate(scaled) if v is not None)
        )
        if _EPOCH_YEARS[0] <= seconds <= _EPOCH_YEARS[1]:
            return seconds
    date = _DATE.search(stem)
    if date is None:
        return None
    try:
        moment = datetime(*(int(v) for v in date.groups()[:6]), tzinfo=timezone.utc)  # type: ignore[misc,arg-type]
    except ValueError:
        return None
    return moment.timestamp() + float(f"0.{date[7] or 0}")
