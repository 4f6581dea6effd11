"""Sign-on by an outside provider as values: its settings, its documents, and what makes an identity token good.

Source: OpenID Connect Core 1.0, sections 2 and 3.1; OpenID Connect Discovery 1.0, section 3; RFC 7636; RFC 9207
"""

from __future__ import annotations

import hmac
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from isthmus.security.names import MAX_NAME_CHARS
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError, Denied, Rejected
from isthmus.values.hosts import is_loopback
from isthmus.values.secrets import check_reference

SKEW_S: Final = 60
"""How far a provider's clock may be from ours."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}\Z")


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One outside provider of identities (OpenID Connect)."""

    issuer: str = ""
    """Its address, exactly as it names itself; `/.well-known/openid-configuration` below it is read."""
    client_id: str = ""
    """The name it knows this installation by."""
    client_secret: str = ""
    """Reference to the secret it gave us, `secret:sign-on`; empty where it gave none."""
    label: str = ""
    """What stands on the button; the name of the section unless told."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    """What it is asked for."""
    groups_claim: str = "groups"
    """Where it says which groups somebody is in; dots lead into objects, `realm_access.roles`."""
    roles: dict[str, str] = field(default_factory=dict)
    """Group → role; the first line that fits decides. Who is in none of them is refused."""
    hosts: tuple[str, ...] = ()
    """Hosts beside the issuer's own on which its endpoints may lie."""
    ca: str = ""
    """PEM file of the authority that signed its certificate; empty: those of this machine."""
    name: str = ""

    def role_of(self, groups: list[str]) -> str | None:
        """What these groups make of somebody."""
        return next((role for group, role in self.roles.items() if group in groups), None)


def check_provider(settings: ProviderSettings) -> ProviderSettings:
    """The settings when a provider can be asked by them.

    Raises: ConfigError naming the key
    """
    key = f"oidc.{settings.name}"
    if not _NAME.match(settings.name):
        raise ConfigError(f"{key}: a name has 1 to 32 small letters, digits and hyphens")
    check_url(settings.issuer, f"{key}.issuer")
    if not settings.client_id:
        raise ConfigError(f"{key}.client_id: must be given")
    if settings.client_secret:
        check_reference(settings.client_secret, f"{key}.client_secret")
    if "openid" not in settings.scopes:
        raise ConfigError(f"{key}.scopes: must hold openid, was {list(settings.scopes)!r}")
    if not settings.roles:
        raise ConfigError(f"{key}.roles: must give a role to one group or more, else nobody gets in")
    for listed, value in (
        ("roles", [*settings.roles.values()]),
        ("scopes", settings.scopes),
        ("hosts", settings.hosts),
    ):
        if not all(isinstance(one, str) and one and not re.search(r"\s", one) for one in value):
            raise ConfigError(f"{key}.{listed}: must be words, was {list(value)!r}")
    return settings


