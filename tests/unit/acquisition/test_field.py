"""Acquisition as the gate and the trips see it: every reading, its age, writing between polls, reading back."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.acquisition.held import Held
from isthmus.acquisition.scale import raw_of
from isthmus.acquisition.service import Acquisition
from isthmus.ports.drivers import Address, Driver, DriverSpec
from isthmus.values.clock import ManualClock
from isthmus.values.errors import ConfigError, Denied, NotConnected, Rejected
from isthmus.values.expression import compile_expression
from isthmus.values.model import ConnectionModel, EdgeModel, FormulaModel, TripModel, WritePoint
from isthmus.values.sample import SampleBatch, ValueType

from .conftest import FakeConfig, FakeStreams

WRITABLE = ConnectionModel("plc", "fake", {"host": "plc"}, access="read-write")


def ready() -> None:
    """It may go."""


def with_points(model: EdgeModel, *points: WritePoint, trips: tuple[TripModel, ...] = ()) -> EdgeModel:
    return replace(model, points=points, trips=trips)


class Writer:
    """Stands for the door to the device."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, Any]] = []
        self.error: Exception | None = None
        self.takes_s = 0.0

    async def __call__(self, driver: Driver, address: str, value: Any) -> None:
        assert driver.device.in_flight == 0, "a write while a read is on its way"  # type: ignore[attr-defined]  # the fake driver's
        driver.device.in_flight += 1  # type: ignore[attr-defined]  # as above
        try:
            await asyncio.sleep(self.takes_s)
            self.writes.append((address, value))
            if self.error:
                raise self.error
        finally:
            driver.device.in_flight -= 1  # type: ignore[attr-defined]  # as above


@pytest.fixture
def writer(rig, monkeypatch) -> Writer:
    writer = Writer()
    real = rig.acquisition

    def acquisition() -> Acquisition:
        made = real()
        made._write_one = writer
        return made

    monkeypatch.setattr(rig, "acquisition", acquisition)
    return writer


@pytest.mark.mission("M84")
def test_a_value_is_as_young_as_its_last_reading_though_nothing_is_sent(rig, model, writer) -> None:
    async def story(acquisition: Acquisition) -> None:
        heard: list[tuple[int, float]] = []
        await acquisition.apply(with_points(model(WRITABLE, deadband=10.0), WritePoint(101, "operator", read_back=101)))
        end = acquisition.listen(lambda batches: heard.extend((int(b.id[0]), float(b.value[0])) for b in batches))
        await asyncio.sleep(0.2)
        for value in (1.0, 3.0, 5.0):
            rig.device("plc").value = value
            await asyncio.sleep(1.0)
        held = acquisition.held(101)
        assert (held.value, held.status) == (5.0, 0)  # within the deadband, and seen all the same
        assert held.age_s < 1.0
        assert rig.outbox.values(101)[-1] == 1.0
        assert [v for t, v in heard if t == 101][-2:] == [3.0, 5.0]
        assert all(t == 101 for t, _ in heard)
        assert acquisition.held(102) is None  # nobody decides by it
        end()
        count = len(heard)
        await asyncio.sleep(2.0)
        assert len(heard) == count

    rig.play(story)


@pytest.mark.mission("M84")
def test_what_a_silent_device_held_grows_old_and_turns_bad(rig, model, writer) -> None:
    async def story(acquisition: Acquisition) -> None:
        await acquisition.apply(with_points(model(WRITABLE), WritePoint(101, "operator", read_back=101)))
        await asyncio.sleep(1.5)
        rig.device("plc").answer = lambda _: asyncio.sleep(3600)
        await asyncio.sleep(2.2)
        assert acquisition.held(101).age_s > 2.0
        await asyncio.sleep(2.0)
        assert acquisition.held(101).status == 0x800A0000
        assert acquisition.held(101).value is None

    rig.play(story)


