"""Questions to a provider over HTTP: bounded in time and size, and never sent on elsewhere."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

import orjson

from isthmus.values.errors import ConfigError, NotConnected, Rejected

TIMEOUT_S: Final = 5.0
MAX_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Http:
    """Asks one provider. ``ca`` is a PEM file, empty for the authorities of this machine."""

    ca: str = ""
    timeout_s: float = TIMEOUT_S

    def get(self, url: str, bearer: str = "") -> dict[str, Any]:
        """A JSON document.

        Raises: NotConnected; Rejected when the answer is none that can be used; ConfigError for the CA file
        """
        return self._ask("GET", url, None, {"Authorization": f"Bearer {bearer}"} if bearer else {})

    def post(self, url: str, form: Mapping[str, str], user: str = "", password: str = "") -> dict[str, Any]:
        """The answer to a form, sent with a name and password when there is one.

        Raises: as `get`
        Source: RFC 6749, section 2.3.1 (name and password are form-encoded before they are joined)
        """
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if password:
            both = f"{quote_plus(user)}:{quote_plus(password)}"
            headers["Authorization"] = f"Basic {b64encode(both.encode()).decode()}"
        return self._ask("POST", url, urlencode(form).encode(), headers)

    def _ask(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> dict[str, Any]:
        parts = urlsplit(url)
        link = self._link(parts.scheme == "https", parts.hostname or "", parts.port)
        # A time-out of a socket counts from byte to byte; this one counts once, however slowly an answer drips.
        over = threading.Event()

        def end() -> None:
            over.set()
            if link.sock is not None:
                _shut(link.sock)

        alarm = threading.Timer(self.timeout_s, end)
        alarm.daemon = True
        alarm.start()
        try:
            link.connect()
            if over.is_set():
                raise TimeoutError
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            link.request(method, target, body, {"Accept": "application/json", "User-Agent": "isthmus", **headers})
            answer = link.getresponse()
            content = answer.read(MAX_BYTES + 1)
            status = answer.status
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = f"no answer within {self.timeout_s:g} s" if over.is_set() else _words(error)
            raise NotConnected(f"{parts.netloc}: {why}") from error
        finally:
            alarm.cancel()
            alarm.join()
            link.close()
        if over.is_set():
            raise NotConnected(f"{parts.netloc}: no answer within {self.timeout_s:g} s")
        return _document(parts.netloc, status, content)

    def _link(self, secure: bool, host: str, port: int | None) -> http.client.HTTPConnection:
        if not secure:
            return http.client.HTTPConnection(host, port, timeout=self.timeout_s)
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"ca: {self.ca} cannot be used: {error}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return http.client.HTTPSConnection(host, port, timeout=self.timeout_s, context=context)


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it ended by itself
        sock.shutdown(socket.SHUT_RDWR)


def _document(where: str, status: int, content: bytes) -> dict[str, Any]:
    if len(content) > MAX_BYTES:
        raise Rejected(f"{where}: answered with more than {MAX_BYTES} bytes")
    if 300 <= status < 400:
        raise Rejected(f"{where}: answered {status}, which is not followed")
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        found = None
    if status >= 500:
        raise NotConnected(f"{where}: answered {status}")
    if status >= 400:
        said = (
            f": {plain(found.get('error'))} {plain(found.get('error_description'))}" if isinstance(found, dict) else ""
        )
        raise Rejected(f"{where}: answered {status}{said}".rstrip())
    if not isinstance(found, dict):
        raise Rejected(f"{where}: answered with something that is no JSON object")
    return found


def plain(text: object) -> str:
    """What an outsider said, fit to be shown: one line, printable, short."""
    return "".join(c if c.isprintable() else " " for c in text[:200]).strip() if isinstance(text, str) else ""


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "its name is not known here"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
