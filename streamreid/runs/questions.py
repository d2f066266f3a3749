"""What people ask a run for, as they write it: places and times."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timezone

from streamreid.errors import ConfigError
from streamreid.places import PlaceLog, camera_place
from streamreid.places.records import EARLIEST_DATE

__all__ = ["asked_places", "moment"]

_DAY = 86_400.0
"""Seconds; 24:00 is the end of a day."""

_CLOCK = re.compile(r"(\d{1,3}):(\d{2})(?::(\d{2}(?:\.\d+)?))?")


def asked_places(log: PlaceLog, asked: Sequence[str]) -> tuple[list[str] | None, dict[str, list[str]]]:
    """Places and groups of places, as `streamreid.places.count_people` takes them.

    Args:
        log: Of the run.
        asked: Names of zones and cameras; several in one text, separated by commas, are one place.

    Returns:
        Places, None for all; members of each group by the name under which it is counted.

    Raises:
        ConfigError: A text names no place.
    """
    if not asked:
        return None, {}
    names: list[str] = []
    groups: dict[str, list[str]] = {}
    for text in asked:
        said = [name.strip() for name in text.split(",") if name.strip()]
        members = [_named(log, name) for name in said]
        if len(members) == 1:
            names.append(members[0])
        elif not members:
            raise ConfigError(f"place {text!r}: no place is named; the places are {', '.join(log.place_names)}")
        else:
            groups["+".join(said)] = members
    return names, groups


def _named(log: PlaceLog, name: str) -> str:
    """A camera may be called by its name alone where no zone is called so."""
    return camera_place(name) if name not in log.place_names and camera_place(name) in log.place_names else name


def moment(text: str, start: float | None, what: str) -> float:
    """A capture time as people write it.

    Args:
        text: ``10:00`` or ``10:00:30`` (on the day on which the run began, UTC; of recordings without a date hours and
            minutes since their beginning), a date and time of ISO 8601 (UTC where it names no offset), or seconds.
        start: First capture time of the run in seconds.
        what: The option, for messages.

    Raises:
        ConfigError: It is none of these.
    """
    dated = start is not None and start >= EARLIEST_DATE
    day = start // 86400 * 86400 if dated and start is not None else 0.0
    clock = _CLOCK.fullmatch(text.strip())
    if clock is not None:
        seconds = int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3] or 0)
        if int(clock[2]) > 59 or float(clock[3] or 0) >= 60 or (dated and seconds > _DAY):
            raise ConfigError(
                f"{what} {text!r}: no time of day; of another day, write the date, too (2026-11-30T06:00)"
            )
        return seconds + day
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        if not math.isfinite(seconds):
            raise ConfigError(f"{what} {text!r}: write 10:00, 2026-11-29T10:00 or seconds")
        return seconds
    try:
        when = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise ConfigError(f"{what} {text!r}: write 10:00, 2026-11-29T10:00 or seconds") from None
    if not dated:
        raise ConfigError(
            f"{what} {text!r}: the times of this run are no dates but those of its recordings; write 0:10:00"
        )
    return (when if when.tzinfo is not None else when.replace(tzinfo=timezone.utc)).timestamp()
