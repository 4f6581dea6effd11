"""A plant that misbehaves, the truth about it in plain Python, and the two ways to reach the engine."""

from __future__ import annotations

import bisect
import contextlib
import math
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import numpy as np
import orjson
import pyarrow as pa
import pytest

from isthmus.historian import reader
from isthmus.historian.service import Historian
from isthmus.historian.store import StoreConfig
from isthmus.namespace.model import Tag
from isthmus.ports.frames import Arrived
from isthmus.ports.history import Format, Function, HistoryQuery, Shape
from isthmus.values.clock import ManualClock
from isthmus.values.frame import Frame, Lane
from isthmus.values.sample import SampleBatch, ValueType

S = 1_000_000_000
BUCKET = 600 * S
T0 = 1_767_600_000 * S  # a multiple of ten minutes
BAD, UNCERTAIN = 0x80050000, 0x40940000
FRONT = Path(__file__).with_name("clickhouse_front.py")

STATES = {0: "Idle", 1: "Execute", 2: "Held"}


def tag(ident: int, path: str, type_: ValueType, edge: str = "e1", **more) -> Tag:
    return Tag(ident, path, "line", path, "value", type_, edge=edge, **more)


TAGS = (
    tag(1, "line/level", ValueType.FLOAT, decimals=2),
    tag(2, "line/count", ValueType.INT),
    tag(3, "line/noise", ValueType.FLOAT, edge="e2"),
    tag(4, "line/state", ValueType.INT, edge="e2", states=STATES),
    tag(5, "line/recipe", ValueType.TEXT, edge="e2"),
    tag(6, "line/single", ValueType.FLOAT, edge="e2"),
)


def batch(ident: int, rows: list[tuple[int, object, int]]) -> SampleBatch:
    """Rows of one tag: (time, value, status)."""
    ids, times = np.full(len(rows), ident, np.int32), np.array([r[0] for r in rows], np.int64)
    status = np.array([r[2] for r in rows], np.uint32)
    values = [r[1] for r in rows]
    if isinstance(values[0], str):
        words = sorted({str(v) for v in values})
        codes = np.array([words.index(str(v)) for v in values], np.int32)
        return SampleBatch(ids, times, codes, status, tuple(words))
    dtype = np.int64 if isinstance(values[0], int) else np.float64
    return SampleBatch(ids, times, np.array(values, dtype), status)


