"""Single sign-on by OpenID Connect: authorization code flow with PKCE, bound to the browser that began it.

Synchronous like the rest of the room, but for the two doors web uses: they keep slow providers from taking all threads.

Source: OpenID Connect Core 1.0, section 3.1; RFC 7636; RFC 8725; RFC 9207; RFC 9700
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlencode

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Engine

from isthmus.security.model import Means
from isthmus.security.names import name_key
from isthmus.security.oidc_http import Http, plain
from isthmus.security.oidc_model import (
    Metadata,
    Pending,
    Person,
    ProviderSettings,
    check_claims,
    groups_of,
    names_of,
    spellings,
)
from isthmus.security.oidc_store import Account, SubjectStore
from isthmus.security.origins import Origins
from isthmus.security.service import FIRST_USER, Security
from isthmus.security.sessions import SignedIn
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied, IsthmusError, NotConnected, Rejected, TryLater

if TYPE_CHECKING:
    from joserfc.jwk import Key  # at run time where the first token is read: start-up time is a budget

ALGORITHMS: Final = {
    "RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
    "ES256": "EC", "ES384": "EC", "ES512": "EC", "EdDSA": "OKP", "Ed25519": "OKP",
}  # fmt: skip
"""Signatures taken, and the type of key each wants: none is unsigned, and none is made with a key that others know."""

PENDING_S: Final = 600
KEPT_S: Final = 3600
"""Documents of a provider are read again after this long."""
FRESH_S: Final = 60
"""Before a browser is sent to a provider it must have answered within this time."""
RETRY_S: Final = 10
"""Nor is one that does not answer asked more often, nor keys looked for that were not there."""
_AT_ONCE: Final = 2
_WAITING: Final = 32
_KEYS: Final = 64
_SPENT: Final = 10_000


class Seal:
    """Makes texts that only this process can read, for a browser to keep; a restart of core voids them."""

    def __init__(self) -> None:
        self._cipher = AESGCM(secrets.token_bytes(32))

    def close(self, value: Any, kind: str) -> str:
        """A text for a cookie."""
        nonce = secrets.token_bytes(12)
        return urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, orjson.dumps(value), kind.encode())).decode()

    def open(self, text: str, kind: str) -> Any:
        """What was sealed; None if it was not by us, or as another kind."""
        try:
            sealed = urlsafe_b64decode(text[:4000].encode())
            return orjson.loads(self._cipher.decrypt(sealed[:12], sealed[12:], kind.encode()))
        except (ValueError, InvalidTag):
            return None


State = Literal["unknown", "ready", "unreachable", "unfit"]


@dataclass(frozen=True, slots=True)
class ProviderState:
    """How a provider is, as far as it is known."""

    name: str
    label: str
    state: State
    reason: str


class Provider:
    """One provider: its documents, kept for an hour, and what it says of somebody."""

    def __init__(
        self,
        settings: ProviderSettings,
        reveal: Callable[[str], str],
        clock: Clock,
        log: logging.Logger,
        http: Http | None = None,
    ) -> None:
        self.settings, self._reveal, self._clock, self._log = settings, reveal, clock, log
        self._http = http or Http(settings.ca)
        self._lock = threading.Lock()
        self._metadata: Metadata | None = None
        self._keys: list[Key] = []
        self._tried_ns: int | None = None
        self._read_ns = self._keys_ns = 0
        self._trouble: IsthmusError | None = None

    @property
    def label(self) -> str:
        return self.settings.label or self.settings.name

    def state(self) -> ProviderState:
        """From memory."""
        trouble = self._trouble
        if trouble is not None:
            state: State = "unreachable" if isinstance(trouble, NotConnected) else "unfit"
            return ProviderState(self.settings.name, self.label, state, str(trouble))
        return ProviderState(self.settings.name, self.label, "ready" if self._metadata else "unknown", "")

    def names_itself(self) -> bool:
        """Whether its answers name their issuer, as far as it was asked."""
        return self._metadata is not None and self._metadata.says_issuer

    def due(self, kept_s: float = FRESH_S) -> bool:
        """Whether it is time to ask it again."""
        age_s = self._age_s(self._tried_ns)
        return age_s is None or age_s >= (kept_s if self._trouble is None else RETRY_S)

    def _age_s(self, since_ns: int | None) -> float | None:
        return None if since_ns is None else (self._clock.monotonic_ns() - since_ns) / NS_PER_S

    def metadata(self, *, answers: bool = False) -> Metadata:
        """What it says of itself; ``answers``: and it must be there now, as somebody is about to be sent to it.

        Raises: NotConnected; Rejected
        """
        with self._lock:  # who comes while it is asked waits for the same answer
            if self.due(FRESH_S if answers else KEPT_S):
                self._read()
            if self._metadata is not None and not (answers and self._trouble):
                return self._metadata
            if isinstance(self._trouble, NotConnected):
                raise NotConnected(str(self._trouble))
            raise Rejected(str(self._trouble))

    def _read(self) -> None:
        """Ask for both documents. What was good stays in use while it does not answer."""
        before = self._trouble
        try:
            url = self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
            metadata = Metadata.of(self._http.get(url), self.settings)
            self._keys = self._read_keys(metadata)
            self._metadata, self._trouble = metadata, None
        except NotConnected as error:
            self._trouble = NotConnected(f"{self.label} does not answer ({error}); sign in by name and password")
        except (Rejected, ConfigError) as error:
            self._metadata, self._trouble = None, Rejected(f"{self.label} cannot be used: {error}")
        self._tried_ns = self._clock.monotonic_ns()
        if (before is None) != (self._trouble is None):
            self._log.warning("sign-on by %s: %s", self.label, self._trouble or "it answers again")

    def _read_keys(self, metadata: Metadata) -> list[Key]:
        from joserfc.errors import JoseError
        from joserfc.jwk import RSAKey, import_key

        found = self._http.get(metadata.jwks).get("keys")
        keys: list[Key] = []
        for each in found[:_KEYS] if isinstance(found, list) else []:
            if not isinstance(each, dict) or each.get("kty") not in ("RSA", "EC", "OKP") or each.get("use") == "enc":
                continue
            public = {
                name: value
                for name, value in each.items()
                if name not in ("d", "p", "q", "dp", "dq", "qi", "k", "key_ops", "x5c")
            }
            try:
                key = import_key(public)
            except (JoseError, ValueError, TypeError, KeyError):
                continue  # a kind we do not know, or a broken one, beside good ones
            if not isinstance(key, RSAKey) or key.public_key.key_size >= 2048:
                keys.append(key)
        if not keys:
            raise Rejected("publishes no key that signatures can be checked with")
        self._keys_ns = self._clock.monotonic_ns()
        return keys

    # One sign-in

    def address(self, pending: Pending, redirect: str) -> str:
        """Where the browser is sent to."""
        metadata = self.metadata(answers=True)
        digest = hashlib.sha256(pending.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": redirect,
            "scope": " ".join(self.settings.scopes),
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return f"{metadata.authorization}{'&' if '?' in metadata.authorization else '?'}{urlencode(query)}"

    def person(self, code: str, pending: Pending, redirect: str) -> Person:
        """Whom the code stands for.

        Raises: NotConnected; Rejected; Denied (token_refused, clock_skew); ConfigError for a missing secret
        """
        metadata = self.metadata()
        tokens = self._exchange(metadata, code, pending, redirect)
        claims = self._read_token(tokens.get("id_token"))
        subject = check_claims(claims, self.settings, pending, self._clock.now_ns())
        groups = groups_of(claims, self.settings.groups_claim)
        names = names_of(claims)
        access = tokens.get("access_token")
        if (groups is None or not names) and metadata.userinfo and isinstance(access, str):
            more = self._http.get(metadata.userinfo, bearer=access)
            if more.get("sub") != subject:
                raise Denied("the provider told of somebody else (userinfo)", "token_refused")
            groups = groups_of(more, self.settings.groups_claim) if groups is None else groups
            names = names or names_of(more)
        return Person(subject, groups or [], names)

    def _exchange(self, metadata: Metadata, code: str, pending: Pending, redirect: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "code_verifier": pending.verifier,
        }
        client = self.settings.client_id
        if not self.settings.client_secret:
            return self._http.post(metadata.token, {**form, "client_id": client})
        secret = self._reveal(self.settings.client_secret).strip()
        if metadata.post_secret:
            return self._http.post(metadata.token, {**form, "client_id": client, "client_secret": secret})
        return self._http.post(metadata.token, form, client, secret)

    def _read_token(self, token: object) -> dict[str, Any]:
        """The claims of an identity token whose signature is good."""
        from joserfc import jws, jwt
        from joserfc.errors import JoseError

        if not isinstance(token, str) or token.count(".") != 2 or not token.isascii():
            raise Denied("the identity token is not taken: there is none", "token_refused")
        try:
            header = jws.extract_compact(token.encode()).headers()
            algorithm, kid = header.get("alg"), header.get("kid")
            if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
                raise Denied(f"the identity token is not taken: signed by {str(algorithm)[:40]!r}", "token_refused")
            if str(header.get("typ", "JWT")).upper() != "JWT":
                raise Denied("the identity token is not taken: it is another kind of token", "token_refused")
            return dict(jwt.decode(token, self._key(algorithm, kid), algorithms=[algorithm]).claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise Denied(f"the identity token is not taken: {plain(str(error))}", "token_refused") from error

    def _key(self, algorithm: str, kid: object) -> Key:
        """The key a token names. One that is not known is looked for once more: the provider may have new ones."""
        key = self._known_key(algorithm, kid)
        if key is None:
            with self._lock:
                if self._metadata is not None and (self._age_s(self._keys_ns) or 0) >= RETRY_S:
                    self._keys_ns = self._clock.monotonic_ns()
                    self._keys = self._read_keys(self._metadata)
            key = self._known_key(algorithm, kid)
        if key is None:
            raise Denied(
                "the identity token is not taken: signed by a key that the provider does not publish", "token_refused"
            )
        return key

    def _known_key(self, algorithm: str, kid: object) -> Key | None:
        fit = [k for k in self._keys if k.key_type == ALGORITHMS[algorithm] and k.get("alg") in (None, algorithm)]
        if kid is not None:
            fit = [key for key in fit if key.get("kid") == kid]
        return fit[0] if len(fit) == 1 or (fit and kid is not None) else None


Tell = Callable[[str, str, str, str, str], None]
"""(provider, what, name, role before, role after): what a provider changed here, for the audit trail."""


def nobody_told(provider: str, what: str, name: str, before: str, after: str) -> None:
    """Where nothing is kept."""


class SignOn:
    """Signing in by outside providers. An account belongs to (issuer, subject), never to a name or an address."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        security: Security,
        providers: Sequence[ProviderSettings],
        reveal: Callable[[str], str],
        origins: Origins,
        log: logging.Logger | None = None,
        http: Http | None = None,
        tell: Tell = nobody_told,
    ) -> None:
        self._tell = tell
        self._log = log or logging.getLogger("isthmus.security")
        self._providers = {p.name: Provider(p, reveal, clock, self._log, http) for p in providers}
        self._store, self._clock, self._security = SubjectStore(engine), clock, security
        self.origins, self.seal = origins, Seal()
        self._spent: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._slots, self._waiting = asyncio.Semaphore(_AT_ONCE), 0
        security.kept_outside = self._store.provider_of

    def states(self) -> list[ProviderState]:
        """Every provider, from memory."""
        return [provider.state() for provider in self._providers.values()]

    def due(self) -> bool:
        """Whether `refresh` would tell something new."""
        return any(provider.due() for provider in self._providers.values())

    async def refresh(self) -> None:
        """Ask the providers how they are; failures are kept for `states`."""
        for provider in self._providers.values():
            if provider.due():
                try:
                    async with self._slot():
                        await asyncio.to_thread(provider.metadata, answers=True)
                except IsthmusError:
                    continue  # `states` tells

    def _provider(self, name: str) -> Provider:
        """Raises: ConfigError if there is none of that name."""
        if name not in self._providers:
            raise ConfigError("provider: there is none of this name")
        return self._providers[name]

    def has(self, name: str) -> bool:
        """Whether there is a provider of that name."""
        return name in self._providers

    def redirect_uri(self, name: str) -> str:
        """Where this provider sends browsers back to; it knows no other address of ours."""
        return f"{self.origins.primary}/api/v1/session/oidc/{name}/callback"

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        if self._waiting >= _WAITING:
            raise TryLater("too many people sign in at this moment; try again", 2.0)
        self._waiting += 1
        try:
            async with self._slots:
                yield
        finally:
            self._waiting -= 1

    async def begin(self, name: str, to: str) -> tuple[str, str]:
        """The provider's address for one sign-in, and what the browser keeps meanwhile.

        Raises: ConfigError; NotConnected; Rejected; TryLater
        """
        provider = self._provider(name)
        pending = Pending(
            name,
            secrets.token_urlsafe(32),
            secrets.token_urlsafe(32),
            secrets.token_urlsafe(48),
            to,
            self._clock.now_ns(),
            self._clock.monotonic_ns() + PENDING_S * NS_PER_S,
        )
        async with self._slot():
            address = await asyncio.to_thread(provider.address, pending, self.redirect_uri(name))
        return address, self.seal.close(astuple(pending), "pending")

    async def finish(
        self, name: str, kept: str, query: Mapping[str, str], source: str, **browser: str
    ) -> tuple[SignedIn, str]:
        """A session for whom the provider sent back, and the page they came from.

        Raises: Denied with its code; ConfigError; NotConnected; Rejected; TryLater
        """
        provider = self._provider(name)
        pending = self._take(name, kept, query)
        self._check_answer(provider, query)
        async with self._slot():
            code = query["code"][:4000]
            signed_in = await asyncio.to_thread(self._enter, provider, code, pending, source, **browser)
        return signed_in, pending.to

    def _take(self, name: str, kept: str, query: Mapping[str, str]) -> Pending:
        """What this browser began, once.

        Raises: Denied (sign_on_lost)
        """
        found = self.seal.open(kept, "pending")
        pending = Pending(*found) if found is not None else None
        state = query.get("state", "")
        if (
            pending is None
            or pending.provider != name
            or self._clock.monotonic_ns() >= pending.until_ns
            or not hmac.compare_digest(pending.state.encode(), state.encode())
            or not self._spend(state)
        ):
            raise Denied(
                "this browser did not begin this sign-in, or more than 10 minutes ago; begin again", "sign_on_lost"
            )
        return pending

    def _spend(self, state: str) -> bool:
        with self._lock:
            if state in self._spent:
                return False
            self._spent[state] = None
            if len(self._spent) > _SPENT:
                self._spent.popitem(last=False)
            return True

    @staticmethod
    def _check_answer(provider: Provider, query: Mapping[str, str]) -> None:
        issuer = query.get("iss")
        if (issuer is not None or provider.names_itself()) and issuer != provider.settings.issuer:
            raise Denied("this answer is another provider's", "token_refused")
        if "error" in query or not query.get("code"):
            said = " ".join(t for t in (plain(query.get("error")), plain(query.get("error_description"))) if t)
            raise Denied(f"{provider.label} refused: {said or 'no reason given'}", "provider_refused")

    def _enter(self, provider: Provider, code: str, pending: Pending, source: str, **browser: str) -> SignedIn:
        person = provider.person(code, pending, self.redirect_uri(provider.settings.name))
        role = provider.settings.role_of(person.groups)
        with self._lock:  # two first sign-ins of one person make one account
            account = self._store.account(provider.settings.issuer, person.subject)
            if role is None:
                if account is not None:
                    self._security.end_sessions(account.user_id, provider.label)
                self._log.warning("sign-on refused for %s of %s: no group fits", person.names[:1], provider.label)
                raise Denied(
                    f"{provider.label} knows you, but none of your groups has a role here; ask an administrator",
                    "no_role",
                )
            if account is None:
                account = self._new_account(provider, person, role)
            elif account.role != role:
                self._security.change_user(account.name, role=role, by=provider.label)
                self._tell(provider.label, "role by sign-on", account.name, account.role, role)
                self._log.info("%s has role %s now, by the groups at %s", account.name, role, provider.label)
            signed_in = self._security.open_for(account.user_id, source, provider.label, Means.SIGN_ON, **browser)
            self._store.seen(provider.settings.issuer, person.subject, self._clock.now_ns())
            return signed_in

    def _new_account(self, provider: Provider, person: Person, role: str) -> Account:
        for name in spellings(person.names, provider.label):
            if name_key(name) == FIRST_USER:
                continue  # who breaks the glass is called so
            try:
                user = self._security.create_user(name, role)
            except (Denied, ConfigError):
                continue  # somebody else is called so here, and stays so; or the name is unfit
            self._store.bind(
                provider.settings.issuer, person.subject, user.id, provider.settings.name, self._clock.now_ns()
            )
            self._tell(provider.label, "account by sign-on", name, "", role)
            self._log.info("account %s made for somebody of %s", name, provider.label)
            return Account(user.id, name, role, disabled=False)
        raise Denied("no name is free for this account", "name_taken")
