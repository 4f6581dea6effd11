"""Commands that read or change state go through the running core: HTTP over its socket in the data directory."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from isthmus.app.datadir import DataDir
from isthmus.values.errors import ConfigError, Denied, Finding, Findings, NotConnected


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def call(
    data: Path, method: str, path: str, body: dict[str, Any] | None = None, accept: str = "application/json"
) -> Any:
    """Ask the core of a data directory; the parsed answer, or bytes when something else than JSON was asked for.

    Raises: NotConnected when no core runs there, Findings and Denied as core said them
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


def _raise(status: int, content: bytes) -> None:
    try:
        problem = json.loads(content)
    except ValueError:
        raise ConfigError(f"core answered {status}: {content[:200]!r}") from None
    findings = problem.get("errors")
    if findings:
        names = Finding.__dataclass_fields__
        raise Findings(tuple(Finding(**{k: v for k, v in f.items() if k in names}) for f in findings))
    raise Denied(problem.get("detail") or problem.get("title", str(status)), problem.get("code", "refused"))
