"""What an edge calculated is calculated again from the record: real scripts, a real historian."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from isthmus.acquisition.replay import Replay
from isthmus.historian.service import Historian
from isthmus.historian.store import StoreConfig
from isthmus.namespace.model import Tag
from isthmus.ports.frames import Arrived
from isthmus.values.clock import SystemClock
from isthmus.values.errors import ConfigError
from isthmus.values.expression import compile_expression
from isthmus.values.frame import Frame, Lane
from isthmus.values.sample import ValueType

_spec = importlib.util.spec_from_file_location("scripts_rig", Path(__file__).with_name("test_scripts.py"))
assert _spec is not None
rig = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(rig)

pytestmark = [pytest.mark.mission("M64"), pytest.mark.real("python", "chdb")]

TAGS = {i: Tag(i, f"t{i}", "", f"t{i}", "value", ValueType.FLOAT, edge="edge-1") for i in (1, 10, 12, 99)}


class Recorder(rig.Outbox):
    """Keeps batches as frames as well."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Arrived] = []

    def offer(self, lane, batches) -> None:
        mine = tuple(b for b in batches if b.type is ValueType.FLOAT)
        number = len(self.frames) + 1
        self.frames.append(
            Arrived("edge-1", Frame(Lane.LIVE, 1, number, batches[0].time_ns[0].item(), 1, mine), number)
        )
        super().offer(lane, batches)


@pytest.mark.leaks("chdb keeps two pipes of its own until the process ends")
async def test_nothing_differs_until_the_record_or_the_script_is_another(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(rig, "Outbox", Recorder)
    first = rig.model(1, {10: ("ok", {}), 12: ("count", {"state": True})})
    async with rig.edge() as (acquisition, outbox):
        await acquisition.apply(first)
        began = SystemClock().now_ns() + 100_000_000
        for turn, value in enumerate((1.0, 2.0, 2.5, 7.0)):
            rig.say(acquisition, value, at_ns=began + turn * 10_000_000)
            await outbox.until(99, 4 * value)
        rig.say(acquisition, 0.0, 0x80050000, at_ns=began + 40_000_000)
        await outbox.until(99, 0.0, "BadCommunicationError")
    historian = Historian(StoreConfig(path=tmp_path / "history"), SystemClock())
    await historian.open()
    try:
        await historian.describe(tuple(TAGS.values()))
        await historian.take(outbox.frames)
        end = began + 1_000_000_000

        async def replay(tag: int, model=first, start_ns=began):
            return await Replay(model, TAGS[tag], TAGS, start_ns, end, historian, compile_expression).run()

        for tag, how in ((10, "python bearing.py: ok"), (99, "formula"), (12, "python bearing.py: count")):
            report = await replay(tag)
            assert report.how == how
            assert report.recorded >= 4

            assert [d for d in report.differences if "could not compute it then" not in d.why] == []
        assert await replay(10) == await replay(10)
        other = rig.model(2, {10: ("ok", {})}, rig.SCRIPT.replace("i.x.value * 2", "i.x.value * 3"))
        report = await replay(10, other)
        assert {(d.recorded[0], d.computed[0], d.why) for d in report.differences if d.recorded and d.computed} >= {
            (4.0, 6.0, "the record says something else"),
            (14.0, 21.0, "the record says something else"),
        }
        with pytest.raises(ConfigError, match="not calculated"):
            await replay(1)
    finally:
        await historian.close()
