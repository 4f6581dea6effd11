"""Every check of the gate refuses with its reason, and what passes is written once and read back."""

from __future__ import annotations

import asyncio
import itertools
import math
from dataclasses import replace

import orjson
import pytest

from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError, Denied, NotConnected, Rejected, TryLater
from isthmus.values.messages.control import Result, WriteCommand

from .conftest import COUNT, FULL, GUARD, LOCAL, RECIPE, SHOWN, SPEED, Edge, model, point


@pytest.mark.mission("M34", "M84")
async def test_a_permitted_write_is_journalled_written_and_read_back(edge: Edge) -> None:
    answer = await edge.write(value=50.0, base=40.0)
    assert (answer.result, answer.read_back, answer.before, answer.code) == (Result.DONE, 50.0, 40.0, "")
    assert answer.sent_ns
    assert answer.read_ns >= answer.sent_ns
    assert edge.field.frames == [(SPEED, 50.0)]
    assert [line["state"] for line in edge.lines()] == ["sent", "answered"]
    assert edge.lines(state="sent")[0]["by"] == "p-1"
    assert edge.lines(state="answered")[0]["answer"]["result"] == "done"


REFUSALS = {
    "no_intent": ({"intent": ""}, None),
    "expired": ({"expires_ns": 1}, None),
    "model_version": ({"model_version": 6}, None),
    "wrong_type": ({"value": "fast"}, None),
    "out_of_range": ({"value": 101.0}, None),
    "base_changed": ({"base": 39.0}, None),
    "not_writable": ({"tag": SHOWN}, None),
    "interlock": ({}, (GUARD, 0, 0)),
    "interlock_unknown": ({}, (GUARD, 1, 0x80000000)),
    "local": ({}, (LOCAL, 1, 0)),
    "local_unknown": ({}, (LOCAL, 0, 0x40000000)),
    "not_connected": ({}, (SPEED, 40.0, 0x80310000)),
}


@pytest.mark.mission("M34", "M84")
@pytest.mark.parametrize("code", REFUSALS)
async def test_each_check_refuses_with_its_reason_and_nothing_reaches_the_device(edge: Edge, code: str) -> None:
    said, value = REFUSALS[code]
    if value is not None:
        edge.field.set(*value)
    answer = await edge.write(**said)
    assert (answer.result, answer.code) == (Result.DENIED, code)
    assert answer.reason
    assert answer.clears or code == "not_writable"
    assert edge.field.frames == []
    assert [line["state"] for line in edge.lines()] == ["answered"]


async def test_a_clock_that_is_off_refuses(edge: Edge) -> None:
    for offset_s in (-2.5, 2.5):
        answer = await edge.write(sent_ns=edge.clock.now_ns() + round(offset_s * NS_PER_S))
        assert (answer.code, "2.5 s apart" in answer.reason) == ("clock_offset", True)
    assert (await edge.write(sent_ns=edge.clock.now_ns() + NS_PER_S)).result == Result.DONE


@pytest.mark.mission("M84")
async def test_a_stale_interlock_refuses_even_where_it_holds(edge: Edge) -> None:
    edge.clock.advance(3.5)
    edge.field.set(LOCAL, 0)
    answer = await edge.write()
    assert (answer.code, "3.5 s old" in answer.reason) == ("interlock_unknown", True)
    edge.field.set(GUARD, 1)
    assert (await edge.write()).result == Result.DONE


async def test_an_input_that_was_never_read_refuses(edge: Edge) -> None:
    del edge.field.values[GUARD]
    assert (await edge.write()).code == "interlock_unknown"


async def test_a_result_that_cannot_be_computed_refuses(edge: Edge) -> None:
    edge.use(point(interlock="1 / (guard - 1) > 0"))
    assert (await edge.write()).code == "interlock_unknown"


