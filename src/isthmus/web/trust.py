"""How a tablet comes to trust this installation: its root certificate, and a page that says what to do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

ROOT: Final = "/ca.crt"
PAGE: Final = "/trust"
_HEADERS: Final = {"Cache-Control": "no-cache"}
_TEXT: Final = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Trust this Isthmus</title></head><body>
<h1>Trust this Isthmus</h1>
<p>This Isthmus vouches for itself. A device that knows its certificate shows no more warnings, and notices anybody who
pretends to be it. Do this once on each device.</p>
<p><a href="/ca.crt" download="isthmus-ca.crt">Download the certificate</a></p>
<p>Before you trust it, compare its SHA-256 fingerprint with the one that <code>isthmus certificate show</code> prints on the
machine where Isthmus runs.</p>
<h2>iPad, iPhone</h2>
<p>Open the download in Safari and allow the profile. Settings, General, VPN &amp; Device Management: install it. Settings, General,
About, Certificate Trust Settings: switch it on.</p>
<h2>Android</h2>
<p>Settings, search for <q>CA certificate</q>, Install anyway, choose the file.</p>
<h2>Windows</h2>
<p>Open the file, Install Certificate, Local Machine, place it in Trusted Root Certification Authorities.</p>
<h2>macOS</h2>
<p>Open the file in Keychain Access, choose System, open the certificate, Trust, Always Trust.</p>
<h2>Linux</h2>
<p>Copy it to <code>/usr/local/share/ca-certificates/isthmus.crt</code> and run <code>update-ca-certificates</code>. Firefox has its own
list: Settings, Certificates, View Certificates, Authorities, Import.</p>
</body></html>
"""


class Trust:
    """ASGI middleware with two public addresses; neither tells anything that a TLS handshake does not."""

    def __init__(self, app: ASGIApp, root: Path | None) -> None:
        self._app, self._root = app, root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] == "http"
            and scope["path"] in (ROOT, PAGE)
            and scope["method"] in ("GET", "HEAD")
            and self._root
        ):
            await self._answer(scope["path"], self._root)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _answer(self, path: str, root: Path) -> Response:
        if path == PAGE:
            return Response(_TEXT, 200, _HEADERS, "text/html; charset=utf-8")
        return Response(root.read_bytes(), 200, _HEADERS, "application/x-x509-ca-cert")
