"""Settings of one Sparkplug B connection."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.drivers.mqtt.config import BrokerConfig
from isthmus.values.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SparkplugConfig(BrokerConfig):
    """A broker, and how we appear there as a host application."""

    host_id: str = ""
    """Our name as (primary) host application, said under spBv1.0/STATE; empty: the client id."""

    rebirth_s: float = 10.0
    """A node is asked for a rebirth at most this often."""

    times: str = "device"
    """Which time a sample has: device (the metric's own) or arrival."""

    confirm: str = "node"
    """What a command waits for: node (until its metric tells the value) or broker (for nodes that never tell it)."""

    def __post_init__(self) -> None:
        BrokerConfig.__post_init__(self)
        if not isinstance(self.host_id, str) or any(c in self.host_id for c in "/+#\0"):
            raise ConfigError(f"host_id: must be a name without / + and #, was {self.host_id!r}")
        if type(self.rebirth_s) not in {int, float} or not 0.1 <= self.rebirth_s <= 3600:
            raise ConfigError(f"rebirth_s: must lie between 0.1 and 3600, was {self.rebirth_s!r}")
        if self.times not in ("device", "arrival"):
            raise ConfigError(f"times: must be device or arrival, was {self.times!r}")
        if self.confirm not in ("node", "broker"):
            raise ConfigError(f"confirm: must be node or broker, was {self.confirm!r}")