async def test_steps_rates_and_values_that_are_not_known(edge: Edge) -> None:
    edge.use(point(step=5.0))
    assert (await edge.write(value=45.1)).code == "step"
    assert (await edge.write(value=45.0)).result == Result.DONE
    edge.use(point(rate_s=1.0))
    edge.clock.advance(4.0)
    edge.field.set(SPEED, 45.0)
    assert (await edge.write(value=50.0)).code == "rate"
    edge.clock.advance(2.0)
    edge.field.set(SPEED, 45.0)
    assert (await edge.write(value=50.0)).result == Result.DONE
    assert (await edge.write(value=51.0)).code == "rate"
    edge.clock.advance(10.0)
    assert (await edge.write(value=51.0)).code == "value_unknown"


async def test_whole_numbers_and_texts(edge: Edge) -> None:
    edge.use(point(COUNT, low=0.0, high=9.0), point(RECIPE))
    assert (await edge.write(tag=COUNT, value=4.5)).code == "wrong_type"
    assert (await edge.write(tag=COUNT, value=4)).result == Result.DONE
    assert (await edge.write(tag=RECIPE, value=4)).code == "wrong_type"
    assert (await edge.write(tag=RECIPE, value="B", base="A")).result == Result.DONE
    assert (await edge.write(tag=COUNT, value=True)).read_back == 1


@pytest.mark.mission("M84")
async def test_modes_of_zones(edge: Edge) -> None:
    edge.use(point(direction=-1))
    assert await edge.tell("mode", modes={"line1": "halted"}) == {"ok": True, "code": "", "reason": "", "clears": ""}
    assert (await edge.write()).code == "halted"
    await edge.tell("mode", modes={"line1": "safe-direction-only"})
    assert (await edge.write(value=41.0)).code == "safe_direction"
    assert (await edge.write(value=39.0)).result == Result.DONE
    edge.use(point())
    assert (await edge.write(value=38.0)).code == "safe_direction"
    edge.use(point(RECIPE, direction=1), point(direction=1))
    assert (await edge.write(tag=RECIPE, value="B")).code == "safe_direction"
    edge.field.set(SPEED, 40.0, 0x80000000)
    assert (await edge.write(value=60.0)).code == "safe_direction"
    await edge.tell("mode", modes={"line1": "normal", "line2": "halted"})
    edge.field.set(SPEED, 40.0)
    assert (await edge.write(value=60.0)).result == Result.DONE


@pytest.mark.mission("M84")
async def test_locks_hold_for_all_that_is_below_and_behind(edge: Edge) -> None:
    for path in ("hall/filler/speed", "hall/filler", "", "connections/plc1"):
        await edge.tell("lock", locks=[{"path": path, "who": "ann", "why": "belt change"}])
        answer = await edge.write()
        assert (answer.code, "ann: belt change" in answer.reason) == ("locked_out", True)
    for path in ("hall/fill", "connections/plc2", "hall/tank"):
        await edge.tell("lock", locks=[{"path": path, "who": "ann"}])
        assert (await edge.write()).result == Result.DONE
    await edge.tell("lock", locks=[])
    edge.use(point(lockout="bob: cleaning"))
    assert (await edge.write()).code == "locked_out"


@pytest.mark.mission("M84")
async def test_modes_and_locks_outlive_a_restart(edge: Edge) -> None:
    await edge.tell("mode", modes={"line1": "halted"})
    await edge.tell("lock", locks=[{"path": "hall", "who": "ann", "why": ""}])
    await edge.control.stop()
    edge.start()
    assert (await edge.write()).code == "locked_out"
    await edge.tell("lock", locks=[])
    assert (await edge.write()).code == "halted"
    assert [line["kind"] for line in edge.control.journal.lines()][:2] == ["mode", "lock"]


