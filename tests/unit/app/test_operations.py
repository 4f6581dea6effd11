from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from isthmus.app.certificates import certificates
from isthmus.app.operations import Usage, attention
from isthmus.values.clock import NS_PER_S
from isthmus.web.system import (
    Backups,
    Certificate,
    ClockState,
    Disk,
    EdgeLag,
    Lags,
    Process,
    Queue,
    System,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * NS_PER_S


def certificate(days: float) -> tuple[bytes, bytes, bytes]:
    """PEM, DER and key of a self-signed certificate that ends so many days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "capper")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(5).not_valid_before(NOW - timedelta(days=400)).not_valid_after(NOW + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    encoding = serialization.Encoding
    secret = key.private_bytes(encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(encoding.PEM), made.public_bytes(encoding.DER), secret


@pytest.mark.real("cryptography")
def test_certificates_are_found_where_connections_keep_them_and_keys_are_passed_over(tmp_path: Path) -> None:
    home = tmp_path / "edges" / "edge-1" / "plc1"
    home.mkdir(parents=True)
    soon, expired = certificate(10), certificate(-1)
    fine = certificate(300)
    (home / "own.pem").write_bytes(soon[0])
    (home / "own-key.pem").write_bytes(soon[2])
    (home / "server.der").write_bytes(expired[1])
    (home / "chain.crt").write_bytes(fine[0] + fine[0])
    (home / "broken.der").write_bytes(b"no certificate")
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / "other.pem").write_bytes(soon[0])
    found = certificates(tmp_path, NOW_NS)
    assert [(Path(c.file).name, c.state) for c in found] == [
        ("broken.der", "unreadable"), ("server.der", "expired"), ("own.pem", "soon"), ("chain.crt", "ok"), ("chain.crt", "ok"),
    ]  # fmt: skip
    assert found[2].days_left == 10
    assert found[2].subject == "CN=capper"


def test_hours_left_follow_from_the_last_hour_and_not_from_less_than_five_minutes() -> None:
    usage, gb = Usage(), 10**9
    usage.note(0, 100 * gb)
    usage.note(200, 99 * gb)
    assert usage.hours_left(0) is None
    for minute in range(4, 200):
        usage.note(minute * 60, 100 * gb - minute * gb // 10)
    free = 100 * gb - 199 * gb // 10
    assert usage.hours_left(10 * gb) == pytest.approx((free - 10 * gb) / (6 * gb), rel=0.02)
    assert usage.hours_left(free) == 0
    usage.note(12_000, 500 * gb)
    assert usage.hours_left(0) is None


def healthy() -> System:
    return System(
        now="", started="", uptime_s=1, attention=[], versions=[],
        processes=[Process(name="core", pid=1, state="running", memory_bytes=1, cpu_s=1, cpu_cores=0, uptime_s=1, restarts=0)],
        queues=[Queue(name="outbox", owner="edge-1", unit="samples", limit=9, used=0, entered=0, left=0, dropped=0)],
        lags=Lags(historian_s=0.1, live_s=0, edges=[EdgeLag(name="edge-1", state="running", age_s=0.4, offset_s=0.0)]),
        disk=Disk(folder="/", state="", free_bytes=9, total_bytes=9, reserve_bytes=1, history_bytes=1, bus_bytes=1,
                  bus_limit_bytes=9, buffer_hours=9, hours_left=900),
        certificates=[], backups=Backups(state="ok", kept=[]),
        clock=ClockState(state="ok", synchronised=True, offset_s=0, error_s=0, jumps=0, last_jump_s=None, last_jump=None),
    )  # fmt: skip


def test_nothing_asks_for_a_look_while_all_is_well() -> None:
    assert attention(healthy()) == []


def test_each_trouble_says_what_to_do() -> None:
    system = healthy()
    system.disk.hours_left = 12
    system.processes[0].state = "gone"
    system.lags.edges = [
        EdgeLag(name="edge-1", state="silent", age_s=9, offset_s=-3.0),
        EdgeLag(name="edge-2", state="never heard", age_s=None, offset_s=None),
    ]
    system.queues[0].dropped = 7
    system.lags.historian_s = 90
    system.certificates = [Certificate(file="a.pem", subject="", issuer="", expires="", days_left=3, state="soon")]
    system.backups.state = "none"
    system.clock.state = "unsynchronised"
    found = attention(system)
    assert [a.what for a in found] == [
        "Disk", "Process core", "Edge edge-1", "Clock of edge-1", "Edge edge-2", "Queue outbox of edge-1", "Historian",
        "Certificate a.pem", "Backup", "Clock",
    ]  # fmt: skip
    assert all(a.detail and a.advice for a in found)
