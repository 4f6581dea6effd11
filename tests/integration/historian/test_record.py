"""The record keeps what it was given, says what it lost, and survives what happens to processes and disks."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest

from isthmus.historian import schema
from isthmus.historian.model import STANDARD
from isthmus.historian.service import Historian
from isthmus.historian.store import StoreConfig
from isthmus.namespace.model import Tag
from isthmus.ports.frames import Position
from isthmus.ports.history import Format, Function, HistoryQuery, Shape
from isthmus.values.clock import ManualClock
from isthmus.values.errors import ConfigError, TryLater
from isthmus.values.frame import Lane
from isthmus.values.messages.historian import GapFound, Restated
from isthmus.values.sample import SampleBatch, ValueType

pytestmark = [pytest.mark.real("chdb"), pytest.mark.mission("M4", "M47", "M48")]

S = 1_000_000_000
T0 = 1_767_600_000 * S
WRITER = Path(__file__).with_name("killed_writer.py")


def numbers(ident: int, times: list[int], values: list[float], status: int = 0) -> SampleBatch:
    n = len(times)
    return SampleBatch(
        np.full(n, ident, np.int32), np.array(times, np.int64), np.array(values), np.full(n, status, np.uint32)
    )


async def raw(historian: Historian, *tags: int, fmt: Format = Format.JSON) -> bytes:
    return (await historian.query(HistoryQuery(tags, 0, 1 << 62, Shape.RAW, format=fmt))).body


async def test_frames_sent_again_change_nothing(plant) -> None:
    item = plant.frame("e1", Lane.LIVE, numbers(1, [T0, T0 + S], [1.5, 2.5]))
    await plant.send(item)
    await plant.historian.take([item])
    assert await plant.historian.count() == 2
    assert await plant.historian.cursor() == {("e1", Lane.LIVE): Position(1, 1)}


async def test_a_second_start_knows_everything(config, clock, plant) -> None:
    historian, said = plant.historian, []
    await plant.send(plant.frame("e1", Lane.LIVE, numbers(1, [T0, T0 + S], [1.5, 2.5])))
    plant.now(T0 + 7200 * S)
    await historian.roll()
    await plant.send(plant.frame("e1", Lane.LIVE, numbers(1, [T0 + 7200 * S], [3.5]), skip=1))
    await historian.close()
    again = Historian(config, clock, said.append)
    await again.open()
    try:
        assert await again.cursor() == {("e1", Lane.LIVE): Position(1, 3)}
        assert [(g.start_ns, g.end_ns) for g in await again.gaps(["e1"], 0, 1 << 62)] == [(T0 + S, T0 + 7200 * S)]
        assert (await again.latest([1, 99]))[1].value == 3.5
        plant.seq["e1", Lane.BACKFILL, 1] = 0
        await again.take([plant.frame("e1", Lane.BACKFILL, numbers(1, [T0 + 7100 * S], [9.0]))])
        assert said == [Restated((1,), (T0 + 7100 * S,))]
    finally:
        await again.close()


async def test_late_rows_and_gaps_are_told(config, clock) -> None:
    said: list[object] = []
    historian = Historian(config, clock, said.append)
    await historian.open()
    try:
        make = numbers
        frames = _frames()
        await historian.take([frames("e1", 1, make(1, [T0 + 10 * S, T0 + 5 * S], [1, 2]), make(2, [T0], [1]))])
        assert said == [Restated((1,), (T0 + 5 * S,))]
        await historian.take([frames("e1", 3, make(1, [T0 + 60 * S], [3]))])
        assert said[1:] == [GapFound("e1", T0 + 10 * S, T0 + 60 * S, "frames lost on the bus")]
        assert await historian.gaps([], T0 + 50 * S, T0 + 51 * S)
        assert not await historian.gaps(["e2"], 0, 1 << 62)
    finally:
        await historian.close()


def _frames():
    from isthmus.ports.frames import Arrived
    from isthmus.values.frame import Frame
    from isthmus.values.sample import join_by_type

    return lambda edge, seq, *made: Arrived(edge, Frame(Lane.LIVE, 1, seq, 0, 1, join_by_type(made)), seq)


@pytest.mark.mission("M47")
async def test_every_bit_pattern_comes_back_through_the_engine(plant) -> None:
    rng = np.random.default_rng(3)
    values = np.concatenate(
        [
            rng.integers(-(2**63), 2**63 - 1, 300).view(np.float64),
            np.round(rng.normal(0, 1e4, 300), 3),
            np.round(rng.normal(0, 100, 300), 1).astype(np.float32).astype(np.float64),
            rng.integers(-9999, 9999, 300) * 0.1,
            rng.normal(size=100).astype(np.float32).astype(np.float64),
            [np.nan, np.inf, -np.inf, -0.0, 0.0, 5e-324, 1e300, 2.0**53],
        ]
    )
    times = T0 + np.arange(len(values)) * 1_000_003
    await plant.send(plant.frame("e1", Lane.LIVE, numbers(1, times.tolist(), values.tolist())))
    got = pa.ipc.open_stream(await raw(plant.historian, 1, fmt=Format.ARROW)).read_all()
    back = got["value"].to_numpy()
    same = back.view(np.int64) == values.view(np.int64)
    assert (same | (np.isnan(back) & np.isnan(values))).all()
    assert got["time"].cast(pa.int64()).to_numpy().tolist() == times.tolist()
    restored = await plant.historian.latest([1])
    assert restored[1].value == 2.0**53


async def test_whole_numbers_are_exact_in_every_format(plant) -> None:
    extremes = [-(2**63), 2**63 - 1, 2**53 + 1, 0]
    made = SampleBatch(
        np.full(4, 2, np.int32), T0 + np.arange(4) * S, np.array(extremes, np.int64), np.zeros(4, np.uint32)
    )
    await plant.send(plant.frame("e1", Lane.LIVE, made))
    assert [r[2] for r in orjson.loads(await raw(plant.historian, 2))] == extremes
    assert (
        pa.ipc.open_stream(await raw(plant.historian, 2, fmt=Format.ARROW)).read_all()["value"].to_pylist() == extremes
    )
    lines = (await raw(plant.historian, 2, 1, fmt=Format.CSV)).decode().splitlines()
    assert lines[0] == '"tag","time","value","status"'
    assert lines[1] == f'"line/count","2026-01-05T08:00:00.000000000Z",{extremes[0]},0'


@pytest.mark.parametrize("fmt", list(Format))
async def test_a_stream_is_the_same_answer_in_blocks(plant, monkeypatch, fmt: Format) -> None:
    monkeypatch.setattr("isthmus.historian.reader._SLICE_ROWS", 700)
    times = [T0 + k * 300 * S for k in range(1000)]
    words = SampleBatch(
        np.full(3, 5, np.int32), np.array(times[:3]), np.array([0, 1, 0], np.int32), np.zeros(3, np.uint32), ("a", "b")
    )
    await plant.send(plant.frame("e1", Lane.LIVE, numbers(1, times, [k / 4 for k in range(1000)])))
    await plant.send(plant.frame("e2", Lane.LIVE, numbers(3, times[:500], [k / 8 for k in range(500)]), words))
    for shape, functions in ((Shape.RAW, ()), (Shape.BOUNDED, ()), (Shape.AGGREGATE, (Function.MIN, Function.LAST))):
        query = HistoryQuery((1, 3, 5), T0, T0 + 10**6 * S, shape, 400, functions, fmt)
        whole = (await plant.historian.query(query)).body
        blocks = [b async for b in plant.historian.stream(query)]
        if fmt is Format.ARROW:
            assert (
                pa.ipc.open_stream(io.BytesIO(b"".join(blocks))).read_all().equals(pa.ipc.open_stream(whole).read_all())
            )
        elif fmt is Format.JSON:  # equal as JSON: a slice may be written by the engine, the whole by us
            assert json.loads(b"".join(blocks)) == json.loads(whole)
        else:
            assert b"".join(blocks) == whole
        assert len(blocks) > 1


@pytest.mark.parametrize(("hours", "points"), [(2, 100), (60, 20)])
async def test_many_tags_in_one_question_answer_as_each_alone(plant, monkeypatch, hours: int, points: int) -> None:
    """However many are read at a time, and also when one of them is too much to be joined in memory."""
    busy = [T0 + k * hours * 3 * S for k in range(1000)]
    await plant.send(plant.frame("e1", Lane.LIVE, numbers(1, busy, [k / 4 for k in range(1000)])))
    rare = [(3, busy[::20]), (6, busy[::9])]
    await plant.send(
        plant.frame("e2", Lane.LIVE, *(numbers(t, times, [k / 8 for k in range(len(times))]) for t, times in rare))
    )
    plant.now(T0 + 60 * 3600 * S)
    await plant.historian.roll()
    tags = (6, 1, 3, 2)
    query = HistoryQuery(tags, T0 + S, T0 + hours * 3600 * S, Shape.BOUNDED, points)
    alone = {t: orjson.loads((await plant.historian.query(replace(query, tags=(t,)))).body) for t in tags}
    want = [[tags.index(t), *row[1:]] for t in sorted(tags) for row in alone[t]]
    assert len(want) > points // 2
    for together, most in ((1, 2_000_000), (10**9, 2_000_000), (10**9, 400), (1, 20), (10**9, -1)):
        monkeypatch.setattr("isthmus.historian.reader._TOGETHER", together)
        monkeypatch.setattr("isthmus.historian.reader._HERE", most)
        for fmt in (Format.JSON, Format.ARROW):
            answer = await plant.historian.query(replace(query, format=fmt))
            assert answer.snapped_ns
            rows = orjson.loads(answer.body) if fmt is Format.JSON else pa.ipc.open_stream(answer.body).read_all()
            got = (
                rows if fmt is Format.JSON else list(zip(*(rows[c].to_pylist() for c in ("tag", "first")), strict=True))
            )
            assert [(r[0], r[2] if fmt is Format.JSON else r[1]) for r in got] == [(r[0], r[2]) for r in want]
            assert fmt is Format.ARROW or [pytest.approx(r) for r in got] == want


async def test_states_have_names_and_bad_values_are_null(plant) -> None:
    made = SampleBatch(
        np.full(3, 4, np.int32),
        T0 + np.arange(3) * S,
        np.array([1, 9, 0]),
        np.array([0, 0, 0x80050000], np.uint32),
    )
    await plant.send(plant.frame("e2", Lane.LIVE, made))
    assert [r[2:] for r in orjson.loads(await raw(plant.historian, 4))] == [
        ["Execute", 0],
        ["9", 0],
        [None, 0x80050000],
    ]


async def test_limits_say_what_would_help(config, clock, plant) -> None:
    times = T0 + np.arange(200_000) * S
    await plant.historian.take(
        [plant.frame("e1", Lane.LIVE, numbers(1, times.tolist(), np.arange(200_000.0).tolist()))]
    )
    store = plant.historian._store
    for limit in ({"query_timeout_s": 0.001}, {"query_memory": 1 << 20}):
        store._config = replace(config, **limit)
        with pytest.raises(TryLater, match="shorter range"):
            await plant.historian.query(HistoryQuery((1,), T0, T0 + 200_000 * S, points=100))
    store._config = config
    store._waiting = 1000
    with pytest.raises(TryLater, match="waiting"):
        await plant.historian.query(HistoryQuery((1,), T0, T0 + S))
    store._waiting = 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"tags": ()},
        {"end_ns": T0},
        {"points": 0},
        {"points": 10**9},
        {"shape": Shape.AGGREGATE},
    ],
)
async def test_questions_without_sense_are_refused(historian, wrong) -> None:
    with pytest.raises(ConfigError):
        await historian.query(replace(HistoryQuery((1,), T0, T0 + S), **wrong))


async def test_times_of_a_broken_clock_are_refused_and_counted(plant) -> None:
    times = [0, -5, 1 << 62, T0]
    await plant.historian.take([plant.frame("e1", Lane.LIVE, numbers(1, times, [1, 2, 3, 4]))])
    assert await plant.historian.count() == 1
    assert (await plant.historian.status()).refused == 3


@pytest.mark.mission("M4")
@pytest.mark.parametrize("config", ["embedded"], indirect=True)
async def test_a_full_disk_acknowledges_nothing_and_reading_goes_on(config, clock, plant) -> None:
    historian = plant.historian
    await plant.send(plant.frame("e1", Lane.LIVE, numbers(1, [T0], [1.0])))
    item = plant.frame("e1", Lane.LIVE, numbers(1, [T0 + S], [2.0]))
    historian._store._config = replace(config, reserve=1 << 60)
    for _ in range(2):
        with pytest.raises(TryLater, match="disk is full"):
            await historian.take([item])
    assert await historian.cursor() == {("e1", Lane.LIVE): Position(1, 1)}
    assert [r[2] for r in orjson.loads(await raw(historian, 1))] == [1]
    assert (await historian.status()).state == "degraded"
    historian._store._config = config
    await historian.take([item])
    assert [r[2] for r in orjson.loads(await raw(historian, 1))] == [1, 2]
    assert (await historian.status()).state == "running"


@pytest.mark.mission("M48")
async def test_retention_drops_parts_of_a_class_whole(plant, clock) -> None:
    historian = plant.historian
    short = Tag(7, "line/short", "line", "short", "value", ValueType.FLOAT, retention="short", edge="e1")
    long = Tag(8, "line/long", "line", "long", "value", ValueType.FLOAT, edge="e1")
    await historian.describe([short, long], {STANDARD: 0, "short": 5, "spare": 9})
    await plant.send(
        plant.frame(
            "e1", Lane.LIVE, numbers(7, [T0 - 30 * 86_400 * S], [1.0]), numbers(8, [T0 - 30 * 86_400 * S], [1.0])
        )
    )
    await historian._store.write(lambda store: store.command(f"OPTIMIZE TABLE {schema.DATABASE}.sample FINAL"))
    assert [r[0] for r in orjson.loads(await raw(historian, 8, 7))] == [0]


async def test_a_tag_that_changes_its_class_keeps_one_row_a_time(plant, clock) -> None:
    historian = plant.historian
    moved = Tag(1, "line/level", "line", "level", "value", ValueType.FLOAT, retention="other", edge="e1")
    item = plant.frame("e1", Lane.LIVE, numbers(1, [T0, T0 + S], [1.0, 2.0]))
    await historian.take([item])
    await historian.describe([moved], {"other": 900})
    historian._lanes = {}
    await historian.take([item])
    assert await historian.count() == 2
    await historian.take([plant.frame("e1", Lane.LIVE, numbers(1, [T0 + 9 * S], [3.0]))])
    classes = await historian._store.read(
        lambda s: s.rows(f"SELECT class, count() FROM {schema.DATABASE}.sample FINAL GROUP BY class ORDER BY class")
    )
    assert len(classes) == 2
    assert classes[0] == [0, 2]


async def test_a_newer_record_is_refused(config, clock, historian) -> None:
    await historian._store.write(
        lambda store: store.insert(
            "schema_version", [("one", "UInt8", np.ones(1, np.uint8)), ("version", "UInt32", np.array([99], np.uint32))]
        )
    )
    await historian.close()
    with pytest.raises(ConfigError, match="schema version 99"):
        await Historian(config, clock).open()


async def test_the_cluster_statements_are_well_formed(historian) -> None:
    for statement in (*schema.cluster("plant", {1: 30}), *schema.upgrade(1, "plant")):
        parsed = await historian._store.read(lambda s, q=statement: s.explain(q))
        assert parsed.startswith((b"Create", b"Alter"))


async def test_rolling_again_changes_nothing(plant) -> None:
    rng = np.random.default_rng(1)
    times = [T0 + int(k) * S for k in range(5000)]
    await plant.send(plant.frame("e1", Lane.LIVE, numbers(1, times, np.round(rng.normal(size=5000), 2).tolist())))
    plant.now(T0 + 20_000 * S)
    query = HistoryQuery((1,), T0 - 40_000 * S, T0 + 20_000 * S, Shape.BOUNDED, 20)
    before = (await plant.historian.query(query)).body
    assert await plant.historian.roll() == 9
    assert (await plant.historian.query(query)).body == before
    plant.historian._dirty.load([(T0 // S // 600 + k, -1) for k in range(9)])
    assert await plant.historian.roll() == 9
    assert (await plant.historian.query(query)).body == before


_ROLLED = tuple(f for f in Function if f not in (Function.SUM, Function.DURATION))


async def _counting(plant, step_s: int = 20) -> list[int]:
    """Three days of a counter, which was reset once, and of a measurement; rolled up. The times of the samples."""
    times = [T0 + k * step_s * S for k in range(3 * 86_400 // step_s)]
    counts = [float(k % 7000) for k in range(len(times))]
    waves = [50 + (k * 37 % 100) / 4 for k in range(len(times))]
    await plant.send(plant.frame("e1", Lane.LIVE, numbers(1, times, counts), numbers(6, times, waves)))
    plant.now(T0 + 4 * 86_400 * S)
    await plant.historian.roll()
    return times


@pytest.mark.parametrize("config", ["embedded"], indirect=True)
@pytest.mark.parametrize(("offset_s", "points"), [(0, 12), (1237, 13), (1237, 250)])
async def test_aggregates_of_long_ranges_read_samples_at_the_ragged_ends_alone(
    plant, monkeypatch, offset_s: int, points: int
) -> None:
    await _counting(plant)
    asked: list[str] = []
    answer = type(plant.historian._store).answer
    monkeypatch.setattr(
        type(plant.historian._store), "answer", lambda s, sql, *a, **k: asked.append(sql) or answer(s, sql, *a, **k)
    )
    start, end = T0 + offset_s * S, T0 + (4 * 86_400 - offset_s) * S
    query = HistoryQuery((1,), start, end, Shape.AGGREGATE, points, _ROLLED)
    got, *_ = await plant.rows(query)
    assert "rollup FINAL" in asked[-1]
    # Nothing but the ends is read from samples: with the samples of whole buckets gone the answer is the same.
    width = -(-(end - start) // points)
    ragged = {b // S // 600 for b in (*range(start, end, width), end) if b % (600 * S)}
    reset = T0 // S // 600 + 7000 * 20 // 600  # the counter fell there
    kept = ", ".join(map(str, {*ragged, reset}))
    await plant.historian._store.write(
        lambda store: store.command(
            f"ALTER TABLE {schema.DATABASE}.sample DELETE WHERE {schema.bucket_of()} NOT IN ({kept}) SETTINGS mutations_sync = 1"
        )
    )
    assert await plant.historian.count() < 60 * len(ragged) + 61
    assert (await plant.rows(query))[0] == got
    assert sum(r[-1] or 0 for r in got) == pytest.approx(
        sum(1 for k in range(1, 12_960) if k % 7000 and start <= T0 + k * 20 * S < end)
    )


@pytest.mark.parametrize("config", ["embedded"], indirect=True)
async def test_a_record_of_the_last_version_is_brought_up_to_this_one(config, clock, plant) -> None:
    await _counting(plant, 60)
    query = HistoryQuery((1, 6), T0, T0 + 4 * 86_400 * S, Shape.AGGREGATE, 7, _ROLLED)
    before = (await plant.rows(query))[0]

    def age(store) -> None:
        store.command(f"ALTER TABLE {schema.DATABASE}.rollup DROP COLUMN rising")
        store.command(f"TRUNCATE TABLE {schema.DATABASE}.schema_version")
        store.insert(
            "schema_version", [("one", "UInt8", np.ones(1, np.uint8)), ("version", "UInt32", np.ones(1, np.uint32))]
        )

    await plant.historian._store.write(age)
    await plant.historian.close()
    again = Historian(config, clock)
    await again.open()
    try:
        answer = orjson.loads((await again.query(query)).body)
        assert [[pytest.approx(x) for x in row] for row in before] == answer
    finally:
        await again.close()


@pytest.mark.mission("M47")
async def test_any_text_comes_back(plant) -> None:
    words = (
        "",
        " ",
        "a\tb\nc\r",
        "quote \" and 'these'",
        "back\\slash",
        "né 漢字 🏭",
        "\x00\x01",
        "[1, 2]",
        "12.5",
        "NULL",
        "\\N",
        "x" * 5000,
    )
    n = len(words)
    made = SampleBatch(
        np.full(n, 5, np.int32), T0 + np.arange(n) * S, np.arange(n, dtype=np.int32), np.zeros(n, np.uint32), words
    )
    await plant.send(plant.frame("e2", Lane.LIVE, made, numbers(1, [T0], [1.0])))
    assert tuple(r[2] for r in orjson.loads(await raw(plant.historian, 5))) == words
    assert tuple(r[2] for r in orjson.loads(await raw(plant.historian, 5, 1)) if r[0] == 0) == words
    assert pa.ipc.open_stream(await raw(plant.historian, 5, fmt=Format.ARROW)).read_all()["value"].to_pylist() == list(
        words
    )


@pytest.mark.mission("M47")
async def test_killed_in_mid_take_nothing_acknowledged_is_lost_and_nothing_doubled(tmp_path) -> None:
    """A writer in a process of its own is killed again and again; what it said was stored must be there, once."""
    folder, acknowledged = tmp_path / "h", 0
    for round_ in range(3):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(WRITER),
            str(folder),
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout is not None
        start = int(await process.stdout.readline())
        assert start >= acknowledged
        while acknowledged < start + 7 + round_ * 3:
            acknowledged = int(await process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = await process.stdout.read()
        await process.wait()
        acknowledged = max([acknowledged, *(int(x) for x in rest.split(b"\n")[:-1])])
    historian = Historian(StoreConfig(path=folder), ManualClock(T0))
    await historian.open()
    try:
        stored = (await historian.cursor())["e", Lane.LIVE].seq
        assert stored >= acknowledged
        rows = await historian._store.read(
            lambda s: s.rows(
                f"SELECT count(), uniqExact(tag, ts), max(toUnixTimestamp64Nano(ts)) FROM {schema.DATABASE}.sample FINAL"
            )
        )
        count, distinct, newest = rows[0]
        assert count == distinct
        assert count in (stored * 2000, (stored + 1) * 2000)
        assert newest == T0 + (count // 2000 - 1) * S
    finally:
        await historian.close()
