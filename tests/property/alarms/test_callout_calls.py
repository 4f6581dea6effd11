"""Whatever is heard in whatever order, over kills and gateways that fail: each decision once, nobody forgotten, nobody called in vain."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections import Counter
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.alarms.callout.model import Channel, Contact, Rule, Step, plan
from isthmus.alarms.callout.rota import Rota, schedule
from isthmus.alarms.callout.service import CallOut, CallOutConfig, Person, Place
from isthmus.alarms.callout.store import DELIVERY, MEMBER, metadata
from isthmus.alarms.callout.texts import Message
from isthmus.app.records import open_records
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.errors import Rejected
from isthmus.values.messages.alarms import AlarmChange, State

RULE = Rule(
    "r", ("high",), (Step("rota:d", ("mail",), 0, 60, 2), Step("all:d", ("mail", "chat"), 90)), group_s=5, then_s=30
)
LAST_S = plan(RULE)[-1].offset_s


class Killed(BaseException):
    """Core ends, in the middle of whatever it does."""


class Gateways:
    def __init__(self, random: Random) -> None:
        self.random, self.down, self.kills = random, False, False
        self.sent: list[tuple[str, str, str]] = []

    def missing(self, channel: Channel) -> str:
        return ""

    def check(self, channel: Channel) -> None: ...

    def send(self, channel: Channel, address: str, message: Message) -> None:
        if self.down:
            raise Rejected("down")
        self.sent.append((channel.name, address, message.body))
        if self.kills and self.random.random() < 0.3:
            raise Killed  # it went out, and nobody wrote that down


@pytest.mark.mission("M14")
@settings(max_examples=15, deadline=None)
@given(
    acts=st.lists(
        st.one_of(
            st.tuples(st.just("raise"), st.lists(st.integers(1, 6), min_size=1, max_size=4)),
            st.tuples(st.just("acknowledge"), st.integers(1, 6)),
            st.tuples(st.just("return"), st.integers(1, 6)),
            st.tuples(st.just("again"), st.integers(1, 5)),
            st.tuples(st.just("wait"), st.sampled_from([1, 5, 30, 90, 1000])),
            st.tuples(st.sampled_from(["restart", "down", "up", "kills"]), st.just(0)),
        ),
        max_size=25,
    ),
    seed=st.integers(0, 2**16),
)
def test_nothing_is_decided_twice_and_nobody_is_forgotten(acts: list[tuple[str, Any]], seed: int) -> None:
    asyncio.run(_play(acts, Random(seed)))


async def _play(acts: list[tuple[str, Any]], random: Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        engine = open_records(Path(folder) / "records.db")
        metadata.create_all(engine)
        clock, ways = ManualClock(), Gateways(random)

        def begin() -> CallOut:
            return CallOut(
                engine, clock, Random(1), place=lambda: Place("s", "UTC"), people=lambda: [Person("ana"), Person("ben")],
                ways=ways, key=lambda: b"k" * 32, key_of=str.casefold, config=CallOutConfig(),
            )  # fmt: skip

        callout = begin()
        for one in (Channel("mail", "email", "secret:m"), Channel("chat", "chat", "secret:c", personal=False)):
            await callout.keep(one, "x", "", None)
        for name in ("ana", "ben"):
            await callout.keep_contact(Contact(name, "en", {"mail": name}))
        await callout.keep(Rota("d", ("ana", "ben"), date(2023, 1, 2)), "x", "", None)
        await callout.keep(RULE, "x", "", None)
        seq, heard, states = 0, list[AlarmChange](), dict[int, State]()

        async def hear(number: int, after: State) -> None:
            nonlocal seq
            seq += 1
            before = states.get(number, State.NORMAL)
            states[number] = after
            heard.append(
                AlarmChange(
                    seq, number, f"a{number}", "p", "", "", "high", f"<{number}>", before, after, clock.now_ns()
                )
            )

        async def settle() -> None:
            nonlocal callout
            try:
                await callout.heard(heard[-20:])
                await callout._advance()
                await callout._launch()
                while callout._sending:
                    tasks = [task for _, task in callout._sending.values()]
                    await asyncio.wait(tasks)
                    if any(isinstance(task.exception(), Killed) for task in tasks if not task.cancelled()):
                        raise Killed
                    await callout._launch()
            except Killed:
                await asyncio.gather(*(t for _, t in callout._sending.values()), return_exceptions=True)
                callout = begin()

        for act, what in acts:
            match act:
                case "raise":
                    for number in what:
                        await hear(number, State.UNACKNOWLEDGED)
                case "acknowledge" if states.get(what) in (State.UNACKNOWLEDGED, State.RETURNED_UNACKNOWLEDGED):
                    await hear(what, State.ACKNOWLEDGED)
                case "return" if states.get(what) is State.UNACKNOWLEDGED:
                    await hear(what, State.RETURNED_UNACKNOWLEDGED)
                case "again" if heard:
                    await callout.heard(heard[-what:])
                case "wait":
                    clock.advance(what)
                case "restart":
                    callout = begin()
                case "down" | "up":
                    ways.down = act == "down"
                case "kills":
                    ways.kills = True
                case _:
                    continue
            await settle()
        ways.down = ways.kills = False
        for _ in range(16):
            clock.advance(330)
            await settle()
        open_now = {n for n, state in states.items() if state in (State.UNACKNOWLEDGED, State.RETURNED_UNACKNOWLEDGED)}
        with engine.begin() as db:
            decided = Counter(
                (r.call, r.step, r.nth, r.person, r.channel)
                for r in db.execute(DELIVERY.select())
                if r.call is not None
            )
            left = {r.state for r in db.execute(DELIVERY.select())}
            waiting = Counter(r.occurrence for r in db.execute(MEMBER.select().where(MEMBER.c.settled_ns.is_(None))))
        assert max(decided.values(), default=1) == 1
        assert left <= {"delivered", "withdrawn"}
        assert waiting == Counter(open_now)  # each alarm that needs somebody is in one call, and no other is
        told = {n for n in range(1, 7) if any(f"<{n}>" in body for _, _, body in ways.sent)}
        assert open_now <= told
        engine.dispose()


@pytest.mark.mission("M14")
@settings(max_examples=60, deadline=None)
@given(
    people=st.lists(st.sampled_from("abcde"), min_size=1, max_size=6),
    weeks=st.integers(1, 3),
    day=st.sampled_from(["Mon", "Wed", "Sun"]),
    hour=st.integers(0, 23),
    start_h=st.integers(0, 24 * 700),
    length_h=st.integers(1, 24 * 60),
    zone=st.sampled_from(["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kathmandu"]),
    hours=st.sampled_from(["", "17:00-08:00", "Mon 08:00-Fri 17:00", "02:00-03:00"]),
)
def test_a_schedule_covers_its_time_whole_and_agrees_with_each_of_its_parts(
    people: list[str], weeks: int, day: str, hour: int, start_h: int, length_h: int, zone: str, hours: str
) -> None:
    rota = Rota("r", tuple(people), date(2026, 1, 5), weeks, f"{day} {hour:02d}:30", hours)
    start = (1_767_225_600 + start_h * 3600) * NS_PER_S
    end = start + length_h * 3600 * NS_PER_S
    turns = schedule(rota, start, end, zone)
    assert turns[0].start_ns == start
    assert turns[-1].end_ns == end
    assert all(a.end_ns == b.start_ns and a != b for a, b in itertools.pairwise(turns))
    assert all(a.start_ns < a.end_ns for a in turns)
    middle = (start + end) // 2 // NS_PER_S * NS_PER_S
    inside = next(turn for turn in turns if turn.start_ns <= middle < turn.end_ns)
    assert schedule(rota, middle, middle + NS_PER_S, zone)[0].person == inside.person
