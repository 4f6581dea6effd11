"""The room: live machines, closed days, late samples, entries and restatements, over records in SQLite."""

from __future__ import annotations

import asyncio
import importlib.util
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from isthmus.app.records import open_records
from isthmus.namespace.model import ProductionLine
from isthmus.ports.history import Gap
from isthmus.production import service
from isthmus.production.kpi import store as kpi_store
from isthmus.production.kpi.service import KpiRoom
from isthmus.production.model import CODE, Entry, EntryKind, MarkKind, StateClass
from isthmus.values.errors import ConfigError, TryLater
from isthmus.values.frame import Lane

_spec = importlib.util.spec_from_file_location("machines", Path(__file__).with_name("machines.py"))
assert _spec is not None
machines = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(machines)
S, MIN, H, D, T0, DAY0 = machines.S, machines.MIN, machines.H, machines.D, machines.T0, machines.DAY0
FILLER, series = machines.FILLER, machines.series
pytestmark = [pytest.mark.mission("M50", "M51", "M52", "M61"), pytest.mark.real("sqlite")]
A = FILLER.asset


@pytest.fixture
def engine(tmp_path):
    engine = open_records(tmp_path / "records.db")
    yield engine
    engine.dispose()


@pytest.fixture
def hall(engine):
    return machines.Room(engine, machines.plant(FILLER))


async def lived(hall, days=2, seed=1):
    """Some days as they come, hour by hour, each closed."""
    samples = machines.day(seed, days=days)
    await hall.room.begin()
    await hall.settle()
    for hour in range(24 * days):
        a, b = T0 + hour * H, T0 + (hour + 1) * H
        hall.now(b)
        hall.send({tag: some.between(a - 1, b - 1) for tag, some in samples.items()})
        await hall.settle(1)
    hall.now(T0 + days * D + 10 * MIN)
    await hall.settle()
    return samples


@pytest.mark.parametrize("limited", [False, True])
async def test_after_a_start_open_spans_are_read_together_and_are_the_same(engine, limited):
    mates = [replace(FILLER, asset=f"line/m{n}", state=3 * n + 1, good=3 * n + 2, reject=3 * n + 3) for n in range(30)]
    days = {m.asset: machines.day(n) for n, m in enumerate(mates)}
    record = machines.MemoryRecord()
    for n, mate in enumerate(mates):
        for tag, some in days[mate.asset].items():
            record.store(3 * n + tag, some.between(T0 - 1, T0 + 20 * H))
    plain = record.samples

    async def samples(tags, start_ns, end_ns):
        if limited and len(tags) > 3:
            raise TryLater("too much", after_s=1.0)
        return await plain(tags, start_ns, end_ns)

    record.samples = samples
    hall = machines.Room(engine, machines.plant(*mates), now_ns=T0 + 20 * H, record=record)
    await hall.room.begin()
    await hall.settle(1)
    assert (record.asked < 60) == (not limited)
    for n, mate in enumerate(mates):
        (one,) = await hall.room.facts(mate.asset, T0, T0 + 20 * H)
        own = {3 * n + tag: some for tag, some in days[mate.asset].items()}
        whole = machines.folded(mate, own, 20, planner=machines.Shifts(), known=T0 + 20 * H)
        assert one.good_u == int(whole.rows["good"].sum())
        ran = whole.rows["klass"] == CODE[StateClass.RUNNING]
        assert one.ns[StateClass.RUNNING] == int(whole.rows["ns"][ran].sum())


async def sums(hall, start=0, end=48, by=()):
    return await hall.room.facts("", T0 + start * H, T0 + end * H, by)


async def test_a_stop_is_seen_at_once_and_asks_for_a_reason(hall):
    hall.now(T0 + H)
    await hall.room.begin()
    await hall.settle()
    hall.send({1: series((3545, 1)), 2: series((3545, 0), (3590, 90))})
    before = hall.room.version
    hall.send({1: series((3599.5, 2))})
    assert hall.room.version > before
    (now,) = hall.room.machines()
    assert (now.state_class, now.state, now.stop) == (StateClass.STOPPED, 2, f"{A}@{T0 + 3599 * S + S // 2}")
    assert (now.good, now.shift, now.team) == (90, "early", "A")
    assert now.since_ns == T0 + 3599 * S + S // 2
    hall.now(T0 + H + 10 * MIN)
    await hall.settle()
    assert hall.room.machines()[0].uncoded == 1


async def test_waiting_ends_when_something_happens(hall):
    hall.now(T0 + H)
    await hall.room.begin()
    version = hall.room.version
    waiting = asyncio.ensure_future(hall.room.wait(version, 5))
    await asyncio.sleep(0)
    hall.send({1: series((3500, 1))})
    assert await waiting > version
    assert await hall.room.wait(hall.room.version, 0) == hall.room.version


async def test_days_close_and_figures_stay_the_same_to_the_last_digit(hall):
    hall.now(T0)
    samples = await lived(hall)
    found = await sums(hall)
    assert found[0].all_ns == 2 * D
    whole = machines.folded(FILLER, samples, 48, planner=machines.Shifts())
    assert found[0].total_u == int(whole.rows["total"].sum())
    assert found[0].stops + found[0].minor_stops == int(whole.rows["stops"].sum())
    for state_class, seconds in machines.times(whole).items():
        assert found[0].ns[StateClass(state_class)] == round(seconds * S)


