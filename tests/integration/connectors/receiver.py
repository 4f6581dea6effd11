"""A receiver of batches in a process of its own: `receiver.py PORT FILE [TOKEN]`.

Appends each accepted body as a line to FILE, synced, before it answers; a folder FILE.d of small files says how it behaves:
`code` answers this status, `mute` takes the request and never answers, `forget` accepts and then answers nothing.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT, FILE = int(sys.argv[1]), Path(sys.argv[2])
TOKEN = sys.argv[3] if len(sys.argv) > 3 else ""
MOOD = FILE.with_suffix(".d")


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if TOKEN and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401, b"who are you?")
            return
        if (MOOD / "mute").exists():
            time.sleep(60)
            return
        code = int((MOOD / "code").read_text()) if (MOOD / "code").exists() else 204
        if code < 300:
            said = json.loads(body)
            assert said["key"] == self.headers["Idempotency-Key"]
            with FILE.open("ab") as file:
                file.write(json.dumps(said).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        if (MOOD / "forget").exists():
            self.close_connection = True
            return
        self.answer(code, b"" if code < 300 else b"not like this")

    def answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        if code in (429, 503):
            self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", PORT), Receiver)
server.daemon_threads = True
sys.stdout.write(f"{server.server_address[1]}\n")
sys.stdout.flush()
server.serve_forever()
