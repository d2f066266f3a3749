"""What Home Assistant is told so that counts appear as sensors (MQTT discovery).

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery: one retained message per sensor under
``homeassistant/<component>/<node>/<object>/config``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from streamreid.messages.places_board import topic_part

__all__ = ["discovery"]


def discovery(prefix: str, base: str, site: str, places: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The announcements, by topic.

    Args:
        prefix: Where Home Assistant looks: ``homeassistant``.
        base: Beginning of the topics of states.
        site: Name of the site; one device in Home Assistant.
        places: What is counted.
    """
    node = f"streamreid_{_word(site)}"
    shared = {
        "availability_topic": f"{base}/status",
        "device": {"identifiers": [node], "name": f"streamreid {site}", "manufacturer": "streamreid"},
        "origin": {"name": "streamreid"},
    }
    found: dict[str, dict[str, Any]] = {}
    for place in places:
        word, title = _word(place), place.removeprefix("camera:")
        state = {"state_topic": f"{base}/place/{topic_part(place)}", **shared}
        found[f"{prefix}/sensor/{node}/{word}_people/config"] = {
            "name": f"{title} people",
            "unique_id": f"{node}_{word}_people",
            "value_template": "{{ value_json.occupancy }}",
            "unit_of_measurement": "people",
            "state_class": "measurement",
            "icon": "mdi:account-group",
            **state,
        }
        found[f"{prefix}/binary_sensor/{node}/{word}_occupied/config"] = {
            "name": f"{title} occupied",
            "unique_id": f"{node}_{word}_occupied",
            "device_class": "occupancy",
            "value_template": "{{ 'ON' if value_json.occupancy else 'OFF' }}",
            **state,
        }
    return found


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_").lower() or "site"
