"""Shifts over HTTP: the log with two tablets, the report filled in, its files, and who may do what."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from settled import settled

from isthmus.app.records import open_records
from isthmus.namespace.model import Asset
from isthmus.production.shiftlog import ShiftLog
from isthmus.production.shiftlog_store import metadata
from isthmus.production.shiftreport import ShiftDesk
from isthmus.security.model import Role
from isthmus.security.model import Scope as Narrowed
from isthmus.values.clock import NS_PER_S

sys.path.append(str(Path(__file__).parents[2] / "unit" / "production" / "shifts"))
from shift_plant import LATE, START, TWO_SHIFTS, FakeProduction

pytestmark = [pytest.mark.real("uvicorn", "sqlite"), pytest.mark.mission("M91")]

LINE = "hall/line1"
FILLER = f"{LINE}/filler"


@pytest.fixture(autouse=True)
def room(works: Any, tmp_path: Path) -> Iterator[Any]:
    """The log and the facts of a line, three hours into the late shift."""
    engine = open_records(tmp_path / "shifts.db")
    metadata.create_all(engine)
    works.clock.advance((START + 3 * 3600 * NS_PER_S - works.clock.now_ns()) / NS_PER_S)
    services = works.services
    services.shift_log = ShiftLog(engine, works.clock)
    services.shift_desk = ShiftDesk(FakeProduction(), TWO_SHIFTS, services.namespace.current, works.clock)
    yield services
    engine.dispose()


async def test_the_shift_that_runs_is_told_at_once(as_: Any) -> None:
    now = (await as_.viewer.get("/shifts/now", params={"area": LINE})).json()
    assert (now["now"]["name"], now["now"]["crew"], now["last"]["name"], now["next"]) == ("late", "B", "early", None)
    assert (await as_.viewer.get("/shifts/now", params={"area": "hall/nowhere"})).json()["code"] == "unknown_asset"


async def test_a_shift_reports_what_its_facts_and_its_log_say(as_: Any) -> None:
    made = await as_.operator.post(
        "/shifts/log", json={"path": FILLER, "kind": "machine", "text": "Valve 12 drips", "open": True}
    )
    assert made.status_code == 201
    report = (await as_.viewer.get("/shifts/report", params={"area": LINE})).json()
    assert (report["shift"]["name"], report["previous"] is not None, report["following"]) == ("late", True, None)
    assert report["figures"]["good"] == sum(h["good"] for h in report["hours"]) > 0
    assert report["figures"]["oee"] == pytest.approx(
        report["figures"]["availability"] * report["figures"]["performance"] * report["figures"]["quality"]
    )
    assert [n["text"] for n in report["notes"]] == [n["text"] for n in report["open"]] == ["Valve 12 drips"]
    assert report["uncoded"] == 1
    early = (await as_.viewer.get("/shifts/report", params={"area": LINE, "start": report["previous"]})).json()
    assert (early["shift"]["name"], early["notes"]) == ("early", [])
    assert [n["text"] for n in early["open"]] == ["Valve 12 drips"]  # open is open, whatever shift one looks at
    for start in ("now-12h", "2099-01-01"):  # between shifts; one to come
        found = await as_.viewer.get("/shifts/report", params={"area": LINE, "start": start})
        assert (found.status_code, found.json()["code"]) == (404, "no_shift")


@pytest.mark.real("openpyxl", "reportlab")
async def test_the_report_leaves_as_pages_workbooks_and_csv(as_: Any) -> None:
    pdf = await as_.viewer.get("/shifts/report.pdf", params={"area": LINE, "language": "de"})
    assert (pdf.headers["content-type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")
    assert pdf.headers["content-disposition"] == 'inline; filename="shift-hall-line1-2023-11-14-late.pdf"'
    for part, first in (
        ("machines", "asset"),
        ("losses", "reason"),
        ("hours", "start"),
        ("made", "order"),
        ("stops", "stop"),
    ):
        book = await as_.viewer.get("/shifts/report", params={"area": LINE, "part": part, "format": "xlsx"})
        rows = list(openpyxl.load_workbook(io.BytesIO(book.content), read_only=True).active.iter_rows(values_only=True))
        assert rows[0][0] == first
        text = (await as_.viewer.get("/shifts/report", params={"area": LINE, "part": part, "format": "csv"})).text
        assert len(text.splitlines()) == len(rows) > 1
    await as_.operator.post("/shifts/log", json={"path": FILLER, "text": "=cmd|' /C calc'!A0"})
    log = await as_.viewer.get("/shifts/log", params={"under": LINE, "format": "csv"})
    assert log.headers["content-type"] == "text/csv; charset=utf-8"
    assert "'=cmd|" in log.text
    assert (await as_.viewer.get("/shifts/log", params={"format": "pdf"})).status_code == 422


async def test_two_tablets_on_one_note_and_one_shift_are_told_plainly(as_: Any) -> None:
    note = (await as_.operator.post("/shifts/log", json={"path": FILLER, "text": "12 bottles", "open": True})).json()
    fix = f"/shifts/log/{note['id']}"
    once = await as_.operator.post(f"{fix}/correct", json={"text": "21 bottles", "base": note["version"]})
    assert once.json()["before"][0]["text"] == "12 bottles"
    late = await as_.operator.post(f"{fix}/correct", json={"text": "22 bottles", "base": note["version"]})
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    assert "it says now: 21 bottles" in late.json()["detail"]
    assert (await as_.maintainer.post(f"{fix}/close", json={"text": "done"})).json()["closed_by"] == "maintainer"
    again = await as_.operator.post(f"{fix}/close", json={})
    assert (again.status_code, again.json()["detail"]) == (409, "maintainer closed this already: done")
    handed = await as_.operator.post("/shifts/log", json={"path": LINE, "kind": "handover", "text": "All runs"})
    assert handed.status_code == 201
    twice = await as_.supervisor.post("/shifts/log", json={"path": LINE, "kind": "handover"})
    assert (twice.status_code, "operator has handed over" in twice.json()["detail"]) == (409, True)
    assert (await as_.supervisor.post("/shifts/log", json={"path": LINE, "kind": "takeover"})).status_code == 201
    report = (await as_.viewer.get("/shifts/report", params={"area": LINE})).json()
    assert (report["handover"]["by"], report["takeover"]["by"]) == ("operator", "supervisor")


async def test_who_may_not_write_is_refused_and_others_notes_are_corrected_by_whoever_may(as_: Any) -> None:
    note = (await as_.operator.post("/shifts/log", json={"path": FILLER, "text": "x"})).json()
    fix, body = f"/shifts/log/{note['id']}/correct", {"text": "y", "base": note["version"]}
    for client in (as_.viewer, as_.engineer, as_.security):
        assert (await client.post("/shifts/log", json={"path": FILLER, "text": "x"})).status_code == 403
    assert (await as_.maintainer.post(fix, json=body)).status_code == 403
    assert (await as_.supervisor.post(fix, json=body)).json()["by"] == "supervisor"
    for wrong in ({"path": "hall/none", "text": "x"}, {"path": FILLER}, {"path": FILLER, "text": " "}, {"path": FILLER, "text": "x", "kind": "joke"},
                  {"path": FILLER, "text": "x", "time": "2099-01-01T00:00:00Z"}):  # fmt: skip
        assert (await as_.operator.post("/shifts/log", json=wrong)).status_code in (404, 422), wrong
    assert (await as_.operator.post("/shifts/log/77/close", json={})).json()["code"] == "unknown_note"
    assert (await as_.operator.get("/shifts/log", params={"start": "now", "end": "now-1d"})).status_code == 422


@pytest.mark.mission("M77")
async def test_a_station_sees_and_writes_its_own_place_alone(works: Any, as_: Any) -> None:
    plant = works.namespace.plant
    other = Asset("hall/line2", "line2", "line", "", "hall", 9)
    works.namespace.plant = type(plant)(
        **{**{f: getattr(plant, f) for f in plant.__dataclass_fields__}, "assets": (*plant.assets, other)}
    )
    works.live.describe(works.namespace.plant)
    token, _ = works.security.create_token("tablet", Role.OPERATOR, "test", scope=Narrowed(under=(LINE,)))
    head = {"Authorization": f"Bearer {token}"}
    await as_.operator.post("/shifts/log", json={"path": "hall/line2", "text": "elsewhere", "open": True})
    await as_.operator.post("/shifts/log", json={"path": FILLER, "text": "here"})
    seen = (await as_.nobody.get("/shifts/log", headers=head)).json()["notes"]
    assert [n["text"] for n in seen] == ["here"]
    assert (await as_.nobody.get("/shifts/log", params={"open": True}, headers=head)).json()["notes"] == []
    for area in ("", "hall", "hall/line2"):
        assert (await as_.nobody.get("/shifts/report", params={"area": area}, headers=head)).status_code == 404
        assert (await as_.nobody.post("/shifts/log", json={"path": area, "text": "x"}, headers=head)).status_code == 404
    assert (await as_.nobody.get("/shifts/report", params={"area": LINE}, headers=head)).status_code == 200
    assert (await as_.nobody.post("/shifts/log", json={"path": FILLER, "text": "x"}, headers=head)).status_code == 201
    assert (await as_.nobody.post("/shifts/log/1/close", json={}, headers=head)).status_code == 404


async def test_the_audit_trail_has_the_note_and_not_its_text(works: Any, as_: Any) -> None:
    await as_.operator.post("/shifts/log", json={"path": FILLER, "text": "Bo was late"})
    await settled(works.services.audit)
    found = (await as_.security.get("/audit", params={"target": "shifts/log"})).json()["records"]
    outcome = next(r for r in found if r["kind"] == "outcome")
    assert outcome["new"] == {"note": 1, "version": 1, "path": FILLER, "kind": "note", "open": False}


async def test_where_nothing_is_counted_the_log_still_works(works: Any, as_: Any) -> None:
    works.services.shift_desk = None
    assert (await as_.viewer.get("/shifts/report", params={"area": LINE})).json()["code"] == "no_production"
    assert (await as_.operator.post("/shifts/log", json={"path": FILLER, "text": "x"})).status_code == 201
    works.services.shift_log = None
    assert (await as_.viewer.get("/shifts/log")).json()["code"] == "no_shift_log"
    assert LATE.name == "late"
