"""Values that stand only while somebody renews them: the safe value is written once, also after core died."""

from __future__ import annotations

import asyncio

import pytest

from isthmus.values.errors import ConfigError, Denied, NotConnected, Rejected, TryLater
from isthmus.values.messages.control import Result

from .conftest import GUARD, LOCAL, SPEED, Edge, model, point

HELD = point(interlock="guard == 1", local="local == 1", hold_s=10.0, safe=5.0)


async def run_for(edge: Edge, *seconds: float) -> None:
    """The edge lives through these spans; between them its leases act, however long the disk takes."""
    leases = edge.control.gate.leases
    running = asyncio.create_task(leases.run())
    for span in seconds:
        edge.clock.advance(span)
        for tag, value in ((GUARD, 1), (LOCAL, 0)):
            edge.field.set(tag, value)
        leases._changed.set()
        await asyncio.sleep(0)  # by now it has heard
        async with asyncio.timeout(20):
            while not leases._changed._waiters:  # until it waits for the next change
                await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.mission("M63")
async def test_a_lease_that_nobody_renews_ends_with_its_safe_value_once(edge: Edge) -> None:
    edge.use(HELD)
    assert (await edge.write(value=50.0)).result == Result.DONE
    await run_for(edge, 9.0)
    assert edge.field.frames == [(SPEED, 50.0)]
    assert edge.control.gate.leases.left_s(SPEED) == pytest.approx(1.0)
    await run_for(edge, 1.5, 20.0, 20.0)
    assert edge.field.frames == [(SPEED, 50.0), (SPEED, 5.0)]
    assert [line["state"] for line in edge.lines("lease")] == ["sent", "answered"]
    assert edge.control.gate.leases.left_s(SPEED) is None


async def test_each_write_renews_it_and_the_safe_value_ends_it(edge: Edge) -> None:
    edge.use(HELD)
    for value in (50.0, 51.0, 52.0):
        edge.good()
        assert (await edge.write(value=value)).result == Result.DONE
        await run_for(edge, 9.0)
    edge.good()
    await edge.write(value=5.0)
    await run_for(edge, 60.0)
    assert [value for _, value in edge.field.frames] == [50.0, 51.0, 52.0, 5.0]


@pytest.mark.mission("M63")
async def test_a_lease_outlives_a_restart_of_the_edge(edge: Edge) -> None:
    edge.use(HELD)
    await edge.write(value=50.0)
    await edge.control.stop()
    edge.clock.advance(4.0)
    edge.start()
    assert edge.control.gate.leases.left_s(SPEED) == pytest.approx(6.0)
    await run_for(edge, 5.0)
    assert len(edge.field.frames) == 1
    await run_for(edge, 2.0)
    assert edge.field.frames[1:] == [(SPEED, 5.0)]
    await edge.control.stop()
    edge.start()
    assert edge.control.gate.leases.left_s(SPEED) is None


async def test_one_that_was_over_before_the_start_ends_at_once(edge: Edge) -> None:
    edge.use(HELD)
    edge.field.error = NotConnected("cut")  # it may have arrived: then it must not stand for ever
    assert (await edge.write(value=50.0)).result == Result.UNCERTAIN
    edge.field.error = None
    await edge.control.stop()
    edge.clock.advance(3600.0)
    edge.start()
    await run_for(edge, 0.0)
    assert edge.field.frames[1:] == [(SPEED, 5.0)]


async def test_what_was_refused_begins_no_lease(edge: Edge) -> None:
    edge.use(HELD)
    edge.field.error = Rejected("no")
    await edge.write(value=50.0)
    edge.field.error = None
    assert edge.control.gate.leases.left_s(SPEED) is None
    await edge.control.stop()
    edge.start()
    assert edge.control.gate.leases.left_s(SPEED) is None


