"""Signing in, accounts, links and tokens. Synchronous: web calls it from threads, the command line as it is."""

from __future__ import annotations

import logging
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Engine

from isthmus.security.attempts import Attempts
from isthmus.security.codes import key_of
from isthmus.security.emergency import ACCOUNT, Emergency
from isthmus.security.model import (
    WHOLE,
    Action,
    Lifetimes,
    Means,
    Principal,
    Role,
    Scope,
    Token,
    TokenKind,
    User,
)
from isthmus.security.names import check_account_name, name_key
from isthmus.security.passwords import check_password, check_pin
from isthmus.security.policy import authorise
from isthmus.security.scopes import to_json
from isthmus.security.second import Sealer, SecondFactor
from isthmus.security.sessions import Sessions, SignedIn
from isthmus.security.stations import Stations, check_badge
from isthmus.security.store import Store
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied, TryLater

FIRST_USER = "admin"
HASHES_AT_ONCE = 2
"""Password hashes computed at the same time: each takes 19 MiB and about 30 ms of a core."""
HASHES_WAITING = 2

_TOKEN = re.compile(r"isk_[A-Za-z0-9_-]{43}\Z")
_ROLE = re.compile(r"[a-z][a-z0-9_-]{0,62}\Z")


def looks_like_token(text: str) -> bool:
    """Whether it is worth looking up."""
    return _TOKEN.match(text) is not None


def check_role(role: str) -> str:
    """A role as it may be written; whether the plant has it, the policy knows.

    Raises: ConfigError
    """
    if not _ROLE.match(role):
        raise ConfigError(f"role: must be small letters, digits, - and _, was {role[:80]!r}")
    return str(role)


