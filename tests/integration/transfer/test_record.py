"""Imports into the real record: effect once, restated, rolled up again; and out of it and in again the same."""

from __future__ import annotations

import contextlib
import io
import os
from functools import partial
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.historian import service
from isthmus.historian.model import BUCKET_NS, Dirty, Stretch
from isthmus.historian.service import Historian
from isthmus.historian.store import StoreConfig
from isthmus.namespace.model import Tag
from isthmus.ports.frames import Arrived, Position
from isthmus.ports.history import Function, HistoryQuery, Shape
from isthmus.transfer import csv_file, run
from isthmus.transfer.export import Ask, Column, export
from isthmus.transfer.model import Layout, Target
from isthmus.transfer.run import Import, State
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.errors import Findings, Malformed, TryLater
from isthmus.values.frame import Frame, Lane
from isthmus.values.messages.historian import Restated
from isthmus.values.sample import SampleBatch, ValueType

pytestmark = [pytest.mark.real("chdb", "pyarrow"), pytest.mark.mission("M4", "M7")]

T0 = 1_767_600_000 * NS_PER_S
STATES = {0: "Idle", 1: "Execute"}
TAGS = (
    Tag(1, "line/level", "line", "level", "value", ValueType.FLOAT, decimals=2, edge="e1"),
    Tag(2, "line/count", "line", "count", "counter", ValueType.INT, edge="e1"),
    Tag(3, "line/state", "line", "state", "state", ValueType.INT, states=STATES, edge="e1"),
    Tag(4, "line/recipe", "line", "recipe", "text", ValueType.TEXT, edge="e1"),
    Tag(5, "line/noise", "line", "noise", "value", ValueType.FLOAT, edge="e1"),
)
TARGETS = {t.path: Target(t.id, t.path, t.type, {w: n for n, w in (t.states or {}).items()}) for t in TAGS}


@contextlib.asynccontextmanager
async def record(folder: Path, clock: ManualClock | None = None):
    said: list[object] = []
    historian = Historian(StoreConfig(path=folder), clock or ManualClock(T0 + 10 * 86_400 * NS_PER_S), said.append)
    historian.said = said
    await historian.open()
    await historian.describe(TAGS)
    try:
        yield historian
    finally:
        await historian.close()


def floats(tag: int, times: list[int], values: list[float], status: int = 0) -> SampleBatch:
    n = len(times)
    return SampleBatch(
        np.full(n, tag, np.int32), np.array(times, np.int64), np.array(values), np.full(n, status, np.uint32)
    )


async def rows(historian, tags=(1,), shape=Shape.RAW, points=1000, days=12, functions=()):
    query = HistoryQuery(tags, T0 - 86_400 * NS_PER_S, T0 + days * 86_400 * NS_PER_S, shape, points, functions)
    return orjson.loads((await historian.query(query)).body)


async def test_a_block_has_its_effect_once_and_a_later_run_may_send_it_again(tmp_path):
    times = [T0 + i * NS_PER_S for i in range(100)]
    async with record(tmp_path) as historian:
        assert await historian.take_import("ab", Position(5, 1), [floats(1, times, [1.0] * 100)])
        assert not await historian.take_import("ab", Position(5, 1), [floats(1, times, [2.0] * 100)])
        assert not await historian.take_import("ab", Position(4, 9), [floats(1, times, [2.0] * 100)])
        assert await historian.import_position("ab") == Position(5, 1)
        assert await historian.import_position("cd") is None
    async with record(tmp_path) as historian:
        assert await historian.import_position("ab") == Position(5, 1)
        assert await historian.take_import("ab", Position(6, 1), [floats(1, times, [3.0] * 100)])
        assert [r[2] for r in await rows(historian)] == [3.0] * 100
        assert await historian.count() == 100


async def test_a_block_with_an_impossible_time_is_refused_whole(tmp_path):
    async with record(tmp_path) as historian:
        with pytest.raises(Malformed):
            await historian.take_import("ab", Position(1, 1), [floats(1, [T0, 5], [1.0, 2.0])])
        assert await historian.import_position("ab") is None
        assert await historian.count() == 0


async def test_late_rows_are_restated_and_rolled_up_again(tmp_path):
    """An import under live samples: who derives hears from when on, and long ranges answer with the new rows at once."""
    clock = ManualClock(T0 + 3 * 86_400 * NS_PER_S)
    async with record(tmp_path, clock) as historian:
        live = [T0 + i * 60 * NS_PER_S for i in range(2000)]
        await historian.take([Arrived("e1", Frame(Lane.LIVE, 1, 1, 0, 1, (floats(1, live, [10.0] * 2000),)), 1)])
        await historian.roll()
        before = await rows(historian, shape=Shape.BOUNDED, points=20)
        assert {r[4] for r in before} == {10.0}
        historian.said.clear()
        late = [t + NS_PER_S for t in live[:1000]]
        await historian.take_import(
            "ab", Position(1, 1), [floats(1, late, [30.0] * 1000), floats(5, late, [1.0] * 1000)]
        )
        assert historian.said == [Restated((1,), (late[0],))]
        dirty = await rows(historian, shape=Shape.BOUNDED, points=20)
        assert max(r[4] for r in dirty) == 30.0
        clock.advance(60)
        assert await historian.roll()
        assert await rows(historian, shape=Shape.BOUNDED, points=20) == dirty
        assert (await historian.status()).dirty_buckets == 0


