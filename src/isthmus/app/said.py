"""What edges publish to devices behind the built-in MQTT listener: exactly the topics that the plant file declares as written."""

from __future__ import annotations

from isthmus.namespace.model import Plant
from isthmus.values.errors import ConfigError


def said(plant: Plant) -> dict[str, list[str]]:
    """Topics, or filters, by edge: those of `write=` in addresses of MQTT, commands to devices in the groups of Sparkplug.

    Connections that are read-only say nothing; what they ask of Sparkplug nodes, a birth, needs no declaration.
    """
    writing = {c.name: c for c in plant.connections if c.access == "read-write" and c.driver in ("mqtt", "sparkplug")}
    if not writing:
        return {}
    from isthmus.drivers.mqtt.address import (
        parse as mqtt,  # the drivers bring protobuf with them: 30 ms for who has none
    )
    from isthmus.drivers.sparkplug.address import parse as sparkplug

    found: dict[str, set[str]] = {}
    for tag in plant.tags:
        connection = writing.get(tag.connection)
        if connection is None or not tag.address:
            continue
        try:
            if connection.driver == "sparkplug":
                topic = f"spBv1.0/{sparkplug(tag.address).group}/DCMD/+/+"
            else:
                topic = mqtt(tag.address).write
        except ConfigError:
            continue  # told with the plant already
        if topic:
            found.setdefault(connection.edge, set()).add(topic)
    return {edge: sorted(topics) for edge, topics in found.items()}
