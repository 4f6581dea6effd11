"""MQTT: JSON and plain payloads by declared mapping, from the built-in listener or an external broker.

`address` says what of which topic a tag is, `mapping` turns messages into columns, `link` speaks the protocol (3.1.1 and 5),
`driver` joins them.
"""

from isthmus.drivers.mqtt.address import parse_address
from isthmus.drivers.mqtt.config import MqttConfig
from isthmus.drivers.mqtt.driver import Mqtt

__all__ = ["Mqtt", "MqttConfig", "parse_address"]
