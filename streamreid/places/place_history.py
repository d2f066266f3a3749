"""Since when a place exists, since when its outline is what it is, and places that were taken out: zones and lines may
change while a run goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from streamreid.config import LineConfig, ZoneConfig
from streamreid.places.records import PlaceInfo, PlaceKind, places_of

__all__ = ["PlaceHistory"]

_MOST_GONE = 1000
"""Places that were taken out and are remembered: as many as there may be zones."""

Outlines = Sequence[ZoneConfig | LineConfig]


class PlaceHistory:
    """Follows how the places of a run change.

    Args:
        known: What `to_dict` gave of an earlier run in the same folder.
    """

    def __init__(self, known: Mapping[str, Any] | None = None) -> None:
        self._places: dict[str, PlaceInfo] = {}
        for name, item in (known or {}).items():
            with suppress(KeyError, TypeError, ValueError):  # damaged entries say nothing
                since, redrawn, until = (_time(item[key]) for key in ("since", "redrawn", "until"))
                kind: PlaceKind = "line" if item["kind"] == "line" else "zone"
                place = PlaceInfo(str(name), kind, tuple(map(str, item["cameras"])))
                self._places[str(name)] = replace(place, since=since, redrawn=redrawn, until=until)

    def __bool__(self) -> bool:
        return bool(self._places)

    def follow(self, before: Outlines, now: Outlines, cameras: Sequence[str], time: float | None) -> None:
        """Places changed.

        Args:
            before: All zones and lines until now.
            now: All zones and lines from now on.
            cameras: Those that show what lies on the ground and names no camera.
            time: Capture time; None before the first frame: what changes then was never otherwise.
        """
        if time is None:
            return
        old, new = _by_name(before), _by_name(now)
        gone = places_of(_zones(before), _lines(before), cameras)
        for name in old.keys() - new.keys():
            known = self._places.pop(name, gone[name])
            self._places[name] = replace(gone[name], since=known.since, redrawn=known.redrawn, until=time)
        shown = places_of(_zones(now), _lines(now), cameras)
        for name in new.keys() - old.keys():
            self._places[name] = replace(shown[name], since=time)
        for name in new.keys() & old.keys():
            if new[name] != old[name]:
                known = self._places.get(name, shown[name])
                self._places[name] = replace(shown[name], since=known.since, redrawn=time)
        past = [name for name, place in self._places.items() if place.until is not None]
        for name in past[: max(0, len(past) - _MOST_GONE)]:
            del self._places[name]

    def dated(self, places: Mapping[str, PlaceInfo]) -> dict[str, PlaceInfo]:
        """Places as they are configured, with their times; behind them those that were taken out."""
        found = dict(places)
        for name, known in self._places.items():
            if name in places:
                found[name] = replace(places[name], since=known.since, redrawn=known.redrawn)
            elif known.until is not None:
                found[name] = known
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON can say it."""
        return {
            name: {
                "kind": place.kind,
                "cameras": list(place.cameras),
                "since": place.since,
                "redrawn": place.redrawn,
                "until": place.until,
            }
            for name, place in self._places.items()
        }


def _time(value: Any) -> float | None:
    return None if value is None else float(value)


def _by_name(places: Outlines) -> dict[str, set[Any]]:
    """The outlines of each place, in all its cameras."""
    found: dict[str, set[Any]] = {}
    for place in places:
        found.setdefault(place.name, set()).add((place.camera, place.outline))
    return found


def _zones(places: Outlines) -> list[ZoneConfig]:
    return [place for place in places if isinstance(place, ZoneConfig)]


def _lines(places: Outlines) -> list[LineConfig]:
    return [place for place in places if isinstance(place, LineConfig)]
