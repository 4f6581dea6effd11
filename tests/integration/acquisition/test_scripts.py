"""Tags calculated in Python, by real processes."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import numpy as np
import pytest

from isthmus.acquisition.script_process import Call, Script, ScriptProcess, Unusable
from isthmus.acquisition.service import Acquisition
from isthmus.ports.drivers import DriverContext, driver_spec
from isthmus.values.clock import SystemClock
from isthmus.values.expression import compile_expression
from isthmus.values.frame import Lane
from isthmus.values.model import Budget, EdgeModel, FormulaModel, ScriptModel, TagColumns
from isthmus.values.sample import SampleBatch, ValueType
from isthmus.values.status import BAD_COMMUNICATION_ERROR, name

LOG = logging.getLogger("test")
pytestmark = [pytest.mark.mission("M64"), pytest.mark.real("python")]

SCRIPT = """\
import math

def ok(i, t): return i.x.value * 2
def loop(i, t):
    while True: pass
def eat(i, t): return bytearray(10**10)
def leave(i, t): raise SystemExit(3)
def die(i, t):
    import os; os._exit(3)
def talk(i, t):
    for k in range(2000): print("hello")
    return 1
def nan(i, t): return math.nan
def huge(i, t): return 10**30
def wrong(i, t): return [1]
def text(i, t): return "seven"
def none(i, t): pass
def error(i, t): return 1 / 0
def network(i, t): import socket
def thread(i, t):
    import threading; threading.Thread(target=print).start(); return 1
def process(i, t):
    import os; return os.fork()
def shell(i, t):
    import os; return os.system("true")
def foreign(i, t): import ctypes
def secrets(i, t): return open("/etc/hostname").read()
def scribble(i, t): open("x", "w")
def look(i, t):
    import os; return len(os.listdir("/"))
def environment(i, t):
    import os; return len(os.environ)
def science(i, t):
    import numpy; return numpy.float64(3) + i.x.value
def order(i, t): return "".join({"a", "b", "c", "d", "e", "f"})
def count(i, t, state):
    n = (state or 0) + 1
    return n, n
def worn(i, t): return bad("worn out")
def doubtful(i, t): return uncertain(3.0, "cold")
def late(i, t): return i.x.value if i.x.good else -1.0
def sleep(i, t):
    import time; time.sleep(100)
