"""What may not stand in the settings: plaintext beyond this machine. Asked by `isthmus up`, core, the listener and `isthmus doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from isthmus.app.settings import Settings
from isthmus.bus.broker import BusAddress
from isthmus.values.errors import ConfigError
from isthmus.values.hosts import is_loopback


@dataclass(frozen=True, slots=True)
class Problem:
    """One way in or out that would be plaintext beyond this machine; ``mend`` says what to do."""

    key: str
    reason: str
    mend: str

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}; {self.mend}"


def check(settings: Settings) -> list[Problem]:
    """Every plaintext way beyond loopback. Screens, API and bus are TLS there by themselves and cannot be otherwise."""
    found = []
    if settings.mqtt.listen and not settings.mqtt.certificate:
        host, port = settings.mqtt.place
        if not is_loopback(host):
            found.append(
                Problem(
                    "mqtt.listen",
                    f"devices would send their passwords unencrypted to {host}:{port}",
                    f"run `isthmus expose --mqtt {port or 8883}`, or set mqtt.certificate and mqtt.key",
                )
            )
    if settings.historian.url:
        found += _database("historian.url", settings.historian.url)
    return found


def refuse(settings: Settings) -> None:
    """Start nothing that would speak plaintext beyond this machine.

    Raises: ConfigError naming every key
    """
    problems = check(settings)
    if problems:
        raise ConfigError("plaintext beyond this machine is refused: " + " | ".join(map(str, problems)))


def refuse_address(address: BusAddress) -> None:
    """The same for an edge's way to its bus.

    Raises: ConfigError
    """
    url = urlsplit(address.url)
    if url.scheme != "tls" and not is_loopback(url.hostname or ""):
        raise ConfigError(
            f"bus: {address.url} is plaintext beyond this machine, which is refused; on the core's machine run "
            "`isthmus expose --edges PORT` and `isthmus edge invite NAME`, then `isthmus edge join` here"
        )


def _database(key: str, url: str) -> list[Problem]:
    parts = urlsplit(url)
    if is_loopback(parts.hostname or "") or parts.scheme == "https":
        return []
    reason = f"the record and its password would cross the network unencrypted to {parts.hostname}"
    return [Problem(key, reason, "use https:// (port 8443 by default)")]
