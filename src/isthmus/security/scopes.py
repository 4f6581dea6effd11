"""What narrows a token or a sign-in at a station: checked when it is made, and kept as JSON."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from isthmus.security.model import WHOLE, Action, Scope
from isthmus.values.errors import ConfigError, Denied

_MOST = 100
_MOST_CHARS = 400


def make_scope(
    actions: Iterable[str] = (), under: Iterable[str] = (), zones: Iterable[str] = (), sources: Iterable[str] = ()
) -> Scope:
    """A scope of what somebody wrote.

    Raises: ConfigError naming the part and the value
    """
    known = {action.value for action in Action}
    wrong = [action for action in actions if action not in known]
    if wrong:
        raise ConfigError(f"actions: known are {', '.join(sorted(known))}, was {wrong[0][:80]!r}")
    return Scope(
        frozenset(map(Action, actions)),
        tuple(dict.fromkeys(map(_path, _few(under, "under")))),
        tuple(dict.fromkeys(_text(zone, "zones") for zone in _few(zones, "zones"))),
        tuple(dict.fromkeys(map(_network, _few(sources, "sources")))),
    )


def _few(given: Iterable[str], what: str) -> list[str]:
    found = list(given)
    if len(found) > _MOST:
        raise ConfigError(f"{what}: at most {_MOST} are taken, was {len(found)}")
    return found


def _text(given: str, what: str) -> str:
    if not given or len(given) > _MOST_CHARS or not given.isprintable() or given != given.strip():
        raise ConfigError(f"{what}: must be a printable text of 1 to {_MOST_CHARS} characters, was {given[:80]!r}")
    return given


def _path(given: str) -> str:
    parts = _text(given, "under").split("/")
    if not all(parts) or {".", ".."} & set(parts):
        raise ConfigError(f"under: must be a path like hall/line1, was {given[:80]!r}")
    return given


def _network(given: str) -> str:
    try:
        network = ipaddress.ip_network(given)
    except ValueError:
        raise ConfigError(f"sources: must be an address or a network like 192.168.4.0/24, was {given[:80]!r}") from None
    return str(network if network.num_addresses > 1 else network.network_address)


def to_json(scope: Scope) -> str:
    """As it is kept; empty for one that narrows nothing."""
    if scope == WHOLE:
        return ""
    return orjson.dumps(to_dict(scope)).decode()


def to_dict(scope: Scope) -> dict[str, list[str]]:
    """As it is shown."""
    return {
        "actions": sorted(action.value for action in scope.actions),
        "under": list(scope.under),
        "zones": list(scope.zones),
        "sources": list(scope.sources),
    }


def from_json(text: str) -> Scope:
    """A kept scope. An action that this build does not know is left out; none left over allows nothing.

    Raises: Denied if it is unreadable, for a narrowed token must never become a whole one
    """
    if not text:
        return WHOLE
    try:
        found: Mapping[str, Any] = orjson.loads(text)
        known = {action.value for action in Action}
        actions = frozenset(Action(a) for a in found["actions"] if a in known)
        if found["actions"] and not actions:
            raise ValueError
        return Scope(actions, tuple(found["under"]), tuple(found["zones"]), tuple(found["sources"]))
    except (ValueError, KeyError, TypeError):
        raise Denied("the limits of this token cannot be read; make a new one", "no_credentials") from None
