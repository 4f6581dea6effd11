"""kill -9 of core while production counts: what is kept afterwards is what raw samples say, and nothing is asked for twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import psutil
import pytest

from isthmus.bench.crash import holes, read_stream
from isthmus.bench.floor import RUN, STOP, Machines
from isthmus.bench.system import System, environment
from isthmus.values.errors import IsthmusError, TryLater

pytestmark = [
    pytest.mark.mission("M50", "M51", "M63", "M82"),
    pytest.mark.real("nats-server", "chdb", "sqlite", "modbus"),
    pytest.mark.timeout(900),
]
MACHINES = 3
LIMITS = 8
"""Things that are checked of a machine, each with a limit of its own: so many violations there are in its life."""
PAST_DAYS = 3
STATES = {"Run": RUN, "Stop": STOP}


async def asked(system: System, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """A question, asked again while core is away."""
    for _ in range(600):
        try:
            return await asyncio.to_thread(system.call, method, path, body)
        except TryLater:  # it has begun, and is not open yet
            pass
        except IsthmusError as error:
            if "No Isthmus" not in str(error) and "no Isthmus" not in str(error) and "does not run" not in str(error):
                raise
        except (OSError, ValueError):
            pass
        await asyncio.sleep(0.2)
    raise TimeoutError(f"{method} {path}: core did not come back: {system.log()[-2000:]}")


def plans(plc: Machines) -> list[dict[str, Any]]:
    """A plan for each machine: the same weight against limits that are passed one after the other."""
    return [
        {
            "id": f"m{n}", "title": f"Machine {n}", "asset": plc.asset(n), "base": 0, "reason": "new",
            "characteristics": [
                {
                    "id": f"w{i}", "title": f"Weight {i}", "unit": "g", "usl": 510 + 10 * i, "lsl": 0, "tag": f"{plc.asset(n)}/weight",
                    "on_fail": "nonconformance", "maintenance": True, "sampling": {"pieces": 1},
                }
                for i in range(LIMITS)
            ],
        }
        for n in range(plc.count)
    ]  # fmt: skip


async def work(plc: Machines, chance: np.random.Generator, end: asyncio.Event) -> None:
    """Machines run, stand and count; weights climb over one limit after the other; one counter begins again."""
    good, reject, weight = [0] * plc.count, [0] * plc.count, [500] * plc.count
    state, turn = [RUN] * plc.count, 0
    while not end.is_set():
        turn += 1
        for n in range(plc.count):
            if chance.random() < 0.25:
                state[n] = STOP if state[n] == RUN else RUN
            if state[n] == RUN:
                good[n] += int(chance.integers(1, 9))
                reject[n] += int(chance.integers(0, 2))
            if turn == 12 and n == 0:
                good[0] = 0  # the PLC was started again
            if chance.random() < 0.2:
                weight[n] = min(500 + 10 * LIMITS + 5, weight[n] + 10)
            plc.set(n, state=state[n], good=good[n], reject=reject[n], weight=weight[n])
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(end.wait(), 0.3)
    for n in range(plc.count):  # what follows from now on is known to the end
        plc.set(n, weight=500 + 10 * LIMITS + 5)


async def call_for_help(system: System, known: set[str], end: asyncio.Event) -> None:
    """For each stop that is seen somebody asks for maintenance, and again until core has said that it did."""
    while not end.is_set():
        for one in (await asked(system, "GET", "production/machines"))["machines"]:
            if one["stop"] and one["stop"] not in known:
                body = {"asset": one["asset"], "kind": "maintenance", "stop": one["stop"], "title": "stands"}
                await until_taken(system, body)
                known.add(one["stop"])
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(end.wait(), 0.2)


async def until_taken(system: System, body: dict[str, Any]) -> None:
    """A request, asked for again while core comes back and does not know the stop yet."""
    for _ in range(300):
        try:
            await asked(system, "POST", "production/requests", body)
        except IsthmusError as error:
            problem = error
            await asyncio.sleep(0.2)
        else:
            return
    raise TimeoutError(f"{body}: {problem}")


def past(plc: Machines) -> str:
    """Some days of each machine before today, as a file to import."""
    lines, chance = ["tag,time,value"], np.random.default_rng(3)
    today = (datetime.now(UTC) - timedelta(hours=3)).replace(hour=0, minute=0, second=0, microsecond=0)
    for n in range(plc.count):
        at, good, run = today - timedelta(days=PAST_DAYS), 0, True
        while at < today:
            lines += [
                f"{plc.asset(n)}/state,{at.isoformat()},{'Run' if run else 'Stop'}",
                f"{plc.asset(n)}/good,{at.isoformat()},{good}",
                f"{plc.asset(n)}/reject,{at.isoformat()},{good // 50}",
            ]
            good, run = good + int(chance.integers(0, 900)), not run
            at += timedelta(milliseconds=int(chance.integers(30_000, 1_800_000)))
    return "\n".join(lines) + "\n"


async def kill_core(system: System, kills: int, chance: np.random.Generator) -> None:
    """Core dies at any moment, and comes back by itself."""
    for _ in range(kills):
        await asyncio.sleep(0.3 + 1.5 * chance.random())
        core = system.processes().get("core")
        if core is not None:
            with contextlib.suppress(psutil.Error):
                core.kill()
        await counts(system)


async def counts(system: System, *classes: str) -> None:
    """Until production knows what every machine does, and that it is one of some classes if they are told."""
    for _ in range(600):
        found = {m["state_class"] for m in (await asked(system, "GET", "production/machines"))["machines"]}
        if found and found <= set(classes or ("running", "stopped")):
            return
        await asyncio.sleep(0.1)
    raise TimeoutError(f"machines are {found}: {system.log()[-2000:]}")


async def command(*words: object) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "isthmus", *map(str, words)], capture_output=True, text=True, env=environment()
    )  # fmt: skip


async def imported(file: Path, system: System) -> None:
    """An import that core's death cuts off goes on where it was."""
    for _ in range(60):
        told = await command("import", file, "--data", system.folder)
        if not told.returncode:
            return
        assert "no Isthmus" in told.stderr or "has begun" in told.stderr, told.stderr
        await asyncio.sleep(0.5)
    raise TimeoutError(told.stderr)