def test_a_calculated_value_is_as_old_as_its_oldest_input(rig, model, writer) -> None:
    rig.compile = compile_expression

    async def story(acquisition: Acquisition) -> None:
        made = model(
            ConnectionModel("fast", "fake", {"host": "fast"}, access="read-write"),
            ConnectionModel("slow", "fake", {"host": "slow"}),
            tags=1,
            formulas=(FormulaModel(900, "a + b", {"a": 101, "b": 201}),),
            extra=({"id": 900},),
        )
        await acquisition.apply(
            with_points(made, WritePoint(101, "operator", read_back=101, interlock="sum > 0", inputs={"sum": 900}))
        )
        await asyncio.sleep(1.5)
        assert acquisition.held(900).value == 2.0
        rig.device("slow").answer = lambda _: asyncio.sleep(3600)
        await asyncio.sleep(2.5)
        assert acquisition.held(101).age_s < 1.0
        assert acquisition.held(900).age_s > 2.0

    rig.play(story)


def test_a_write_comes_between_two_reads_and_is_read_back(rig, model, writer) -> None:
    async def story(acquisition: Acquisition) -> None:
        device = rig.device("plc")
        device.takes_s, writer.takes_s = 0.3, 0.2
        await acquisition.apply(
            with_points(
                model(WRITABLE, period_s=0.4, factor=0.5, offset=10.0), WritePoint(101, "operator", read_back=101)
            )
        )
        await asyncio.sleep(2.0)
        await asyncio.gather(*(acquisition.write(101, v, ready) for v in (11.0, 12.5)))
        assert writer.writes == [("a1", 2.0), ("a1", 5.0)]
        device.value = 5.0
        held = await acquisition.read_back(101)
        assert (held.value, held.age_s) == (12.5, 0.0)
        assert device.reads[-1][1] == 1
        assert rig.outbox.values(101)[-1] == 12.5  # a reading like any other: it is recorded too

    rig.play(story)


def test_what_cannot_be_written(rig, model, writer) -> None:
    async def story(acquisition: Acquisition) -> None:
        made = with_points(
            model(WRITABLE, ConnectionModel("ro", "fake", {"host": "ro"})),
            WritePoint(101, "operator", read_back=101),
            WritePoint(201, "operator", read_back=201),
        )
        with pytest.raises(ConfigError, match="nothing says"):
            await acquisition.write(101, 1.0, ready)
        with pytest.raises(NotConnected, match="not read from a device"):
            await acquisition.read_back(101)
        await acquisition.apply(made)
        await asyncio.sleep(1.0)
        with pytest.raises(ConfigError, match="read-only"):
            await acquisition.write(201, 1.0, ready)
        with pytest.raises(ConfigError, match="nothing says"):
            await acquisition.write(102, 1.0, ready)
        with pytest.raises(Denied, match="needs a number"):
            await acquisition.write(101, "fast", ready)

        def held_back() -> None:
            raise Denied("the guard opened", "interlock")

        with pytest.raises(Denied, match="the guard opened"):
            await acquisition.write(101, 1.0, held_back)
        assert writer.writes == []

    rig.play(story)


def test_errors_of_a_write_are_told_as_they_are(rig, model, writer) -> None:
    async def story(acquisition: Acquisition) -> None:
        await acquisition.apply(with_points(model(WRITABLE), WritePoint(101, "operator", read_back=101)))
        await asyncio.sleep(1.0)
        for error in (Rejected("no"), NotConnected("cut")):
            writer.error = error
            with pytest.raises(type(error)):
                await acquisition.write(101, 1.0, ready)
        writer.error, writer.takes_s = None, 60.0
        with pytest.raises(TimeoutError, match="writing took longer"):
            await acquisition.write(101, 1.0, ready)
        rig.device("plc").opening = lambda: (_ for _ in ()).throw(NotConnected("refused"))
        rig.device("plc").answer = lambda _: (_ for _ in ()).throw(NotConnected("cut"))
        await asyncio.sleep(2.0)
        with pytest.raises(Denied) as told:
            await acquisition.write(101, 1.0, ready)
        assert told.value.code == "not_connected"
        with pytest.raises(NotConnected):
            await acquisition.read_back(101)

    rig.play(story)


