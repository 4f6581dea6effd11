"""What people did in the hall's past: whole or not at all, and only what the line itself tells."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import numpy as np
import pytest

from isthmus.app import demo_past
from isthmus.app.demo_past import NoFacts, enter_past, reason_of, stands
from isthmus.app.plantcheck import check_plant
from isthmus.app.records import open_records
from isthmus.production.model import EntryKind
from isthmus.production.orders.model import State
from isthmus.production.orders.quantity import ONE
from isthmus.production.orders.room import OrderRoom
from isthmus.production.shiftlog import NoteKind, ShiftLog
from isthmus.production.stops.model import ActionState, RequestState
from isthmus.production.stops.service import StopRoom
from isthmus.production.store import ProductionStore
from isthmus.quality.service import Quality
from isthmus.simulators.bottling import fast, quarter
from isthmus.simulators.bottling.hall import PLCS
from isthmus.simulators.bottling.physics import CHANGE, EXECUTE, JAM, OPERATOR, STARVED
from isthmus.simulators.bottling.plant import plant_yaml
from isthmus.simulators.bottling.production import LINE
from isthmus.values.clock import NS_PER_S, ManualClock

pytestmark = [pytest.mark.mission("M51", "M53", "M58", "M91"), pytest.mark.real("sqlite")]
LOG = logging.getLogger("test")
START_S, DAY_S = 1_790_000_000, 86_400
STEPS = DAY_S // fast.GRID_S + 1
HOUR_S = 3600


def past_of(changes: list[tuple[int, int, int, int, int]], made: int = 100_000) -> quarter.Past:
    """Two days of a line that makes bottles evenly; ``changes`` are day, machine, second, state, cause."""
    days = tuple(fast.Day(START_S + d * DAY_S, DAY_S, (1, 738_000 + d)) for d in range(2))
    machines = tuple(fast.MACHINES)
    grid = {name: np.zeros((STEPS, 4, 2), np.int32) for name in fast.GRID_COLUMNS}
    grid["state"][:] = EXECUTE
    grid["good"][:] = np.linspace(0, made, STEPS, dtype=np.int32)[:, None, None]
    columns = np.array([(*row, 0, 0, 0) for row in changes], np.int32).reshape(-1, len(fast.CHANGE_COLUMNS))
    change = dict(zip(fast.CHANGE_COLUMNS, columns.T, strict=True))
    record = fast.Record(days, machines, change, grid, np.zeros((STEPS, 4, 2), np.float32))
    counted = {name: np.array([0, made, 2 * made]) for name in machines}
    none = {name: np.zeros(3, np.int64) for name in machines}
    return quarter.Past(record, START_S + 2 * DAY_S, counted, counted, none, {})


CHANGES = [
    (0, 0, 2 * HOUR_S, 10, JAM),
    (0, 0, 2 * HOUR_S + 900, EXECUTE, 0),
    (0, 2, 3 * HOUR_S, 5, STARVED),
    (0, 2, 3 * HOUR_S + 600, EXECUTE, 0),
    (0, 0, 12 * HOUR_S, fast.COMPLETING, CHANGE),
    (0, 0, 12 * HOUR_S + 240, fast.IDLE, 0),
    (0, 0, 12 * HOUR_S + 250, EXECUTE, 0),
    (0, 0, DAY_S - 3240, 2, OPERATOR),
    (1, 0, 20, EXECUTE, 0),
    (1, 3, 23 * HOUR_S, 10, JAM),
    (1, 3, 23 * HOUR_S + 600, EXECUTE, 0),
]


@pytest.fixture(scope="module")
def plant() -> Any:
    return check_plant(plant_yaml({plc: 15_020 + i for i, plc in enumerate(PLCS)}), {}, "plant.yaml")[0]


def test_machines_stand_by_themselves_from_where_they_stop_to_where_they_run() -> None:
    found = [
        (one.asset.rpartition("/")[2], one.start_ns // NS_PER_S - START_S, reason_of(one))
        for one in stands(past_of(CHANGES))
    ]
    assert found == [
        ("filler", 2 * HOUR_S, "mechanical/jam"),
        ("filler", 12 * HOUR_S, "setup/changeover"),
        ("filler", DAY_S - 3240, "planned/cleaning"),
        ("palletiser", DAY_S + 23 * HOUR_S, "mechanical/jam"),
    ], "who waits for another does not stand by itself"


async def test_people_of_the_past_did_what_the_line_tells(tmp_path, plant, monkeypatch) -> None:
    monkeypatch.setattr(demo_past.hall, "LEFT_OUT", 10**9)
    file, past = tmp_path / "records.db", past_of(CHANGES)
    assert await asyncio.to_thread(enter_past, file, plant, past, LOG)
    assert [one.name for one in tmp_path.iterdir()] == ["records.db"], "nothing is left beside it"
    engine, clock = open_records(file), ManualClock(past.end_s * NS_PER_S)
    try:
        orders = {
            o.id: (o, counts) for o, _, counts in await OrderRoom(engine, clock, lambda: plant, str).orders.listed()
        }
        first, counts = orders["JO-1"]
        assert (first.product, first.state) == ("still-075", State.CLOSED)
        assert counts[10].good == quarter.runs(past)[0].good * ONE
        assert orders["JO-2"][0].state is State.RUNNING, "what was made last is still made"
        states = [o.state for o, _ in orders.values()]
        assert (states.count(State.RELEASED), states.count(State.PLANNED)) == (1, 2)

        entries = ProductionStore(engine).entries()
        said = [e for e in entries if e.kind is EntryKind.REASON]
        assert [e.values["reason"] for e in said] == ["mechanical/jam", "setup/changeover", "planned/cleaning"]
        assert all(e.start_ns < e.end_ns < past.end_s * NS_PER_S for e in said), "what is fresh waits for a reason"
        spans = [e for e in entries if e.kind is EntryKind.ORDER and e.values["order"] == "JO-2" and not e.end_ns]
        assert len(spans) == 4, "every machine of the line knows what it makes"

        room = StopRoom(engine, NoFacts(), lambda: plant, clock)
        calls = await room.requests.listed(START_S * NS_PER_S, past.end_s * NS_PER_S)
        assert [(c.asset.rpartition("/")[2], c.kind, c.evidence.cause) for c in calls] == [
            ("palletiser", "maintenance", "mechanical/jam"),
            ("filler", "maintenance", "mechanical/jam"),
        ]
        assert all(c.evidence.tags and c.evidence.link.startswith("/trends?") for c in calls)
        assert calls[1].state is RequestState.CLOSED
        assert calls[1].stop == f"{LINE}/filler@{(START_S + 2 * HOUR_S) * NS_PER_S}"
        assert calls[1].answered_ns == (START_S + 2 * HOUR_S + 900) * NS_PER_S, "it was put right when it ran again"
        assert 0 < calls[1].response_ns < 900 * NS_PER_S
        assert 0 < calls[1].repair_ns < 900 * NS_PER_S
        actions = {a.state: a for a in await room.actions.listed()}
        assert set(actions) == {ActionState.DOING, ActionState.DONE}
        assert actions[ActionState.DONE].done_ns == (START_S + DAY_S) * NS_PER_S
        assert actions[ActionState.DONE].verified is None, "what it brought is measured by who looks at it"
        assert all(a.loss_key == "mechanical/jam" and a.expected_min > 0 for a in actions.values())

        notes = ShiftLog(engine, clock).listed(LINE, START_S * NS_PER_S, past.end_s * NS_PER_S)
        handed = [n for n in notes if n.kind is NoteKind.HANDOVER]
        assert len(handed) == 5
        assert "Still 0.75 L glass" in handed[-1].text
        quality = Quality(engine, clock)
        await quality.begin(plant)
        drawn = await quality.chart("closing.opening", START_S * NS_PER_S, past.end_s * NS_PER_S)
        assert len(drawn.checks) == 23
        assert {c.order for c in drawn.checks} == {"JO-1", "JO-2"}
    finally:
        engine.dispose()


def test_a_past_that_is_cut_off_leaves_nothing(tmp_path, plant) -> None:
    file = tmp_path / "records.db"
    (tmp_path / "records.db.part").write_bytes(b"what a killed demo left")
    assert not enter_past(file, plant, past_of(CHANGES), LOG, stopped=lambda: True)
    assert not list(tmp_path.iterdir())
    file.write_bytes(b"")
    with pytest.raises(FileExistsError):
        enter_past(file, plant, past_of(CHANGES), LOG)
