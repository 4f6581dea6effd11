"""Takes the audit log off the machine: each receiver has its own thread, its own place in the log and its own back-off.

What was sent counts as delivered when the receiver has said so (webhook), when it is on the disk (file), or, for syslog,
which never answers, when the connection has lasted a while after it. What is in doubt is sent again: a receiver may see a
record twice, with the same ``seq``, and never misses one.

Source: RFC 5424 (syslog), RFC 5425 (over TLS, octet counting), RFC 2104 (HMAC)
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import json
import logging
import os
import random
import socket
import ssl
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import orjson

from isthmus.security.audit.files import AuditFiles, write_whole
from isthmus.security.audit.search import Tail
from isthmus.security.audit.targets import Target
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError

_TIMEOUT_S: Final = 10.0
_FAREWELL_S: Final = 3.0
_FIRST_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 60.0
_LASTED_S: Final = 2.0
"""A syslog connection must last so long after a record for it to count as delivered."""
_ENTERPRISE: Final = "isthmus@32473"
"""Name of our structured data. Source: RFC 5612, the enterprise number for documentation; there is no own one yet."""
_FACILITY: Final = 13  # log audit
_SEVERITY: Final = {"intent": 5, "outcome": 5, "note": 5, "checkpoint": 6}


class Sender(Protocol):
    """The way to one receiver."""

    def send(self, lines: list[tuple[int, bytes]]) -> int:
        """Send (seq, line) in order; up to which record delivery is certain now (0: none yet).

        Raises: OSError, ConfigError, http.client.HTTPException
        """
        ...

    def settled(self) -> int:
        """Asked while nothing is sent: up to which record delivery is certain now (0: nothing new).

        Raises: OSError when the connection is gone
        """
        ...

    def close(self) -> None: ...


class Beyond(Protocol):
    """What a forwarder needs from the log."""

    def wait_beyond(self, seq: int, timeout_s: float) -> int: ...


class Forwarder:
    """Brings the log to one receiver."""

    def __init__(self, target: Target, files: AuditFiles, clock: Clock, log: logging.Logger) -> None:
        self.target, self._log = target, log
        self._cursor = files.folder / "forward" / f"{target.name}.json"
        self._tail = Tail(files)
        self._sender = _sender(target, clock)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.delivered = self._load()
        self._sent = self.delivered
        self._reason = ""
        self._source: Beyond | None = None

    def status(self, last: int) -> dict[str, Any]:
        """How it is, for people."""
        return {
            "name": self.target.name,
            "kind": self.target.kind,
            "delivered": self.delivered,
            "waiting": max(0, last - self.delivered),
            "reason": self._reason,
        }

    def start(self, source: Beyond) -> None:
        """Begin in a thread."""
        self._source = source
        self._thread = threading.Thread(target=self._run, name=f"audit to {self.target.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end."""
        self._stopping.set()

    def join(self) -> None:
        """Wait until it has; one that hangs in a receiver which does not answer is left: what is in doubt is sent again."""
        if self._thread is not None:
            self._thread.join(_FAREWELL_S)
            self._thread = None

    def _load(self) -> int:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return int(json.loads(self._cursor.read_text())["seq"])
        return 0

    def _deliver(self, seq: int) -> None:
        if seq > self.delivered:
            self._cursor.parent.mkdir(mode=0o700, exist_ok=True)
            write_whole(self._cursor, json.dumps({"seq": seq}).encode())
            self.delivered = seq

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                self._round()
                if self._reason and self.delivered == self._sent:
                    self._log.info("the audit log reaches %s again", self.target.name)
                    self._reason = ""
                    failures = 0
            except Exception as error:  # whatever it is, the records must reach the receiver later
                if not isinstance(error, OSError | ConfigError | http.client.HTTPException):
                    self._log.exception("forwarding the audit log to %s", self.target.name)
                self._sender.close()
                self._sent = self.delivered
                failures += 1
                if not self._reason:
                    self._log.warning("the audit log does not reach %s: %s", self.target.name, error)
                self._reason = str(error) or type(error).__name__
                wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(failures - 1, 10))
                self._stopping.wait(wait_s * random.uniform(0.5, 1.0))  # noqa: S311  jitter is no secret
        with contextlib.suppress(OSError):
            self._deliver(self._sender.settled())
        self._sender.close()

    def _round(self) -> None:
        """Send what is new, or wait a moment for something."""
        if self._source is None:
            return
        upto = self._source.wait_beyond(self._sent, 0.25)
        lines = self._tail.read(self._sent, upto)
        if lines:
            certain = self._sender.send(lines)
            self._sent = lines[-1][0]
        else:
            certain = self._sender.settled()
        self._deliver(certain)


def _sender(target: Target, clock: Clock) -> Sender:
    if target.kind == "webhook":
        return Webhook(target, clock)
    return Syslog(target) if target.kind == "syslog" else File(target)