@pytest.mark.parametrize("error", [Rejected("no"), NotConnected("cut")])
def test_a_read_back_that_fails_is_told(rig, model, writer, error) -> None:
    async def story(acquisition: Acquisition) -> None:
        await acquisition.apply(with_points(model(WRITABLE), WritePoint(101, "operator", read_back=101)))
        await asyncio.sleep(1.5)

        def answer(points: Any) -> Any:
            if len(points) == 1:
                raise error
            return [rig.device("plc").batch(points)]

        rig.device("plc").answer = answer
        with pytest.raises(NotConnected):
            await acquisition.read_back(101)
        rig.device("plc").answer = lambda _: [
            SampleBatch(np.zeros(2, np.int32), np.zeros(1, np.int64), np.zeros(1), np.zeros(1, np.uint32))
        ]
        with pytest.raises(NotConnected):
            await acquisition.read_back(101)

    rig.play(story)


def test_a_device_that_only_speaks_by_itself_is_listened_to(rig, model, writer) -> None:
    async def story(acquisition: Acquisition) -> None:
        made = model(ConnectionModel("s", "stream", {"host": "s"}, access="read-write"))
        await acquisition.apply(with_points(made, WritePoint(101, "operator", read_back=101)))
        await asyncio.sleep(0.1)
        device = rig.device("s")
        device.queue.put_nowait(device.batch(device.points, 1.0))
        await asyncio.sleep(0.1)
        assert (await acquisition.read_back(101)).value == 1.0  # nothing was written since: what it told holds
        await acquisition.write(101, 7.0, ready)
        looking = asyncio.create_task(acquisition.read_back(101))
        await asyncio.sleep(0.5)
        assert not looking.done()
        device.queue.put_nowait(device.batch(device.points, 7.0))
        assert (await looking).value == 7.0
        assert (await acquisition.read_back(101)).value == 7.0
        await acquisition.write(101, 8.0, ready)
        with pytest.raises(NotConnected, match="told nothing"):
            await acquisition.read_back(101)

    rig.play(story)


class Both(FakeStreams):
    """Tells changes by itself and can be read."""

    async def read(self, points: Any) -> Any:
        self.device.reads.append((self.device.clock.monotonic_ns() / 1e9, len(points)))
        if self.device.answer:
            return self.device.answer(points)
        return [self.device.batch(points)]


@pytest.mark.mission("M84")
def test_what_a_stream_does_not_repeat_is_asked_for_where_the_device_can_be_read(
    rig, model, writer, monkeypatch
) -> None:
    real = rig.driver_of

    def driver_of(name: str) -> DriverSpec:
        if name != "both":
            return real(name)
        return DriverSpec(name, FakeConfig, lambda c, _: Both(rig.device(c.host)), lambda _: Address(ValueType.FLOAT))

    monkeypatch.setattr(rig, "driver_of", driver_of)

    async def story(acquisition: Acquisition) -> None:
        made = model(ConnectionModel("s", "both", {"host": "s"}, access="read-write"))
        await acquisition.apply(with_points(made, WritePoint(101, "operator", read_back=101)))
        device = rig.device("s")
        device.value = 4.0
        await asyncio.sleep(5.5)
        assert {points for _, points in device.reads} == {1}  # only what somebody decides by
        held = acquisition.held(101)
        assert (held.value, held.age_s < 1.0) == (4.0, True)
        assert (await acquisition.read_back(101)).value == 4.0

        def refuses(_: Any) -> Any:
            raise Rejected("no")

        device.answer = refuses
        await asyncio.sleep(5.0)
        assert acquisition.held(101).age_s > 4.0
        device.answer = None
        await acquisition.apply(with_points(made, *(WritePoint(t, "operator", read_back=t) for t in (101, 102))))
        await asyncio.sleep(2.5)
        assert acquisition.held(102).age_s <= 1.0

    rig.play(story)


def test_a_listener_that_fails_harms_nobody(rig, model, writer) -> None:
    async def story(acquisition: Acquisition) -> None:
        await acquisition.apply(with_points(model(WRITABLE), WritePoint(101, "operator", read_back=101)))

        def fails(_: Any) -> None:
            raise KeyError("bug")

        acquisition.listen(fails)
        await asyncio.sleep(2.5)
        assert acquisition.held(101).age_s < 1.0
        assert rig.traces

    rig.play(story)


