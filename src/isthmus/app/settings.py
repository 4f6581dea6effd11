"""Node settings: `isthmus.toml` in the data directory. Everything has a default; unknown keys are refused."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.values.errors import ConfigError
from isthmus.values.ids import check_name

AUTO = "auto"
"""Instead of a certificate's file: the one of this installation."""
_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z", re.IGNORECASE
)


def is_host(text: str) -> bool:
    """Whether it is a DNS name or an address, as a certificate may hold it."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return bool(_NAME.match(text)) and not text.replace(".", "").isdecimal()
    return True


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where the screens and the API are served."""

    host: str = "127.0.0.1"
    """Loopback unless told otherwise; beyond it everything is HTTPS (`isthmus expose` sets it up)."""
    port: int = 8420
    hosts: tuple[str, ...] = ()
    """Names and addresses by which others reach us; the certificate holds them."""
    https: bool = False
    """HTTPS on loopback too."""

    @property
    def tls(self) -> bool:
        """Whether screens and API are served by HTTPS."""
        return self.https or not is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What runs on this machine."""

    edges: tuple[str, ...] = ("edge-1",)
    """Edges that `isthmus up` starts here."""
    buffer_rows: int = 2_000_000
    """Samples an edge keeps in memory while the bus is away, at about 24 bytes each; then the oldest go, and leave a gap."""


@dataclass(frozen=True, slots=True)
class DiskSettings:
    """How much of the volume stays free whatever happens."""

    reserve_mb: int = 512
    """Below this much free space nothing more is published or recorded; reading goes on, and it resumes by itself."""


@dataclass(frozen=True, slots=True)
class HistorianSettings:
    """Where the record lies."""

    url: str = ""
    """Empty: embedded in core. Otherwise a ClickHouse server, `https://user@host:8443/database`; http:// on loopback only."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What each process keeps of what it says, in `logs/` below the data directory."""

    json: bool = False
    """One JSON object a line instead of text, in the files and on standard error."""
    file_mb: int = 10
    """Size of one file; then the next begins."""
    files: int = 5
    """Files kept of each process; the oldest goes."""


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """The built-in MQTT listener for devices (docs/drivers/mqtt.md)."""

    listen: str = ""
    """Empty: off. Otherwise where devices reach it, `127.0.0.1:1883`; port 0 takes a free one."""
    certificate: str = ""
    """A PEM file: devices then speak TLS, as they must beyond this machine. `auto` takes the one of this installation."""
    key: str = ""
    """The PEM file of its private key; empty with `auto`."""

    @property
    def place(self) -> tuple[str, int]:
        """Host and port of ``listen``.

        Raises: ConfigError if it is none
        """
        return _place(self.listen, "mqtt.listen")


@dataclass(frozen=True, slots=True)
class BusSettings:
    """Where edges on other machines reach the bus (docs/transport.md)."""

    listen: str = ""
    """Empty: loopback, for this machine alone. Otherwise `HOST:PORT`, by TLS with certificates on both sides."""

    @property
    def place(self) -> tuple[str, int]:
        """Host and port of ``listen``.

        Raises: ConfigError if it is none
        """
        host, port = _place(self.listen, "bus.listen")
        if not port:
            raise ConfigError(f"bus.listen: needs a port that stays, as edges elsewhere keep it, was {self.listen!r}")
        return host, port


@dataclass(frozen=True, slots=True)
class SecretSettings:
    """How secrets are sealed at rest."""

    key_file: str = ""
    """Empty: the systemd credential `isthmus-key`, else `secrets.key` in the data directory."""


def _place(text: str, key: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise ConfigError(f"{key}: must be HOST:PORT, was {text!r}")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine alone."""
    if host.casefold() in ("localhost", "ip6-localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Settings:
    """All sections."""

    web: WebSettings = field(default_factory=WebSettings)
    node: NodeSettings = field(default_factory=NodeSettings)
    disk: DiskSettings = field(default_factory=DiskSettings)
    historian: HistorianSettings = field(default_factory=HistorianSettings)
    log: LogSettings = field(default_factory=LogSettings)
    mqtt: MqttSettings = field(default_factory=MqttSettings)
    bus: BusSettings = field(default_factory=BusSettings)
    secrets: SecretSettings = field(default_factory=SecretSettings)


def load_settings(path: Path) -> Settings:
    """Read and check the file; no file means the defaults.

    Raises: ConfigError naming file, key, problem and value
    """
    if not path.exists():
        return Settings()
    try:
        raw = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    sections = {f.name: f.default_factory for f in dataclasses.fields(Settings)}
    values: dict[str, Any] = {}
    for name, content in raw.items():
        section = sections.get(name)
        if section is None or section is dataclasses.MISSING:
            raise ConfigError(f"{path}: {name}: unknown section, known are {', '.join(sections)}")
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: {name}: must be a section [{name}], was {content!r}")
        default = section()
        known = {f.name: getattr(default, f.name) for f in dataclasses.fields(default)}
        for key, value in content.items():
            if key not in known:
                raise ConfigError(f"{path}: {name}.{key}: unknown key, known are {', '.join(known)}")
            wanted = type(known[key])
            given = tuple(value) if wanted is tuple and isinstance(value, list) else value
            if type(given) is not wanted:
                raise ConfigError(f"{path}: {name}.{key}: must be {wanted.__name__}, was {value!r}")
            known[key] = given
        values[name] = dataclasses.replace(default, **known)
    settings = Settings(**values)
    if not 0 < settings.web.port < 65536:
        raise ConfigError(f"{path}: web.port: must be 1 to 65535, was {settings.web.port}")
    for listener in (settings.mqtt, settings.bus):
        if listener.listen:
            try:
                listener.place  # noqa: B018  looked at for its error
            except ConfigError as error:
                raise ConfigError(f"{path}: {error}") from None
    if (settings.mqtt.certificate not in ("", AUTO)) != bool(settings.mqtt.key):
        raise ConfigError(
            f'{path}: mqtt.certificate and mqtt.key belong together; a certificate "auto" has no key here'
        )
    for host in settings.web.hosts:
        if not isinstance(host, str) or not is_host(host):
            raise ConfigError(f"{path}: web.hosts: must be names or addresses, without scheme and port, was {host!r}")
    if settings.node.buffer_rows < 10_000:
        raise ConfigError(f"{path}: node.buffer_rows: must be 10000 or more, was {settings.node.buffer_rows}")
    for name, value, most in (("file_mb", settings.log.file_mb, 1000), ("files", settings.log.files, 100)):
        if not 0 < value <= most:
            raise ConfigError(f"{path}: log.{name}: must be 1 to {most}, was {value}")
    for edge in settings.node.edges:
        check_name(edge, f"{path}: node.edges")
    return settings