@pytest.mark.mission("M84")
async def test_halted_lets_the_safe_value_pass_and_a_lock_does_not(edge: Edge) -> None:
    edge.use(HELD)
    await edge.write(value=50.0)
    await edge.tell("mode", modes={"line1": "halted"})
    await edge.tell("lock", locks=[{"path": "hall/filler", "who": "ann"}])
    await run_for(edge, 11.0, 1.0)
    assert len(edge.field.frames) == 1
    await edge.tell("lock", locks=[])
    await run_for(edge, 1.0)
    assert edge.field.frames[1:] == [(SPEED, 5.0)]


async def test_a_machine_operated_by_hand_is_left_alone_until_it_is_not(edge: Edge) -> None:
    edge.use(HELD)
    await edge.write(value=50.0)
    edge.field.before = lambda: edge.field.set(LOCAL, 1)
    await run_for(edge, 11.0)
    assert len(edge.field.frames) == 1
    edge.field.before = lambda: edge.field.set(LOCAL, 0, 0x80000000)  # not known: the safe value goes out
    await run_for(edge, 1.0)
    assert edge.field.frames[1:] == [(SPEED, 5.0)]


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (Rejected("no"), "denied"),
        (NotConnected("cut"), "uncertain"),
        (ConfigError("ro"), "denied"),
        (KeyError(), "uncertain"),
    ],
)
async def test_what_may_have_arrived_is_not_written_again(edge: Edge, error: Exception, result: str) -> None:
    edge.use(HELD)
    await edge.write(value=50.0)
    edge.field.error = error
    await run_for(edge, 11.0, 5.0, 5.0)
    assert len(edge.field.frames) == 2
    assert edge.lines("lease", state="answered")[0]["result"] == result


async def test_a_device_that_is_away_gets_it_when_it_is_back(edge: Edge) -> None:
    edge.use(HELD)
    await edge.write(value=50.0)
    edge.field.refuse = Denied("plc1: not connected", "not_connected")
    await run_for(edge, 11.0, 2.0, 2.0)
    assert len(edge.field.frames) == 1
    edge.field.refuse = None
    await run_for(edge, 2.0)
    assert edge.field.frames[1:] == [(SPEED, 5.0)]
    assert [line["state"] for line in edge.lines("lease")] == ["sent", "answered"]


async def test_a_lease_renewed_while_the_lapse_waits_for_its_turn_stands(edge: Edge) -> None:
    edge.use(HELD)
    await edge.write(value=50.0)
    edge.field.hang = asyncio.Event()
    edge.good()
    renewing = asyncio.create_task(edge.write(value=51.0))
    while len(edge.field.frames) < 2:
        await asyncio.sleep(0.001)
    lapsing = asyncio.create_task(run_for(edge, 10.5))
    await asyncio.sleep(0.01)
    edge.field.hang.set()
    await asyncio.gather(renewing, lapsing)
    assert [value for _, value in edge.field.frames] == [50.0, 51.0]


async def test_a_point_that_is_no_longer_held_is_forgotten(edge: Edge) -> None:
    edge.use(HELD)
    await edge.write(value=50.0)
    edge.use(HELD)
    assert edge.control.gate.leases.left_s(SPEED) == pytest.approx(10.0)
    edge.use(point())
    await run_for(edge, 60.0)
    assert len(edge.field.frames) == 1
    assert model(HELD).points == (HELD,)


async def test_a_full_disk_keeps_no_safe_value_from_being_written(edge: Edge, monkeypatch) -> None:
    edge.use(HELD)
    await edge.write(value=50.0)

    def full(*_: object, **__: object) -> int:
        raise TryLater("no space left")

    monkeypatch.setattr(edge.control.journal, "append", full)
    await run_for(edge, 11.0)
    assert edge.field.frames[1:] == [(SPEED, 5.0)]


async def test_a_refused_write_leaves_the_lease_of_the_one_before(edge: Edge) -> None:
    edge.use(HELD)
    await edge.write(value=50.0)
    edge.field.error = Rejected("no")
    await edge.write(value=60.0)
    edge.field.error = None
    await edge.control.stop()
    edge.start()
    assert edge.control.gate.leases.left_s(SPEED) == pytest.approx(10.0)
