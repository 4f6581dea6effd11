"""Where the audit log goes besides this machine, as the settings have it. Light: whoever starts reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from isthmus.values.errors import ConfigError
from isthmus.values.hosts import is_loopback

KINDS: Final = ("syslog", "file", "webhook")


@dataclass(frozen=True, slots=True)
class Target:
    """One `[audit.forward.NAME]`."""

    name: str
    kind: str
    """syslog, file or webhook."""
    host: str = ""
    port: int = 6514
    path: str = ""
    url: str = ""
    ca: str = ""
    """PEM file of who signed the receiver's certificate; the system's authorities if empty."""
    certificate: str = ""
    key: str = ""
    secret: str = ""
    """Reference to the webhook's secret, `secret:NAME`."""
    reveal: Callable[[str], str] = lambda reference: reference
    """What a reference stands for."""


def parse_target(name: str, given: object) -> Target:
    """One receiver as the settings have it.

    Raises: ConfigError naming the key
    """
    where = f"audit.forward.{name}"
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where}: must be a section [{where}], was {given!r}")
    known = [f.name for f in fields(Target) if f.name not in ("name", "reveal")]
    for key, value in given.items():
        if key not in known:
            raise ConfigError(f"{where}.{key}: unknown key, known are {', '.join(known)}")
        wanted = int if key == "port" else str
        if type(value) is not wanted:
            raise ConfigError(f"{where}.{key}: must be {wanted.__name__}, was {value!r}")
    if not name or not all(c.isalnum() or c in "-_" for c in name):
        raise ConfigError(f"{where}: a name has letters, digits, - and _ only")
    target = Target(name=name, **{"kind": "", **given})
    if target.kind not in KINDS:
        raise ConfigError(f"{where}.kind: must be {', '.join(KINDS)}, was {target.kind!r}")
    needed = {"syslog": "host", "file": "path", "webhook": "url"}[target.kind]
    if not getattr(target, needed):
        raise ConfigError(f"{where}.{needed}: is needed")
    if not 0 < target.port < 65536:
        raise ConfigError(f"{where}.port: must be 1 to 65535, was {target.port}")
    if target.kind == "file" and not Path(target.path).is_absolute():
        raise ConfigError(f"{where}.path: must be absolute, was {target.path!r}")
    if target.kind == "webhook":
        _check_url(where, target)
    if bool(target.certificate) != bool(target.key):
        raise ConfigError(f"{where}: certificate and key belong together")
    return target


def _check_url(where: str, target: Target) -> None:
    url = urlsplit(target.url)
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.hostname or "")):
        raise ConfigError(f"{where}.url: must be https:// (http:// only to this machine), was {target.url!r}")
    if not url.hostname or url.username:
        raise ConfigError(f"{where}.url: must name a host, and no user")
    if not target.secret.startswith(("secret:", "env:")):
        raise ConfigError(f"{where}.secret: must be a reference, secret:NAME or env:NAME; what is sent is signed by it")
