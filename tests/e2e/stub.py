"""A plant made up for the screens: every answer of the API and the live stream are made here, the screens are the built ones.

Only the built files are served; what the browser asks of the API is answered in its place. So a write can be denied, lost or left
uncertain on demand, which no real device does when asked.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from playwright.async_api import Page, Route, WebSocketRoute

STATIC = Path(__file__).resolve().parents[2] / "src" / "isthmus" / "web" / "static"
LINE = "packaging/line1"
FILLER = f"{LINE}/filler"
TARGET = f"{FILLER}/target"
VALVE = f"{FILLER}/inlet-valve"
KINDS = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self' ws:; font-src 'self'; base-uri 'none'"
)
STATES = {"2": "Stopped", "5": "Suspended", "6": "Execute", "11": "Held"}

# name, kind, unit, decimals, low, high, value, limits, set-point
MACHINES: dict[str, list[tuple[Any, ...]]] = {
    "depalletiser": [
        ("state", "state", "", 0, None, None, 6, {}, ""),
        ("speed", "value", "1/min", 1, 0, 160, 120.2, {}, ""),
        ("glass-layers", "value", "", 0, 0, 12, 7, {"low": 1}, ""),
    ],
    "filler": [
        ("state", "state", "", 0, None, None, 6, {}, ""),
        ("speed", "value", "1/min", 1, 0, 160, 119.6, {"low": 90, "high": 140}, "target"),
        ("target", "value", "1/min", 1, 0, 140, 120.0, {}, ""),
        ("bowl-pressure", "value", "bar", 2, 0, 4, 2.42, {"low": 1.8, "high": 2.9}, "pressure-set"),
        ("pressure-set", "value", "bar", 2, 0, 4, 2.4, {}, ""),
        ("bowl-level", "value", "%", 1, 0, 100, 61.8, {"low": 30, "high": 85}, "level-set"),
        ("level-set", "value", "%", 1, 0, 100, 60.0, {}, ""),
        ("product-temp", "value", "°C", 1, 0, 30, 12.4, {"low": 10, "high": 15}, ""),
        ("inlet-valve", "switch", "", 0, None, None, 1, {}, ""),
        ("guard-closed", "switch", "", 0, None, None, 1, {}, ""),
        ("good", "counter", "", 0, None, None, 8463, {}, ""),
    ],
    "capper": [
        ("state", "state", "", 0, None, None, 6, {}, ""),
        ("speed", "value", "1/min", 1, 0, 160, 119.6, {"high": 140}, ""),
        ("torque", "value", "N*m", 2, 0, 4, 1.84, {"low": 1.4, "high": 2.3}, "torque-set"),
        ("torque-set", "value", "N*m", 2, 0, 4, 1.85, {}, ""),
        ("cap-hopper", "value", "%", 0, 0, 100, 46, {"low": 15}, ""),
    ],
    "labeller": [
        ("state", "state", "", 0, None, None, 11, {}, ""),
        ("web-tension", "value", "N", 1, 0, 40, 8.2, {"low_low": 10, "low": 16, "high": 28}, "tension-set"),
        ("tension-set", "value", "N", 1, 0, 40, 22, {}, ""),
        ("glue-temp", "value", "°C", 1, 100, 200, 152.6, {"low": 140, "high": 165}, "glue-set"),
        ("glue-set", "value", "°C", 1, 100, 200, 152, {}, ""),
    ],
    "packer": [
        ("state", "state", "", 0, None, None, 5, {}, ""),
        ("glue-tank", "value", "%", 0, 0, 100, 38, {"low": 20}, ""),
        ("air-pressure", "value", "bar", 1, 0, 10, 6.1, {"low": 5.5, "high": 7.5}, ""),
    ],
    "palletiser": [
        ("state", "state", "", 0, None, None, 5, {}, ""),
        ("wrap-force", "value", "N", 1, 0, 30, 14.2, {"low": 10, "high": 20}, "wrap-set"),
        ("wrap-set", "value", "N", 1, 0, 30, 14, {}, ""),
    ],
}


class Problem(Exception):
    """An answer that is none. ``status`` 0: the connection breaks after the request was taken."""

    def __init__(self, status: int, code: str, detail: str, clears: str = "") -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.clears = status, code, detail, clears


def iso(ago_s: float = 0) -> str:
    """A time so long ago."""
    return (datetime.now(UTC) - timedelta(seconds=ago_s)).isoformat().replace("+00:00", "Z")


class _Handler(BaseHTTPRequestHandler):
    """The built screens; every address without a file is the application's."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        file = STATIC / urlsplit(self.path).path.lstrip("/")
        if not file.suffix or not file.is_file():
            file = STATIC / "index.html"
        body = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", KINDS.get(file.suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", CSP)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the browser has gone elsewhere
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as http.server names it
        """Nothing is said about each file."""


