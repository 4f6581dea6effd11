"""What the plant file says about who may do what: zones, conduits, roles of the plant's own, and lock-outs.

Source: IEC 62443-3-2 (zones and conduits), IEC 62443-3-3 (security levels)
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

from isthmus.values.errors import ConfigError
from isthmus.values.plant.scalars import Name, PathText
from isthmus.values.schema import Scalar

SITE = "site"
"""The zone core itself stands in, and with it all that is told no other zone."""

OUTSIDE = "outside"
"""Every address that no zone names, once there is a zone."""

ActionName = Literal[
    "read",
    "control.write",
    "control.approve",
    "control.mode",
    "control.lockout",
    "alarm.acknowledge",
    "alarm.shelve",
    "alarm.change",
    "callout.change",
    "recipe.change",
    "recipe.approve",
    "screen.change",
    "screen.publish",
    "production.record",
    "production.correct",
    "production.plan",
    "production.sign",
    "plant.change",
    "plant.approve",
    "connection.test",
    "account.own",
    "accounts",
    "security.change",
    "audit.read",
    "privacy",
    "backup",
]
"""The actions by name, as `isthmus.security.model.Action` has them; a test holds the two together."""

MessageKind = Literal[
    "read", "live", "history", "write", "change", "test", "sign-in", "administer", "audit", "field", "edge", "deliver"
]
"""What a conduit may let through. Between people or programs and the plant: read, live, history, write, change, test,
sign-in, administer, audit. Between machines: field (edge and device), edge (edge and core), deliver (core and the other
side of a connector)."""

BUILT_IN_ROLES = ("viewer", "operator", "supervisor", "engineer", "maintainer", "security", "admin")


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ConfigError("must be a network such as 10.1.0.0/16, or an address") from None


def _moment(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError("must be a time such as 2026-03-01 or 2026-03-01T08:00Z") from None
    return text


Network = Annotated[str, Scalar("a network such as 10.1.0.0/16, or an address", _network, {"type": "string"})]
Moment = Annotated[str, Scalar("a time such as 2026-03-01 or 2026-03-01T08:00Z", _moment, {"type": "string"})]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneSection:
    """A security zone: what belongs together because it is protected alike."""

    networks: tuple[Network, ...] = ()
    """Addresses from which people and programs of this zone come; the longest network that fits decides."""
    programs: tuple[str, ...] = ()
    """Names of tokens that belong to this zone. From an address of another zone they are refused; one that runs on this
    machine belongs here instead of to the site."""
    edges: tuple[Name, ...] = ()
    """Edges that stand in this zone; in `site` unless told."""
    security_level: int | None = None
    """Target security level SL-T (IEC 62443-3-3), 0 to 4. It is shown and reported; nothing follows from it by itself."""
    description: str = ""
    """For people."""

    def __post_init__(self) -> None:
        if self.security_level is not None and not 0 <= self.security_level <= 4:
            raise ConfigError(f"security_level: must lie between 0 and 4, was {self.security_level}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConduitSection:
    """What may pass from one zone to another. What no conduit names does not pass."""

    source: Name = field(metadata={"key": "from"})
    """The zone that asks; `outside` is every address that no zone names."""
    target: Name = field(metadata={"key": "to"})
    """The zone that is asked; core itself stands in `site`."""
    allow: tuple[MessageKind, ...]
    """Kinds of message it lets through."""
    description: str = ""
    """For people: why it is there."""

    def __post_init__(self) -> None:
        if self.source is not None and self.source == self.target:
            raise ConfigError(f"to: a conduit joins two zones, was {self.target}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSection:
    """A role of the plant's own, beside viewer, operator, supervisor, engineer, maintainer, security and admin."""

    extends: tuple[Name, ...] = ()
    """Roles it has everything of, within what this one is narrowed to."""
    allow: tuple[ActionName, ...] = ()
    """Actions beside those of the roles it extends."""
    deny: tuple[ActionName, ...] = ()
    """Actions it never has, whatever it extends."""
    under: tuple[PathText, ...] = ()
    """Paths of the plant it is narrowed to, with all below them; the whole plant unless told."""
    zones: tuple[Name, ...] = ()
    """Zones it is narrowed to; all unless told."""
    when: tuple[Name, ...] = ()
    """States of the plant's part in which it may change anything there, such as stopped or maintenance; any unless told.
    Looking is never tied to a state; where the state is not known, nothing is changed."""
    description: str = ""
    """For people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockoutSection:
    """A lock-out: nothing here or below is written to while it stands."""

    who: str
    """Who holds the lock."""
    why: str
    """What is done meanwhile."""
    since: Moment = ""
    """Since when."""
