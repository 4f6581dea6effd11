"""Passkeys of an authenticator that is written out here, so that each of its promises can be broken one by one."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor2
import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Engine, text
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from isthmus.app.records import open_records
from isthmus.security.model import Principal, Role
from isthmus.security.origins import Origins
from isthmus.security.passkeys import CHALLENGE_S, FRESH_S, MOST, Passkeys
from isthmus.security.service import Security, SignedIn
from isthmus.security.store import metadata
from isthmus.values.clock import ManualClock
from isthmus.values.errors import ConfigError, Denied

pytestmark = pytest.mark.mission("M33", "M36")

FAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
ORIGIN = "https://isthmus.plant.example"
UP, UV, BE, BS, AT = 1, 4, 8, 16, 64


@dataclass
class Device:
    """A security key that does what it is told."""

    counter: int = 1
    step: int = 1
    flags: int = UP | UV
    origin: str = ORIGIN
    rp_id: str = "isthmus.plant.example"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential: bytes = b"credential of the device"
    handle: bytes = b""

    def _data(self, attested: bytes = b"") -> bytes:
        flags = self.flags | (AT if attested else 0)
        head = hashlib.sha256(self.rp_id.encode()).digest() + struct.pack(">BI", flags, self.counter)
        return head + attested

    def _client(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}).encode()

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        point = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32), -3: point.y.to_bytes(32)}
        attested = bytes(16) + struct.pack(">H", len(self.credential)) + self.credential + cbor2.dumps(cose)
        self.handle = base64url_to_bytes(options["user"]["id"])
        made = {"fmt": "none", "attStmt": {}, "authData": self._data(attested)}
        return self._answer(
            clientDataJSON=self._client("webauthn.create", options["challenge"]), attestationObject=cbor2.dumps(made)
        )

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        assert options["rpId"] == "isthmus.plant.example"
        self.counter += self.step
        data, client = self._data(), self._client("webauthn.get", options["challenge"])
        signed = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(authenticatorData=data, clientDataJSON=client, signature=signed, userHandle=self.handle)

    def _answer(self, **response: bytes) -> dict[str, Any]:
        name = bytes_to_base64url(self.credential)
        parts = {key: bytes_to_base64url(value) for key, value in response.items()}
        return {"id": name, "rawId": name, "type": "public-key", "response": parts, "clientExtensionResults": {}}


@dataclass
class Site:
    clock: ManualClock
    security: Security
    passkeys: Passkeys
    engine: Engine
    ana: Principal

    def add(self, device: Device, name: str = "key ring", who: Principal | None = None) -> int:
        options = self.passkeys.registration_options(who or self.ana, ORIGIN, "here")
        answer = device.create(options["public_key"])
        return self.passkeys.register(who or self.ana, ORIGIN, options["id"], answer, name).id

    def enter(self, device: Device) -> SignedIn:
        options = self.passkeys.sign_in_options(ORIGIN, "here")
        return self.passkeys.sign_in(ORIGIN, options["id"], device.get(options["public_key"]), "here")

    def refused(self, device: Device, code: str = "passkey_refused") -> str:
        with pytest.raises(Denied) as caught:
            self.enter(device)
        assert caught.value.code == code
        return str(caught.value)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    engine = open_records(tmp_path / "records.db")
    metadata.create_all(engine)
    clock = ManualClock()
    security = Security(engine, clock, hasher=FAST)
    passkeys = Passkeys(engine, clock, security, Origins((ORIGIN, "http://localhost:8420", "http://127.0.0.1:8420")))
    security.create_user("ana", Role.OPERATOR, "correct horse battery")
    ana = security.sign_in("ana", "correct horse battery", "here").principal
    yield Site(clock, security, passkeys, engine, ana)
    engine.dispose()


def test_a_passkey_signs_its_owner_in_and_nothing_secret_is_kept(site: Site) -> None:
    device = Device()
    options = site.passkeys.registration_options(site.ana, ORIGIN, "here")["public_key"]
    wanted = options["authenticatorSelection"]
    assert (wanted["residentKey"], wanted["userVerification"]) == ("required", "required")
    assert options["rp"]["id"] == "isthmus.plant.example"
    assert b"ana" not in base64url_to_bytes(options["user"]["id"])
    site.add(device)
    options = site.passkeys.sign_in_options(ORIGIN, "here")["public_key"]
    assert options["userVerification"] == "required"
    assert options.get("allowCredentials", []) == []  # strangers learn of no credential
    site.clock.advance(5)
    entered = site.enter(device).principal
    assert (entered.name, entered.role) == ("ana", "operator")
    [kept] = site.passkeys.of(site.ana)
    assert (kept.name, kept.used_ns, kept.synced) == ("key ring", site.clock.now_ns(), False)


def test_several_devices_each_with_its_name_and_removal_holds_at_once(site: Site) -> None:
    one, two = Device(), Device(credential=b"another one", flags=UP | UV | BE | BS, counter=0, step=0)
    first = site.add(one)
    options = site.passkeys.registration_options(site.ana, ORIGIN, "here")["public_key"]
    assert [c["id"] for c in options["excludeCredentials"]] == [bytes_to_base64url(one.credential)]
    site.add(two, "phone")
    assert one.handle == two.handle  # one account on every device
    assert [(p.name, p.synced) for p in site.passkeys.of(site.ana)] == [("key ring", False), ("phone", True)]
    site.enter(one)
    for _ in range(3):
        site.enter(two)  # a synced passkey counts nothing, which is no sign of a copy
    site.security.create_user("bo", Role.ADMIN, "correct horse battery")
    bo = site.security.sign_in("bo", "correct horse battery", "here").principal
    assert site.passkeys.of(bo) == []
    assert not site.passkeys.remove(bo, first)
    assert site.passkeys.remove(site.ana, first)
    assert not site.passkeys.remove(site.ana, first)
    site.refused(one)
    site.enter(two)


def test_an_administrator_takes_all_of_one_person_and_nobody_elses(site: Site) -> None:
    device = Device()
    site.add(device, "phone")
    site.add(Device(credential=b"another one"), "tablet")
    assert site.ana.user_id is not None
    assert site.passkeys.remove_all(site.ana.user_id + 1, "root") == 0
    assert len(site.passkeys.of(site.ana)) == 2
    assert site.passkeys.remove_all(site.ana.user_id, "root") == 2
    assert site.passkeys.of(site.ana) == []
    site.refused(device)


def test_the_same_passkey_twice_and_too_many_are_refused(site: Site) -> None:
    site.add(Device())
    with pytest.raises(Denied, match="known already"):
        site.add(Device())
    for number in range(MOST - 1):
        site.add(Device(credential=b"%d" % number))
    with pytest.raises(Denied, match=f"you have {MOST}"):
        site.add(Device(credential=b"more"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "https://isthmus.plant.example.evil.example"},
        {"origin": "http://isthmus.plant.example"},
        {"origin": "http://localhost:8420"},
        {"rp_id": "evil.example"},
        {"rp_id": "localhost"},
        {"flags": UP},  # nobody showed a finger or a PIN
        {"flags": UV},
        {"flags": UP | UV | BS},  # kept elsewhere, yet not fit to be
    ],
)
def test_what_is_wrong_with_an_answer_is_refused(site: Site, wrong: dict[str, Any]) -> None:
    with pytest.raises(Denied) as caught:
        site.add(Device(**wrong))
    assert caught.value.code == "passkey_refused"
    assert site.passkeys.of(site.ana) == []
    device = Device()
    site.add(device)
    for name, value in wrong.items():
        setattr(device, name, value)
    site.refused(device)


def test_another_s_signature_is_refused(site: Site) -> None:
    device = Device()
    site.add(device)
    site.refused(Device(credential=b"nobody's"))
    site.refused(Device(handle=device.handle))  # our credential by another's key
    good = device.handle
    device.handle = b"somebody else"
    site.refused(device)
    device.handle = good
    site.enter(device)


def test_a_counter_that_goes_back_is_a_copy_and_the_passkey_is_not_taken_again(site: Site) -> None:
    device = Device()
    ident = site.add(device)
    site.enter(device)
    copy = Device(counter=1, step=0, key=device.key, handle=device.handle)
    assert "there may be a copy" in site.refused(copy, "passkey_suspect")
    site.refused(device, "passkey_suspect")  # the right one neither: which is which nobody can tell
    assert site.passkeys.of(site.ana)[0].suspect_ns == site.clock.now_ns()
    site.passkeys.remove(site.ana, ident)
    site.add(device)
    site.enter(device)


def test_who_has_not_the_key_cannot_make_a_passkey_suspect(site: Site) -> None:
    device = Device()
    site.add(device)
    site.enter(device)
    site.refused(Device(counter=0, step=0, handle=device.handle))
    site.enter(device)


def test_a_challenge_counts_once_for_five_minutes_and_for_its_page_and_person(site: Site) -> None:
    device = Device()
    site.add(device)
    options = site.passkeys.sign_in_options(ORIGIN, "here")
    answer = device.get(options["public_key"])
    site.passkeys.sign_in(ORIGIN, options["id"], answer, "here")
    for ident in (options["id"], "unknown", ""):
        with pytest.raises(Denied, match="answered before"):
            site.passkeys.sign_in(ORIGIN, ident, answer, "here")
    late = site.passkeys.sign_in_options(ORIGIN, "here")
    site.clock.advance(CHALLENGE_S)
    with pytest.raises(Denied, match="answered before"):
        site.passkeys.sign_in(ORIGIN, late["id"], device.get(late["public_key"]), "here")
    elsewhere = site.passkeys.sign_in_options("http://localhost:8420", "here")
    with pytest.raises(Denied, match="answered before"):
        site.passkeys.sign_in(ORIGIN, elsewhere["id"], answer, "here")
    adding = site.passkeys.registration_options(site.ana, ORIGIN, "here")
    with pytest.raises(Denied, match="answered before"):
        site.passkeys.sign_in(ORIGIN, adding["id"], answer, "here")
    mine, other = site.passkeys.sign_in_options(ORIGIN, "here"), site.passkeys.sign_in_options(ORIGIN, "here")
    with pytest.raises(Denied, match="did not prove"):
        site.passkeys.sign_in(ORIGIN, mine["id"], device.get(other["public_key"]), "here")


def test_open_challenges_are_bounded_by_source_so_that_nobody_pushes_others_out(site: Site) -> None:
    mine = site.passkeys.sign_in_options(ORIGIN, "me")
    for _ in range(200):
        site.passkeys.sign_in_options(ORIGIN, "a flood")
    assert len(site.passkeys._challenges._open) <= 51
    device = Device()
    site.add(device)
    site.passkeys.sign_in(ORIGIN, mine["id"], device.get(mine["public_key"]), "me")
    site.clock.advance(CHALLENGE_S)
    site.passkeys.sign_in_options(ORIGIN, "me")
    assert len(site.passkeys._challenges._open) == 1


def test_a_closed_account_stays_closed(site: Site) -> None:
    device = Device()
    site.add(device)
    site.security.change_user("ana", disabled=True)
    assert "closed" in site.refused(device, "account_closed")
    site.security.change_user("ana", disabled=False)
    site.enter(device)


def test_a_screen_left_open_is_not_enough_to_add_one(site: Site) -> None:
    site.clock.advance(FRESH_S + 1)
    with pytest.raises(Denied) as caught:
        site.passkeys.registration_options(site.ana, ORIGIN, "here")
    assert caught.value.code == "needs_fresh_session"


@pytest.mark.parametrize(
    "origin", [None, "", "null", "http://127.0.0.1:8420", "https://10.0.0.7", "https://evil.example"]
)
def test_a_page_without_a_name_is_told_where_to_go(site: Site, origin: str | None) -> None:
    with pytest.raises(Denied, match=r"open https://isthmus.plant.example or http://localhost:8420") as caught:
        site.passkeys.sign_in_options(origin, "here")
    assert caught.value.code == "passkey_needs_name"
    assert "belong to a name" in site.passkeys.fits(origin)
    assert site.passkeys.fits(ORIGIN) == ""


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"id": 7},
        {"id": "x", "rawId": "x", "type": "public-key", "response": {}},
        {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {"clientDataJSON": "!", "signature": "", "authenticatorData": ""}},
        {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {"clientDataJSON": "e30", "attestationObject": "gYGBgYGBgYGBgQ"}},
        {"response": None},
    ],
)  # fmt: skip
def test_rubbish_is_refused_in_words(site: Site, answer: Any) -> None:
    options = site.passkeys.sign_in_options(ORIGIN, "here")
    with pytest.raises(Denied, match="not known here"):
        site.passkeys.sign_in(ORIGIN, options["id"], answer, "here")
    options = site.passkeys.registration_options(site.ana, ORIGIN, "here")
    with pytest.raises(Denied, match="not known here"):
        site.passkeys.register(site.ana, ORIGIN, options["id"], answer, "x")


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "isthmus",
        "http://plant.example",
        "https://plant.example/",
        "https://a:443",
        "https://A.b",
        "https://a b",
        "ftp://a",
        7,
        "https://[::1",
        "https://u@a",
    ],
)
def test_an_origin_is_spelt_as_browsers_spell_it(origin: Any) -> None:  # fmt: skip
    with pytest.raises(ConfigError, match="origins: must be"):
        Origins((origin,))


def test_no_passkey_table_holds_a_secret(site: Site) -> None:
    site.add(Device())
    with site.engine.begin() as connection:
        [row] = connection.execute(text("SELECT * FROM security_passkeys")).mappings()
    assert cbor2.loads(row["public_key"]).keys() == {1, 3, -1, -2, -3}  # −4 would be the private part
