"""Second factors: codes of an authenticator app, each good once, and recovery codes for the day the phone is gone.

Source: RFC 6238 (TOTP); OWASP ASVS 5.0 V6.5 (each code once, a small window, codes of recovery hashed)
"""

from __future__ import annotations

import hmac
from typing import Final, Protocol

import pyotp

from isthmus.security.codes import code_key, make_code
from isthmus.security.model import Principal, User
from isthmus.security.sessions import Sessions
from isthmus.security.store import Store
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied

STEP_S: Final = 30
WINDOW: Final = 1
"""Steps that a phone's clock may be ahead or behind."""
RECOVERY_CODES: Final = 10
MOST_CODE_CHARS: Final = 64


class Sealer(Protocol):
    """Keeps small secrets unreadable in the records. ``about`` says whose it is; elsewhere it does not open."""

    def seal(self, plain: bytes, about: str) -> bytes:
        """Unreadable without the installation's key."""
        ...

    def unseal(self, sealed: bytes, about: str) -> bytes:
        """What was sealed.

        Raises: ConfigError if it was sealed by another key, about another, or changed
        """
        ...


class SecondFactor:
    """Codes of accounts. Without a sealer there are none: nothing would keep the secrets."""

    def __init__(self, store: Store, clock: Clock, sealer: Sealer | None, sessions: Sessions) -> None:
        self._store, self._clock, self._sealer, self._sessions = store, clock, sealer, sessions

    @property
    def offered(self) -> bool:
        """Whether people can set one up."""
        return self._sealer is not None

    def begin(self, user: User, issuer: str) -> tuple[str, str]:
        """A new secret, and as the link an app scans; in force once `confirm` saw a code of it.

        Raises: Denied (totp_set) when one is in force
        """
        if self._sealer is None:
            raise ConfigError("totp: this installation has no key to keep such secrets with")
        if user.totp:
            raise Denied("a second factor is in force already; take it away first", "totp_set")
        secret = pyotp.random_base32()
        self._store.set_totp(user.id, self._sealer.seal(secret.encode(), _about(user)))
        return secret, pyotp.TOTP(secret).provisioning_uri(name=user.name, issuer_name=issuer)

    def confirm(self, user: User, code: str) -> list[str]:
        """Put the secret in force; the recovery codes, to be shown this once.

        Raises: Denied (wrong_totp, totp_not_begun)
        """
        kept = self._store.totp(user.id)
        if kept is None or kept[1]:
            raise Denied("no new second factor waits to be confirmed", "totp_not_begun")
        if not self._spend(user, code):
            raise Denied("the code is wrong; is the phone's clock right?", "wrong_totp")
        codes = [make_code(4) for _ in range(RECOVERY_CODES)]
        self._store.confirm_totp(user.id, [code_key(one) for one in codes])
        return codes

    def remove(self, user: User, by: str) -> None:
        """No second factor any more."""
        self._store.set_totp(user.id, None)
        self._sessions.log.info("second factor of %s removed by %s", user.name, by)

    def recovery_left(self, principal: Principal) -> int:
        """Codes that are not spent."""
        return 0 if principal.user_id is None else self._store.recovery_left(principal.user_id)

    def passes(self, user: User, code: str) -> bool:
        """Spend a code of the app, or a recovery code; False when it is neither.

        Raises: Denied (totp_needed) when none was given
        """
        if not code.strip():
            raise Denied("a code of your authenticator app is needed as well, or a recovery code", "totp_needed")
        if self._spend(user, code):
            return True
        return self._store.use_recovery(user.id, code_key(code[:MOST_CODE_CHARS]))

    def _spend(self, user: User, code: str) -> bool:
        kept = self._store.totp(user.id)
        given = "".join(code[:MOST_CODE_CHARS].split())
        if kept is None or self._sealer is None or not (given.isascii() and given.isdecimal() and len(given) == 6):
            return False
        app = pyotp.TOTP(self._sealer.unseal(kept[0], _about(user)).decode())
        now = self._clock.now_ns() // (STEP_S * NS_PER_S)
        matching = [
            step for step in range(now - WINDOW, now + WINDOW + 1) if hmac.compare_digest(app.generate_otp(step), given)
        ]
        return any(self._store.use_step(user.id, step) for step in matching[:1])


def _about(user: User) -> str:
    return f"totp of account {user.id}"
