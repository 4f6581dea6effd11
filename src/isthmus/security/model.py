"""Who somebody is and what they may do: pure values and rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """The roles every plant has; its own ones, named in the plant file, stand beside them as plain text."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    SUPERVISOR = "supervisor"
    ENGINEER = "engineer"
    MAINTAINER = "maintainer"
    SECURITY = "security"
    ADMIN = "admin"


class Action(StrEnum):
    """Everything that is asked for permission. A route or command names one of these, or it is refused to everybody."""

    READ = "read"
    WRITE = "control.write"
    CONTROL_APPROVE = "control.approve"  # the second person of a write
    CONTROL_MODE = "control.mode"  # let a zone that was halted run again, or halt it
    CONTROL_LOCKOUT = "control.lockout"  # set and take away a lock-out
    ALARM_ACKNOWLEDGE = "alarm.acknowledge"
    ALARM_SHELVE = "alarm.shelve"
    ALARM_CHANGE = "alarm.change"  # limits at run time, out of service, rationalisation
    CALLOUT_CHANGE = "callout.change"  # rotas, escalation, who is told by what
    RECIPE_CHANGE = "recipe.change"
    RECIPE_APPROVE = "recipe.approve"
    SCREEN_CHANGE = "screen.change"  # draw process screens
    SCREEN_PUBLISH = "screen.publish"  # the second person of a screen
    PRODUCTION_RECORD = "production.record"  # code a stop, count scrap, run an order, key in a reading, record a check
    PRODUCTION_CORRECT = "production.correct"  # recode, split, merge; release holds; change what was recorded
    PRODUCTION_PLAN = "production.plan"  # products, orders, inspection plans, calendar exceptions, targets
    PRODUCTION_SIGN = "production.sign"  # an electronic signature
    PLANT_CHANGE = "plant.change"
    PLANT_APPROVE = "plant.approve"  # the second person of a change
    CONNECTION_TEST = "connection.test"
    ACCOUNT_OWN = "account.own"  # one's own name, password and session
    ACCOUNTS = "accounts"  # other people's accounts, tokens and links
    SECURITY = "security.change"  # stations, sign-on providers, certificates, enrolment of edges
    AUDIT_READ = "audit.read"
    PRIVACY = "privacy"  # what is kept about a person: export and erase
    BACKUP = "backup"


DOING: Final[Mapping[Action, str]] = {
    Action.READ: "looking at this",
    Action.WRITE: "writing to a machine",
    Action.CONTROL_APPROVE: "confirming a write as its second person",
    Action.CONTROL_MODE: "halting a zone or letting it run again",
    Action.CONTROL_LOCKOUT: "locking out",
    Action.ALARM_ACKNOWLEDGE: "acknowledging alarms",
    Action.ALARM_SHELVE: "shelving alarms",
    Action.ALARM_CHANGE: "changing alarms",
    Action.CALLOUT_CHANGE: "changing the call-out",
    Action.RECIPE_CHANGE: "changing recipes",
    Action.RECIPE_APPROVE: "approving recipes",
    Action.SCREEN_CHANGE: "drawing screens",
    Action.SCREEN_PUBLISH: "publishing screens",
    Action.PRODUCTION_RECORD: "recording production",
    Action.PRODUCTION_CORRECT: "correcting what was recorded",
    Action.PRODUCTION_PLAN: "planning production",
    Action.PRODUCTION_SIGN: "signing",
    Action.PLANT_CHANGE: "changing the plant",
    Action.PLANT_APPROVE: "approving changes to the plant",
    Action.CONNECTION_TEST: "testing a connection",
    Action.ACCOUNT_OWN: "changing one's own account",
    Action.ACCOUNTS: "looking after accounts",
    Action.SECURITY: "changing security",
    Action.AUDIT_READ: "reading the audit log",
    Action.PRIVACY: "looking after personal data",
    Action.BACKUP: "making backups",
}
"""What a person calls it: a refusal is read on the shop floor."""

