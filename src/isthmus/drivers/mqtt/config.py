"""Settings of one MQTT connection, and of what every client of a broker needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from isthmus.values.errors import ConfigError
from isthmus.values.mqtt import check_filter
from isthmus.values.secrets import check_reference

BUILTIN: Final = "builtin"
_VERSIONS: Final = ("3.1.1", "5")
_RETAINED: Final = ("initial", "good", "ignore")


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """How to reach a broker."""

    broker: str = BUILTIN
    """`builtin` is the listener of this Isthmus; otherwise HOST or HOST:PORT of a broker (1883, or 8883 with TLS)."""

    version: str = "3.1.1"
    """Protocol version, "3.1.1" or "5"; the built-in listener speaks 3.1.1."""

    tls: bool = False
    """Speak TLS and check the broker's certificate."""

    ca: str = ""
    """PEM file of who signed the broker's certificate; empty: whom the system trusts."""

    user: str = ""
    """User name at the broker."""

    password: str = ""
    """Reference to the password, such as secret:broker; never the password itself."""

    client_id: str = ""
    """Empty: made of the names of edge and connection, the same after each restart."""

    keep_alive_s: float = 30.0
    """Seconds of silence after which the link is looked after, 0.1 to 3600; half as much again ends it."""

    timeout_s: float = 5.0
    """Seconds to wait for an answer of the broker."""

    session_s: int = 86_400
    """Seconds a broker of version 5 keeps messages for us while we are away; 3.1.1 brokers have a setting of their own."""

    max_waiting: int = 20_000
    """Messages that wait here at most until they are looked at; then the broker has to keep them."""

    @property
    def place(self) -> tuple[str, int]:
        """Host and port of an external broker."""
        host, colon, port = self.broker.rpartition(":")
        if not colon or self.broker.endswith("]"):
            return self.broker.strip("[]"), 8883 if self.tls else 1883
        return host.strip("[]"), int(port) if port.isdecimal() else 0

    def __post_init__(self) -> None:
        for key in ("broker", "ca", "user", "client_id", "password", "version"):
            if not isinstance(getattr(self, key), str):
                raise ConfigError(f"{key}: must be a text, was {getattr(self, key)!r}")
        host, port = self.place
        if not host or any(c.isspace() for c in host) or not 0 < port < 65_536 or "//" in self.broker:
            raise ConfigError(f"broker: must be builtin, HOST or HOST:PORT, was {self.broker!r}")
        if self.version not in _VERSIONS:
            raise ConfigError(f'version: must be "3.1.1" or "5", was {self.version!r}')
        if type(self.tls) is not bool:
            raise ConfigError(f"tls: must be true or false, was {self.tls!r}")
        if self.broker == BUILTIN and (self.tls or self.user or self.password or self.version != "3.1.1"):
            raise ConfigError("broker: the built-in listener needs no tls, user or password, and speaks version 3.1.1")
        if self.ca and not self.tls:
            raise ConfigError("ca: has a meaning with tls: true only")
        if self.ca and not Path(self.ca).is_absolute():
            raise ConfigError(f"ca: must be an absolute path on the edge's machine, was {self.ca!r}")
        if self.password:
            check_reference(self.password, "password")
            if not self.user:
                raise ConfigError("user: a password needs a user")
        if type(self.max_waiting) is not int or not 1 <= self.max_waiting <= 1_000_000:
            raise ConfigError(f"max_waiting: must be a whole number from 1 to 1000000, was {self.max_waiting!r}")
        for key, low, high in (("keep_alive_s", 0.1, 3600), ("timeout_s", 0.01, 60), ("session_s", 0, 2**32 - 1)):
            number = getattr(self, key)
            if type(number) not in {int, float} or not (math.isfinite(number) and low <= number <= high):
                raise ConfigError(f"{key}: must lie between {low} and {high}, was {number!r}")


@dataclass(frozen=True, slots=True)
class MqttConfig(BrokerConfig):
    """Settings of one MQTT connection."""

    qos: int = 1
    """How messages are asked for: 0, 1 or 2. With 1 and 2 the broker keeps them until they are safe on our bus."""

    subscribe: tuple[str, ...] = ()
    """Topics to subscribe to in place of one subscription per tag, such as ["sensors/#"]; every tag must be among them."""

    max_age_s: float = 0.0
    """A tag without a message for this long turns bad; 0: never. A tag may say its own by age=30s."""

    retained: str = "initial"
    """What a retained message without a time of its own is: initial (UncertainInitialValue), good, or ignore."""

    max_message_kb: int = 256
    """Larger messages are not looked at, 1 to 16,000."""

    def __post_init__(self) -> None:
        BrokerConfig.__post_init__(self)
        if self.qos not in (0, 1, 2) or type(self.qos) is not int:
            raise ConfigError(f"qos: must be 0, 1 or 2, was {self.qos!r}")
        if not isinstance(self.subscribe, (list, tuple)):
            raise ConfigError(f"subscribe: must be a list of topics, was {self.subscribe!r}")
        object.__setattr__(self, "subscribe", tuple(check_filter(f, "subscribe") for f in self.subscribe))
        if type(self.max_age_s) not in {int, float} or not 0 <= self.max_age_s <= 365 * 86_400:
            raise ConfigError(f"max_age_s: must be 0 or more seconds, was {self.max_age_s!r}")
        if self.retained not in _RETAINED:
            raise ConfigError(f"retained: must be {', '.join(_RETAINED)}, was {self.retained!r}")
        if type(self.max_message_kb) is not int or not 1 <= self.max_message_kb <= 16_000:
            raise ConfigError(f"max_message_kb: must be a whole number from 1 to 16000, was {self.max_message_kb!r}")
