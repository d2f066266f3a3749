"""A place of a run as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["PlaceState"]


@dataclass(frozen=True, slots=True)
class PlaceState:
    """A place as it is now.

    Args:
        name: Zone, line, ``camera:...`` or ``everywhere``.
        kind: zone, line, camera or site.
        cameras: That show it.
        occupancy: People there now; 0 for a line.
        people: Global ids of those who are known, each with the capture time of the beginning of the stay.
        entries: Times the boundary was crossed on the way in (a line: direction ``in``) since the run began, or the
            place.
        exits: The same on the way out.
        since: Capture time from which the place exists; None where it was there from the beginning.
        redrawn: Capture time of the last change of its outline; None where there was none.
    """

    name: str
    kind: str
    cameras: tuple[str, ...]
    occupancy: int = 0
    people: Mapping[int, float] = field(default_factory=dict)
    entries: int = 0
    exits: int = 0
    since: float | None = None
    redrawn: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON can say it."""
        people = [{"global_id": who, "since": round(since, 3)} for who, since in sorted(self.people.items())]
        return {
            "name": self.name,
            "kind": self.kind,
            "cameras": list(self.cameras),
            "occupancy": self.occupancy,
            "people": people,
            "entries": self.entries,
            "exits": self.exits,
            "since": None if self.since is None else round(self.since, 3),
            "redrawn": None if self.redrawn is None else round(self.redrawn, 3),
        }
