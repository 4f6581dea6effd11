"""The built screens as files: any path outside the API is the application's own."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from isthmus.web.doors import METRICS
from isthmus.web.problems import problem

_HASHED: Final = "assets/"
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ENCODINGS: Final = (("br", ".br"), ("gzip", ".gz"))
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}
_NOT_BUILT: Final = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Isthmus</title></head>
<body><h1>Isthmus is running, but its screens are not built</h1>
<p>In a checkout run <code>make setup</code>, which builds them, and load this page again. An installed package brings
them along. The API under <code>/api/v1</code> works without them.</p></body></html>
"""


class Screens:
    """ASGI middleware: the API passes, everything else is a file or the application's start page.

    Files are kept in memory from their first use; they are a few megabytes, and read again when they change.
    """

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self._app, self._folder = app, folder
        self._kept: dict[Path, tuple[int, bytes]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if scope["type"] != "http" or path in ("/api", METRICS) or path.startswith("/api/"):
            await self._app(scope, receive, send)
            return
        await self._answer(path, scope["method"], Headers(scope=scope))(scope, receive, send)

    def _answer(self, path: str, method: str, headers: Headers) -> Response:
        if method not in ("GET", "HEAD"):
            return problem(
                405, "method_not_allowed", f"there is no {method} {path[:200]}", headers={"Allow": "GET, HEAD"}
            )
        name = path.lstrip("/")
        found = self._file(name) if _is_plain(name) else None
        if found is None and name.startswith(_HASHED):
            return problem(
                404, "not_found", f"there is no {path[:200]}; the screens were built anew, load the page again"
            )
        if found is None:
            name, found = "index.html", self._file("index.html")
        if found is None:
            return Response(_NOT_BUILT, 503, {"Cache-Control": "no-store"}, "text/html; charset=utf-8")
        changed_ns, body = found
        answer = {"Cache-Control": _FOR_EVER if name.startswith(_HASHED) else "no-cache", "Vary": "Accept-Encoding"}
        answer["ETag"] = f'"{changed_ns:x}-{len(body):x}"'
        if name.endswith(".html"):
            answer["Cache-Control"] = "no-store"
        elif headers.get("if-none-match") == answer["ETag"]:
            return Response(status_code=304, headers=answer)
        accepted = {part.partition(";")[0].strip() for part in headers.get("accept-encoding", "").lower().split(",")}
        for encoding, suffix in _ENCODINGS:
            packed = self._file(name + suffix) if encoding in accepted else None
            if packed is not None and packed[0] >= changed_ns:
                body, answer["Content-Encoding"] = packed[1], encoding
                break
        return Response(
            b"" if method == "HEAD" else body, 200, {**answer, "Content-Length": str(len(body))}, _type(name)
        )

    def _file(self, name: str) -> tuple[int, bytes] | None:
        """When a file of the folder was changed (ns), and its bytes."""
        path = self._folder / name
        try:
            changed_ns = path.stat().st_mtime_ns
            kept = self._kept.get(path)
            if kept is None or kept[0] != changed_ns:
                kept = self._kept[path] = (changed_ns, path.read_bytes())
        except (OSError, ValueError):  # not there, a folder, or not a name a file can have
            return None
        return kept


def _is_plain(name: str) -> bool:
    """Whether a name stays inside the folder, and shows no hidden files."""
    return bool(name) and "\\" not in name and not any(part.startswith(".") or not part for part in name.split("/"))


def _type(name: str) -> str:
    return _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
