"""Who somebody is and what they may do: pure values and rules."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError, TryLater


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
    PLANT_CHANGE = "plant.change"
    PLANT_APPROVE = "plant.approve"  # the second person of a change
    CONNECTION_TEST = "connection.test"
    ACCOUNT_OWN = "account.own"  # one's own name, password and session
    ACCOUNTS = "accounts"  # other people's accounts, tokens and links
    SECURITY = "security.change"  # stations, sign-on providers, certificates, enrolment of edges
    AUDIT_READ = "audit.read"
    PRIVACY = "privacy"  # what is kept about a person: export and erase
    BACKUP = "backup"


_VIEWER = frozenset({Action.READ, Action.ACCOUNT_OWN})
_OPERATOR = _VIEWER | {Action.WRITE}
_ENGINEER = _VIEWER | {Action.PLANT_CHANGE, Action.CONNECTION_TEST}
ALLOWED: dict[str, frozenset[Action]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.SUPERVISOR: _OPERATOR | {Action.PLANT_APPROVE},
    Role.ENGINEER: _ENGINEER,
    Role.MAINTAINER: _VIEWER | {Action.CONNECTION_TEST},
    Role.SECURITY: _VIEWER
    | {Action.ACCOUNTS, Action.SECURITY, Action.AUDIT_READ, Action.PRIVACY, Action.PLANT_APPROVE},
    Role.ADMIN: frozenset(Action) - {Action.WRITE},
}
"""What is not here is denied. An administrator runs the system, not the machines."""


class Proof(StrEnum):
    """By what somebody is known."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105  the word, not a secret
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


def authorise(principal: Principal | None, action: Action) -> None:
    """Pass, or say why not, where no plant is at hand: built-in roles and the scope, one zone.

    Where there is a plant its policy decides (`isthmus.security.policy`), own roles and zones included.
    Raises: Denied
    """
    _policy.WITHOUT_PLANT.decide(principal, action, part=True).check()


@dataclass(frozen=True, slots=True)
class Policy:
    """How long things last and how often one may err.

    Units: seconds
    """

    idle_s: float = 12 * 3600
    session_s: float = 7 * 24 * 3600
    link_s: float = 24 * 3600
    failures: int = 5
    first_wait_s: float = 30
    longest_wait_s: float = 15 * 60
    remember_s: float = 60
    """A verified session or token is looked up in the records again after this long."""


class TooManyFailures(TryLater):
    """Wrong passwords too often for this name from this place."""


MIN_PASSWORD_CHARS = 12
MAX_PASSWORD_CHARS = 256
MAX_NAME_CHARS = 64


def check_password(password: str, name: str) -> str:
    """The password when it is fit.

    Raises: ConfigError; the text never holds the password
    """
    if len(password) < MIN_PASSWORD_CHARS:
        raise ConfigError(f"password: must have {MIN_PASSWORD_CHARS} characters or more, has {len(password)}")
    if len(password) > MAX_PASSWORD_CHARS:
        raise ConfigError(f"password: must have {MAX_PASSWORD_CHARS} characters or fewer, has {len(password)}")
    if password.casefold() == name.casefold() or len(set(password)) < 4:
        raise ConfigError("password: must not be the name, nor three characters or fewer repeated")
    return password


def check_account_name(name: str) -> str:
    """The name of a person or token when it is fit to be shown anywhere.

    Raises: ConfigError
    """
    if not name or len(name) > MAX_NAME_CHARS or not name.isprintable() or name != name.strip():
        raise ConfigError(f"name: must have 1 to {MAX_NAME_CHARS} printable characters, was {name[:80]!r}")
    return name


def name_key(name: str) -> str:
    """What two spellings of one name have in common."""
    return name.casefold()


@dataclass(frozen=True, slots=True)
class User:
    """An account of a person."""

    id: int
    name: str
    role: str
    has_password: bool
    disabled: bool
    created_ns: int


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


class Attempts:
    """Wrong passwords, counted by (name, source): after five a wait that doubles with each further one.

    Bounded: beyond ``limit`` pairs the oldest is forgotten, which costs an attacker as many attempts as it gains.
    """

    def __init__(self, policy: Policy, limit: int = 10_000) -> None:
        self._policy, self._limit = policy, limit
        self._failed: dict[tuple[str, str], tuple[int, int]] = {}  # failures, and when the wait is over

    def check(self, name: str, source: str, now_ns: int) -> None:
        """Pass when no wait is due.

        Raises: TooManyFailures
        """
        count, until_ns = self._failed.get((name_key(name), source), (0, 0))
        if count >= self._policy.failures and now_ns < until_ns:
            wait_s = (until_ns - now_ns) / NS_PER_S
            raise TooManyFailures(f"{count} failed attempts; try again in {wait_s:.0f} s", wait_s)

    def failed(self, name: str, source: str, now_ns: int) -> None:
        """Count a failure. An hour after the last wait the count begins anew."""
        key = name_key(name), source
        count, until_ns = self._failed.pop(key, (0, now_ns))
        count = 1 if now_ns > until_ns + 3600 * NS_PER_S else count + 1
        over = max(0, count - self._policy.failures)
        wait_s = min(self._policy.longest_wait_s, self._policy.first_wait_s * 2.0 ** min(over, 20))
        self._failed[key] = (count, now_ns + round(wait_s * NS_PER_S) if count >= self._policy.failures else now_ns)
        if len(self._failed) > self._limit:
            del self._failed[next(iter(self._failed))]

    def succeeded(self, name: str, source: str) -> None:
        """Forget the failures of this pair."""
        self._failed.pop((name_key(name), source), None)


from isthmus.security import policy as _policy  # noqa: E402  it is made of what stands above
