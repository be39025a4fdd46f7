"""What Home Assistant is told, so that a stream appears there by itself.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery: one retained message an entity at
``<discovery prefix>/<component>/<object id>/config``. An empty retained message there removes it.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any

from .mqtt_topics import Topics

#: Where Home Assistant listens unless it was told otherwise.
PREFIX = "homeassistant"


def discovery(topics: Topics, model: str, prefix: str = PREFIX) -> dict[str, dict[str, Any]]:
    """The messages.

    Args:
        topics: Of the stream.
        model: Name of the model.
        prefix: Of Home Assistant's discovery.

    Returns:
        Topic to JSON object; the same for the same topics on every start.
    """
    from ... import __version__

    device_id = _identifier(topics.prefix)
    device = {
        "identifiers": [device_id],
        "name": topics.prefix.rpartition("/")[2],
        "manufacturer": "edge-classify",
        "model": os.path.basename(model.rstrip("/")),
        "sw_version": __version__,
    }
    entities: dict[str, dict[str, Any]] = {
        "sensor/label": {
            "name": "Label",
            "state_topic": topics.state,
            "value_template": "{{ value_json.state }}",
            "json_attributes_topic": topics.state,
            "icon": "mdi:label",
        },
        "sensor/score": {
            "name": "Score",
            "state_topic": topics.state,
            "value_template": "{{ (value_json.score * 100) | round(1) "
            "if value_json.score is not none else none }}",
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "suggested_display_precision": 0,
            "icon": "mdi:percent",
        },
        "binary_sensor/source": {
            "name": "Source",
            "state_topic": topics.state,
            "value_template": "{{ 'ON' if value_json.source_state == 'open' else 'OFF' }}",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
        },
        "binary_sensor/connection": {
            "name": "Connection",
            "state_topic": topics.availability,
            "payload_on": "online",
            "payload_off": "offline",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
        },
    }
    found = {}
    for key, entity in entities.items():
        component, name = key.split("/")
        unique = f"{device_id}_{name}"
        common: dict[str, Any] = {
            "unique_id": unique,
            "device": device,
            "origin": {"name": "edge-classify", "sw_version": __version__},
        }
        if name != "connection":  # which has to show that the stream is gone
            common["availability_topic"] = topics.availability
        found[f"{prefix}/{component}/{device_id}/{name}/config"] = entity | common
    return found


def _identifier(prefix: str) -> str:
    """Letters that a discovery topic may have, and a digest that keeps two prefixes apart."""
    plain = re.sub(r"[^a-zA-Z0-9_-]+", "_", prefix).strip("_")
    if plain == prefix:
        return plain
    return f"{plain}_{hashlib.sha256(prefix.encode(errors='replace')).hexdigest()[:6]}"
