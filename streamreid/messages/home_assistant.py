"""What Home Assistant is told so that counts appear as sensors (MQTT discovery).

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery: one retained message per sensor under
``homeassistant/<component>/<node>/<object>/config``.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from streamreid.messages.places_board import topic_part

__all__ = ["discovery"]


_COUNTED = {
    "unique": ("different people in the last hour", "mdi:account-multiple-check"),
    "visits": ("visits in the last hour", "mdi:walk"),
    "entries": ("entries in the last hour", "mdi:location-enter"),
    "exits": ("exits in the last hour", "mdi:location-exit"),
}
"""Counts that become sensors: name and icon."""


def discovery(prefix: str, base: str, site: str, places: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The announcements, by topic.

    Args:
        prefix: Where Home Assistant looks: ``homeassistant``.
        base: Beginning of the topics of states.
        site: Name of the site; one device in Home Assistant.
        places: States by place; what a state does not have is not announced.
    """
    node = f"streamreid_{_word(site)}"
    shared = {
        "availability_topic": f"{base}/status",
        "device": {"identifiers": [node], "name": f"streamreid {site}", "manufacturer": "streamreid"},
        "origin": {"name": "streamreid"},
    }
    found: dict[str, dict[str, Any]] = {}
    words = _words(places)

    def announce(component: str, place: str, key: str, name: str, **values: Any) -> None:
        word = words[place]
        found[f"{prefix}/{component}/{node}/{word}_{key}/config"] = {
            "name": f"{place.removeprefix('camera:')} {name}",
            "unique_id": f"{node}_{word}_{key}",
            "state_topic": f"{base}/place/{topic_part(place)}",
            **values,
            **shared,
        }

    people = {"unit_of_measurement": "people", "state_class": "measurement"}
    for place, state in places.items():
        if "occupancy" in state:
            value = "{{ value_json.occupancy }}"
            announce("sensor", place, "people", "people", value_template=value, icon="mdi:account-group", **people)
            value = "{{ 'ON' if value_json.occupancy else 'OFF' }}"
            announce("binary_sensor", place, "occupied", "occupied", value_template=value, device_class="occupancy")
        for key in state.get("last_hour", ()):
            if key in _COUNTED:
                name, icon = _COUNTED[key]
                value = f"{{{{ value_json.last_hour.{key} }}}}"  # None is "unknown" to Home Assistant
                announce("sensor", place, key, name, value_template=value, icon=icon, **people)
    return found


def _words(places: Iterable[str]) -> dict[str, str]:
    """Names of places as Home Assistant's ids can hold them. Where two would be the same, a checksum is added to those
    that are not written so themselves."""
    words = {place: _word(place) for place in places}
    count = Counter(words.values())
    return {
        place: word if count[word] == 1 or word == place else f"{word}_{zlib.crc32(place.encode()):08x}"
        for place, word in words.items()
    }


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_").lower() or "site"