async def test_a_restart_goes_on_where_it_was(hall, engine):
    hall.now(T0)
    await lived(hall, days=1)
    hall.now(T0 + D + 3 * H)
    hall.send({1: series((D / S + 60, 1), (D / S + 4000, 2)), 2: series((D / S + 60, 5), (D / S + 9000, 500))})
    await hall.settle()
    before = await sums(hall, 0, 27)
    again = machines.Room(engine, hall.plant, now_ns=hall.clock.now_ns(), record=hall.record)
    await again.room.begin()
    await again.settle()
    assert await sums(again, 0, 27) == before
    assert not await again.room.restatements()


async def test_late_samples_restate_a_closed_day_with_the_difference(hall):
    hall.now(T0)
    await lived(hall, days=1)
    before = (await sums(hall, 0, 24))[0]
    late = {1: series((40_000.25, 2), (40_600.25, 1))}
    hall.send(late, lane=Lane.BACKFILL)
    await hall.settle()
    after = (await sums(hall, 0, 24))[0]
    assert after != before
    (told,) = await hall.room.restatements()
    assert (told.asset, told.day, told.why) == (A, date.fromordinal(DAY0).isoformat(), "samples came late")
    moved = {key.removesuffix(" ns"): told.after[key] - told.before[key] for key in told.after if key.endswith(" ns")}
    assert sum(moved.values()) == 0
    assert {c: after.ns[StateClass(c)] - before.ns.get(StateClass(c), 0) for c in moved} == moved


async def test_samples_that_come_twice_change_nothing(hall):
    hall.now(T0)
    samples = await lived(hall, days=1)
    before = await sums(hall, 0, 24)
    hall.send({tag: some.between(T0 + 5 * H, T0 + 6 * H) for tag, some in samples.items()})
    await hall.settle()
    assert await sums(hall, 0, 24) == before
    assert not await hall.room.restatements()
    assert hall.room.waiting() == 0


async def test_late_samples_wait_until_the_record_has_them(hall):
    hall.now(T0)
    await lived(hall, days=1)
    hall.record.seq += 5
    seq = hall.record.seq
    hall.record.committed = lambda: seq
    hall.send({1: series((40_000.25, 2))})
    await hall.settle()
    assert hall.room.waiting() == 1
    hall.record.committed = lambda: seq + 1
    await hall.settle()
    assert hall.room.waiting() == 0


async def test_dirty_days_outlive_a_kill(hall, engine):
    hall.now(T0)
    await lived(hall, days=1)
    hall.record.committed = lambda: 0
    hall.send({1: series((40_000.25, 2))})
    assert await hall.room.acknowledgeable() == 0
    record = machines.MemoryRecord()
    record.kept, record.seq = hall.record.kept, hall.record.seq
    again = machines.Room(engine, hall.plant, now_ns=hall.clock.now_ns(), record=record)
    await again.room.begin()
    assert again.room.waiting() == 1
    await again.settle()
    assert len(await again.room.restatements()) == 1


async def test_a_gap_mark_makes_closed_time_unknown(hall):
    hall.now(T0)
    await lived(hall, days=1)
    before = (await sums(hall, 0, 24))[0]
    gap = Gap("edge-1", T0 + 10 * H, T0 + 11 * H, "frames lost on the bus")
    hall.record.marks.append(gap)
    hall.room.gap_found(gap.edge, gap.start_ns, gap.end_ns)
    await hall.settle()
    after = (await sums(hall, 0, 24))[0]
    assert after.ns[StateClass.UNKNOWN] > before.ns.get(StateClass.UNKNOWN, 0) + 50 * MIN
    assert after.all_ns == D


async def test_a_silent_edge_makes_its_machines_unknown_and_keeps_the_day_open(hall):
    hall.now(T0 + H)
    await hall.room.begin()
    await hall.settle()
    hall.send({1: series((3000, 1))})
    hall.silent["edge-1"] = T0 + H
    hall.now(T0 + 2 * H)
    await hall.settle()
    assert hall.room.machines()[0].state_class is StateClass.UNKNOWN
    hall.now(T0 + 30 * H)
    await hall.settle()
    assert (await sums(hall, 0, 30, ("day",)))[0].ns[StateClass.UNKNOWN] > 0
    del hall.silent["edge-1"]
    await hall.settle(8)
    assert hall.room.machines()[0].state_class is StateClass.RUNNING


async def test_a_reason_takes_a_stop_out_of_planned_time_at_once(hall):
    hall.now(T0 + 3 * H)
    await hall.room.begin()
    hall.send({1: series((60, 1), (3600, 2), (4200, 1))})
    await hall.settle()
    (stop,) = [
        s for s in await hall.room.stops("", T0, T0 + 3 * H, uncoded=True) if s.state_class is StateClass.STOPPED
    ]
    said = Entry(EntryKind.REASON, A, stop.start_ns, stop.end_ns, {"reason": "planned/clean"}, "ann")
    number = await hall.room.enter(said)
    assert not [s for s in await hall.room.stops("", T0, T0 + 3 * H, uncoded=True) if s.id == stop.id]
    found = (await sums(hall, 0, 3))[0]
    assert found.ns[StateClass.PLANNED] == 10 * MIN
    assert [e.number for e in await hall.room.entries(A, T0, T0 + 3 * H)] == [number]
    await hall.room.enter(replace(said, replaces=number, void=True))
    assert StateClass.PLANNED not in (await sums(hall, 0, 3))[0].ns


