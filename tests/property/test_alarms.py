"""Alarms by chance: the life cycle never leaves its table, and the same samples make the same journal however they come."""

from __future__ import annotations

import asyncio
import importlib.util
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from isthmus.alarms.evaluate import Judge, Kind
from isthmus.alarms.model import ASIDE, TABLE
from isthmus.values.frame import Lane
from isthmus.values.messages.alarms import State
from isthmus.values.status import BAD

pytestmark = [pytest.mark.mission("M24", "M63"), pytest.mark.real("sqlite")]
_spec = importlib.util.spec_from_file_location("plants", Path(__file__).parents[1] / "unit" / "alarms" / "plants.py")
assert _spec is not None
plants = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(plants)
S, T0 = plants.S, plants.T0
FEW = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
"""Shrinking costs minutes, for each example opens records."""

LIFE = plants.plant_of(
    plants.HEAD
    + """
assets:
  a:
    source: plc1
    tags:
      v: {at: "hr 0 float32", alarms: {high: {limit: 8, suppress_when: not run}, high_high: {limit: 9, latch: true}}}
      run: {at: co 0, kind: switch}
"""
)
KEYS = ("a/v#high", "a/v#high_high")
ACTS = st.one_of(
    st.tuples(st.just("value"), st.sampled_from([5.0, 8.5, 9.5])),
    st.tuples(st.just("run"), st.sampled_from([0, 1])),
    st.tuples(st.sampled_from(["acknowledge", "reset"]), st.sampled_from(KEYS)),
    st.tuples(st.sampled_from(["shelve", "unshelve", "out_of_service", "in_service"]), st.sampled_from(KEYS)),
    st.tuples(st.sampled_from(["restart", "mark", "wait"]), st.none()),
)


async def act(site, what, on, t: int) -> None:
    alarms, ann = site.alarms, plants.Ann()
    site.at(t)
    if what == "value":
        await site.hear([(t, "a/v", on)])
    elif what == "run":
        await site.hear([(t, "a/run", on)])
    elif what in ("acknowledge", "reset"):
        await getattr(alarms, what)(ann, [r.occurrence for r in alarms.rows() if r.alarm == on])
    elif what == "shelve":
        await alarms.shelve(ann, [on], site.clock.now_ns() + 3 * S, "noise")
    elif what == "out_of_service":
        await alarms.out_of_service(ann, [on], "work")
    elif what in ("unshelve", "in_service"):
        await getattr(alarms, what)(ann, [on])
    elif what == "mark":
        await alarms.mark()
    elif what == "restart":
        await alarms.flush()
        await site.again()
    await alarms.tick()


@FEW
@given(steps=st.lists(ACTS, min_size=5, max_size=30))
def test_the_life_cycle_never_leaves_its_table(steps):
    async def live() -> None:
        with tempfile.TemporaryDirectory() as folder:
            site = plants.Site(Path(folder), LIFE)
            await site.begin()
            await site.hear([(0, "a/v", 5.0), (0, "a/run", 1)])
            value, run = 5.0, 1
            for t, (what, on) in enumerate(steps, 1):
                value, run = on if what == "value" else value, on if what == "run" else run
                await act(site, what, on, t)
            await check(site, value, run)
            site.close()

    asyncio.run(live())


async def check(site, value: float, run: int) -> None:
    """What the journal and the list say of each alarm fits together, and with the value."""
    await site.alarms.flush()
    entries = list(reversed(await site.alarms.journal(0, 2**62)))
    assert [e.change.seq for e in entries] == list(range(1, len(entries) + 1))
    states = dict.fromkeys(KEYS, State.NORMAL)
    for e in entries:
        assert TABLE[e.change.before, e.trigger] is e.change.after
        assert states[e.change.alarm] is e.change.before
        states[e.change.alarm] = e.change.after
    shown = {r.alarm: r.state for r in site.alarms.rows()}
    assert shown == {key: state for key, state in states.items() if state is not State.NORMAL}
    assert site.alarms.total() == len(shown) == sum(site.alarms.counts().states.values())
    assert site.alarms.counts().states == Counter(shown.values())
    holds = {"a/v#high": value > 8, "a/v#high_high": value > 9}
    for key, state in states.items():
        if state not in ASIDE:
            assert (state in (State.UNACKNOWLEDGED, State.ACKNOWLEDGED)) == holds[key], (key, value)
    assert run or states["a/v#high"] in (State.SUPPRESSED_BY_DESIGN, State.OUT_OF_SERVICE, State.SHELVED)
    open_ = {o.alarm for o in await site.alarms.occurrences(0, 2**62) if o.cleared_ns is None}
    assert open_ == {r.alarm for r in site.alarms.rows() if r.occurrence}