class Files:
    """Serves the built screens on a free port of this machine."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="screens")
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Files:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class Stub:
    """The plant and what the tests want of it: ``outcome`` is what becomes of the next write."""

    user: str = "M. Perrin"
    role: str = "operator"
    outcome: str = "done"
    selection_s: float = 120
    values: dict[str, float] = field(default_factory=dict)
    tags: list[dict[str, Any]] = field(default_factory=list)
    points: dict[str, dict[str, Any]] = field(default_factory=dict)
    writes: list[dict[str, Any]] = field(default_factory=list)
    alarms: list[dict[str, Any]] = field(default_factory=list)
    modes: dict[str, dict[str, Any]] = field(default_factory=dict)
    lockouts: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    trips: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    downloads: list[dict[str, Any]] = field(default_factory=list)
    edge_lines: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    sockets: list[WebSocketRoute] = field(default_factory=list)

    def __post_init__(self) -> None:
        for machine, rows in MACHINES.items():
            for name, kind, unit, decimals, low, high, value, limits, setpoint in rows:
                self._tag(f"{LINE}/{machine}", name, kind, unit, decimals, low, high, limits, setpoint)
                self.values[f"{LINE}/{machine}/{name}"] = value
        self._point(TARGET, low=0, high=140, step=40)
        self._point(f"{FILLER}/pressure-set", low=1.8, high=2.9, second_person=True, needs_reason=True)
        self._point(VALVE, low=None, high=None)
        self.modes = {zone: self._mode(zone) for zone in ("line1", "line2")}

    def _tag(
        self,
        asset: str,
        name: str,
        kind: str,
        unit: str,
        decimals: int,
        low: Any,
        high: Any,
        limits: dict[str, Any],
        setpoint: str,
    ) -> None:
        number = len(self.tags) + 1
        self.tags.append({
            "id": number, "path": f"{asset}/{name}", "asset": asset, "name": name, "kind": kind, "unit": unit, "low": low,
            "type": "float" if kind == "value" else "int", "decimals": decimals, "description": "", "high": high, "edge": "edge-1",
            "limits": {k: limits.get(k) for k in ("high_high", "high", "low", "low_low")}, "order": number, "formula": "",
            "setpoint": f"{asset}/{setpoint}" if setpoint else "", "states": STATES if kind == "state" else None,
            "connection": "plc-line1", "address": f"hr {number}",
        })  # fmt: skip

    def _point(self, path: str, **more: Any) -> None:
        self.points[path] = {
            "path": path, "unit": "", "low": 0, "high": 100, "step": None, "rate_s": None, "role": "operator", "zone": "line1",
            "second_person": False, "needs_reason": False, "safe_direction": "", "hold_s": 0, "safe": None, "local": False,
            "interlock": {"expression": "guard-closed and bowl-pressure > 1.8 bar", "holds": True},
            "mode": "normal", "lockout": "", "may": {"allowed": True, "code": "", "reason": "", "clears": ""}, "recent": None,
            **more,
        }  # fmt: skip

    def _mode(self, zone: str, mode: str = "normal", by: str = "", reason: str = "") -> dict[str, Any]:
        return {
            "zone": zone,
            "mode": mode,
            "by": by,
            "reason": reason,
            "since": iso(60) if by else None,
            "edges": ["edge-1"],
            "pending": [],
        }

    def deny(self, path: str, code: str, reason: str, clears: str) -> None:
        """From now on this point may not be written."""
        self.points[path]["may"] = {"allowed": False, "code": code, "reason": reason, "clears": clears}

    def alarm(
        self, asset: str, name: str, message: str, priority: str, state: str = "Unacknowledged", **more: Any
    ) -> None:
        """An open alarm."""
        self.alarms.append({
            "occurrence": len(self.alarms) + 1, "alarm": f"{LINE}/{asset}/{name}#low_low", "path": f"{LINE}/{asset}/{name}",
            "asset": f"{LINE}/{asset}", "name": "low low", "kind": "limit", "message": message, "priority": priority, "state": state,
            "value": 8.2, "unit": "N", "limit": 10.0, "raised_at": iso(268), "changed_at": iso(268), "returned_at": None,
            "cleared_at": None, "acknowledged_at": None, "by": "", "comment": "", "shelved_until": None, "reason": "", "cause": "",
            "consequence": "", "response": "", "response_s": None, "latched": False, **more,
        })  # fmt: skip

    def write(self, path: str, value: float, state: str, by: str | None = None, **more: Any) -> dict[str, Any]:
        """A record of a write; the newest is first."""
        who = by or self.user
        row = {
            "id": f"w{len(self.writes) + 1}", "path": path, "tag": 1, "value": value, "unit": self._unit(path),
            "base": self.values.get(path), "state": state, "settled": state not in ("awaiting_approval", "sent"), "by": who,
            "approved_by": "", "reason": "", "why": "", "code": "", "clears": "", "requested_at": iso(), "expires_at": None,
            "sent_at": None, "done_at": iso(), "read_back": None, "before": None, "edge": "edge-1", "own": who == self.user, **more,
        }  # fmt: skip
        self.writes.insert(0, row)
        return row

    def _unit(self, path: str) -> str:
        return next((t["unit"] for t in self.tags if t["path"] == path), "")

    # the browser's side

    async def serve(self, page: Page) -> None:
        """Answer everything this page asks."""
        await page.route("**/api/v1/**", self._route)
        await page.route_web_socket(re.compile(r"/api/v1/live"), self._live)

    async def _route(self, route: Route) -> None:
        request = route.request
        parts = urlsplit(request.url)
        what = unquote(parts.path.removeprefix("/api/v1/"))
        body = json.loads(request.post_data) if request.post_data else {}
        query = dict(parse_qs(parts.query).items())
        self.asked.append((request.method, what, body))
        try:
            answer = self.answer(request.method, what, query, body)
        except Problem as problem:
            if problem.status == 0:
                await route.abort("connectionreset")
                return
            said = {
                "type": f"urn:isthmus:problem:{problem.code}",
                "title": "Refused",
                "status": problem.status,
                "detail": problem.detail,
                "code": problem.code,
                "clears": problem.clears,
            }
            await route.fulfill(status=problem.status, body=json.dumps(said), content_type="application/problem+json")
            return
        if answer is None:
            await route.fulfill(status=204)
            return
        await route.fulfill(status=200, body=json.dumps(answer), content_type="application/json")

    def _live(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)

        def heard(message: str | bytes) -> None:
            asked = json.loads(message)
            known = [path if path in self.values else None for path in asked["paths"]]
            socket.send(json.dumps({"view": asked["view"], "slots": known}))
            socket.send(
                self.frame(asked["view"], [(slot, self.values[path]) for slot, path in enumerate(known) if path])
            )
            socket.send(
                json.dumps({"beat": datetime.now(UTC).timestamp() * 1000, "edges": {"edge-1": 0.4}, "model_version": 3})
            )

        socket.on_message(heard)

    @staticmethod
    def frame(view: int, rows: list[tuple[int, float]]) -> bytes:
        """Layout: docs/api.md, Live stream."""
        n, now = len(rows), datetime.now(UTC).timestamp() * 1000
        head = struct.pack("<BBHIIId", 1, 1, 0, n, view, 0, now)
        times, values = struct.pack(f"<{n}d", *([now - 300] * n)), struct.pack(f"<{n}d", *(v for _, v in rows))
        slots = struct.pack(f"<{n}I", *(slot for slot, _ in rows))
        return head + times + values + slots + b"\0" * (-len(slots) % 8) + b"\0" * (4 * n)

    # the answers

    def answer(self, method: str, what: str, query: dict[str, list[str]], body: dict[str, Any]) -> Any:
        """One answer, or None for 204."""
        under = (query.get("under") or [""])[0]
        inside: Callable[[str], bool] = lambda path: not under or path == under or path.startswith(f"{under}/")  # noqa: E731  short
        if method == "GET":
            return self._read(what, query, inside)
        if what == "control/selections":
            if body["path"] not in self.points:
                raise Problem(404, "unknown_tag", f"there is no tag {body['path']}")
            return {
                "selection": "s1",
                "expires_at": iso(-self.selection_s),
                "value": self.values[body["path"]],
                "point": self._shown(body["path"]),
            }
        if what == "control/writes":
            return self._write(body)
        if what.startswith("control/writes/"):
            _, _, ident, deed = what.split("/")
            return self._decide(ident, deed, body)
        if what.startswith("control/modes/"):
            zone = what.rsplit("/", 1)[-1]
            self.modes[zone] = self._mode(zone, body["mode"], self.user, body["reason"])
            return self.modes[zone]
        if what == "control/lockouts":
            self.lockouts.append(
                {"path": body["path"], "who": self.user, "why": body["why"], "since": iso(), "declared": False}
            )
            return self.lockouts[-1]
        if what.startswith("control/lockouts/"):
            self.lockouts = [row for row in self.lockouts if row["path"] != what.removeprefix("control/lockouts/")]
            return None
        if what.startswith("control/unexplained/"):
            row = next(r for r in self.changes if r["id"] == int(what.split("/")[2]))
            row.update(state="accepted", by=self.user, reason=body["reason"])
            return row
        if what.startswith("control/trips/"):
            row = next(r for r in self.trips if r["name"] == what.split("/")[2])
            row.update(state="armed", cause="")
            return row
        if what == "alarms/acknowledge":
            for row in self.alarms:
                if row["occurrence"] in body["occurrences"]:
                    row["state"] = "Acknowledged"
            return {}
        if what == "recipes":
            self.versions.insert(0, self._version(len(self.versions) + 1, body["items"], self.user))
            return self.versions[0]
        if what.startswith("recipes/") and "/downloads/" in what:
            row = next(d for d in self.downloads if d["id"] == int(what.split("/")[3]))
            agreed = what.endswith("/approve")
            row.update(state="done" if agreed else "rejected", second=self.user, said="" if agreed else body["reason"])
            row["lines"] = [{**line, "state": "done" if agreed else "not written"} for line in row["lines"]]
            return row
        if what.endswith("/approve"):
            self.versions[0].update(state="approved", approved_by=self.user, approved=iso())
            return self.versions[0]
        if what.endswith("/download"):
            return self.download()
        if what == "account/totp":
            return {
                "secret": "JBSWY3DPEHPK3PXP",
                "uri": "otpauth://totp/Isthmus:perrin?secret=JBSWY3DPEHPK3PXP&issuer=Isthmus",
            }
        if what in ("session/touch", "session/step-up"):
            return None
        self.unknown.append(f"{method} {what}")
        raise Problem(404, "not_found", "no such route")

    def _read(self, what: str, query: dict[str, list[str]], inside: Callable[[str], bool]) -> Any:
        if what == "control/points":
            return {"points": [self._shown(path) for path in self.points if inside(path)]}
        if what.startswith("control/writes/"):
            return next(w for w in self.writes if w["id"] == what.rsplit("/", 1)[-1])
        fixed: dict[str, Callable[[], Any]] = {
            "session": lambda: {"user": {"name": self.user, "role": self.role, "has_password": True}, "enterprise": "acme", "site": "lyon",
                                "timezone": "UTC", "version": "0.1.0", "station": "", "emergency": "none"},
            "site": lambda: {"enterprise": "acme", "site": "lyon", "timezone": "UTC", "version": "0.1.0", "model_version": 3, "now": iso(),
                             "edges": [{"name": "edge-1", "state": "running", "age_s": 0.4, "queued": 0, "dropped": 0}],
                             "historian": {"lag_s": 0.8, "rows": 10, "state": "", "disk_hours": 3120}},
            "assets": lambda: {"assets": self._assets()},
            "tags": lambda: {"total": sum(inside(t["path"]) for t in self.tags), "tags": [t for t in self.tags if inside(t["path"])]},
            "tags/values": lambda: {"values": [{"path": p, "value": v, "unit": "", "time": iso(), "status": "Good"} for p, v in self.values.items() if inside(p)]},
            "history": lambda: self._history(query),
            "gaps": lambda: {"gaps": []},
            "connections": lambda: {"connections": [{
                "name": "plc-line1", "driver": "modbus-tcp", "edge": "edge-1", "zone": "line1", "access": "read-write", "endpoint": "10.20.1.11:502",
                "tags": len(self.tags), "state": "Good", "reason": "", "since": iso(86_400), "latency_ms": 4.1, "requests_s": 4, "values_s": 31,
                "errors": 0, "lag_s": 0.3, "last_good": iso(0.4)}]},
            "connections/outages": lambda: {"outages": []},
            "alarms": lambda: self._alarms([a for a in self.alarms if inside(a["asset"])]),
            "control/writes": lambda: {"writes": [] if "before" in query else [w for w in self.writes if inside(w["path"])]},
            "control/modes": lambda: {"modes": list(self.modes.values())},
            "control/lockouts": lambda: {"lockouts": self.lockouts},
            "control/trips": lambda: {"trips": self.trips},
            "control/unexplained": lambda: {"changes": self.changes},
            "recipes": lambda: {"recipes": self._recipes()},
            "recipes/still-water/versions": lambda: {"versions": self.versions},
            "recipes/still-water/downloads": lambda: {"downloads": self.downloads},
            "control/downloads": lambda: {"downloads": [d for d in self.downloads if d["state"] == "waiting"]},
            "control/journal": lambda: {"lines": [] if "before" in query else self.edge_lines},
            "account": lambda: {"name": self.user, "role": self.role, "has_password": True, "totp": False, "recovery_codes": 0, "badge": "", "has_pin": False, "station": ""},
            "account/sessions": lambda: {"sessions": []},
            "passkeys": lambda: {"passkeys": []},
        }  # fmt: skip
        if what not in fixed:
            self.unknown.append(f"GET {what}")
            raise Problem(404, "not_found", "no such route")
        return fixed[what]()

    @staticmethod
    def _alarms(rows: list[dict[str, Any]]) -> dict[str, Any]:
        return {"version": 1, "counts": {}, "total": len(rows), "most_shelve_minutes": 720, "alarms": rows}

    def _assets(self) -> list[dict[str, Any]]:
        rows = [("", "site"), ("packaging", "area"), (LINE, "line"), *((f"{LINE}/{m}", "asset") for m in MACHINES)]
        return [{
            "path": path, "name": path.rsplit("/", 1)[-1], "level": level, "type": path.rsplit("/", 1)[-1] if level == "asset" else "",
            "parent": path.rpartition("/")[0], "tags": sum(t["path"].startswith(f"{path}/") for t in self.tags), "order": i,
            "description": "", "production": {"state": f"{path}/state"} if level == "asset" else None,
        } for i, (path, level) in enumerate(rows)]  # fmt: skip

    def _shown(self, path: str) -> dict[str, Any]:
        row = {**self.points[path], "value": self.values[path], "unit": self._unit(path)}
        inputs = [(f"{FILLER}/guard-closed", 1), (f"{FILLER}/bowl-pressure", 2.42), (f"{LINE}/capper/state", 6)]
        row["interlock"] = row["interlock"] and {
            "inputs": [{"path": p, "value": v, "status": "Good", "age_s": 0.3} for p, v in inputs], **row["interlock"],
        }  # fmt: skip
        return row

    def _history(self, query: dict[str, list[str]]) -> dict[str, Any]:
        paths, points = query["tag"], int((query.get("points") or ["60"])[0])
        span = 3600.0
        if query["start"][0].startswith("now-"):
            span = float(query["start"][0][4:-1])
        elif query["start"][0] != "now":
            begin = datetime.fromisoformat(query["start"][0])
            span = max(1.0, (datetime.now(UTC) - begin).total_seconds())
        rows: list[list[Any]] = []
        now = datetime.now(UTC).timestamp()
        for index, path in enumerate(paths):
            value = self.values.get(path, 0.0)
            state = path.endswith("/state")
            for k in range(min(points, 200)):
                at = (now - span + span * k / min(points, 200)) * 1000
                if state:
                    word = STATES[str(int(value))] if k > 0.9 * min(points, 200) or value == 6 else "Execute"
                    rows.append([index, at, word, None, None, word, None, 4, 0])
                    continue
                v = value + abs(value) * 0.01 * math.sin(k / 3 + index)
                rows.append([index, at, v, v * 0.999, v * 1.001, v, v, 4, 0])
        columns = ["tag", "time", "first", "min", "max", "last", "mean", "count", "bad_s"]
        return {
            "shape": "bounded",
            "start": iso(span),
            "end": iso(),
            "snapped_s": 0,
            "tags": paths,
            "columns": columns,
            "rows": rows,
        }

    def _write(self, body: dict[str, Any]) -> dict[str, Any]:
        path, value = body["path"], body["value"]
        why = body.get("reason", "")
        if self.points[path]["second_person"]:
            return self.write(path, value, "awaiting_approval", why=why, reason=why, expires_at=iso(-600), done_at=None)
        if self.outcome == "denied":
            return self.write(
                path,
                value,
                "denied",
                why=why,
                code="interlock",
                reason=f"the interlock of {path} does not hold",
                clears="close the guard",
            )
        if self.outcome == "uncertain":
            return self.write(
                path,
                value,
                "uncertain",
                why=why,
                code="read_back",
                reason="the device did not show the value within 5 s",
                settled=False,
            )
        if self.outcome == "refused":
            raise Problem(403, "halted", "zone line1 is halted", "somebody who may change modes sets it to normal")
        if self.outcome == "down":
            raise Problem(503, "edge_silent", "edge edge-1 has been silent for 12 s", "the edge runs again")
        if self.outcome == "never":
            raise Problem(0, "", "")
        done = self.write(path, value, "done", why=why, reason=why, read_back=value)
        self.values[path] = value
        if self.outcome == "lost":
            raise Problem(0, "", "")
        return done

    def _decide(self, ident: str, deed: str, body: dict[str, Any]) -> dict[str, Any]:
        row = next(w for w in self.writes if w["id"] == ident)
        if deed == "approve":
            row.update(state="done", settled=True, approved_by=self.user, read_back=row["value"], done_at=iso())
            self.values[row["path"]] = row["value"]
        elif row["state"] == "uncertain":
            row.update(
                settled=True, code="given_up", reason=f"nobody knows how it ended; {self.user}: {body['reason']}"
            )
        else:
            row.update(
                state="rejected",
                settled=True,
                approved_by=self.user,
                code="rejected",
                reason=f"{self.user}: {body['reason']}",
            )
        return row

    @staticmethod
    def _version(number: int, items: list[dict[str, Any]], author: str, state: str = "draft") -> dict[str, Any]:
        return {
            "number": number,
            "state": state,
            "items": items,
            "author": author,
            "created": iso(3600),
            "reason": "",
            "approved_by": "J. Roche" if state == "approved" else "",
            "approved": None,
        }

    def _recipes(self) -> list[dict[str, Any]]:
        if not self.versions:
            return []
        approved = next((v for v in self.versions if v["state"] == "approved"), None)
        return [
            {
                "name": "still-water",
                "type": "",
                "asset": FILLER,
                "description": "Still water, 0.75 L glass",
                "newest": self.versions[0],
                "approved": approved,
            }
        ]

    def download(self) -> dict[str, Any]:
        """A report of a recipe that stopped in the middle."""
        lines = [
            {"path": TARGET, "value": 110, "before": 120, "state": "done", "write": "w1", "code": "", "reason": "", "clears": ""},
            {"path": f"{FILLER}/level-set", "value": 65, "before": 60, "state": "denied", "write": "w2", "code": "interlock", "reason": "the interlock does not hold", "clears": "close the guard"},
            {"path": VALVE, "value": 1, "before": 1, "state": "not written", "write": "", "code": "", "reason": "", "clears": ""},
        ]  # fmt: skip
        return {
            "id": 1,
            "recipe": "still-water",
            "version": 2,
            "asset": FILLER,
            "by": self.user,
            "reason": "",
            "state": "stopped",
            "began": iso(2),
            "ended": iso(),
            "second": "",
            "said": "",
            "expires_at": None,
            "lines": lines,
        }

    def full(self) -> Stub:
        """The moment of the reference pictures: the labeller is held, and everything has something to show."""
        more = {
            "cause": "The reel ran out of true after the splice.",
            "consequence": "Accumulation is full in about 2 min, then the filler stops.",
            "response": "Slow the filler to 90 1/min, then clear the splice on reel 2.",
            "response_s": 240,
        }
        self.alarm("labeller", "web-tension", "Web tension low-low", "high", **more)
        self.alarm(
            "filler",
            "speed",
            "Speed below plan for 60 s",
            "medium",
            "ReturnedUnacknowledged",
            value=119.6,
            unit="1/min",
            limit=110.0,
        )
        self.alarm("capper", "cap-hopper", "Caps run out soon", "low", "Acknowledged", value=46.0, unit="%", limit=15.0)
        self.write(TARGET, 105, "done", "J. Roche", why="Labeller slow", read_back=105, requested_at=iso(3600))
        self.write(
            VALVE,
            0,
            "denied",
            "J. Roche",
            code="interlock",
            reason="the interlock does not hold",
            clears="close the guard",
            requested_at=iso(1800),
        )
        self.write(
            f"{FILLER}/pressure-set",
            2.5,
            "awaiting_approval",
            "J. Roche",
            why="Foam at the valves",
            expires_at=iso(-400),
            done_at=None,
        )
        self.lockouts = [
            {
                "path": f"{LINE}/packer",
                "who": "J. Roche",
                "why": "Glue pump out, J. Roche at the machine",
                "since": iso(7200),
                "declared": False,
            }
        ]
        self.modes["line2"] = self._mode("line2", "halted", "J. Roche", "Cleaning")
        self.changes = [
            {
                "id": 1,
                "path": f"{LINE}/labeller/glue-set",
                "kind": "unexplained",
                "state": "open",
                "before": 150,
                "value": 152,
                "unit": "°C",
                "at": iso(900),
                "seen_at": iso(899),
                "by": "",
                "reason": "",
                "accepted_at": None,
            }
        ]
        self.trips = [
            {"name": "bowl-overpressure", "asset": FILLER, "edge": "edge-1", "state": "tripped", "cause": "bowl-pressure > 3.6 bar", "since": iso(120), "votes": ["bowl-pressure > 3.6 bar"], "need": 1, "message": "Filler bowl over pressure", "priority": "critical", "actions": 2},
            {"name": "glue-overheat", "asset": f"{LINE}/labeller", "edge": "edge-1", "state": "armed", "cause": "", "since": None, "votes": ["glue-temp > 180 °C", "glue-temp rate > 5 °C/s"], "need": 1, "message": "Glue roller too hot", "priority": "high", "actions": 1},
        ]  # fmt: skip
        items = [{"tag": "target", "value": 110}, {"tag": "level-set", "value": 65}, {"tag": "inlet-valve", "value": 1}]
        old = [{"tag": "target", "value": 120}, {"tag": "level-set", "value": 65}]
        self.versions = [self._version(2, items, "J. Roche"), self._version(1, old, "A. Blanc", "approved")]
        return self
