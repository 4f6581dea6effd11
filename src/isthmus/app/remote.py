"""A command that acts as somebody with a token asks the public API, as any program would."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from isthmus.values.errors import ConfigError, Denied, NotConnected

_WAIT_S = 120.0


def ask(url: str, token: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """The parsed answer.

    Raises: ConfigError for an address that is none, NotConnected when nobody answers, Denied as it was said
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"url: must be http://host:port or https://host:port, was {url!r}")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=_WAIT_S)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"}
    try:
        connection.request(
            method,
            f"{parts.path.rstrip('/')}/api/v1/{path}",
            None if body is None else json.dumps(body),
            headers,
        )
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise NotConnected(f"no answer from {parts.netloc}: {error}") from error
    finally:
        connection.close()
    try:
        said = json.loads(content)
        if answer.status >= 400:
            raise Denied(str(said["detail"]), str(said["code"]))
    except (ValueError, KeyError, TypeError) as error:
        raise NotConnected(f"{parts.netloc} answers {answer.status}, and not as Isthmus does") from error
    return said