@pytest.mark.mission("M84")
async def test_what_cannot_be_read_at_a_start_halts_everything_until_core_speaks(edge: Edge) -> None:
    await edge.tell("mode", modes={})
    await edge.control.stop()
    (edge.folder / "standing.json").write_text("{half")
    edge.start()
    assert (await edge.write()).code == "halted"
    await edge.tell("mode", modes={})
    assert (await edge.write()).result == Result.DONE


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("mode", {"modes": {"line1": "halt"}}),
        ("mode", {"modes": []}),
        ("mode", {}),
        ("lock", {"locks": {}}),
        ("lock", {"locks": [{"who": "ann"}]}),
        ("lock", {"locks": [{"path": 3, "who": "ann"}]}),
        ("lock", {"locks": ["hall"]}),
    ],
)
async def test_malformed_modes_and_locks_change_nothing(edge: Edge, what: str, said: dict) -> None:
    await edge.tell("mode", modes={"line1": "halted"})
    answer = await edge.tell(what, **said)
    assert (answer["ok"], answer["code"]) == (False, "malformed")
    assert (await edge.write()).code == "halted"


async def test_a_mode_that_cannot_be_kept_holds_all_the_same(edge: Edge, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr("isthmus.control.standing.os.fsync", full)
    answer = await edge.tell("mode", modes={"line1": "halted"})
    assert (answer["ok"], answer["code"]) == (False, "not_kept")
    assert (await edge.write()).code == "halted"


@pytest.mark.mission("M84")
async def test_the_state_is_looked_at_again_when_it_is_the_values_turn(edge: Edge) -> None:
    edge.field.before = lambda: edge.field.set(GUARD, 0)
    answer = await edge.write()
    assert (answer.result, answer.code) == (Result.DENIED, "interlock")
    assert edge.field.frames == []
    assert [line["state"] for line in edge.lines()] == ["sent", "answered"]
    edge.field.set(GUARD, 1)
    edge.field.before = lambda: edge.use(version=8)
    assert (await edge.write()).code == "model_version"
    assert edge.field.frames == []


@pytest.mark.parametrize(
    ("error", "code", "result"),
    [
        (Rejected("illegal value"), "device_refused", Result.DENIED),
        (NotConnected("cut"), "no_answer", Result.UNCERTAIN),
        (TimeoutError("nothing"), "no_answer", Result.UNCERTAIN),
        (OSError(104, "reset"), "no_answer", Result.UNCERTAIN),
        (ZeroDivisionError("bug"), "driver_failed", Result.UNCERTAIN),
    ],
)
async def test_what_the_device_answers(edge: Edge, error: Exception, code: str, result: Result) -> None:
    edge.field.error = error
    answer = await edge.write()
    assert (answer.result, answer.code) == (result, code)
    assert len(edge.field.frames) == 1
    assert [line["state"] for line in edge.lines()] == ["sent", "answered"]
    edge.field.error = None
    assert (await edge.send(edge.command(id="w1"))).code == code  # asked again, it is answered and not sent again
    assert len(edge.field.frames) == 1


@pytest.mark.parametrize(
    ("error", "code"), [(Denied("down", "not_connected"), "not_connected"), (ConfigError("ro"), "not_writable")]
)
async def test_what_could_not_be_sent_is_denied(edge: Edge, error: Exception, code: str) -> None:
    edge.field.refuse = error
    answer = await edge.write()
    assert (answer.result, answer.code, answer.sent_ns) == (Result.DENIED, code, 0)


async def test_a_device_that_shows_something_else_is_uncertain(edge: Edge) -> None:
    edge.field.deaf, edge.field.looks_s = True, 1.0
    answer = await edge.write(value=50.0)
    assert (answer.result, answer.code, answer.read_back) == (Result.UNCERTAIN, "read_back_differs", 40.0)
    edge.field.down = True
    edge.good()
    answer = await edge.write(value=50.0)
    assert (answer.result, answer.code) == (Result.UNCERTAIN, "read_back_failed")


async def test_a_tolerance_and_another_tag_that_shows_it(edge: Edge) -> None:
    edge.use(point(read_back=SHOWN, tolerance=0.5))
    edge.field.looks_s = 1.0
    edge.field.set(SHOWN, 50.4)
    assert (await edge.write(value=50.0)).result == Result.DONE
    edge.field.set(SHOWN, 50.6)
    assert (await edge.write(value=50.0)).result == Result.UNCERTAIN


async def test_single_precision_is_the_same_value(edge: Edge) -> None:
    edge.field.deaf = True
    edge.field.set(SPEED, 0.10000000149011612)
    assert (await edge.write(value=0.1, base=0.1)).result == Result.DONE


async def test_an_id_is_carried_out_once_however_often_it_comes(edge: Edge) -> None:
    edge.field.hang = asyncio.Event()
    command = edge.command()
    asked = [asyncio.create_task(edge.send(command)) for _ in range(3)]
    while not edge.field.frames:
        await asyncio.sleep(0.001)
    outcome = asyncio.create_task(edge.tell("outcome", id=command["id"]))
    assert (await edge.send({**command, "value": 60.0})).code == "id_reused"
    edge.field.hang.set()
    answers = await asyncio.gather(*asked)
    assert [a.result for a in answers] == [Result.DONE] * 3
    assert len(edge.field.frames) == 1
    assert await outcome == orjson.loads(orjson.dumps(answers[0]))
    assert await edge.tell("outcome", id=command["id"]) == await outcome
    assert (await edge.send({**command, "value": 60.0})).code == "id_reused"
    assert await edge.tell("outcome", id="never") is None
    assert await edge.tell("outcome", id=5) is None
    assert await edge.control.gate.outcome(b"\xff") == b"null"


async def test_one_write_at_a_time_per_connection(edge: Edge) -> None:
    edge.use(point(), point(RECIPE), point(9, low=0.0, high=9.0))
    edge.field.hang = asyncio.Event()
    tasks = [asyncio.create_task(edge.write(tag=tag, value=value)) for tag, value in ((SPEED, 50.0), (RECIPE, "B"))]
    await edge.until(lambda: edge.field.frames)
    await asyncio.sleep(0.05)
    assert len(edge.field.frames) == 1
    edge.field.hang.set()
    assert [a.result for a in await asyncio.gather(*tasks)] == [Result.DONE] * 2


async def test_too_many_at_once_are_refused(edge: Edge, monkeypatch) -> None:
    monkeypatch.setattr("isthmus.control.gate.MOST_WAITING", 2)
    edge.field.hang = asyncio.Event()
    tasks = [asyncio.create_task(edge.write()) for _ in range(2)]
    await edge.until(lambda: len(edge.control.gate._running) == 2)
    assert (await edge.write()).code == "busy"
    edge.field.hang.set()
    await asyncio.gather(*tasks)


@pytest.mark.mission("M34")
async def test_a_crash_between_send_and_answer_is_uncertain_and_never_sent_again(edge: Edge) -> None:
    edge.field.hang = asyncio.Event()
    command = edge.command()
    task = asyncio.create_task(edge.send(command))
    while not edge.field.frames:
        await asyncio.sleep(0.001)
    await edge.control.stop()
    with pytest.raises(asyncio.CancelledError):
        await task
    edge.field.hang = None
    edge.start()
    answer = await edge.send(command)
    assert (answer.result, answer.code) == (Result.UNCERTAIN, "edge_restarted")
    assert (await edge.tell("outcome", id=command["id"]))["result"] == "uncertain"
    assert len(edge.field.frames) == 1
    await edge.control.stop()
    edge.start()  # and again: it was closed once
    assert [line["state"] for line in edge.lines(id=command["id"])] == ["sent", "answered"]


async def test_without_a_journal_nothing_is_written(edge: Edge, monkeypatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise TryLater("the journal of this edge cannot be written: no space left")

    monkeypatch.setattr(edge.control.journal, "append", full)
    answer = await edge.write()
    assert (answer.result, answer.code) == (Result.DENIED, "journal")
    assert edge.field.frames == []


async def test_an_answer_that_cannot_be_kept_is_given_all_the_same(edge: Edge, monkeypatch) -> None:
    real, calls = edge.control.journal.append, itertools.count()

    def full(kind: str, **said: object) -> int:
        if next(calls):
            raise TryLater("no space left")
        return real(kind, **said)

    monkeypatch.setattr(edge.control.journal, "append", full)
    assert (await edge.write()).result == Result.DONE


BAD_BYTES = [
    b"",
    b"\xff\xfe",
    b"[]",
    b"null",
    b'{"id": "a"}',
    b"{" * 100,
    b'{"id": NaN}',
    b"x" * 70_000,
]


@pytest.mark.parametrize("data", BAD_BYTES)
async def test_bytes_that_are_no_command_are_refused_whole(edge: Edge, data: bytes) -> None:
    for handle in edge.control.commands.values():
        assert orjson.loads(await handle(data)) is None or b"malformed" in await handle(data)
    answer = orjson.loads(await edge.control.gate.write(data))
    assert (answer["result"], answer["code"]) == ("denied", "malformed")
    assert edge.field.frames == []


@pytest.mark.parametrize(
    "said",
    [
        {"value": None},
        {"value": [1]},
        {"value": {"a": 1}},
        {"tag": "1"},
        {"tag": True},
        {"tag": 2**63},
        {"extra": 1},
        {"by": "x" * 5000},
        {"expires_ns": 1.5},
        {"base": [1]},
    ],
)
async def test_a_command_with_a_wrong_part_is_refused_whole(edge: Edge, said: dict) -> None:
    assert (await edge.write(**said)).code == "malformed"
    assert edge.field.frames == []


async def test_numbers_that_are_none(edge: Edge) -> None:
    command = WriteCommand("n", SPEED, math.nan, edge.clock.now_ns() + NS_PER_S, 7, edge.clock.now_ns(), "p", "i")
    for value in (math.nan, math.inf, -math.inf):
        answer = await edge.control.gate.carry_out(replace(command, id=f"n{value}", value=value), edge.clock.now_ns())
        assert (answer.result, answer.code) == (Result.DENIED, "wrong_type")


async def test_the_door_opens_for_drivers_that_write(edge: Edge) -> None:
    from isthmus.control.door import write_one
    from isthmus.ports.drivers import Traffic

    class Mute:
        traffic = Traffic()

        async def open(self) -> None: ...

        async def close(self) -> None: ...

    class Writer(Mute):
        got: tuple = ()

        async def write(self, writes) -> None:
            self.got = tuple(writes)

    with pytest.raises(ConfigError, match="cannot write"):
        await write_one(Mute(), "hr 0", 1)
    writer = Writer()
    await write_one(writer, "hr 0", 1)
    assert [(w.address, w.value) for w in writer.got] == [("hr 0", 1)]


async def test_damage_at_a_start_is_told(edge: Edge, caplog) -> None:
    for _ in range(2):
        await edge.write(value=50.0)
    await edge.control.stop()
    (file,) = (edge.folder / "journal").glob("*.journal")
    data = file.read_bytes()
    file.write_bytes(data.replace(b"answered", b"bnswered", 1))
    edge.start()
    assert "1 lines of the journal are damaged" in caplog.text


async def test_a_command_without_an_id_is_refused(edge: Edge) -> None:
    assert (await edge.write(id="")).code == "no_intent"


async def test_while_a_model_is_applied_nothing_passes(edge: Edge) -> None:
    edge.control.pause()
    assert (await edge.write()).code == "model_version"
    assert (await edge.write(model_version=-1)).code == "model_version"
    edge.control.resume()
    assert (await edge.write()).result == Result.DONE


def test_a_model_that_contradicts_itself_is_refused(tmp_path) -> None:
    from isthmus.control.edge import EdgeControl

    with pytest.raises(ConfigError):
        EdgeControl.check(model(point(interlock="guard ==")))
    with pytest.raises(ConfigError, match="not of this edge"):
        EdgeControl.check(model(point(99)))


async def test_core_asks_for_lines_of_the_journal(edge: Edge) -> None:
    await edge.write()
    found = orjson.loads(await edge.control.lines(b'{"after": 1}'))
    assert (found["first"], found["newest"], [line["n"] for line in found["lines"]]) == (1, 2, [2])
    for data in (b"no", b'{"after": "x"}', b'{"after": -1}'):
        assert "error" in orjson.loads(await edge.control.lines(data))
    assert FULL.interlock
