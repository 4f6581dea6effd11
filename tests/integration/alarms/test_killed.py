"""kill -9 of whoever judges alarms, with a real bus behind it: none lost, none raised twice."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from isthmus.alarms import store
from isthmus.app.records import open_records
from isthmus.bus import subjects
from isthmus.bus.broker import LocalBroker, edge_user
from isthmus.bus.client import Bus
from isthmus.ports.frames import Arrived
from isthmus.values.clock import ManualClock
from isthmus.values.frame import Frame, Lane, encode
from isthmus.values.sample import SampleBatch

LOG = logging.getLogger("test")
CHILD = Path(__file__).with_name("judging.py")
_spec = importlib.util.spec_from_file_location("judging_alarms", CHILD)
assert _spec is not None
judging = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(judging)
S = judging.S


def story(seconds: int, begin: int) -> list[Frame]:
    """One frame a second, that end now: what core hears is as young as if it were live."""
    frames = []
    for i in range(seconds):
        at = (begin + i) * S
        values = [90.0 if i % 7 in (2, 3) else 77.0 if i % 7 == 4 else 30.0, 95.0 if i % 23 > 12 else 40.0]
        made = SampleBatch(np.array([10, 11], np.int32), np.full(2, at), np.array(values), np.zeros(2, np.uint32))
        frames.append(Frame(Lane.LIVE, 1, i + 1, at, 1, (made,)))
    return frames


def told(entries) -> list[tuple]:
    """What is raised and when it is over, whether it was heard in time or not."""
    return sorted((e.change.alarm, str(e.trigger) == "raised", e.change.time_ns) for e in entries)


def journal(records: Path) -> list:
    engine = open_records(records)
    try:
        return (
            store.Store(engine).journal(0, 2**62, "", "", 100_000, 2**62) if "alarms_journal" in _tables(engine) else []
        )
    finally:
        engine.dispose()


def _tables(engine) -> list[str]:
    from sqlalchemy import inspect

    return inspect(engine).get_table_names()


@pytest.mark.mission("M63", "M24")
@pytest.mark.real("nats-server", "sqlite")
async def test_kill_9_loses_no_alarm_and_raises_none_twice(tmp_path: Path) -> None:
    frames = story(180, time.time_ns() // S - 180)
    straight = judging.open_alarms(tmp_path / "straight.db", ManualClock(frames[0].sealed_ns))
    await straight.begin(judging.plant())
    await straight.take([Arrived("edge-1", frame, i) for i, frame in enumerate(frames, 1)])
    await straight.flush()
    wanted = told(await straight.journal(0, 2**62, limit=100_000))
    straight._store._engine.dispose()
    assert len(wanted) > 50

    records = tmp_path / "records.db"
    async with LocalBroker(tmp_path / "bus") as broker:
        core, edge = Bus(broker.addresses["core"], LOG), Bus(broker.addresses[edge_user("edge-1")], LOG)
        await core.connect()
        await core.ensure_stream(tmp_path)
        await edge.connect()
        subject = subjects.frames("lyon", "edge-1", Lane.LIVE)
        sent = 0
        try:
            for upto, wait_for in ((60, 8), (120, 25), (180, len(wanted))):
                child = await asyncio.create_subprocess_exec(
                    sys.executable,
                    str(CHILD),
                    str(records),
                    str(broker.files.address_file("core")),
                    env=dict(os.environ),
                )
                try:
                    if not sent:
                        await begun(records)  # a first beginning hears what follows it
                    for frame in frames[sent:upto]:
                        await edge.js.publish(subject, encode(frame))
                    sent = upto
                    async with asyncio.timeout(60):
                        while len(await asyncio.to_thread(journal, records)) < wait_for:
                            await asyncio.sleep(0.05)
                finally:
                    child.kill()  # while frames, marks and commits are under way
                    await child.wait()
        finally:
            await edge.close()
            await core.close()
    assert told(journal(records)) == wanted


async def begun(records: Path) -> None:
    """Until the first mark is stored."""
    async with asyncio.timeout(60):
        while True:
            engine = open_records(records)
            try:
                if "alarms_mark" in _tables(engine) and store.Store(engine).mark() is not None:
                    return
            finally:
                engine.dispose()
            await asyncio.sleep(0.05)
