"""The gate against a second opinion: over random states a write reaches the device only where nothing at all stands against it."""

from __future__ import annotations

import asyncio
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.control.standing import Lock
from isthmus.values.clock import NS_PER_S
from isthmus.values.messages.control import Mode, Result

from .conftest import GUARD, LOCAL, SPEED, Edge, point

STATUSES = (0, 0, 0, 0x40000000, 0x80000000)


@dataclass(frozen=True)
class State:
    guard: tuple[int, int, float] | None  # value, status, age
    local: tuple[int, int, float] | None
    speed: tuple[float, int, float] | None
    mode: str
    direction: int
    lock: str
    tripped: bool
    low: float | None
    high: float | None
    step: float | None
    said: dict[str, Any]
    sent_late_s: float
    expires_in_s: float
    turn: str  # what happens while it waits for its turn


values = st.one_of(
    st.floats(-10, 120), st.sampled_from([40.0, 50.0, 0.0, 100.0]), st.integers(-5, 120), st.just("text")
)
readings = st.tuples(st.integers(0, 1), st.sampled_from(STATUSES), st.sampled_from([0.0, 0.0, 1.0, 2.9, 3.1, 60.0]))
states = st.builds(
    State,
    guard=st.one_of(st.none(), readings, st.just((1, 0, 0.0)), st.just((1, 0, 0.0))),
    local=st.one_of(st.none(), readings, st.just((0, 0, 0.0)), st.just((0, 0, 0.0))),
    speed=st.one_of(
        st.none(),
        st.tuples(st.sampled_from([40.0, 99.0, 0.0]), st.sampled_from(STATUSES), st.sampled_from([0.0, 0.5, 9.0])),
    ),
    mode=st.sampled_from(["normal", "normal", "normal", "halted", "safe-direction-only"]),
    direction=st.sampled_from([0, 1, -1]),
    lock=st.sampled_from(["none", "none", "none", "hall", "hall/filler/speed", "hall/fil", "connections/plc1"]),
    tripped=st.sampled_from([False, False, False, True]),
    low=st.sampled_from([None, 0.0, 10.0]),
    high=st.sampled_from([None, 100.0, 45.0]),
    step=st.sampled_from([None, None, 5.0, 60.0]),
    said=st.fixed_dictionaries(
        {"value": values},
        optional={
            "intent": st.sampled_from(["i-1", "i-1", ""]),
            "model_version": st.sampled_from([7, 7, 7, 8]),
            "base": st.sampled_from([None, 40.0, 41.0]),
        },
    ),
    sent_late_s=st.sampled_from([0.0, 0.0, 0.5, -0.5, 2.1, -2.1]),
    expires_in_s=st.sampled_from([10.0, 10.0, 10.0, 0.0, -1.0]),
    turn=st.sampled_from(["", "", "", "guard opens", "halted", "locked"]),
)


def wrong(state: State) -> set[str]:
    """Everything that stands against it, told from the rules in words and not from the code."""
    found: set[str] = set()
    said = {"intent": "i-1", "model_version": 7, "base": None, **state.said}
    value = said["value"]
    number = not isinstance(value, str) and math.isfinite(value)

    def good(reading: tuple[float, int, float] | None) -> bool:
        return reading is not None and reading[1] == 0 and reading[2] <= 3.0

    known = state.speed is not None and state.speed[1] != 0x80000000
    now = state.speed[0] if known and state.speed else None
    if not said["intent"]:
        found.add("no_intent")
    if abs(state.sent_late_s) > 2:
        found.add("clock_offset")
    if state.expires_in_s < 0:
        found.add("expired")
    if said["model_version"] != 7:
        found.add("model_version")
    if not number:
        found.add("wrong_type")
    else:
        if (state.low is not None and value < state.low) or (state.high is not None and value > state.high):
            found.add("out_of_range")
        if state.step is not None:
            if now is None or state.speed is None or state.speed[2] > 3.0:
                found.add("value_unknown")
            elif abs(value - now) > state.step * 1.000001:
                found.add("step")
    if state.lock in {"hall", "hall/filler/speed", "connections/plc1"} or state.turn == "locked":
        found.add("locked_out")
    if state.tripped:
        found.add("tripped")
    if state.mode == "halted" or state.turn == "halted":
        found.add("halted")
    if state.mode == "safe-direction-only":
        fresh = state.speed is not None and state.speed[2] <= 3.0
        wayward = not number or now is None or not fresh or (value - now) * state.direction < 0
        if state.direction == 0 or wayward:
            found.add("safe_direction")
    if not good(state.local):
        found.add("local_unknown")
    elif state.local and state.local[0] == 1:
        found.add("local")
    if not good(state.guard):
        found.add("interlock_unknown")
    elif state.guard and state.guard[0] != 1:
        found.add("interlock")
    if state.turn == "guard opens":
        found.add("interlock")
    if not known:
        found.add("not_connected")
    if said["base"] is not None and (now is None or abs(said["base"] - now) > 1e-3):
        found.add("base_changed")
    return found


async def attempt(edge: Edge, state: State) -> tuple[Result, str, list[Any], list[dict[str, Any]]]:
    """One command under one state; how it ended, the frames, and its lines in the journal."""
    edge.use(
        point(
            interlock="guard == 1",
            local="local == 1",
            low=state.low,
            high=state.high,
            step=state.step,
            direction=state.direction,
        )
    )
    edge.field.values.clear()
    edge.field.frames.clear()
    for tag, reading in ((GUARD, state.guard), (LOCAL, state.local), (SPEED, state.speed)):
        if reading is not None:
            edge.field.set(tag, reading[0], reading[1], tell=False)
            kept = edge.field.values[tag]
            edge.field.values[tag] = (*kept[:2], kept[2] - round(reading[2] * NS_PER_S))
    await edge.tell("mode", modes={"line1": state.mode})
    locks = [] if state.lock == "none" else [{"path": state.lock, "who": "ann", "why": ""}]
    await edge.tell("lock", locks=locks)
    edge.control.gate._trip_of = lambda _: "overfill" if state.tripped else ""

    def turn() -> None:
        if state.turn == "guard opens":
            edge.field.set(GUARD, 0, tell=False)
        elif state.turn == "halted":
            edge.control.standing.set_modes({"line1": Mode.HALTED})
        elif state.turn == "locked":
            edge.control.standing.set_locks((*edge.control.standing.locks, Lock("hall", "ann")))

    edge.field.before = turn
    now_ns = edge.clock.now_ns()
    command = edge.command(
        **state.said,
        sent_ns=now_ns + round(state.sent_late_s * NS_PER_S),
        expires_ns=now_ns + round(state.expires_in_s * NS_PER_S),
    )
    answer = await edge.send(command)
    return answer.result, answer.code, list(edge.field.frames), edge.lines(id=command["id"])


@pytest.mark.mission("M34", "M84", "M68")
@given(state=states)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_write_passes_exactly_where_nothing_stands_against_it(state: State) -> None:
    async def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            edge = Edge(Path(folder))
            try:
                result, code, frames, lines = await attempt(edge, state)
            finally:
                await edge.control.stop()
        reasons = wrong(state)
        assert (result is Result.DONE) == (not reasons), (code, reasons)
        assert len(frames) == (0 if reasons else 1)
        sent = [line for line in lines if line["state"] == "sent"]
        assert len(frames) <= len(sent) <= 1
        assert [line["state"] for line in lines][-1:] == ["answered"]
        if reasons:
            assert result is Result.DENIED
            assert code in reasons

    asyncio.run(whole())
