"""Node settings: `isthmus.toml` in the data directory. Everything has a default; unknown keys are refused."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.values.errors import ConfigError
from isthmus.values.ids import check_name


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where the screens and the API are served."""

    host: str = "127.0.0.1"
    """Loopback unless told otherwise."""
    port: int = 8420


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What runs on this machine."""

    edges: tuple[str, ...] = ("edge-1",)
    """Edges that `isthmus up` starts here."""
    buffer_rows: int = 2_000_000
    """Samples an edge keeps in memory while the bus is away, at about 24 bytes each; then the oldest go, and leave a gap."""
    spare: bool = True
    """Keep a loaded process beside core and each edge, which takes the place of one that dies at once (decision 0008)."""


@dataclass(frozen=True, slots=True)
class DiskSettings:
    """How much of the volume stays free whatever happens."""

    reserve_mb: int = 512
    """Below this much free space nothing more is published or recorded; reading goes on, and it resumes by itself."""


@dataclass(frozen=True, slots=True)
class HistorianSettings:
    """Where the record lies."""

    url: str = ""
    """Empty: embedded in core. Otherwise a ClickHouse server, `http://user@host:8123/database`."""


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
    """A PEM file: devices then speak TLS. Always do so where they are not on this machine."""
    key: str = ""
    """The PEM file of its private key."""

    @property
    def place(self) -> tuple[str, int]:
        """Host and port of ``listen``.

        Raises: ConfigError if it is none
        """
        host, colon, port = self.listen.rpartition(":")
        if not colon or not host or not port.isdecimal() or int(port) > 65_535:
            raise ConfigError(f"mqtt.listen: must be HOST:PORT, was {self.listen!r}")
        return host.strip("[]"), int(port)


@dataclass(frozen=True, slots=True)
class Settings:
    """All sections."""

    web: WebSettings = field(default_factory=WebSettings)
    node: NodeSettings = field(default_factory=NodeSettings)
    disk: DiskSettings = field(default_factory=DiskSettings)
    historian: HistorianSettings = field(default_factory=HistorianSettings)
    log: LogSettings = field(default_factory=LogSettings)
    mqtt: MqttSettings = field(default_factory=MqttSettings)


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
    if settings.mqtt.listen:
        try:
            settings.mqtt.place  # noqa: B018  looked at for its error
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
    if bool(settings.mqtt.certificate) != bool(settings.mqtt.key):
        raise ConfigError(f"{path}: mqtt.certificate and mqtt.key belong together")
    if settings.node.buffer_rows < 10_000:
        raise ConfigError(f"{path}: node.buffer_rows: must be 10000 or more, was {settings.node.buffer_rows}")
    for name, value, most in (("file_mb", settings.log.file_mb, 1000), ("files", settings.log.files, 100)):
        if not 0 < value <= most:
            raise ConfigError(f"{path}: log.{name}: must be 1 to {most}, was {value}")
    for edge in settings.node.edges:
        check_name(edge, f"{path}: node.edges")
    return settings
