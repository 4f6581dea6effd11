"""ClickHouse's HTTP interface on an embedded engine, in a process of its own: what a client of a server meets.

    python clickhouse_front.py FOLDER

prints the port it listens on, ends on SIGTERM. One connection of the engine per request, as a server has.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
import threading

import chdb
import lz4.frame
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

OWN = {"query", "database", "session_id", "query_id", "user", "password", "compress", "decompress", "wait_end_of_query",
       "client_protocol_version", "send_progress_in_http_headers", "http_headers_progress_interval_ms", "default_format",
       "buffer_size", "enable_http_compression", "role", "cancel_http_readonly_queries_on_client_close"}  # fmt: skip
INSERT = re.compile(rb"\s*INSERT\s+INTO\s.*?\sFORMAT\s+(\w+)(\s|$)", re.IGNORECASE | re.DOTALL)
_keep = None


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def run(folder: str, args: dict[str, str], body: bytes) -> Response:
    query = args.get("query", "").encode()
    sql = query + (b"\n" if query and body else b"") + body
    connection = chdb.connect(folder)
    try:
        if args.get("database"):
            with contextlib.suppress(Exception):
                connection.query(f"USE `{args['database']}`")
        for key, value in args.items():
            if key not in OWN and not key.startswith("param_"):
                connection.query(f"SET {key} = {quoted(value)}")
        params = {k[6:]: v for k, v in args.items() if k.startswith("param_")}
        insert = INSERT.match(sql)
        if insert:
            # Exactly one byte ends the statement: data may begin with a byte that looks like a blank.
            head, data = sql[: insert.end(1)], sql[insert.end() :]
            inserter = connection.send_insert(
                head[: insert.start(1)].decode().rsplit("FORMAT", 1)[0], insert.group(1).decode()
            )
            inserter.append(data)
            inserter.finish()
            return Response(headers={"X-ClickHouse-Summary": json.dumps({"written_rows": "0"})})
        fmt = re.search(rb"\bFORMAT\s+(\w+)\s*;?\s*$", sql, re.IGNORECASE)
        name = fmt.group(1).decode() if fmt else args.get("default_format", "TabSeparated")
        result = connection.query(sql.decode(), name, params=params)
        return Response(
            result.bytes() or b"",
            headers={"X-ClickHouse-Summary": "{}", "X-ClickHouse-Format": name, "X-ClickHouse-Timezone": "UTC"},
        )
    except Exception as error:
        code = re.search(r"Code: (\d+)", str(error))
        return Response(str(error), 500, headers={"X-ClickHouse-Exception-Code": code.group(1) if code else "1000"})
    finally:
        connection.close()


def main() -> None:
    global _keep
    folder = sys.argv[1]
    _keep = chdb.connect(folder)  # the engine stays open between requests

    async def handle(request: Request) -> Response:
        body = await request.body()
        if request.headers.get("content-encoding") == "lz4":
            body = lz4.frame.decompress(body)
        return await run_in_threadpool(run, folder, dict(request.query_params), body)

    async def ping(_: Request) -> Response:
        return Response("Ok.\n")

    app = Starlette(routes=[Route("/ping", ping), Route("/", handle, methods=["GET", "POST"])])
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)  # noqa: T201  the parent waits for this line
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
    _keep.close()


if __name__ == "__main__":
    threading.current_thread().name = "front"
    main()
