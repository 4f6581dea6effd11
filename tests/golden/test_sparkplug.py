"""Edge nodes we did not write: each folder holds what one of them really sent, and what every message must become."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isthmus.drivers.sparkplug.host import Host
from isthmus.ports.drivers import Point, Traffic
from isthmus.values import status
from isthmus.values.sample import ValueType

pytestmark = [pytest.mark.mission("M42"), pytest.mark.real("pysparkplug")]
CASES = sorted((Path(__file__).parent / "sparkplug").glob("*/case.json"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.parent.name)
def test_every_message_becomes_what_its_sender_meant(case: Path) -> None:
    steps = json.loads(case.read_text())["steps"]
    addresses = sorted({address for step in steps for address in step["values"]})
    traffic = Traffic()
    host = Host([Point(i, a) for i, a in enumerate(addresses)], traffic)
    for step in steps:
        host.hear(step["topic"].encode(), bytes.fromhex(step["payload"]), step["arrived_ns"])
        live, kept = host.take()
        said = {}
        for batch in live.batches():
            for row, value, code in zip(batch.id.tolist(), batch.value.tolist(), batch.status.tolist(), strict=True):
                shown = batch.text[value] if batch.type is ValueType.TEXT else value
                said[addresses[row]] = None if code >= status.BAD else shown
            assert all(abs(t - step["arrived_ns"]) < 10**9 for t in batch.time_ns.tolist())
        assert said == step["values"], step["topic"]
        assert not kept.batches()
    assert (traffic.errors, traffic.dropped, host.wanted) == (0, 0, {})


def test_there_are_cases() -> None:
    assert CASES