Samples = list[tuple[datetime, int | None]]
"""None: the value was bad, as when the PLC was not heard in time."""


async def raw(system: System, tag: str, start: str, end: str) -> Samples:
    """Every sample of a tag as the record has it."""
    found = await asked(system, "GET", f"history?{urlencode({'tag': tag, 'start': start, 'end': end, 'shape': 'raw'})}")
    time, value = found["columns"].index("time"), found["columns"].index("value")
    rows = [(datetime.fromtimestamp(row[time] / 1000, UTC), row[value]) for row in found["rows"]]
    assert len({at for at, _ in rows}) == len(rows)
    return [(at, None if number is None else int(STATES.get(number, number))) for at, number in rows]


def walked(samples: Samples) -> list[tuple[datetime, str]]:
    """Intervals from states one by one: when each begins, and its class."""
    found: list[tuple[datetime, str]] = []
    for at, number in samples:
        name = "unknown" if number is None else "running" if number == RUN else "stopped"
        if not found or found[-1][1] != name:
            found.append((at, name))
    return found


def counted(samples: Samples) -> int:
    """What a counter counted; one that shows less began again, and what a bad reading hides comes with the next."""
    values = [number for _, number in samples if number is not None]
    return sum(b - a if b >= a else b for a, b in pairwise(values))


async def hold_against_samples(system: System, plc: Machines, begin: datetime) -> int:
    """Intervals, stops and counts of what ran, against a plain walk over the raw samples; how many intervals."""
    seen = 0
    start, end = begin.isoformat(), datetime.now(UTC).isoformat()
    rows = (await asked(system, "GET", f"production/oee?{urlencode({'start': start, 'by': 'machine'})}"))["rows"]
    for n in range(plc.count):
        asset = plc.asset(n)
        samples = await raw(system, f"{asset}/state", start, end)
        wanted, known = walked(samples), (samples[-1][0] + timedelta(milliseconds=1)).isoformat()
        span = urlencode({"asset": asset, "start": wanted[0][0].isoformat(), "end": known})
        told = (await asked(system, "GET", f"production/intervals?{span}"))["intervals"]
        assert [(datetime.fromisoformat(i["start"]), i["state_class"]) for i in told] == wanted
        assert all(a["end"] == b["start"] for a, b in pairwise(told))
        span = urlencode({"under": asset, "start": wanted[0][0].isoformat(), "end": known})
        stops = (await asked(system, "GET", f"production/stops?{span}"))["stops"]
        begins = sorted(datetime.fromisoformat(one["start"]) for one in stops)
        assert begins == [at for at, name in wanted if name == "stopped"]
        (row,) = [one for one in rows if one["key"]["machine"] == asset]
        assert row["good"] == counted(await raw(system, f"{asset}/good", start, end))
        assert row["reject"] == counted(await raw(system, f"{asset}/reject", start, end))
        seen += len(wanted)
    return seen


