"""Who somebody is, from memory or the records; what is revoked is forgotten at once, and everybody concerned is told."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import RowMapping

from isthmus.security import scopes
from isthmus.security.codes import key_of
from isthmus.security.model import (
    ALLOWED,
    WHOLE,
    Lifetimes,
    Means,
    Principal,
    Proof,
    Role,
    Scope,
    Session,
    Station,
    User,
)
from isthmus.security.store import Store
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import Denied

_REMEMBERED_LIMIT: Final = 10_000

Revoked = Callable[[set[str], set[int]], None]
"""(keys of sessions and tokens, ids of accounts) that are nobody from now on. Called on any thread; must not block."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session. ``secret`` goes into the cookie and is kept nowhere else."""

    secret: str
    principal: Principal
    lifetime_s: float = 0.0


@dataclass(slots=True)
class _Known:
    """Somebody verified a moment ago."""

    principal: Principal
    expires_ns: int | None
    seen_ns: int
    until_ns: int  # monotonic: look into the records again after this
    idle_ns: int | None = None  # none for a token
    station_hash: str | None = None  # of the cookie of the station it belongs to
    proved_ns: int = 0


def narrowed_to(role: Role, under: tuple[str, ...]) -> Scope:
    """What somebody may do at a station, at most; their own role narrows it further."""
    return Scope(actions=ALLOWED[role], under=under)