"""

X = {"x": [2.5, 1, 0]}


def call(function: str, tag: int = 1, *, state: bool = False, limit_s: float = 1.0) -> Call:
    return Call(tag, function, 1, X, state, limit_s)


@asynccontextmanager
async def begun(states: dict[int, str] | None = None, memory_mb: int = 256):
    process = ScriptProcess(Script("bearing.py", SCRIPT, memory_mb))
    await process.start(states or {})
    try:
        yield process
    finally:
        await process.stop()


async def test_what_a_function_may_answer_and_what_becomes_bad() -> None:
    wanted = {
        "ok": (5.0, "Good", ""),
        "doubtful": (3.0, "Uncertain", "cold"),
        "science": (5.5, "Good", ""),
        "environment": (0, "Good", ""),
        "worn": (None, "Bad", "worn out"),
        "leave": (None, "BadInternalError", "the script exits: a function must return"),
        "talk": (None, "BadInternalError", "prints more than 4000 characters in one call"),
        "nan": (None, "BadOutOfRange", "returned nan"),
        "huge": (None, "BadOutOfRange", "returned a whole number beyond 64 bits"),
        "wrong": (None, "BadTypeMismatch", "returned a value of type list"),
        "none": (None, "BadTypeMismatch", "returned nothing"),
        "error": (None, "BadInternalError", "ZeroDivisionError: division by zero (bearing.py:18)"),
    }
    async with begun() as process:
        outcome = await process.run([call(function) for function in wanted])
    assert outcome.ended is None
    found = [(r.value, name(r.status), r.reason) for r in outcome.results]
    assert dict(zip(wanted, found, strict=True)) == wanted


@pytest.mark.parametrize(
    "function", ["network", "process", "shell", "foreign", "secrets", "scribble", "look", "thread"]
)
async def test_what_a_script_has_no_business_with_is_refused(function: str) -> None:
    async with begun() as process:
        outcome = await process.run([call(function), call("ok")])
    refused, fine = outcome.results
    assert name(refused.status) == "BadInternalError"
    assert "a script may not" in refused.reason
    assert fine.value == 5.0


async def test_the_same_script_gives_the_same_answer_in_another_process() -> None:
    answers = []
    for _ in range(2):
        async with begun() as process:
            answers.append((await process.run([call("order")])).results)
    assert answers[0] == answers[1]


async def test_state_goes_on_in_the_next_process() -> None:
    async with begun() as process:
        first = await process.run(
            [call("count", 7, state=True), call("count", 7, state=True), call("count", 8, state=True)]
        )
    assert [r.value for r in first.results] == [1, 2, 1]
    async with begun({7: first.results[1].state or ""}) as process:
        assert (await process.run([call("count", 7, state=True)])).results[0].value == 3


@pytest.mark.parametrize(
    ("function", "status", "reason"),
    [
        ("loop", "BadTimeout", "takes longer than 50 ms"),
        ("sleep", "BadTimeout", "takes longer than 50 ms"),
        ("eat", "BadResourceUnavailable", "needs more than 256 MB of memory"),
        ("die", "BadInternalError", "ended its process (code 3)"),
    ],
)
async def test_who_ends_the_process_is_named_and_nobody_else(function: str, status: str, reason: str) -> None:
    async with begun() as process:
        outcome = await process.run([call("ok"), call("ok"), call(function, limit_s=0.05), call("ok")])
        assert outcome.blamed == 2
        assert outcome.ended is not None
        assert (name(outcome.ended.status), outcome.ended.reason) == (status, reason)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 / 0\n", "ZeroDivisionError: division by zero (bearing.py:1)"),
        ("import sys\nsys.exit()\n", "SystemExit:  (bearing.py:2)"),
        ("import os\nos._exit(7)\n", "does not begin: its process ended with code 7"),
        ("x = bytearray(10**10)\n", "needs more than 256 MB of memory to begin"),
        ("import socket\n", "ImportError: a script may not import socket (bearing.py:1)"),
    ],
)
async def test_a_script_that_does_not_begin_says_why(text: str, reason: str) -> None:
    with pytest.raises(Unusable) as refused:
        await ScriptProcess(Script("bearing.py", text, 256)).start({})
    assert str(refused.value) == reason


# --- at the edge ------------------------------------------------------------------------------------------------------


class Outbox:
    queued = dropped = 0

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, Any, str]] = []
        self.came = asyncio.Event()

    def offer(self, lane: Lane, batches: Any) -> None:
        for b in batches:
            values = [b.text[v] if b.type is ValueType.TEXT else v for v in b.value.tolist()]
            self.rows += zip(b.id.tolist(), b.time_ns.tolist(), values, map(name, b.status.tolist()), strict=True)
        self.came.set()

    def last(self, tag: int) -> tuple[Any, str] | None:
        return next(((value, status) for t, _, value, status in reversed(self.rows) if t == tag), None)

    async def until(self, tag: int, value: Any, status: str = "Good") -> None:
        async with asyncio.timeout(20):
            while self.last(tag) != (value, status):
                self.came.clear()
                await self.came.wait()


def columns(tags: dict[int, tuple[str, float]]) -> TagColumns:
    n = len(tags)
    return TagColumns(
        id=list(tags), path=[f"t{i}" for i in tags], type=[t for t, _ in tags.values()], connection=[""] * n,
        address=[""] * n, period_s=[1.0] * n, factor=[1.0] * n, offset=[0.0] * n, low=[None] * n, high=[None] * n,
        deadband=[d for _, d in tags.values()], deadband_percent=[0.0] * n, max_gap_s=[600.0] * n,
        resolution_ns=[1_000_000] * n,
    )  # fmt: skip


def model(version: int, scripts: dict[int, tuple[str, dict[str, Any]]], text: str = SCRIPT) -> EdgeModel:
    """Tag 1 is an input; tag n is calculated by a function and tag 100 + n tells its reason; tag 99 is twice tag 10."""
    tags = (
        {1: ("float", 0.0), 99: ("float", 0.0)}
        | dict.fromkeys(scripts, ("float", -1.0))
        | {100 + n: ("text", 0.0) for n in scripts}
    )
    return EdgeModel(
        version, "acme", "lyon", "edge-1", (), columns(dict(sorted(tags.items()))),
        (FormulaModel(99, "h * 2", {"h": 10}),) if 10 in scripts else (),
        tuple(
            ScriptModel(n, 100 + n, "bearing.py", function, {"x": (1, 1.0, 0.0)}, **{"limit_s": 0.1, **more})
            for n, (function, more) in scripts.items()
        ),
        {"bearing.py": text},
    )  # fmt: skip


def context_of(driver: str, connection: str, budget: Budget) -> DriverContext:
    return DriverContext(budget, SystemClock())


@asynccontextmanager
async def edge():
    outbox = Outbox()
    acquisition = Acquisition(outbox, SystemClock(), driver_spec, context_of, LOG, Random(1), compile_expression)
    try:
        yield acquisition, outbox
    finally:
        await acquisition.stop()


def say(acquisition: Acquisition, value: float, status: int = 0, at_ns: int | None = None) -> int:
    now_ns = (SystemClock().now_ns() if at_ns is None else at_ns) // 1_000_000 * 1_000_000
    batch = SampleBatch(np.array([1], np.int32), np.array([now_ns]), np.array([value]), np.array([status], np.uint32))
    acquisition._offer_live((batch,))
    return now_ns


async def test_a_change_is_answered_with_its_time_and_feeds_formulas() -> None:
    async with edge() as (acquisition, outbox):
        await acquisition.apply(model(1, {10: ("ok", {})}))
        assert outbox.last(10) == (0.0, "BadWaitingForInitialData")
        at_ns = say(acquisition, 4.0)
        await outbox.until(99, 16.0)
        assert (10, at_ns, 8.0, "Good") in outbox.rows
        assert (99, at_ns, 16.0, "Good") in outbox.rows
        say(acquisition, 0.0, BAD_COMMUNICATION_ERROR)
        await outbox.until(10, 0.0, "BadCommunicationError")
        await outbox.until(110, "input x is BadCommunicationError")
        say(acquisition, 5.0)
        await outbox.until(110, "")


async def test_a_bad_input_is_passed_where_the_function_wants_it() -> None:
    async with edge() as (acquisition, outbox):
        await acquisition.apply(model(1, {10: ("late", {"bad_inputs": True})}))
        say(acquisition, 0.0, BAD_COMMUNICATION_ERROR)
        await outbox.until(10, -1.0)


async def test_one_that_loops_is_ended_and_the_others_do_not_notice() -> None:
    async with edge() as (acquisition, outbox):
        await acquisition.apply(
            model(1, {10: ("ok", {}), 11: ("loop", {"limit_s": 0.02}), 12: ("count", {"state": True})})
        )
        for value in (1.0, 2.0, 3.0):
            say(acquisition, value)
        await outbox.until(111, "takes longer than 20 ms")
        await outbox.until(10, 6.0)
        await outbox.until(12, 3.0)
        assert outbox.last(11) == (0.0, "BadTimeout")
        assert [v for t, _, v, s in outbox.rows if t == 12 and s == "Good"] == [1.0, 2.0, 3.0]  # none lost, none twice


async def test_a_script_that_does_not_begin_makes_its_tags_bad_and_a_new_version_heals_it() -> None:
    async with edge() as (acquisition, outbox):
        await acquisition.apply(model(1, {10: ("ok", {})}, "import socket\n"))
        say(acquisition, 1.0)
        await outbox.until(10, 0.0, "BadConfigurationError")
        assert "may not import socket" in str(outbox.last(110))
        await acquisition.apply(model(2, {10: ("ok", {})}))
        say(acquisition, 2.0)
        await outbox.until(10, 4.0)


async def test_periodic_calls_come_at_whole_multiples() -> None:
    async with edge() as (acquisition, outbox):
        await acquisition.apply(model(1, {10: ("ok", {"every_s": 0.1})}))
        say(acquisition, 1.0)
        await outbox.until(10, 2.0)
        times = [t for tag, t, _, status in outbox.rows if tag == 10 and status == "Good"]
        assert all(t % 100_000_000 == 0 for t in times)


async def test_state_stays_over_a_new_version_of_the_plant_and_retired_tags_say_so() -> None:
    async with edge() as (acquisition, outbox):
        await acquisition.apply(model(1, {10: ("ok", {}), 12: ("count", {"state": True})}))
        say(acquisition, 1.0)
        await outbox.until(12, 1.0)
        await acquisition.apply(model(2, {12: ("count", {"state": True})}))
        assert outbox.last(10) == (0.0, "BadOutOfService")
        say(acquisition, 2.0)
        await outbox.until(12, 2.0)


def test_a_model_without_scripts_is_still_read_by_the_build_before() -> None:
    import zlib

    import orjson

    plain = EdgeModel(3, "acme", "lyon", "edge-1")
    raw = orjson.loads(zlib.decompress(plain.to_bytes()))
    assert raw["format"] == 1
    assert not {"scripts", "files"} & set(raw)
    full = model(1, {10: ("ok", {})})
    assert EdgeModel.from_bytes(full.to_bytes()) == full
    assert EdgeModel.from_bytes(plain.to_bytes()) == plain
