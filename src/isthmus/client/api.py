"""The client: one connection's worth of questions to the public API."""

from __future__ import annotations

import http.client
import json
import os
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from isthmus.client.errors import ApiError, Unreachable, WriteRefused, WriteUncertain, problem
from isthmus.client.history import History
from isthmus.client.live import Update, decode, updates

_ARROW = "application/vnd.apache.arrow.stream"
_PROTOCOL = "isthmus.live.v1"
_PAGE = 50_000
_SILENCE_S = 6.0
"""A server that says nothing for so long is gone: it beats every two seconds."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag as the API tells it; ``raw`` has everything."""

    path: str
    type: str
    kind: str
    unit: str
    description: str
    raw: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Value:
    """A tag's newest value. ``time`` is None if there was never a sample; status is the name of the OPC UA code."""

    path: str
    value: float | int | str | None
    unit: str
    time: datetime | None
    status: str


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """A write that is done, or that waits for a second person (``state`` is awaiting_approval); ``raw`` has everything."""

    id: str
    state: str
    path: str
    value: float | int | str
    read_back: float | int | str | None
    raw: dict[str, Any] = field(repr=False)


def connect(url: str = "", token: str = "", *, ca_file: str | os.PathLike[str] = "", timeout_s: float = 60.0) -> Client:
    """A client of the Isthmus at an address. Nothing is asked yet.

    Without arguments they come from the environment: ISTHMUS_URL (http://localhost:8420), ISTHMUS_TOKEN (from `isthmus token
    create`) and ISTHMUS_CA_FILE, the certificate of the authority that the server's own is held against (that of an
    installation is `tls/ca.crt` of its data directory); none: those the machine trusts.
    Raises: ValueError if the address is none, or the file cannot be read as a certificate
    """
    url = url or os.environ.get("ISTHMUS_URL", "http://localhost:8420")
    ca_file = ca_file or os.environ.get("ISTHMUS_CA_FILE", "")
    return Client(url, token or os.environ.get("ISTHMUS_TOKEN", ""), ca_file=ca_file, timeout_s=timeout_s)


