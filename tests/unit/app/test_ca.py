from __future__ import annotations

import base64
import contextlib
import ipaddress
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.verification import PolicyBuilder, Store

from isthmus.app.ca import LEAF_DAYS, Authority, Pair, checked_request, names_of, wanted_names
from isthmus.app.join import _request, new_nkey
from isthmus.app.own_certificate import request, take
from isthmus.app.settings import BusSettings, Settings, WebSettings
from isthmus.bus.broker import check_nkey
from isthmus.values.clock import ManualClock
from isthmus.values.errors import ConfigError

pytestmark = pytest.mark.mission("M78")
DAY = 86_400
NOW = 1_800_000_000 * 10**9
PEM = serialization.Encoding.PEM


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def authority(tmp_path: Path, clock: ManualClock) -> Authority:
    return Authority(tmp_path / "tls", clock)


def believed(pair: Pair, root: x509.Certificate, name: str, at: Authority) -> bool:
    """What a browser would say."""
    store, subject = Store([root]), x509.DNSName(name)
    with contextlib.suppress(ValueError):
        subject = x509.IPAddress(ipaddress.ip_address(name))
    verifier = PolicyBuilder().store(store).time(at.now().replace(tzinfo=None)).build_server_verifier(subject)
    try:
        verifier.verify(pair.leaf, list(pair.chain[1:]))
    except x509.verification.VerificationError:
        return False
    return True


def test_a_root_is_made_once_and_vouches_for_the_site_only(authority: Authority, clock: ManualClock) -> None:
    root = authority.root(["hall.example.com"])
    assert Authority(authority.folder, clock).root() == root
    assert (root.not_valid_after_utc - authority.now()).days in (3649, 3650)
    for file in ("ca.key", "ca.crt"):
        assert stat.S_IMODE((authority.folder / file).stat().st_mode) == 0o600
    allowed = ("hall.local", "localhost", "192.168.1.9", "10.0.0.1", "127.0.0.1", "::1", "hall.example.com")
    assert [n for n in allowed if not authority.may_vouch_for(n)] == []
    foreign = ("bank.example", "example.com", "notlocal", "8.8.8.8", "2001:db8::1", "fakelocalhost")
    assert [n for n in foreign if authority.may_vouch_for(n)] == []


def test_the_listeners_certificate_is_believed_for_its_names_and_no_others(authority: Authority) -> None:
    pair = authority.server(["hall.local", "192.168.1.9", "localhost"])
    root = authority.root()
    for name in ("hall.local", "192.168.1.9", "localhost"):
        assert believed(pair, root, name, authority)
    for name in ("other.local", "192.168.1.10"):
        assert not believed(pair, root, name, authority)
    assert (pair.leaf.not_valid_after_utc - authority.now()) == timedelta(days=LEAF_DAYS)
    assert stat.S_IMODE(authority.server_file.stat().st_mode) == 0o600


def test_it_is_renewed_at_two_thirds_of_its_life_and_when_a_name_comes(
    authority: Authority, clock: ManualClock
) -> None:
    first = authority.server(["hall.local"]).leaf
    clock.advance(59 * DAY)
    assert authority.server(["hall.local"]).leaf == first
    clock.advance(2 * DAY)
    second = authority.server(["hall.local"]).leaf
    assert second != first
    assert second.public_key() != first.public_key()
    third = authority.server(["hall.local", "two.local"]).leaf
    assert names_of(third) == ["hall.local", "two.local"]
    assert authority.server(["two.local"]).leaf == third, "fewer names are no reason"


def test_what_an_older_root_made_is_not_shown(authority: Authority) -> None:
    before = authority.server(["hall.local"]).leaf
    client = authority.client().leaf
    authority.remake(["hall.example.com"])
    assert authority.server(["hall.local"]).leaf != before
    assert authority.client().leaf != client


