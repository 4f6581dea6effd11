"""The audit log off the machine: real receivers, which fail, and come back, and lack nothing."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from isthmus.app.records import open_records
from isthmus.security.audit import forward
from isthmus.security.audit.check import check_log
from isthmus.security.audit.service import Trail
from isthmus.security.audit.store import metadata
from isthmus.security.audit.targets import Target, parse_target
from isthmus.values.clock import SystemClock
from isthmus.values.errors import ConfigError

pytestmark = [pytest.mark.mission("M78"), pytest.mark.real("TLS syslog receiver", "HTTPS receiver")]
WHO = {"name": 'ana "]\\', "role": "engineer", "proof": "session", "source": "192.0.2.1"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "c.pem", folder / "k.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, secret


@pytest.fixture
def receiver(certificate, tmp_path: Path):
    """``receiver(kind)``: (port, folder) of one that runs."""
    running = []

    def start(kind: str) -> tuple[int, Path]:
        folder = tmp_path / f"{kind}-{len(running)}"
        folder.mkdir()
        command = [
            sys.executable,
            str(Path(__file__).with_name("receiver.py")),
            kind,
            *map(str, certificate),
            str(folder),
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        running.append(process)
        return int(process.stdout.readline()), folder

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def trail(tmp_path: Path, monkeypatch):
    """``trail(*targets)`` opens the log of this test, again if it was closed."""
    monkeypatch.setattr(forward, "_FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(forward, "_LONGEST_WAIT_S", 0.1)
    monkeypatch.setattr(forward, "_LASTED_S", 0.2)
    engine = open_records(tmp_path / "records.db")
    metadata.create_all(engine)
    opened = []

    def start(*targets: Target) -> Trail:
        made = Trail(tmp_path / "audit", engine, SystemClock(), targets=targets)
        made.open()
        opened.append(made)
        return made

    yield start
    for one in opened:
        one.close()
    engine.dispose()


def do(trail: Trail, count: int, action: str = "POST plant/apply") -> None:
    for number in range(count):
        ident = trail.intent_now(WHO, action, f"plant/{number}", 10)
        trail.outcome_now(ident, "ok 200", new={"n": number})


def until(look, what: str) -> None:
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def delivered(trail: Trail) -> bool:
    status = trail.status()
    return all(one["waiting"] == 0 for one in status["forward"]) and status["records"] > 0


MESSAGE = re.compile(
    rb"<(1\d\d)>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (\S+) isthmus (\d+) (intent|outcome|note|checkpoint) "
    rb'\[isthmus@32473((?: [a-z]+="(?:[^"\\\]]|\\["\\\]])*")*)\] \xef\xbb\xbf(.*)'
)


def syslog_lines(folder: Path) -> list[bytes]:
    """The records of what a syslog receiver took; each message is as RFC 5424 has it."""
    found = []
    for message in (folder / "taken").read_bytes().splitlines() if (folder / "taken").exists() else []:
        parts = MESSAGE.fullmatch(message)
        assert parts, message
        assert int(parts[1]) >> 3 == 13
        record = orjson.loads(parts[7])
        assert f'seq="{record["seq"]}"'.encode() in parts[6]
        found.append(parts[7])
    return found


def sequence(lines: list[bytes]) -> list[int]:
    return [orjson.loads(line)["seq"] for line in lines]


def test_syslog_over_tls_takes_everything_across_drops_and_restarts(receiver, trail, certificate, tmp_path) -> None:
    port, folder = receiver("syslog")
    target = Target("siem", "syslog", host="127.0.0.1", port=port, ca=str(certificate[0]))
    one = trail(target)
    do(one, 20)
    until(lambda: delivered(one), "first part")
    (folder / "mode").write_text("drop")
    do(one, 20)  # nobody waits for the receiver
    until(lambda: one.status()["forward"][0]["reason"], "the break is told")
    one.close()
    (folder / "mode").unlink()
    two = trail(target)
    do(two, 5)
    until(lambda: delivered(two), "all of it")
    last = two.status()["records"]
    taken = syslog_lines(folder)
    assert sorted(set(sequence(taken))) == list(range(1, last + 1))
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(b"".join(line + b"\n" for line in taken))
    two.close()
    assert check_log(tmp_path / "audit", tmp_path / "records.db", against=copy).problem is None
    assert b"ana" not in copy.read_bytes()  # a pseudonym left, no name


def test_a_receiver_with_a_strange_certificate_gets_nothing(receiver, trail, certificate) -> None:
    port, folder = receiver("syslog")
    one = trail(Target("siem", "syslog", host="127.0.0.1", port=port))  # its authority is not known here
    do(one, 3)
    until(lambda: "certificate verify failed" in one.status()["forward"][0]["reason"], "refused")
    assert not (folder / "taken").exists()
    assert one.status()["forward"][0]["delivered"] == 0


def test_a_webhook_is_signed_and_sent_again_until_it_says_yes(receiver, trail, certificate) -> None:
    port, folder = receiver("webhook")
    (folder / "mode").write_text("500")
    target = Target(
        "hook", "webhook", url=f"https://127.0.0.1:{port}/in?x=1", ca=str(certificate[0]), secret="secret:hook",
        reveal=lambda reference: f"revealed {reference}",
    )  # fmt: skip
    one = trail(target)
    do(one, 10)
    until(lambda: "answered 500" in one.status()["forward"][0]["reason"], "told")
    (folder / "mode").unlink()
    until(lambda: delivered(one), "delivered")
    lines: list[bytes] = []
    for row in (folder / "taken").read_text().splitlines():
        taken = json.loads(row)
        head, body = {k.lower(): v for k, v in taken["headers"].items()}, taken["body"].encode()
        stamp = head["x-isthmus-timestamp"]
        good = hmac.new(b"revealed secret:hook", stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        assert head["x-isthmus-signature"] == f"sha256={good}"
        lines += body.splitlines()
    assert sequence(lines) == list(range(1, one.status()["records"] + 1))


def test_a_file_elsewhere_is_the_log_line_by_line_and_finds_a_cut(trail, tmp_path) -> None:
    copy = tmp_path / "elsewhere.jsonl"
    target = Target("disk", "file", path=str(copy))
    one = trail(target)
    do(one, 5)
    until(lambda: delivered(one), "copied")
    one.close()
    two = trail(target)
    until(lambda: delivered(two), "copied on")
    two.close()
    log = b"".join(content for _, content in two.files.contents())
    taken = copy.read_bytes()
    assert log.startswith(taken)  # what was written while closing waits for the next start
    assert len(taken.splitlines()) >= 11
    folder, records = tmp_path / "audit", tmp_path / "records.db"
    assert check_log(folder, records, against=copy).problem is None
    copy.write_bytes(taken.replace(b"plant/3", b"plant/7"))
    assert "is not the record that" in str(check_log(folder, records, against=copy).problem)
    copy.write_bytes(b"nothing\n")
    with pytest.raises(ConfigError, match="line 1 is no audit record"):
        check_log(folder, records, against=copy)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "fax"}, "kind: must be syslog, file, webhook"),
        ({"kind": "syslog"}, "host: is needed"),
        ({"kind": "syslog", "host": "h", "port": 0}, "port: must be 1 to 65535"),
        ({"kind": "file", "path": "x"}, "path: must be absolute"),
        ({"kind": "webhook", "url": "http://example.org/", "secret": "secret:x"}, "url: must be https"),
        ({"kind": "webhook", "url": "https://example.org/", "secret": "plain"}, "secret: must be a reference"),
        ({"kind": "webhook", "url": "https://a:b@example.org/", "secret": "env:X"}, "and no user"),
        ({"kind": "file", "path": "/x", "colour": "red"}, "colour: unknown key"),
        ({"kind": "syslog", "host": "h", "port": "1"}, "port: must be int"),
        ({"kind": "syslog", "host": "h", "key": "k"}, "belong together"),
        ("x", "must be a section"),
    ],
)
def test_a_wrong_receiver_is_refused_with_its_key(given, message) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_target("r", given)
