"""Trips: they fire whatever else is dead, once, with the first cause, and stay until a person resets them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from isthmus.values.errors import ConfigError, Denied, NotConnected, Rejected, TryLater
from isthmus.values.messages.control import Result
from isthmus.values.model import TripModel

from .conftest import CAUSE, COUNT, GUARD, LEVEL, SPEED, STATE, TEST_LAMP, VALVE, Edge, point

VALVE_POINT = point(VALVE, low=0.0, high=1.0, zone="tanks")
SPEED_POINT = point(SPEED, low=0.0, high=100.0)


def trip(**said: Any) -> TripModel:
    whole = {
        "name": "overfill",
        "asset": "hall/tank",
        "votes": ("level > 90",),
        "inputs": {"level": LEVEL},
        "actions": ((VALVE, 0), (SPEED, 0.0)),
        "state": STATE,
        "cause": CAUSE,
        **said,
    }
    return TripModel(**whole)


def arm(edge: Edge, *trips: TripModel) -> None:
    edge.use(VALVE_POINT, SPEED_POINT, trips=trips or (trip(),))


async def look(edge: Edge, *seconds: float) -> None:
    """The timer looks after each of these spans."""
    for span in seconds:
        edge.clock.advance(span)
        for one in edge.control.trips._trips.values():
            edge.control.trips._judge(one, edge.clock.monotonic_ns(), None)
        await edge.settle()


@pytest.mark.mission("M68")
async def test_a_hazard_writes_its_actions_in_order_and_tells_the_first_cause(edge: Edge) -> None:
    arm(edge)
    edge.field.set(LEVEL, 89.0)
    await edge.settle()
    assert edge.field.frames == []
    edge.field.set(LEVEL, 91.16969299316406)  # a float of 32 bits, as controllers have them
    await edge.settle()
    assert edge.field.frames == [(VALVE, 0), (SPEED, 0.0)]
    assert edge.outbox.of(STATE) == [0, 1]
    assert edge.outbox.of(CAUSE) == ["", "level > 90 (hall/tank/level 91.1697)"]
    edge.field.set(LEVEL, 99.0)
    edge.field.set(LEVEL, 10.0)
    edge.field.set(LEVEL, 99.0)
    await edge.settle()
    assert len(edge.field.frames) == 2  # latched
    assert [line["state"] for line in edge.lines("trip")] == ["fired", "sent", "answered", "sent", "answered", "ended"]


@pytest.mark.mission("M68")
async def test_it_outranks_halted_and_a_command_cannot_undo_it(edge: Edge) -> None:
    arm(edge)
    await edge.tell("mode", modes={"tanks": "halted", "line1": "halted"})
    edge.field.set(LEVEL, 95.0)
    await edge.settle()
    assert edge.field.frames == [(VALVE, 0), (SPEED, 0.0)]
    await edge.tell("mode", modes={})
    answer = await edge.write(value=50.0)
    assert (answer.code, "overfill" in answer.reason) == ("tripped", True)
    edge.field.set(LEVEL, 10.0)
    assert (await edge.tell("trip", trip="overfill", do="reset", by="p", intent="i"))["ok"] is True
    assert (await edge.write(value=50.0)).result == Result.DONE


@pytest.mark.mission("M68")
async def test_a_lock_holds_the_action_back_and_the_others_go_on(edge: Edge) -> None:
    arm(edge)
    await edge.tell("lock", locks=[{"path": "hall/tank", "who": "ann", "why": "inside"}])
    edge.field.set(LEVEL, 95.0)
    await edge.settle()
    assert edge.field.frames == [(SPEED, 0.0)]
    assert "locked out: ann: inside" in edge.lines("trip", state="ended")[0]["failed"][0]
    edge.use(point(VALVE, lockout="bob: weld"), SPEED_POINT, trips=(trip(name="second"),))
    await look(edge, 0.1)
    assert edge.field.frames[1:] == [(SPEED, 0.0)]


async def test_k_of_n_votes(edge: Edge) -> None:
    arm(
        edge,
        trip(
            votes=("level > 90", "speed > 80", "guard == 0"),
            inputs={"level": LEVEL, "speed": SPEED, "guard": GUARD},
            need=2,
        ),
    )
    edge.field.set(SPEED, 85.0)
    await edge.settle()
    assert edge.field.frames == []
    edge.clock.advance(1.0)
    edge.good()
    edge.field.set(SPEED, 85.0)
    edge.field.set(LEVEL, 95.0)
    await edge.settle()
    assert len(edge.field.frames) == 2
    assert edge.outbox.of(CAUSE)[-1].startswith("speed > 80")  # it was true first, though it stands second


async def test_a_delay_without_a_break(edge: Edge) -> None:
    arm(edge, trip(delay_s=2.0))
    edge.field.set(LEVEL, 95.0)
    await look(edge, 1.0)
    edge.field.set(LEVEL, 80.0)
    edge.field.set(LEVEL, 95.0)
    await look(edge, 1.5)
    assert edge.field.frames == []
    assert edge.control.trips._pause_s() == pytest.approx(0.25)
    await look(edge, 0.4)
    assert edge.control.trips._pause_s() == pytest.approx(0.1)
    edge.field.set(LEVEL, 95.0)
    await look(edge, 0.2)
    assert len(edge.field.frames) == 2


@pytest.mark.mission("M68")
@pytest.mark.parametrize("how", ["old", "bad", "uncertain"])
async def test_a_lost_signal_trips_unless_it_is_to_be_ignored(edge: Edge, how: str) -> None:
    def lose() -> None:
        if how == "old":
            edge.clock.advance(4.0)
        else:
            edge.field.set(LEVEL, 10.0, 0x80000000 if how == "bad" else 0x40000000)

    arm(edge, trip(on_loss=False))
    edge.field.set(LEVEL, 10.0)
    lose()
    await look(edge, 0.3)
    assert edge.field.frames == []
    assert edge.outbox.of(STATE)[-1] == 3
    edge.field.set(LEVEL, 10.0)
    arm(edge)
    lose()
    await look(edge, 0.3)
    assert len(edge.field.frames) == 2
    assert "lost: hall/tank/level is" in edge.outbox.of(CAUSE)[-1]


async def test_a_start_waits_for_first_values_and_not_for_ever(edge: Edge) -> None:
    edge.field.values.clear()
    arm(edge)
    await look(edge, 4.0)
    assert edge.field.frames == []
    assert edge.outbox.of(STATE) == [3]
    await look(edge, 1.5)
    assert len(edge.field.frames) == 2


async def test_what_cannot_be_computed_is_lost(edge: Edge) -> None:
    arm(edge, trip(votes=("1 / (level - 10) > 0",)))
    edge.field.set(LEVEL, 10.0)
    await edge.settle()
    assert len(edge.field.frames) == 2


async def test_rates_by_looking_over_a_time(edge: Edge) -> None:
    arm(edge, trip(votes=("level - min(level, 10 s) > 5",), inputs={"level": LEVEL, "min(level, 10 s)": LEVEL}))
    value = 10.0
    for _ in range(30):
        edge.clock.advance(1.0)
        value += 0.4
        edge.field.set(LEVEL, value)
        await edge.settle()
    assert edge.field.frames == []
    for _ in range(8):
        edge.clock.advance(1.0)
        value += 0.9
        edge.field.set(LEVEL, value)
        await edge.settle()
    assert len(edge.field.frames) == 2


@pytest.mark.parametrize(("function", "wanted"), [("first", 1.0), ("last", 4.0), ("max", 9.0), ("min", 1.0)])
async def test_functions_over_a_time(function: str, wanted: float) -> None:
    from isthmus.control.trips import MOST_KEPT, _Look
    from isthmus.values.expression import Window

    look_ = _Look(Window(function, "t", 3), LEVEL)
    assert look_.value(0) is None
    for second, value in enumerate((1.0, 9.0, 2.0, 4.0)):
        look_.take(value, True, second * 10**9)
        if second < 3:
            assert look_.value(second * 10**9) is None  # not filled yet
    assert look_.value(3 * 10**9) == wanted
    look_.take(0.0, False, 4 * 10**9)
    assert look_.value(4 * 10**9) is None  # a bad one in it
    for step in range(2 * MOST_KEPT):
        look_.take(1.0, True, 4 * 10**9 + step)
    assert len(look_._kept) <= MOST_KEPT


@pytest.mark.mission("M68")
async def test_a_reset_is_refused_while_the_cause_stands(edge: Edge) -> None:
    arm(edge)

    async def reset(**said: str) -> dict[str, Any]:
        return await edge.tell("trip", **{"trip": "overfill", "do": "reset", "by": "p", "intent": "i", **said})

    assert (await reset())["code"] == "not_tripped"
    edge.field.set(LEVEL, 95.0)
    assert (await reset())["code"] == "acting"
    await edge.settle()
    assert (await reset())["code"] == "cause_stands"
    edge.clock.advance(10.0)
    assert (await reset())["code"] == "cause_stands"  # lost counts
    edge.field.set(LEVEL, 50.0)
    assert (await reset(intent=""))["code"] == "no_intent"
    assert (await reset(trip="no"))["code"] == "unknown_trip"
    assert (await reset(do="stop"))["code"] == "malformed"
    assert (await reset())["ok"] is True
    assert edge.outbox.of(STATE)[-1] == 0
    edge.field.set(LEVEL, 95.0)
    await edge.settle()
    assert len(edge.field.frames) == 4


async def test_a_reset_that_cannot_be_recorded_is_refused(edge: Edge, monkeypatch) -> None:
    arm(edge)
    edge.field.set(LEVEL, 95.0)
    await edge.settle()
    edge.field.set(LEVEL, 5.0)

    async def fails() -> None:
        raise TryLater("no space")

    monkeypatch.setattr(edge.control.journal, "sync", fails)
    assert (await edge.tell("trip", trip="overfill", do="reset", by="p", intent="i"))["code"] == "journal"
    assert "overfill" in edge.control.standing.fired


@pytest.mark.mission("M68")
async def test_it_stays_tripped_over_a_restart_and_fires_no_second_time(edge: Edge) -> None:
    arm(edge)
    edge.field.set(LEVEL, 95.0)
    await edge.settle()
    (edge.folder / "standing.json").unlink()  # killed before it was kept there: the journal knows
    await edge.control.stop()
    edge.start()
    assert edge.outbox.of(STATE)[-1] == 1
    await look(edge, 0.3)
    assert len(edge.field.frames) == 2
    assert (await edge.write(value=9.0)).code == "tripped"
    edge.field.set(LEVEL, 5.0)
    assert (await edge.tell("trip", trip="overfill", do="reset", by="p", intent="i"))["ok"] is True
    await edge.control.stop()
    edge.start()
    assert edge.control.standing.fired == {}


async def test_an_action_that_fails_keeps_none_behind_it_from_being_tried(edge: Edge) -> None:
    arm(edge)
    for error, result in ((Rejected("no"), "denied"), (NotConnected("cut"), "uncertain"), (ConfigError("x"), "denied")):
        edge.field.frames.clear()
        edge.field.error = error
        edge.field.set(LEVEL, 95.0)
        await edge.settle()
        assert edge.field.frames == [(VALVE, 0), (SPEED, 0.0)]
        assert edge.lines("trip", state="answered")[-1]["result"] == result
        edge.field.error = None
        edge.field.set(LEVEL, 5.0)
        assert (await edge.tell("trip", trip="overfill", do="reset", by="p", intent="i"))["ok"] is True


async def test_a_device_that_is_away_gets_its_action_when_it_is_back(edge: Edge, monkeypatch) -> None:
    monkeypatch.setattr("isthmus.control.trips.INSIST_S", 0.01)
    arm(edge)
    edge.field.refuse = Denied("plc2: not connected", "not_connected")
    edge.field.set(LEVEL, 95.0)
    await edge.settle()
    await asyncio.sleep(0.05)
    assert edge.field.frames == []
    edge.field.refuse = None
    await edge.until(lambda: len(edge.lines("trip", state="sent")) == len(edge.field.frames) == 2)
    assert edge.field.frames == [(VALVE, 0), (SPEED, 0.0)]


async def test_a_reset_or_a_new_model_ends_the_insisting(edge: Edge, monkeypatch) -> None:
    monkeypatch.setattr("isthmus.control.trips.INSIST_S", 0.01)
    arm(edge)
    edge.field.refuse = Denied("plc2: not connected", "not_connected")
    edge.field.set(LEVEL, 95.0)
    await edge.settle()
    edge.field.set(LEVEL, 5.0)
    assert (await edge.tell("trip", trip="overfill", do="reset", by="p", intent="i"))["ok"] is True
    edge.field.refuse = None
    await asyncio.sleep(0.05)
    assert edge.field.frames == []


@pytest.mark.mission("M68")
async def test_a_full_disk_keeps_no_trip_from_acting(edge: Edge, monkeypatch) -> None:
    arm(edge)

    def full(*_: object, **__: object) -> int:
        raise TryLater("no space left")

    monkeypatch.setattr(edge.control.journal, "append", full)
    edge.field.set(LEVEL, 95.0)
    await edge.settle()
    assert edge.field.frames == [(VALVE, 0), (SPEED, 0.0)]


async def test_one_that_takes_longer_than_its_bound_says_so(edge: Edge) -> None:
    arm(edge, trip(bound_s=0.05))
    real = edge.field.write

    async def slow(tag: int, value: Any, ready: Callable[[], None]) -> None:
        edge.clock.advance(0.04)
        await real(tag, value, ready)

    edge.field.write = slow  # type: ignore[method-assign]  # the device takes its time
    edge.field.set(LEVEL, 95.0)
    await edge.settle()
    (ended,) = edge.lines("trip", state="ended")
    assert (ended["late"], ended["took_s"]) == (True, pytest.approx(0.08))


async def test_a_trip_ends_the_lease_of_what_it_writes(edge: Edge) -> None:
    edge.use(VALVE_POINT, point(SPEED, hold_s=10.0, safe=5.0), trips=(trip(),))
    await edge.write(value=50.0)
    edge.field.set(LEVEL, 95.0)
    await edge.settle()
    assert edge.control.gate.leases.left_s(SPEED) is None
    await edge.control.stop()
    edge.start()
    assert edge.control.gate.leases.left_s(SPEED) is None


@pytest.mark.mission("M68")
async def test_a_test_proves_the_chain_and_writes_nothing_unless_told(edge: Edge) -> None:
    arm(edge)
    told = await edge.tell("trip", trip="overfill", do="test", by="p", intent="i")
    assert (told["ok"], edge.field.frames) == (True, [])
    assert edge.outbox.of(STATE) == [0, 2, 0]
    assert [line["state"] for line in edge.lines("trip")] == ["test", "fired", "ended", "tested"]
    edge.use(VALVE_POINT, SPEED_POINT, point(TEST_LAMP), trips=(trip(test=((TEST_LAMP, 1),)),))
    assert (await edge.tell("trip", trip="overfill", do="test", by="p", intent="i"))["ok"] is True
    assert edge.field.frames == [(TEST_LAMP, 1)]
    await edge.control.stop()
    edge.start()
    assert edge.control.standing.fired == {}  # a test is no trip


async def test_a_test_tells_what_is_missing(edge: Edge) -> None:
    arm(edge, trip(delay_s=0.01))

    async def test() -> tuple[str, str]:
        told = await edge.tell("trip", trip="overfill", do="test", by="p", intent="i")
        return told["code"], told["reason"]

    edge.field.down = True
    assert await test() == ("test_failed", "hall/tank/valve cannot be reached: gone")
    edge.field.down = False
    edge.field.set(VALVE, 1, 0x80000000)
    assert (await test())[1] == "hall/tank/valve is Bad"
    edge.field.set(VALVE, 1)
    edge.field.set(LEVEL, 10.0, 0x40000000)
    assert "its inputs are not all there" in (await test())[1]


async def test_a_hazard_during_a_test_trips_as_ever(edge: Edge) -> None:
    arm(edge, trip(delay_s=0.05))
    testing = asyncio.create_task(edge.tell("trip", trip="overfill", do="test", by="p", intent="i"))
    await asyncio.sleep(0.01)
    assert (await edge.tell("trip", trip="overfill", do="test", by="p", intent="i"))["code"] == "testing"
    edge.field.set(LEVEL, 95.0)
    await look(edge, 0.1)
    told = await testing
    assert (told["code"], "it tripped during the test" in told["reason"]) == ("test_failed", True)
    assert edge.field.frames == [(VALVE, 0), (SPEED, 0.0)]
    assert (await edge.tell("trip", trip="overfill", do="test", by="p", intent="i"))["code"] == "tripped"


async def test_a_test_that_comes_to_no_end_has_failed(edge: Edge, monkeypatch) -> None:
    monkeypatch.setattr("isthmus.control.trips.TEST_S", 0.02)
    edge.use(VALVE_POINT, SPEED_POINT, point(TEST_LAMP), trips=(trip(test=((TEST_LAMP, 1),)),))
    edge.field.hang = asyncio.Event()
    told = await edge.tell("trip", trip="overfill", do="test", by="p", intent="i")
    assert "came to no end" in told["reason"]


async def test_the_timer_runs_by_itself(edge: Edge, monkeypatch) -> None:
    monkeypatch.setattr("isthmus.control.trips.LOOK_S", 0.005)
    edge.use()
    running = asyncio.create_task(edge.control.run())
    await asyncio.sleep(0.02)
    arm(edge)
    edge.clock.advance(4.0)
    await edge.until(lambda: len(edge.field.frames) >= 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert edge.field.frames == [(VALVE, 0), (SPEED, 0.0)]
    assert COUNT


async def test_a_condition_goes_on_over_a_new_model(edge: Edge) -> None:
    arm(edge, trip(delay_s=2.0))
    edge.field.set(LEVEL, 95.0)
    await look(edge, 1.5)
    edge.use(VALVE_POINT, SPEED_POINT, trips=(trip(delay_s=2.0),), version=8)
    edge.field.set(LEVEL, 95.0)
    await look(edge, 0.6)
    assert len(edge.field.frames) == 2


def test_a_model_that_lacks_an_input_is_refused() -> None:
    from isthmus.control.trips import arm as arm_

    with pytest.raises(ConfigError, match="needs level"):
        arm_(trip(inputs={}), 0)


async def test_a_trip_that_fails_harms_no_other_and_says_so_once(edge: Edge, monkeypatch, caplog) -> None:
    arm(edge, trip(name="broken"), trip())
    real = edge.control.trips._truth

    def fails(vote: Any, one: Any, now_ns: int) -> Any:
        if one.model.name == "broken":
            raise KeyError("bug")
        return real(vote, one, now_ns)

    monkeypatch.setattr(edge.control.trips, "_truth", fails)
    edge.field.set(LEVEL, 95.0)
    edge.field.set(LEVEL, 96.0)
    await edge.settle()
    assert edge.field.frames == [(VALVE, 0), (SPEED, 0.0)]
    assert caplog.text.count("trip broken cannot be judged") == 1


async def test_what_is_not_kept_on_the_disk_is_told(edge: Edge, monkeypatch, caplog) -> None:
    arm(edge)

    def full(*_: object) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr(edge.control.standing, "keep", full)
    edge.field.set(LEVEL, 95.0)
    await edge.settle()
    assert len(edge.field.frames) == 2
    assert "a trip is not kept on the disk" in caplog.text


async def test_a_test_without_a_journal_has_failed(edge: Edge, monkeypatch) -> None:
    arm(edge)

    async def fails() -> None:
        raise TryLater("no space left")

    monkeypatch.setattr(edge.control.journal, "sync", fails)
    told = await edge.tell("trip", trip="overfill", do="test", by="p", intent="i")
    assert (told["code"], told["reason"]) == ("test_failed", "no space left")
