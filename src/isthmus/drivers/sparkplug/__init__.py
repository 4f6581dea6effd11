"""Sparkplug B 3.0 as a host application: births, data and deaths of edge nodes and their devices become samples.

`payload` is the schema, `address` says which metric a tag is, `host` knows who is alive and what aliases mean, `driver` joins
them to a broker by the client of the MQTT driver. Nothing is ever commanded but a rebirth.
"""

from isthmus.drivers.sparkplug.address import parse_address
from isthmus.drivers.sparkplug.config import SparkplugConfig
from isthmus.drivers.sparkplug.driver import Sparkplug

__all__ = ["Sparkplug", "SparkplugConfig", "parse_address"]