async def hold_requests(system: System, plc: Machines, called: set[str]) -> None:
    """A request for each violation and for each stop somebody asked for, and each once."""
    requests = (await asked(system, "GET", "production/requests"))["requests"]
    found = (await asked(system, "GET", "quality/nonconformances"))["nonconformances"]
    of_quality = sorted(one["id"] for one in requests if not one["stop"])
    assert sorted(one["request"] or 0 for one in found) == of_quality
    assert len(set(of_quality)) == len(found) == plc.count * LIMITS
    assert len({one["characteristic"] for one in found}) == len(found)
    of_stops = [one["stop"] for one in requests if one["stop"]]
    assert len(of_stops) == len(set(of_stops))
    assert set(of_stops) == called


@contextlib.asynccontextmanager
async def started(folder: Path) -> AsyncIterator[System]:
    """A system, given time to start also on a machine that is busy."""
    system = System(folder)
    try:
        await system.start(240)
        yield system
    finally:
        await system.__aexit__()


async def drill(folder: Path, kills: int) -> None:
    chance = np.random.default_rng(11)
    async with Machines(MACHINES) as plc, started(folder / "data") as system:
        await asyncio.to_thread(system.apply, plc.plant_yaml())
        for plan in plans(plc):
            await asked(system, "POST", "quality/plans", plan)
        (folder / "past.csv").write_text(past(plc))
        await counts(system, "running")
        end, called = asyncio.Event(), set[str]()
        # on a quarter of an hour, as figures are cut, and before the first sample: all counters began at nought
        begin = (datetime.now(UTC) - timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
        tasks = [
            asyncio.create_task(work(plc, chance, end)),
            asyncio.create_task(call_for_help(system, called, end)),
        ]
        importing = asyncio.create_task(imported(folder / "past.csv", system))
        try:
            await kill_core(system, kills, np.random.default_rng(5))
            while not called and not any(task.done() for task in tasks):
                await asyncio.sleep(0.1)
            end.set()
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            if not end.is_set():
                importing.cancel()
        await importing
        await all_is_computed(system, plc)
        again = await command("production", "replay", "--start", "now-5d", "--data", system.folder, "--json")
        assert again.returncode == 0, again.stdout[:4000] + again.stderr
        answer = json.loads(again.stdout)
        assert [(m["differing"], m["notes"]) for m in answer["machines"]] == [(0, [])] * MACHINES
        assert all(m["days"] >= PAST_DAYS and m["kept"] == m["computed"] for m in answer["machines"])
        assert all(m["kept"]["oee"] > 0 for m in answer["machines"])
        assert await hold_against_samples(system, plc, begin) > 2 * MACHINES
        await hold_requests(system, plc, called)
        assert holes(await read_stream(system.folder)) == 0


async def all_is_computed(system: System, plc: Machines) -> None:
    """Until closed days are computed and every violation has its request."""
    for _ in range(600):
        now = await asked(system, "GET", "production/machines")
        found = (await asked(system, "GET", "quality/nonconformances"))["nonconformances"]
        ready = not now["waiting"] and all(one["state_class"] in ("running", "stopped") for one in now["machines"])
        if ready and len(found) == plc.count * LIMITS and all(one["request"] for one in found):
            return
        await asyncio.sleep(0.2)
    raise TimeoutError(f"still waiting: {now}, {len(found)} violations: {system.log()[-2000:]}")


async def test_killed_cores_leave_intervals_counts_and_requests_as_raw_samples_say(tmp_path: Path) -> None:
    await drill(tmp_path, 4)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_forty_kills_leave_them_as_raw_samples_say(tmp_path: Path) -> None:
    await drill(tmp_path, 40)