@dataclass
class Truth:
    """What the record must answer, computed the slow way."""

    now_ns: int = T0
    rows: dict[int, dict[int, tuple[object, int]]] = field(default_factory=dict)
    gaps: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    cache: dict[tuple[int, int], list] = field(default_factory=dict)

    def put(self, made: SampleBatch) -> None:
        for i in range(len(made)):
            value = made.text[int(made.value[i])] if made.type is ValueType.TEXT else made.value[i].item()
            self.rows.setdefault(int(made.id[i]), {})[int(made.time_ns[i])] = (value, int(made.status[i]))

    def samples(self, tag: Tag) -> list[tuple[int, object, bool]]:
        """(time, value as answered, whether it counts) in order."""
        found = []
        for t, (value, status) in sorted(self.rows.get(tag.id, {}).items()):
            counts = status & 0xC0000000 == 0 and not (isinstance(value, float) and not math.isfinite(value))
            shown = tag.states.get(value, str(value)) if tag.states else value
            found.append((t, shown, counts))
        return found

    def held(self, tag: Tag, end: int) -> list[tuple[int, int, int, object, bool]]:
        """(time, next time, held until, value, counts) of every sample before end."""
        if (tag.id, end) not in self.cache:
            self.cache[tag.id, end] = self._held(tag, end)
        return self.cache[tag.id, end]

    def _held(self, tag: Tag, end: int) -> list[tuple[int, int, int, object, bool]]:
        samples = [s for s in self.samples(tag) if s[0] < end]
        out = []
        for i, (t, value, counts) in enumerate(samples):
            following = samples[i + 1][0] if i + 1 < len(samples) else max(t, min(end, self.now_ns))
            until = following
            for a, b in self.gaps.get(tag.edge, []):
                if b > t:
                    until = min(until, max(a, t))
            out.append((t, following, until if counts else t, value, counts))
        return out

    def bucket(self, tag: Tag, a: int, b: int, end: int) -> dict[str, object]:
        """Everything about [a, b) in a range that ends at end."""
        everything = self.held(tag, end)
        lo = max(bisect.bisect_left(everything, a, key=lambda r: r[0]) - 1, 0)
        rows = everything[lo : bisect.bisect_left(everything, b, key=lambda r: r[0])]
        inside = [r for r in rows if a <= r[0] < b and r[4]]
        values = [r[3] for r in inside]
        good = sum(max(0, min(r[2], b) - max(r[0], a)) for r in rows)
        known = sum(max(0, min(r[1], b) - max(r[0], a)) for r in rows)
        numeric = not tag.states and tag.type is not ValueType.TEXT
        area = sum(float(r[3]) * max(0, min(r[2], b) - max(r[0], a)) for r in rows if r[4]) if numeric else 0.0
        spans: dict[str, float] = {}
        for r in rows:
            width = max(0, min(r[2], b) - max(r[0], a))
            if width:
                spans[r[3]] = spans.get(r[3], 0) + width / 1e9
        held = [r for r in rows if min(r[2], b) > max(r[0], a)]
        grown, previous = 0.0, next((r[3] for r in reversed(everything[:lo]) if r[4]), None)
        if numeric:
            for r in rows:
                if r[4]:
                    if previous is not None and a <= r[0] < b:
                        grown += r[3] if r[3] < previous else r[3] - previous
                    previous = r[3]
        return {
            "n": sum(a <= r[0] < b for r in rows),
            "count": len(inside),
            "first": values[0] if values else None,
            "last": values[-1] if values else None,
            "min": min(values) if values and numeric else None,
            "max": max(values) if values and numeric else None,
            "sum": sum(values) if values and numeric else None,
            "mean": area / good if good and numeric else None,
            "bad_s": (known - good) / 1e9,
            "held": held[0][3] if held else None,
            "duration": spans,
            "increase": grown if (values or good) and numeric else None,
        }


def ms(time_ns: int) -> float:
    """Milliseconds as the API writes them."""
    return time_ns // 1_000_000 + time_ns % 1_000_000 / 1e6


def close(a: object, b: object) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-6)
    return a == b