async def test_a_block_counts_as_stored_when_whoever_derives_has_noted_it(tmp_path):
    """A kill in between: the block comes again, and is told of again."""

    async def not_yet() -> None:
        raise TryLater("not open")

    live, late = [T0 + i * 60 * NS_PER_S for i in range(100)], [T0 + NS_PER_S]
    async with record(tmp_path) as historian:
        await historian.take([Arrived("e1", Frame(Lane.LIVE, 1, 1, 0, 1, (floats(1, live, [10.0] * 100),)), 1)])
        historian.noted = not_yet
        with pytest.raises(TryLater):
            await historian.take_import("ab", Position(1, 1), [floats(1, late, [30.0])])
        assert await historian.import_position("ab") is None
    async with record(tmp_path) as historian:
        assert await historian.take_import("ab", Position(1, 1), [floats(1, late, [30.0])])
        assert historian.said == [Restated((1,), (late[0],))]
        assert await historian.count() == 101


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_large_block_is_marked_as_a_stretch_that_survives_a_restart(tmp_path, restarted):
    clock = ManualClock(T0 + 300 * 86_400 * NS_PER_S)
    n = 6000
    times = [T0 + i * BUCKET_NS for i in range(n)]
    async with contextlib.AsyncExitStack() as stack:
        historian = await stack.enter_async_context(record(tmp_path, clock))
        await historian.take_import("ab", Position(1, 1), [floats(1, times, [float(i) for i in range(n)])])
        want = await rows(historian, shape=Shape.BOUNDED, points=50, days=60)
        if restarted:
            await stack.aclose()
            historian = await stack.enter_async_context(record(tmp_path, clock))
        assert (await historian.status()).dirty_buckets == n
        assert historian._tags.newest(1) == times[-1]
        assert not await historian.roll() or restarted  # an import that may still go on is not rolled up yet
        clock.advance(60)
        await historian.roll()
        assert (await historian.status()).dirty_buckets == 0
        assert await rows(historian, shape=Shape.BOUNDED, points=50, days=60) == want
    async with record(tmp_path, clock) as historian:
        assert (await historian.status()).dirty_buckets == 0
        assert await rows(historian, shape=Shape.BOUNDED, points=50, days=60) == want


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_import_that_begins_meanwhile_comes_first_and_the_rest_is_rolled_up_after_it(
    tmp_path, monkeypatch, restarted
):
    monkeypatch.setattr(service.rollup, "_ROWS", 1500)
    monkeypatch.setattr(service.rollup, "_RUN", 6000)
    clock, steps = ManualClock(T0 + 300 * 86_400 * NS_PER_S), []
    n, compute = 6000, service.rollup.compute_stretch
    async with contextlib.AsyncExitStack() as stack:
        historian = await stack.enter_async_context(record(tmp_path, clock))

        def watched(store, stretch, ver, stop):
            def asked() -> bool:
                steps.append(stretch.first)
                if len(steps) == 3:
                    historian._imported_ns = clock.monotonic_ns()  # a block arrives
                return stop()

            return compute(store, stretch, ver, asked)

        monkeypatch.setattr(service.rollup, "compute_stretch", watched)
        times = [T0 + i * BUCKET_NS for i in range(n)]
        await historian.take_import("ab", Position(1, 1), [floats(1, times, [float(i) for i in range(n)])])
        want = await rows(historian, shape=Shape.BOUNDED, points=50, days=60)
        clock.advance(60)
        assert await historian.roll() == 3000
        assert (await historian.status()).dirty_buckets == 3000
        assert await rows(historian, shape=Shape.BOUNDED, points=50, days=60) == want
        if restarted:
            await stack.aclose()
            historian = await stack.enter_async_context(record(tmp_path, clock))
            assert (await historian.status()).dirty_buckets == 3000
        clock.advance(60)
        assert await historian.roll() == 3000
        first = T0 // BUCKET_NS
        assert steps == [first] * 3 + [first + 3000] * 2  # nothing was computed twice
        assert (await historian.status()).dirty_buckets == 0
        assert await rows(historian, shape=Shape.BOUNDED, points=50, days=60) == want


