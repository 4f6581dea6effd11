"""Keys and certificates: our own, made once per edge, and the servers' that we have come to trust."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
import secrets
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from isthmus.drivers.opcua.config import FIRST_USE
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, NotConnected

VALID_DAYS = 5 * 365
_MAKING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Own:
    """Our certificate and key, as files and as what stands in them."""

    certificate_file: Path
    key_file: Path
    uri: str
    fingerprint: str
    until: dt.datetime


def fingerprint(der: bytes) -> str:
    """SHA-256 of a certificate, in hexadecimal."""
    return hashlib.sha256(der).hexdigest()


def own_certificate(home: Path, clock: Clock) -> Own:
    """The edge's own certificate, made when it is first needed; cost: half a second then.

    Raises: ConfigError naming the file that cannot be read or has expired
    """
    key_file, file = home / "own.key.pem", home / "own.der"
    with _MAKING:
        if not file.exists():
            _make(home, key_file, file, clock)
    try:
        certificate = x509.load_der_x509_certificate(file.read_bytes())
        load_pem_private_key(key_file.read_bytes(), None)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uri = names.get_values_for_type(x509.UniformResourceIdentifier)[0]
    except (OSError, ValueError, TypeError, IndexError, x509.ExtensionNotFound) as error:
        raise ConfigError(
            f"{file}: own certificate or its key cannot be used ({error}); remove both for new ones"
        ) from None
    until = certificate.not_valid_after_utc
    if until <= _now(clock):
        raise ConfigError(f"{file}: own certificate expired on {until:%Y-%m-%d}; remove it and its key for new ones")
    return Own(file, key_file, uri, fingerprint(certificate.public_bytes(Encoding.DER)), until)


def _make(home: Path, key_file: Path, file: Path, clock: Clock) -> None:
    """A key and a certificate signed by it; the certificate is written last and marks both as complete."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "localhost"
    uri = f"urn:{host}:isthmus:{secrets.token_hex(4)}"
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Isthmus at {host}"[:64])])
    now = _now(clock)
    alternative = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), x509.DNSName(host)])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,  # it is its own issuer
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))  # the server's clock may be behind ours
        .not_valid_after(now + dt.timedelta(days=VALID_DAYS))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(usage, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(key_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    _write(file, certificate.public_bytes(Encoding.DER), 0o644)


def _write(file: Path, data: bytes, mode: int) -> None:
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.fchmod(descriptor, mode)
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.replace(file)


def check_server(der: bytes, trust: str, allow_expired: bool, home: Path, host: str, port: int, clock: Clock) -> str:
    """Whether the server may be believed; on first use its certificate is kept. Answers its fingerprint.

    Raises: NotConnected naming both fingerprints, or the dates, and what would clear it
    """
    if not der:
        raise NotConnected("the server shows no certificate")
    try:
        certificate = x509.load_der_x509_certificate(der)
    except ValueError:
        raise NotConnected("the server shows a certificate that cannot be read") from None
    seen = fingerprint(der)
    _check_dates(certificate, allow_expired, clock)
    file = pinned_file(trust, home, host, port)
    known = _pinned(file)
    if known is None:
        if trust != FIRST_USE:
            raise NotConnected(f"trust: {file} is not there; it must hold the server's certificate, {seen}")
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(file, der, 0o644)
    elif known != seen:
        clear = f"remove {file}" if trust == FIRST_USE else f"put the new one into {file}"
        raise NotConnected(
            f"the server's certificate has changed: trusted is {known}, it now shows {seen}; "
            f"if that is right, {clear}, else somebody stands between"
        )
    return seen


def pinned_file(trust: str, home: Path, host: str, port: int) -> Path:
    """Where the trusted certificate of a server lies."""
    if trust != FIRST_USE:
        return Path(trust)
    return home / "servers" / f"{re.sub(r'[^A-Za-z0-9.-]', '_', host)}_{port}.der"


def _pinned(file: Path) -> str | None:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotConnected(f"trust: {file} cannot be read ({error.strerror})") from None
    if data.startswith(b"-----BEGIN"):
        try:
            data = x509.load_pem_x509_certificate(data).public_bytes(Encoding.DER)
        except ValueError:
            raise NotConnected(f"trust: {file} holds no certificate") from None
    return fingerprint(data)


def _check_dates(certificate: x509.Certificate, allow_expired: bool, clock: Clock) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    now = _now(clock)
    if allow_expired or begins <= now <= ends:
        return
    said = f"expired on {ends:%Y-%m-%d}" if now > ends else f"is not valid before {begins:%Y-%m-%d %H:%M} UTC"
    raise NotConnected(
        f"the server's certificate {said}; renew it there (or check this machine's clock, or set allow_expired: true)"
    )


def _now(clock: Clock) -> dt.datetime:
    return dt.datetime.fromtimestamp(clock.now_ns() / NS_PER_S, dt.UTC)
