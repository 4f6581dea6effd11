"""Facts by chance: however samples come, however a day is cut, and whoever computes it, they are the same to the last bit."""

from __future__ import annotations

import asyncio
import importlib.util
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from isthmus.app.records import open_records
from isthmus.namespace.model import Machine
from isthmus.production.facts import Names, Table, Words, sums
from isthmus.production.figures import figures
from isthmus.production.fold import Carry
from isthmus.production.states import Series

pytestmark = [pytest.mark.mission("M50"), pytest.mark.real("sqlite")]
_spec = importlib.util.spec_from_file_location(
    "machines", Path(__file__).parents[1] / "unit" / "production" / "facts" / "machines.py"
)
assert _spec is not None
machines = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(machines)
S, H, D, T0 = machines.S, machines.H, machines.D, machines.T0
FEW = settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PULSE = Machine("line/wrapper", pulse=2, idle_after_s=20, stopped_after_s=90, micro_stop_s=120)
CURRENT = Machine("line/oven", pulse=2, pulse_on=40.0, idle_after_s=20, stopped_after_s=90, good=3)
RULED = Machine(
    "line/press", rules=(("running", "a > 3"), ("starved", "b == 1")), inputs={"a": 1, "b": 3}, good=2, micro_stop_s=60
)  # fmt: skip


@MANY
@given(
    seed=st.integers(0, 2**31),
    cuts=st.lists(st.integers(1, 86_399_999), max_size=8, unique=True),
    machine=st.sampled_from([machines.FILLER, PULSE, CURRENT, RULED]),
    every_s=st.sampled_from([20.0, 300.0, 5000.0]),
)
def test_a_day_cut_anywhere_is_the_same_day(seed, cuts, machine, every_s):
    samples = machines.day(seed, every_s=every_s)
    names = Names()
    gaps = [(T0 + 5 * H, T0 + 5 * H + seed % 7200 * S)]
    whole = machines.folded(machine, samples, 24, planner=machines.Shifts(), names=names, gaps=gaps)
    carry, parts = Carry(), []
    edges = [0, *sorted(cuts), 86_400_000]
    for a, b in pairwise(edges):
        later = {tag: some.between(T0 + a * 10**6 - 1, 2**62) for tag, some in samples.items()}
        part = machines.folded(
            machine, later, (b - a) / 3.6e6, start=a / 3.6e6, planner=machines.Shifts(), names=names, carry=carry,
            known=T0 + D + 600 * S, gaps=gaps,
        )  # fmt: skip
        carry = Carry.from_bytes(part.days[-1].carry.to_bytes())
        parts.append(part.rows)
    found = machines.by_day(np.concatenate(parts), 1)
    assert found.tobytes() == machines.rows_of(whole).tobytes()


@MANY
@given(seed=st.integers(0, 2**31), every_s=st.sampled_from([7.0, 60.0, 900.0]))
def test_times_and_stops_are_those_of_a_plain_count(seed, every_s):
    """Against a walk over the samples one by one, in plain Python."""
    samples = machines.day(seed, every_s=every_s)
    names = Names()
    found = machines.folded(machines.FILLER, samples, 24, names=names).rows
    walked = _walk(samples[1])
    minor = found["reason"] == max(names.known("reason", "minor-stop"), 0)
    assert machines.times(machines.folded(machines.FILLER, samples, 24)) == walked["times"]
    assert int(found["stops"][minor & (found["reason"] > 0)].sum()) == walked["minor"]
    assert int(found["stops"].sum()) == walked["minor"] + walked["major"]


def _walk(series: Series):
    """Times by class and stops of a day, known for ten minutes longer."""
    group = {"running": 0, "idle": 1, "stopped": 1, "setup": 1, "starved": 2, "blocked": 3, "unknown": 4, "off": 4}
    known, end = T0 + D + 600 * S, T0 + D
    steps = [(T0, "off")]  # before its first sample it is accountable for nothing
    for time_ns, value, status in zip(
        series.time_ns.tolist(), series.value.tolist(), series.status.tolist(), strict=True
    ):
        name = "unknown" if status else machines.STATES.get(value, "unknown")
        if steps[-1][0] == time_ns:
            steps.pop()
        steps.append((time_ns, name))
    times, runs = {}, []
    for (a, name), (b, _) in zip(steps, [*steps[1:], (known, "")], strict=True):
        if min(b, end) > a:
            times[name] = times.get(name, 0) + min(b, end) - a
        if runs and runs[-1][2] == group[name]:
            runs[-1][1] = b
        else:
            runs.append([a, b, group[name]])
    stops = [(a, b) for a, b, g in runs if g in (1, 2, 3) and a < end]
    minor = sum(b - a < 120 * S and b < known for a, b in stops)
    return {"times": {k: v / S for k, v in times.items() if v}, "minor": minor, "major": len(stops) - minor}


