"""Batches of samples as JSON by HTTP POST, one request per batch, each with a key by which a double is told."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import gzip
import http.client
import math
import select
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import numpy as np
import orjson
from numpy.typing import NDArray

from isthmus.ports.connectors import ConnectorContext, Delivery, TagTable, connector
from isthmus.values import status
from isthmus.values.clock import NS_PER_MS, NS_PER_S
from isthmus.values.errors import ConfigError, NotConnected, Rejected, TryLater
from isthmus.values.hosts import is_loopback
from isthmus.values.sample import SampleBatch, ValueType
from isthmus.values.secrets import check_reference

_BUSY: Final = frozenset((408, 409, 423, 425, 429))
_CLOSED: Final = frozenset((401, 402, 403, 404, 405, 407, 410, 421))  # the address or our pass is wrong, not the batch
_SHOWN_BYTES: Final = 300
_MOST_ANSWER_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class HttpPushConfig:
    """Settings of one receiver of batches."""

    url: str
    """Where batches are posted to, http:// or https://."""

    bearer: str = ""
    """Reference to the secret that is sent as `Authorization: Bearer`, such as secret:receiver; empty sends none."""

    compress: bool = True
    """Send the body as gzip."""

    timeout_s: float = 10.0
    """Seconds to wait for the connection, and for the answer to one batch."""

    ca: str = ""
    """File with the certificates (PEM) by which the receiver is known; those of this machine unless told."""

    def __post_init__(self) -> None:
        if not isinstance(self.url, str):
            raise ConfigError(f"url: must be text, was {self.url!r}")
        try:
            parts = urlsplit(self.url)
            valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            valid = False
        if not valid or any(c.isspace() for c in self.url):
            raise ConfigError(f"url: must be http://host/path or https://host/path, was {self.url!r}")
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ConfigError(f"url: must be https:// beyond this machine, was {self.url!r}")
        if "@" in parts.netloc:
            raise ConfigError("url: may hold no user and password; use bearer with a reference to a secret")
        if self.bearer:
            check_reference(self.bearer, "bearer")
        if type(self.compress) is not bool:
            raise ConfigError(f"compress: must be true or false, was {self.compress!r}")
        if type(self.timeout_s) not in {int, float} or not (math.isfinite(self.timeout_s) and 0 < self.timeout_s <= 50):
            raise ConfigError(f"timeout_s: must be more than 0 and at most 50 seconds, was {self.timeout_s!r}")
        if not isinstance(self.ca, str):
            raise ConfigError(f"ca: must be a file name, was {self.ca!r}")