class Security(Sessions):
    """Identity and permission. Denies by default; what is revoked here is refused from the next request on."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        lifetimes: Lifetimes | None = None,
        hasher: PasswordHasher | None = None,
        log: logging.Logger | None = None,
        *,
        sealer: Sealer | None = None,
        context: Callable[[], Sequence[str]] = lambda: (),
    ) -> None:
        """``context``: words that anybody at this place would try as a password."""
        store = Store(engine)
        super().__init__(store, clock, lifetimes or Lifetimes(), log or logging.getLogger("isthmus.security"))
        self._hasher = hasher or PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._nobody = self._hasher.hash(secrets.token_urlsafe())  # verified where there is no account: as slow as any
        self._attempts, self._context = Attempts(), context
        self.kept_outside: Callable[[int], str] = lambda _: ""
        """The provider that vouches for an account; empty where it is kept here."""
        self._hashing = threading.BoundedSemaphore(HASHES_AT_ONCE)
        self._waiting = 0
        self.second = SecondFactor(store, clock, sealer, self)
        self.stations = Stations(self, store, clock, self._attempts)
        self.emergency = Emergency(self, store, clock, self._attempts)
        for name, source in store.places():
            self._attempts.know(name, source)

    @staticmethod
    def authorise(principal: Principal | None, action: Action) -> None:
        """Pass, or say why not.

        Raises: Denied
        """
        authorise(principal, action)

    # Signing in and out

    def sign_in(
        self, name: str, password: str, source: str, code: str = "", *, program: str = "", replaces: str = ""
    ) -> SignedIn:
        """A session for a name and password, and a code where a second factor is set.

        Raises: Denied (wrong_password, totp_needed, wrong_code); TooManyFailures; TryLater when too many sign in at once
        """
        with self.lock:
            self._attempts.check(name, source, self._clock.now_ns())
        with self.hash_slot():
            user = self._prove(name, password, source, code)
        return self.open(user, source, Means.PASSWORD, program=program, replaces=replaces)

    def _prove(self, name: str, password: str, source: str, code: str | None) -> User:
        """The account, if password and code are its own; None asks for no code. Failures count, and wait."""
        with self.lock:
            self._attempts.check(name, source, self._clock.now_ns())
        found = self._store.by_name(name_key(name))
        stored = found[1] if found and not found[0].disabled else None
        good = self.matches(stored, password)
        if not good or found is None or stored is None:
            self._refused(name, source)
            raise Denied("name or password is wrong", "wrong_password")
        user = found[0]
        if user.totp and code is not None and not self.second.passes(user, code):
            self._refused(name, source)
            raise Denied("the code is wrong, or was used before", "wrong_code")
        with self.lock:
            self._attempts.succeeded(name, source)
        if self._hasher.check_needs_rehash(stored):
            self._store.rehash(user.id, stored, self._hasher.hash(password))
        return user

    def _refused(self, name: str, source: str) -> None:
        with self.lock:
            self._attempts.failed(name, source, self._clock.now_ns())
        self.log.warning("sign-in refused for %r from %s", name[:64], source)

    def matches(self, stored: str | None, given: str) -> bool:
        """Whether a password or PIN is the one of a hash; as slow where there is no hash."""
        try:
            return self._hasher.verify(stored or self._nobody, given[:1024]) and stored is not None
        except (VerificationError, InvalidHashError):
            return False

    @contextmanager
    def hash_slot(self) -> Iterator[None]:
        """At most two hashes at once and two more waiting; the rest is told to come again.

        Raises: TryLater
        """
        with self.lock:
            if self._waiting >= HASHES_AT_ONCE + HASHES_WAITING:
                raise TryLater("too many people sign in at this moment; try again", 1.0)
            self._waiting += 1
        try:
            with self._hashing:
                yield
        finally:
            with self.lock:
                self._waiting -= 1

    def sign_in_by_link(
        self, link: str, source: str, code: str = "", *, program: str = "", replaces: str = ""
    ) -> SignedIn:
        """A session for a one-time link, which is spent by this. A second factor is asked for here as well.

        Raises: Denied (link_spent, totp_needed, wrong_code); TooManyFailures
        """
        hashed, now_ns = key_of(link), self._clock.now_ns()
        user = self._store.link_user(hashed, now_ns)
        if user is not None and user.totp:
            with self.lock:
                self._attempts.check(user.name, source, now_ns)
            if not self.second.passes(user, code):
                self._refused(user.name, source)
                raise Denied("the code is wrong, or was used before", "wrong_code")
        if user is None or not self._store.spend_link(hashed):
            self.log.warning("one-time link refused from %s", source)
            raise Denied("this link was used before, or is too old; ask for a new one", "link_spent")
        return self.open(user, source, Means.LINK, program=program, replaces=replaces)

    def open_for(
        self, user_id: int, source: str, method: str, means: Means, *, program: str = "", replaces: str = ""
    ) -> SignedIn:
        """A session for somebody whom another way of signing in proved.

        Raises: Denied (account_closed)
        """
        user = self._store.user(user_id)
        if user is None or user.disabled:
            self.log.warning("sign-in by %s refused from %s: the account is closed", method, source)
            raise Denied("this account is closed here; ask an administrator", "account_closed")
        self.log.info("%s is proved by %s", user.name, method)
        return self.open(user, source, means, program=program, replaces=replaces)

    def sign_out(self, principal: Principal) -> None:
        """End this session at once."""
        self.end(principal.key)

    def step_up(self, principal: Principal, password: str, code: str, source: str) -> SignedIn:
        """Say again who one is: the session goes on under a new key, and accounts may be changed for a while.

        Raises: Denied (wrong_password, totp_needed, wrong_code, needs_session, at_a_station); TooManyFailures; TryLater
        """
        if principal.station:
            raise Denied("at a station accounts are not changed; sign in with your password elsewhere", "at_a_station")
        if principal.user_id is None:
            raise Denied("only a session steps up; sign in", "needs_session")
        with self.hash_slot():
            user = self._prove(principal.name, password, source, code)
        if user.id != principal.user_id:
            raise Denied("name or password is wrong", "wrong_password")
        return self.rotate(principal, proved=True)

    def prove_again(self, principal: Principal, password: str, code: str, pin: str, source: str) -> str:
        """Say again who one is, for a signature: by password (and code), or at a station by PIN. The session stays as it is.

        Gives by what it was proved.
        Raises: Denied (needs_session, not_proved); TooManyFailures; TryLater
        """
        if principal.user_id is None:
            raise Denied("only a person signs; a token cannot do it for one", "needs_session")
        try:
            if principal.station and pin:
                self.stations.prove(self.account(principal), pin, principal.station)
                return "pin"
            with self.hash_slot():
                user = self._prove(principal.name, password, source, code)
        except Denied as no:
            raise Denied(str(no), "not_proved") from None
        if user.id != principal.user_id:
            raise Denied("name or password is wrong", "not_proved")
        return "password and code" if user.totp else "password"

    def set_password(
        self, principal: Principal, name: str, password: str, current: str | None, source: str
    ) -> Principal:
        """Set one's own name and password; one's other sessions end.

        Raises: ConfigError for an unfit name or password; Denied (wrong_password, name_taken, look_alike, needs_session)
        """
        authorise(principal, Action.ACCOUNT_OWN)
        if principal.user_id is None:
            raise Denied("only an account has a password; sign in", "needs_session")
        if principal.station or principal.name == ACCOUNT:
            raise Denied("this session changes no account; sign in with your password elsewhere", "at_a_station")
        if provider := self.kept_outside(principal.user_id):
            raise Denied(f"this account is kept by {provider}; its password is changed there", "kept_outside")
        name = self._fit_name(name)
        check_password(password, name, self._words())
        with self.hash_slot():
            if self._store.password_hash(principal.user_id) is not None:
                if current is None:
                    raise Denied("the current password is needed", "wrong_password")
                self._prove(principal.name, current, source, None)
            else:
                self.require_fresh(principal)
            hashed = self._hasher.hash(password)
        values = {"name": name, "name_key": name_key(name), "password_hash": hashed}
        self._change(principal.user_id, values, name)
        self._store.drop_links(principal.user_id)
        self.end_sessions(principal.user_id, name, but=principal.key)
        self._drop_known({principal.key}, set())
        return replace(principal, name=name, has_password=True)

    def _words(self) -> tuple[str, ...]:
        return ("isthmus", *self._context())

    @staticmethod
    def _fit_name(name: str) -> str:
        if name_key(name) == name_key(ACCOUNT):
            raise ConfigError(f"name: {ACCOUNT} is kept for emergencies")
        return check_account_name(name)

    @staticmethod
    def _in_the_way(other: str, name: str) -> Denied:
        if name_key(other) == name_key(name):
            return Denied(f"another account is called {other}", "name_taken")
        return Denied(f"{name} looks like {other}, the name of another account", "look_alike")

    def _change(self, user_id: int, values: dict[str, Any], name: str = "") -> None:
        other = self._store.change_user(user_id, values)
        if other is not None:
            raise self._in_the_way(other, name)

    # Accounts

    def users(self) -> list[User]:
        """All accounts by name."""
        return self._store.users()

    def account(self, principal: Principal) -> User:
        """One's own account.

        Raises: Denied (needs_session)
        """
        user = None if principal.user_id is None else self._store.user(principal.user_id)
        if user is None:
            raise Denied("only a session has an account; sign in", "needs_session")
        return user

    def create_user(self, name: str, role: str, password: str | None = None) -> User:
        """A new account; without a password it is entered by a link.

        Raises: ConfigError for an unfit name or password; Denied (name_taken, look_alike)
        """
        name = self._fit_name(name)
        hashed = self._hasher.hash(check_password(password, name, self._words())) if password is not None else None
        return self.add_user(name, role, hashed)

    def add_user(self, name: str, role: str, hashed: str | None = None) -> User:
        """An account of a name that was looked at before.

        Raises: ConfigError for an unfit role; Denied (name_taken, look_alike)
        """
        now_ns, role = self._clock.now_ns(), check_role(role)
        values = {
            "name": name,
            "name_key": name_key(name),
            "role": role,
            "password_hash": hashed,
            "disabled": False,
            "created_ns": now_ns,
        }
        made = self._store.add_user(values)
        if isinstance(made, str):
            raise self._in_the_way(made, name)
        return User(made, name, role, hashed is not None, disabled=False, created_ns=now_ns)

    def change_user(
        self,
        name: str,
        *,
        role: str | None = None,
        disabled: bool | None = None,
        new_name: str | None = None,
        badge: str | None = None,
        pin: str | None = None,
        by: str = "",
    ) -> User:
        """Change an account, at once: with another role, or closed, all its sessions end.

        ``badge`` and ``pin``: empty takes them away.
        Raises: ConfigError if there is no such account, or for unfit values; Denied (name_taken, look_alike, badge_taken,
            last_admin)
        """
        user = self._user_named(name)
        values: dict[str, Any] = {}
        if role is not None and check_role(role) != user.role:
            values["role"] = str(role)
        if disabled is not None:
            values["disabled"] = disabled
        if new_name is not None:
            new_name = self._fit_name(new_name)
            values |= {"name": new_name, "name_key": name_key(new_name)}
        if badge is not None:
            values["badge"] = self._free_badge(badge, user.id) if badge else None
        if pin is not None:
            with self.hash_slot():
                values["pin_hash"] = self._hasher.hash(check_pin(pin, user.badge)) if pin else None
        if user.role == Role.ADMIN and not user.disabled and (values.get("disabled") or "role" in values):
            self._keep_an_admin(user)
        self._change(user.id, values, new_name or "")
        if disabled:
            self._store.drop_links(user.id)
        if disabled or "role" in values:
            self.end_sessions(user.id, by)
            self.forget(set(), {user.id})
        elif values:
            self._drop_known(set(), {user.id})
        self.log.info("account %s changed by %s: %s", user.name, by or "the command line", " ".join(sorted(values)))
        return self._store.user(user.id) or user

    def _keep_an_admin(self, user: User) -> None:
        others = [u for u in self._store.users() if u.role == Role.ADMIN and not u.disabled and u.id != user.id]
        if not [u for u in others if u.name != ACCOUNT]:
            raise Denied(f"{user.name} is the last administrator; make another first", "last_admin")

    def _free_badge(self, badge: str, user_id: int) -> str:
        badge = check_badge(badge)
        if self._store.badge_taken(badge, user_id):
            raise Denied("another account has this badge", "badge_taken")
        return badge

    def set_pin(self, principal: Principal, pin: str) -> None:
        """Set one's own PIN; empty takes it away.

        Raises: ConfigError for an unfit PIN; Denied (step_up_needed, needs_session)
        """
        self.require_fresh(principal)
        self.change_user(self.account(principal).name, pin=pin, by=principal.name)

    def _user_named(self, name: str) -> User:
        found = self._store.by_name(name_key(name))
        if found is None:
            raise ConfigError(f"user: there is none of this name, was {name[:80]!r}")
        if found[0].name == ACCOUNT:
            raise ConfigError(f"user: {ACCOUNT} is entered by its sealed credential only, and not changed")
        return found[0]

    def user_named(self, name: str) -> User:
        """An account of a person.

        Raises: ConfigError if there is none
        """
        return self._user_named(name)

    # Links and tokens

    def create_link(self, name: str) -> str:
        """A one-time link for an account; an earlier one of it is void. Only the secret part is given.

        Raises: ConfigError if there is no such account
        """
        user, secret, now_ns = self._user_named(name), secrets.token_urlsafe(32), self._clock.now_ns()
        self._store.add_link(
            {
                "hash": key_of(secret),
                "user_id": user.id,
                "created_ns": now_ns,
                "expires_ns": now_ns + round(self.lifetimes.link_s * NS_PER_S),
            }
        )
        return secret

    def first_link(self, offered: str = "") -> str | None:
        """A link for the first administrator, as long as nobody can sign in by password; asked at every start.

        ``offered`` is the one given before: it stays as long as it is good, so that a restart of core does not make
        the printed one worthless.
        """
        if self._store.anybody_can_sign_in():
            return None
        if offered and self._store.link_holds(key_of(offered), self._clock.now_ns()):
            return offered
        people = [u for u in self._store.users() if u.name != ACCOUNT and not self.kept_outside(u.id)]
        first = next((u for u in people if u.role == Role.ADMIN and not u.disabled), None)
        return self.create_link((first or self.create_user(FIRST_USER, Role.ADMIN)).name)

    def create_token(
        self,
        name: str,
        role: str,
        by: str,
        lifetime_s: float | None = None,
        *,
        scope: Scope = WHOLE,
        kind: TokenKind = TokenKind.PROGRAM,
    ) -> tuple[str, Token]:
        """A new API token: the token itself, to be shown once, and how it is listed.

        Raises: ConfigError for an unfit name, role or lifetime
        """
        name, role = check_account_name(name), check_role(role)
        if lifetime_s is not None and not 0 < lifetime_s < 1e9:
            raise ConfigError(f"lifetime: must be more than 0 seconds and less than 30 years, was {lifetime_s}")
        secret, now_ns = "isk_" + secrets.token_urlsafe(32), self._clock.now_ns()
        expires_ns = None if lifetime_s is None else now_ns + round(lifetime_s * NS_PER_S)
        hint = secret[:8]
        token_id = self._store.add_token(
            {
                "hash": key_of(secret),
                "hint": hint,
                "name": name,
                "role": role,
                "created_by": by[:64],
                "created_ns": now_ns,
                "expires_ns": expires_ns,
                "kind": kind.value,
                "scope": to_json(scope),
            }
        )
        return secret, Token(token_id, name, role, hint, by, now_ns, expires_ns, None, kind, scope)

    def tokens(self) -> list[Token]:
        """All tokens that were ever made, without their secrets."""
        return self._store.tokens()

    def revoke_token(self, token_id: int, by: str = "") -> bool:
        """Refuse a token from the next request on, and cut its live connections; False when there was nothing to revoke."""
        hashed = self._store.revoke_token(token_id, self._clock.now_ns())
        if hashed is None:
            return False
        self.forget({hashed}, set())
        self.log.info("token %d revoked by %s", token_id, by or "the command line")
        return True