class Plant:
    """Sends frames to a historian and keeps the truth beside it."""

    def __init__(self, historian: Historian, clock: ManualClock) -> None:
        self.historian, self.clock, self.truth = historian, clock, Truth()
        self.seq: dict[tuple[str, Lane, int], int] = {}
        self.epoch: dict[str, int] = {}
        self.sent: list[Arrived] = []

    def frame(self, edge: str, lane: Lane, *batches: SampleBatch, skip: int = 0) -> Arrived:
        epoch = self.epoch.setdefault(edge, 1)
        key = edge, lane, epoch
        self.seq[key] = self.seq.get(key, 0) + 1 + skip
        merged = {}
        from isthmus.values.sample import join_by_type

        for made in join_by_type(batches):
            merged[made.type] = made
        arrived = Arrived(edge, Frame(lane, epoch, self.seq[key], 0, 1, tuple(merged.values())), len(self.sent) + 1)
        self.sent.append(arrived)
        return arrived

    async def send(self, *frames: Arrived) -> None:
        for item in frames:
            for made in item.frame.batches:
                self.truth.put(made)
        await self.historian.take(frames)
        self.truth.gaps = {}
        for gap in await self.historian.gaps([], 0, 1 << 62):
            self.truth.gaps.setdefault(gap.edge, []).append((gap.start_ns, gap.end_ns))

    def now(self, at_ns: int) -> None:
        self.clock.set_wall(at_ns)
        self.truth.now_ns = at_ns

    async def rows(self, query: HistoryQuery) -> tuple[list[list], int, int, int]:
        answer = await self.historian.query(query)
        return orjson.loads(answer.body), answer.snapped_ns, answer.start_ns, answer.end_ns

    async def check_raw(self, tags: tuple[Tag, ...], start: int, end: int) -> None:
        got, *_ = await self.rows(HistoryQuery(tuple(t.id for t in tags), start, end, Shape.RAW))
        want = []
        for t in sorted(tags, key=lambda t: t.id):
            for at, (value, status) in sorted(self.truth.rows.get(t.id, {}).items()):
                if start <= at < end:
                    bad = status & 0x80000000 or (isinstance(value, float) and not math.isfinite(value))
                    shown = t.states.get(value, str(value)) if t.states else value
                    want.append([tags.index(t), ms(at), None if bad else shown, status])
        assert len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            assert g == w

    async def check_bounded(self, tags: tuple[Tag, ...], start: int, end: int, points: int) -> int:
        query = HistoryQuery(tuple(t.id for t in tags), start, end, Shape.BOUNDED, points)
        got, width, begin, finish = await self.rows(query)
        assert width or (begin, finish) == (start, end)
        assert begin <= start
        assert finish >= end
        for t in tags:
            mine = [r for r in got if r[0] == tags.index(t)]
            assert len(mine) <= points
            inside = [s for s in self.truth.samples(t) if start <= s[0] < end]
            want = (
                self._steps(t, start, end, points) if len(inside) <= points else self._buckets(t, begin, finish, width)
            )
            assert len(mine) == len(want), (t.path, mine[:3], want[:3])
            for g, w in zip(mine, want, strict=True):
                assert all(close(a, b) for a, b in zip(g[1:], w, strict=True)), (t.path, g, w)
        await self._check_arrow(tags, query)
        return width

    async def _check_arrow(self, tags: tuple[Tag, ...], query: HistoryQuery) -> None:
        """Numbers are joined in memory, or by the engine where they are too many: JSON and both Arrows must say the same."""
        numbers = tuple(t.id for t in tags if not t.states and t.type is not ValueType.TEXT)
        if not numbers:
            return
        json = await self.historian.query(replace(query, tags=numbers))
        arrow = await self.historian.query(replace(query, tags=numbers, format=Format.ARROW))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reader, "_HERE", -1)
            engine = await self.historian.query(replace(query, tags=numbers, format=Format.ARROW))
        got = orjson.loads(json.body)
        schema = pa.ipc.open_stream(engine.body).schema
        for answer in (arrow, engine):
            assert (json.snapped_ns, json.start_ns, json.end_ns) == (answer.snapped_ns, answer.start_ns, answer.end_ns)
            table = pa.ipc.open_stream(answer.body).read_all()
            assert table.schema == schema
            columns = [c.cast("int64") if i == 1 else c for i, c in enumerate(table)]
            want = list(zip(*(c.to_pylist() for c in columns), strict=True))
            assert len(got) == len(want)
            for g, (place, at, *rest) in zip(got, want, strict=True):
                assert g[:2] == [place, ms(at)]
                assert all(close(a, b) for a, b in zip(g[2:], rest, strict=True)), (g, rest)

    def _steps(self, t: Tag, start: int, end: int, points: int) -> list[list]:
        out, numeric = [], not t.states and t.type is not ValueType.TEXT
        rows = self.truth.held(t, end)
        n = sum(start <= r[0] < end for r in rows)
        for at, following, until, value, counts in rows:
            lead = at < start < following and n < points
            if at < start and not lead:
                continue
            begin = max(at, start)
            span, hold = following - begin, max(until - begin, 0)
            shown = value if counts and (hold or not lead) else None
            out.append(
                [ms(begin), shown, *([shown] * 2 if numeric else [None] * 2), shown, shown if numeric else None,
                 int(counts and not lead), (span - hold) / 1e9]
            )  # fmt: skip
        return out

    def _buckets(self, t: Tag, begin: int, finish: int, width: int) -> list[list]:
        out, numeric = [], not t.states and t.type is not ValueType.TEXT
        for k, a in enumerate(range(begin, finish, width)):
            b = self.truth.bucket(t, a, min(a + width, finish), finish)
            led = k == 0 and not b["count"] and b["held"] is not None
            if not b["n"] and not (k == 0 and any(r[0] < a for r in self.truth.held(t, finish))):
                continue
            first = b["held"] if led else b["first"]
            mean = b["mean"] if b["mean"] is not None else first
            mean = mean if numeric and (b["count"] or led) else None
            out.append(
                [ms(a), first, *((b["held"], b["held"]) if led and numeric else (b["min"], b["max"])),
                 b["held"] if led else b["last"], mean, b["count"], b["bad_s"]]
            )  # fmt: skip
        return out

    async def check_aggregate(self, tags: tuple[Tag, ...], start: int, end: int, points: int) -> None:
        """From samples, and from the rollup where it can tell: both must say what the truth says, and mostly bit for bit."""
        functions = tuple(Function)
        query = HistoryQuery(tuple(t.id for t in tags), start, end, Shape.AGGREGATE, points, functions)
        whole = await self._check_functions(tags, query)
        rolled = tuple(f for f in functions if f not in (Function.SUM, Function.DURATION))
        some = await self._check_functions(tags, replace(query, functions=rolled))
        for name in ("min", "max", "count", "first", "last"):
            column, same = 2 + functions.index(Function(name)), 2 + rolled.index(Function(name))
            assert [(r[0], r[1], r[column]) for r in whole] == [(r[0], r[1], r[same]) for r in some], name

    async def _check_functions(self, tags: tuple[Tag, ...], query: HistoryQuery) -> list[list]:
        got, width, *_ = await self.rows(query)
        start, end, functions = query.start_ns, query.end_ns, query.functions
        names = {"time_weighted_mean": "mean"}
        for t in tags:
            mine = [r for r in got if r[0] == tags.index(t)]
            starts = range(start, end, width)
            assert len(mine) == len(starts) <= query.points
            for g, a in zip(mine, starts, strict=True):
                b = self.truth.bucket(t, a, min(a + width, end), end)
                assert close(g[1], ms(a))
                for function, value in zip(functions, g[2:], strict=True):
                    want = b[names.get(function.value, function.value)]
                    if function is Function.DURATION and not (t.states or t.type is ValueType.TEXT):
                        assert close(sum(value.values()), sum(want.values())), (t.path, function)
                        continue
                    assert close(value, want), (t.path, function, value, want, b)
        return got


