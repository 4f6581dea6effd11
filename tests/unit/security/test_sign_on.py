"""Sign-on against a provider that lies, hangs or babbles."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from argon2 import PasswordHasher
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from sqlalchemy import Engine

from isthmus.app.records import open_records
from isthmus.security.model import Role
from isthmus.security.oidc import FRESH_S, RETRY_S, Seal, SignOn
from isthmus.security.oidc_http import MAX_BYTES, Http
from isthmus.security.oidc_model import ProviderSettings, groups_of, names_of, spellings
from isthmus.security.origins import Origins
from isthmus.security.service import Security, SignedIn
from isthmus.security.store import metadata
from isthmus.values.clock import ManualClock
from isthmus.values.errors import Denied, IsthmusError, NotConnected, Rejected

pytestmark = pytest.mark.mission("M33", "M36")

FAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
RSA = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "two"})
SMALL = RSAKey.generate_key(1024, {"kid": "small"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
OCT = OctKey.generate_key(256, {"kid": "oct"})


def _part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Liar:
    """A provider that says what a test makes it say."""

    clock: ManualClock
    url: str = ""
    keys: list[Any] = field(default_factory=lambda: [RSA, EC, ED])
    about: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "RS256", "kid": "one"})
    key: Any = field(default_factory=lambda: RSA)
    token: Callable[[dict[str, Any]], Any] | None = None
    userinfo: dict[str, Any] | None = None
    raw: dict[str, Any] = field(default_factory=dict)  # path → bytes of the whole answer, or a function that writes it
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    def answer(self, path: str, body: str) -> dict[str, Any]:
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": self.url,
                "authorization_endpoint": self.url + "/authorize",
                "token_endpoint": self.url + "/token",
                "jwks_uri": self.url + "/keys",
                **({"userinfo_endpoint": self.url + "/me"} if self.userinfo else {}),
                **self.about,
            }
        if path == "/keys":
            return {"keys": [k if isinstance(k, dict) else k.as_dict(private=False) for k in self.keys]}
        if path == "/me":
            return self.userinfo or {}
        return {"access_token": "at", "token_type": "Bearer", "id_token": self.id_token(parse_qs(body)["code"][0])}

    def id_token(self, code: str) -> Any:
        now = self.clock.now_ns() // 10**9
        claims = {
            "iss": self.url, "sub": "u1", "aud": "isthmus", "nonce": code, "iat": now, "exp": now + 300,
            "preferred_username": "ana", "groups": ["engineers"], **self.claims,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not ...}
        if self.token is not None:
            return self.token(claims)
        return jwt.encode(self.header, claims, self.key, algorithms=[self.header["alg"]])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, path, _ = head.split("\r\n", 1)[0].split(" ")
            length = next((int(h[15:]) for h in head.split("\r\n") if h.lower().startswith("content-length:")), 0)
            sent = (await reader.readexactly(length)).decode()
            self.asked.append((method, path, head + sent))
            raw = self.raw.get(path)
            if callable(raw):
                await raw(writer)
            elif raw is not None:
                writer.write(raw)
            else:
                body = json.dumps(self.answer(path, sent)).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side had enough
        finally:
            writer.close()

    async def end(self, server: asyncio.Server) -> None:
        """Stop, and wait for what is open."""
        server.close()
        for writer in self.open:
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        await server.wait_closed()


@dataclass
class Site:
    """Our side."""

    liar: Liar
    security: Security
    clock: ManualClock
    engine: Engine

    def trust(self, http: Http | None = None, **more: Any) -> SignOn:
        given: dict[str, Any] = {
            "name": "liar", "issuer": self.liar.url, "client_id": "isthmus", "client_secret": "secret:x",
            "roles": {"engineers": "engineer"}, **more,
        }  # fmt: skip
        return SignOn(
            self.engine, self.clock, self.security, [ProviderSettings(**given)], lambda _: "s3cret\n",
            Origins(("http://localhost:8420",)), http=http,
        )  # fmt: skip

    async def enter(self, sign_on: SignOn | None = None, **query: str) -> SignedIn:
        sign_on = sign_on or self.trust()
        address, kept = await sign_on.begin("liar", "/tags")
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        answer = {"state": asked["state"], "code": asked["nonce"], **query}
        signed_in, to = await sign_on.finish("liar", kept, answer, "here")
        assert to == "/tags"
        return signed_in


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_records(tmp_path / "records.db")
    metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
async def site(engine: Engine) -> AsyncIterator[Site]:
    clock = ManualClock()
    liar = Liar(clock)
    server = await asyncio.start_server(liar.serve, "127.0.0.1", 0)
    liar.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield Site(liar, Security(engine, clock, hasher=FAST), clock, engine)
    await liar.end(server)


async def refused(site: Site, code: str, words: str = "", **more: Any) -> str:
    with pytest.raises(Denied, match=words) as caught:
        await site.enter(**more)
    assert caught.value.code == code
    assert site.security.users() == []
    return str(caught.value)


@pytest.mark.parametrize(("alg", "key"), [("RS256", RSA), ("RS512", RSA), ("PS256", RSA), ("ES256", EC), ("EdDSA", ED)])
async def test_every_fit_signature_is_taken(site: Site, alg: str, key: Any) -> None:
    site.liar.header, site.liar.key = {"alg": alg, "kid": key.kid}, key
    signed_in = await site.enter()
    assert (signed_in.principal.name, signed_in.principal.role) == ("ana", "engineer")
    method, path, request = site.liar.asked[-1]
    assert (method, path) == ("POST", "/token")
    assert "Authorization: Basic " + base64.b64encode(b"isthmus:s3cret").decode() in request
    sent = {name: values[0] for name, values in parse_qs(request.split("\r\n\r\n", 1)[1]).items()}
    assert sent["grant_type"] == "authorization_code"
    assert sent["redirect_uri"] == "http://localhost:8420/api/v1/session/oidc/liar/callback"
    assert len(sent["code_verifier"]) >= 43


async def test_the_challenge_is_the_hash_of_the_verifier(site: Site) -> None:
    sign_on = site.trust()
    address, kept = await sign_on.begin("liar", "/")
    asked = parse_qs(urlsplit(address).query)
    await sign_on.finish("liar", kept, {"state": asked["state"][0], "code": asked["nonce"][0]}, "here")
    verifier = parse_qs(site.liar.asked[-1][2].split("\r\n\r\n", 1)[1])["code_verifier"][0]
    assert asked["code_challenge"] == [_part(hashlib.sha256(verifier.encode()).digest())]


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"iss": "https://elsewhere.example"}, "issued by"),
        ({"aud": "another"}, "another client"),
        ({"aud": ["another"]}, "another client"),
        ({"aud": ...}, "another client"),
        ({"aud": ["isthmus", "another"]}, "given to another"),
        ({"aud": ["isthmus", "another"], "azp": "another"}, "given to another"),
        ({"azp": "another"}, "given to another"),
        ({"nonce": "x" * 43}, "nonce"),
        ({"nonce": ...}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": ["x"]}, "nonce"),
        ({"exp": 1_600_000_000}, "ended"),
        ({"exp": ...}, "exp is no time"),
        ({"iat": ...}, "iat is no time"),
        ({"iat": "now"}, "iat is no time"),
        ({"iat": True}, "iat is no time"),
        ({"exp": float("nan")}, "exp is no time"),
        ({"sub": ""}, "nobody"),
        ({"sub": 7}, "nobody"),
        ({"sub": "x" * 256}, "nobody"),
    ],
)
async def test_a_token_that_was_not_made_for_this_sign_in_is_refused(site: Site, claims: Any, words: str) -> None:
    site.liar.claims = claims
    await refused(site, "token_refused", words)


@pytest.mark.parametrize(
    ("claims", "seconds"), [({"iat": 3600}, 3600), ({"nbf": 120}, 120), ({"iat": -90}, 90), ({"iat": 61}, 61)]
)
async def test_a_clock_that_is_off_is_named(site: Site, claims: dict[str, int], seconds: int) -> None:
    now = site.clock.now_ns() // 10**9
    site.liar.claims = {"exp": now + 9999, **{name: now + value for name, value in claims.items()}}
    said = await refused(site, "clock_skew", "set both by NTP")
    assert f"is {seconds} s" in said


async def test_a_minute_of_skew_is_tolerated(site: Site) -> None:
    now = site.clock.now_ns() // 10**9
    for claims in ({"iat": 59}, {"nbf": 59}, {"iat": -59}, {"exp": -59}):
        site.liar.claims = {name: now + value for name, value in claims.items()}
        assert (await site.enter()).principal.name == "ana"


async def test_several_audiences_are_fine_when_the_token_is_ours(site: Site) -> None:
    site.liar.claims = {"aud": ["another", "isthmus"], "azp": "isthmus"}
    assert (await site.enter()).principal.name == "ana"


def hs256(key: bytes, header: dict[str, Any]) -> Callable[[dict[str, Any]], str]:
    def make(claims: dict[str, Any]) -> str:
        body = f"{_part(header)}.{_part(claims)}"
        return f"{body}.{_part(hmac.new(key, body.encode(), 'sha256').digest())}"

    return make


@pytest.mark.parametrize(
    "token",
    [
        lambda claims: f"{_part({'alg': 'none'})}.{_part(claims)}.",
        lambda claims: f"{_part({'alg': 'NoNe', 'kid': 'one'})}.{_part(claims)}.",
        hs256(RSA.as_pem(private=False), {"alg": "HS256", "kid": "one"}),  # the public key as if it were a secret
        hs256(RSA.as_der(private=False), {"alg": "HS256"}),
        hs256(b"s3cret", {"alg": "HS256"}),
        hs256(OCT.raw_value, {"alg": "HS256", "kid": "oct"}),  # published as if it were a public key
        hs256(OCT.raw_value, {"alg": "RS256", "kid": "oct"}),
        lambda claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, OTHER),  # another's key by our key's name
        lambda claims: jwt.encode(
            {"alg": "RS256", "jwk": OTHER.as_dict(private=False)}, claims, OTHER
        ),  # brings its own
        lambda claims: jwt.encode({"alg": "RS256", "kid": "unknown"}, claims, OTHER),
        lambda claims: jwt.encode({"alg": "RS256", "kid": "small"}, claims, SMALL),
        lambda claims: jwt.encode({"alg": "RS256", "kid": "ec"}, claims, RSA),
        lambda claims: jwt.encode({"alg": "RS256", "kid": "one", "typ": "at+jwt"}, claims, RSA),
        lambda claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, RSA)[:-8] + "AAAAAAAA",
        lambda _: "not.a.token",
        lambda _: "ü.ü.ü",
        lambda _: "....",
        lambda claims: f"{_part([1])}.{_part(claims)}.x",
        lambda claims: f"{_part({'alg': ['RS256']})}.{_part(claims)}.x",
        lambda _: None,
        lambda _: 7,
    ],
)
async def test_a_token_that_the_provider_did_not_sign_is_refused(site: Site, token: Any) -> None:
    site.liar.keys = [RSA, EC, ED, SMALL, OCT.as_dict(private=True), {"kty": "oct"}, {"kty": "RSA", "n": "?"}, {}]
    site.liar.token = token
    await refused(site, "token_refused", "not taken")


async def test_a_token_whose_claims_are_no_object_is_refused(site: Site) -> None:
    from joserfc import jws

    for payload in (b"[]", b"7", b"{", b"\xff"):
        site.liar.token = lambda _, payload=payload: jws.serialize_compact({"alg": "RS256", "kid": "one"}, payload, RSA)
        await refused(site, "token_refused")


async def test_a_new_key_is_fetched_when_it_is_first_seen_and_not_at_every_turn(site: Site) -> None:
    sign_on = site.trust()
    await site.enter(sign_on)
    site.liar.keys, site.liar.key, site.liar.header = [OTHER], OTHER, {"alg": "RS256", "kid": "two"}
    asked = sum(path == "/keys" for _, path, _ in site.liar.asked)
    with pytest.raises(Denied, match="does not publish"):
        await site.enter(sign_on)
    assert sum(path == "/keys" for _, path, _ in site.liar.asked) == asked
    site.clock.advance(RETRY_S)
    await site.enter(sign_on)
    await site.enter(sign_on)
    assert sum(path == "/keys" for _, path, _ in site.liar.asked) == asked + 1
    site.liar.key, site.liar.header = RSA, {"alg": "RS256", "kid": "one"}  # the old one is withdrawn
    with pytest.raises(Denied, match="does not publish"):
        await site.enter(sign_on)


async def test_documents_are_kept_and_nobody_is_sent_to_a_provider_that_is_away(site: Site) -> None:
    sign_on = site.trust()
    document = "/.well-known/openid-configuration"
    await site.enter(sign_on)
    await site.enter(sign_on)
    assert sum(path == document for _, path, _ in site.liar.asked) == 1
    address, kept = await sign_on.begin("liar", "/")
    site.liar.raw[document] = b"HTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n"
    site.clock.advance(FRESH_S)
    with pytest.raises(NotConnected, match="answered 503"):
        await sign_on.begin("liar", "/")
    asked = parse_qs(urlsplit(address).query)  # who is on the way already comes in by what is known
    await sign_on.finish("liar", kept, {"state": asked["state"][0], "code": asked["nonce"][0]}, "here")
    assert sign_on.states()[0].state == "unreachable"
    del site.liar.raw[document]
    assert not sign_on.due()
    site.clock.advance(RETRY_S)
    assert sign_on.due()
    await sign_on.refresh()
    assert sign_on.states()[0].state == "ready"
    await site.enter(sign_on)


def answer(status: str, body: bytes, **headers: str) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{lines}Connection: close\r\n\r\n".encode() + body


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys", "/token"])
@pytest.mark.parametrize(
    ("raw", "error", "words"),
    [
        (answer("200 OK", b"x" * (MAX_BYTES + 1)), Rejected, "more than"),
        (
            answer("302 Found", b"", Location="/.well-known/openid-configuration"),
            Rejected,
            "302, which is not followed",
        ),
        (answer("307 On", b"", Location="http://169.254.169.254/"), Rejected, "307, which is not followed"),
        (answer("200 OK", b"<html>"), Rejected, "no JSON object"),
        (answer("200 OK", b"[]"), Rejected, "no JSON object"),
        (answer("400 Bad", b'{"error": "bad\\u0000", "error_description": 7}'), Rejected, "answered 400: bad"),
        (answer("500 Oops", b""), NotConnected, "answered 500"),
        (b"garbage\r\n\r\n", NotConnected, "BadStatusLine"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000 + b"\r\n", NotConnected, "HTTPException"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70000 + b"\r\n\r\n", NotConnected, "LineTooLong"),
        (b"", NotConnected, "RemoteDisconnected|reset"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_an_error_in_words(
    site: Site, path: str, raw: bytes, error: type[IsthmusError], words: str
) -> None:
    site.liar.raw[path] = raw
    with pytest.raises(error, match=words):
        await site.enter()
    assert site.security.users() == []


async def test_a_slow_provider_costs_its_time_once(site: Site) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")  # every byte in time, the whole never
            await writer.drain()
            await asyncio.sleep(0.02)

    async def hang(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.4)

    for how in (drip, hang):
        site.liar.raw["/.well-known/openid-configuration"] = how
        sign_on = site.trust(Http(timeout_s=0.3))
        with pytest.raises(NotConnected, match=r"no answer (within 0.3 s|in time)"):
            await sign_on.begin("liar", "/")
        asked = len(site.liar.asked)
        with pytest.raises(NotConnected):  # not asked again at once
            await sign_on.begin("liar", "/")
        assert len(site.liar.asked) == asked
        assert sign_on.states()[0].state == "unreachable"


async def test_an_unreachable_provider_is_said_and_passwords_still_work(site: Site) -> None:
    sign_on = site.trust(issuer="http://127.0.0.1:9")
    with pytest.raises(NotConnected, match=r"liar does not answer .*refused.*sign in by name and password"):
        await sign_on.begin("liar", "/")
    [state] = sign_on.states()
    assert state.state == "unreachable"
    site.security.create_user("boss", Role.ADMIN, "correct horse battery")
    assert site.security.sign_in("boss", "correct horse battery", "here").principal.role == "admin"


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"issuer": "https://elsewhere.example"}, "calls itself"),
        ({"token_endpoint": "http://169.254.169.254/latest"}, "must be https"),
        ({"token_endpoint": "https://elsewhere.example/token"}, "list it under oidc.liar.hosts"),
        ({"jwks_uri": "file:///etc/passwd"}, "must be https"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "must be https"),
        ({"authorization_endpoint": None}, "must be https"),
        ({"userinfo_endpoint": "https://user:pass@127.0.0.1/"}, "must be https"),
        ({"response_types_supported": ["id_token"]}, "code flow"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE"),
    ],
)
async def test_a_provider_that_is_not_what_it_was_taken_for_is_not_used(site: Site, about: Any, words: str) -> None:
    site.liar.about = about
    sign_on = site.trust()
    with pytest.raises(Rejected, match=words):
        await sign_on.begin("liar", "/")
    assert sign_on.states()[0].state == "unfit"


async def test_no_key_is_no_provider(site: Site) -> None:
    for keys in ([], [OCT.as_dict(private=True)], [SMALL], [{**RSA.as_dict(private=False), "use": "enc"}]):
        site.liar.keys = keys
        with pytest.raises(Rejected, match="publishes no key"):
            await site.trust().begin("liar", "/")


async def test_an_answer_by_another_provider_is_refused(site: Site) -> None:
    await refused(site, "token_refused", "another provider", iss="https://elsewhere.example")
    site.liar.about = {"authorization_response_iss_parameter_supported": True}
    await refused(site, "token_refused", "another provider")
    assert (await site.enter(iss=site.liar.url)).principal.name == "ana"


async def test_groups_may_come_by_userinfo_of_the_same_person_only(site: Site) -> None:
    site.liar.claims = {"groups": ..., "preferred_username": ...}
    site.liar.userinfo = {"sub": "u2", "groups": ["engineers"], "name": "Ana"}
    await refused(site, "token_refused", "somebody else")
    site.liar.userinfo["sub"] = "u1"
    assert (await site.enter()).principal.name == "Ana"
    assert "Authorization: Bearer at" in next(request for _, path, request in site.liar.asked if path == "/me")


async def test_the_first_line_that_fits_decides(site: Site) -> None:
    site.liar.claims = {"groups": ["engineers", "bosses"]}
    sign_on = site.trust(roles={"bosses": "admin", "engineers": "engineer"})
    assert (await site.enter(sign_on)).principal.role == "admin"
    await refused_again(site, site.trust(roles={"nobody": "admin"}))


async def refused_again(site: Site, sign_on: SignOn) -> None:
    with pytest.raises(Denied, match="none of your groups") as caught:
        await site.enter(sign_on)
    assert caught.value.code == "no_role"


async def test_an_account_is_the_subject_s_whatever_it_is_called_today(site: Site) -> None:
    first = await site.enter()
    site.liar.claims = {"preferred_username": "renamed", "email": "other@plant.example"}
    assert (await site.enter()).principal.user_id == first.principal.user_id
    site.liar.claims = {"sub": "u2", "preferred_username": "ana", "email": "ana@plant.example"}
    second = await site.enter()
    assert second.principal.user_id != first.principal.user_id
    assert second.principal.name == "ana (liar)"


async def test_the_link_of_the_first_administrator_never_enters_an_account_kept_outside(site: Site) -> None:
    site.liar.claims = {"preferred_username": "Admin"}
    sign_on = site.trust(roles={"engineers": "admin"})
    outside = await site.enter(sign_on)
    assert (outside.principal.name, outside.principal.role) == ("Admin (liar)", "admin")
    link = site.security.first_link()
    assert link is not None
    assert site.security.sign_in_by_link(link, "here").principal.name == "admin"


async def test_first_sign_ins_of_one_person_at_the_same_time_make_one_account(site: Site) -> None:
    sign_on = site.trust()
    entered = await asyncio.gather(*(site.enter(sign_on) for _ in range(8)))
    assert len({one.principal.user_id for one in entered}) == 1
    assert len(site.security.users()) == 1


async def test_a_provider_of_https_is_known_by_its_certificate(site: Site, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.fromtimestamp(time.time(), dt.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(7).not_valid_before(now - dt.timedelta(1)).not_valid_after(now + dt.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    ca, both = tmp_path / "ca.pem", tmp_path / "both.pem"
    ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    both.write_bytes(ca.read_bytes() + key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    server = await asyncio.start_server(site.liar.serve, "localhost", 0, ssl=context)
    try:
        site.liar.url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(NotConnected, match="certificate is not trusted"):
            await site.trust().begin("liar", "/")
        assert (await site.enter(site.trust(ca=str(ca)))).principal.name == "ana"
        site.liar.about = {"token_endpoint": site.liar.url.replace("https:", "http:") + "/token"}
        with pytest.raises(Rejected, match="not https"):
            await site.trust(ca=str(ca)).begin("liar", "/")
        with pytest.raises(Rejected, match=r"ca: .* cannot be used"):
            await site.trust(ca=str(tmp_path / "absent.pem")).begin("liar", "/")
    finally:
        await site.liar.end(server)


# Small parts


@given(st.text(max_size=300))
@settings(max_examples=50)
def test_nobody_opens_what_we_did_not_seal(text: str) -> None:
    assert SEAL.open(text, "pending") is None


SEAL = Seal()


def test_a_seal_holds_its_kind_and_every_bit() -> None:
    closed = SEAL.close(["a", 1], "pending")
    assert SEAL.open(closed, "pending") == ["a", 1]
    assert SEAL.open(closed, "trouble") is None
    assert Seal().open(closed, "pending") is None
    for place in range(0, len(closed) - 2, 7):
        other = "A" if closed[place] != "A" else "B"
        assert SEAL.open(closed[:place] + other + closed[place + 1 :], "pending") is None


@pytest.mark.parametrize(
    ("claims", "claim", "groups"),
    [
        ({"groups": ["a", "b", 7]}, "groups", ["a", "b"]),
        ({"groups": "a"}, "groups", ["a"]),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", ["a"]),
        ({"https://x.example/groups": ["a"]}, "https://x.example/groups", ["a"]),
        ({"realm_access": ["a"]}, "realm_access.roles", None),
        ({"groups": {"a": 1}}, "groups", None),
        ({}, "groups", None),
    ],
)
def test_groups_are_found_where_the_settings_say(claims: Any, claim: str, groups: Any) -> None:
    assert groups_of(claims, claim) == groups


def test_names_are_fit_to_be_shown_and_an_account_name_is_tried_after_another() -> None:
    assert names_of({"preferred_username": "  ana\n\x00 ", "name": 7, "email": "a@b"}) == ("ana", "a@b")
    tried = spellings(("x" * 64,), "The very long label of a company with a long name")
    first = [next(tried) for _ in range(3)]
    assert all(len(name) <= 64 for name in first)
    assert len(set(first)) == 3
    assert next(spellings((), "Company")) == "guest"