def test_a_request_gets_our_name_for_it_and_no_server_of_its_own(authority: Authority) -> None:
    authority.root()
    key = ec.generate_private_key(ec.SECP256R1())
    made = authority.sign_client(_request(key, "admin"), "hall-2")
    assert made.subject.rfc4514_string() == "CN=hall-2"
    assert names_of(made) == []
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_what_is_no_request_or_proves_nothing_is_refused() -> None:
    good = _request(ec.generate_private_key(ec.SECP256R1()), "x")
    weak = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(ed25519.Ed25519PrivateKey.generate(), None)
        .public_bytes(PEM)
    )
    body = x509.load_pem_x509_csr(good)
    forged = bytearray(body.public_bytes(serialization.Encoding.DER))
    forged[-1] ^= 1
    broken = (
        b"-----BEGIN CERTIFICATE REQUEST-----\n"
        + base64.encodebytes(bytes(forged))
        + b"-----END CERTIFICATE REQUEST-----\n"
    )
    checked_request(good)
    for data in (b"", b"hello", weak, broken, good[: len(good) // 2]):
        with pytest.raises(ConfigError, match="request: "):
            checked_request(data)


def test_nkeys_are_checked_whole() -> None:
    seed, public = new_nkey()
    assert seed.startswith("SU")
    assert check_nkey(public) == public
    swapped = public[:20] + ("A" if public[20] != "A" else "B") + public[21:]
    for text in ("", seed, public[:-1], swapped, "A" + public[1:], public + "\n", public.lower()):
        with pytest.raises(ConfigError, match="nkey: "):
            check_nkey(text)


def test_the_names_a_machine_needs_follow_from_its_settings() -> None:
    assert wanted_names(Settings()) == ["localhost", "127.0.0.1", "::1"]
    settings = Settings(
        web=WebSettings(host="192.0.2.7", hosts=("hall.local",)), bus=BusSettings(listen="192.0.2.8:4222")
    )
    assert wanted_names(settings)[:3] == ["hall.local", "192.0.2.7", "192.0.2.8"]


# A certificate of one's own


@pytest.fixture
def other(tmp_path: Path, clock: ManualClock) -> Authority:
    """Somebody else's authority."""
    return Authority(tmp_path / "other", clock)


def issue(other: Authority, csr: bytes) -> bytes:
    asked = x509.load_pem_x509_csr(csr)
    names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    texts = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    made = other._issue("x", asked.public_key(), x509.oid.ExtendedKeyUsageOID.SERVER_AUTH, texts)
    return made.public_bytes(PEM)


def test_a_request_comes_back_as_a_certificate_and_is_shown(authority: Authority, other: Authority) -> None:
    root = other.root(["hall.local"]).public_bytes(PEM)
    csr = request(authority, ["hall.local"])
    pair = take(authority, issue(other, csr) + root, None, b"", ["hall.local"])
    assert authority.shown_file == authority.own_file
    assert believed(pair, other.root(), "hall.local", authority)
    assert len(pair.chain) == 1, "the root is not shown"
    assert not (authority.folder / "own.key").exists()
    with pytest.raises(ConfigError, match="no request was made here"):
        take(authority, root, None, b"", [])


def test_every_mistake_in_a_certificate_is_told(authority: Authority, other: Authority, clock: ManualClock) -> None:
    root = other.root(["hall.local"]).public_bytes(PEM)
    made = issue(other, request(authority, ["hall.local"]))

    def refused(
        match: str, certificate: bytes = made + root, wanted: tuple[str, ...] = (), key: bytes | None = None
    ) -> None:
        with pytest.raises(ConfigError, match=match):
            take(authority, certificate, key, b"", wanted)
        assert not authority.own_file.exists()

    refused("certificate: holds no certificate", b"hello")
    refused("key: does not match the certificate", root)
    refused("chain is incomplete: nobody given issued CN=x; append the certificate of", made)
    refused(r"names \(SAN\) lack two\.local", wanted=("hall.local", "two.local"))
    refused("key: is no private key", key=b"hello")
    secret = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    refused("key: has a passphrase", key=secret)
    clock.advance(91 * DAY)
    refused("CN=x expired on 2027-")
    clock.advance(-100 * DAY)
    refused("is valid from 2027-.* not yet")
    clock.advance(9 * DAY)
    take(authority, made, None, root, ("hall.local",))  # with its root given apart it is good