async def test_a_reason_for_a_closed_day_is_a_restatement_that_names_the_entry(hall):
    hall.now(T0)
    await lived(hall, days=1)
    stop = next(s for s in await hall.room.stops("", T0, T0 + D) if s.ns > 5 * MIN and not s.minor)
    number = await hall.room.enter(
        Entry(EntryKind.REASON, A, stop.start_ns, stop.end_ns, {"reason": "mechanical/jam"}, "ann")
    )
    (told,) = await hall.room.restatements()
    assert told.why == f"entry {number}"
    found = {one.key["reason"]: one for one in await sums(hall, 0, 24, ("reason",))}
    assert sum(found["mechanical/jam"].ns.values()) == stop.ns
    coded = next(s for s in await hall.room.stops("", T0, T0 + D) if s.id == stop.id)
    assert (coded.reason, coded.entry) == ("mechanical/jam", number)


async def test_a_closed_day_follows_what_was_said_even_when_core_was_killed_before_it_could(hall, engine, monkeypatch):
    hall.now(T0)
    await lived(hall, days=1)
    stop = next(s for s in await hall.room.stops("", T0, T0 + D) if s.ns > 5 * MIN and not s.minor)

    async def killed(*_):
        raise OSError("killed")

    monkeypatch.setattr(hall.room, "_follow", killed)
    with pytest.raises(OSError, match="killed"):
        await hall.room.enter(
            Entry(EntryKind.REASON, A, stop.start_ns, stop.end_ns, {"reason": "mechanical/jam"}, "ann")
        )
    again = machines.Room(engine, hall.plant, now_ns=hall.clock.now_ns(), record=hall.record)
    await again.room.begin()
    assert not again.room.ready(A)
    await again.settle()
    found = {one.key["reason"]: one for one in await sums(again, 0, 24, ("reason",))}
    assert sum(found["mechanical/jam"].ns.values()) == stop.ns
    assert [told.why for told in await again.room.restatements()] == ["entry 1"]
    assert again.room.ready(A)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (Entry(EntryKind.REASON, A, T0, T0 + S, {"reason": "no/such"}), "is not offered"),
        (Entry(EntryKind.REASON, "nowhere", T0, T0 + S, {"reason": "mechanical/jam"}), "no machine"),
        (Entry(EntryKind.SCRAP, A, T0, T0, {"count": 0}), "must not be 0"),
        (Entry(EntryKind.SPLIT, A, T0 + S, T0), "before start"),
        (Entry(EntryKind.CREW, A, T0, T0, {"team": "B"}, replaces=77), "no entry 77"),
    ],
)
async def test_entries_that_say_nothing_sensible_are_refused(hall, entry, problem):
    await hall.room.begin()
    with pytest.raises(ConfigError, match=problem):
        await hall.room.enter(entry)


async def test_a_reason_that_is_gone_from_the_plant_stays_in_what_was_coded(hall):
    hall.now(T0)
    await lived(hall, days=1)
    stop = next(s for s in await hall.room.stops("", T0, T0 + D) if not s.coded)
    await hall.room.enter(Entry(EntryKind.REASON, A, stop.start_ns, stop.end_ns, {"reason": "mechanical/jam"}))
    hall.plant = replace(hall.plant, reasons=())
    await hall.room.plant_changed()
    await hall.settle()
    assert "mechanical/jam" in {one.key["reason"] for one in await sums(hall, 0, 24, ("reason",))}


async def test_recomputation_changes_nothing_and_a_new_plant_only_what_is_asked_for(hall):
    hall.now(T0)
    await lived(hall)
    before = await sums(hall)
    assert await hall.room.recompute("", T0, T0 + 2 * D) == 2
    await hall.settle()
    assert await sums(hall) == before
    assert not await hall.room.restatements()
    slower = replace(FILLER, ideal_count=1)
    hall.plant = machines.plant(slower)
    await hall.room.plant_changed()
    await hall.settle()
    assert await sums(hall, 0, 48) == before
    await hall.room.recompute("line", T0, T0 + D, "the ideal rate was wrong")
    await hall.settle()
    (told,) = await hall.room.restatements()
    assert told.why == "the ideal rate was wrong"


async def test_a_machine_that_is_new_counts_what_the_record_has(engine):
    hall = machines.Room(engine, machines.plant(FILLER), now_ns=T0 + 3 * D + H)
    for tag, some in machines.day(3, days=3).items():
        hall.record.store(tag, some)
    await hall.room.begin()
    await hall.settle()
    found = await sums(hall, 0, 72, ("day",))
    assert [one.key["day"] for one in found] == [date.fromordinal(DAY0 + n).isoformat() for n in range(3)]
    assert found[1].all_ns == D


