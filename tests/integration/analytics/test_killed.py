"""kill -9 of whoever judges the rules, with a real bus behind it: no event doubled, none lost."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from isthmus.analytics import store
from isthmus.app.records import open_records
from isthmus.bus import subjects
from isthmus.bus.broker import LocalBroker, edge_user
from isthmus.bus.client import Bus
from isthmus.ports.frames import Arrived
from isthmus.values.frame import Frame, Lane, encode
from isthmus.values.sample import SampleBatch

LOG = logging.getLogger("test")
CHILD = Path(__file__).with_name("judging.py")
_spec = importlib.util.spec_from_file_location("judging", CHILD)
assert _spec is not None
judging = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(judging)
S, T0 = judging.S, judging.T0


def story(seconds: int) -> list[Frame]:
    frames, before = [], {}
    for i in range(seconds):
        now = {10: 90.0 if i % 50 > 20 else 30.0, 11: 95.0 if i % 70 > 60 else 40.0}
        changed = [(tag, v) for tag, v in now.items() if before.get(tag) != v]
        before = now
        n = len(changed)
        made = SampleBatch(
            np.array([t for t, _ in changed], np.int32), np.full(n, (T0 + i) * S),
            np.array([v for _, v in changed], np.float64), np.zeros(n, np.uint32),
        )  # fmt: skip
        frames.append(Frame(Lane.LIVE, 1, i + 1, (T0 + i) * S, 1, (made,) if n else ()))
    return frames


async def told(rules) -> list[tuple]:
    events = await rules.events("", 0, 2**62)
    return sorted((e.rule, e.asset, e.start_ns, e.raised_ns, e.end_ns) for e in events)


async def judged_to(records: Path, second: int) -> None:
    """Until the records say so."""
    engine = open_records(records)
    try:
        async with asyncio.timeout(60):
            while True:
                with engine.begin() as db:
                    found = store.load_cursor(db) if db.dialect.has_table(db, "analytics_cursor") else {}
                if found and found["edge-1"][1] >= second:
                    return
                await asyncio.sleep(0.02)
    finally:
        engine.dispose()


@pytest.mark.mission("M64")
@pytest.mark.real("nats-server", "sqlite")
async def test_kill_9_doubles_and_loses_no_event(tmp_path: Path) -> None:
    frames = story(320)
    straight = judging.open_rules(tmp_path / "straight.db")
    await straight.begin(judging.plant(), 0)
    await straight.take([Arrived("edge-1", frame, i) for i, frame in enumerate(frames, 1)])
    wanted = await told(straight)
    straight._engine.dispose()
    assert len(wanted) > 15

    broker = LocalBroker(tmp_path / "bus")
    records = tmp_path / "records.db"
    async with broker:
        core, edge = Bus(broker.addresses["core"], LOG), Bus(broker.addresses[edge_user("edge-1")], LOG)
        await core.connect()
        await core.ensure_stream(tmp_path)
        await edge.connect()
        subject = subjects.frames("lyon", "edge-1", Lane.LIVE)
        sent = 0
        try:
            for upto, kill in ((90, True), (210, True), (320, False)):
                child = await asyncio.create_subprocess_exec(
                    sys.executable,
                    str(CHILD),
                    str(records),
                    str(broker.files.address_file("core")),
                    env=dict(os.environ),
                )
                try:
                    for frame in frames[sent:upto]:
                        await edge.js.publish(subject, encode(frame))
                    sent = upto
                    # killed while frames are under way; only the last one is let finish
                    await judged_to(records, T0 + (upto // 2 if kill else upto - 3))
                finally:
                    child.kill()
                    await child.wait()
        finally:
            await edge.close()
            await core.close()
    again = judging.open_rules(records)
    assert await told(again) == wanted
    again._engine.dispose()
