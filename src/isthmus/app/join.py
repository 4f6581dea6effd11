"""The edge's side of enrolment: joins a core by a token, and keeps its certificate alive."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import logging
import os
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nkeys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from isthmus.app.ca import RENEW_AT, Pair
from isthmus.app.datadir import DataDir
from isthmus.app.enrolment import Ticket
from isthmus.bus import subjects
from isthmus.bus.broker import BusAddress, edge_user, write_private
from isthmus.bus.client import Bus
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError, Denied, IsthmusError, NotConnected, TryLater

ASK_S = 20.0
LOOK_S = 600.0


def join(token: str, data: DataDir) -> str:
    """Enrol this data directory as the edge a token is for; its name. What the token pins is checked before anything is told.

    Raises: ConfigError, Denied, TryLater as core said it; NotConnected if nobody, or somebody else, is there
    """
    ticket = Ticket.parse(token)
    data.prepare()
    user = edge_user(ticket.edge)
    if data.bus.config.exists():
        raise ConfigError(f"{data.root}: has a bus of its own; join with another --data DIR")
    root = _pinned_root(ticket)
    key = ec.generate_private_key(ec.SECP256R1())
    seed, public = new_nkey()
    body = {"token": ticket.secret, "request": _request(key, ticket.edge).decode(), "nkey": public}
    answer = _ask(ticket, _context(ticket, root), "POST", "/api/v1/edges/enrol", json.dumps(body).encode())
    try:
        found = json.loads(answer)
        pair = Pair(key, (x509.load_pem_x509_certificate(found["certificate"].encode()),))
        host = found["host"] or ticket.host
        place = f"[{host}]" if ":" in host else host
        url, server_name = f"tls://{place}:{int(found['port'])}", str(found["server_name"])
    except (ValueError, KeyError, TypeError) as error:
        raise NotConnected(f"{ticket.host}: answered what is no welcome: {error!r}") from error
    files = data.bus.folder / f"{user}.ca.crt", data.bus.folder / f"{user}.pem"
    write_private(files[0], root)
    write_private(files[1], pair.text())
    BusAddress(url, user, "", server_name, files[0].name, files[1].name, seed).save(data.bus.address_file(user))
    return ticket.edge


def new_nkey() -> tuple[str, str]:
    """Seed and public half of an NKey of a user."""
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    return seed.decode(), nkeys.from_seed(bytearray(seed)).public_key.decode()


async def keep_certificate(bus: Bus, address: BusAddress, edge: str, clock: Clock, log: logging.Logger) -> None:
    """Ask core for the next certificate when two thirds of this one's life are over; it is shown from the next connecting on."""
    told = False
    while True:
        try:
            if await renew(bus, Path(address.certificate), edge, clock):
                log.info("the certificate for the bus was renewed")
            told = False
        except IsthmusError as error:
            if not told:
                log.warning("the certificate for the bus was not renewed: %s", error)
            told = True
        await asyncio.sleep(LOOK_S)


async def renew(bus: Bus, file: Path, edge: str, clock: Clock) -> bool:
    """Renew it if it is due; whether it was.

    Raises: ConfigError, Denied, NotConnected, TryLater
    """
    leaf = Pair.load(file).leaf
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if datetime.fromtimestamp(clock.now_ns() / 1e9, UTC) < begin + (end - begin) * RENEW_AT:
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    answer = await bus.request(subjects.enrol(edge), _request(key, edge), timeout_s=ASK_S)
    if not answer.data.startswith(b"-----BEGIN"):
        raise Denied(answer.data.decode(errors="replace")[:300], "join_refused")
    pair = Pair(key, (x509.load_pem_x509_certificate(answer.data),))
    if pair.leaf.public_key() != key.public_key():
        raise NotConnected("core answered with a certificate of another key")
    write_private(file, pair.text())
    return True


def _request(key: ec.EllipticCurvePrivateKey, edge: str) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, edge[:64])])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def _pinned_root(ticket: Ticket) -> bytes:
    """Core's root, believed because of the token's fingerprint alone; nothing secret is said on the way."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    root = _ask(ticket, unverified, "GET", "/ca.crt", b"", pinned=False)
    try:
        found = x509.load_pem_x509_certificate(root).fingerprint(hashes.SHA256()).hex()
    except ValueError:
        found = ""
    if found != ticket.root:
        raise NotConnected(
            f"{ticket.host}:{ticket.port} is not the core this token was made by: the fingerprint of its root differs; somebody "
            "may be in between, nothing was told to them"
        )
    return root


def _context(ticket: Ticket, root: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ticket.leaf:  # an imported certificate is not of this root: the token pins it itself
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(cadata=root.decode())
    return context


def _ask(ticket: Ticket, context: ssl.SSLContext, method: str, path: str, body: bytes, *, pinned: bool = True) -> bytes:
    connection = http.client.HTTPSConnection(ticket.host, ticket.port, timeout=ASK_S, context=context)
    try:
        connection.connect()
        if pinned and ticket.leaf:
            shown = connection.sock.getpeercert(True) if isinstance(connection.sock, ssl.SSLSocket) else None
            if hashlib.sha256(shown or b"").hexdigest() != ticket.leaf:
                raise NotConnected(f"{ticket.host}:{ticket.port} shows another certificate than the token says")
        connection.request(method, path, body or None, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read(1 << 20)
    except (OSError, http.client.HTTPException) as error:
        raise NotConnected(
            f"{ticket.host}:{ticket.port} cannot be reached as the core of this token: {error}"
        ) from error
    finally:
        connection.close()
    if answer.status >= 400:
        raise _said(answer.status, content)
    return content


def _said(status: int, content: bytes) -> IsthmusError:
    try:
        problem: dict[str, Any] = json.loads(content)
        detail, code = str(problem["detail"]), str(problem["code"])
    except (ValueError, KeyError, TypeError):
        return NotConnected(f"core answered {status}")
    return TryLater(detail, 60) if status == http.client.SERVICE_UNAVAILABLE else Denied(detail, code)
