"""Zones and lines added, changed and removed while a run goes on: checked like the YAML, kept for the next start.

.. code-block:: python

    editor = PlaceEditor(pipeline)
    editor.add_zone({"name": "till", "camera": "hall", "polygon": [[0.6, 0.5], [0.9, 0.5], [0.9, 0.9]]})
    editor.change_zone("till", {"queue": True})
    editor.remove_zone("till")
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from streamreid._yaml import validate
from streamreid.config import LineConfig, ZoneConfig
from streamreid.errors import ConfigError, PlaceExists, PlaceNotFound
from streamreid.pipeline.run import Run
from streamreid.runs.place_overrides import PlaceOverrides, check_places, place_data, places_by_key, split_places
from streamreid.suggestions import nearest

__all__ = ["MOST_PLACES", "PlaceEditor"]

MOST_PLACES = 1000
"""Zones, and lines, of a run: as many as a cameras file may have."""

Drawn = TypeVar("Drawn", ZoneConfig, LineConfig)
Settings = Mapping[str, Any]


class PlaceEditor:
    """Changes the zones and lines of a run that goes on; methods may be called from any thread.

    A place is told by its name, and by its camera where several cameras have a zone or line of that name.

    Args:
        run: That goes on.
        changes: Keeps what is changed; None keeps nothing.
    """

    def __init__(self, run: Run, changes: PlaceOverrides | None = None) -> None:
        self._run = run
        self._changes = changes or PlaceOverrides(None, run.places.zones, run.places.lines)
        if self._changes.history:
            run.places.history = self._changes.history
        self._lock = threading.Lock()

    @property
    def zones(self) -> tuple[ZoneConfig, ...]:
        """As they are drawn now."""
        return self._run.places.zones

    @property
    def lines(self) -> tuple[LineConfig, ...]:
        """As they are drawn now."""
        return self._run.places.lines

    @property
    def differences(self) -> dict[str, str]:
        """How places differ from the cameras file."""
        return self._changes.differences(self.zones, self.lines)

    def zone(self, name: str, camera: str | None = None) -> ZoneConfig:
        """A zone.

        Args:
            name: Its name.
            camera: Which, where several cameras have a zone of that name; '' for one on the ground of all cameras.

        Raises:
            PlaceNotFound: There is none.
            ConfigError: There are several.
        """
        return self.zones[_index("zone", self.zones, name, camera)]

    def line(self, name: str, camera: str | None = None) -> LineConfig:
        """A line; see `zone`."""
        return self.lines[_index("line", self.lines, name, camera)]

    def add_zone(self, zone: ZoneConfig | Settings) -> ZoneConfig:
        """Count people in a further zone from now on.

        Args:
            zone: The zone, or the keys of the YAML.

        Raises:
            PlaceExists: The camera has a zone of that name.
            ConfigError: Something is wrong with it.
        """
        new = zone if isinstance(zone, ZoneConfig) else validate(ZoneConfig, dict(zone), where="zone")
        with self._lock:
            self._room("zone", self.zones, new)
            self._apply([*self.zones, new], self.lines)
        return new

    def add_line(self, line: LineConfig | Settings) -> LineConfig:
        """Count crossings of a further line from now on; see `add_zone`."""
        new = line if isinstance(line, LineConfig) else validate(LineConfig, _named(line), where="line")
        with self._lock:
            self._room("line", self.lines, new)
            self._apply(self.zones, [*self.lines, new])
        return new

    def change_zone(self, name: str, settings: Settings, camera: str | None = None) -> ZoneConfig:
        """Change settings of a zone. Settings of the place (loitering_time, queue, ...) change in all its cameras.

        Args:
            name: Its name.
            settings: The keys to change.
            camera: Which; see `zone`.

        Raises:
            PlaceNotFound: There is none.
            ConfigError: There are several, or something is wrong with it then.
        """
        with self._lock:
            at = _index("zone", self.zones, name, camera)
            changed = validate(ZoneConfig, _merged(self.zones[at], settings), where="zone")
            shared = {key: getattr(changed, key) for key in changed.of_place if key in settings}
            zones = [
                changed if i == at else zone.model_copy(update=shared) if zone.name == name else zone
                for i, zone in enumerate(self.zones)
            ]
            self._apply(zones, self.lines)
        return changed

    def change_line(self, name: str, settings: Settings, camera: str | None = None) -> LineConfig:
        """Change settings of a line; see `change_zone`."""
        with self._lock:
            at = _index("line", self.lines, name, camera)
            changed = validate(LineConfig, _merged(self.lines[at], _named(settings)), where="line")
            self._apply(self.zones, [changed if i == at else line for i, line in enumerate(self.lines)])
        return changed

    def remove_zone(self, name: str, camera: str | None = None) -> None:
        """Count people in a zone no more; what was counted stays.

        Raises:
            PlaceNotFound: There is none.
            ConfigError: There are several, or an alert is about it.
        """
        with self._lock:
            at = _index("zone", self.zones, name, camera)
            self._apply([zone for i, zone in enumerate(self.zones) if i != at], self.lines)

    def remove_line(self, name: str, camera: str | None = None) -> None:
        """Count crossings of a line no more; see `remove_zone`."""
        with self._lock:
            at = _index("line", self.lines, name, camera)
            self._apply(self.zones, [line for i, line in enumerate(self.lines) if i != at])

    def file_says(self, zones: Sequence[ZoneConfig], lines: Sequence[LineConfig]) -> tuple[str, ...]:
        """The cameras file was edited: its zones and lines that are new, edited or gone count from now on.

        Returns:
            Their names.

        Raises:
            ConfigError: They do not fit the run; nothing changes.
        """
        with self._lock:
            edited = self._changes.file_says(zones, lines)
            if edited:
                said = places_by_key(zones, lines)
                now = {k: p for k, p in places_by_key(self.zones, self.lines).items() if k not in edited or k in said}
                self._apply(*split_places({**now, **{k: said[k] for k in edited if k in said}}.values()))
        return tuple(dict.fromkeys(name for _, name, _ in edited))

    def revert(self) -> None:
        """Return to the zones and lines of the cameras file.

        Raises:
            ConfigError: They do not fit the run any more.
        """
        with self._lock:
            self._apply(*self._changes.said)

    def _room(self, kind: str, places: Sequence[Drawn], new: Drawn) -> None:
        """Refuse a place that there is already, or one too many."""
        if any(place.key == new.key for place in places):
            raise PlaceExists(kind, new.name, new.camera)
        if len(places) >= MOST_PLACES:
            raise ConfigError(f"there are {MOST_PLACES} {kind}s, and there may be no more; remove some first")

    def _apply(self, zones: Sequence[ZoneConfig], lines: Sequence[LineConfig]) -> None:
        run = self._run
        check_places(run.config, run.camera_configs, zones, lines)
        run.places.change(tuple(zones), tuple(lines))
        self._changes.save(self.zones, self.lines, run.places.history)


def _index(kind: str, places: Sequence[Drawn], name: str, camera: str | None) -> int:
    found = [i for i, place in enumerate(places) if place.name == name and camera in (None, place.camera or "")]
    if not found:
        raise PlaceNotFound(kind, name, camera, nearest(name, {place.name for place in places}))
    if len(found) > 1:
        cameras = ", ".join(str(places[i].camera or "''") for i in found)
        raise ConfigError(f"several cameras have a {kind} '{name}'; say which: camera={cameras}")
    return found[0]


def _named(settings: Settings) -> dict[str, Any]:
    """Keys of a line as its model has them."""
    return {{"begin": "from", "end": "to"}.get(key, key): value for key, value in settings.items()}


def _merged(place: Drawn, settings: Settings) -> dict[str, Any]:
    """A place with some settings changed; a polygon and an outline on the ground replace each other."""
    data = place_data(place)
    for one, other in (("polygon", "ground"), ("ground", "polygon")):
        if isinstance(place, ZoneConfig) and settings.get(one) is not None and other not in settings:
            data.pop(other, None)
    return {**data, **settings}