def _frames(samples, random, *, order, twice, late):
    """Frames of samples as they come: hour by hour, or shuffled, doubled and delayed."""
    pieces = []
    for hour in range(24):
        for tag, some in samples.items():
            part = some.between(T0 + hour * H - 1, T0 + (hour + 1) * H - 1)
            if len(part):
                pieces.append((hour + (random.integers(0, 30) if late and random.random() < 0.2 else 0), tag, part))
    if twice:
        pieces += [pieces[i] for i in random.integers(0, len(pieces), len(pieces) // 3)]
    if order:
        random.shuffle(pieces)
    return sorted(pieces, key=lambda p: p[0])


async def _live(samples, seed, **how):
    """What the room says of a day that came in some way."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_records(Path(folder) / "records.db")
        try:
            random = np.random.default_rng(seed)
            hall = machines.Room(engine, machines.plant(machines.FILLER), now_ns=T0)
            await hall.room.begin()
            for hour, tag, part in _frames(samples, random, **how):
                when = T0 + (hour + 1) * H
                if when > hall.clock.now_ns():
                    await hall.settle(1)
                    hall.now(when)
                hall.send({tag: part})
            hall.now(max(hall.clock.now_ns(), T0 + D) + H)
            await hall.settle(6)
            found = await hall.room.facts("", T0, T0 + D, ("day", "shift", "class", "reason"))
            by = {tuple(one.key.values()): one for one in found}
            return [(key, by[key], figures(by[key])) for key in sorted(by)], hall
        finally:
            engine.dispose()


@FEW
@given(seed=st.integers(0, 2**31))
def test_shuffled_delayed_and_doubled_samples_give_bit_equal_figures(seed):
    samples = machines.day(seed, every_s=600.0, counts_s=120.0)
    straight, _ = asyncio.run(_live(samples, seed, order=False, twice=False, late=False))
    wild, hall = asyncio.run(_live(samples, seed, order=True, twice=True, late=True))
    assert wild == straight
    whole = machines.folded(machines.FILLER, hall.record.kept, 24, planner=machines.Shifts())
    assert sum(one.good_u for _, one, _ in wild) == int(whole.rows["good"].sum())
    assert sum(one.all_ns for _, one, _ in wild) == D


@FEW
@given(seed=st.integers(0, 2**31), hours=st.integers(1, 23))
def test_a_day_that_runs_says_what_it_will_say_when_it_is_computed_again(seed, hours):
    samples = machines.day(seed, every_s=200.0)

    async def both():
        with tempfile.TemporaryDirectory() as folder:
            engine = open_records(Path(folder) / "records.db")
            try:
                hall = machines.Room(engine, machines.plant(machines.FILLER), now_ns=T0)
                await hall.room.begin()
                for quarter in range(4 * hours):
                    a, b = T0 + quarter * H // 4, T0 + (quarter + 1) * H // 4
                    hall.now(b)
                    hall.send({tag: some.between(a - 1, b - 1) for tag, some in samples.items()})
                    await hall.settle(1)
                by = ("shift", "class", "reason")
                live = await hall.room.facts("", T0, T0 + D, by)
                await hall.room.recompute("", T0, T0 + D)
                await hall.settle(2)
                return live, await hall.room.facts("", T0, T0 + D, by)
            finally:
                engine.dispose()

    live, again = asyncio.run(both())
    assert {tuple(one.key.values()): one for one in live} == {tuple(one.key.values()): one for one in again}


@MANY
@given(
    seed=st.integers(0, 2**31),
    bare=st.lists(st.sampled_from(["uncounted", "unrated", "both"]), min_size=1, max_size=3),
    chosen=st.sampled_from([(), ("shift",), ("day",)]),
)
def test_a_machine_that_nothing_rates_never_changes_the_figures_of_the_others(seed, bare, chosen):
    """Performance, quality and OEE of rated machines are the same to the last bit, whatever is added to them."""
    names, machine = Names(), machines.FILLER
    rows, without = {}, {"uncounted": set(), "unrated": set()}
    for code, kind in enumerate(["rated", "rated", *bare], 1):
        own = machine if kind in ("rated", "uncounted") else replace(machine, ideal_count=0, ideal_per_ns=0)
        own = replace(own, good=0, reject=0) if kind in ("uncounted", "both") else own
        names.code("machine", f"m{code}")
        found = machines.folded(own, machines.day(seed + code), 24, planner=machines.Shifts(), names=names)
        rows[code] = machines.by_day(found.rows, code)
        for reason in without if kind == "both" else (kind,):
            if kind != "rated":
                without[reason].add(code)
    words = Words(names, [""] * 9, [0] * 9, {}, frozenset(without["uncounted"]), frozenset(without["unrated"]))

    def asked(codes):
        table = Table.of_days(np.concatenate([rows[code] for code in codes]))
        return {tuple(one.key.values()): one for one in sums(table, chosen, words, str, str)}

    alone, all_of_them = asked([1, 2]), asked(list(rows))
    for key, one in alone.items():
        before, after = figures(one), figures(all_of_them[key])
        assert (before.performance, before.quality, before.oee) == (after.performance, after.quality, after.oee)
        assert after.run_ns - after.unrated_run_ns == before.run_ns
    left = asked([code for code in rows if code > 2])
    assert all(said.performance is None and said.oee is None for said in map(figures, left.values()))
