"""Under which addresses browsers reach the screens, for what is bound to one: passkeys and sign-on."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from isthmus.values.errors import ConfigError, Denied
from isthmus.values.hosts import is_loopback


@dataclass(frozen=True, slots=True)
class Origins:
    """``allowed`` are addresses such as ``https://isthmus.plant.example``; the first is where a provider sends back to."""

    allowed: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.allowed:
            raise ConfigError("origins: must be one or more")
        for origin in self.allowed:
            check_origin(origin)

    @property
    def primary(self) -> str:
        return self.allowed[0]

    def rp_id(self, origin: str | None) -> str:
        """The name that a passkey made or used on this page is bound to.

        Raises: Denied (passkey_needs_name) for a page that passkeys cannot work on
        """
        if origin in self.allowed and _is_name(_host(origin or "")):
            return _host(origin or "")
        fit = [one for one in self.allowed if _is_name(_host(one))]
        where = f"open {' or '.join(fit)}" if fit else "name one under web.origins in isthmus.toml"
        raise Denied(f"passkeys belong to a name, never to an address; {where}", "passkey_needs_name")


def check_origin(origin: object) -> str:
    """An origin as browsers spell it: scheme, name and perhaps a port, https unless it is this machine.

    Raises: ConfigError
    """
    text = origin if isinstance(origin, str) else ""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host = parts.hostname or ""
    spelt = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{'' if port is None else f':{port}'}"
    usual = (parts.scheme, port) in (("https", 443), ("http", 80))  # browsers leave it out
    fit = re.fullmatch(r"[a-z0-9.-]+|[0-9a-f:.]+", host)
    if not fit or parts.scheme not in ("http", "https") or spelt != text or usual:
        raise ConfigError(f"origins: must be such as https://isthmus.plant.example, was {origin!r}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(f"origins: must be https beyond this machine, was {origin!r}")
    return text


def _host(origin: str) -> str:
    return urlsplit(origin).hostname or ""


def _is_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(host)
    return False