class Chaos:
    """Random operation of the plant: restarts, lost frames, frames sent again, bad quality, late and corrected rows."""

    def __init__(self, plant: Plant, seed: int) -> None:
        self.plant, self.rng = plant, random.Random(seed)
        self.at = {t.id: T0 + self.rng.randrange(0, 30 * S, 1_000_000) for t in TAGS}
        self.count = 0

    def value(self, t: Tag, at: int) -> tuple[object, int]:
        status = self.rng.choices([0, BAD, UNCERTAIN], [20, 1, 1])[0]
        match t.id:
            case 1:
                return round(self.rng.gauss(50, 20), 2), status
            case 2:
                self.count = 0 if self.rng.random() < 0.02 else self.count + self.rng.randrange(5)
                return self.count, status
            case 3:
                return self.rng.choice(
                    [self.rng.gauss(0, 1), 0.1 * self.rng.randrange(99), float("nan"), -0.0, 1e280]
                ), status
            case 4:
                return self.rng.randrange(4), status
            case 5:
                return self.rng.choice(["A", "it's", 'quo"te', "back\\slash", "né\n"]), status
        return float(np.float32(self.rng.randrange(2000) / 10)), status

    async def live(self, seconds: float) -> None:
        rng = self.rng
        until = min(self.at.values()) + round(seconds * S)
        for edge in ("e1", "e2"):
            made = []
            for t in TAGS:
                rows = []
                while t.edge == edge and self.at[t.id] < until:
                    rows.append((self.at[t.id], *self.value(t, self.at[t.id])))
                    self.at[t.id] += rng.choice([1, 1, 2, 5, 60]) * S + rng.choice([0, 0, 1_000_000, 7])
                if rows:
                    made.append(batch(t.id, rows))
            if not made:
                continue
            if rng.random() < 0.1:
                self.plant.epoch[edge] = self.plant.epoch.get(edge, 1) + 1
            item = self.plant.frame(edge, Lane.LIVE, *made, skip=1 if rng.random() < 0.05 else 0)
            await self.plant.send(item)
            if rng.random() < 0.2:
                await self.plant.historian.take([item])
        self.plant.now(max(until, *(max(r, default=0) for r in self.plant.truth.rows.values())))

    async def late(self) -> None:
        t = self.rng.choice(TAGS)
        rows = []
        for _ in range(self.rng.randrange(1, 20)):
            at = self.rng.randrange(T0, self.at[t.id], 1_000_000)
            if self.rng.random() < 0.3 and self.plant.truth.rows.get(t.id):
                at = self.rng.choice(list(self.plant.truth.rows[t.id]))
            rows.append((at, *self.value(t, at)))
        await self.plant.send(self.plant.frame(t.edge, Lane.BACKFILL, batch(t.id, rows)))

    async def ask(self, hours: float = 0, points: int = 0) -> int:
        rng, plant = self.rng, self.plant
        plant.truth.cache.clear()
        tags = tuple(rng.sample(TAGS, rng.randrange(1, len(TAGS) + 1)))
        start = T0 + rng.randrange(-BUCKET, 4 * 3600 * S, 1_000_000)
        end = (
            start + (round(hours * 3600) or rng.choice([1, 30, 600, 3600, 4 * 3600, 48 * 3600])) * S + rng.randrange(S)
        )
        points = points or rng.choice([1, 2, 7, 50, 500, 3000])
        await plant.check_raw(tags, start, end)
        await plant.check_aggregate(tags, start, end, min(points, 50))
        return await plant.check_bounded(tags, start, end, points)