def check_url(url: object, key: str) -> str:
    """An address that a provider may have: https, or http on this machine; no user, query or fragment.

    Raises: ConfigError
    """
    text = url if isinstance(url, str) else ""
    try:
        parts = urlsplit(text)
        good = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good, parts = False, urlsplit("")
    plain = text.isascii() and text.isprintable() and not re.search(r"[\s\\]", text)
    good = good and plain and len(text) <= 2000 and "@" not in parts.netloc and not parts.fragment
    if not good or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))):
        raise ConfigError(f"{key}: must be https://… (http:// on this machine only), was {str(url)[:200]!r}")
    return text


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a provider says of itself, checked."""

    authorization: str
    token: str
    jwks: str
    userinfo: str
    says_issuer: bool  # answers carry iss (RFC 9207)
    post_secret: bool  # the secret goes into the body, as the header is not taken

    @classmethod
    def of(cls, document: dict[str, Any], settings: ProviderSettings) -> Metadata:
        """Read a discovery document.

        Raises: Rejected naming what is wrong in it
        """
        if document.get("issuer") != settings.issuer:
            raise Rejected(f"calls itself {str(document.get('issuer'))[:200]!r}, the settings say {settings.issuer!r}")
        if "code" not in _texts(document, "response_types_supported", "code"):
            raise Rejected("does not offer the authorization code flow")
        if "S256" not in _texts(document, "code_challenge_methods_supported", "S256"):
            raise Rejected("does not offer PKCE by S256")
        methods = _texts(document, "token_endpoint_auth_methods_supported", "client_secret_basic")
        hosts = {urlsplit(settings.issuer).hostname, *(host.casefold() for host in settings.hosts)}

        def endpoint(name: str) -> str:
            try:
                url = check_url(document.get(name), name)
            except ConfigError as error:
                raise Rejected(str(error)) from None
            if urlsplit(url).hostname not in hosts:
                host = urlsplit(url).hostname
                raise Rejected(f"{name} lies on {host}; list it under oidc.{settings.name}.hosts if that is right")
            if url.startswith("http:") and settings.issuer.startswith("https:"):
                raise Rejected(f"{name} is not https")
            return url

        return cls(
            endpoint("authorization_endpoint"),
            endpoint("token_endpoint"),
            endpoint("jwks_uri"),
            endpoint("userinfo_endpoint") if document.get("userinfo_endpoint") else "",
            document.get("authorization_response_iss_parameter_supported") is True,
            "client_secret_basic" not in methods and "client_secret_post" in methods,
        )


def _texts(document: Mapping[str, Any], name: str, unless_told: str) -> list[Any]:
    found = document.get(name, [unless_told])
    return found if isinstance(found, list) else []


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in that began in one browser. Units: started_ns is UTC, until_ns monotonic."""

    provider: str
    state: str
    nonce: str
    verifier: str
    to: str
    started_ns: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the provider vouches for."""

    subject: str
    groups: list[str]
    names: tuple[str, ...]  # what to call them, best first


def check_claims(claims: Mapping[str, Any], settings: ProviderSettings, pending: Pending, now_ns: int) -> str:
    """The subject of an identity token whose signature is good, if it was made for this sign-in.

    Raises: Denied (token_refused, clock_skew)
    """
    if claims.get("iss") != settings.issuer:
        raise _refused(f"it was issued by {str(claims.get('iss'))[:200]!r}")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if settings.client_id not in audiences:
        raise _refused("it was made for another client")
    if claims.get("azp", settings.client_id if len(audiences) == 1 else None) != settings.client_id:
        raise _refused("it was given to another client")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), pending.nonce.encode()):
        raise _refused("it was made for another sign-in (nonce)")
    _check_times(claims, settings, pending, now_ns)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise _refused("it names nobody")
    return subject


def _check_times(claims: Mapping[str, Any], settings: ProviderSettings, pending: Pending, now_ns: int) -> None:
    now_s, started_s = now_ns / NS_PER_S, pending.started_ns / NS_PER_S
    issued, ends = _time(claims, "iat"), _time(claims, "exp")
    begins = _time(claims, "nbf") if "nbf" in claims else issued
    ahead = max(issued, begins) - now_s
    if ahead > SKEW_S:
        raise _skewed(settings, ahead, "ahead of")
    if issued < started_s - SKEW_S:
        raise _skewed(settings, started_s - issued, "behind")
    if ends <= now_s - SKEW_S:
        raise _refused(f"it ended {now_s - ends:.0f} s ago")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise _refused(f"{name} is no time")
    return float(value)


def _skewed(settings: ProviderSettings, seconds: float, where: str) -> Denied:
    return Denied(
        f"the clock of {settings.label or settings.name} is {seconds:.0f} s {where} this machine's, {SKEW_S} s are tolerated; set both by NTP",
        "clock_skew",
    )


def _refused(why: str) -> Denied:
    return Denied(f"the identity token is not taken: {why}", "token_refused")


def groups_of(claims: Mapping[str, Any], claim: str) -> list[str] | None:
    """The groups that claims tell, None if they say nothing of groups."""
    value: Any = claims.get(claim)
    if value is None and "." in claim:
        value = claims
        for step in claim.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else None


def names_of(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """What a person may be called here, best first. A name proves nothing: who somebody is, the subject tells."""
    found = (claims.get(key) for key in ("preferred_username", "name", "email"))
    return tuple(name for text in found if isinstance(text, str) and (name := _plain(text)))


def _plain(text: str) -> str:
    return "".join(c for c in text[:MAX_NAME_CHARS] if c.isprintable()).strip()


def spellings(names: tuple[str, ...], label: str) -> Iterator[str]:
    """Names to try for a new account. One that is taken here stays with whom it belongs to."""
    for first in (*names, "guest"):
        yield first
        for number in range(1, 100):
            suffix = f" ({_plain(label)[:24]}{f' {number}' if number > 1 else ''})"
            yield first[: MAX_NAME_CHARS - len(suffix)] + suffix