def test_readings_go_on_over_a_new_model(rig, model, writer) -> None:
    async def story(acquisition: Acquisition) -> None:
        heard: list[int] = []
        await acquisition.apply(with_points(model(WRITABLE), WritePoint(101, "operator", read_back=101)))
        acquisition.listen(lambda batches: heard.append(len(batches)))
        await asyncio.sleep(1.5)
        await acquisition.apply(
            with_points(
                model(WRITABLE, version=2),
                WritePoint(101, "operator", read_back=101),
                trips=(TripModel("t", "", ("a > 0",), {"a": 102}),),
            )
        )
        assert acquisition.held(101).value == 1.0
        count = len(heard)
        await asyncio.sleep(1.5)
        assert len(heard) > count
        assert acquisition.held(102).value == 1.0

    rig.play(story)


def test_texts_are_held_as_texts() -> None:
    made = EdgeModel(1, "a", "b", "c", trips=(TripModel("t", "", (), {"x": 5}),))
    clock = ManualClock()
    held = Held(made, clock, logging.getLogger("test"))
    batch = SampleBatch(
        np.array([5, 6], np.int32), np.array([1, 2]), np.array([1, 0], np.int32), np.zeros(2, np.uint32), ("a", "b")
    )
    held.heard([batch])
    assert held.of(5).value == "b"
    assert held.of(6) is None


def test_a_point_that_is_not_read_is_refused(rig, model, writer) -> None:
    async def story(acquisition: Acquisition) -> None:
        with pytest.raises(ConfigError, match="not read from a device"):
            await acquisition.apply(with_points(model(WRITABLE), WritePoint(999, "operator")))

    rig.play(story)


@given(
    raw=st.integers(-(2**31), 2**31),
    factor=st.sampled_from([0.01, 0.1, 0.5, 2.0, -0.1, 1e-3, 100.0 / 27648]),
    offset=st.sampled_from([0.0, -40.0, 7.25]),
)
def test_the_inverse_gives_back_the_number_that_was_read(raw: int, factor: float, offset: float) -> None:
    assert raw_of(raw * factor + offset, ValueType.FLOAT, factor, offset, ValueType.INT) == raw


@pytest.mark.parametrize(
    ("value", "type_", "factor", "raw", "words"),
    [
        (45.505, ValueType.FLOAT, 0.01, ValueType.INT, "45.5 or 45.51"),
        (1.5, ValueType.INT, 1.0, ValueType.INT, "whole number"),
        (1.5, ValueType.FLOAT, 1.0, ValueType.INT, "holds whole numbers"),
        (2.0**70, ValueType.FLOAT, 1.0, ValueType.INT, "holds whole numbers"),
        (1e300, ValueType.FLOAT, 0.01, ValueType.INT, "no such number"),
        (float("nan"), ValueType.FLOAT, 1.0, ValueType.FLOAT, "finite"),
        ("a", ValueType.FLOAT, 1.0, ValueType.FLOAT, "needs a number"),
        (1.0, ValueType.TEXT, 1.0, ValueType.TEXT, "needs a text"),
    ],
)
def test_what_the_device_has_no_number_for_is_refused(value, type_, factor, raw, words) -> None:
    with pytest.raises(Denied, match=words):
        raw_of(value, type_, factor, 0.0, raw)


def test_numbers_and_texts_that_need_no_scale() -> None:
    assert raw_of("go", ValueType.TEXT, 1.0, 0.0, ValueType.TEXT) == "go"
    assert raw_of(5.0, ValueType.INT, 1.0, 0.0, ValueType.INT) == 5
    assert isinstance(raw_of(5.0, ValueType.INT, 1.0, 0.0, ValueType.INT), int)
    assert raw_of(5, ValueType.FLOAT, 1.0, 0.0, ValueType.FLOAT) == 5.0
    assert raw_of(12.5, ValueType.FLOAT, 0.5, 10.0, ValueType.FLOAT) == 5.0
