"""Commands without a network: whom they go to, what fits, and what an answer is."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import pytest

from isthmus.drivers.sparkplug import payload as sparkplug
from isthmus.drivers.sparkplug.host import Host
from isthmus.drivers.sparkplug.write import Answers, command
from isthmus.ports.drivers import Point, Traffic
from isthmus.ports.writes import PointWrite
from isthmus.values.errors import NotConnected, Rejected
from isthmus.values.sample import SampleBatch

pytestmark = pytest.mark.mission("M42", "M22")
NOW_NS = 1_700_000_000_000_000_000

METRICS: dict[str, tuple[int, Any]] = {
    "speed": (sparkplug.FLOAT, 1.5),
    "ratio": (sparkplug.DOUBLE, 0.5),
    "steps": (sparkplug.INT16, -2),
    "large": (sparkplug.UINT64, 2),
    "on": (sparkplug.BOOLEAN, False),
    "label": (sparkplug.STRING, "x"),
    "at": (sparkplug.DATETIME, 1),
}


def born(host: Host, *, alias: bool = True, closed: str = "", twice: bool = False) -> None:
    node = sparkplug.Payload(timestamp=NOW_NS // 1_000_000, seq=0)
    sparkplug.add_metric(node, "bdSeq", sparkplug.INT64, 3, 1)
    sparkplug.add_metric(node, "limit", sparkplug.INT32, 4, 1, alias=99 if alias else None)
    host.hear(b"spBv1.0/G/NBIRTH/N", node.SerializeToString(), NOW_NS)
    device = sparkplug.Payload(timestamp=NOW_NS // 1_000_000, seq=1)
    for i, (name, (kind, value)) in enumerate(METRICS.items()):
        number = (1 if twice and i < 2 else i) if alias else None
        sparkplug.add_metric(device, name, kind, value, 1, alias=number, read_only=name == closed)
    device.metrics.add(name="file", datatype=sparkplug.FILE, alias=50, bytes_value=b"1")
    device.metrics.add(name="tool", datatype=sparkplug.TEMPLATE, alias=51).template_value.is_definition = False
    host.hear(b"spBv1.0/G/DBIRTH/N/D", device.SerializeToString(), NOW_NS)


def host_of(*addresses: str) -> Host:
    return Host([Point(i, a) for i, a in enumerate(addresses)], Traffic())


def test_a_command_names_the_alias_where_there_is_one_and_says_the_datatype() -> None:
    host = host_of("G/N/D:steps int", "G/N:limit int")
    born(host)
    sent = command(host, PointWrite("G/N/D:steps int", -300))
    assert sent.target.topic == "spBv1.0/G/DCMD/N/D"
    (metric,) = sparkplug.parse(sent.payload(1234)).metrics
    assert (metric.name, metric.alias, metric.datatype, metric.timestamp) == ("", 2, sparkplug.INT16, 1234)
    assert metric.int_value == 2**32 - 300
    sent = command(host, PointWrite("G/N:limit int", 7))
    assert sent.target.topic == "spBv1.0/G/NCMD/N"
    assert not sparkplug.parse(sent.payload(1)).HasField("seq")


def test_without_aliases_it_names_the_metric() -> None:
    host = host_of("G/N/D:speed")
    born(host, alias=False)
    (metric,) = sparkplug.parse(command(host, PointWrite("G/N/D:speed", 2.5)).payload(1)).metrics
    assert (metric.name, metric.HasField("alias"), metric.float_value) == ("speed", False, 2.5)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("G/M/D:speed", "nothing was heard of the node G/M"),
        ("G/N/E:speed", "device E of G/N is offline"),
        ("G/N/D:nothing", "names no metric nothing"),
        ("G/N/D:file", "metric of File cannot be written"),
        ("G/N/D:tool#x", "a member of a template"),
        ("G/N:bdSeq int", "cannot be written"),
        ("G/N/D:ratio", "read-only"),
    ],
)
def test_where_nobody_takes_it_it_is_refused(address: str, problem: str) -> None:
    host = host_of(address)
    born(host, closed="ratio")
    with pytest.raises(Rejected, match=problem):
        command(host, PointWrite(address, 1))


def test_an_alias_of_two_metrics_is_nobodys() -> None:
    host = host_of("G/N/D:speed")
    born(host, twice=True)
    with pytest.raises(Rejected, match="stands for another metric"):
        command(host, PointWrite("G/N/D:speed", 1.0))


def test_a_node_that_died_takes_nothing() -> None:
    host = host_of("G/N/D:speed")
    with pytest.raises(Rejected, match="nothing was heard"):
        command(None, PointWrite("G/N/D:speed", 1.0))
    born(host)
    death = sparkplug.Payload(timestamp=1)
    sparkplug.add_metric(death, "bdSeq", sparkplug.INT64, 3, 1)
    host.hear(b"spBv1.0/G/NDEATH/N", death.SerializeToString(), NOW_NS)
    with pytest.raises(Rejected, match="offline"):
        command(host, PointWrite("G/N/D:speed", 1.0))


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("speed", 1e39),
        ("speed", math.nan),
        ("ratio", "0.5"),
        ("steps", 32_768),
        ("steps", 0.5),
        ("large", -1),
        ("large", 2**63),
        ("on", 2),
        ("label", 5),
        ("at", math.inf),
    ],
)
def test_what_does_not_fit_its_datatype_is_refused(metric: str, value: Any) -> None:
    host = host_of(f"G/N/D:{metric}")
    born(host)
    with pytest.raises(Rejected, match=r"needs a|too large"):
        command(host, PointWrite(f"G/N/D:{metric}", value))


def batch(row: int, value: Any, status: int = 0) -> SampleBatch:
    text: tuple[str, ...] = ()
    if isinstance(value, str):
        value, text = 0, (value,)
    dtype = np.int32 if text else np.float64 if isinstance(value, float) else np.int64
    return SampleBatch(
        np.array([row], np.int32), np.array([1]), np.array([value], dtype), np.array([status], np.uint32), text
    )


@pytest.mark.parametrize(
    ("address", "value", "other"),
    [("G/N/D:speed", 0.1, 0.2), ("G/N/D:steps int", -5, 5), ("G/N/D:label text", "a", "b"), ("G/N/D:on int", True, 0)],
)
async def test_the_value_told_good_is_the_answer_and_nothing_else_is(address: str, value: Any, other: Any) -> None:
    points = [Point(7, "G/N:limit int"), Point(8, address)]
    host, answers = Host(points, Traffic()), Answers(points)
    born(host)
    sent = command(host, PointWrite(address, value))
    wanted = sent.wanted
    with answers.awaited(sent) as told:
        answers.hear([batch(8, other), batch(7, wanted), batch(8, wanted, 0x80000000)])
        assert not told.done()
        assert not answers.tells(sent)
        answers.hear([batch(8, wanted)])
        assert told.done()
        assert answers.tells(sent)
    with answers.awaited(sent) as told:
        assert not told.done()
        answers.end("gone")
        with pytest.raises(NotConnected, match="gone"):
            await asyncio.wait_for(told, 1)
