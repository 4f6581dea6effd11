"""OPC UA: asyncua for session and security, with bytes of our own for what names thousands of nodes or comes a thousand times a second.

`address` and `config` say what may be asked for; `session` is the one place that holds asyncua, `trust` its certificates;
`encode` writes requests about many nodes and `references` reads what browsing and monitoring answer; `decode` turns values into
columns and `rows` columns into batches for `subscribe` and `read`; `browse`, `write` and `probe` are the other things one
can want; `driver` joins them. Nothing here imports asyncua before a connection opens.
"""

from isthmus.drivers.opcua.address import parse_address
from isthmus.drivers.opcua.config import OpcUaConfig
from isthmus.drivers.opcua.driver import OpcUa, OpcUaSubscribed, build
from isthmus.ports.drivers import driver

driver("opcua", config=OpcUaConfig, parse_address=parse_address, title="OPC UA")(build)

__all__ = ["OpcUa", "OpcUaConfig", "OpcUaSubscribed", "build", "parse_address"]
