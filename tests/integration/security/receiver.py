"""Receivers in a process of their own: a syslog server over TLS, and an HTTP one that answers as it is told.

Run as a script: ``receiver.py KIND CERTIFICATE KEY FOLDER``; prints its port, writes what it took below the folder.
The file ``mode`` there tells it to misbehave: ``drop`` closes each connection at once, ``500`` answers so.
"""

from __future__ import annotations

import http.server
import json
import socketserver
import ssl
import sys
from pathlib import Path

_, KIND, CERTIFICATE, KEY, FOLDER = sys.argv
HERE = Path(FOLDER)
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CONTEXT.load_cert_chain(CERTIFICATE, KEY)


def mode() -> str:
    file = HERE / "mode"
    return file.read_text() if file.exists() else ""


class Syslog(socketserver.StreamRequestHandler):
    """Octet counting (RFC 5425, 4.3): a length, a blank, so many bytes."""

    def handle(self) -> None:
        if mode() == "drop":
            return
        while True:
            length = b""
            while (byte := self.rfile.read(1)) not in (b" ", b""):
                length += byte
            if not byte:
                return
            message = self.rfile.read(int(length))
            with (HERE / "taken").open("ab") as out:
                out.write(message + b"\n")
            if mode() == "drop":
                return


class Hook(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        status = 500 if mode() == "500" else 204
        if status == 204:
            with (HERE / "taken").open("ab") as out:
                out.write(json.dumps({"headers": dict(self.headers), "body": body.decode()}).encode() + b"\n")
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def get_request(self):
        raw, address = super().get_request()
        return CONTEXT.wrap_socket(raw, server_side=True), address

    def handle_error(self, *_: object) -> None:
        pass


with Server(("127.0.0.1", 0), Syslog if KIND == "syslog" else Hook) as server:
    print(server.server_address[1], flush=True)  # noqa: T201  how the test learns the port
    server.serve_forever()
