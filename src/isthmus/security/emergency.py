"""Break-glass: one sealed credential for the day nothing else lets anybody in. It needs no provider, works once, and is loud."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from isthmus.security.attempts import Attempts
from isthmus.security.codes import code_key, make_code
from isthmus.security.model import Means, Role
from isthmus.security.sessions import SignedIn
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError, Denied

if TYPE_CHECKING:
    from isthmus.security.service import Security
    from isthmus.security.store import Store

ACCOUNT = "break-glass"


class State(StrEnum):
    """How it is with the credential."""

    NONE = "none"  # never made
    READY = "ready"
    IN_USE = "in use"
    SPENT = "spent"


class Emergency:
    """The credential and its account, which has no other way in."""

    def __init__(self, security: Security, store: Store, clock: Clock, attempts: Attempts) -> None:
        self._security, self._store, self._clock, self._attempts = security, store, clock, attempts

    def make(self, by: str) -> str:
        """A new credential, to be printed once and put into the safe; the one before it is void, and its sessions end.

        Raises: ConfigError if a person's account has the name
        """
        user = next((u for u in self._store.users() if u.name == ACCOUNT), None)
        if user is None:
            user = self._security.add_user(ACCOUNT, Role.ADMIN)
        if user.has_password:
            raise ConfigError(f"user: {ACCOUNT} is the account of a person here; rename it first")
        self._store.change_user(user.id, {"role": Role.ADMIN.value, "disabled": False})
        code = make_code(5)
        values = {"hash": code_key(code), "user_id": user.id, "created_ns": self._clock.now_ns(), "created_by": by[:64]}
        self._store.set_emergency(values)
        self._security.end_sessions(user.id, by)
        return code

    def sign_in(self, credential: str, source: str, *, program: str = "", replaces: str = "") -> SignedIn:
        """A short session with every right of an administrator.

        Raises: Denied (wrong_password); TooManyFailures
        """
        now_ns = self._clock.now_ns()
        with self._security.lock:
            self._attempts.check(ACCOUNT, source, now_ns)
        user = self._store.use_emergency(code_key(credential), now_ns, source)
        if user is None:
            with self._security.lock:
                self._attempts.failed(ACCOUNT, source, now_ns)
            self._security.log.warning("break-glass credential refused from %s", source)
            raise Denied("this credential is wrong, or was used before", "wrong_password")
        self._security.log.warning(
            "BREAK-GLASS: the emergency credential was used from %s; make a new one with `isthmus user break-glass`",
            source,
        )
        return self._security.open(user, source, Means.EMERGENCY, program=program, replaces=replaces)

    def state(self) -> State:
        """For a banner that everybody sees."""
        row = self._store.emergency()
        if row is None:
            return State.NONE
        if row["used_ns"] is None:
            return State.READY
        return State.IN_USE if self._security.sessions(row["user_id"]) else State.SPENT
