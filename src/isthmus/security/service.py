"""Signing in, tokens, links and sessions. Synchronous: web calls it from threads, the command line as it is."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Engine

from isthmus.security.model import (
    Action,
    Attempts,
    Policy,
    Principal,
    Proof,
    Role,
    Token,
    User,
    authorise,
    check_account_name,
    check_password,
    name_key,
)
from isthmus.security.store import Store
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied, TryLater

FIRST_USER = "admin"
HASHES_AT_ONCE = 2
"""Password hashes computed at the same time: each takes 19 MiB and about 30 ms of a core."""
HASHES_WAITING = 2

_TOKEN = re.compile(r"isk_[A-Za-z0-9_-]{43}\Z")
_REMEMBERED_LIMIT = 10_000


def key_of(secret: str) -> str:
    """What stands for a token, link or session identifier in records and memory."""
    return hashlib.sha256(secret.encode()).hexdigest()


def looks_like_token(text: str) -> bool:
    """Whether it is worth looking up."""
    return _TOKEN.match(text) is not None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session. ``secret`` goes into the cookie and is kept nowhere else."""

    secret: str
    principal: Principal


@dataclass(slots=True)
class _Known:
    """Somebody verified a moment ago."""

    principal: Principal
    expires_ns: int | None
    seen_ns: int
    until_ns: int  # monotonic: look into the records again after this


