"""The authority of this installation: one root made at the first start, and what it vouches for.

`tls/` below the data directory holds `ca.crt` and `ca.key`, `server.pem` (what listeners show), `client.pem` (what parts of this
machine show to a bus that asks), and, once somebody imported one, `own.pem` (shown by screens, API and MQTT instead). A .pem holds
key and certificates in one 0600 file, so that a renewal is one step and nobody ever sees half of it.
Source: RFC 5280 (profile; 4.2.1.10 name constraints), CA/Browser Forum baseline requirements for what tablets accept
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from isthmus.app.settings import Settings, is_host
from isthmus.bus.broker import write_private
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError
from isthmus.values.hosts import is_loopback

ROOT_DAYS = 3650
LEAF_DAYS = 90
RENEW_AT = 2 / 3
"""Of its life a certificate has passed when the next is made."""
SKEW = timedelta(hours=1)
"""Certificates begin this much earlier, for tablets whose clock is behind."""
PRIVATE_NAMES = ("localhost", "local", "lan", "internal", "home.arpa", "test")
"""Ends of names that mean nothing beyond a site; with those asked for at the start, all that the root may vouch for."""
PRIVATE_NETS = (
    "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7",
    "fe80::/10",
)  # fmt: skip
_PEM = serialization.Encoding.PEM


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 as people compare it: `AB:CD:…`."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


@dataclass(frozen=True, slots=True)
class Pair:
    """A key and the certificates that lead from it to a root; the root itself need not be there."""

    key: PrivateKeyTypes
    chain: tuple[x509.Certificate, ...]

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate of the key."""
        return self.chain[0]

    def __repr__(self) -> str:
        return f"Pair({self.leaf.subject.rfc4514_string()})"

    def text(self) -> bytes:
        """Key first, then the certificates."""
        return _key_text(self.key) + b"".join(c.public_bytes(_PEM) for c in self.chain)

    @classmethod
    def load(cls, file: Path) -> Pair:
        """Read one.

        Raises: ConfigError naming the file
        """
        try:
            data = file.read_bytes()
            return cls(serialization.load_pem_private_key(data, None), tuple(x509.load_pem_x509_certificates(data)))
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"{file}: holds no key and certificate: {error}") from error