async def test_a_rollup_stopped_at_any_step_leaves_nothing_out(tmp_path, monkeypatch):
    monkeypatch.setattr(service.importer, "FEW_PAIRS", 10)
    for name, value in (("_ROWS", 30), ("_PAIRS", 1), ("_RUN", 70)):
        monkeypatch.setattr(service.rollup, name, value)
    clock = ManualClock(T0 + 300 * 86_400 * NS_PER_S)
    times = [T0 + i * BUCKET_NS // 2 for i in range(400)]
    async with record(tmp_path, clock) as historian:
        blocks = [floats(tag, times, [float(i * tag) for i in range(400)]) for tag in (1, 5)]
        await historian.take_import("ab", Position(1, 1), blocks)
        want = [await rows(historian, shape=Shape.BOUNDED, points=20, days=7)]
        left = list(historian._dirty.stretches)
        assert [len(s.tags) for s in left] == [2]
        steps = 0
        while left:
            stop = iter((False, False, True)).__next__
            compute = partial(service.rollup.compute_stretch, stretch=left[0], ver=1 << 62, stop=stop)
            left[:1] = await historian._store.bulk(compute)
            steps += 1
        assert steps > 10
        computed = await historian._store.read(
            lambda store: store.rows("SELECT tag, count(), uniq(ts) FROM isthmus.rollup GROUP BY tag ORDER BY tag")
        )
        assert computed == [[1, 200, 200], [5, 200, 200]]
        historian._dirty.stretches = ()
        assert [await rows(historian, shape=Shape.BOUNDED, points=20, days=7)] == want


def test_stretches_are_joined_only_where_that_covers_no_more():
    a, b = frozenset({1}), frozenset({2})
    dirty = Dirty()
    for s in (Stretch(0, 5, a), Stretch(5, 9, a), Stretch(20, 30, a), Stretch(20, 30, b)):
        dirty.stretch(s)
    assert sorted(dirty.stretches, key=lambda s: s.first) == [Stretch(0, 9, a), Stretch(20, 30, a | b)]
    assert len(dirty) == 19
    assert dirty.spans({2}, 0, 1 << 62) == [(20 * BUCKET_NS, 30 * BUCKET_NS)]
    assert dirty.begin_stretches(25) == (Stretch(0, 9, a), Stretch(20, 25, a | b))
    assert dirty.stretches == (Stretch(25, 30, a | b),)
    assert dirty.spans({1}, 0, 1 << 62) == [(0, 9 * BUCKET_NS), (20 * BUCKET_NS, 30 * BUCKET_NS)]
    dirty.done_stretches(failed=True)
    assert len(dirty) == 19
    dirty.begin_stretches(25)
    dirty.done_stretches()
    assert len(dirty) == 5


class LoopDoor:
    """The way of blocks without HTTP: straight into a historian, by its own route's reader; may be cut."""

    def __init__(self, historian, loop, cut_after: int = 10**9) -> None:
        self.historian, self.loop, self.left, self.sent = historian, loop, cut_after, []

    def _run(self, work):
        import asyncio

        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def position(self, key):
        found = self._run(self.historian.import_position(key))
        return (None, 0) if found is None else (found.epoch, found.seq)

    def send(self, key, epoch, block, body):
        from isthmus.namespace.model import Plant
        from isthmus.web.routes.transfer import read_block

        if not self.left:
            raise ConnectionError("killed")
        self.left -= 1
        plant = Plant(1, "acme", "lyon", "UTC", TAGS, by_id={t.id: t for t in TAGS})
        self.sent.append(block)
        self._run(self.historian.take_import(key, Position(epoch, block), read_block(body, plant)))


def content(n: int, wrong: int = 0) -> str:
    lines = ["tag,time,value,status"]
    for i in range(n):
        at = np.datetime_as_string(np.datetime64(T0 + i * 7_000_000_000 + i % 3, "ns"))
        bad = ",0x80050000" if i % 40 == 0 else ",0"
        lines += [
            f"line/level,{at}Z,{i % 977 / 100}{bad}",
            f"line/count,{at}Z,{2**53 + i}{bad}",
            f"line/state,{at}Z,{('Idle', 'Execute')[i % 2]}{bad}",
            f'line/recipe,{at}Z,"bread, ""{i % 5}""",0',
            f"line/noise,{at}Z,{float(np.sin(i))!r},0",
        ]
    lines[2:2] = ["line/level,never,1,0"] * wrong
    return "\n".join(lines) + "\n"


async def importing(file, historian, folder, *, rejects=None, cut_after=10**9, now_ns=T0 + 10 * 86_400 * NS_PER_S):
    import asyncio

    door = LoopDoor(historian, asyncio.get_running_loop(), cut_after)
    one = Import(file, Layout(), TARGETS, now_ns)
    return await asyncio.to_thread(one.run, door, folder, rejects), door


async def test_a_cut_import_goes_on_where_it_was_and_doubles_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_file, "PIECE_BYTES", 20_000)
    monkeypatch.setattr(run, "BLOCK_ROWS", 600)
    file, states = tmp_path / "a.csv", tmp_path / "imports"
    file.write_text(content(2000, wrong=3))
    rejects = tmp_path / "rejects.csv"
    async with record(tmp_path / "h") as historian:
        with pytest.raises(ConnectionError):
            await importing(file, historian, states, rejects=rejects, cut_after=5)
        (state,) = states.glob("*.json")
        assert State.read(state).block == 5
        tally, door = await importing(file, historian, states, rejects=rejects, now_ns=T0 + 11 * 86_400 * NS_PER_S)
        assert (tally.samples, tally.refused, tally.rows) == (10_000, 3, 10_003)
        assert len(door.sent) < 25
        assert await historian.count() == 10_000
        assert not list(states.iterdir())
        assert len(rejects.read_text().splitlines()) == 4
    # A record that was restored to before the import knows nothing of it: the state is not believed.
    async with record(tmp_path / "h2") as historian:
        with pytest.raises(ConnectionError):
            await importing(file, historian, states, rejects=rejects, cut_after=5)
    async with record(tmp_path / "h3") as historian:
        tally, _ = await importing(file, historian, states, rejects=rejects)
        assert await historian.count() == tally.samples == 10_000


