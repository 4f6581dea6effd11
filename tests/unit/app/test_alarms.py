"""What core brings to its alarms: the values tags hold, and edges that are not heard."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from isthmus.acquisition.model import Heartbeats
from isthmus.alarms import store
from isthmus.alarms.service import Alarms
from isthmus.app.alarms import EdgeWatch, held
from isthmus.app.records import open_records
from isthmus.namespace.compiled import make_plant
from isthmus.namespace.live import LiveTable
from isthmus.namespace.model import EMPTY, Tag
from isthmus.values.clock import ManualClock
from isthmus.values.messages.acquisition import Heartbeat
from isthmus.values.sample import SampleBatch, ValueType


def test_what_the_live_table_holds_comes_as_samples_of_each_type() -> None:
    kinds = (ValueType.FLOAT, ValueType.INT, ValueType.TEXT)
    tags = tuple(Tag(i + 1, f"a/{k}", "a", str(k), "value", k) for i, k in enumerate(kinds))
    live = LiveTable()
    live.describe(make_plant(version=1, enterprise="e", site="s", timezone="UTC", tags=tags))
    assert held(live) == []
    one = np.array([7], np.int64)
    good = np.zeros(1, np.uint32)
    live.apply([SampleBatch(np.array([1], np.int32), one, np.array([1.5]), good)], 10)
    live.apply([SampleBatch(np.array([2], np.int32), one, np.array([2**60 + 1]), good)], 10)
    live.apply([SampleBatch(np.array([3], np.int32), one, np.array([0], np.int32), good, ("Bad",))], 10)
    number, whole, text = held(live)
    assert (number.id.tolist(), number.value.tolist(), number.time_ns.tolist()) == ([1], [1.5], [7])
    assert whole.value.tolist() == [2**60 + 1]
    assert (text.text, text.value.tolist(), text.type) == (("Bad",), [0], ValueType.TEXT)


@pytest.mark.mission("M63")
async def test_an_edge_that_falls_silent_is_an_alarm_until_it_is_heard(tmp_path) -> None:
    engine = open_records(tmp_path / "records.db")
    store.metadata.create_all(engine)
    clock, log = ManualClock(), logging.getLogger("test")
    alarms, beats, edges = Alarms(engine, clock), Heartbeats(), ["edge-1", "edge-2"]
    await alarms.begin(EMPTY)
    watch = EdgeWatch(alarms, beats, lambda: edges, clock, log)

    def beat() -> None:
        fields = dict.fromkeys(Heartbeat.__dataclass_fields__, 0)
        said = Heartbeat(**{**fields, "edge": "edge-1", "state": "running"})
        beats.heard(said, clock.now_ns(), clock.monotonic_ns())

    async def silent() -> list[str]:
        await watch.look()
        return sorted(row.alarm for row in alarms.rows())

    beat()
    assert await silent() == []  # the other one may still come
    clock.advance(20)
    assert await silent() == ["edges/edge-1/silent", "edges/edge-2/silent"]
    beat()
    await watch.look()
    assert alarms.reported() == {"edges/edge-2/silent"}
    edges.remove("edge-2")  # it is no part of the plant any more
    await watch.look()
    assert alarms.reported() == frozenset()
    engine.dispose()