async def test_ranges_are_cut_at_quarters_of_an_hour_and_hours_add_up(hall):
    hall.now(T0)
    await lived(hall)
    whole = (await hall.room.facts("", T0 + 5 * H, T0 + 29 * H))[0]
    hours = await hall.room.facts("", T0 + 5 * H, T0 + 29 * H, ("hour",))
    assert whole.all_ns == 24 * H
    assert len(hours) == 24
    assert sum(one.total_u for one in hours) == whole.total_u
    part = (await hall.room.facts("", T0 + 5 * H + 15 * MIN, T0 + 6 * H))[0]
    assert part.all_ns == 45 * MIN


async def test_every_way_to_ask_adds_up_to_the_whole(hall):
    hall.now(T0)
    await lived(hall)
    whole = (await sums(hall))[0]
    for by in (
        "machine",
        "line",
        "shift",
        "day",
        "order",
        "operation",
        "product",
        "team",
        "reason",
        "group",
        "loss",
        "class",
        "hour",
    ):
        parts = await sums(hall, by=(by,))
        assert all(set(one.key) == {by} for one in parts)
        assert sum(one.all_ns for one in parts) == whole.all_ns
        assert sum(one.good_u for one in parts) == whole.good_u
        assert sum(one.stops for one in parts) == whole.stops
    crossed = await sums(hall, by=("shift", "day"))
    assert len({tuple(one.key.values()) for one in crossed}) == len(crossed) == 6
    with pytest.raises(ConfigError, match="by: known are"):
        await sums(hall, by=("moon",))