# --- frames ---------------------------------------------------------------------------------------------------------------

TWO_EDGES = plants.plant_of(
    """
plant: {enterprise: acme, site: lyon}
connections:
  plc1: {driver: modbus-tcp, host: 127.0.0.1}
  plc2: {driver: modbus-tcp, host: 127.0.0.2, edge: edge-2}
types:
  pump:
    tags:
      v: {at: "hr 0 float32", setpoint: sp, alarms: {high: {limit: 8, deadband: 1}, low: {limit: 2, on_delay: 3 s, off_delay: 2 s}, deviation: 4, rate: {limit: 1, over: 5 s}, quality: low}}
      sp: {at: "hr 2 float32"}
      s: {at: hr 4, map: packml, alarms: {states: {Aborted: high}}}
    alarms: {sick: {when: "{v#high} or s == Aborted", suppress_when: "sp < 1"}}
assets:
  a: {type: pump, source: plc1}
  b: {type: pump, source: plc2}
"""
)
TAGS = {
    "v": st.sampled_from([1.0, 3.0, 5.0, 7.5, 8.5]),
    "sp": st.sampled_from([0.5, 5.0]),
    "s": st.sampled_from([6, 9]),
}


@st.composite
def stories(draw):
    """Samples of two edges by time, each tag at most once at a time, some of them bad."""
    found = {}
    for edge, asset in (("edge-1", "a"), ("edge-2", "b")):
        rows, t = [], 0
        for _ in range(draw(st.integers(3, 10))):
            t += draw(st.integers(1, 4))
            for name in draw(st.sets(st.sampled_from(sorted(TAGS)), min_size=1)):
                status = BAD if draw(st.integers(0, 9)) == 0 else 0
                rows.append((t, f"{asset}/{name}", draw(TAGS[name]), status))
        found[edge] = rows
    return found


@st.composite
def cuts(draw, story):
    """The same samples as frames: cut anywhere between two times, edges interleaved anyhow, some frames twice."""
    frames = {}
    for edge, rows in story.items():
        times = sorted({row[0] for row in rows})
        ends = [*sorted(draw(st.sets(st.sampled_from(times)))), times[-1]]
        parts, first = [], -1
        for end in dict.fromkeys(ends):
            parts.append(([r for r in rows if first < r[0] <= end], end))
            first = end
        frames[edge] = [*parts, ([], times[-1] + 30)]
    order = draw(st.permutations([edge for edge, parts in frames.items() for _ in parts]))
    left = {edge: list(parts) for edge, parts in frames.items()}
    return [(edge, *left[edge].pop(0)) for edge in order], draw(st.lists(st.integers(0, len(order) - 1), max_size=4))


async def told(story, frames, again: list[int], restarts: list[int]) -> list[tuple]:
    with tempfile.TemporaryDirectory() as folder:
        site = plants.Site(Path(folder), TWO_EDGES)
        await site.begin()
        heard = []
        for n, (edge, rows, sealed) in enumerate(frames):
            one = site.arrived(rows, sealed=sealed, edge=edge)
            heard.append(one)
            await site.alarms.take([one])
            if n in again:
                await site.alarms.take(heard[max(0, n - 2) :])
            if n in restarts:
                if n % 2:
                    await site.alarms.flush()
                since = await site.alarms.mark() if n % 3 == 0 else 0
                await site.again()
                await site.alarms.take([h for h in heard if h.stream_seq > since])
        found = sorted(await site.journal())
        site.close()
        return found


@FEW
@given(data=st.data())
def test_frames_cut_interleaved_repeated_and_replayed_give_the_same_journal(data):
    story = data.draw(stories())
    straight = [(edge, rows, rows[-1][0] if rows else 0) for edge, rows in story.items()]
    straight += [(edge, [], rows[-1][0] + 30) for edge, rows in story.items()]
    frames, again = data.draw(cuts(story))
    restarts = data.draw(st.lists(st.integers(0, len(frames) - 1), max_size=2))
    wanted = asyncio.run(told(story, straight, [], []))
    assert asyncio.run(told(story, frames, again, restarts)) == wanted


