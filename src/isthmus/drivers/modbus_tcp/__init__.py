"""Modbus TCP: an asyncio client of its own, with a planner that turns tags into few large reads.

`address` says what may be read, `plan` how, `framer` and `transport` carry it, `decode` makes columns of it, `write`
the way back; `driver` joins them.
"""

from isthmus.drivers.modbus_tcp.address import parse_address
from isthmus.drivers.modbus_tcp.config import ModbusTcpConfig
from isthmus.drivers.modbus_tcp.driver import ModbusTcp

__all__ = ["ModbusTcp", "ModbusTcpConfig", "parse_address"]