async def test_two_operations_of_one_order_at_one_machine_are_two_rows(hall):
    hall.now(T0)
    await lived(hall)
    spans = ((8, 10, "10"), (10, 11, "20"), (30, 31, "10"))
    for begin, end, operation in spans:
        values = {"order": "JO-1", "operation": operation, "product": "cola"}
        await hall.room.enter(
            Entry(EntryKind.ORDER, A, T0 + begin * H, T0 + end * H, values, "sue", hall.clock.now_ns())
        )
    await hall.settle()
    found = {tuple(one.key.values()): one for one in await sums(hall, by=("order", "operation"))}
    assert {key: one.all_ns // H for key, one in found.items() if key[0]} == {("JO-1", "10"): 3, ("JO-1", "20"): 1}
    whole = {one.key["order"]: one for one in await sums(hall, by=("order",))}
    assert whole["JO-1"].total_u == sum(one.total_u for key, one in found.items() if key[0])
    assert whole["JO-1"].total_u > 0
    told = await hall.room.intervals(A, T0 + 9 * H, T0 + 11 * H)
    assert {one.order for one in told} == {"JO-1"}, "people read the order's own number"


async def test_a_line_is_its_constraint_with_the_counts_of_where_it_is_counted(engine):
    filler = replace(FILLER, good=2, reject=0)
    labeller = replace(FILLER, asset="line/labeller", state=11, good=12, reject=13, ideal_count=3, place=1)
    line = ProductionLine("line", (A, "line/labeller"), constraint=A, counts_at="line/labeller", cost_per_min=42.0)
    hall = machines.Room(engine, machines.plant(filler, labeller, lines=(line,)), machines.Always(), now_ns=T0 + 2 * H)
    await hall.room.begin()
    hall.send(
        {
            1: series((0, 1), (3600, 2)),
            2: series((0, 0), (3000, 5000)),
            11: series((0, 1)),
            12: series((0, 0), (3000, 3600)),
            13: series((0, 0), (3000, 400)),
        }
    )
    await hall.settle()
    (one,) = await hall.room.figures("", T0, T0 + 2 * H)
    said = one[1]
    assert (said.planned_ns, said.run_ns) == (2 * H, H)
    assert (said.total, said.good) == (4000, 3600)
    assert said.oee == 3600 / 2 / 7200
    assert said.cost == 60 * 42.0
    each = {f.key["machine"]: g for f, g in await hall.room.figures("line", T0, T0 + 2 * H, ("machine",))}
    assert each[A].good == 5000
    assert each["line/labeller"].run_ns == 2 * H
    assert each[A].cost == 600.0
    alone = (await hall.room.figures(A, T0, T0 + 2 * H))[0][1]
    assert alone.good == 5000


async def test_machines_that_nothing_rates_drag_no_line_and_no_site_down(engine):
    """One without counters, one without an ideal rate; and a line whose constraint is counted at another machine."""
    mixer = replace(FILLER, asset="line/mixer", line="line", state=4, good=0, reject=0)  # a rate, and nothing counts
    press = replace(FILLER, asset="line/press", line="line", state=7, good=8, reject=9, ideal_count=0, ideal_per_ns=0)
    oven = replace(FILLER, asset="two/oven", line="two", state=10, good=0, reject=0, ideal_count=3)
    packer = replace(FILLER, asset="two/packer", line="two", state=13, good=14, reject=15)
    plant = machines.plant(
        FILLER, mixer, press, oven, packer,
        lines=(ProductionLine("two", ("two/oven", "two/packer"), "two/oven", "two/packer"),),
    )  # fmt: skip
    hall = machines.Room(engine, plant, now_ns=T0)
    await hall.room.begin()
    samples = {}
    for n in range(5):
        samples |= {3 * n + tag: some for tag, some in machines.day(n).items()}
    hall.now(T0 + D + 10 * MIN)
    hall.send(samples)
    await hall.settle()

    async def one(under, by=()):
        return {tuple(f.key.values()): said for f, said in await hall.room.figures(under, T0, T0 + D, by)}

    each, line, site = await one("", ("machine",)), (await one("line"))[()], (await one(""))[()]
    alone, second = each[("line/filler",)], (await one("two"))[()]
    assert alone.performance is not None
    assert (line.performance, line.quality, line.oee) == (alone.performance, alone.quality, alone.oee)
    assert line.run_ns > alone.run_ns
    assert line.unrated_run_ns == each[("line/mixer",)].run_ns + each[("line/press",)].run_ns
    assert line.total == alone.total + each[("line/press",)].total
    for asset, why in (("line/mixer", "nothing counts pieces here"), ("two/oven", "nothing counts pieces here")):
        assert (each[(asset,)].performance, each[(asset,)].oee) == (None, None)
        assert each[(asset,)].why["performance"] == why
    assert each[("line/press",)].why["oee"] == "no ideal rate is declared for what was made"
    # the second line is its constraint's time with what the packer counted, at the constraint's rate
    oven_ns, made = each[("two/oven",)].run_ns, each[("two/packer",)].total
    assert second.unrated_run_ns == 0
    assert second.performance == pytest.approx(made * S / 3 / oven_ns)
    assert site.performance == pytest.approx(
        ((alone.ideal_total_ns or 0) + (second.ideal_total_ns or 0)) / (alone.run_ns + oven_ns)
    )
    now = {m.asset: m for m in hall.room.machines()}
    assert now["line/mixer"].target is None


async def test_an_order_with_a_rate_rates_a_machine_that_has_none(engine):
    bare = replace(FILLER, ideal_count=0, ideal_per_ns=0)
    hall = machines.Room(engine, machines.plant(bare), now_ns=T0)
    await hall.room.begin()
    hall.now(T0 + 4 * H)
    hall.send(
        {
            1: series((0, 1), (2 * 3600, 2), (3 * 3600, 1)),
            2: series((0, 0), (3600, 3000), (4 * 3600, 4000)),
            3: series((0, 0)),
        }
    )
    await hall.settle()
    ((_, before),) = await hall.room.figures(A, T0, T0 + 4 * H)
    assert (before.performance, before.oee, before.unrated_ns) == (None, None, 4 * H)
    values = {"order": "A1", "product": "p", "ideal_count": 1, "ideal_per_ns": S}
    await hall.room.enter(Entry(EntryKind.ORDER, A, T0, T0 + H, values, "ana"))
    ((_, said),) = await hall.room.figures(A, T0, T0 + 4 * H)
    assert said.performance == 3000 / 3600
    assert said.unrated_run_ns == 2 * H
    assert said.oee == 3000 / 7200  # the hour it stood is a loss, whatever would have been made
    assert said.quality == 1.0


async def test_lineage_names_intervals_marks_and_the_samples(hall):
    hall.now(T0 + 2 * H)
    await hall.room.begin()
    hall.send({1: series((0, 1), (600, 77), (660, 1)), 2: series((0, 1000), (60, 1060), (120, 5))})
    await hall.settle()
    found = await hall.room.lineage(A, T0, T0 + H, "oee")
    assert sum(i.end_ns - i.start_ns for i in found.intervals) == H
    assert {m.kind for m in found.marks} == {MarkKind.RESET, MarkKind.STATE_UNKNOWN}
    assert {q.what: q.tags for q in found.questions} == {
        "state": ("tags/t1",),
        "good": ("tags/t2",),
        "reject": ("tags/t3",),
    }
    assert found.counts["good"] == 65


async def test_a_replay_from_raw_samples_is_equal_and_changes_nothing(hall, engine):
    """Two closed days and one that runs; settled, late and doubled samples; what people said; a start in between."""
    hall.now(T0)
    await lived(hall)
    more = machines.day(7)
    hall.now(T0 + 2 * D + 5 * H)
    hall.send({tag: machines.shifted(some, 2 * D).between(0, hall.clock.now_ns()) for tag, some in more.items()})
    await hall.settle()
    await hall.room.enter(Entry(EntryKind.SCRAP, A, T0 + 2 * D + H, 0, {"count": 3, "reason": "scrap/dent"}, "ana"))
    hall.send({1: series((2 * D / S + 600, 2), (2 * D / S + 605, 1))})  # late
    await hall.settle()
    hall.now(T0 + 2 * D + 5 * H + 30 * MIN)
    before = await sums(hall, 0, 54)
    for room in (hall, machines.Room(engine, hall.plant, now_ns=hall.clock.now_ns(), record=hall.record)):
        if room is not hall:
            await room.room.begin()
            await room.settle()
        (found,) = await room.room.replay("", T0, T0 + 3 * D)
        assert (found.asset, found.days, found.differences, found.notes) == (A, 2, (), ())
        assert found.intervals > 5
        assert found.kept == found.computed
        assert found.kept is not None
        assert found.kept.oee == (await room.room.figures(A, T0, T0 + 3 * D))[0][1].oee
        assert await sums(room, 0, 54) == before
        assert await room.room.restatements() == []


async def test_a_replay_tells_machine_span_and_both_values_of_what_differs(hall):
    hall.now(T0)
    await lived(hall)
    hall.now(T0 + 2 * D + 2 * H)
    hall.send(
        {1: series((2 * D / S + 60, 1), (2 * D / S + 4000, 2)), 2: series((2 * D / S + 60, 5), (2 * D / S + 3700, 500))}
    )
    await hall.settle()
    # the record is another one than what was heard: in a closed day a stop, today a count and a stop that goes on
    hall.record.store(1, series((600, 2), (700.25, 1)))
    hall.record.store(2, series((2 * D / S + 3700, 600)))
    hall.record.store(1, series((2 * D / S + 5000, 1)))
    (found,) = await hall.room.replay(A, T0, T0 + 3 * D)
    assert {d.asset for d in found.differences} == {A}
    closed = [d for d in found.differences if d.start_ns < T0 + 2 * D]
    assert closed[0].start_ns == T0
    assert {d.end_ns - d.start_ns for d in closed} == {15 * MIN}
    assert max(d.end_ns for d in closed) < T0 + 2 * H  # until a state that both have
    told = {d.what.partition(" (")[0]: (d.kept, d.computed) for d in closed if d.start_ns == T0}
    assert "running s" in told
    assert told["running s"][0] != told["running s"][1]
    today = {d.what.partition(" (")[0]: d for d in found.differences if d.start_ns >= T0 + 2 * D}
    assert (today["good"].kept, today["good"].computed) == (495, 595)
    assert (today["good"].start_ns, today["good"].end_ns) == (T0 + 2 * D + H, T0 + 2 * D + 75 * MIN)
    assert (
        today["interval"].computed is None or today["interval"].kept is None or "stopped" in str(today["interval"].kept)
    )
    stop = today[f"stop {A}@{T0 + 2 * D + 4000 * S}"]
    assert str(stop.kept).startswith("stopped for 3200 s")
    assert str(stop.computed).startswith("stopped for 1000 s")
    assert found.kept is not None
    assert found.computed is not None
    assert found.kept.run_ns != found.computed.run_ns
    (only,) = await hall.room.replay(A, T0 + D, T0 + 2 * D)
    assert only.differences == ()


async def test_a_replay_waits_for_the_record_and_asks_for_less_at_a_time(hall):
    hall.now(T0 + H)
    await hall.room.begin()
    await hall.settle()
    hall.send({1: series((3500, 1), (3550, 2))}, recorded=False)
    hall.record.seq -= 1  # the record does not have it yet
    asked = asyncio.ensure_future(hall.room.replay("", T0, T0 + H))
    await asyncio.sleep(0)
    assert not asked.done()
    hall.record.store(1, series((3500, 1), (3550, 2)))
    hall.record.seq += 1
    assert (await asked)[0].differences == ()
    with pytest.raises(ConfigError, match="at most 400 at a time"):
        await hall.room.replay("", T0 - 500 * D, T0 + H)


async def test_marks_of_closed_days_are_kept(hall):
    hall.now(T0)
    await lived(hall, days=1)
    found = await hall.room.lineage(A, T0, T0 + D, "quality")
    assert [m.kind for m in found.marks] == [MarkKind.RESET]


async def test_intervals_over_the_last_close_are_one(hall):
    hall.now(T0)
    await hall.room.begin()
    await hall.settle()
    hall.send({1: series((0, 1))})
    hall.now(T0 + D + 10 * MIN)
    await hall.settle()
    hall.send({1: series((D / S + 300, 2))})
    await hall.settle()
    night = [
        i for i in await hall.room.intervals(A, T0 + 22 * H, T0 + D + 10 * MIN) if i.state_class is StateClass.RUNNING
    ]
    assert [(i.shift, (i.end_ns - i.start_ns) // MIN) for i in night] == [("night", 120), ("early", 5)]
    with pytest.raises(ConfigError, match="at most 31 d"):
        await hall.room.intervals(A, T0 - 40 * D, T0)


async def test_what_one_may_not_see_is_in_no_sum(engine):
    other = replace(FILLER, asset="line/capper", state=11, good=12, reject=0)
    hall = machines.Room(engine, machines.plant(FILLER, other), machines.Always(), now_ns=T0 + H)
    await hall.room.begin()
    hall.send({1: series((0, 1)), 11: series((0, 1))})
    await hall.settle()
    assert (await hall.room.facts("", T0, T0 + H))[0].all_ns == 2 * H
    assert (await hall.room.facts("", T0, T0 + H, sees=lambda path: path == A))[0].all_ns == H
    assert await hall.room.facts("", T0, T0 + H, sees=lambda _: False) == []


async def test_an_exception_of_the_calendar_restates_its_days(engine):
    class Closed(machines.Shifts):
        closed = False

        def segments(self, asset, start_ns, end_ns):
            found = super().segments(asset, start_ns, end_ns)
            return replace(found, kind=np.full_like(found.kind, 2)) if self.closed else found

    planner = Closed()
    hall = machines.Room(engine, machines.plant(FILLER), planner)
    await lived(hall, days=1)
    planner.closed = True
    await hall.room.calendar_changed("", T0, T0 + D)
    await hall.settle()
    (told,) = await hall.room.restatements()
    assert told.why == "the calendar was changed"
    assert StateClass.OFF in (await sums(hall, 0, 24))[0].ns


async def test_imported_rows_are_found(hall):
    hall.now(T0)
    await lived(hall, days=2)
    hall.record.store(1, series((50_000.5, 2), (52_000.5, 1)))
    hall.room.restated((1,), (T0 + 50_000 * S + S // 2,))
    await hall.settle()
    assert [r.why for r in await hall.room.restatements()] == ["rows were imported"]


async def test_imported_rows_are_found_also_where_nothing_is_settled_yet(hall):
    hall.now(T0 + 5 * H)
    await hall.room.begin()
    await hall.settle()
    hall.send({1: series((100, 1)), 2: series((100, 0))})
    hall.now(T0 + 5 * H + MIN)
    hall.record.store(1, series((200, 1), (15_000, 1)))
    hall.record.store(2, series((200, 10), (15_000, 400)))
    hall.room.restated((1, 2), (T0 + 200 * S, T0 + 200 * S))
    await hall.settle()
    assert (await sums(hall, 0, 6))[0].good_u == 400_000_000
    hall.send({2: series((16_000, 450)), 1: series((16_000, 1))})
    await hall.settle()
    hall.record.store(2, series((18_050, 700)))  # newer than what is settled, and not from the bus
    hall.room.restated((2,), (T0 + 18_050 * S,))
    await hall.settle()
    assert (await sums(hall, 0, 6))[0].good_u == 700_000_000


async def test_rows_that_came_from_the_bus_out_of_order_are_not_read_again(hall):
    hall.now(T0 + 5 * H)
    await hall.room.begin()
    await hall.settle()
    hall.send({2: series((17_990, 10), (17_995, 20)), 1: series((17_990, 1))})
    asked = hall.record.asked
    hall.room.restated((2,), (T0 + 17_990 * S,))
    await hall.settle()
    assert hall.record.asked == asked


async def test_a_machine_is_accountable_from_its_first_sample_on(hall):
    hall.now(T0)
    await hall.room.begin()
    for hour in range(1, 6):  # its counter is heard long before its state
        hall.now(T0 + hour * H)
        hall.send({2: series((hour * 3600 - 10, hour))})
        await hall.settle()
    hall.now(T0 + 6 * H)
    hall.send({1: series((5.5 * 3600, 1))})
    await hall.settle()
    hall.now(T0 + 8 * H)
    hall.send({1: series((7.9 * 3600, 2))})
    await hall.settle()
    (told,) = await sums(hall, 0, 8)
    assert StateClass.UNKNOWN not in {c for c, ns in told.ns.items() if ns}
    assert told.ns[StateClass.RUNNING] == round(2.4 * H)
    hall.now(T0 + D + 2 * H)
    hall.send({1: series((D / S + 7000, 1))})
    await hall.settle()  # the day is closed, from the record
    assert (await sums(hall, 0, 8)) == [told]


@pytest.mark.parametrize("who", ["the same core", "another core"])
@pytest.mark.parametrize("when", ["read", "write"])
async def test_rows_imported_while_their_day_is_computed_are_counted_as_well(engine, when, who):
    """The record is read, then more of that day is imported: the mark of it must outlive the day that was computed without."""
    samples = machines.day(3, days=2)
    early = {tag: some.between(T0 - 1, T0 + 2 * H) for tag, some in samples.items()}
    hall = machines.Room(engine, machines.plant(FILLER), now_ns=T0 + 2 * D + H)
    for tag, some in early.items():
        hall.record.store(tag, some)
    await hall.room.begin()
    room, record = hall.room, hall.record
    read, write = record.samples, room._compute_now
    imported = []

    def rest() -> None:
        if not imported:
            imported.append(True)
            for tag, some in samples.items():
                record.store(tag, some)
            room.restated([1, 2, 3], [T0 + 2 * H] * 3)

    async def reading(*asked):
        found = await read(*asked)
        if when == "read" and asked[1] == T0:  # by what computes the first day
            rest()
        return found

    def writing(*asked):
        if when == "write":
            rest()
        return write(*asked)

    record.samples, room._compute_now = reading, writing
    await hall.settle()
    assert imported
    record.samples, room._compute_now = read, write
    if who == "another core":  # what is marked is kept
        hall = machines.Room(engine, machines.plant(FILLER), now_ns=T0 + 2 * D + H, record=record)
        await hall.room.begin()
    await hall.settle(8)
    (told,) = await hall.room.replay("", T0, T0 + 2 * D)
    assert told.days == 2
    assert not told.differences
    (one,) = await hall.room.facts("", T0, T0 + D, ())
    assert one.ns[StateClass.RUNNING] > 3 * H


async def test_figures_by_team_product_and_order_in_one_question_add_up_to_the_whole(hall, engine):
    """KPIs over the real accounts: two orders of two products across three crews."""
    kpi_store.metadata.create_all(engine)
    hall.now(T0)
    await lived(hall)
    for begin, end, order, product in ((2, 10, "JO-1", "cola"), (10, 20, "JO-2", "fanta"), (26, 30, "JO-1", "cola")):
        values = {"order": order, "operation": "10", "product": product}
        await hall.room.enter(
            Entry(EntryKind.ORDER, A, T0 + begin * H, T0 + end * H, values, "sue", hall.clock.now_ns())
        )
    await hall.settle()
    names = ("oee", "availability", "good", "downtime", "unknown_share", "order_cost")
    kpis = KpiRoom(engine, lambda: hall.plant, hall.clock)
    asked = ("team", "product", "order")
    rows = await kpis.values(hall.room, names, "", T0, T0 + 2 * D, asked)
    found = {tuple(row.key[name] for name in asked): row.values for row in rows}
    assert {key for key in found if key[2]} == {
        ("A", "cola", "JO-1"), ("B", "cola", "JO-1"), ("B", "fanta", "JO-2"), ("C", "fanta", "JO-2"),
    }  # fmt: skip
    (whole,) = await kpis.values(hall.room, names, "", T0, T0 + 2 * D)
    for name in ("good", "downtime"):
        assert sum(row[name].value or 0 for row in found.values()) == pytest.approx(whole.values[name].value)
    one = next(
        f
        for s, f in await hall.room.figures("", T0, T0 + 2 * D, asked)
        if tuple(s.key.values()) == ("B", "fanta", "JO-2")
    )
    assert found["B", "fanta", "JO-2"]["oee"].value == one.oee * 100
    mean = sum(row["oee"].value or 0 for row in found.values()) / len(found)
    assert whole.values["oee"].value != pytest.approx(mean), "a mean of figures is none"
    assert all(row["order_cost"].value is None and row["order_cost"].why for row in found.values())


async def test_an_hour_without_states_is_unknown_in_every_figure_and_averaged_away_in_none(engine):
    silent = replace(FILLER, stale_after_s=60)
    hall = machines.Room(engine, machines.plant(silent), planner=machines.Always())
    kpi_store.metadata.create_all(engine)
    await hall.room.begin()
    hall.now(T0 + 6 * H)
    minutes = [*range(180), *range(240, 360)]  # nothing from three o'clock to four
    hall.send({1: series(*((60 * m - 30 if m else 0, 1) for m in minutes)), 2: series((0, 0), (6 * 3600 - 60, 700))})
    await hall.settle()
    kpis = KpiRoom(engine, lambda: hall.plant, hall.clock)
    names = ("availability", "unknown_share", "downtime", "oee", "mtbf")
    by_hour = await kpis.values(hall.room, names, A, T0, T0 + 6 * H, ("hour",))
    found = {row.key["hour"][11:13]: {n: v.value for n, v in row.values.items()} for row in by_hour}
    assert found["03"]["unknown_share"] == pytest.approx(100, abs=1)
    assert found["03"]["availability"] == pytest.approx(0, abs=1), "what nobody knows did not run"
    assert found["03"]["downtime"] == pytest.approx(0, abs=0.02), "and did not stand either"
    others = [row["availability"] for hour, row in found.items() if hour not in ("03", "04")]
    assert len(others) == 4
    assert min(others) > 99
    (whole,) = await kpis.values(hall.room, names, A, T0, T0 + 6 * H)
    ((sums_of, said),) = await hall.room.figures(A, T0, T0 + 6 * H)
    assert sums_of.ns[StateClass.UNKNOWN] == said.unknown_ns == pytest.approx(H, rel=0.02)
    assert said.planned_ns == 6 * H, "the hour stays in what was planned"
    assert whole.values["availability"].value == pytest.approx(100 * (6 * H - said.unknown_ns) / (6 * H))
    assert whole.values["unknown_share"].value == pytest.approx(100 / 6, rel=0.02)


@pytest.mark.real("multiprocessing")
async def test_days_folded_in_processes_while_samples_come_are_equal_to_a_replay(engine, monkeypatch):
    """Everything is asked for again; while folders compute it, samples of now, late ones and duplicates come."""
    monkeypatch.setattr(service, "WORTH_DAYS", 3)
    used = []

    class Told(service.Folders):
        def __init__(self, count):
            used.append(count)
            super().__init__(min(count, 2))

    monkeypatch.setattr(service, "Folders", Told)
    hall = machines.Room(engine, machines.plant(FILLER), now_ns=T0)
    await lived(hall, days=4)
    before = await sums(hall, 0, 96)
    used.clear()
    assert await hall.room.recompute("", T0, T0 + 4 * D) == 4
    more = machines.day(9)
    sent = 0
    working = asyncio.create_task(hall.room.tick())
    while not working.done() or sent < 12:  # minutes of the day that runs, some again, while days are folded
        sent += 1
        a, b = 4 * D + 600 * (sent - 1) * S, 4 * D + 600 * sent * S
        hall.now(max(hall.clock.now_ns(), T0 + b))
        batch = {tag: machines.shifted(some, 4 * D).between(T0 + a - 1, T0 + b - 1) for tag, some in more.items()}
        hall.send(batch)
        if sent % 3 == 0:
            hall.send(batch)
        await asyncio.sleep(0.01)
        if sent >= 120:
            break
    await working
    assert used, "folders were used"
    hall.send({1: series((3600, 2), (3605, 1))})  # late, for the first day
    await hall.settle(8)
    (told,) = await hall.room.replay("", T0, hall.clock.now_ns())
    assert (told.days, told.differences, told.notes) == (4, (), ())
    assert told.kept == told.computed
    after = await sums(hall, 24, 96)
    (untouched,) = await hall.room.facts("", T0 + D, T0 + 4 * D)
    assert after == [untouched]
    assert (await sums(hall, 0, 96))[0].total_u == before[0].total_u
    assert any(one.why for one in await hall.room.restatements()), "the late sample is a restatement"