class File:
    """Appends lines to a file elsewhere: another disk, a network share."""

    def __init__(self, target: Target) -> None:
        self._path = Path(target.path)

    def send(self, lines: list[tuple[int, bytes]]) -> int:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            size = file.seek(0, os.SEEK_END)
            if size and _last_byte(self._path) != b"\n":  # a write before this one was cut off
                file.write(b"\n")
            file.write(b"".join(line + b"\n" for _, line in lines))
            file.flush()
            os.fsync(file.fileno())
        return lines[-1][0]

    def settled(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing is kept open."""


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)


def _context(target: Target) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=target.ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if target.certificate:
        context.load_cert_chain(target.certificate, target.key)
    return context


class Webhook:
    """POSTs JSON lines, signed: `X-Isthmus-Signature: sha256=HMAC(secret, timestamp + "." + body)`."""

    def __init__(self, target: Target, clock: Clock) -> None:
        self._target, self._url, self._clock = target, urlsplit(target.url), clock
        self._connection: http.client.HTTPConnection | None = None

    def send(self, lines: list[tuple[int, bytes]]) -> int:
        body = b"".join(line + b"\n" for _, line in lines)
        stamp = str(self._clock.now_ns() // NS_PER_S)
        secret = self._target.reveal(self._target.secret).encode()
        signature = hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/x-ndjson",
            "X-Isthmus-Timestamp": stamp,
            "X-Isthmus-Signature": f"sha256={signature}",
            "Idempotency-Key": f"audit-{lines[0][0]}-{lines[-1][0]}",
        }
        if self._connection is None:
            self._connection = self._connect()
        path = self._url.path or "/"
        self._connection.request("POST", f"{path}?{self._url.query}" if self._url.query else path, body, headers)
        answer = self._connection.getresponse()
        answer.read(65_536)
        if not 200 <= answer.status < 300:
            raise OSError(f"answered {answer.status}")
        return lines[-1][0]

    def _connect(self) -> http.client.HTTPConnection:
        host = self._url.hostname or ""
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(host, self._url.port, timeout=_TIMEOUT_S, context=_context(self._target))
        return http.client.HTTPConnection(host, self._url.port, timeout=_TIMEOUT_S)

    def settled(self) -> int:
        return 0

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class Syslog:
    """RFC 5424 messages over TLS; the whole record is the message, its main fields are structured data, too."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._socket: ssl.SSLSocket | None = None
        self._doubtful: deque[tuple[float, int]] = deque()  # (sent at, record)
        self._host = _printable(socket.gethostname(), 255)
        self._pid = os.getpid()

    def send(self, lines: list[tuple[int, bytes]]) -> int:
        if self._socket is None:
            self._doubtful.clear()
            raw = socket.create_connection((self._target.host, self._target.port), _TIMEOUT_S)
            try:
                self._socket = _context(self._target).wrap_socket(raw, server_hostname=self._target.host)
            except BaseException:
                raw.close()
                raise
        frames = []
        for _, line in lines:
            message = self.message(line)
            frames.append(str(len(message)).encode() + b" " + message)
        self._socket.sendall(b"".join(frames))
        self._doubtful.append((time.monotonic(), lines[-1][0]))
        return self._certain()

    def settled(self) -> int:
        if self._socket is None:
            return 0
        self._socket.settimeout(0)
        try:
            while self._socket.recv(4096):
                pass  # a syslog receiver has nothing to say
            raise OSError("the receiver closed the connection")
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        finally:
            self._socket.settimeout(_TIMEOUT_S)
        return self._certain()

    def _certain(self) -> int:
        """What was sent long enough ago on a connection that still stands."""
        certain, now = 0, time.monotonic()
        while self._doubtful and now - self._doubtful[0][0] >= _LASTED_S:
            certain = self._doubtful.popleft()[1]
        return certain

    def message(self, line: bytes) -> bytes:
        """One record as a syslog message."""
        record = orjson.loads(line)
        kind = str(record.get("kind", ""))
        who = record.get("who", {})
        data = {
            "seq": record["seq"],
            "id": record.get("id", ""),
            "who": who.get("id", ""),
            "role": who.get("role", ""),
            "source": who.get("source", ""),
            "action": record.get("action", ""),
            "target": record.get("target", ""),
            "result": record.get("result", ""),
        }
        elements = "".join(f' {name}="{_escaped(str(value))}"' for name, value in data.items() if value != "")
        head = (
            f"<{_FACILITY * 8 + _SEVERITY.get(kind, 5)}>1 {record['time']} {self._host} isthmus {self._pid} "
            f"{_printable(kind, 32)} [{_ENTERPRISE}{elements}] "
        )
        return head.encode() + b"\xef\xbb\xbf" + line

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._doubtful.clear()


def _escaped(text: str) -> str:
    """A parameter value. Source: RFC 5424, 6.3.3"""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _printable(text: str, most: int) -> str:
    """A header field: printable ASCII without blanks. Source: RFC 5424, 6"""
    return "".join(c for c in text if "!" <= c <= "~")[:most] or "-"
