from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.acquisition.store import OutageLog, metadata
from isthmus.app.records import open_records
from isthmus.ports.frames import Arrived, FrameSink, Position
from isthmus.values.frame import Frame, Lane
from isthmus.values.sample import SampleBatch

WORDS = {1: ("plc1", "state"), 2: ("plc1", "reason"), 3: ("plc2", "state"), 4: ("plc2", "reason")}


def frame(epoch, seq, said, lane=Lane.EVENT):
    """said: (tag, time, text)"""
    texts = tuple(sorted({text for _, _, text in said}))
    batch = SampleBatch(
        np.array([tag for tag, _, _ in said], np.int32),
        np.array([time for _, time, _ in said], np.int64),
        np.array([texts.index(text) for _, _, text in said], np.int32),
        np.zeros(len(said), np.uint32),
        texts,
    )
    return Frame(lane, epoch, seq, 0, 1, (batch,) if said else ())


def arrived(frames, edge="edge-1"):
    return [Arrived(edge, f, i) for i, f in enumerate(frames)]


def with_log(story):
    with tempfile.TemporaryDirectory() as folder:
        engine = open_records(Path(folder) / "records.db")
        metadata.create_all(engine)
        try:
            return asyncio.run(story(lambda: OutageLog(engine, WORDS.get)))
        finally:
            engine.dispose()


def test_an_outage_begins_with_bad_ends_with_good_and_keeps_its_first_reason():
    frames = [
        frame(1, 1, [(2, 10, ""), (1, 10, "Connecting"), (4, 11, "refused"), (3, 11, "Bad")]),
        frame(1, 2, [(2, 20, "no answer"), (1, 20, "Bad")]),
        frame(1, 3, [(2, 30, "refused")]),
        frame(1, 4, [(2, 40, ""), (1, 40, "Good")]),
        frame(1, 5, [(1, 50, "Bad"), (1, 50, "Good"), (3, 55, "Stopped")]),
    ]

    async def story(make):
        log: FrameSink = make()
        await log.take(arrived(frames))
        return await log.outages(), await log.outages("plc2"), await log.outages(limit=1), await make().cursor()

    everything, two, newest, cursor = with_log(story)
    assert [(o.connection, o.start_ns, o.end_ns, o.reason) for o in everything] == [
        ("plc1", 50, 50, ""),
        ("plc1", 20, 40, "no answer"),
        ("plc2", 11, 55, "refused"),
    ]
    assert two == everything[2:]
    assert newest == everything[:1]
    assert cursor == {("edge-1", Lane.EVENT): Position(1, 5)}


def test_a_frame_that_comes_twice_counts_once():
    both = arrived([frame(1, 1, [(1, 5, "Bad"), (1, 6, "Good")])])

    async def story(make):
        log = make()
        await log.take(both + both)
        await log.take(both)
        await make().take(both)
        return await log.outages()

    assert len(with_log(story)) == 1


def test_other_lanes_and_other_tags_have_no_effect():
    async def story(make):
        log = make()
        await log.take(arrived([frame(1, 1, [(1, 5, "Bad")], Lane.LIVE), frame(1, 1, [(77, 5, "Bad")])]))
        return await log.outages(), await log.cursor()

    outages, cursor = with_log(story)
    assert outages == ()
    assert cursor == {("edge-1", Lane.EVENT): Position(1, 1)}


def test_a_failure_stores_neither_effect_nor_cursor(monkeypatch):
    async def story(make):
        log = make()
        await log.take(arrived([frame(1, 1, [(1, 5, "Bad")])]))
        with monkeypatch.context() as patch:
            patch.setattr("isthmus.acquisition.store._apply", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await log.take(arrived([frame(1, 2, [(1, 6, "Good")])]))
        halfway = await log.outages(), await make().cursor(), await log.cursor()
        await log.take(arrived([frame(1, 2, [(1, 6, "Good")])]))
        return halfway, await log.outages()

    (before, stored, kept), after = with_log(story)
    assert before[0].end_ns is None
    assert stored == kept == {("edge-1", Lane.EVENT): Position(1, 1)}
    assert after[0].end_ns == 6


def test_the_log_is_bounded(monkeypatch):
    monkeypatch.setattr("isthmus.acquisition.store.KEPT", 3)
    said = [(1, t, "Bad" if t % 2 else "Good") for t in range(1, 21)]

    async def story(make):
        log = make()
        await log.take(arrived([frame(1, 1, said)]))
        return await log.outages()

    assert [o.start_ns for o in with_log(story)] == [19, 17, 15]


texts = st.sampled_from(["Good", "Slow", "Bad", "Connecting", "Stopped"])
reasons = st.sampled_from(["", "refused", "no answer"])


@st.composite
def histories(draw):
    """Frames of two epochs, and a way in which they were delivered: in order, with any stretch again and again."""
    frames, time = [], 0
    for epoch in (1, 2):
        for seq in range(1, draw(st.integers(1, 5)) + 1):
            said = []
            for _ in range(draw(st.integers(0, 3))):
                time += draw(st.integers(0, 3))
                tag = draw(st.sampled_from([1, 2, 3, 4]))
                said.append((tag, time, draw(texts if tag in (1, 3) else reasons)))
            frames.append(frame(epoch, seq, said))
    deliveries, upto = [], 0
    while upto < len(frames):
        start = draw(st.integers(0, upto))
        stop = draw(st.integers(upto + 1, len(frames)))
        deliveries.append((start, stop, draw(st.booleans())))
        upto = stop
    deliveries.append((0, len(frames), draw(st.booleans())))
    return frames, deliveries


@pytest.mark.mission("M35")
@settings(max_examples=15, deadline=None)
@given(histories())
def test_any_redelivery_gives_the_same_table(history):
    frames, deliveries = history

    async def once(make):
        log = make()
        for one in arrived(frames):
            await log.take([one])
        return await log.outages(limit=1000), await log.cursor()

    async def again(make):
        log = make()
        for start, stop, restart in deliveries:
            if restart:
                log = make()
            await log.take(arrived(frames[start:stop]))
        return await log.outages(limit=1000), await log.cursor()

    assert with_log(again) == with_log(once)
