"""Settings of one Modbus TCP connection."""

from __future__ import annotations

import math
from dataclasses import dataclass

from isthmus.values.errors import ConfigError

_ORDERS = ("big", "little")


@dataclass(frozen=True, slots=True)
class ModbusTcpConfig:
    """Settings of one Modbus TCP device. How many requests it takes at once is in the connection's budget."""

    host: str
    """Name or address of the device or gateway."""

    port: int = 502
    """TCP port, 1 to 65535."""

    unit: int = 1
    """Unit identifier, 0 to 255; behind a gateway the number of the serial device."""

    timeout_s: float = 1.0
    """Seconds to wait for the answer to one request."""

    connect_timeout_s: float = 3.0
    """Seconds to wait for the connection."""

    max_block: int = 125
    """Most registers in one request, 1 to 125; some devices take fewer."""

    max_bits: int = 2000
    """Most coils or discrete inputs in one request, 1 to 2000."""

    gap: int = 16
    """Registers nobody asked for that may be read to join two blocks (for coils 16 times as many); 0: none."""

    byte_order: str = "big"
    """Order of the two bytes in a register: big (the standard) or little. An address may say otherwise."""

    word_order: str = "big"
    """Order of the registers of one value: big (most significant first) or little. An address may say otherwise."""

    write_single: bool = True
    """Write one coil or register with functions 5 and 6; false uses 15 and 16, for devices without those."""

    def __post_init__(self) -> None:
        if not isinstance(self.host, str) or not self.host or any(c.isspace() for c in self.host):
            raise ConfigError(f"host: must be a name or address, was {self.host!r}")
        for key, low, high in (
            ("port", 1, 65_535),
            ("unit", 0, 255),
            ("max_block", 1, 125),
            ("max_bits", 1, 2000),
            ("gap", 0, 125),
        ):
            whole = getattr(self, key)
            if type(whole) is not int or not low <= whole <= high:
                raise ConfigError(f"{key}: must be a whole number from {low} to {high}, was {whole!r}")
        for key in ("timeout_s", "connect_timeout_s"):
            seconds = getattr(self, key)
            if type(seconds) not in {int, float} or not (math.isfinite(seconds) and 0 < seconds <= 60):
                raise ConfigError(f"{key}: must be more than 0 and at most 60 seconds, was {seconds!r}")
        for key in ("byte_order", "word_order"):
            if getattr(self, key) not in _ORDERS:
                raise ConfigError(f"{key}: must be big or little, was {getattr(self, key)!r}")
        if type(self.write_single) is not bool:
            raise ConfigError(f"write_single: must be true or false, was {self.write_single!r}")