class Authority:
    """The authority of one data directory. Safe from several processes at once."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder, self._clock = folder, clock
        self.root_file, self.server_file = folder / "ca.crt", folder / "server.pem"
        self.client_file, self.own_file = folder / "client.pem", folder / "own.pem"
        self._key_file = folder / "ca.key"

    @property
    def shown_file(self) -> Path:
        """What screens, API and MQTT show: the imported one, else that of the authority."""
        return self.own_file if self.own_file.exists() else self.server_file

    def now(self) -> datetime:
        """The clock's time."""
        return datetime.fromtimestamp(self._clock.now_ns() / 1e9, UTC)

    def root(self, names: Iterable[str] = ()) -> x509.Certificate:
        """The root, made if there is none; then it may also vouch for the domains of ``names``."""
        with self._held():
            if not self.root_file.exists() or not self._key_file.exists():
                self._make_root(names)
            return self._root()

    def remake(self, names: Iterable[str]) -> x509.Certificate:
        """Another root, with all that was made by the old one void."""
        with self._held():
            for file in (self.server_file, self.client_file):
                file.unlink(missing_ok=True)
            self._make_root(names)
            return self._root()

    def _root(self) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificate(self.root_file.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.root_file}: is no certificate ({error}); restore it from a backup") from error

    def may_vouch_for(self, name: str) -> bool:
        """Whether the root's constraints allow a name or address."""
        constraints = self.root().extensions.get_extension_for_class(x509.NameConstraints).value
        return any(_within(name, place) for place in constraints.permitted_subtrees or ())

    def server(self, names: Sequence[str]) -> Pair:
        """What listeners show; made anew where it is due, or lacks a name."""
        self.root(names)
        wanted = [n for n in names if self.may_vouch_for(n)]
        with self._held():
            if self.server_file.exists():
                have = Pair.load(self.server_file)
                if set(wanted) <= set(names_of(have.leaf)) and not self.due(have.leaf) and self._made(have.leaf):
                    return have
            key = ec.generate_private_key(ec.SECP256R1())
            leaf = self._issue(_common(wanted[0]), key.public_key(), ExtendedKeyUsageOID.SERVER_AUTH, wanted)
            pair = Pair(key, (leaf,))
            write_private(self.server_file, pair.text())
            return pair

    def client(self) -> Pair:
        """What parts of this machine show to a bus that asks for a certificate."""
        self.root()
        with self._held():
            if self.client_file.exists():
                have = Pair.load(self.client_file)
                if not self.due(have.leaf) and self._made(have.leaf):
                    return have
            key = ec.generate_private_key(ec.SECP256R1())
            pair = Pair(key, (self._issue("parts of this machine", key.public_key(), ExtendedKeyUsageOID.CLIENT_AUTH),))
            write_private(self.client_file, pair.text())
            return pair

    def sign_client(self, request: bytes, name: str) -> x509.Certificate:
        """A client's certificate for the key of a request, in our name for it, whatever the request asks for.

        Raises: ConfigError for what is no request, or has a weak or wrongly proven key
        """
        return self._issue(name, checked_request(request).public_key(), ExtendedKeyUsageOID.CLIENT_AUTH)

    def renew(self) -> list[str]:
        """Remove what listeners and parts show, so that it is made anew; the names that were."""
        with self._held():
            gone = [f.name for f in (self.server_file, self.client_file) if f.exists()]
            for file in (self.server_file, self.client_file):
                file.unlink(missing_ok=True)
            return gone

    def due(self, certificate: x509.Certificate) -> bool:
        """Whether its next should be made."""
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return self.now() >= begin + (end - begin) * RENEW_AT

    def _made(self, certificate: x509.Certificate) -> bool:
        try:
            certificate.verify_directly_issued_by(self._root())
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def _make_root(self, names: Iterable[str]) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        names = list(names)
        domains = dict.fromkeys((*PRIVATE_NAMES, *(n.casefold() for n in names if _address(n) is None)))
        permitted: list[x509.GeneralName] = [x509.DNSName(n) for n in domains]
        permitted += [x509.IPAddress(ipaddress.ip_network(n)) for n in PRIVATE_NETS]
        asked = [n for n in names if _address(n) and not any(_within(n, place) for place in permitted)]
        permitted += [x509.IPAddress(ipaddress.ip_network(n)) for n in asked]
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Isthmus"),
                x509.NameAttribute(
                    NameOID.COMMON_NAME, f"Isthmus on {socket.gethostname()[:40]}, {os.urandom(3).hex()}"
                ),
            ]
        )
        now = self.now()
        root = (
            _builder(subject, subject, key.public_key(), now, now + timedelta(days=ROOT_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(root=True), critical=True)
            .add_extension(x509.NameConstraints(permitted, None), critical=True)
            .sign(key, hashes.SHA256())
        )
        write_private(self._key_file, _key_text(key))
        write_private(self.root_file, root.public_bytes(_PEM))

    def _issue(
        self, common: str, public: PublicKeyTypes, purpose: x509.ObjectIdentifier, names: Sequence[str] = ()
    ) -> x509.Certificate:
        root = self._root()
        try:
            key = serialization.load_pem_private_key(self._key_file.read_bytes(), None)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self._key_file}: is no key ({error}); restore it from a backup") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(public, ec.EllipticCurvePublicKey):
            raise ConfigError("certificate: keys here are of elliptic curves")
        now = self.now()
        end = min(now + timedelta(days=LEAF_DAYS), root.not_valid_after_utc)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])
        builder = (
            _builder(subject, root.subject, public, now, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(root=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([general_name(n) for n in names]), critical=False
            )
        return builder.sign(key, hashes.SHA256())

    @contextmanager
    def _held(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _builder(
    subject: x509.Name, issuer: x509.Name, public: PublicKeyTypes, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise ConfigError("certificate: keys here are of elliptic curves")
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - SKEW)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, root: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not root,
        key_cert_sign=root,
        crl_sign=root,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_text(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def general_name(name: str) -> x509.GeneralName:
    """A name or address as a certificate holds it."""
    address = _address(name)
    return x509.DNSName(name) if address is None else x509.IPAddress(address)


def _common(name: str) -> str:
    return name if len(name) <= 64 else "Isthmus"


def _within(name: str, place: x509.GeneralName) -> bool:
    address = _address(name)
    if isinstance(place, x509.IPAddress):
        net = place.value
        return (
            isinstance(address, ipaddress.IPv4Address) and isinstance(net, ipaddress.IPv4Network) and address in net
        ) or (isinstance(address, ipaddress.IPv6Address) and isinstance(net, ipaddress.IPv6Network) and address in net)
    if not isinstance(place, x509.DNSName) or address is not None:
        return False
    return f".{name.casefold()}".endswith(f".{place.value.casefold()}")


def names_of(certificate: x509.Certificate) -> list[str]:
    """Names and addresses a certificate holds."""
    try:
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = [str(a) for a in held.get_values_for_type(x509.IPAddress)]
    return [*held.get_values_for_type(x509.DNSName), *addresses]


def checked_request(data: bytes) -> x509.CertificateSigningRequest:
    """A request that proves its own key.

    Raises: ConfigError
    """
    try:
        request = x509.load_pem_x509_csr(data)
        good = request.is_signature_valid
        public = request.public_key()
    except (ValueError, TypeError) as error:
        raise ConfigError(f"request: is no certificate request ({error})") from None
    if (
        not good
        or not isinstance(public, ec.EllipticCurvePublicKey)
        or public.curve.name not in ("secp256r1", "secp384r1")
    ):
        raise ConfigError("request: must be signed by its own key, on the curve P-256 or P-384")
    return request


def addresses_here() -> list[str]:
    """Addresses of this machine that others may reach, link-local ones left out."""
    found = [
        a.address for of in psutil.net_if_addrs().values() for a in of if a.family in (socket.AF_INET, socket.AF_INET6)
    ]
    parsed = [ipaddress.ip_address(a) for a in found if "%" not in a]
    return [str(a) for a in dict.fromkeys(parsed) if not (a.is_loopback or a.is_link_local)]


def wanted_names(settings: Settings) -> list[str]:
    """What the certificate of the listeners must hold."""
    hosts = [settings.web.host]
    hosts += [s.place[0] for s in (settings.mqtt, settings.bus) if s.listen]
    names = [*settings.web.hosts]
    for host in hosts:
        address = _address(host)
        if address is not None and address.is_unspecified:
            names += addresses_here()
        elif is_host(host) and not is_loopback(host):
            names.append(host)
    return list(dict.fromkeys([*names, "localhost", "127.0.0.1", "::1"]))