async def test_a_file_goes_in_whole_or_not_at_all(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(content(50, wrong=30))
    async with record(tmp_path / "h") as historian:
        with pytest.raises(Findings, match=r"a\.csv:3:2: error: time: .*was never") as told:
            await importing(file, historian, tmp_path)
        assert "30 of 280 rows cannot be taken, so nothing was" in str(told.value)
        assert "and 10 more rows" in str(told.value)
        assert await historian.count() == 0


async def test_importing_twice_changes_nothing(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(content(300))
    async with record(tmp_path / "h") as historian:
        await importing(file, historian, tmp_path)
        once = await answers(historian)
        os.utime(file, (1, 1))
        await importing(file, historian, tmp_path)
        assert await historian.count() == 1500
        assert await answers(historian) == once


async def answers(historian):
    """What the record says, in every shape."""
    ids = tuple(t.id for t in TAGS)
    functions = (Function.COUNT, Function.FIRST, Function.LAST, Function.DURATION, Function.TIME_WEIGHTED_MEAN)
    return [
        await rows(historian, ids),
        await rows(historian, ids, Shape.BOUNDED, 7),
        await rows(historian, ids, Shape.BOUNDED, 500),
        await rows(historian, ids, Shape.AGGREGATE, 6, functions=functions),
    ]


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
@pytest.mark.parametrize("mixed", [True, False], ids=["all kinds", "each kind alone"])
async def test_out_and_in_again_is_the_same_record(tmp_path, form, mixed):
    """What is exported and imported into an empty record answers every question alike."""
    import asyncio

    file = tmp_path / "a.csv"
    file.write_text(content(400))
    async with record(tmp_path / "h") as historian, _served(historian) as fetch:
        await importing(file, historian, tmp_path)
        want = await answers(historian)
        groups = [TAGS] if mixed else [(t,) for t in TAGS]
        files = []
        for i, group in enumerate(groups):
            out = tmp_path / f"out{i}.{form}"
            columns = [Column(t.path, t.type.value, bool(t.states)) for t in group]
            ask = Ask(columns, "2025-12-01T00:00:00Z", "2026-12-01T00:00:00Z")
            assert await asyncio.to_thread(export, fetch, ask, form, out) == 400 * len(group)
            files.append(out)
    if form == "arrow":
        for out in files:
            pq.write_table(pa.ipc.open_stream(out.read_bytes()).read_all(), out)
    async with record(tmp_path / "again") as historian:
        for out in files:
            tally, _ = await importing(out, historian, tmp_path)
            assert tally.refused == 0
        assert await answers(historian) == want


@contextlib.asynccontextmanager
async def _served(historian):
    """GET history with every sample, as the API streams it."""
    import asyncio

    from isthmus.web.routes.history import choose_format

    loop = asyncio.get_running_loop()
    by_path = {t.path: t for t in TAGS}

    @contextlib.contextmanager
    def fetch(asked, accept):
        ids = tuple(by_path[p].id for p in asked["tag"])
        query = HistoryQuery(
            ids, T0 - 86_400 * NS_PER_S * 30, T0 + 86_400 * NS_PER_S * 300, Shape.RAW, format=choose_format(accept)
        )

        async def body():
            return b"".join([block async for block in historian.stream(query)])

        yield io.BytesIO(asyncio.run_coroutine_threadsafe(body(), loop).result())

    yield fetch
