"""`isthmus expose`: what others on the network may reach, in one step, and back. Settings keep their comments."""

from __future__ import annotations

import json
import re
import socket
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.app.ca import Authority, addresses_here, wanted_names
from isthmus.app.datadir import DataDir
from isthmus.app.settings import AUTO, Settings, is_host, load_settings
from isthmus.bus.broker import write_private
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError
from isthmus.values.hosts import is_loopback

_EVERYWHERE = "0.0.0.0"  # noqa: S104  this is what the command is for, and it asks first
_HEADER = re.compile(r"\s*\[\s*([A-Za-z0-9_-]+)\s*\]\s*(#.*)?$")
Values = dict[str, Any]
"""Values by key, ``web.host``; None where the key shall not stand in the file."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What shall be reachable. Ports are 0 where it is not wished."""

    names: tuple[str, ...] = ()
    address: str = ""
    port: int = 0
    mqtt_port: int = 0
    edges_port: int = 0

    @property
    def screens(self) -> bool:
        """Whether screens and API are meant, as they are unless only devices are."""
        return bool(self.names or self.address or self.port or self.edges_port or not self.mqtt_port)


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done. ``text`` is the settings file as it would be; ``new_root`` tells that the authority is made anew, and
    ``warning`` what that means where somebody trusts the old one already.
    """

    changes: tuple[tuple[str, Any, Any], ...]  # key, before, after
    text: str
    settings: Settings
    reachable: tuple[str, ...]
    names: tuple[str, ...]
    new_root: bool
    warning: str


def plan(data: DataDir, wish: Wish, clock: Clock) -> Plan:
    """What a wish would change. Changes nothing but that the authority is made, if there is none.

    Raises: ConfigError for names and addresses that are none, or a file whose form has to be changed by hand
    """
    settings = load_settings(data.settings)
    values = _values(settings, wish)
    text = data.settings.read_text() if data.settings.exists() else ""
    new = edit(text, values, data.settings)
    then = _check(new, data.settings)
    names = wanted_names(then)
    root = Authority(data.tls, clock)
    foreign = [n for n in names if root.root_file.exists() and not root.may_vouch_for(n)]
    warning = ""
    if foreign and (_kept(data) or (data.bus.folder / "enrolled.json").exists()):
        warning = (
            f"the authority of this installation may not vouch for {', '.join(foreign)} and is made anew: tablets have to trust the "
            "new one, and edges on other machines have to join again"
        )
    before = tomllib.loads(text)
    changes = tuple((k, _get(before, k), v) for k, v in values.items() if _get(before, k) != v)
    return Plan(changes, new, then, tuple(_reachable(then)), tuple(names), bool(foreign), warning)


def carry_out(data: DataDir, made: Plan, clock: Clock) -> None:
    """Do it: settings, and a certificate for the names. What was before is kept for `undo`."""
    known = _kept(data)
    kept = {key: known.get(key, before) for key, before, _ in made.changes}
    write_private(_memory(data), json.dumps(known | kept, indent=1))
    write_private(data.settings, made.text)
    authority = Authority(data.tls, clock)
    if made.new_root:
        authority.remake(made.names)
    authority.server(made.names)


def undo(data: DataDir) -> list[str]:
    """Back to the settings of before; the keys that changed.

    Raises: ConfigError if nothing was exposed by the command
    """
    kept = _kept(data)
    if not kept:
        raise ConfigError("nothing was exposed by `isthmus expose` here; look at isthmus.toml")
    text = edit(data.settings.read_text() if data.settings.exists() else "", kept, data.settings)
    _check(text, data.settings)
    write_private(data.settings, text)
    _memory(data).unlink()
    return sorted(kept)


def edit(text: str, values: Mapping[str, Any], file: Path) -> str:
    """A settings file with other values; every other line stays as it is.

    Raises: ConfigError with what to write by hand, for a form this does not understand
    """
    lines = text.splitlines()
    for key, value in values.items():
        section, name = key.split(".")
        _set(lines, section, name, value)
    new = "\n".join(lines) + "\n" if lines else ""
    wanted = tomllib.loads(text)
    for key, value in values.items():
        section, name = key.split(".")
        place = wanted.setdefault(section, {})
        place.pop(name, None)
        if value is not None:
            place[name] = value
    try:
        good = _bare(tomllib.loads(new)) == _bare(wanted)
    except tomllib.TOMLDecodeError:
        good = False
    if not good:
        by_hand = "; ".join(f"{k} = {json.dumps(v)}" for k, v in values.items() if v is not None)
        raise ConfigError(f"{file}: is written in a form that only a person can change; set by hand: {by_hand}")
    return new


def _set(lines: list[str], section: str, name: str, value: Any) -> None:
    heads = [(i, m[1]) for i, line in enumerate(lines) if (m := _HEADER.match(line))]
    begin = next((i for i, title in heads if title == section), None)
    if begin is None:
        if value is not None:
            lines += [*([""] if lines and lines[-1] else []), f"[{section}]", f"{name} = {json.dumps(value)}"]
        return
    end = next((i for i in range(begin + 1, len(lines)) if lines[i].lstrip().startswith("[")), len(lines))
    at = next((i for i in range(begin + 1, end) if re.match(rf"\s*{name}\s*=", lines[i])), None)
    if at is None:
        if value is not None:
            lines.insert(begin + 1, f"{name} = {json.dumps(value)}")
    elif value is None:
        del lines[at]
    else:
        comment = _comment(lines[at])
        lines[at] = f"{name} = {json.dumps(value)}" + (f"  {comment}" if comment else "")


def _comment(line: str) -> str:
    """What stands behind the value of a line."""
    for at in (i for i, c in enumerate(line) if c == "#"):
        try:
            tomllib.loads(line[:at])
        except tomllib.TOMLDecodeError:
            continue
        return line[at:]
    return ""


def _bare(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without empty sections, which mean nothing."""
    return {k: v for k, v in values.items() if v != {}}


