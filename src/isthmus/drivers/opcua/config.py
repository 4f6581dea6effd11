"""Settings of one OPC UA connection."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args
from urllib.parse import urlsplit

from isthmus.values.errors import ConfigError
from isthmus.values.secrets import check_reference

Security = Literal[
    "none",
    "Basic256Sha256-Sign",
    "Basic256Sha256-SignAndEncrypt",
    "Aes128Sha256RsaOaep-Sign",
    "Aes128Sha256RsaOaep-SignAndEncrypt",
    "Aes256Sha256RsaPss-Sign",
    "Aes256Sha256RsaPss-SignAndEncrypt",
]
FIRST_USE: Final = "first-use"
PORT: Final = 4840


@dataclass(frozen=True, slots=True)
class OpcUaConfig:
    """Settings of one OPC UA server."""

    endpoint: str
    """Where the server is, such as opc.tcp://10.0.0.5:4840; this address is used even if the server names another."""

    security: Security = "none"
    """How the channel is protected. Nothing weaker is ever used instead."""

    user: str = ""
    """User name; without one the session is anonymous."""

    password: str = ""
    """Reference to the password, such as secret:press-7; never the password itself."""

    plain_password: bool = False
    """Let the password travel unencrypted, where neither the channel nor the server offers to encrypt it."""

    trust: str = FIRST_USE
    """first-use keeps the server's certificate when it is first seen and refuses another; or the path of the certificate."""

    allow_expired: bool = False
    """Accept a server certificate outside its dates."""

    mode: Literal["subscribe", "poll"] = "subscribe"
    """subscribe lets the server tell changes; poll reads all tags at their period, for servers without subscriptions."""

    timestamps: Literal["source", "server", "arrival"] = "source"
    """Whose time a sample of a subscription carries; the next one is used where it is absent or absurd."""

    queue: int = 10
    """Changes of one tag the server keeps between two publishings, 1 to 1000; beyond that the oldest are lost."""

    timeout_s: float = 4.0
    """Seconds to wait for the answer to one request."""

    connect_timeout_s: float = 5.0
    """Seconds to wait for each step of connecting."""

    def __post_init__(self) -> None:
        self.place()
        for key, hint in (("security", Security), ("mode", None), ("timestamps", None)):
            known = (
                get_args(hint)
                if hint
                else {"mode": ("subscribe", "poll"), "timestamps": ("source", "server", "arrival")}[key]
            )
            if getattr(self, key) not in known:
                raise ConfigError(f"{key}: must be one of {', '.join(known)}, was {getattr(self, key)!r}")
        for key in ("user", "trust"):
            if not isinstance(getattr(self, key), str):
                raise ConfigError(f"{key}: must be a text, was {getattr(self, key)!r}")
        if self.password != "":
            check_reference(self.password, "password")
            if not self.user:
                raise ConfigError("user: is missing, a password alone is of no use")
        if not self.trust:
            raise ConfigError("trust: must be first-use or the path of the server's certificate, was ''")
        for key in ("plain_password", "allow_expired"):
            if type(getattr(self, key)) is not bool:
                raise ConfigError(f"{key}: must be true or false, was {getattr(self, key)!r}")
        if type(self.queue) is not int or not 1 <= self.queue <= 1000:
            raise ConfigError(f"queue: must be a whole number from 1 to 1000, was {self.queue!r}")
        for key in ("timeout_s", "connect_timeout_s"):
            seconds = getattr(self, key)
            if type(seconds) not in {int, float} or not (math.isfinite(seconds) and 0 < seconds <= 60):
                raise ConfigError(f"{key}: must be more than 0 and at most 60 seconds, was {seconds!r}")

    def place(self) -> tuple[str, int]:
        """Host and port of the endpoint.

        Raises: ConfigError if it is no such address
        """
        try:
            parts = urlsplit(self.endpoint) if isinstance(self.endpoint, str) else None
            if parts is not None and parts.scheme == "opc.tcp" and parts.hostname and "@" not in parts.netloc:
                return parts.hostname, parts.port or PORT
        except ValueError:
            pass
        raise ConfigError(f"endpoint: must be an address such as opc.tcp://10.0.0.5:4840, was {self.endpoint!r}")

    @property
    def policy(self) -> str:
        """Name of the security policy, "None" for an open channel."""
        return "None" if self.security == "none" else self.security.partition("-")[0]

    @property
    def encrypted(self) -> bool:
        """Whether what goes over the channel is encrypted."""
        return self.security.endswith("SignAndEncrypt")
