"""Production over HTTP: machines as they are, figures with their lineage, losses, what came out differently, and who may ask."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import openpyxl
import pytest

from isthmus.namespace.model import Machine, ProductionLine, Reason
from isthmus.production.model import Entry, EntryKind
from isthmus.values.clock import NS_PER_S

pytestmark = [pytest.mark.real("uvicorn", "sqlite"), pytest.mark.mission("M50", "M51", "M61")]
FILLER = "hall/line1/filler"
H = 3600 * NS_PER_S


@pytest.fixture
async def room(works: Any) -> Any:
    """A filler that ran an hour, stood ten minutes and ran on, three hours ago."""
    plant = works.namespace.plant
    machine = Machine(
        FILLER, "hall/line1", state=3, classes={6: "running", 0: "stopped"}, good=2, ideal_count=2, ideal_per_ns=NS_PER_S,
        cost_per_min=6.0,
    )  # fmt: skip
    works.namespace.plant = replace(
        plant, machines=(machine,), lines=(ProductionLine("hall/line1", (FILLER,)),), currency="EUR",
        reasons=(Reason("mechanical/jam", "mechanical", "jam", "Bottle jam", loss="breakdown"),),
    )  # fmt: skip
    start = works.clock.now_ns() // (900 * NS_PER_S) * 900 * NS_PER_S - 3 * H
    record = works.services.production._record
    record.store(3, (start, 6), (start + H, 0), (start + H + 600 * NS_PER_S, 6))
    record.store(2, (start, 100), (start + H, 7_000), (start + 2 * H, 5))
    production = works.services.production
    await production.begin()
    for _ in range(4):
        await production.tick()
    works.start = start
    return production


def span(works: Any, hours: float = 2.0) -> dict[str, str]:
    from isthmus.web.times import iso

    return {"start": iso(works.start), "end": iso(works.start + round(hours * H))}


async def test_machines_are_told_as_they_are(works: Any, as_: Any, room: Any) -> None:
    found = (await as_.viewer.get("/production/machines")).json()
    (machine,) = found["machines"]
    assert (machine["asset"], machine["state_class"], machine["state"], machine["uncoded"]) == (FILLER, "running", 6, 1)
    assert found["currency"] == "EUR"
    assert (await as_.viewer.get("/production/machines", params={"under": "yard"})).json()["machines"] == []
    waited = await as_.viewer.get("/production/wait", params={"version": 0, "timeout_s": 1})
    assert waited.json()["version"] == found["version"]


async def test_figures_have_their_times_and_say_what_is_missing(works: Any, as_: Any, room: Any) -> None:
    found = (await as_.viewer.get("/production/oee", params=span(works) | {"by": "machine"})).json()
    (row,) = found["rows"]
    assert row["key"] == {"machine": FILLER}
    assert (row["planned_s"], row["run_s"], row["down_s"], row["unknown_s"]) == (7200, 6600, 600, 0)
    assert (row["good"], row["stops"], row["cost"]) == (6_905, 1, 60)
    assert row["oee"] == row["good"] / 2 / 7200
    assert row["energy_per_good"] is None
    assert row["why"]["energy_per_good"] == "nothing of it was counted"
    empty = (await as_.viewer.get("/production/oee", params=span(works) | {"under": "yard"})).json()
    assert empty["rows"] == []


@pytest.mark.parametrize("route", ["production/oee", "production/losses", "kpis/values"])
async def test_less_than_a_quarter_of_an_hour_is_answered_or_refused_in_words(
    works: Any, as_: Any, room: Any, route: str
) -> None:
    from isthmus.web.times import iso

    minute, more = 60 * NS_PER_S, {"name": "downtime"} if route == "kpis/values" else {}

    async def asked(start_ns: int, end_ns: int) -> Any:
        return await as_.viewer.get(f"/{route}", params={"start": iso(start_ns), "end": iso(end_ns), **more})

    t0, now_ns = works.start, works.clock.now_ns()
    for start, end in ((3, 9), (0, 5), (-7, 4), (61, 62)):
        no = await asked(t0 + start * minute, t0 + end * minute)
        assert no.status_code == 422, (start, end)
        assert "quarters of an hour" in no.json()["detail"]
    assert f"{iso(t0 + 60 * minute)} to {iso(t0 + 75 * minute)}" in no.json()["detail"]
    whole = await asked(t0 + 60 * minute, t0 + 75 * minute)
    assert whole.status_code == 200
    assert whole.json()["rows"]
    quarter_ns = now_ns // (15 * minute) * 15 * minute
    assert (await asked(quarter_ns, now_ns + 1)).status_code == 200, "what has just begun can be told"


async def test_losses_add_up_to_the_waterfall(works: Any, as_: Any, room: Any) -> None:
    found = (await as_.viewer.get("/production/losses", params=span(works))).json()
    assert [(r["key"], r["text"], r["s"], r["count"], r["cost"]) for r in found["rows"]] == [
        ("", "No reason given", 600, 1, 60)
    ]
    steps = {s["key"]: s["s"] for s in found["waterfall"]}
    assert steps["planned_busy"] - steps["stopped"] == steps["run"] == 6600
    assert steps["run"] - steps["speed"] - steps["quality"] == pytest.approx(steps["good"])
    await room.enter(
        Entry(
            EntryKind.REASON,
            FILLER,
            works.start + H,
            works.start + H + 600 * NS_PER_S,
            {"reason": "mechanical/jam"},
            "ana",
        )
    )
    coded = (await as_.viewer.get("/production/losses", params=span(works) | {"by": "reason"})).json()["rows"]
    assert [(r["key"], r["text"]) for r in coded] == [("mechanical/jam", "Bottle jam")]
    works.namespace.plant = replace(works.namespace.plant, reasons=())
    gone = (await as_.viewer.get("/production/losses", params=span(works))).json()["rows"]
    assert gone[0]["text"] == "mechanical/jam (no more offered)"


async def test_time_of_which_nobody_knows_is_no_stop_without_a_reason(works: Any, as_: Any, room: Any) -> None:
    from isthmus.web.times import iso

    works.services.production._record.store(3, (works.start - H, 99))  # a number that stands for nothing
    room.restated((3,), (works.start - H,))
    await room.tick()
    asked = {"start": iso(works.start - H), "end": iso(works.start + 2 * H)}
    for by, other in (("reason", ""), ("group", ""), ("loss", "breakdown")):
        rows = (await as_.viewer.get("/production/losses", params=asked | {"by": by})).json()["rows"]
        assert {r["key"]: (r["s"], r["count"]) for r in rows} == {"unknown": (3600, 0), other: (600, 1)}, by
    named = (await as_.viewer.get("/production/losses", params=asked)).json()["rows"][0]
    assert (named["text"], named["cost"]) == ("Not known", 0)


async def test_a_figure_opens_to_its_intervals_and_samples(works: Any, as_: Any, room: Any) -> None:
    found = (
        await as_.viewer.get("/production/lineage", params=span(works) | {"asset": FILLER, "figure": "oee"})
    ).json()
    assert found["value"] == found["row"]["oee"]
    assert [i["state_class"] for i in found["intervals"]] == ["running", "stopped", "running"]
    assert [(m["kind"], m["before"], m["after"]) for m in found["marks"]] == [("reset", 7_000, 5)]
    state = next(q for q in found["questions"] if q["what"] == "state")
    assert state["tags"] == ["hall/line1/filler/state"]
    assert (await as_.viewer.get("/" + state["history"])).status_code == 200
    told = (await as_.viewer.get("/production/intervals", params=span(works) | {"asset": FILLER})).json()
    assert told["intervals"] == found["intervals"]


async def test_what_is_kept_is_held_against_raw_samples(works: Any, as_: Any, room: Any) -> None:
    found = (await as_.viewer.get("/production/replay", params=span(works, 4))).json()
    assert (found["equal"], found["differing"], found["differences"]) == (True, 0, [])
    (machine,) = found["machines"]
    assert (machine["asset"], machine["differing"], machine["notes"]) == (FILLER, 0, [])
    assert machine["kept"] == machine["computed"]
    assert machine["kept"]["good"] == 6_905
    room._record.store(2, (works.start + 2 * H, 105))
    odd = (await as_.viewer.get("/production/replay", params=span(works, 4))).json()
    assert (odd["equal"], odd["differing"]) == (False, 2)
    assert [one["what"].partition(" (")[0] for one in odd["differences"]] == ["total", "good"]
    assert {(one["asset"], one["kept"], one["computed"]) for one in odd["differences"]} == {(FILLER, 5, 105)}
    gone = await as_.viewer.get("/production/replay", params=span(works) | {"under": "yard"})
    assert (gone.status_code, gone.json()["code"]) == (404, "unknown_path")


async def test_tables_are_files_too(works: Any, as_: Any, room: Any) -> None:
    book = await as_.viewer.get("/production/oee", params=span(works) | {"by": "machine", "format": "xlsx"})
    rows = list(openpyxl.load_workbook(io.BytesIO(book.content)).active.values)
    assert rows[0][:2] == ("machine", "all_s")
    assert rows[1][:2] == (FILLER, 7200)
    for route in ("machines", "losses", "restatements"):
        answer = await as_.viewer.get(f"/production/{route}", params={"format": "csv"})
        assert answer.headers["content-type"].startswith("text/csv")
    asked = span(works) | {"asset": FILLER, "format": "csv"}
    assert len((await as_.viewer.get("/production/intervals", params=asked)).text.splitlines()) == 4


async def test_computing_again_is_for_those_who_plan(works: Any, as_: Any, room: Any) -> None:
    body = {"under": "hall", "start": "now-2d"}
    assert (await as_.viewer.post("/production/recompute", json=body)).json()["code"] == "role_missing"
    assert (await as_.operator.post("/production/recompute", json=body)).status_code == 403
    answer = await as_.engineer.post("/production/recompute", json=body)
    assert (answer.status_code, set(answer.json())) == (202, {"days"})
    assert (await as_.viewer.get("/production/restatements")).json() == {"restatements": []}


@pytest.mark.parametrize(
    ("route", "params", "status", "code"),
    [
        ("intervals", {"asset": "hall/nowhere"}, 404, "unknown_asset"),
        ("lineage", {"asset": "hall/nowhere"}, 404, "unknown_asset"),
        ("lineage", {"asset": FILLER, "figure": "luck"}, 422, ""),
        ("oee", {"by": "moon"}, 422, ""),
        ("oee", {"start": "now", "end": "now-1d"}, 422, ""),
        ("oee", {"start": "now-90d", "by": "hour"}, 422, ""),
        ("intervals", {"asset": FILLER, "start": "now-40d"}, 422, ""),
    ],
)
async def test_questions_without_an_answer_are_refused(
    works: Any, as_: Any, room: Any, route: str, params: dict[str, str], status: int, code: str
) -> None:
    answer = await as_.viewer.get(f"/production/{route}", params=params)
    assert answer.status_code == status, answer.text
    if code:
        assert answer.json()["code"] == code
