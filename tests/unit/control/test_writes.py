"""The one way, gate by gate: each stands alone against a write that everything else lets pass."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Any

import pytest
from control_rig import DUTY, OTHER, RECIPE, REMOTE, SWITCH, TARGET, Works, person, plant, program

from isthmus.bus.client import NobodyListens
from isthmus.control.model import APPROVAL_S, EXPIRES_S, SELECTION_S, EdgeState, Refusal, Stage
from isthmus.namespace.model import Lockout
from isthmus.ports.audit import NotDurable
from isthmus.security.model import Scope
from isthmus.values import status
from isthmus.values.errors import Malformed, NotConnected, TryLater
from isthmus.values.messages.control import Mode, Result
from isthmus.values.model import WritePoint

ANA, BEN, SUE = person("ana", user_id=1), person("ben", user_id=2), person("sue", "supervisor", user_id=3)


def scope(*under: str) -> Any:
    return Scope(under=under)


async def refused(works: Works, who: Any, path: str, value: Any, code: str, **more: Any) -> Refusal:
    with pytest.raises(Refusal) as no:
        await works.write(who, path, value, **more)
    assert no.value.code == code
    assert works.edges.sent == [], "a refusal sends nothing"
    return no.value


@pytest.mark.mission("M31")
async def test_a_write_goes_the_whole_way_and_leaves_its_traces_in_order(works: Works) -> None:
    order: list[str] = []

    def arrives(command: Any) -> None:
        begun = works.audit.begun[-1]
        assert (begun["action"], begun["target"], begun["old"]) == ("control.write", TARGET, 100.0)
        order.append("intent")
        assert [w.state for w in durable(works)] == [Stage.SENT]
        order.append("sent")
        assert (command.intent, command.by, command.base, command.model_version) == ("i1", "p-ana", 100.0, 7)
        assert command.expires_ns == works.clock.now_ns() + round(EXPIRES_S * 1e9)

    works.edges.arrives = arrives
    done = await works.write(ANA, TARGET, 120, reason="batch 7")
    assert order == ["intent", "sent"]
    assert (done.state, done.value, done.read_back, done.settled, done.why) == (
        Stage.DONE,
        120.0,
        120.0,
        True,
        "batch 7",
    )
    assert durable(works) == [done] == await works.control.writes("hall/line1")
    assert works.audit.ended == [("i1", "done")]
    assert await works.control.get(done.id) == done


def durable(works: Works) -> list[Any]:
    from isthmus.control import store

    with works.engine.begin() as db:
        return store.list_writes(db, "", 2**63 - 1, 100)


@pytest.mark.mission("M84", "M34")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda w: w.control.modes._rows.update(line1=mode(Mode.HALTED)), "halted"),
        (lambda w: w.feed({"hall/line1/filler/guard": 0}), "interlock"),
        (lambda w: w.feed({TARGET: 0}, status.BAD_NO_COMMUNICATION), "not_connected"),
        (lambda w: w.feed({"hall/line1/filler/local": 1}), "local"),
        (lambda w: w.state.update({"edge-1": None}), "edge_silent"),
        (lambda w: w.state.update({"edge-1": EdgeState(False, 9.0, 0.0, 1, 7)}), "edge_silent"),
        (lambda w: w.state.update({"edge-1": EdgeState(True, 0.1, 2.5, 1, 7)}), "clock_offset"),
        (lambda w: w.state.update({"edge-1": EdgeState(True, 0.1, -2.5, 1, 7)}), "clock_offset"),
        (lambda w: w.state.update({"edge-1": EdgeState(True, 0.1, 0.0, 1, 6)}), "model_version"),
        (lambda w: setattr(w.edges, "connected", False), "bus_gone"),
        (lambda w: w.lockouts.lock("hall/line1", Lockout("ben", "inside")), "locked_out"),
        (lambda w: w.lockouts.lock("connections/plc1", Lockout("ben", "inside")), "locked_out"),
        (lambda w: w.apply(replace(w.plant, version=8, connections=tuple(replace(c, access="read-only") for c in w.plant.connections))), "read_only"),
        (lambda w: w.apply(replace(w.plant, version=8, points=())), "not_writable"),
    ],
)  # fmt: skip
async def test_whatever_stands_against_it_refuses_before_anything_is_sent(works: Works, change: Any, code: str) -> None:
    change(works)
    no = await refused(works, ANA, TARGET, 120, code)
    assert no.reason in str(no)
    row = next((r for r in works.control.points(ANA, TARGET)), None)
    if row is not None:
        assert (row.may.allowed, row.may.code, row.may.clears) == (False, code, no.clears)


def mode(mode: Mode) -> Any:
    from isthmus.control.model import ModeRow

    return ModeRow("line1", mode)


@pytest.mark.parametrize(
    ("who", "path", "code"),
    [
        (person("v", "viewer"), TARGET, "role_missing"),
        (person("a", "admin"), TARGET, "role_missing"),
        (person("a", "nobody"), TARGET, ""),
        (ANA, DUTY, "role_too_low"),
        (person("e", "engineer"), TARGET, "role_missing"),
        (person("x", "line2-only"), TARGET, ""),
        (person("o", source="10.9.0.5"), TARGET, "conduit_missing"),
        (program("mes", scope=scope("hall/line2")), TARGET, ""),
        (ANA, OTHER, "not_writable"),
        (ANA, "hall/nothing", ""),
    ],
)
async def test_who_may_not_is_told_why_and_who_may_not_see_it_learns_nothing(
    works: Works, who: Any, path: str, code: str
) -> None:
    if code:
        await refused(works, who, path, 1, code)
        return
    with pytest.raises(LookupError):
        await works.write(who, path, 1)


async def test_a_role_tied_to_states_writes_in_those_states_only(works: Works) -> None:
    crew = person("kim", "crew")
    assert (await works.write(crew, TARGET, 110)).state is Stage.DONE  # it is Stopped
    works.edges.sent.clear()
    works.feed({"hall/line1/filler/state": 6})
    await refused(works, crew, TARGET, 120, "role_state")
    works.feed({"hall/line1/filler/state": 2}, code=0x80000000)
    await refused(works, crew, TARGET, 120, "role_state")
    assert (await works.write(ANA, TARGET, 120)).state is Stage.DONE


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        (TARGET, math.nan, "value_type"),
        (TARGET, math.inf, "value_type"),
        (TARGET, "120", "value_type"),
        (TARGET, True, "value_type"),
        (TARGET, None, "value_type"),
        (TARGET, [1], "value_type"),
        (TARGET, 10**400, "value_type"),
        (TARGET, 140.1, "out_of_range"),
        (TARGET, -0.1, "out_of_range"),
        (SWITCH, 1.5, "value_type"),
        (SWITCH, 2**63, "value_type"),
        ("hall/line1/filler/mode", 3, "out_of_range"),
        (RECIPE, 7, "value_type"),
        (RECIPE, "a\x00b", "value_type"),
        (RECIPE, "x" * 1001, "value_type"),
    ],
)
async def test_values_that_do_not_fit_are_refused_and_kept_in_the_journal(
    works: Works, path: str, value: Any, code: str
) -> None:
    await refused(works, ANA, path, value, code, reason="r")
    kept = durable(works)
    assert [(w.state, w.code, w.settled) for w in kept] == [(Stage.DENIED, code, True)]


@pytest.mark.parametrize(
    ("path", "value", "as_"), [(SWITCH, True, 1), (SWITCH, 1, 1), (TARGET, 0, 0.0), (RECIPE, "Cola", "Cola")]
)
async def test_values_go_out_in_the_type_of_their_tag(works: Works, path: str, value: Any, as_: Any) -> None:
    await works.write(ANA, path, value, reason="r")
    sent = works.edges.sent[0].value
    assert (sent, type(sent)) == (as_, type(as_))


async def test_a_point_may_ask_for_a_reason(works: Works) -> None:
    await refused(works, ANA, RECIPE, "Cola", "reason_needed")
    await refused(works, ANA, RECIPE, "Cola", "reason_needed", reason="  ")


async def test_step_and_rate_are_held_against_what_is_there_and_what_was_written(works: Works) -> None:
    await refused(works, SUE, DUTY, 61, "step")
    assert (await works.write(SUE, DUTY, 58)).state is Stage.DONE
    works.edges.sent.clear()
    works.feed({DUTY: 58.0})
    works.clock.advance(3)
    no = await refused(works, SUE, DUTY, 62, "rate")
    assert "wait 1 s" in no.clears
    again = works.make()  # a restart of core forgets nothing
    await again.open()
    works.control = again
    await refused(works, SUE, DUTY, 62, "rate")
    works.clock.advance(1)
    assert (await works.write(SUE, DUTY, 62)).state is Stage.DONE
    works.feed({DUTY: 62.0}, code=0x80000000)
    works.edges.sent.clear()
    works.clock.advance(60)
    await refused(works, SUE, DUTY, 63, "value_unknown")


async def test_a_denied_write_does_not_count_for_the_rate(works: Works) -> None:
    works.edges.how = [Result.DENIED]
    assert (await works.write(SUE, DUTY, 58)).state is Stage.DENIED
    works.clock.advance(1)
    assert (await works.write(SUE, DUTY, 52)).state is Stage.DONE


async def test_only_the_safe_direction_passes_where_only_that_may(works: Works) -> None:
    works.control.modes._rows["line1"] = mode(Mode.SAFE_DIRECTION_ONLY)
    await refused(works, SUE, DUTY, 51, "safe_direction")
    await refused(works, ANA, TARGET, 90, "safe_direction")  # it has no safe direction
    assert (await works.write(SUE, DUTY, 45)).state is Stage.DONE


@pytest.mark.mission("M31")
async def test_a_selection_is_of_one_person_for_one_point_once_and_for_a_minute(works: Works) -> None:
    control = works.control
    with pytest.raises(Refusal, match="selected before"):
        await control.write(ANA, TARGET, 110)
    chosen = await control.select(ANA, TARGET)
    for who, path in ((BEN, TARGET), (ANA, SWITCH), (replace(ANA, key="another session"), TARGET)):
        with pytest.raises(Refusal) as no:
            await control.write(who, path, 1, selection=chosen.id)
        assert no.value.code == "selection_gone"
    assert (await control.write(ANA, TARGET, 110, selection=chosen.id)).state is Stage.DONE
    with pytest.raises(Refusal) as no:
        await control.write(ANA, TARGET, 111, selection=chosen.id)
    assert no.value.code == "selection_gone"
    chosen = await control.select(ANA, TARGET)
    works.clock.advance(SELECTION_S)
    with pytest.raises(Refusal) as no:
        await control.write(ANA, TARGET, 111, selection=chosen.id)
    assert no.value.code == "selection_gone"
    assert len(works.edges.sent) == 1


async def test_a_point_that_holds_something_else_than_was_shown_is_not_written(works: Works) -> None:
    chosen = await works.control.select(ANA, TARGET)
    works.feed({TARGET: 130.0})
    with pytest.raises(Refusal) as no:
        await works.control.write(ANA, TARGET, 110, selection=chosen.id)
    assert no.value.code == "value_changed"
    with pytest.raises(Refusal) as no:
        await works.control.write(program(), TARGET, 110, base=100.0)
    assert no.value.code == "value_changed"
    assert (await works.control.write(program(), TARGET, 110, base=130.0)).base == 130.0


async def test_a_program_needs_no_selection(works: Works) -> None:
    assert (await works.control.write(program(), TARGET, 110)).state is Stage.DONE


# the second person


@pytest.mark.mission("M84")
async def test_a_second_person_agrees_to_exactly_this_value(works: Works) -> None:
    waiting = await works.write(ANA, REMOTE, 12)
    assert (waiting.state, works.edges.sent) == (Stage.AWAITING, [])
    for who, code in (
        (ANA, "same_person"),
        (replace(ANA, name="Ana B", key="renamed meanwhile"), "same_person"),
        (program("mes"), "needs_session"),
        (person("v", "viewer"), "role_missing"),
    ):
        with pytest.raises(Refusal) as no:
            await works.control.approve(who, waiting.id)
        assert no.value.code == code
    with pytest.raises(LookupError):
        await works.control.approve(person("far", source="10.9.0.5"), waiting.id)  # may not even read there
    done = await works.control.approve(BEN, waiting.id)
    assert (done.state, done.approved_by, done.value, done.by) == (Stage.DONE, "ben", 12.0, "ana")
    assert works.audit.begun[-1]["new"]["approved_by"] == "p-ben"
    with pytest.raises(Refusal) as no:
        await works.control.approve(SUE, waiting.id)
    assert no.value.code == "wrong_state"
    assert len(works.edges.wire) == 1


async def test_who_made_the_token_of_a_program_does_not_agree_to_what_it_asks_for(works: Works) -> None:
    works.behind = {"mes": ("BEN",)}
    waiting = await works.control.write(program("mes", user_id=None), REMOTE, 12)
    with pytest.raises(Refusal) as no:
        await works.control.approve(BEN, waiting.id)
    assert no.value.code == "same_person"
    assert (await works.control.approve(SUE, waiting.id)).state is Stage.DONE


async def test_two_who_agree_at_once_send_one_command(works: Works) -> None:
    waiting = await works.write(ANA, REMOTE, 12)
    found = await asyncio.gather(
        works.control.approve(BEN, waiting.id), works.control.approve(SUE, waiting.id), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in found) == ["Refusal", "Write"]
    assert len(works.edges.wire) == 1


async def test_what_stands_against_it_when_somebody_agrees_leaves_it_waiting(works: Works) -> None:
    waiting = await works.write(ANA, REMOTE, 12)
    works.lockouts.lock("hall/line2", Lockout("kim", "inside"))
    with pytest.raises(Refusal) as no:
        await works.control.approve(BEN, waiting.id)
    assert no.value.code == "locked_out"
    works.lockouts.unlock("hall/line2")
    works.audit.full = True
    with pytest.raises(NotDurable):
        await works.control.approve(BEN, waiting.id)
    works.audit.full = False
    assert works.edges.sent == []
    assert (await works.control.approve(BEN, waiting.id)).state is Stage.DONE


async def test_waiting_ends_by_time_by_no_and_by_a_restart(works: Works) -> None:
    first = await works.write(ANA, REMOTE, 12)
    works.clock.advance(APPROVAL_S)
    await works.control.sweep()
    assert (await works.control.get(first.id)).state is Stage.EXPIRED
    second = await works.write(ANA, REMOTE, 12)
    with pytest.raises(Refusal):
        await works.control.reject(BEN, second.id, " ")
    assert (await works.control.reject(BEN, second.id, "too much")).state is Stage.REJECTED
    third = await works.write(ANA, REMOTE, 12)
    assert (await works.control.reject(ANA, third.id, "mistyped")).code == "withdrawn"
    fourth = await works.write(ANA, REMOTE, 12)
    works.control = works.make()
    await works.control.open()
    assert (await works.control.get(fourth.id)).state is Stage.EXPIRED
    with pytest.raises(Refusal):
        await works.control.approve(BEN, fourth.id)
    assert works.edges.sent == []


# what the disk takes, and what becomes of it


@pytest.mark.mission("M84")
async def test_without_a_durable_intent_nothing_is_sent(works: Works) -> None:
    works.audit.full = True
    with pytest.raises(NotDurable):
        await works.write(ANA, TARGET, 120)
    assert (works.edges.sent, durable(works)) == ([], [])
    works.audit.full = False
    assert (await works.write(ANA, TARGET, 120)).state is Stage.DONE


async def test_without_a_durable_row_nothing_is_sent(works: Works) -> None:
    with works.engine.begin() as db:
        db.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON control_write BEGIN SELECT RAISE(FAIL, 'disk is full'); END"
        )
    with pytest.raises(NotDurable, match="disk is full"):
        await works.write(ANA, TARGET, 120)
    assert works.edges.sent == []
    assert works.audit.ended == [("i1", "refused not_durable")]
    with works.engine.begin() as db:
        db.exec_driver_sql("DROP TRIGGER full")
    assert (await works.write(ANA, TARGET, 120)).state is Stage.DONE


async def test_an_end_that_cannot_be_recorded_is_asked_for_until_it_can(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.control.service.PATIENCE_S", 0.01)
    with works.engine.begin() as db:
        db.exec_driver_sql(
            "CREATE TRIGGER full BEFORE UPDATE ON control_write BEGIN SELECT RAISE(FAIL, 'disk is full'); END"
        )
    found = await works.write(ANA, TARGET, 120)
    assert (found.state, found.settled) == (Stage.SENT, False)
    await works.control.sweep()
    with works.engine.begin() as db:
        db.exec_driver_sql("DROP TRIGGER full")
    await works.control.sweep()
    assert (await works.control.get(found.id)).state is Stage.DONE
    assert len(works.edges.wire) == 1


async def test_what_changes_while_the_disk_is_waited_for_still_refuses(works: Works) -> None:
    original = works.audit.intent

    async def slow(*given: Any, **more: Any) -> str:
        ident = await original(*given, **more)
        works.control.modes._rows["line1"] = mode(Mode.HALTED)
        return ident

    works.audit.intent = slow  # type: ignore[method-assign]  # a slow disk
    done = await works.write(ANA, TARGET, 120)
    assert (done.state, done.code, works.edges.sent) == (Stage.DENIED, "halted", [])
    assert works.audit.ended == [("i1", "denied halted")]


async def test_two_writes_of_a_point_never_overlap(works: Works) -> None:
    found = await asyncio.gather(
        *(works.control.write(program(f"p{n}"), TARGET, 100 + n) for n in range(5)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in found) == ["Refusal"] * 4 + ["Write"]
    assert len(works.edges.wire) == 1
    assert (await works.write(ANA, TARGET, 120)).state is Stage.DONE


async def test_what_the_edge_denies_is_denied_with_its_reason(works: Works) -> None:
    works.edges.how = [Result.DENIED]
    done = await works.write(ANA, TARGET, 120)
    assert (done.state, done.code, done.detail, done.settled) == (Stage.DENIED, "interlock", "as the edge says", True)


async def test_an_edge_that_takes_no_commands_is_a_plain_no(works: Works) -> None:
    works.edges.how = [NobodyListens("nobody answers on cmd")]
    done = await works.write(ANA, TARGET, 120)
    assert (done.state, done.code, works.edges.wire) == (Stage.DENIED, "edge_unreachable", [])


# uncertain


def lost(acted: bool, error: type[Exception] = TryLater) -> Any:
    found: Any = error("no answer within 8 s")
    found.acted = acted
    return found


@pytest.mark.mission("M84", "M63")
@pytest.mark.parametrize("error", [TryLater, NotConnected, Malformed])
async def test_an_answer_that_does_not_come_is_asked_for_and_nothing_is_sent_again(
    works: Works, monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    monkeypatch.setattr("isthmus.control.service.PATIENCE_S", 0.01)
    works.edges.how = [lost(acted=True, error=error)]
    works.edges.deaf = True
    found = await works.write(ANA, TARGET, 120)
    assert (found.state, found.settled, found.code) == (Stage.UNCERTAIN, False, "no_answer")
    await works.control.sweep()
    await refused_open(works)
    works.edges.deaf = False
    await works.control.sweep()
    done = await works.control.get(found.id)
    assert (done.state, done.settled, done.code) == (Stage.DONE, True, "")
    assert (len(works.edges.sent), len(works.edges.wire)) == (1, 1)
    assert (await works.write(ANA, TARGET, 130)).state is Stage.DONE


async def refused_open(works: Works) -> None:
    with pytest.raises(Refusal) as no:
        await works.write(ANA, TARGET, 130)
    assert no.value.code == "write_open"


@pytest.mark.mission("M63")
async def test_a_core_that_starts_anew_takes_up_what_was_sent_and_sends_nothing(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.control.service.PATIENCE_S", 0.01)
    works.edges.how = [lost(acted=True), lost(acted=False)]
    works.edges.deaf = True
    reached = await works.write(ANA, TARGET, 120)
    never = await works.write(ANA, SWITCH, 1)
    sent = len(works.edges.sent)
    works.control = works.make()
    await works.control.open()
    await refused_open(works)
    works.edges.deaf = False
    await works.control.sweep()
    assert (await works.control.get(reached.id)).state is Stage.DONE
    assert not (await works.control.get(never.id)).settled, "it may still be on its way"
    works.clock.advance(EXPIRES_S + 3)
    await works.control.sweep()
    done = await works.control.get(never.id)
    assert (done.state, done.code) == (Stage.DENIED, "not_received")
    assert len(works.edges.sent) == sent


async def test_a_core_that_dies_while_it_waits_for_the_answer_leaves_the_row_for_the_next(works: Works) -> None:
    came = asyncio.Event()
    never: asyncio.Event = asyncio.Event()
    original = works.edges.write

    async def hang(edge: str, command: Any, timeout_s: float) -> Any:
        answer = await original(edge, command, timeout_s)
        came.set()
        await never.wait()
        return answer

    works.edges.write = hang  # type: ignore[method-assign]  # an edge that acts and is slow to answer
    asking = asyncio.create_task(works.write(ANA, TARGET, 120))
    await came.wait()
    await works.control.close()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert [w.state for w in durable(works)] == [Stage.SENT]
    works.control = works.make()
    await works.control.open()
    await works.control.sweep()
    assert [w.state for w in durable(works)] == [Stage.DONE]
    assert len(works.edges.wire) == 1


async def test_who_asked_may_go_away_and_the_write_goes_on(works: Works) -> None:
    came, go = asyncio.Event(), asyncio.Event()
    original = works.edges.write

    async def wait(edge: str, command: Any, timeout_s: float) -> Any:
        came.set()
        await go.wait()
        return await original(edge, command, timeout_s)

    works.edges.write = wait  # type: ignore[method-assign]  # a slow edge
    asking = asyncio.create_task(works.write(ANA, TARGET, 120))
    await came.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    go.set()
    async with asyncio.timeout(60):
        while not durable(works)[0].settled:
            await asyncio.sleep(0.01)
    assert durable(works)[0].state is Stage.DONE


async def test_an_uncertain_write_is_an_alarm_until_a_later_one_is_certain(works: Works) -> None:
    works.edges.how = [Result.UNCERTAIN]
    found = await works.write(ANA, TARGET, 120)
    assert (found.state, found.settled) == (Stage.UNCERTAIN, True)
    works.reports.down = True
    await works.control.sweep()
    works.reports.down = False
    works.control = works.make()  # not even a restart forgets it
    await works.control.open()
    await works.control.sweep()
    assert works.reports.active == {f"control/uncertain/{TARGET}": True}
    works.edges.how = [Result.DENIED]
    await works.write(ANA, TARGET, 130)
    await works.control.sweep()
    assert works.reports.active == {f"control/uncertain/{TARGET}": True}
    await works.write(ANA, TARGET, 130)
    await works.control.sweep()
    assert works.reports.active == {f"control/uncertain/{TARGET}": False}
    assert works.reports.raised == [f"control/uncertain/{TARGET}"]


async def test_a_write_whose_edge_is_gone_or_given_up_ends_uncertain(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.control.service.PATIENCE_S", 0.01)
    works.edges.how, works.edges.deaf = [lost(acted=True), lost(acted=True)], True
    found = await works.write(ANA, TARGET, 120)
    done = await works.control.reject(SUE, found.id, "the edge burnt down")
    assert (done.state, done.settled, done.code) == (Stage.UNCERTAIN, True, "given_up")
    found = await works.write(ANA, TARGET, 125)
    works.apply(replace(works.plant, version=8, edges=("edge-2",)))
    await works.control.sweep()
    assert ((await works.control.get(found.id)).code, len(works.edges.sent)) == ("edge_gone", 2)


async def test_points_tell_what_a_faceplate_shows(works: Works) -> None:
    await works.write(ANA, TARGET, 120)
    rows = {row.tag.path: row for row in works.control.points(ANA, "hall/line1")}
    row = rows[TARGET]
    assert (row.holds, row.local, row.value, row.zone, row.mode) == (True, False, 100.0, "line1", Mode.NORMAL)
    assert [(i.path, i.value) for i in row.inputs] == [("hall/line1/filler/guard", 1), ("hall/line1/filler/local", 0)]
    assert row.recent is not None
    assert (row.recent.value, row.may.allowed) == (120.0, True)
    assert not rows[DUTY].may.allowed
    works.feed({"hall/line1/filler/guard": 1}, code=0x80000000)
    row = next(r for r in works.control.points(ANA, TARGET))
    assert row.holds is None
    assert works.control.points(person("x", "line2-only"), "hall/line1") == []
    assert [r.tag.path for r in works.control.points(program(scope=scope(SWITCH)))] == [SWITCH]


async def test_an_expression_this_build_cannot_read_is_not_known(works: Works) -> None:
    works.apply(plant(WritePoint(1, "operator", "line1", interlock="guard ==", inputs={"guard": 6}), version=8))
    assert next(r for r in works.control.points(ANA, TARGET)).holds is None


async def test_what_stands_against_it_says_what_was_seen_and_what_would_clear_it(works: Works) -> None:
    works.feed({"hall/line1/filler/guard": 0})
    (row,) = [row for row in works.control.points(ANA) if row.tag.path == TARGET]
    assert (row.may.code, row.may.clears) == ("interlock", "make its condition true")
    assert row.may.reason.endswith("guard is 0")
    works.feed({"hall/line1/filler/guard": 1, TARGET: 0}, status.BAD_NO_COMMUNICATION)
    (row,) = [row for row in works.control.points(ANA) if row.tag.path == TARGET]
    assert (row.may.code, row.may.clears) == ("not_connected", "mend the connection")
