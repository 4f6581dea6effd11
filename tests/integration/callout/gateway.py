"""A mail server and an HTTP gateway in a process of their own. Run as ``gateway.py FOLDER SMTP_PORT HTTP_PORT``; 0 takes a free one.

Prints both ports in one line; writes each mail and each request as a line of JSON below the folder. The file ``mode`` there tells
it to misbehave: ``refuse`` refuses every recipient and answers 500.
"""

from __future__ import annotations

import email
import email.policy
import http.server
import json
import sys
import threading
from pathlib import Path

from aiosmtpd.controller import Controller

HERE, SMTP_PORT, HTTP_PORT = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])


def refuses() -> bool:
    file = HERE / "mode"
    return file.exists() and file.read_text() == "refuse"


def took(what: str, value: object) -> None:
    with (HERE / what).open("a") as out:
        out.write(json.dumps(value) + "\n")


class Mail:
    async def handle_RCPT(self, server, session, envelope, address, options) -> str:  # noqa: N802  aiosmtpd calls it so
        if refuses():
            return "550 5.1.1 no such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802  aiosmtpd calls it so
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = message.get_body(("plain",))
        took(
            "mails",
            {"to": envelope.rcpt_tos, "subject": message["subject"], "body": body.get_content() if body else ""},
        )
        return "250 OK"


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if not refuses():
            took("requests", {"path": self.path, "body": json.loads(body)})
        self.send_response(500 if refuses() else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Smtp(Controller):
    """Takes port 0, and says which it became."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


web = http.server.ThreadingHTTPServer(("127.0.0.1", HTTP_PORT), Hook)
smtp = Smtp(Mail(), hostname="127.0.0.1", port=SMTP_PORT)
smtp.start()
print(smtp.port, web.server_address[1], flush=True)  # noqa: T201  how the test learns the ports
threading.Thread(target=web.serve_forever).run()
