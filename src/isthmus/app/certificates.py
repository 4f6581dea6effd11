"""Certificates below the data directory and when they end."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from isthmus.web.system import Certificate
from isthmus.web.times import iso

SOON_DAYS = 30
MOST_FILES = 256
MAX_BYTES = 256 * 1024
_NAMES = frozenset({".pem", ".der", ".crt", ".cer"})
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_ELSEWHERE = frozenset({"history", "bus", "run", "logs"})  # large, or ours; no certificate lies there


def certificates(root: Path, now_ns: int) -> list[Certificate]:
    """Every certificate below a folder, the first to end first; private keys are passed over. Links are not followed."""
    found = []
    for file in sorted(_files(root))[:MOST_FILES]:
        try:
            data = file.read_bytes() if file.stat().st_size <= MAX_BYTES else b""
        except OSError:
            continue
        name = file.relative_to(root).as_posix()
        blocks = _PEM.findall(data)
        if not blocks and b"-----BEGIN" in data:
            continue  # a key, or a request for a certificate
        found += [_describe(name, block, now_ns) for block in blocks or [data]]
    return sorted(found, key=lambda c: (c.expires or "", c.file))


def _files(root: Path) -> list[Path]:
    found: list[Path] = []
    for top in root.iterdir():
        if top.is_symlink() or top.name in _ELSEWHERE:
            continue
        inside = top.rglob("*") if top.is_dir() else iter([top])
        found += [f for f in inside if f.suffix.lower() in _NAMES and f.is_file() and not f.is_symlink()]
    return found


def _describe(name: str, data: bytes, now_ns: int) -> Certificate:
    from cryptography import x509

    try:
        read = x509.load_pem_x509_certificate if data.startswith(b"-----BEGIN") else x509.load_der_x509_certificate
        one = read(data)
        ends = one.not_valid_after_utc
        subject, issuer = one.subject.rfc4514_string(), one.issuer.rfc4514_string()
    except ValueError:
        return Certificate(file=name, subject="", issuer="", expires=None, days_left=None, state="unreadable")
    left_s = (ends - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() - now_ns / 1e9
    return Certificate(
        file=name,
        subject=subject[:300],
        issuer=issuer[:300],
        expires=iso(int(ends.timestamp()) * 10**9),
        days_left=round(left_s / 86_400, 2),
        state="expired" if left_s <= 0 else "soon" if left_s <= SOON_DAYS * 86_400 else "ok",
    )
