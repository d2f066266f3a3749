"""How the zones and lines of a run differ from what its cameras file says, kept beside the results: a run that is
started again goes on with it.

What was changed by HTTP, on the page or in Python is kept in ``places.json``, place by place, and with it since when
each exists. The newer word counts: where the entry of a zone or line in the file is no longer what it was when the
change was made, the file has been edited since, and the change is dropped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamreid._yaml import validate
from streamreid.config import CameraConfig, Config, LineConfig, ZoneConfig
from streamreid.config.place_checks import contradictions
from streamreid.errors import ConfigError, StreamReIDError
from streamreid.files import write_json
from streamreid.places.place_history import PlaceHistory

__all__ = ["PLACES", "PlaceOverrides", "check_places", "place_data", "places_by_key", "split_places"]

log = logging.getLogger(__name__)

PLACES = "places.json"
"""Name of the file in the folder of the results."""

Drawn = ZoneConfig | LineConfig
Key = tuple[str, str, str]


def place_data(place: Drawn) -> dict[str, Any]:
    """A zone or line with the keys of the YAML, without what is as by default."""
    data: dict[str, Any] = place.model_dump(mode="json", exclude_defaults=True)
    if isinstance(place, LineConfig):
        data = {{"begin": "from", "end": "to"}.get(key, key): value for key, value in data.items()}
    return data


class PlaceOverrides:
    """The difference between the zones and lines of a run and those it was told to begin with.

    Args:
        folder: Of the results; None keeps nothing.
        zones: As the cameras file says.
        lines: As the cameras file says.
        keep: Whether a start goes on with what an earlier run in the folder kept.

    Attributes:
        history: Since when places are as they are, of earlier runs in the folder.
    """

    def __init__(
        self, folder: Path | None, zones: Sequence[ZoneConfig], lines: Sequence[LineConfig], *, keep: bool = True
    ) -> None:
        self.path = None if folder is None else folder / PLACES
        self.history = PlaceHistory()
        self._keep = keep
        self._said = places_by_key(zones, lines)
        self._lock = threading.Lock()

    def begin(self, config: Config) -> Config:
        """The configuration to begin with: with what is kept of earlier runs. What cannot be used now, because its
        camera is gone for example, is dropped with a line in the log; nothing that is kept stops a start."""
        data = self._read() if self._keep else {}
        self.history = PlaceHistory(data.get("history"))
        done: list[str] = []
        for item in data.get("places", ()):
            try:
                changed = self._applied(config, item)
            except (StreamReIDError, KeyError, TypeError, ValueError) as error:
                log.error("'%s': a change of a zone or line cannot be used and is left out: %s", self.path, error)
                continue
            if changed is not None:
                config = changed
                done.append(f"{item['kind']} '{item['name']}'")
        if done:
            log.warning(
                "changes of zones and lines of earlier runs go on (remove '%s' to return to the cameras file): %s",
                self.path,
                ", ".join(done),
            )
        return config

    def _applied(self, config: Config, item: dict[str, Any]) -> Config | None:
        key = (str(item["kind"]), str(item["name"]), str(item["camera"]))
        said = self._said.get(key)
        if item["said"] != (None if said is None else _digest(said)):
            log.warning("%s '%s' was edited in the cameras file since it was changed; the file counts", *key[:2])
            return None
        places = places_by_key(config.zones, config.lines)
        if item["place"] is None:
            del places[key]
        else:
            where, data = f"{self.path}: {key[0]} '{key[1]}'", item["place"]
            line = key[0] == "line"
            places[key] = validate(LineConfig, data, where=where) if line else validate(ZoneConfig, data, where=where)
        zones, lines = split_places(places.values())
        check_places(config, config.cameras, zones, lines)
        return config.model_copy(update={"zones": zones, "lines": lines})

    def _read(self) -> dict[str, Any]:
        if self.path is None:
            return {}
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            if data["schema"] != 1 or not isinstance(data["places"], list):
                raise ValueError(f"schema {data['schema']} is not known")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            log.error("'%s' is damaged (%s); zones and lines are as the cameras file says", self.path, error)
            return {}
        return dict(data)

    def save(self, zones: Sequence[ZoneConfig], lines: Sequence[LineConfig], history: PlaceHistory) -> None:
        """Keep how zones and lines are.

        Raises:
            OutputError: ``places.json`` cannot be written.
        """
        if self.path is None:
            return
        with self._lock:
            now = places_by_key(zones, lines)
            items = [
                {
                    "kind": key[0],
                    "name": key[1],
                    "camera": key[2],
                    "said": None if key not in self._said else _digest(self._said[key]),
                    "place": None if key not in now else place_data(now[key]),
                }
                for key in dict.fromkeys([*self._said, *now])
                if self._said.get(key) != now.get(key)
            ]
            write_json(self.path, {"schema": 1, "places": items, "history": history.to_dict()})

    def differences(self, zones: Sequence[ZoneConfig], lines: Sequence[LineConfig]) -> dict[str, str]:
        """How places differ from the file: "added", "removed" or "changed", by "zone NAME" or "zone NAME CAMERA"."""
        now, said = places_by_key(zones, lines), self._said
        return {
            " ".join(filter(None, key)): "removed" if key not in now else "changed" if key in said else "added"
            for key in dict.fromkeys([*self._said, *now])
            if self._said.get(key) != now.get(key)
        }

    @property
    def said(self) -> tuple[tuple[ZoneConfig, ...], tuple[LineConfig, ...]]:
        """Zones and lines as the cameras file says."""
        return split_places(self._said.values())

    def file_says(self, zones: Sequence[ZoneConfig], lines: Sequence[LineConfig]) -> tuple[Key, ...]:
        """The cameras file was edited.

        Returns:
            The places whose entry is new, edited or gone.
        """
        new = places_by_key(zones, lines)
        edited = tuple(key for key in {**self._said, **new} if self._said.get(key) != new.get(key))
        self._said = new
        return edited


def check_places(
    config: Config, cameras: Sequence[CameraConfig], zones: Sequence[ZoneConfig], lines: Sequence[LineConfig]
) -> None:
    """Whether zones and lines fit cameras, alerts and each other.

    Raises:
        ConfigError: They do not; the message says why.
    """
    found = contradictions(cameras, zones, lines, config.alerts, calibration=config.ground.enabled)
    said = []
    for (section, number, *key), why in found:
        names = {"zones": [zone.name for zone in zones], "lines": [line.name for line in lines]}.get(str(section))
        what = f"{section}[{number}]" if names is None else f"{str(section)[:-1]} '{names[int(number)]}'"
        said.append(": ".join(filter(None, [what, ".".join(map(str, key)), why])))
    if said:
        raise ConfigError("; ".join(dict.fromkeys(said)))


def split_places(places: Any) -> tuple[tuple[ZoneConfig, ...], tuple[LineConfig, ...]]:
    """Zones and lines apart, each in their order."""
    drawn = list(places)
    return (
        tuple(place for place in drawn if isinstance(place, ZoneConfig)),
        tuple(place for place in drawn if isinstance(place, LineConfig)),
    )


def places_by_key(zones: Sequence[ZoneConfig], lines: Sequence[LineConfig]) -> dict[Key, Drawn]:
    """Zones and lines by kind, name and camera ('' for all)."""
    return {("zone", *zone.key): zone for zone in zones} | {("line", *line.key): line for line in lines}


def _digest(place: Drawn) -> str:
    return hashlib.sha256(json.dumps(place_data(place), sort_keys=True).encode()).hexdigest()