class Sessions:
    """Sessions and tokens by key. Synchronous: web calls it from threads, except what says that it asks memory only."""

    def __init__(self, store: Store, clock: Clock, lifetimes: Lifetimes, log: logging.Logger) -> None:
        self.lifetimes = lifetimes
        self._store, self._clock, self.log = store, clock, log
        self.lock = threading.Lock()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._revocations = 0
        self._on_revoked: list[Revoked] = []
        self._on_rotated: list[Callable[[str, str], None]] = []

    # Who wants to be told

    def on_revoked(self, callback: Revoked) -> None:
        """Call this whenever sessions, tokens or accounts end."""
        self._on_revoked.append(callback)

    def on_rotated(self, callback: Callable[[str, str], None]) -> None:
        """Call this with the old and the new key whenever a session goes on under another; on any thread."""
        self._on_rotated.append(callback)

    @property
    def revocations(self) -> int:
        """Grows with each revocation. Cost: none; what runs long compares it and asks again when it grew"""
        return self._revocations

    # Who is it

    def recall(self, proof: Proof, key: str, *, station: str | None = None, active: bool = True) -> Principal | None:
        """Somebody verified a moment ago; asks memory only, so it may be called on an event loop.

        ``station`` is the key of the station the request comes from, None where that was looked at before. ``active`` says
        whether a person does something; elsewhere than at a station everything counts as use.
        """
        now_ns = self._clock.now_ns()
        with self.lock:
            known = self._known.get(f"{proof}:{key}")
            if known is None or self._clock.monotonic_ns() >= known.until_ns or _ran_out(known, now_ns):
                return None
            if not _at(known, station):
                return None
            if active or known.station_hash is None:
                known.seen_ns = now_ns
            return known.principal

    def verify(self, proof: Proof, key: str, *, station: str | None = None, active: bool = True) -> Principal | None:
        """Whose token or session this is the key of (see `key_of`); None when it is nobody's, ran out or was revoked."""
        principal = self.recall(proof, key, station=station, active=active)
        if principal is not None:
            return principal
        with self.lock:
            before = self._revocations
            last = self._known.pop(f"{proof}:{key}", None)
        now_ns = self._clock.now_ns()
        found = self._session(key, last, now_ns, active) if proof is Proof.SESSION else self._token(key, now_ns)
        if found is None:
            return None
        with self.lock:
            if self._revocations == before:  # else it may be the very one: the next request looks again
                self._known[f"{proof}:{key}"] = found
                if len(self._known) > _REMEMBERED_LIMIT:
                    self._known.popitem(last=False)
                return found.principal if _at(found, station) else None
        return self.verify(proof, key, station=station, active=active)

    def _session(self, key: str, last: _Known | None, now_ns: int, active: bool) -> _Known | None:
        row = self._store.session(key)
        if row is None:
            return None
        known = self._read(key, row)
        known.seen_ns = max(known.seen_ns, last.seen_ns if last else 0)
        if _ran_out(known, now_ns):
            self._store.drop_session(key)
            return None
        if active or known.station_hash is None:
            known.seen_ns = now_ns
        self._store.seen(key, known.seen_ns)
        return known

    def _read(self, key: str, row: RowMapping) -> _Known:
        scope, station, idle_s = WHOLE, "", self.lifetimes.idle_s
        if row["station"] is not None:
            station, idle_s = row["station"], row["idle_s"]
            scope = narrowed_to(Role(row["station_role"]), scopes.from_json(row["scope"]).under)
        has_password = row["password_hash"] is not None
        principal = Principal(
            row["name"], row["role"], Proof.SESSION, key, row["id"], has_password, scope, station=station
        )
        return _Known(
            principal, row["expires_ns"], row["seen_ns"], self._until(), round(idle_s * NS_PER_S),
            row["station_hash"], row["proved_ns"],
        )  # fmt: skip

    def _token(self, key: str, now_ns: int) -> _Known | None:
        row = self._store.token(key)
        if row is None or row["revoked_ns"] is not None:
            return None
        principal = Principal(row["name"], row["role"], Proof.TOKEN, key, scope=scopes.from_json(row["scope"]))
        known = _Known(principal, row["expires_ns"], now_ns, self._until())
        if _ran_out(known, now_ns):
            return None
        self._store.token_seen(key, now_ns)
        return known

    def _until(self) -> int:
        return self._clock.monotonic_ns() + round(self.lifetimes.remember_s * NS_PER_S)

    # Beginning, going on and ending

    def open(
        self,
        user: User,
        source: str,
        means: Means,
        *,
        program: str = "",
        replaces: str = "",
        station: Station | None = None,
    ) -> SignedIn:
        """A session for somebody who proved who they are, always under a new key.

        ``replaces`` is the key of the session the browser had before; it ends.
        """
        secret, now_ns = secrets.token_urlsafe(32), self._clock.now_ns()
        key, lifetime_s = key_of(secret), self.lifetimes.session_s
        if station is not None:
            lifetime_s = self.lifetimes.kiosk_session_s
        elif means is Means.EMERGENCY:
            lifetime_s = self.lifetimes.emergency_s
        values = {
            "hash": key,
            "user_id": user.id,
            "source": source[:64],
            "created_ns": now_ns,
            "seen_ns": now_ns,
            "expires_ns": now_ns + round(lifetime_s * NS_PER_S),
            "means": means.value,
            "program": "".join(c for c in program if c.isprintable())[:200],
            "proved_ns": now_ns,
            "station_id": station.id if station else None,
        }
        if replaces:
            self.end(replaces)
        self._store.add_session(values, round(self.lifetimes.idle_s * NS_PER_S))
        self._store.seen_user(user.id, now_ns)
        self.log.info("%s signed in from %s by %s", user.name, source, means.value)
        scope = narrowed_to(station.role, station.under) if station else WHOLE
        principal = Principal(
            user.name, user.role, Proof.SESSION, key, user.id, user.has_password, scope,
            station=station.name if station else "",
        )  # fmt: skip
        return SignedIn(secret, principal, lifetime_s)

    def rotate(self, principal: Principal, *, proved: bool = False) -> SignedIn:
        """The same session under a new key: after a change of rights, or of what proves who one is.

        ``proved``: the person just said again who they are (see `require_fresh`).
        Raises: Denied (needs_session, no_credentials)
        """
        if principal.proof is not Proof.SESSION:
            raise Denied("only a session goes on under another key", "needs_session")
        secret, now_ns = secrets.token_urlsafe(32), self._clock.now_ns()
        if not self._store.rotate(principal.key, key_of(secret), now_ns if proved else None):
            raise Denied("this session is not valid any more; sign in again", "no_credentials")
        self._drop_known({principal.key}, set())
        for callback in self._on_rotated:
            callback(principal.key, key_of(secret))
        row = self._store.session(key_of(secret))
        left_s = 0.0 if row is None else (row["expires_ns"] - now_ns) / NS_PER_S
        return SignedIn(secret, replace(principal, key=key_of(secret)), max(1.0, left_s))

    def require_fresh(self, principal: Principal) -> None:
        """Pass who said a moment ago who they are; for changes to accounts. Tokens and the local socket always pass.

        Raises: Denied (step_up_needed, needs_session)
        """
        if principal.proof is not Proof.SESSION:
            return
        if principal.station:
            raise Denied("at a station accounts are not changed; sign in with your password elsewhere", "at_a_station")
        row = self._store.session(principal.key)
        if row is None or self._clock.now_ns() - row["proved_ns"] >= self.lifetimes.step_up_s * NS_PER_S:
            raise Denied("say again who you are: this changes an account", "step_up_needed")

    def end(self, key: str) -> None:
        """End a session at once; one that is none is ended already."""
        self._store.drop_session(key)
        self.forget({key}, set())

    def sessions(self, user_id: int | None = None) -> list[Session]:
        """Sessions that are open now, newest first; those of one account, or all."""
        return self._store.sessions(self._clock.now_ns(), round(self.lifetimes.idle_s * NS_PER_S), user_id)

    def end_session(self, ident: str, by: str, user_id: int | None = None) -> bool:
        """End the session of this id, of one account or of any; False when there is none."""
        found = next((one for one in self.sessions(user_id) if one.id == ident), None)
        if found is None:
            return False
        self.end(found.key)
        self.log.info("session of %s ended by %s", found.name, by)
        return True

    def end_sessions(self, user_id: int, by: str, but: str = "") -> int:
        """End all sessions of an account, except perhaps one; how many they were."""
        ended = self._store.drop_sessions(user_id, but)
        self.forget(set(ended), set())
        if ended:
            self.log.info("%d sessions of account %d ended by %s", len(ended), user_id, by)
        return len(ended)

    def forget(self, keys: set[str], user_ids: set[int]) -> None:
        """Drop somebody from memory after the records changed, and tell everybody who serves them."""
        self._drop_known(keys, user_ids)
        for callback in self._on_revoked:
            callback(keys, user_ids)

    def _drop_known(self, keys: set[str], user_ids: set[int]) -> None:
        """A look-up under way may not bring them back."""
        with self.lock:
            self._revocations += 1
            for name, known in list(self._known.items()):
                if known.principal.key in keys or known.principal.user_id in user_ids:
                    del self._known[name]


def _ran_out(known: _Known, now_ns: int) -> bool:
    if known.expires_ns is not None and now_ns >= known.expires_ns:
        return True
    return known.idle_ns is not None and now_ns - known.seen_ns >= known.idle_ns


def _at(known: _Known, station: str | None) -> bool:
    """Whether a session comes from the station it belongs to; one of no station may come from anywhere."""
    return station is None or known.station_hash is None or known.station_hash == station
