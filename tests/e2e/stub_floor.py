"""The made-up plant with what a station on the floor asks for: machines, stops, reasons, help, and the log of a shift."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Error, Route

from .stub import LINE, Problem, Stub, iso

LABELLER = f"{LINE}/labeller"
STOP = f"{LABELLER}@1"
REASONS = (
    ("material/splice", "material", "Web splice broke", 6), ("material/reel", "material", "Label reel empty", 2),
    ("material/glue", "material", "Glue empty", 0), ("material/wrong", "material", "Wrong label on reel", 0),
    ("mechanical/jam", "mechanical", "Bottle jam", 1), ("mechanical/drive", "mechanical", "Drive fault", 0),
    ("people/break", "people", "Break", 0), ("planned/cleaning", "planned", "Cleaning", 0),
    ("changeover/format", "changeover", "Format change", 0), ("supply/air", "supply", "No air", 0),
)  # fmt: skip


def machine(name: str, state_class: str = "running", **more: Any) -> dict[str, Any]:
    """A machine as it is now."""
    return {
        "asset": f"{LINE}/{name}", "line": LINE, "state_class": state_class, "state": 6, "since": iso(268), "reason": "", "order": "MO-24117",
        "product": "Still water 0.75 L glass", "shift": "late", "team": "B", "good": 2737, "reject": 36, "total": 2773,
        "rate": 6480.0, "ideal_rate": 7200.0, "target": 3093.0, "ahead": -356.0, "uncoded": 0, "help": False, "stop": "", **more,
    }  # fmt: skip


def figures(good: int = 2737, **more: Any) -> dict[str, Any]:
    """Figures of a shift."""
    return {
        "oee": 0.814, "availability": 0.901, "performance": 0.916, "quality": 0.986, "planned_s": 28_800, "run_s": 25_949, "down_s": 2851,
        "unknown_s": 0, "unrated_run_s": 0, "counted": True, "stops": 5, "minor_stops": 31, "mtbf_s": 5189.8, "mttr_s": 410.0, "total": good + 36, "good": good, "reject": 36,
        "rework": 0, "throughput_per_h": 700.0, "energy_per_good": None, "material_per_good": None, "cost": 1140.0, "why": {}, **more,
    }  # fmt: skip


@dataclass
class FloorStub(Stub):
    """``conflict`` is what the server says to whoever codes; ``silent`` cuts the news."""

    machines: list[dict[str, Any]] = field(default_factory=lambda: [machine("labeller"), machine("filler")])
    stops: list[dict[str, Any]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    conflict: str = ""
    silent: bool = False
    version: int = 1
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self, ident: str = STOP, **more: Any) -> None:
        """The labeller stands, and everybody who waits is told."""
        self.stops.append({
            "id": ident, "asset": LABELLER, "start": iso(268), "end": None, "s": 268, "planned_s": 268, "state_class": "stopped", "minor": False,
            "asks": True, "reason": "", "text": "", "offered": True, "base": 0, "by": "", "at": None, "comment": "", "order": "", "product": "",
            "shift": "late", "team": "B", "cause": None, **more,
        })  # fmt: skip
        self._stands()
        self.tell()

    def _stands(self) -> None:
        open_now = [s for s in self.stops if s["end"] is None]
        self.machines[0].update(
            state_class="stopped" if open_now else "running",
            uncoded=sum(s["asks"] for s in self.stops),
            stop=open_now[0]["id"] if open_now else "",
        )

    def tell(self) -> None:
        """Another version: who waits for it is answered."""
        self.version += 1
        self.news.set()

    def note(self, text: str, **more: Any) -> dict[str, Any]:
        """A note of the shift."""
        row = {
            "id": len(self.notes) + 1, "version": len(self.notes) + 1, "path": LABELLER, "time": iso(600), "kind": "machine", "text": text,
            "open": False, "by": self.user, "at": iso(600), "own": True, "before": [], "closed_by": "", "closed_at": None, "closing": "",
            **more,
        }  # fmt: skip
        self.notes.append(row)
        return row

    async def _route(self, route: Route) -> None:
        what = urlsplit(route.request.url).path.removeprefix("/api/v1/")
        if what != "production/wait":
            await super()._route(route)
            return
        if self.silent:
            await route.abort("connectionreset")
            return
        asked = int(dict(p.split("=") for p in urlsplit(route.request.url).query.split("&"))["version"])
        page = route.request.frame.page
        while asked == self.version and not page.is_closed():
            self.news.clear()
            with contextlib.suppress(TimeoutError):  # looks up now and then whether anybody still waits
                await asyncio.wait_for(self.news.wait(), 0.2)
        with contextlib.suppress(Error):  # the page has gone
            await route.fulfill(status=200, body=json.dumps({"version": self.version}), content_type="application/json")

    def answer(self, method: str, what: str, query: dict[str, list[str]], body: dict[str, Any]) -> Any:
        if what.startswith(("production/", "shifts/", "orders/")):
            return self._floor(method, what, query, body)
        return super().answer(method, what, query, body)

    def _floor(self, method: str, what: str, query: dict[str, list[str]], body: dict[str, Any]) -> Any:
        match (method, what):
            case ("GET", "production/machines"):
                return {"version": self.version, "machines": self.machines}
            case ("GET", "production/stops"):
                return {"total": len(self.stops), "asking": 1, "stops": [s for s in self.stops if s["asks"]]}
            case ("GET", "production/reasons"):
                if query["kind"] == ["scrap"]:
                    return {"reasons": [self._reason("scrap/label", "scrap", "Label crooked", 3, "scrap")]}
                return {"reasons": [self._reason(*one) for one in REASONS]}
            case ("GET", "production/requests"):
                return {"times": {}, "requests": self.requests}
            case ("GET", "shifts/report"):
                return self._report(query)
            case ("POST", "production/stops/code"):
                return self._code(body)
            case ("POST", "production/requests"):
                self.requests.append({
                    "id": 1, "asset": body["asset"], "kind": body["kind"], "title": "", "state": "open", "asked_at": iso(), "asked_by": self.user,
                    "acknowledged_by": "",
                })  # fmt: skip
                return self.requests[-1]
            case ("POST", "shifts/log"):
                return self.note(body["text"], kind=body["kind"], path=body["path"], open=body.get("open", False))
        if what == "orders/MO-24117":
            count = {"total": "17240", "good": "17204", "reject": "36", "rework": "0"}
            job = {"operation": 10, "name": "Label", "state": "running", "asset": LABELLER, "count": count}
            return {"id": "MO-24117", "product": "SW-75", "name": "Still water 0.75 L glass", "unit": "bottles", "quantity": "42000", "due": None, "jobs": [job]}  # fmt: skip
        if what.endswith("/scrap"):
            return {}
        if what.startswith("shifts/log/"):
            return self._change(what.split("/")[2], what.split("/")[3], body)
        self.unknown.append(f"{method} {what}")
        raise Problem(404, "not_found", "no such route")

    def _reason(self, key: str, group: str, text: str, used: int, kind: str = "stop") -> dict[str, Any]:
        return {"key": key, "group": group, "text": text, "kind": kind, "planned": False, "loss": "", "time": "", "used": used, "offered": True}  # fmt: skip

    def _code(self, body: dict[str, Any]) -> Any:
        stop = next(s for s in self.stops if s["id"] == body["stop"])
        if self.conflict:
            stop.update(reason="people/break", text="Break", asks=False, base=7, by="A. Kurz")
            self._stands()
            raise Problem(409, "stale_base", self.conflict)
        text = next(r[2] for r in REASONS if r[0] == body["reason"])
        stop.update(reason=body["reason"], text=text, asks=False, base=stop["base"] + 1, by=self.user)
        self._stands()
        self.tell()
        return {"stops": [stop]}

    def _change(self, ident: str, deed: str, body: dict[str, Any]) -> Any:
        row = next(n for n in self.notes if n["id"] == int(ident))
        if self.conflict:
            raise Problem(409, "conflict", self.conflict)
        if deed == "close":
            row.update(open=False, closed_by=self.user, closed_at=iso(), closing=body["text"])
        else:
            row["before"].append({"text": row["text"], "by": row["by"], "at": row["at"]})
            row.update(text=body["text"], version=row["version"] + 100)
        return row

    def _report(self, query: dict[str, list[str]]) -> dict[str, Any]:
        """The late shift, half over; before it there was an early one."""
        early = "start" in query
        start = datetime.fromisoformat("2026-11-12T13:00:00+00:00") - timedelta(hours=8 * early)
        at = lambda minutes: (start + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")  # noqa: E731  short
        hand = next((n for n in self.notes if n["kind"] == "handover"), None)
        take = next((n for n in self.notes if n["kind"] == "takeover"), None)
        hours = [
            {"start": at(60 * n), "end": at(60 * n + 60), "good": 1200 - 90 * n, "reject": 6 * n, "target": 1150.0}
            for n in range(4)
        ]
        pieces = [("running", 0, 60), ("stopped", 60, 85), ("starved", 85, 100), ("running", 100, 200), ("unknown", 200, 210), ("planned", 210, 240)]  # fmt: skip
        strip = [{"start": at(a), "end": at(b), "state": what} for what, a, b in pieces]
        return {
            "area": (query.get("area") or [""])[0],
            "shift": {"name": "early" if early else "late", "crew": "A" if early else "B", "day": "2026-11-12", "start": at(0), "end": at(480)},
            "until": at(480 if early else 240), "previous": None if early else "2026-11-12T05:00:00.000Z",
            "following": "2026-11-12T13:00:00.000Z" if early else None, "currency": "EUR", "figures": figures(unknown_s=600),
            "machines": [{"asset": m["asset"], "figures": figures()} for m in self.machines],
            "losses": [{"reason": "mechanical/jam", "text": "Bottle jam", "s": 1500, "count": 2, "cost": 500.0}, {"reason": "", "text": "", "s": 900, "count": 1, "cost": 300.0},
                       {"reason": "minor-stop", "text": "", "s": 451, "count": 31, "cost": 0.0}],
            "hours": hours, "made": [{"order": "MO-24117", "product": "Still water 0.75 L glass", "good": 2737, "reject": 36, "rework": 0}],
            "stops": [{"stop": STOP, "asset": LABELLER, "start": at(60), "end": at(85), "s": 1500, "state": "stopped", "reason": "mechanical/jam", "text": "Bottle jam", "open": False}],
            "uncoded": 1, "strips": [{"asset": m["asset"], "pieces": strip} for m in self.machines],
            "alarms": {"raised": 7, "unacknowledged": 2, "complete": True, "counts": {"high": 7},
                       "top": [{"alarm": "a", "message": "Web tension low-low", "priority": "high", "count": 6}]},
            "notes": [n for n in self.notes if not early], "open": [n for n in self.notes if n["open"]], "handover": hand, "takeover": take,
        }  # fmt: skip
