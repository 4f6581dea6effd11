"""What people and other rooms do with alarms, and what becomes of them over kills, plans and full disks."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path

import pytest

from isthmus.alarms.model import MAX_SHELVE_S, TABLE, Trigger
from isthmus.ports.frames import Position
from isthmus.values.errors import ConfigError, TryLater
from isthmus.values.frame import Lane
from isthmus.values.messages.alarms import Reported, State
from isthmus.values.plant.alarms import priority_of

_spec = importlib.util.spec_from_file_location("plants", Path(__file__).with_name("plants.py"))
assert _spec is not None
plants = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(plants)
S, T0, HEAD = plants.S, plants.T0, plants.HEAD
ANN = plants.Ann()
V, HIGH = "a/v", "a/v#high"
TEXT = (
    HEAD
    + """
assets:
  a: {source: plc1, tags: {v: {at: "hr 0 float32", unit: bar, alarms: {high: {limit: 8, priority: high}, low: 2}}}}
  b: {source: plc1, tags: {w: {at: "hr 2 float32", alarms: {high: {limit: 8, latch: true, message: "{asset} {value} > {limit}"}}}}}
"""
)


@pytest.fixture
async def site(tmp_path):
    made = plants.Site(tmp_path, plants.plant_of(TEXT))
    await made.begin()
    yield made
    made.close()


def row(site, alarm=HIGH):
    return next((r for r in site.alarms.rows() if r.alarm == alarm), None)


def until(site, seconds: float) -> int:
    return site.clock.now_ns() + round(seconds * S)


# --- the list -------------------------------------------------------------------------------------------------------------


async def test_a_row_tells_everything_about_an_alarm(site):
    await site.hear([(0, "b/w", 5.0), (1, "b/w", 9.5)])
    one = row(site, "b/w#high")
    assert (one.occurrence, one.path, one.asset, one.name, one.kind) == (1, "b/w", "b", "high", "high")
    assert (one.message, one.priority, one.state, one.value) == ("b 9.5 > 8", "medium", State.UNACKNOWLEDGED, 9.5)
    assert (one.limit, one.raised_ns, one.returned_ns, one.latched) == (8.0, (T0 + 1) * S, None, True)


async def test_rows_are_narrowed_and_come_in_the_order_of_need(site):
    await site.hear([(0, V, 9.0), (0, "b/w", 9.0)])
    assert [r.alarm for r in site.alarms.rows()] == [HIGH, "b/w#high"]
    assert [r.alarm for r in site.alarms.rows(under="b")] == ["b/w#high"]
    assert [r.alarm for r in site.alarms.rows(priorities=["medium"])] == ["b/w#high"]
    assert site.alarms.rows(states=[State.SHELVED]) == []
    assert len(site.alarms.rows(limit=1)) == 1

    class OnlyB:
        def path(self, path):
            return path.startswith("b/")

    assert [r.alarm for r in site.alarms.rows(sight=OnlyB())] == ["b/w#high"]
    await site.alarms.acknowledge(ANN, [row(site).occurrence])
    assert [r.alarm for r in site.alarms.rows()] == ["b/w#high", HIGH]
    counts = site.alarms.counts()
    assert counts.states == {State.ACKNOWLEDGED: 1, State.UNACKNOWLEDGED: 1}
    assert counts.priorities == {"critical": 0, "high": 1, "medium": 1, "low": 0}
    assert counts.unacknowledged == {"critical": 0, "high": 0, "medium": 1, "low": 0}


async def test_who_waits_is_told_of_a_change_and_not_before(site):
    version = site.alarms.version
    assert await site.alarms.wait(version, 0.01) == version
    waiting = asyncio.create_task(site.alarms.wait(version, 30))
    await site.hear([(0, V, 9.0)])
    assert await waiting > version


# --- what people do -------------------------------------------------------------------------------------------------------


async def test_acknowledging_changes_what_is_there_and_leaves_out_what_is_not(site):
    await site.hear([(0, V, 9.0)])
    assert await site.alarms.acknowledge(ANN, [1, 77], "on my way") == [1]
    assert await site.alarms.acknowledge(ANN, [1]) == []
    assert (row(site).state, row(site).by, row(site).comment) == (State.ACKNOWLEDGED, "ann", "on my way")
    await site.hear([(1, V, 5.0)])
    assert row(site) is None
    await site.alarms.flush()
    (one,) = await site.alarms.occurrences(0, 2**62)
    assert (one.by, one.replayed, one.active_s) == ("ann", False, 1.0)
    assert one.unanswered_s == pytest.approx(0.005, abs=1e-3)
    assert one.cleared_ns == one.returned_ns == (T0 + 1) * S


async def test_a_latched_alarm_is_reset_only_when_it_is_over_and_acknowledged(site):
    await site.hear([(0, "b/w", 9.0)])
    assert await site.alarms.reset(ANN, [1]) == []
    await site.hear([(1, "b/w", 5.0)])
    assert await site.alarms.reset(ANN, [1]) == []
    await site.alarms.acknowledge(ANN, [1])
    assert site.states() == {"b/w#high": "Latched"}
    assert await site.alarms.reset(ANN, [1]) == [1]
    assert site.states() == {}


async def test_a_shelf_has_an_end_a_reason_and_a_maximum(site):
    for seconds, reason, problem in (
        (MAX_SHELVE_S + 3600, "x", "within 12 h"),
        (-1, "x", "must lie ahead"),
        (60, " ", "reason: must say why"),
    ):
        with pytest.raises(ConfigError, match=problem):
            await site.alarms.shelve(ANN, [HIGH], until(site, seconds), reason)
    with pytest.raises(ConfigError, match="no such alarm, was 'a/v#hgih'"):
        await site.alarms.shelve(ANN, [HIGH, "a/v#hgih"], until(site, 60), "x")
    assert site.states() == {}
    assert await site.alarms.shelve(ANN, [HIGH], until(site, 60), "sensor swings") == [HIGH]
    assert (row(site).state, row(site).reason, row(site).shelved_until_ns) == (
        State.SHELVED,
        "sensor swings",
        until(site, 60),
    )
    await site.hear([(10, V, 9.0)])
    await site.hear([(20, V, 5.0)])
    await site.hear([(30, V, 9.0)])
    assert site.states() == {HIGH: "Shelved"}
    site.at(61)
    await site.alarms.tick()
    assert site.states() == {HIGH: "Unacknowledged"}
    assert [line[2:4] for line in await site.journal()] == [("Normal", "Shelved"), ("Shelved", "Unacknowledged")]


async def test_an_alarm_that_returned_on_the_shelf_comes_back_normal(site):
    await site.hear([(0, V, 9.0)])
    await site.alarms.shelve(ANN, [HIGH], until(site, 600), "known")
    await site.hear([(5, V, 5.0)])
    assert await site.alarms.unshelve(ANN, [HIGH]) == [HIGH]
    assert await site.alarms.unshelve(ANN, [HIGH]) == []
    assert site.states() == {}
    (one,) = await site.alarms.occurrences(0, 2**62)
    assert one.returned_ns == (T0 + 5) * S


async def test_a_latched_alarm_stays_latched_on_the_shelf(site):
    await site.hear([(0, "b/w", 9.0)])
    await site.alarms.shelve(ANN, ["b/w#high"], until(site, 600), "known")
    await site.hear([(5, "b/w", 5.0)])
    await site.alarms.unshelve(ANN, ["b/w#high"])
    assert site.states() == {"b/w#high": "ReturnedUnacknowledged"}


async def test_out_of_service_outranks_a_shelf_and_a_shelf_what_is_by_design(site):
    await site.alarms.shelve(ANN, [HIGH], until(site, 600), "known")
    await site.alarms.out_of_service(ANN, [HIGH], "pipe is open", until(site, 900))
    assert site.states() == {HIGH: "OutOfService"}
    await site.hear([(5, V, 9.0)])
    assert await site.alarms.in_service(ANN, [HIGH]) == [HIGH]
    assert site.states() == {HIGH: "Shelved"}
    await site.alarms.out_of_service(ANN, [HIGH], "pipe is open", until(site, 900))
    site.at(950)
    await site.alarms.tick()  # both ends are over
    assert site.states() == {HIGH: "Unacknowledged"}
    await site.alarms.out_of_service(ANN, ["a/v#low"], "for good")
    site.at(10**6)
    await site.alarms.tick()
    assert site.states()["a/v#low"] == "OutOfService"


async def test_what_is_not_begun_refuses_and_says_so(tmp_path):
    site = plants.Site(tmp_path, plants.plant_of(TEXT))
    with pytest.raises(TryLater, match="being read"):
        await site.alarms.acknowledge(ANN, [1])
    site.close()


# --- limits at run time ---------------------------------------------------------------------------------------------------


async def test_a_limit_changed_at_run_time_counts_at_once_and_outlives_a_restart(site):
    await site.hear([(0, V, 7.0)])
    site.at(10)
    found = await site.alarms.change(ANN, HIGH, {"limit": 6.5, "priority": "critical"}, "summer")
    assert (found.values["limit"], found.declared, found.changed_by) == (6.5, {"limit": 8.0, "priority": "high"}, "ann")
    assert (found.state, found.change_reason) == (State.UNACKNOWLEDGED, "summer")
    assert (row(site).limit, row(site).priority, row(site).raised_ns) == (6.5, "critical", (T0 + 10) * S)
    await site.again()
    await site.hear([(20, V, 6.0)])
    await site.hear([(30, V, 6.7)])
    assert row(site).raised_ns == (T0 + 10) * S  # not cleared in between: it is the same occurrence
    (definition,) = [d for d in site.alarms.definitions("a") if d.key == HIGH]
    assert definition.declared == {"limit": 8.0, "priority": "high"}
    assert definition.alarm.spec.limit == 8.0
    back = await site.alarms.change(ANN, HIGH, {"limit": 8.0, "priority": "high"}, "autumn")
    assert (back.declared, back.changed_by) == ({}, "")
    assert site.states() == {HIGH: "ReturnedUnacknowledged"}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"limit": 2.0}, "values.limit: must be above low"),
        ({"limit": float("nan")}, "values.limit: must be a number"),
        ({"limit": True}, "values.limit: must be a number"),
        ({"deadband": -1.0}, "values.deadband: may not be negative"),
        ({"on_delay_s": 1e9}, "values.on_delay_s: must be at most 1 d"),
        ({"priority": "urgent"}, "values.priority: must be one of"),
        ({"message": "x"}, "values.message: cannot be changed at run time"),
    ],
)
async def test_values_that_make_no_sense_are_refused(site, values, problem):
    with pytest.raises(ConfigError, match=problem):
        await site.alarms.change(ANN, HIGH, values, "why")
    assert site.alarms.definitions("a")[0].declared == {}


async def test_only_declared_alarms_with_a_limit_have_one_to_change(site):
    with pytest.raises(ConfigError, match="an alarm of kind communication has none"):
        await site.alarms.change(ANN, "connections/plc1#communication", {"limit": 1.0}, "why")
    with pytest.raises(ConfigError, match="declares no such alarm"):
        await site.alarms.change(ANN, "x#y", {"limit": 1.0}, "why")


# --- other rooms ----------------------------------------------------------------------------------------------------------


async def test_what_another_room_reports_lives_like_any_alarm_and_is_durable(site):
    trip = Reported("trips/press", "a/v", "critical", "Press tripped", cause="door")
    for _ in range(2):
        await site.alarms.report(trip, active=True, time_ns=(T0 + 1) * S)
    await site.again()
    one = row(site, "trips/press")
    assert (one.asset, one.priority, one.kind, one.cause, one.state) == (
        "a",
        "critical",
        "reported",
        "door",
        State.UNACKNOWLEDGED,
    )
    await site.alarms.acknowledge(ANN, [one.occurrence])
    await site.alarms.shelve(ANN, ["trips/press"], until(site, 60), "known")
    await site.alarms.unshelve(ANN, ["trips/press"])
    for _ in range(2):
        await site.alarms.report(trip, active=False, time_ns=(T0 + 9) * S)
    await site.alarms.acknowledge(ANN, [one.occurrence])
    assert site.states() == {}
    await site.again()
    assert [d.key for d in site.alarms.definitions() if d.kind == "reported"] == []
    with pytest.raises(ConfigError, match="priority"):
        await site.alarms.report(Reported("x", "", "urgent", "x"), active=True, time_ns=1)


# --- beginning again ------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M63")
async def test_frames_that_come_again_change_nothing(site):
    heard = [await site.hear([(t, V, 9.0 if t % 3 else 5.0)]) for t in range(20)]
    before = await site.journal()
    await site.alarms.take(heard)
    assert await site.journal() == before
    await site.again()  # without a mark: everything comes again
    await site.alarms.take(heard)
    assert await site.journal() == before
    assert site.alarms._judge.cells.active.any() == bool(site.states().get(HIGH) == "Unacknowledged")


@pytest.mark.mission("M63")
async def test_what_came_while_core_was_down_is_judged_by_its_own_time(site):
    await site.hear([(0, V, 5.0)])
    await site.alarms.mark()
    missed = [site.arrived([(100, V, 9.0)]), site.arrived([(200, V, 5.0)]), site.arrived([(300, V, 9.0)])]
    site.at(1000)
    await site.again()
    await site.alarms.take(missed)
    assert site.states() == {}  # held: the edge has not caught up
    await site.alarms.flush()
    await site.again()  # killed again meanwhile
    await site.alarms.take(missed)
    await site.hear([(1000, V, 9.0)])
    site.at(1003)
    await site.hear([(1003, V, 9.0)])
    assert await site.journal() == [
        (100.0, HIGH, "Normal", "Unacknowledged", 9.0, True),
        (200.0, HIGH, "Unacknowledged", "Normal", 9.0, True),
        (300.0, HIGH, "Normal", "Unacknowledged", 9.0, False),
    ]


async def test_a_delay_goes_on_over_a_restart(tmp_path):
    text = TEXT.replace("limit: 8, priority: high", "limit: 8, on_delay: 60 s")
    site = plants.Site(tmp_path, plants.plant_of(text))
    await site.begin()
    await site.hear([(0, V, 9.0)])
    await site.alarms.mark()
    await site.again()
    await site.hear([(61, "b/w", 1.0)])
    assert [line[0] for line in await site.journal()] == [60.0]
    site.close()


async def test_a_bus_that_began_anew_is_heard_from_its_first_frame(site):
    await site.hear([(0, V, 5.0)])
    await site.alarms.mark()
    site.alarms = type(site.alarms)(site.engine, site.clock)
    await site.alarms.begin(site.plant, 0)  # the mark is of frame 1, the new bus has none
    site.seqs.clear()
    site.stream_seq = 0
    one = site.arrived([(10, V, 9.0)])
    object.__setattr__(one.frame, "epoch", 2)
    site.at(10)
    await site.alarms.take([one])
    assert site.states() == {HIGH: "Unacknowledged"}


async def test_the_first_beginning_takes_values_as_they_are_and_hears_what_follows(tmp_path):
    site = plants.Site(tmp_path, plants.plant_of(TEXT))
    seed = plants.frame(site.plant, 1, [(-50, V, 9.0)]).batches
    await site.alarms.begin(site.plant, 3, seed)
    assert row(site).raised_ns == (T0 - 50) * S
    for _ in range(3):
        await site.hear([(1, V, 5.0)])  # frames up to the third were on the bus before
    assert site.states() == {HIGH: "Unacknowledged"}
    await site.hear([(2, V, 5.0)])
    assert site.states() == {HIGH: "ReturnedUnacknowledged"}
    site.close()


async def test_another_plant_keeps_what_stands_withdraws_what_is_gone_and_judges_by_its_numbers(site):
    await site.hear([(0, V, 9.0), (0, "b/w", 9.0)])
    await site.alarms.acknowledge(ANN, [row(site).occurrence])
    ids = {t.path: t.id for t in site.plant.tags}
    text = (
        HEAD
        + 'assets: {a: {source: plc1, tags: {v: {at: "hr 0 float32", alarms: {high: 8.5, low: 1, quality: low}}}}}\n'
    )
    site.plant = plants.plant_of(text, 2, ids)
    site.at(10)
    await site.alarms.describe(site.plant)
    assert site.states() == {HIGH: "Acknowledged"}
    assert (await site.journal())[-1][1:4] == ("b/w#high", "Unacknowledged", "Normal")
    site.plant = plants.plant_of(text.replace("8.5", "9.5"), 3, ids)
    await site.alarms.describe(site.plant)
    assert site.states() == {}
    await site.again()
    await site.hear([(20, V, 9.2)])
    assert site.states() == {}


async def test_a_new_alarm_judges_the_value_that_is_there(site):
    await site.hear([(0, V, 9.0)])
    ids = {t.path: t.id for t in site.plant.tags}
    text = TEXT.replace("low: 2", "low: 2, high_high: 8.9") + "alarms: {x: {when: '{a/v} > 8.5 and {b/w} > 1'}}\n"
    site.plant = plants.plant_of(text, 2, ids)
    site.at(5)
    seed = plants.frame(site.plant, 1, [(-9, "b/w", 3.0)]).batches
    await site.alarms.describe(site.plant, seed)
    assert site.states() == {HIGH: "Unacknowledged", "a/v#high_high": "Unacknowledged", "#x": "Unacknowledged"}


# --- storing and telling --------------------------------------------------------------------------------------------------


class Listener:
    name = "listener"

    def __init__(self):
        self.heard_seqs: list[int] = []
        self.failing = 1

    async def after(self):
        return self.heard_seqs[-1] if self.heard_seqs else 0

    async def heard(self, changes):
        if self.failing:
            self.failing -= 1
            raise OSError("mail is down")
        self.heard_seqs += [c.seq for c in changes]


async def test_listeners_hear_every_stored_change_in_order_also_after_they_failed(site, monkeypatch):
    monkeypatch.setattr("isthmus.alarms.service.RETRY_S", 0.01)
    listener = Listener()
    site.alarms.feed(listener)
    for t in range(10):
        await site.hear([(t, V, 9.0 if t % 2 else 5.0)])
    running = asyncio.create_task(site.alarms.run())
    async with asyncio.timeout(60):
        while len(listener.heard_seqs) < 10 - 1:
            await asyncio.sleep(0.01)
        await site.hear([(20, "b/w", 9.0)])
        while len(listener.heard_seqs) < 10:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert listener.heard_seqs == list(range(1, 11))


async def test_a_full_disk_loses_nothing_and_is_told(site, monkeypatch):
    written = site.alarms._store.write

    def full(pending):
        raise OSError("no space left")

    monkeypatch.setattr(site.alarms._store, "write", full)
    await site.hear([(0, V, 9.0)])
    with pytest.raises(TryLater, match=r"in force.*no space left"):
        await site.alarms.acknowledge(ANN, [1])
    assert site.states() == {HIGH: "Acknowledged"}
    await site.hear([(1, V, 5.0)])
    monkeypatch.setattr(site.alarms._store, "write", written)
    assert [line[3] for line in await site.journal()] == ["Unacknowledged", "Acknowledged", "Normal"]
    assert await site.alarms.cursor() == {("edge-1", Lane.LIVE): Position(1, 2)}


async def test_the_journal_is_searched_by_time_path_alarm_and_page(site):
    for t in range(6):
        await site.hear([(t, V, 9.0 if t % 2 else 5.0), (t, "b/w", 9.0 if t % 2 else 5.0)])
    await site.alarms.flush()
    whole = await site.alarms.journal(0, 2**62)
    assert [e.change.seq for e in whole] == list(range(len(whole), 0, -1))
    assert {e.change.alarm for e in await site.alarms.journal(0, 2**62, under="b")} == {"b/w#high"}
    assert {e.change.alarm for e in await site.alarms.journal(0, 2**62, alarm=HIGH)} == {HIGH}
    page = await site.alarms.journal(0, 2**62, limit=3)
    rest = await site.alarms.journal(0, 2**62, before=page[-1].change.seq)
    assert page + rest == whole
    assert all(e.change.time_ns < (T0 + 2) * S for e in await site.alarms.journal(0, (T0 + 2) * S))
    spans = await site.alarms.occurrences(T0 * S, (T0 + 2) * S, under="a")
    assert [o.alarm for o in spans] == [HIGH]


@pytest.mark.mission("M24")
async def test_a_flood_loses_nothing_and_the_list_stays_usable(tmp_path):
    n = 1_000
    tags = ", ".join(f't{i}: {{at: "hr {2 * i} float32", alarms: {{high: 8}}}}' for i in range(n))
    site = plants.Site(tmp_path, plants.plant_of(HEAD + f"assets: {{a: {{source: plc1, tags: {{{tags}}}}}}}\n"))
    await site.begin()
    await site.hear([(1, f"a/t{i}", 9.0) for i in range(n)])
    assert len(site.alarms.rows()) == 500
    assert sum(site.alarms.counts().states.values()) == n
    assert len(await site.journal()) == n
    numbers = [r.occurrence for r in site.alarms.rows(limit=n)]
    assert len(await site.alarms.acknowledge(ANN, numbers)) == n
    await site.again()
    assert site.alarms.counts().states == {State.ACKNOWLEDGED: n}
    site.close()


# --- the table ------------------------------------------------------------------------------------------------------------


def test_the_table_is_whole():
    reached = set(TABLE.values())
    assert reached == set(State)
    for state in State:
        assert any(before is state for before, _ in TABLE)
    for trigger in Trigger:
        assert any(fired is trigger for _, fired in TABLE), trigger
    assert all(before is not after for (before, _), after in TABLE.items())


@pytest.mark.parametrize(
    ("consequence", "seconds", "priority"),
    [("minor", 60, "medium"), ("minor", 3600, "low"), ("major", 300, "high"), ("major", 301, "medium"), ("severe", 60, "critical"), ("severe", 1800, "high"), ("severe", 1801, "medium")],
)  # fmt: skip
def test_priority_follows_from_consequence_and_time(consequence, seconds, priority):
    assert priority_of(consequence, seconds) == priority
