"""Node settings: `isthmus.toml` in the data directory. Everything has a default; unknown keys are refused."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.security.audit.targets import Target, parse_target
from isthmus.security.model import Lifetimes
from isthmus.security.oidc_model import ProviderSettings, check_provider
from isthmus.security.origins import check_origin
from isthmus.values.errors import ConfigError
from isthmus.values.hosts import is_loopback
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
    trusted_proxy: str = ""
    """Empty: none. Otherwise the address of the proxy in front, whose X-Forwarded-For is believed; nobody else's is."""
    origins: tuple[str, ...] = ()
    """Addresses under which browsers reach it, `https://isthmus.plant.example`; sign-on comes back to the first, passkeys
    belong to their names. Empty: localhost and ``hosts``, which count in any case."""
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


@dataclass(frozen=True, slots=True)
class SignInSettings:
    """How long people stay signed in (docs/identity.md)."""

    idle_minutes: int = 720
    """A session that nobody uses for so long ends."""
    session_hours: int = 168
    """A session ends after this long in any case."""
    step_up_minutes: int = 15
    """After signing in, accounts may be changed for this long without saying again who one is."""
    kiosk_idle_minutes: int = 10
    """At a station, unless it says otherwise."""

    def lifetimes(self) -> Lifetimes:
        """As identity takes it."""
        return Lifetimes(
            idle_s=self.idle_minutes * 60.0,
            session_s=self.session_hours * 3600.0,
            step_up_s=self.step_up_minutes * 60.0,
            kiosk_idle_s=self.kiosk_idle_minutes * 60.0,
        )


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """The audit log (docs/audit.md)."""

    segment_mb: int = 16
    """Size of one of its files; then the next begins."""
    keep_days: int = 1095
    """Whole files whose newest record is older are removed, and a signed record says so."""
    forward: dict[str, Any] = field(default_factory=dict)
    """Receivers off this machine, each a section `[audit.forward.NAME]`."""

    def targets(self, reveal: Callable[[str], str] = str) -> list[Target]:
        """The receivers; ``reveal`` gives what a reference to a secret stands for.

        Raises: ConfigError naming the key
        """
        return [dataclasses.replace(parse_target(name, given), reveal=reveal) for name, given in self.forward.items()]


@dataclass(frozen=True, slots=True)
class PrivacySettings:
    """What is shown about people (docs/privacy.md)."""

    smallest_group: int = 5
    """Figures of a team are shown for so many people or more; 1 lets the plant look at single persons."""


@dataclass(frozen=True, slots=True)
class CalloutSettings:
    """Telling people of alarms (docs/callout.md)."""

    link: str = ""
    """Where browsers of people on duty reach the screens, `https://isthmus.plant.example`; links by which they acknowledge begin
    so. Empty: the first of `web.origins`, and without one messages hold no links."""
    link_hours: int = 12
    """How long such a link is good."""
    keep_days: int = 90
    """How long calls and deliveries are kept after their end."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All sections."""

    web: WebSettings = field(default_factory=WebSettings)
    node: NodeSettings = field(default_factory=NodeSettings)
    disk: DiskSettings = field(default_factory=DiskSettings)
    historian: HistorianSettings = field(default_factory=HistorianSettings)
    log: LogSettings = field(default_factory=LogSettings)
    mqtt: MqttSettings = field(default_factory=MqttSettings)
    sign_in: SignInSettings = field(default_factory=SignInSettings)
    oidc: tuple[ProviderSettings, ...] = ()
    """Providers of single sign-on, one section [oidc.NAME] each (docs/sign-on.md)."""
    audit: AuditSettings = field(default_factory=AuditSettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    bus: BusSettings = field(default_factory=BusSettings)
    secrets: SecretSettings = field(default_factory=SecretSettings)
    callout: CalloutSettings = field(default_factory=CalloutSettings)


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
    values: dict[str, Any] = {"oidc": _providers(path, raw.pop("oidc", {}))}
    for name, content in raw.items():
        section = sections.get(name)
        if section is None or section is dataclasses.MISSING:
            raise ConfigError(f"{path}: {name}: unknown section, known are {', '.join(sections)}")
        values[name] = _section(path, name, content, section())
    settings = Settings(**values)
    if not 0 < settings.web.port < 65536:
        raise ConfigError(f"{path}: web.port: must be 1 to 65535, was {settings.web.port}")
    if settings.web.trusted_proxy:
        try:
            ipaddress.ip_address(settings.web.trusted_proxy)
        except ValueError:
            raise ConfigError(
                f"{path}: web.trusted_proxy: must be an address such as 10.0.0.5, was {settings.web.trusted_proxy!r}"
            ) from None
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
    for name, most in (
        ("idle_minutes", 10_080),
        ("session_hours", 8_760),
        ("step_up_minutes", 480),
        ("kiosk_idle_minutes", 480),
    ):
        value = getattr(settings.sign_in, name)
        if not 0 < value <= most:
            raise ConfigError(f"{path}: sign_in.{name}: must be 1 to {most}, was {value}")
    for name, number, most in (
        ("audit.segment_mb", settings.audit.segment_mb, 1000),
        ("audit.keep_days", settings.audit.keep_days, 36_500),
        ("privacy.smallest_group", settings.privacy.smallest_group, 1000),
        ("callout.link_hours", settings.callout.link_hours, 168),
        ("callout.keep_days", settings.callout.keep_days, 3650),
    ):
        if not 0 < number <= most:
            raise ConfigError(f"{path}: {name}: must be 1 to {most}, was {number}")
    try:
        settings.audit.targets()
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    for edge in settings.node.edges:
        check_name(edge, f"{path}: node.edges")
    try:
        for origin in settings.web.origins:
            check_origin(origin)
    except ConfigError as error:
        raise ConfigError(f"{path}: web.{error}") from None
    try:
        if settings.callout.link:
            check_origin(settings.callout.link)
    except ConfigError as error:
        raise ConfigError(f"{path}: callout.link: {error}") from None
    return settings


def _section(path: Path, name: str, content: object, default: Any) -> Any:
    """One section over its defaults."""
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: {name}: must be a section [{name}], was {content!r}")
    known = {f.name: getattr(default, f.name) for f in dataclasses.fields(default)}
    for key, value in content.items():
        if key not in known:
            raise ConfigError(f"{path}: {name}.{key}: unknown key, known are {', '.join(known)}")
        wanted = type(known[key])
        given = tuple(value) if wanted is tuple and isinstance(value, list) else value
        if type(given) is not wanted:
            raise ConfigError(f"{path}: {name}.{key}: must be {wanted.__name__}, was {value!r}")
        known[key] = given
    return dataclasses.replace(default, **known)


def _providers(path: Path, content: object) -> tuple[ProviderSettings, ...]:
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: oidc: must be sections [oidc.NAME], was {content!r}")
    found = []
    for name, section in content.items():
        if isinstance(section, dict) and "name" in section:
            raise ConfigError(f"{path}: oidc.{name}.name: unknown key; the section's own name is it")
        settings = dataclasses.replace(_section(path, f"oidc.{name}", section, ProviderSettings()), name=name)
        try:
            found.append(check_provider(settings))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
    return tuple(found)
