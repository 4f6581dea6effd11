"""A certificate of one's own, from another authority: the request for it, and what is wrong with one that is brought."""

from __future__ import annotations

import contextlib
import ssl
import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from isthmus.app.ca import Authority, Pair, general_name, names_of
from isthmus.bus.broker import write_private
from isthmus.values.errors import ConfigError

PENDING = "own.key"
"""The key of a request, until its certificate is there."""
MOST_CHAIN = 8
LEAST_RSA_BITS = 2048


def request(authority: Authority, names: Sequence[str]) -> bytes:
    """A certificate request for a new key, which waits here for the certificate.

    Raises: ConfigError without a name
    """
    if not names:
        raise ConfigError("name: a certificate needs a name or an address; give --name HOST")
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
        .add_extension(x509.SubjectAlternativeName([general_name(n) for n in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_private(
        authority.folder / PENDING,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    return made.public_bytes(serialization.Encoding.PEM)


def take(authority: Authority, certificates: bytes, key: bytes | None, roots: bytes, wanted: Sequence[str]) -> Pair:
    """Check a certificate with its chain, and show it from now on; without a key, that of the request is meant.

    Raises: ConfigError saying what is wrong with it
    """
    if key is None:
        try:
            key = (authority.folder / PENDING).read_bytes()
        except FileNotFoundError:
            raise ConfigError(
                "key: no request was made here; give the key of the certificate with --key FILE"
            ) from None
    pair = checked(_certificates(certificates, "certificate"), _key(key), roots, wanted, authority.now())
    write_private(authority.own_file, pair.text())
    (authority.folder / PENDING).unlink(missing_ok=True)
    return pair


def checked(
    given: Sequence[x509.Certificate], key: PrivateKeyTypes, roots: bytes, wanted: Sequence[str], now: datetime
) -> Pair:
    """Key, certificate and chain as they are shown: the leaf first, the root left out.

    Raises: ConfigError saying what is wrong
    """
    leaf = next((c for c in given if c.public_key() == key.public_key()), None)
    if leaf is None:
        raise ConfigError(f"key: does not match the certificate of {given[0].subject.rfc4514_string()}")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < LEAST_RSA_BITS:
        raise ConfigError(f"key: {key.key_size} bits of RSA are too few; at least {LEAST_RSA_BITS}, or P-256")
    _check_server(leaf, wanted)
    trusted = _certificates(roots, "root") if roots else []
    chain = _chain(leaf, [c for c in given if c is not leaf], trusted)
    for one in chain:
        _check_time(one, now)
    return Pair(key, tuple(c for c in chain if c is leaf or c.subject != c.issuer))


def _check_server(leaf: x509.Certificate, wanted: Sequence[str]) -> None:
    try:
        if leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise ConfigError("certificate: is that of an authority, not of a server")
    except x509.ExtensionNotFound:
        pass
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    if ExtendedKeyUsageOID.SERVER_AUTH not in purposes:
        raise ConfigError("certificate: is not for servers (its extended key usage lacks serverAuth)")
    names = names_of(leaf)
    if not names:
        raise ConfigError(
            "certificate: has no subject alternative name (SAN), which every browser wants; request one by `isthmus certificate csr`"
        )
    missing = [n for n in wanted if not any(_covers(have, n) for have in names)]
    if missing:
        raise ConfigError(
            f"certificate: its names (SAN) lack {', '.join(missing)}, under which this machine is reached (web.hosts); it has "
            f"{', '.join(names)}"
        )


def _covers(have: str, name: str) -> bool:
    have, name = have.casefold(), name.casefold()
    return have == name or (have.startswith("*.") and name.partition(".")[2] == have[2:])


def _check_time(one: x509.Certificate, now: datetime) -> None:
    subject = one.subject.rfc4514_string()
    if now > one.not_valid_after_utc:
        raise ConfigError(f"certificate: {subject} expired on {one.not_valid_after_utc:%Y-%m-%d}")
    if now < one.not_valid_before_utc:
        raise ConfigError(f"certificate: {subject} is valid from {one.not_valid_before_utc:%Y-%m-%d} on, not yet")


def _chain(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """From the leaf to what is trusted, or its own root.

    Raises: ConfigError if a step is missing
    """
    chain = [leaf]
    while chain[-1].issuer != chain[-1].subject and len(chain) <= MOST_CHAIN:
        if _issuer(chain[-1], trusted) is not None:
            return chain
        above = _issuer(chain[-1], others)
        if above is None:
            break
        chain.append(above)
    if (len(chain) > 1 and chain[-1].issuer == chain[-1].subject) or _issuer(chain[-1], _system()) is not None:
        return chain
    if len(chain) == 1 and leaf.issuer == leaf.subject:
        return chain  # vouches for itself; who shows it wants that
    raise ConfigError(
        f"certificate: the chain is incomplete: nobody given issued {chain[-1].subject.rfc4514_string()}; append the certificate of "
        f"{chain[-1].issuer.rfc4514_string()} to the file, or give a root that is not in it with --root FILE"
    )


def _issuer(one: x509.Certificate, among: Sequence[x509.Certificate]) -> x509.Certificate | None:
    for other in among:
        if other.subject == one.issuer:
            try:
                one.verify_directly_issued_by(other)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return other
    return None


def _system() -> list[x509.Certificate]:
    found = []
    for data in ssl.create_default_context().get_ca_certs(binary_form=True):
        with contextlib.suppress(ValueError), warnings.catch_warnings(action="ignore"):  # old roots break today's rules
            found.append(x509.load_der_x509_certificate(data))
    return found


def _certificates(data: bytes, what: str) -> list[x509.Certificate]:
    try:
        found = (
            x509.load_pem_x509_certificates(data) if b"-----BEGIN" in data else [x509.load_der_x509_certificate(data)]
        )
    except ValueError as error:
        raise ConfigError(f"{what}: holds no certificate in PEM or DER ({error})") from None
    return found


def _key(data: bytes) -> PrivateKeyTypes:
    try:
        load = serialization.load_pem_private_key if b"-----BEGIN" in data else serialization.load_der_private_key
        key = load(data, None)
    except TypeError:
        raise ConfigError(
            "key: has a passphrase; write it without one first: openssl pkey -in KEY -out PLAIN"
        ) from None
    except ValueError as error:
        raise ConfigError(f"key: is no private key in PEM or DER ({str(error)[:100]})") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ConfigError("key: must be of RSA or of an elliptic curve, as browsers know no other")
    return key


def read(file: Path | None) -> bytes:
    """A file's bytes; nothing for none.

    Raises: ConfigError naming it
    """
    try:
        return b"" if file is None else file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