@FEW
@given(
    values=st.lists(st.sampled_from([1.0, 5.0, 7.2, 8.0, 8.5, float("nan")]), min_size=1, max_size=60),
    cut=st.integers(1, 20),
    shuffled=st.randoms(use_true_random=False),
)
def test_columns_judge_as_one_sample_after_the_other_would(values, cut, shuffled):
    """Hysteresis in columns against the same in words, whatever the order of rows within a frame."""
    plant = plants.plant_of(
        plants.HEAD
        + 'assets: {a: {source: plc1, tags: {v: {at: "hr 0 float32", alarms: {high: {limit: 8, deadband: 1}}}}}}\n'
    )
    judge = Judge(plant.by_id, plant.alarms)
    wanted, on = [], False
    for t, value in enumerate(values):
        now = True if value > 8 else False if value <= 7 else on
        if now != on:
            wanted.append((t, Kind(now)))
        on = now
    found = []
    for seq, first in enumerate(range(0, len(values), cut)):
        rows = [(t, "a/v", v) for t, v in enumerate(values)][first : first + cut]
        shuffled.shuffle(rows)
        signals = judge.take("edge-1", plants.frame(plant, seq + 1, rows)).signals
        found += [((s.time_ns - T0 * S) // S, s.kind) for s in signals]
    assert found == wanted


@FEW
@given(rows=st.lists(st.tuples(st.integers(0, 50), st.sampled_from([5.0, 9.0])), max_size=30, unique_by=lambda r: r[0]))
def test_late_rows_never_disturb_what_runs(rows):
    """Whatever comes late, what runs goes on as without it, and what it journals is over."""

    async def live(late) -> tuple[list, dict]:
        with tempfile.TemporaryDirectory() as folder:
            site = plants.Site(Path(folder), LIFE)
            await site.begin()
            await site.hear([(100, "a/v", 8.5), (100, "a/run", 1)])
            for t, value in late:
                await site.hear([(t, "a/v", value)], lane=Lane.BACKFILL, sealed=101)
            await site.hear([(102, "a/v", 9.5)])
            site.at(120)
            await site.alarms.tick()
            found, states = await site.journal(), site.states()
            site.close()
            return found, states

    plain, states = asyncio.run(live([]))
    found, after = asyncio.run(live(rows))
    assert after == states
    assert [line for line in found if not line[-1]] == plain
    past = [line for line in found if line[-1]]
    assert all(line[0] <= 50 for line in past)
    assert len(past) % 2 == 0


def occurrences(plant, heards, last: int) -> list[tuple]:
    """(alarm, raised, returned) in seconds; what still holds ends with the last sample."""
    found, open_ = [], {}
    for heard in heards:
        found += [(past.alarm, past.raised_ns, past.returned_ns) for past in heard.past]
        for signal in heard.signals:
            if signal.kind is Kind.RAISED:
                open_[signal.alarm] = signal.time_ns
            elif signal.kind is Kind.RETURNED and signal.alarm in open_:
                found.append((signal.alarm, open_.pop(signal.alarm), signal.time_ns))
    found += [(alarm, raised, (T0 + last) * S) for alarm, raised in open_.items()]
    return sorted((plant.alarms[a].key, (b - T0 * S) // S, (e - T0 * S) // S) for a, b, e in found)


@settings(FEW, max_examples=60)
@given(data=st.data())
def test_what_comes_late_is_judged_as_if_it_had_come_in_time(data):
    """A line was cut for a while: what runs is heard first, what was kept comes behind it, with a mark taken anywhere."""
    story = [row for rows in data.draw(stories()).values() for row in rows]
    last = max(row[0] for row in story) + 1
    story = sorted(story, key=lambda row: row[0])
    story += [(last, f"{asset}/{name}", value, 0) for asset in "ab" for name, value in (("v", 5), ("sp", 5), ("s", 6))]
    plant = TWO_EDGES
    intime = Judge(plant.by_id, plant.alarms)
    wanted = [
        intime.take("edge-1", plants.frame(plant, 1, [r for r in story if r[1][0] == "a"], sealed=last)),
        intime.take("edge-2", plants.frame(plant, 1, [r for r in story if r[1][0] == "b"], sealed=last)),
        intime.tick((T0 + last) * S),
    ]
    judge = Judge(plant.by_id, plant.alarms)
    now = [(10_000 + t, path, value, 0) for t, path, value, _ in story[-6:]]
    found = [judge.take("edge-1", plants.frame(plant, 1, now))]
    ends = [*sorted(data.draw(st.sets(st.integers(0, last), max_size=3))), last]
    first = -1
    for end in dict.fromkeys(ends):
        rows = [row for row in story if first < row[0] <= end]
        found.append(judge.take("edge-1", plants.frame(plant, end + 2, rows, sealed=10_000 + last, lane=Lane.BACKFILL)))
        first = end
        if data.draw(st.booleans()):
            kept = judge.capture().pack()
            judge = Judge(plant.by_id, plant.alarms)
            judge.carry(kept)
    found.append(judge.end_late())
    assert occurrences(plant, found, last) == occurrences(plant, wanted, last)