class Security:
    """Identity and permission. Denies by default; what is revoked here is refused from the next request on."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        policy: Policy | None = None,
        hasher: PasswordHasher | None = None,
        log: logging.Logger | None = None,
    ) -> None:
        self.policy = policy or Policy()
        self._store, self._clock = Store(engine), clock
        self._hasher = hasher or PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._log = log or logging.getLogger("isthmus.security")
        self._nobody = self._hasher.hash(secrets.token_urlsafe())  # verified where there is no account: as slow as any
        self._attempts = Attempts(self.policy)
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._revocations = 0
        self.kept_outside: Callable[[int], str] = lambda _: ""
        """The provider that vouches for an account; empty where it is kept here."""
        self._hashing = threading.BoundedSemaphore(HASHES_AT_ONCE)
        self._waiting = 0

    @staticmethod
    def authorise(principal: Principal | None, action: Action) -> None:
        """Pass, or say why not.

        Raises: Denied
        """
        authorise(principal, action)

    # Who is it

    def recall(self, proof: Proof, key: str) -> Principal | None:
        """Somebody verified a moment ago; asks memory only, so it may be called on an event loop."""
        now_ns = self._clock.now_ns()
        with self._lock:
            known = self._known.get(f"{proof}:{key}")
            if known is None or self._clock.monotonic_ns() >= known.until_ns or self._ran_out(known, proof, now_ns):
                return None
            known.seen_ns = now_ns
            return known.principal

    def _ran_out(self, known: _Known, proof: Proof, now_ns: int) -> bool:
        if known.expires_ns is not None and now_ns >= known.expires_ns:
            return True
        return proof is Proof.SESSION and now_ns - known.seen_ns >= self.policy.idle_s * NS_PER_S

    def verify(self, proof: Proof, key: str) -> Principal | None:
        """Whose token or session this is the key of (see `key_of`); None when it is nobody's, ran out or was revoked."""
        principal = self.recall(proof, key)
        if principal is not None:
            return principal
        with self._lock:
            before = self._revocations
            last = self._known.pop(f"{proof}:{key}", None)
        now_ns = self._clock.now_ns()
        found = self._session(key, last, now_ns) if proof is Proof.SESSION else self._token(key, now_ns)
        if found is None:
            return None
        with self._lock:
            if self._revocations == before:  # else it may be the very one: the next request looks again
                self._known[f"{proof}:{key}"] = found
                if len(self._known) > _REMEMBERED_LIMIT:
                    self._known.popitem(last=False)
                return found.principal
        return self.verify(proof, key)

    def _session(self, key: str, last: _Known | None, now_ns: int) -> _Known | None:
        row = self._store.session(key)
        if row is None:
            return None
        seen_ns = max(row["seen_ns"], last.seen_ns if last else 0)
        has_password = row["password_hash"] is not None
        principal = Principal(row["name"], row["role"], Proof.SESSION, key, row["id"], has_password)
        known = _Known(principal, row["expires_ns"], seen_ns, self._until())
        if self._ran_out(known, Proof.SESSION, now_ns):
            self._store.drop_session(key)
            return None
        known.seen_ns = now_ns
        self._store.seen(key, now_ns)
        return known

    def _token(self, key: str, now_ns: int) -> _Known | None:
        row = self._store.token(key)
        if row is None or row["revoked_ns"] is not None:
            return None
        principal = Principal(row["name"], row["role"], Proof.TOKEN, key)
        known = _Known(principal, row["expires_ns"], now_ns, self._until())
        return None if self._ran_out(known, Proof.TOKEN, now_ns) else known

    def _until(self) -> int:
        return self._clock.monotonic_ns() + round(self.policy.remember_s * NS_PER_S)

    def _forget(self, *, key: str = "", user_id: int | None = None) -> None:
        """Drop somebody from memory after the records changed; a look-up under way may not bring them back."""
        with self._lock:
            self._revocations += 1
            for name, known in list(self._known.items()):
                principal = known.principal
                if principal.key == key or (user_id is not None and principal.user_id == user_id):
                    del self._known[name]

    # Signing in and out

    def sign_in(self, name: str, password: str, source: str) -> SignedIn:
        """A session for a name and password.

        Raises: Denied (wrong_password); TooManyFailures; TryLater when too many sign in at once
        """
        now_ns = self._clock.now_ns()
        with self._lock:
            self._attempts.check(name, source, now_ns)
        with self._hash_slot():
            user = self._prove(name, password, source)
        return self._open_session(user, source)

    def _prove(self, name: str, password: str, source: str) -> User:
        """The account, if the password is its own. Failures count, and wait, per name and source."""
        with self._lock:
            self._attempts.check(name, source, self._clock.now_ns())
        found = self._store.by_name(name_key(name))
        stored = found[1] if found and not found[0].disabled else None
        good = self._matches(stored or self._nobody, password) and stored is not None
        now_ns = self._clock.now_ns()
        with self._lock:
            if good:
                self._attempts.succeeded(name, source)
            else:
                self._attempts.failed(name, source, now_ns)
        if not good or found is None or stored is None:
            self._log.warning("sign-in refused for %r from %s", name[:64], source)
            raise Denied("name or password is wrong", "wrong_password")
        if self._hasher.check_needs_rehash(stored):
            self._store.rehash(found[0].id, stored, self._hasher.hash(password))
        return found[0]

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password[:1024])
        except (VerificationError, InvalidHashError):
            return False

    @contextmanager
    def _hash_slot(self) -> Iterator[None]:
        """At most two hashes at once and two more waiting; the rest is told to come again."""
        with self._lock:
            if self._waiting >= HASHES_AT_ONCE + HASHES_WAITING:
                raise TryLater("too many people sign in at this moment; try again", 1.0)
            self._waiting += 1
        try:
            with self._hashing:
                yield
        finally:
            with self._lock:
                self._waiting -= 1

    def sign_in_by_link(self, link: str, source: str) -> SignedIn:
        """A session for a one-time link, which is spent by this.

        Raises: Denied (link_spent)
        """
        user = self._store.use_link(key_of(link), self._clock.now_ns())
        if user is None:
            self._log.warning("one-time link refused from %s", source)
            raise Denied("this link was used before, or is too old; ask for a new one", "link_spent")
        return self._open_session(user, source)

    def open_for(self, user_id: int, source: str, method: str) -> SignedIn:
        """A session for somebody whom another way of signing in proved.

        Raises: Denied (account_closed)
        """
        user = self._store.user(user_id)
        if user is None or user.disabled:
            self._log.warning("sign-in by %s refused from %s: the account is closed", method, source)
            raise Denied("this account is closed here; ask an administrator", "account_closed")
        self._log.info("%s is proved by %s", user.name, method)
        return self._open_session(user, source)

    def end_sessions(self, user_id: int) -> None:
        """End all sessions of an account at once."""
        self._store.drop_sessions(user_id)
        self._forget(user_id=user_id)

    def _open_session(self, user: User, source: str) -> SignedIn:
        secret, now_ns = secrets.token_urlsafe(32), self._clock.now_ns()
        values = {
            "hash": key_of(secret),
            "user_id": user.id,
            "source": source[:64],
            "created_ns": now_ns,
            "seen_ns": now_ns,
            "expires_ns": now_ns + round(self.policy.session_s * NS_PER_S),
        }
        self._store.add_session(values, round(self.policy.idle_s * NS_PER_S))
        self._log.info("%s signed in from %s", user.name, source)
        principal = Principal(user.name, user.role, Proof.SESSION, key_of(secret), user.id, user.has_password)
        return SignedIn(secret, principal)

    def sign_out(self, principal: Principal) -> None:
        """End this session at once."""
        self._store.drop_session(principal.key)
        self._forget(key=principal.key)

    def set_password(
        self, principal: Principal, name: str, password: str, current: str | None, source: str
    ) -> Principal:
        """Set one's own name and password; one's other sessions end.

        Raises: ConfigError for an unfit name or password; Denied (wrong_password, name_taken, needs_session)
        """
        authorise(principal, Action.ACCOUNT_OWN)
        if principal.user_id is None:
            raise Denied("only an account has a password; sign in", "needs_session")
        if provider := self.kept_outside(principal.user_id):
            raise Denied(f"this account is kept by {provider}; its password is changed there", "kept_outside")
        check_account_name(name)
        check_password(password, name)
        with self._hash_slot():
            if self._store.password_hash(principal.user_id) is not None:
                if current is None:
                    raise Denied("the current password is needed to set another", "wrong_password")
                self._prove(principal.name, current, source)
            hashed = self._hasher.hash(password)
        values = {"name": name, "name_key": name_key(name), "password_hash": hashed}
        if not self._store.change_user(principal.user_id, values):
            raise Denied(f"another account is called {name}", "name_taken")
        self._store.drop_sessions(principal.user_id, but=principal.key)
        self._store.drop_links(principal.user_id)
        self._forget(user_id=principal.user_id)
        return replace(principal, name=name, has_password=True)

    # Accounts, links and tokens

    def users(self) -> list[User]:
        """All accounts by name."""
        return self._store.users()

    def create_user(self, name: str, role: str, password: str | None = None) -> User:
        """A new account; without a password it is entered by a link.

        Raises: ConfigError for an unfit name or password; Denied (name_taken)
        """
        check_account_name(name)
        hashed = self._hasher.hash(check_password(password, name)) if password is not None else None
        now_ns = self._clock.now_ns()
        values = {
            "name": name,
            "name_key": name_key(name),
            "role": str(role),
            "password_hash": hashed,
            "disabled": False,
            "created_ns": now_ns,
        }
        user_id = self._store.add_user(values)
        if user_id is None:
            raise Denied(f"another account is called {name}", "name_taken")
        return User(user_id, name, role, hashed is not None, disabled=False, created_ns=now_ns)

    def change_user(self, name: str, *, role: str | None = None, disabled: bool | None = None) -> None:
        """Give another role, or close and open an account. Takes effect at once.

        Raises: ConfigError if there is no such account
        """
        user = self._user_named(name)
        values = {"role": str(role) if role else None, "disabled": disabled}
        self._store.change_user(user.id, {key: value for key, value in values.items() if value is not None})
        if disabled:
            self._store.drop_sessions(user.id)
            self._store.drop_links(user.id)
        self._forget(user_id=user.id)

    def _user_named(self, name: str) -> User:
        found = self._store.by_name(name_key(name))
        if found is None:
            raise ConfigError(f"user: there is none of this name, was {name!r}")
        return found[0]

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
                "expires_ns": now_ns + round(self.policy.link_s * NS_PER_S),
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
        ours = (
            u for u in self._store.users() if u.role == Role.ADMIN and not u.disabled and not self.kept_outside(u.id)
        )
        first = next(ours, None)
        return self.create_link((first or self.create_user(FIRST_USER, Role.ADMIN)).name)

    def create_token(self, name: str, role: str, by: str, lifetime_s: float | None = None) -> tuple[str, Token]:
        """A new API token: the token itself, to be shown once, and how it is listed.

        Raises: ConfigError for an unfit name
        """
        check_account_name(name)
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
                "role": str(role),
                "created_by": by[:64],
                "created_ns": now_ns,
                "expires_ns": expires_ns,
            }
        )
        return secret, Token(token_id, name, role, hint, by, now_ns, expires_ns, None)

    def tokens(self) -> list[Token]:
        """All tokens that were ever made, without their secrets."""
        return self._store.tokens()

    def revoke_token(self, token_id: int) -> bool:
        """Refuse a token from the next request on; False when there was nothing to revoke."""
        hashed = self._store.revoke_token(token_id, self._clock.now_ns())
        if hashed is None:
            return False
        self._forget(key=hashed)
        return True