class Client:
    """Questions to one Isthmus. Use it in one thread, and close it (or use ``with``)."""

    def __init__(self, url: str, token: str, *, ca_file: str | os.PathLike[str] = "", timeout_s: float = 60.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url must be http://host:port, was {url!r}")
        self._parts, self._token, self._timeout_s = parts, token, timeout_s
        self._tls = _tls(ca_file) if parts.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    # What there is.

    def site(self) -> dict[str, Any]:
        """The installation: names, versions, edges, how the historian is."""
        return dict(self._json("GET", "site"))

    def tags(self, under: str = "", search: str = "") -> list[Tag]:
        """Tags at or below a path, ordered by path."""
        found: list[Tag] = []
        while True:
            query = urlencode({"under": under, "search": search, "offset": len(found), "limit": _PAGE})
            page = self._json("GET", f"tags?{query}")
            found += (Tag(t["path"], t["type"], t["kind"], t["unit"], t["description"], t) for t in page["tags"])
            if len(found) >= page["total"] or not page["tags"]:
                return found

    def values(self, under: str = "") -> dict[str, Value]:
        """The newest value of every tag at or below a path, by path."""
        rows = self._json("GET", f"tags/values?{urlencode({'under': under})}")["values"]
        return {
            r["path"]: Value(
                r["path"], r["value"], r["unit"], datetime.fromisoformat(r["time"]) if r["time"] else None, r["status"]
            )
            for r in rows
        }

    # What was.

    def history(
        self,
        paths: str | Sequence[str],
        start: str | datetime = "now-1h",
        end: str | datetime = "now",
        *,
        points: int = 0,
        functions: Sequence[str] = (),
    ) -> History:
        """Every sample of tags over [start, end); with ``points`` at most so many buckets a tag, with ``functions`` these.

        Times are ISO 8601, now-8h and the like, or datetimes that know their zone.
        Raises: NotFound naming tags that do not exist, Invalid, Busy
        """
        import pyarrow as pa

        asked = list(dict.fromkeys([paths] if isinstance(paths, str) else paths))
        query: dict[str, Any] = {"tag": asked, "start": _time(start), "end": _time(end)}
        query |= {"shape": "aggregate", "functions": ",".join(functions)} if functions else {}
        query |= {"shape": "bounded"} if points and not functions else {}
        query |= {"points": points} if points else {}
        query |= {} if points or functions else {"shape": "raw"}
        body = self._ask("GET", f"history?{urlencode(query, doseq=True)}", accept=_ARROW)
        table = pa.ipc.open_stream(body).read_all()
        names = pa.array(asked, pa.string())
        place = table["tag"].cast(pa.int32()).combine_chunks()
        if isinstance(place, pa.ChunkedArray):  # an empty answer has no chunk at all
            place = pa.array([], pa.int32())
        table = table.set_column(0, "tag", pa.DictionaryArray.from_arrays(place, names))
        return History(table, tuple(asked))

    def gaps(self, start: str | datetime = "now-1h", end: str | datetime = "now") -> list[dict[str, str]]:
        """Times in which samples are known to be missing, by edge."""
        query = urlencode({"start": _time(start), "end": _time(end)})
        return list(self._json("GET", f"gaps?{query}")["gaps"])

    # What is made.

    def orders(
        self, *, states: Sequence[str] = (), product: str = "", asset: str = "", search: str = "", limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Job orders: what runs, then by priority and due time. Quantities are decimal text: ``Decimal(row["good"])`` is exact."""
        query = {"state": list(states), "product": product, "asset": asset, "search": search, "limit": limit}
        return list(self._json("GET", f"orders?{urlencode(query, doseq=True)}")["orders"])

    def order(self, ident: str) -> dict[str, Any]:
        """One with its runs, material, steps, signatures, labour, change-overs and journal."""
        return dict(self._json("GET", f"orders/{quote(ident, safe='')}"))

    def products(self, search: str = "") -> list[dict[str, Any]]:
        """Products and materials, each with its newest version and its stock."""
        return list(self._json("GET", f"products?{urlencode({'search': search, 'limit': 1000})}")["products"])

    def lots(self, *, product: str = "", order: str = "", stocked: bool = False) -> list[dict[str, Any]]:
        """Lots and serial numbers, newest first."""
        query = urlencode({"product": product, "order": order, "stocked": str(stocked).lower(), "limit": 1000})
        return list(self._json("GET", f"lots?{query}")["lots"])

    def genealogy(self, lot: str, direction: str = "up") -> dict[str, Any]:
        """``up``: what a lot was made of; ``down``: what was made of it. ``lots`` with their distance, ``links`` with quantities."""
        query = urlencode({"direction": direction})
        return dict(self._json("GET", f"lots/{quote(lot, safe='')}/genealogy?{query}"))

    def readings(
        self, point: str = "", start: str | datetime = "now-7d", end: str | datetime = "now"
    ) -> list[dict[str, Any]]:
        """What people read, newest first."""
        query = urlencode({"point": point, "start": _time(start), "end": _time(end), "limit": 5000})
        return list(self._json("GET", f"readings?{query}")["readings"])

    # What is.

    def live(self, paths: str | Sequence[str]) -> Iterator[Update]:
        """New values of tags as they come, first of all what each has now; until the loop is left.

        Raises: NotFound naming tags that do not exist; Unreachable when the server goes away or falls silent
        """
        from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
        from websockets.sync.client import connect as open_socket

        asked = [paths] if isinstance(paths, str) else list(paths)
        scheme = "wss" if self._parts.scheme == "https" else "ws"
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            with open_socket(
                f"{scheme}://{self._parts.netloc}{self._base()}/live",
                additional_headers=headers,
                subprotocols=[_PROTOCOL],  # type: ignore[list-item]  # a str by another name
                ssl=self._tls,
                max_size=None,
                open_timeout=self._timeout_s,
            ) as socket:
                socket.send(json.dumps({"view": 1, "paths": asked}))
                yield from self._stream(socket)
        except InvalidStatus as error:
            raise problem(error.response.status_code, bytes(error.response.body or b"")) from None
        except (OSError, InvalidHandshake) as error:
            raise Unreachable(f"no live stream from {self._parts.netloc}: {error}") from error
        except ConnectionClosed as error:
            raise Unreachable(f"the live stream from {self._parts.netloc} ended: {error}") from error

    def _stream(self, socket: Any) -> Iterator[Update]:
        slots: list[str | None] = []
        while True:
            try:
                message = socket.recv(timeout=_SILENCE_S)
            except TimeoutError:
                raise Unreachable(f"the live stream from {self._parts.netloc} is silent") from None
            if isinstance(message, bytes):
                frame = decode(message)
                if frame.view == 1:
                    yield from updates(frame, slots)
                continue
            told = json.loads(message)
            if "slots" in told:
                slots = told["slots"]
                if None in slots:
                    raise problem(404, b'{"code": "unknown_tag", "detail": "live: one of the tags does not exist"}')

    # What shall be.

    def write(self, path: str, value: float | str, reason: str, *, base: float | str | None = None) -> WriteOutcome:
        """Ask for a value to be written to a device, with the reason that goes into the audit trail; returns when its end is known.

        With ``base``, the value it is meant to replace, a point that holds something else by now is not written.
        Raises: WriteRefused with the reason: nothing was changed; WriteUncertain: nobody knows; NotFound, Busy
        """
        body: dict[str, Any] = {"path": path, "value": value, "reason": reason}
        body |= {} if base is None else {"base": base}
        return _outcome(dict(self._json("POST", "control/writes", body, write=True)))

    def written(self, ident: str) -> WriteOutcome:
        """A write by its id, as it stands now.

        Raises: as ``write``
        """
        return _outcome(dict(self._json("GET", f"control/writes/{ident}")))

    # Whatever else.

    def get(self, path: str, **query: str | float | Sequence[str]) -> Any:
        """Any other question of the API as the JSON that answers it, such as ``get("production/oee", under="packaging", by="order")``.

        Raises: NotFound, Invalid, Busy
        """
        asked = urlencode({key: value for key, value in query.items() if value != ""}, doseq=True)
        return self._json("GET", f"{path}?{asked}" if asked else path)

    # How.

    def _base(self) -> str:
        return f"{self._parts.path.rstrip('/')}/api/v1"

    def _json(self, method: str, path: str, body: dict[str, Any] | None = None, *, write: bool = False) -> Any:
        return json.loads(self._ask(method, path, body, write=write))

    def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        accept: str = "application/json",
        *,
        write: bool = False,
    ) -> bytes:
        headers = {"Accept": accept, "Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        sent = None if body is None else json.dumps(body)
        kept = self._connection is not None
        try:
            status, content, retry = self._once(method, path, sent, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            # A connection that was kept may have been closed by the server since; a change is never sent twice.
            if not kept or method != "GET":
                raise Unreachable(f"no answer from {self._parts.netloc}: {error}") from error
            try:
                status, content, retry = self._once(method, path, sent, headers)
            except (OSError, http.client.HTTPException) as again:
                self.close()
                raise Unreachable(f"no answer from {self._parts.netloc}: {again}") from again
        if status >= 400:
            raise problem(status, content, retry, write=write)
        return content

    def _once(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, bytes, str | None]:
        if self._connection is None:
            host, port = self._parts.hostname or "", self._parts.port
            self._connection = (
                http.client.HTTPConnection(host, port, timeout=self._timeout_s)
                if self._tls is None
                else http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=self._tls)
            )
        self._connection.request(method, f"{self._base()}/{path}", body, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read(), answer.headers.get("Retry-After")


def _outcome(raw: dict[str, Any]) -> WriteOutcome:
    """Raises: WriteRefused, WriteUncertain"""
    said = "; ".join(text for text in (raw["reason"], raw["clears"]) if text)
    if raw["state"] in ("denied", "rejected", "expired"):
        raise WriteRefused(200, raw["code"] or raw["state"], said)
    if raw["state"] in ("uncertain", "sent"):
        raise WriteUncertain(200, raw["code"] or raw["state"], said)
    return WriteOutcome(raw["id"], raw["state"], raw["path"], raw["value"], raw["read_back"], raw)


def _tls(ca_file: str | os.PathLike[str]) -> ssl.SSLContext:
    """Whom a server's certificate is held against. Raises: ValueError"""
    try:
        return ssl.create_default_context(cafile=os.fspath(ca_file) or None)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"ca_file must be a certificate in PEM, was {os.fspath(ca_file)!r}: {error}") from None


def _time(at: str | datetime) -> str:
    """A time as questions write it.

    Raises: ValueError for a datetime without a zone
    """
    if isinstance(at, str):
        return at
    if at.tzinfo is None:
        raise ValueError(f"{at} has no zone; give it one, such as datetime.UTC")
    return at.isoformat()


__all__ = ["ApiError", "Client", "Tag", "Value", "WriteOutcome", "WriteRefused", "WriteUncertain", "connect"]
