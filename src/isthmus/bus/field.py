"""The FIELD account: devices that speak MQTT, each with a credential and topics of its own.

Everything a device may say or hear is its own topics; it lives at another server than frames and commands, and can name none of
their subjects. Passwords are made here, shown once, and kept as hashes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.bus.bcrypt import hashed
from isthmus.bus.broker import (
    EDGE_USER,
    FIELD_USER,
    BrokerFiles,
    field_subject,
    field_user,
    load_said,
    may_say,
    write_private,
)
from isthmus.values.errors import ConfigError
from isthmus.values.ids import check_name
from isthmus.values.mqtt import check_filter

MAX_DEVICES = 10_000
MAX_TOPICS = 100
RELOAD_S = 5.0
"""A running broker has this long to follow a change; it usually takes some 20 ms."""


def node_topics(group: str, node: str) -> tuple[list[str], list[str]]:
    """What a Sparkplug edge node publishes and what it listens to.

    Raises: ConfigError if a name would be everybody's
    Source: Eclipse Sparkplug 3.0, section 4.1 (topic namespace)
    """
    for what, name in (("group", group), ("node", node)):
        if not name or any(c in name for c in "/+#"):
            raise ConfigError(f"sparkplug: must be GROUP/NODE without + and #, the {what} was {name!r}")
    publish = [f"spBv1.0/{group}/{kind}/{node}" for kind in ("NBIRTH", "NDATA", "NDEATH")]
    publish += [f"spBv1.0/{group}/{kind}/{node}/+" for kind in ("DBIRTH", "DDATA", "DDEATH")]
    listen = [f"spBv1.0/{group}/NCMD/{node}", f"spBv1.0/{group}/DCMD/{node}/+", "spBv1.0/STATE/+"]
    return publish, listen


@dataclass(frozen=True, slots=True)
class Device:
    """What one device may do. ``password`` is a hash."""

    name: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    password: str

    def __repr__(self) -> str:
        return f"Device({self.name}, publish={self.publish}, subscribe={self.subscribe}, password=***)"


def _subjects(filters: Sequence[str]) -> list[str]:
    """All subjects of the filters; a filter that ends in /# holds the level above too."""
    found: list[str] = []
    for one in filters:
        found.append(field_subject(one))
        if one.endswith("/#"):
            found.append(field_subject(one.removesuffix("/#")))
    return found


def device_entry(device: Device) -> dict[str, object]:
    """A device as a user of nats-server. QoS 1 and 2 reach a client through `$MQTT.sub`, which only its own session names."""
    publish, subscribe = _subjects(device.publish), [*_subjects(device.subscribe), "$MQTT.sub.>"]
    return {
        "user": device.name,
        "password": device.password,
        "allowed_connection_types": ["MQTT"],
        "permissions": {
            "publish": {"allow": publish} if publish else {"deny": [">"]},
            "subscribe": {"allow": subscribe},
        },
    }


def _check_topics(filters: Sequence[str], key: str) -> tuple[str, ...]:
    if len(filters) > MAX_TOPICS:
        raise ConfigError(f"{key}: at most {MAX_TOPICS} topics a device, were {len(filters)}")
    for one in filters:
        check_filter(one, key)
        if one.startswith("$") or "" in one.split("/"):
            raise ConfigError(f"{key}: may not begin with $ or have an empty level, was {one!r}")
        if one == "#" or one.startswith("+"):
            raise ConfigError(
                f"{key}: the first level must be named, so that a device has topics of its own, was {one!r}"
            )
    return tuple(dict.fromkeys(filters))


