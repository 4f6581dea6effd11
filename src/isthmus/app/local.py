"""Commands that read or change state go through the running core: HTTP over its socket in the data directory."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from isthmus.app.datadir import DataDir
from isthmus.values.errors import ConfigError, Denied, Finding, Findings, NotConnected, TryLater

_LONG_S: Final = 600.0
"""A block of an import, or the first byte of a long export, may take so long on a slow disk."""
_ARROW: Final = "application/vnd.apache.arrow.stream"


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float = 60) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def call(
    data: Path, method: str, path: str, body: dict[str, Any] | None = None, accept: str = "application/json"
) -> Any:
    """Ask the core of a data directory; the parsed answer, or bytes when something else than JSON was asked for.

    Raises: NotConnected when no core runs there; TryLater, Findings and Denied as core said them
    """
    connection = _SocketConnection(DataDir(data).socket)
    try:
        connection.request(
            method,
            f"/api/v1/{path}",
            body=None if body is None else json.dumps(body),
            headers={"Content-Type": "application/json", "Accept": accept},
        )
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise NotConnected(f"no Isthmus runs on {data}: start it with `isthmus up --data {data}`") from error
    finally:
        connection.close()
    if answer.status >= 400:
        _raise(answer.status, content)
    if accept != "application/json":
        return content
    return json.loads(content) if content else None


@contextlib.contextmanager
def opened(data: Path, path: str, accept: str) -> Iterator[http.client.HTTPResponse]:
    """A long answer of the core, to be read bit by bit.

    Raises: as ``call``, also when the answer ends before it is whole
    """
    connection = _SocketConnection(DataDir(data).socket, _LONG_S)
    try:
        connection.request("GET", f"/api/v1/{path}", headers={"Accept": accept})
        answer = connection.getresponse()
        if answer.status >= 400:
            _raise(answer.status, answer.read())
        yield answer
    except (OSError, http.client.HTTPException) as error:
        raise NotConnected(f"the Isthmus on {data} does not answer, or broke off: {error}") from error
    finally:
        connection.close()


class ImportDoor:
    """Where an import's blocks go. It waits for a core that starts again, and for room on a full disk.

    ``waits`` hears why it waits, and an empty text when it goes on.
    """

    def __init__(self, data: Path, waits: Callable[[str], None] = lambda _: None, patience_s: float = 120.0) -> None:
        self._data, self._waits, self._patience_s = data, waits, patience_s
        self._connection: _SocketConnection | None = None

    def position(self, key: str) -> tuple[int | None, int]:
        """(epoch, block) of an import that is stored last; (None, 0) if there is none."""
        found = call(self._data, "GET", f"history/import?import={key}")
        return found["epoch"], found["block"]

    def send(self, key: str, epoch: int, block: int, body: bytes) -> None:
        """Store a block; sent again until the core has confirmed it.

        Raises: NotConnected when no core came back in time; Findings and Denied as core said them
        """
        began, waiting = time.monotonic(), False
        while True:
            try:
                self._post(f"history/import?{urlencode({'import': key, 'epoch': epoch, 'block': block})}", body)
                break
            except TryLater as error:
                began, pause_s = time.monotonic(), error.after_s
                self._waits(str(error))
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if time.monotonic() - began > self._patience_s:
                    raise NotConnected(
                        f"no Isthmus answers on {self._data}; what it had confirmed is kept: run the same command again to go on"
                    ) from error
                pause_s = 0.5
                self._waits("waiting for core")
            waiting = True
            time.sleep(pause_s)
        if waiting:
            self._waits("")

    def _post(self, path: str, body: bytes) -> None:
        if self._connection is None:
            self._connection = _SocketConnection(DataDir(self._data).socket, _LONG_S)
        self._connection.request("POST", f"/api/v1/{path}", body, {"Content-Type": _ARROW})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status == http.client.SERVICE_UNAVAILABLE:
            raise TryLater(
                json.loads(content).get("detail", "core asks to wait"), float(answer.headers.get("Retry-After", 1))
            )
        if answer.status >= 400:
            _raise(answer.status, content)

    def close(self) -> None:
        """Give the connection back; the next block opens another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _raise(status: int, content: bytes) -> None:
    try:
        problem = json.loads(content)
    except ValueError:
        raise ConfigError(f"core answered {status}: {content[:200]!r}") from None
    findings = problem.get("errors")
    if findings:
        names = Finding.__dataclass_fields__
        raise Findings(tuple(Finding(**{k: v for k, v in f.items() if k in names}) for f in findings))
    reason, code = problem.get("detail") or problem.get("title", str(status)), problem.get("code", "refused")
    raise TryLater(reason) if code == "try_later" else Denied(reason, code)