def _get(values: Mapping[str, Any], key: str) -> Any:
    section, name = key.split(".")
    return values.get(section, {}).get(name)


def _check(text: str, file: Path) -> Settings:
    """What a text means as settings, before it becomes the file."""
    trial = file.with_name(f".{file.name}.trial")
    write_private(trial, text)
    try:
        return load_settings(trial)
    finally:
        trial.unlink()


def _values(settings: Settings, wish: Wish) -> Values:
    for name in (*wish.names, *((wish.address,) if wish.address else ())):
        if not is_host(name):
            raise ConfigError(f"name: must be a DNS name or an address, without scheme and port, was {name!r}")
    host = wish.address or _EVERYWHERE
    values: Values = {}
    if wish.screens:
        values["web.host"] = host
        values["web.hosts"] = list(dict.fromkeys([*(wish.names or settings.web.hosts or _own_names())]))
        if wish.port:
            values["web.port"] = wish.port
    if wish.mqtt_port:
        known = settings.mqtt.place[0] if settings.mqtt.listen else ""
        values["mqtt.listen"] = _at(host if wish.address or is_loopback(known) or not known else known, wish.mqtt_port)
        if not settings.mqtt.certificate:
            values["mqtt.certificate"] = AUTO
    if wish.edges_port:
        values["bus.listen"] = _at(host, wish.edges_port)
    return values


def _own_names() -> Sequence[str]:
    name = socket.gethostname().casefold()
    short = name.partition(".")[0]
    return [n for n in dict.fromkeys((name, f"{short}.local")) if is_host(n) and n != "localhost"]


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reachable(settings: Settings) -> list[str]:
    def where(host: str) -> str:
        return (
            f"all addresses of this machine ({', '.join(addresses_here()) or 'none now'})"
            if host in (_EVERYWHERE, "::")
            else host
        )

    found = []
    if not is_loopback(settings.web.host):
        found.append(
            f"screens and API: port {settings.web.port} on {where(settings.web.host)}, HTTPS, for who signs in"
        )
    if settings.mqtt.listen and not is_loopback(settings.mqtt.place[0]):
        host, port = settings.mqtt.place
        found.append(f"MQTT: port {port} on {where(host)}, TLS, for devices admitted by `isthmus device add`")
    if settings.bus.listen and not is_loopback(settings.bus.place[0]):
        host, port = settings.bus.place
        found.append(f"bus: port {port} on {where(host)}, TLS with certificates on both sides, for edges that joined")
    return found


def _memory(data: DataDir) -> Path:
    return data.tls / "exposed.json"


def _kept(data: DataDir) -> Values:
    try:
        found: Values = json.loads(_memory(data).read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ConfigError(f"{_memory(data)}: is damaged ({error}); remove it and look at isthmus.toml") from None
    return found