class Devices:
    """The devices of one broker, kept in a 0600 file; changes reach a running broker at once."""

    def __init__(self, files: BrokerFiles) -> None:
        self._files = files

    def all(self) -> list[Device]:
        """Every device, by name.

        Raises: ConfigError if the file is damaged
        """
        if not self._files.devices.exists():
            return []
        try:
            raw = json.loads(self._files.devices.read_text())
            return [
                Device(name, tuple(d["publish"]), tuple(d["subscribe"]), str(d["password"]))
                for name, d in sorted(raw.items())
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{self._files.devices}: not a list of devices: {error!r}") from error

    def add(self, name: str, publish: Sequence[str], subscribe: Sequence[str]) -> str:
        """Admit a device; its password, which is kept nowhere.

        Raises: ConfigError for a name that is taken or not allowed, or topics that are none
        """
        check_name(name, "device")
        if name == "core" or name.startswith((EDGE_USER, FIELD_USER)):
            raise ConfigError(f"device: core, edge-… and field-… are names of our own users, was {name!r}")
        known = self.all()
        if any(d.name == name for d in known):
            raise ConfigError(f"device: {name} is known already; revoke it first to give it a new password")
        if len(known) >= MAX_DEVICES:
            raise ConfigError(f"device: at most {MAX_DEVICES}")
        publish, subscribe = _check_topics(publish, "publish"), _check_topics(subscribe, "subscribe")
        if not publish and not subscribe:
            raise ConfigError("device: needs a topic to publish or subscribe to")
        password = secrets.token_urlsafe(32)
        self._keep([*known, Device(name, publish, subscribe, hashed(password))])
        return password

    def revoke(self, name: str) -> None:
        """Shut a device out: its links end, the others' do not.

        Raises: ConfigError if there is none of that name
        """
        known = self.all()
        left = [d for d in known if d.name != name]
        if len(left) == len(known):
            raise ConfigError(f"device: there is none of that name, was {name!r}")
        self._keep(left)

    def _keep(self, devices: list[Device]) -> None:
        """Write the list, then make a running broker follow."""
        entries = {
            d.name: {"publish": list(d.publish), "subscribe": list(d.subscribe), "password": d.password}
            for d in sorted(devices, key=lambda d: d.name)
        }
        write_private(self._files.devices, json.dumps(entries, indent=1))
        server = self._files.field
        if not server.config.exists():
            return
        with _alone(self._files):
            settings = json.loads(server.config.read_text())
            own = [u for u in settings["accounts"]["FIELD"]["users"] if u["user"].startswith(FIELD_USER)]
            settings["accounts"]["FIELD"]["users"] = own + [device_entry(d) for d in devices]
            write_private(server.config, json.dumps(settings, indent=1))
        reload(server)


@contextlib.contextmanager
def _alone(files: BrokerFiles) -> Iterator[None]:
    """One process at a time changes the settings of the server for devices."""
    files.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (files.folder / ".field.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def let_say(files: BrokerFiles, said: Mapping[str, Sequence[str]]) -> bool:
    """Let edges publish these topics, or filters, to devices and no others; links that stand follow. Whether anything changed.

    Raises: ConfigError if the server does not take it
    """
    wanted = {edge: sorted(set(topics)) for edge, topics in sorted(said.items()) if topics}
    if wanted == load_said(files):
        return False
    with _alone(files):
        write_private(files.said, json.dumps(wanted, indent=1))
        if not files.field.config.exists():
            return True
        settings = json.loads(files.field.config.read_text())
        allowed = {field_user(edge): may_say(topics) for edge, topics in wanted.items()}
        for entry in settings["accounts"]["FIELD"]["users"]:
            if entry["user"].startswith(FIELD_USER):
                entry["permissions"]["publish"]["allow"] = allowed.get(entry["user"], may_say(()))
        write_private(files.field.config, json.dumps(settings, indent=1))
    reload(files.field)
    return True


def reload(files: BrokerFiles) -> None:
    """Have the running broker read its settings again, and wait until it has; one that does not run reads them when it starts."""
    import psutil  # the supervisor is awaited, and does not come here

    try:
        pid = int(files.pid.read_text())
        if str(files.config) not in psutil.Process(pid).cmdline():
            return
        start = files.log.stat().st_size if files.log.exists() else 0
        os.kill(pid, signal.SIGHUP)
    except (FileNotFoundError, ValueError, ProcessLookupError, psutil.Error):
        return
    deadline = time.monotonic() + RELOAD_S
    while time.monotonic() < deadline:
        time.sleep(0.01)
        with contextlib.suppress(OSError), files.log.open("rb") as log:
            log.seek(start if files.log.stat().st_size >= start else 0)  # a log may begin anew at any time
            said = log.read()
            if b"Failed to reload" in said:
                raise ConfigError(f"bus: the broker did not take the change; {files.log} says why")
            if b"Reloaded server configuration" in said:  # the lines before it are said before it is done
                return


@dataclass(frozen=True, slots=True)
class ListenerAddress:
    """Where the listener of a broker is: for devices, for edges of this machine, and behind it nats-server's own."""

    host: str
    port: int
    local_port: int
    inner_port: int

    def save(self, path: Path) -> None:
        """Write it where edges, the listener and commands look."""
        write_private(
            path,
            json.dumps({n: getattr(self, n) for n in ("host", "port", "local_port", "inner_port")}),
        )

    @classmethod
    def load(cls, path: Path) -> ListenerAddress:
        """Read it.

        Raises: ConfigError saying how to switch the listener on
        """
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            raise ConfigError(
                'the built-in MQTT listener is off; put [mqtt] listen = "127.0.0.1:1883" into isthmus.toml and start again'
            ) from None
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{path}: not a listener's address: {error}") from error