@pytest.fixture(scope="session", autouse=True)
def engine_loaded(tmp_path_factory: pytest.TempPathFactory, front: int) -> None:
    """The engine keeps descriptors for as long as the process lives: let it open them before anybody counts.

    An error makes it open the symbol files it would write a stack trace with.
    """
    import clickhouse_connect

    client = clickhouse_connect.get_client(dsn=f"chdb://{tmp_path_factory.mktemp('warm')}")
    with contextlib.suppress(clickhouse_connect.driver.exceptions.ClickHouseError):
        client.raw_query("SELECT throwIf(1)")
    client.close()


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of ClickHouse's HTTP interface on an engine in a process of its own."""
    folder = str(tmp_path_factory.mktemp("front"))
    with subprocess.Popen([sys.executable, str(FRONT), folder], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.send_signal(signal.SIGTERM)


@pytest.fixture(params=["embedded", "server"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> StoreConfig:
    """An empty record in the embedded engine, and one behind a server."""
    if request.param == "embedded":
        return StoreConfig(path=tmp_path / "h")
    port = request.getfixturevalue("front")
    httpx.post(f"http://127.0.0.1:{port}/", content=b"DROP DATABASE IF EXISTS isthmus SYNC").raise_for_status()
    return StoreConfig(host="127.0.0.1", port=port)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(T0)


@pytest.fixture
async def historian(config: StoreConfig, clock: ManualClock) -> AsyncIterator[Historian]:
    made = Historian(config, clock)
    await made.open()
    try:
        await made.describe(TAGS, {"standard": 0})
        yield made
    finally:
        await made.close()


@pytest.fixture
async def plant(historian: Historian, clock: ManualClock) -> Plant:
    return Plant(historian, clock)


@pytest.fixture
def chaos(plant: Plant) -> type[Chaos]:
    return lambda seed: Chaos(plant, seed)
