"""`isthmus doctor --security` against a running installation, sound and then made unsound."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from isthmus.app import doctor_security as doctor
from isthmus.app.datadir import DataDir
from isthmus.app.doctor_security import CHECKS, Listener, Proof, prove
from isthmus.app.local import call
from isthmus.bus.broker import free_port
from isthmus.values.errors import ConfigError, NotConnected

pytestmark = pytest.mark.real("nats-server", "uvicorn", "psutil")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataDir]:
    """An installation as `isthmus up` makes it, out of the box."""
    data = DataDir(tmp_path_factory.mktemp("sec") / "data")
    command = [sys.executable, "-m", "isthmus", "up", "--data", str(data.root), "--port", str(free_port())]
    up = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ})
    try:
        assert up.stdout is not None
        for line in up.stdout:
            if "is ready" in line:
                break
        yield data
    finally:
        up.send_signal(signal.SIGINT)
        up.communicate(timeout=30)


def by_id(proofs: list[Proof]) -> dict[str, Proof]:
    return {one.id: one for one in proofs}


@pytest.mark.mission("M76", "M78")
def test_out_of_the_box_everything_that_is_ours_passes(running: DataDir) -> None:
    found = by_id(prove(running))
    ours = (
        "listeners",
        "tls",
        "headers",
        "default-deny",
        "accounts",
        "tokens",
        "file-modes",
        "separation",
        "plaintext",
    )
    assert [(name, found[name].evidence) for name in ours if not found[name].passed] == []
    assert all(not found[name].mend for name in ours)
    assert "core 127.0.0.1:" in found["listeners"].evidence
    assert "nats-server 127.0.0.1:" in found["listeners"].evidence
    assert "all refused with 401" in found["default-deny"].evidence
    assert "a stranger: Authorization Violation" in found["separation"].evidence
    assert 'an edge: Permissions Violation for Publish to "cmd.v1.doctor"' in found["separation"].evidence
    assert (found["backup"].passed, found["backup"].evidence) == (False, "there is none")
    assert len(found) >= len(CHECKS) - 1  # audit only where there is one


@pytest.mark.mission("M76", "M79")
def test_what_is_made_wrong_is_found_and_the_command_fails(running: DataDir) -> None:
    made = call(running.root, "POST", "tokens", {"name": "for ever", "role": "viewer"})
    plant = (
        "plant: {enterprise: a, site: s}\nconnections:\n"
        "  far: {driver: modbus-tcp, host: 192.0.2.7}\n"
        "  old: {driver: modbus-tcp, host: 192.0.2.8, unpatchable: {reason: no maker, control: own switch, review: 2999-01-01}}\n"
        "  late: {driver: modbus-tcp, host: 192.0.2.9, unpatchable: {reason: no maker, control: own switch, review: 2020-01-01}}\n"
    )
    call(running.root, "POST", "plant/apply", {"text": plant, "base": 0, "reason": ""})
    running.bus.passwords.chmod(0o644)
    try:
        command = [sys.executable, "-m", "isthmus", "doctor", "--security", "--json", "--data", str(running.root)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        found = {one["id"]: one for one in json.loads(ran.stdout)["checks"]}
        assert ran.returncode == 1
        assert "for ever" in found["tokens"]["evidence"]
        assert "bus/passwords.json (0644)" in found["file-modes"]["evidence"]
        assert "far (192.0.2.7)" in found["plaintext"]["evidence"]
        assert "old" not in found["plaintext"]["evidence"], "a compensating control stands for it"
        assert "late" in found["plaintext"]["evidence"], "its review is due"
        for name in ("tokens", "file-modes", "plaintext"):
            assert not found[name]["passed"]
            assert found[name]["mend"]
        assert made["token"] not in ran.stdout
    finally:
        running.bus.passwords.chmod(0o600)
        call(running.root, "DELETE", f"tokens/{made['id']}")


def test_where_nothing_runs_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotConnected):
        prove(DataDir(tmp_path))


# Single checks against listeners of our own


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Any]:
    """Starts small servers: plain ones that say something first, or TLS ones."""
    opened: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(hello: bytes = b"", context: ssl.SSLContext | None = None) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        opened.append(listener)

        def serve() -> None:
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:
                    return
                with link:
                    try:
                        link.settimeout(2)
                        secure = context.wrap_socket(link, server_side=True) if context else link
                        with secure:
                            secure.sendall(hello)
                            secure.recv(4096)
                    except OSError:
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        threads.append(thread)
        return int(listener.getsockname()[1])

    yield start
    for listener in opened:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(5)


@pytest.fixture
def context(tmp_path: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file = tmp_path / "both.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(file)
    return made


def site(*listeners: Listener, **more: Any) -> Any:
    return SimpleNamespace(listeners=listeners, **more)


def test_a_plain_listener_for_everybody_is_found(served: Any) -> None:
    port = served(b"hello")
    assert doctor.listeners_are_closed(site(Listener("x", "127.0.0.1", port))).passed
    found = doctor.listeners_are_closed(site(Listener("x", "0.0.0.0", port)))
    assert not found.passed
    assert f"x 0.0.0.0:{port}" in found.mend
    assert not doctor.tls_is_modern(site(Listener("x", "0.0.0.0", port))).passed
    bus = served(b'INFO {"tls_required": true}\r\n')
    assert doctor.listeners_are_closed(site(Listener("bus", "0.0.0.0", bus))).passed
    assert not doctor.listeners_are_closed(site()).passed, "nothing seen is nothing proved"


def test_tls_is_seen_by_speaking_it(served: Any, context: ssl.SSLContext) -> None:
    spoken = doctor._spoken(Listener("x", "0.0.0.0", served(b"", context)))
    assert spoken.tls == "TLSv1.3"
    assert doctor.listeners_are_closed(site(spoken)).passed
    assert doctor.tls_is_modern(site(spoken)).passed
    weak = Listener("x", "0.0.0.0", spoken.port, "TLSv1.2", "DES-CBC3-SHA")
    assert not doctor.tls_is_modern(site(weak)).passed
    old = Listener("x", "0.0.0.0", spoken.port, "TLSv1.1", "ECDHE-ECDSA-AES256-GCM-SHA384")
    assert not doctor.tls_is_modern(site(old)).passed


_SOUND = (
    b"HTTP/1.1 200 OK\r\nContent-Security-Policy: default-src 'none'; script-src 'self'\r\nX-Content-Type-Options: nosniff\r\n"
    b"X-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\n\r\n"
)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (b"", b"", ""),
        (b"'self'", b"'unsafe-inline'", "content-security-policy"),
        (b"nosniff", b"x", "x-content-type-options is x"),
        (b"DENY", b"SAMEORIGIN", "x-frame-options"),
        (b"no-store", b"public", "cache-control"),
    ],
)
def test_a_header_that_is_missing_is_found(served: Any, old: bytes, new: bytes, told: str) -> None:
    web = Listener("core", "127.0.0.1", served(_SOUND.replace(old, new) if old else _SOUND))
    found = doctor.headers_guard_the_browser(site(web, web=lambda: web))
    assert found.passed is (told == "")
    assert told in found.evidence


def test_over_tls_hsts_is_wanted(served: Any, context: ssl.SSLContext) -> None:
    web = Listener("core", "127.0.0.1", served(_SOUND, context), "TLSv1.3", "TLS_AES_256_GCM_SHA384")
    found = doctor.headers_guard_the_browser(site(web, web=lambda: web))
    assert "strict-transport-security is None" in found.evidence


def test_a_route_that_answers_a_stranger_is_found(served: Any) -> None:
    web = Listener("core", "127.0.0.1", served(_SOUND))
    document = {"paths": {"/api/v1/x/{n}": {"get": {"security": [{}]}}, "/open": {"get": {"security": []}}}}
    found = doctor.strangers_are_refused(site(web, web=lambda: web, ask=lambda _: document))
    assert not found.passed
    assert "/api/v1/x/{n} answered 200" in found.evidence
    assert "/open" not in found.evidence


def test_accounts_and_the_audit_log() -> None:
    base = {"disabled": False, "has_password": True, "role": "admin"}
    users = [
        {**base, "name": "Ana", "totp": True},
        {**base, "name": "Ben", "totp": False},
        {**base, "name": "guest", "role": "viewer"},
    ]
    found = doctor.accounts_are_own(site(ask=lambda _: {"users": users}))
    assert found.evidence == "guest is a name everybody tries; Ben is admin by password alone"
    assert doctor.audit_is_whole(site(ask=lambda _: {"whole": True})).passed  # type: ignore[union-attr]  # there is one
    assert not doctor.audit_is_whole(site(ask=lambda _: {"whole": False})).passed  # type: ignore[union-attr]  # there is one


def test_a_check_that_cannot_look_has_failed() -> None:
    def broken(_: Any) -> Proof:
        """Something."""
        raise ConfigError("no")

    found = doctor._prove(broken, site())
    assert found is not None
    assert (found.passed, found.title) == (False, "Something.")