@connector("http-push", config=HttpPushConfig, title="HTTP push (JSON)")
class HttpPush:
    """Keeps one connection; a batch that got no answer is left open to the runner, which sends it again with its key."""

    def __init__(self, config: HttpPushConfig, context: ConnectorContext) -> None:
        self._config, self._context = config, context
        parts = urlsplit(config.url)
        self._host, self._port = parts.hostname or "", parts.port
        self._secure = parts.scheme == "https"
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._peer = f"{self._host} port {self._port or (443 if self._secure else 80)}"
        self._tags: TagTable | None = None
        self._link: http.client.HTTPConnection | None = None

    async def open(self, tags: TagTable) -> None:
        """Connect.

        Raises: NotConnected; ConfigError for a missing secret or certificate file
        """
        await self.close()
        self._headers()
        link = self._new_link()
        self._tags, self._link = tags, link
        try:
            await asyncio.to_thread(self._connect, link)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            await self.close()
            raise NotConnected(f"{self._peer}: {_words(error)}") from error
        except BaseException:
            await self.close()
            raise
        if self._link is not link:
            raise NotConnected(f"{self._peer}: closed while connecting")

    async def close(self) -> None:
        """Let go of the connection; a request under way ends at once."""
        link, self._link = self._link, None
        if link is not None:
            _let_go(link)

    async def deliver(self, delivery: Delivery) -> None:
        """Post one batch.

        Raises: NotConnected, TryLater, Rejected by what the receiver answers
        """
        link, tags = self._link, self._tags
        if link is None or tags is None:
            raise NotConnected(f"{self._peer}: not open")
        headers = self._headers() | {"Idempotency-Key": delivery.key}
        body = orjson.dumps(document(delivery, tags))
        if self._config.compress:
            body = await asyncio.to_thread(gzip.compress, body, 1)
            headers["Content-Encoding"] = "gzip"
        try:
            code, after, said = await asyncio.to_thread(self._post, link, body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise NotConnected(f"{self._peer}: {_words(error)}") from error
        if 200 <= code < 300:
            return
        reason = f"{self._peer}: answered {code}{f': {said}' if said else ''}"
        if code in _BUSY or code >= 500:
            raise TryLater(reason, after_s=self._wait_s(after))
        if code in _CLOSED or code < 400:
            raise NotConnected(reason)
        raise Rejected(reason)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "isthmus"}
        if self._config.bearer:
            headers["Authorization"] = f"Bearer {self._context.secret(self._config.bearer).strip()}"
        return headers

    def _new_link(self) -> http.client.HTTPConnection:
        timeout_s = self._config.timeout_s
        if not self._secure:
            link = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        else:
            try:
                trust = ssl.create_default_context(cafile=self._config.ca or None)
            except OSError as error:
                raise ConfigError(f"ca: {error.strerror or error}, was {self._config.ca!r}") from None
            link = http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=trust)
        link.auto_open = 0  # what was closed stays closed
        return link

    def _connect(self, link: http.client.HTTPConnection) -> None:
        """Connect, in a thread; nobody waits for it any more where we were closed meanwhile."""
        link.connect()
        if self._link is not link:
            _let_go(link)

    def _post(self, link: http.client.HTTPConnection, body: bytes, headers: dict[str, str]) -> tuple[int, str, str]:
        """Status, Retry-After and the first words of the answer; runs in a thread."""
        if _hung_up(link):  # a receiver may end a link that was idle; this is no failure
            link.close()
            self._connect(link)
        link.request("POST", self._target, body, headers)
        answer = link.getresponse()
        said = answer.read(_MOST_ANSWER_BYTES)
        if not answer.isclosed():
            _let_go(link)  # an answer without end: the link cannot be used again
        shown = " ".join(said[:_SHOWN_BYTES].decode(errors="replace").split())
        return answer.status, answer.headers.get("Retry-After", ""), shown

    def _wait_s(self, after: str) -> float:
        """What a Retry-After asks for: seconds, or a date.

        Source: RFC 9110, 10.2.3
        """
        with contextlib.suppress(ValueError):
            return max(0.0, float(int(after)))
        with contextlib.suppress(ValueError, TypeError):
            return max(
                0.0, email.utils.parsedate_to_datetime(after).timestamp() - self._context.clock.now_ns() / NS_PER_S
            )
        return 5.0


def document(delivery: Delivery, tags: TagTable) -> dict[str, Any]:
    """The body: who sends, and the samples in the order they came. A bad one has no value."""
    return {
        "key": delivery.key,
        "enterprise": tags.enterprise,
        "site": tags.site,
        "samples": [sample for batch in delivery.batches for sample in _samples(batch, tags)],
    }


def _samples(batch: SampleBatch, tags: TagTable) -> Iterator[dict[str, Any]]:
    values: list[Any] = batch.value.tolist()
    if batch.type is ValueType.TEXT:
        values = [batch.text[code] for code in values]
    elif batch.type is ValueType.FLOAT:
        values = [value if math.isfinite(value) else None for value in values]
    bad = status.is_bad(batch.status).tolist()
    rows = tags.rows_of(batch.id).tolist()
    for row, time, value, none, code in zip(
        rows, _times(batch.time_ns), values, bad, batch.status.tolist(), strict=True
    ):
        yield {
            "tag": tags.path[row],
            "time": time,
            "value": None if none else value,
            "unit": tags.unit[row],
            "status": status.name(code),
        }


def _times(time_ns: NDArray[np.int64]) -> list[str]:
    """ISO 8601 in UTC; to the millisecond unless a time is finer."""
    unit: Literal["ms", "ns"] = "ms" if not (time_ns % NS_PER_MS).any() else "ns"
    return [f"{text}Z" for text in np.datetime_as_string(time_ns.view("datetime64[ns]"), unit=unit).tolist()]


def _let_go(link: http.client.HTTPConnection) -> None:
    """Close at once, so that a thread which waits for an answer comes back."""
    if link.sock is not None:
        with contextlib.suppress(OSError):
            link.sock.shutdown(socket.SHUT_RDWR)
    link.close()


def _hung_up(link: http.client.HTTPConnection) -> bool:
    """Whether the other side has ended the link, or says what nobody asked."""
    if link.sock is None:
        return True
    watch = select.poll()
    watch.register(link.sock, select.POLLIN)
    return bool(watch.poll(0))


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there (connection refused)"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