_VIEWER = frozenset({Action.READ, Action.ACCOUNT_OWN})
_OPERATOR = _VIEWER | {
    Action.WRITE,
    Action.CONTROL_APPROVE,
    Action.ALARM_ACKNOWLEDGE,
    Action.ALARM_SHELVE,
    Action.PRODUCTION_RECORD,
    Action.PRODUCTION_SIGN,
}
_SHARED = frozenset(
    {Action.CONTROL_LOCKOUT, Action.ALARM_CHANGE, Action.CALLOUT_CHANGE, Action.RECIPE_CHANGE, Action.SCREEN_PUBLISH}
)
_ENGINEER = (
    _VIEWER
    | _SHARED
    | {
        Action.PLANT_CHANGE,
        Action.CONNECTION_TEST,
        Action.SCREEN_CHANGE,
        Action.PRODUCTION_PLAN,
        Action.PRODUCTION_SIGN,
    }
)
ALLOWED: dict[str, frozenset[Action]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.SUPERVISOR: _OPERATOR
    | _SHARED
    | {
        Action.PLANT_APPROVE,
        Action.CONTROL_MODE,
        Action.RECIPE_APPROVE,
        Action.PRODUCTION_CORRECT,
        Action.PRODUCTION_PLAN,
    },
    Role.ENGINEER: _ENGINEER,
    Role.MAINTAINER: _VIEWER
    | {Action.CONNECTION_TEST, Action.CONTROL_LOCKOUT, Action.PRODUCTION_RECORD, Action.PRODUCTION_SIGN},
    Role.SECURITY: _VIEWER
    | {Action.ACCOUNTS, Action.SECURITY, Action.AUDIT_READ, Action.PRIVACY, Action.PLANT_APPROVE},
    Role.ADMIN: frozenset(Action) - {Action.WRITE, Action.CONTROL_APPROVE, Action.CONTROL_MODE},
}
"""What is not here is denied. An administrator runs the system, not the machines."""


class Proof(StrEnum):
    """By what somebody is known."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105  the word, not a secret
    LINK = "link"  # the signed link of a call-out, which does one thing once
    SOCKET = "socket"  # the local socket, which only the owner of the data directory can open


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token, or who signed in at a station, is narrowed to besides the role; an empty field narrows nothing."""

    actions: frozenset[Action] = frozenset()
    under: tuple[str, ...] = ()  # paths of the plant and all below them
    zones: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()  # addresses or networks a request may come from


WHOLE = Scope()


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who proved who they are. ``key`` names the session or token, without being one."""

    name: str
    role: str  # a Role, or one of the plant's own
    proof: Proof
    key: str
    user_id: int | None = None
    has_password: bool = False
    scope: Scope = WHOLE
    source: str = ""  # the address this request comes from
    station: str = ""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long things last.

    Units: seconds
    """

    idle_s: float = 12 * 3600
    session_s: float = 7 * 24 * 3600
    link_s: float = 24 * 3600
    step_up_s: float = 15 * 60
    """After signing in, accounts may be changed for this long without saying again who one is."""
    kiosk_idle_s: float = 10 * 60
    """At a station, without anybody doing anything."""
    kiosk_session_s: float = 12 * 3600
    emergency_s: float = 3600
    """A session by the break-glass credential, whatever happens."""
    enrolment_s: float = 3600
    """The one-time code of a new station."""
    station_s: float = 365 * 24 * 3600
    """A station that was not used for so long is a stranger again."""
    remember_s: float = 60
    """A verified session or token is looked up in the records again after this long."""


class Means(StrEnum):
    """How a session began."""

    PASSWORD = "password"  # noqa: S105  the word, not a secret
    LINK = "link"
    BADGE = "badge"
    EMERGENCY = "break-glass"
    PASSKEY = "passkey"
    SIGN_ON = "oidc"


class TokenKind(StrEnum):
    """Whom a token stands for."""

    PROGRAM = "program"
    SERVICE = "service"  # an edge, or another part of Isthmus


@dataclass(frozen=True, slots=True)
class User:
    """An account of a person."""

    id: int
    name: str
    role: str
    has_password: bool
    disabled: bool
    created_ns: int
    totp: bool = False
    badge: str = ""
    has_pin: bool = False
    seen_ns: int | None = None  # signed in last


@dataclass(frozen=True, slots=True)
class Token:
    """An API token as it is listed; the token itself was shown once and is kept nowhere."""

    id: int
    name: str
    role: str
    hint: str  # its first characters
    created_by: str
    created_ns: int
    expires_ns: int | None
    revoked_ns: int | None
    kind: TokenKind = TokenKind.PROGRAM
    scope: Scope = WHOLE
    seen_ns: int | None = None
    """Used last, to the minute."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it is listed. ``id`` names it, and is no key to it."""

    id: str
    name: str
    role: str
    means: str
    station: str
    source: str
    program: str  # as the browser calls itself
    created_ns: int
    seen_ns: int
    expires_ns: int
    key: str


@dataclass(frozen=True, slots=True)
class Station:
    """A shared screen or tablet at a place in the plant; who signs in there by badge is narrowed to that place."""

    id: int
    name: str
    under: tuple[str, ...]
    role: Role
    badge_only: bool
    idle_s: float
    created_by: str
    created_ns: int
    enrolled_ns: int | None
    seen_ns: int | None


def session_id(key: str) -> str:
    """What a session is called on screens: too short to find anything by, and one-way anyhow."""
    return key[:16]
