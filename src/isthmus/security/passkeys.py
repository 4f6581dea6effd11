"""Passkeys: signing in by a key that never leaves its owner's device, behind its owner's finger or PIN.

Source: W3C Web Authentication Level 3, sections 7.1 and 7.2
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Engine

from isthmus.security.model import Action, Means, Principal
from isthmus.security.names import check_account_name
from isthmus.security.origins import Origins
from isthmus.security.passkey_store import Passkey, PasskeyStore
from isthmus.security.policy import authorise
from isthmus.security.service import Security
from isthmus.security.sessions import SignedIn
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied

CHALLENGE_S: Final = 300
FRESH_S: Final = 900
"""A passkey is added within this time after signing in: a screen somebody left open is not enough."""
MOST: Final = 20
"""Passkeys of one person."""
_PENDING: Final = 10_000
_PENDING_SOURCE: Final = 50


@dataclass(frozen=True, slots=True)
class _Asked:
    """A challenge that waits for its answer. Units: until_ns monotonic"""

    challenge: bytes
    origin: str
    source: str
    until_ns: int
    user_id: int | None = None  # of who adds a passkey; None where somebody signs in
    handle: bytes = b""


class _Challenges:
    """Challenges by their identifiers: each is answered once, or not at all. Bounded, and by source as well."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: OrderedDict[str, _Asked] = OrderedDict()

    def ask(self, origin: str, source: str, user_id: int | None = None, handle: bytes = b"") -> tuple[str, _Asked]:
        now_ns = self._clock.monotonic_ns()
        until_ns = now_ns + CHALLENGE_S * NS_PER_S
        asked = _Asked(secrets.token_bytes(32), origin, source, until_ns, user_id, handle)
        ident = secrets.token_urlsafe(16)
        with self._lock:
            while self._open and next(iter(self._open.values())).until_ns <= now_ns:
                self._open.popitem(last=False)
            same = [key for key, one in self._open.items() if one.source == source]
            if len(same) >= _PENDING_SOURCE:
                del self._open[same[0]]
            elif len(self._open) >= _PENDING:
                self._open.popitem(last=False)
            self._open[ident] = asked
        return ident, asked

    def take(self, ident: str, origin: str | None, user_id: int | None = None) -> _Asked:
        """Raises: Denied (challenge_spent)"""
        with self._lock:
            asked = self._open.pop(ident, None)
        if (
            asked is None
            or asked.until_ns <= self._clock.monotonic_ns()
            or asked.user_id != user_id
            or asked.origin != origin
        ):
            raise Denied("this was answered before, or more than 5 minutes ago; begin again", "challenge_spent")
        return asked


class Passkeys:
    """Adding, using and removing passkeys. Synchronous: web calls it from threads."""

    def __init__(
        self, engine: Engine, clock: Clock, security: Security, origins: Origins, log: logging.Logger | None = None
    ) -> None:
        self._store, self._clock, self._security, self._origins = PasskeyStore(engine), clock, security, origins
        self._log = log or logging.getLogger("isthmus.security")
        self._challenges = _Challenges(clock)

    def fits(self, origin: str | None) -> str:
        """Why passkeys do not work on a page of this origin; empty where they do."""
        try:
            self._origins.rp_id(origin)
        except Denied as denied:
            return str(denied)
        return ""

    # Adding one

    def registration_options(self, principal: Principal, origin: str | None, source: str) -> dict[str, Any]:
        """What the browser makes a passkey by.

        Raises: Denied (needs_session, needs_fresh_session, kept_outside, passkey_needs_name)
        """
        user_id = self._owner(principal)
        rp_id = self._origins.rp_id(origin)
        from webauthn import generate_registration_options
        from webauthn.helpers.structs import (
            AuthenticatorSelectionCriteria,
            PublicKeyCredentialDescriptor,
            ResidentKeyRequirement,
            UserVerificationRequirement,
        )

        handle, credentials = self._store.known(user_id, rp_id)
        handle = handle or secrets.token_bytes(32)
        ident, asked = self._challenges.ask(origin or "", source, user_id, handle)
        options = generate_registration_options(
            rp_id=rp_id,
            rp_name="Isthmus",
            user_name=principal.name,
            user_id=handle,
            challenge=asked.challenge,
            timeout=CHALLENGE_S * 1000,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                require_resident_key=True,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in credentials],
        )
        return _asked(ident, options)

    def _owner(self, principal: Principal) -> int:
        """The account of who is to get a passkey; they must have proved themselves a short while ago."""
        authorise(principal, Action.ACCOUNT_OWN)
        if principal.user_id is None:
            raise Denied("only an account has passkeys; sign in", "needs_session")
        if provider := self._security.kept_outside(principal.user_id):
            raise Denied(f"this account is kept by {provider}; its passkeys are kept there", "kept_outside")
        age_ns = self._clock.now_ns() - self._store.signed_in_ns(principal.key)
        if age_ns > FRESH_S * NS_PER_S:
            raise Denied("sign out and in again, then add the passkey within 15 minutes", "needs_fresh_session")
        return principal.user_id

    def register(
        self, principal: Principal, origin: str | None, ident: str, credential: Mapping[str, Any], name: str
    ) -> Passkey:
        """Keep the passkey the browser made.

        Raises: Denied (challenge_spent, passkey_refused, conflict, …); ConfigError for an unfit name
        """
        user_id = self._owner(principal)
        check_account_name(name)
        rp_id = self._origins.rp_id(origin)
        asked = self._challenges.take(ident, origin, user_id)
        from webauthn import verify_registration_response
        from webauthn.helpers.structs import CredentialDeviceType

        try:
            made = verify_registration_response(
                credential=dict(credential),
                expected_challenge=asked.challenge,
                expected_rp_id=rp_id,
                expected_origin=asked.origin,
                require_user_verification=True,
            )
        except Exception as error:  # the library raises what it meets in bytes from outside
            raise self._refused(asked.source, error) from error
        kept = self._store.add(
            {
                "credential": made.credential_id,
                "user_id": user_id,
                "handle": asked.handle,
                "rp_id": rp_id,
                "public_key": made.credential_public_key,
                "counter": made.sign_count,
                "name": name,
                "synced": made.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
                "created_ns": self._clock.now_ns(),
            },
            MOST,
        )
        if kept is None:
            raise Denied(f"this passkey is known already, or you have {MOST}; remove one", "conflict")
        self._log.info("%s added the passkey %s for %s", principal.name, name, rp_id)
        return kept

    def of(self, principal: Principal) -> list[Passkey]:
        """One's own passkeys, oldest first."""
        return self._store.of(principal.user_id) if principal.user_id is not None else []

    def remove(self, principal: Principal, ident: int) -> bool:
        """Take one's own passkey no more; False when one has none such."""
        authorise(principal, Action.ACCOUNT_OWN)
        if principal.user_id is None or not self._store.remove(principal.user_id, ident):
            return False
        self._log.info("%s removed a passkey", principal.name)
        return True

    def remove_all(self, user_id: int, by: str) -> int:
        """Take none of an account's passkeys any more; how many they were."""
        count = self._store.remove_all(user_id)
        self._log.info("%d passkeys of account %d removed by %s", count, user_id, by)
        return count

    # Signing in

    def sign_in_options(self, origin: str | None, source: str) -> dict[str, Any]:
        """What the browser signs in by; it names nobody, the device knows.

        Raises: Denied (passkey_needs_name)
        """
        rp_id = self._origins.rp_id(origin)
        from webauthn import generate_authentication_options
        from webauthn.helpers.structs import UserVerificationRequirement

        ident, asked = self._challenges.ask(origin or "", source)
        options = generate_authentication_options(
            rp_id=rp_id,
            challenge=asked.challenge,
            timeout=CHALLENGE_S * 1000,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return _asked(ident, options)

    def sign_in(
        self, origin: str | None, ident: str, credential: Mapping[str, Any], source: str, **browser: str
    ) -> SignedIn:
        """A session for who signed the challenge.

        Raises: Denied (challenge_spent, passkey_refused, passkey_suspect, account_closed, passkey_needs_name)
        """
        rp_id = self._origins.rp_id(origin)
        asked = self._challenges.take(ident, origin)
        from webauthn import verify_authentication_response
        from webauthn.helpers import parse_authentication_credential_json

        try:
            given = parse_authentication_credential_json(dict(credential))
            row = self._store.find(given.raw_id)
            if row is None or row["rp_id"] != rp_id or given.response.user_handle not in (None, row["handle"]):
                raise ConfigError("no such passkey")
            shown = verify_authentication_response(
                credential=given,
                expected_challenge=asked.challenge,
                expected_rp_id=rp_id,
                expected_origin=asked.origin,
                credential_public_key=row["public_key"],
                credential_current_sign_count=0,  # compared below: the library looks before the signature is known
                require_user_verification=True,
            )
        except Exception as error:  # the library raises what it meets in bytes from outside
            raise self._refused(source, error) from error
        now_ns, before, counter = self._clock.now_ns(), row["counter"], shown.new_sign_count
        fine = row["suspect_ns"] is None and (counter > before or counter == before == 0)
        if not fine:
            self._store.suspect(row["id"], row["suspect_ns"] or now_ns)
            self._log.warning("passkey %s refused from %s: it may have been copied", row["name"], source)
            raise Denied(
                f"the counter of the passkey {row['name']} went back, so there may be a copy of it; "
                "sign in another way, remove it and add a new one",
                "passkey_suspect",
            )
        if not self._store.used(row["id"], counter, before, now_ns):
            raise Denied("this passkey is being used elsewhere at this moment; begin again", "challenge_spent")
        return self._security.open_for(row["user_id"], source, f"passkey {row['name']}", Means.PASSKEY, **browser)

    def _refused(self, source: str, error: Exception) -> Denied:
        self._log.warning("passkey refused from %s: %s", source, str(error)[:200] or type(error).__name__)
        return Denied("this passkey is not known here, or did not prove itself", "passkey_refused")


def _asked(ident: str, options: Any) -> dict[str, Any]:
    from webauthn import options_to_json

    return {"id": ident, "public_key": json.loads(options_to_json(options))}
