"""Rules judged on frames made by hand, and stored in real records."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus.analytics import store
from isthmus.analytics.model import AHEAD_NS, LATE_S, Began, EdgeRules, Ended
from isthmus.analytics.service import Rules
from isthmus.app.records import open_records
from isthmus.namespace.model import Plant, Rule, RuleInstance, Tag
from isthmus.ports.frames import Arrived
from isthmus.values.clock import ManualClock
from isthmus.values.frame import Frame, Lane
from isthmus.values.sample import SampleBatch, ValueType

pytestmark = pytest.mark.mission("M64")

S = 1_000_000_000
T0 = 1_700_000_000


def plant(*rules: Rule, assets: int = 2) -> Plant:
    """Each asset a0, a1, … has `temp` (tag 10 + n, float) and `state` (tag 20 + n, int)."""
    tags = {}
    for n in range(assets):
        tags[10 + n] = Tag(
            10 + n, f"a{n}/temp", f"a{n}", "temp", "value", ValueType.FLOAT, unit="°C", decimals=1, edge="e"
        )
        tags[20 + n] = Tag(
            20 + n, f"a{n}/state", f"a{n}", "state", "state", ValueType.INT, states={0: "Idle", 6: "Run"}, edge="e"
        )
    made = []
    for rule in rules:
        names = [n for n in ("mean(temp, 10 s)", "temp", "state") if n in rule.when]
        names = [n for n in names if n != "temp" or "temp" in rule.when.replace("mean(temp, 10 s)", "")]
        ids = {"temp": 10, "mean(temp, 10 s)": 10, "state": 20}
        made.append((rule, tuple(RuleInstance(f"a{n}", "e", {k: ids[k] + n for k in names}) for n in range(assets))))
    return Plant(1, "acme", "lyon", "UTC", tags=tuple(tags.values()), by_id=tags, rules=tuple(made))


class Stream:
    """Frames as an edge seals them, one a second."""

    def __init__(self) -> None:
        self.seq = 0

    def frame(
        self, second: int, *samples: tuple[int, float | int, int], at_ns: int | None = None, epoch: int = 1
    ) -> Arrived:
        self.seq += 1
        time_ns = second * S if at_ns is None else at_ns
        batches = []
        for kind in (float, int):
            some = [s for s in samples if type(s[1]) is kind]
            if some:
                batches.append(SampleBatch(
                    np.array([s[0] for s in some], np.int32), np.full(len(some), time_ns), np.array([s[1] for s in some]),
                    np.array([s[2] for s in some], np.uint32),
                ))  # fmt: skip
        return Arrived("e", Frame(Lane.LIVE, epoch, self.seq, second * S, 1, tuple(batches)), self.seq)


def judge(judged: EdgeRules, *arrived: Arrived) -> list[Began | Ended]:
    return [said for one in arrived for said in judged.advance(judged.take(one.frame))]


HOT = Rule("hot", "oven", "temp > 80", 3.0, "high", "{asset} is at {temp}, {state}")


def test_an_event_begins_after_its_hold_time_and_ends_with_the_condition() -> None:
    judged, stream = EdgeRules(plant(HOT), "e"), Stream()
    temps = [20.0, 90.0, 90.0, 20.0, 90.0, 91.0, 92.0, 93.0, 94.0, 20.0, 20.0, 20.0, 20.0]
    said = judge(judged, *(stream.frame(T0 + i, (10, t, 0), (11, 20.0, 0)) for i, t in enumerate(temps)))
    began, ended = said
    assert isinstance(began, Began)
    assert (began.rule, began.asset, began.since_ns, began.at_ns) == ("oven.hot", "a0", (T0 + 4) * S, (T0 + 7) * S)
    assert began.message == "a0 is at 93.0 °C, {state}"
    assert began.values == {"temp": 93.0}
    assert ended == Ended("oven.hot", "a0", (T0 + 9) * S)


def test_what_is_unknown_neither_begins_nor_ends_an_event() -> None:
    judged, stream = EdgeRules(plant(Rule("hot", "", "temp > 80")), "e"), Stream()
    bad = 0x80050000
    said = judge(
        judged, *(stream.frame(T0 + i, (10, 90.0, code)) for i, code in enumerate([bad, bad, 0, bad, bad, 0, 0, 0]))
    )
    assert [type(s) for s in said] == [Began]
    assert said[0].at_ns == (T0 + 2) * S


def test_a_window_and_a_state_by_name_and_each_asset_by_itself() -> None:
    rule = Rule(
        "runs hot", "oven", "{mean(temp, 10 s)} > 50 and state == 6", message="{mean(temp, 10 s)} while {state}"
    )
    judged, stream = EdgeRules(plant(rule), "e"), Stream()
    frames = [stream.frame(T0, (10, 0.0, 0), (11, 0.0, 0), (20, 6, 0), (21, 6, 0))]
    frames += [stream.frame(T0 + i, (11, 100.0, 0)) if i == 20 else stream.frame(T0 + i) for i in range(1, 35)]
    (began,) = judge(judged, *frames)
    assert (began.asset, began.at_ns) == ("a1", (T0 + 26) * S)  # six of the last ten seconds at 100
    assert began.message == "60.0 °C while Run"


def test_late_samples_within_the_allowance_count_and_others_are_told() -> None:
    judged, stream = EdgeRules(plant(Rule("hot", "", "temp > 80")), "e"), Stream()
    judge(judged, stream.frame(T0, (10, 20.0, 0)), stream.frame(T0 + 5, (10, 20.0, 0)))
    within, beyond = (T0 + 5 - LATE_S) * S + 1, (T0 + 5 - LATE_S) * S
    judge(judged, stream.frame(T0 + 5, (10, 95.0, 0), at_ns=within), stream.frame(T0 + 5, (10, 99.0, 0), at_ns=beyond))
    ahead = (T0 + 5) * S + AHEAD_NS + 1
    said = judge(judged, stream.frame(T0 + 5, (10, 99.0, 0), at_ns=ahead), stream.frame(T0 + 8))
    assert (judged.counts.late, judged.counts.ahead) == (1, 1)
    assert [type(s) for s in said] == [Began, Ended]
    assert said[0].values == {"temp": 95.0}


@pytest.fixture
def engine(tmp_path):
    engine = open_records(tmp_path / "records.db")
    store.metadata.create_all(engine)
    yield engine
    engine.dispose()


async def run(rules: Rules, frames: list[Arrived], group: int = 7) -> None:
    for i in range(0, len(frames), group):
        await rules.take(frames[i : i + group])


def story(stream: Stream, seconds: int = 400) -> list[Arrived]:
    """Two ovens that are hot now and then, each in its own rhythm; a value is sent when it changes only."""
    frames, before = [], {}
    for i in range(seconds):
        now = {10: 90.0 if i % 50 > 20 else 30.0, 11: 95.0 if i % 70 > 60 else 40.0}
        changed = [(tag, v, 0) for tag, v in now.items() if before.get(tag) != v]
        before = now
        frames.append(stream.frame(T0 + i, *changed))
    return frames


RULES = (HOT, Rule("warm", "oven", "{mean(temp, 10 s)} > 60", 2.0))


async def told(rules: Rules):
    events = await rules.events("", 0, 2**62)
    return sorted((e.rule, e.asset, e.start_ns, e.raised_ns, e.end_ns, e.message) for e in events)


@pytest.mark.real("sqlite")
@pytest.mark.parametrize("killed", [1, 40, 41, 163, 260, 399])
async def test_a_killed_core_doubles_and_loses_no_event(engine, tmp_path, killed: int) -> None:
    """The bus gives again whatever was not acknowledged; the rules come to the same events."""
    frames = story(Stream())
    clock = ManualClock(T0 * S)
    other = open_records(tmp_path / "other.db")
    store.metadata.create_all(other)
    try:
        straight = Rules(other, clock)
        await straight.begin(plant(*RULES), 0)
        await run(straight, frames)
        wanted = await told(straight)
    finally:
        other.dispose()
    assert len(wanted) > 15
    first = Rules(engine, clock)
    await first.begin(plant(*RULES), 0)
    await run(first, frames[:killed])
    acknowledged = first.acknowledged
    clock.advance(killed)
    again = Rules(engine, clock)
    await again.begin(plant(*RULES), 10_000)
    await run(again, frames[acknowledged:], group=11)
    assert await told(again) == wanted
    assert again.acknowledged > 300  # the bus may forget what is older than the windows
    await run(again, frames[acknowledged:])  # whatever comes twice has no effect
    assert await told(again) == wanted


@pytest.mark.real("sqlite")
async def test_a_commit_that_fails_is_as_if_nothing_had_been_taken(engine, monkeypatch) -> None:
    frames = story(Stream(), 120)
    rules = Rules(engine, ManualClock(T0 * S))
    await rules.begin(plant(*RULES), 0)
    await run(rules, frames[:60])
    before = await told(rules)
    with monkeypatch.context() as broken:
        broken.setattr(store, "save_cursor", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await rules.take(frames[60:])
    assert await told(rules) == before
    await run(rules, frames[rules.acknowledged :])
    assert len(await told(rules)) > len(before)


@pytest.mark.real("sqlite")
async def test_an_event_of_a_rule_that_is_gone_is_ended_and_questions_are_bounded(engine) -> None:
    rules = Rules(engine, ManualClock(T0 * S))
    await rules.begin(plant(HOT), 0)
    stream = Stream()
    await run(rules, [stream.frame(T0 + i, (10, 90.0, 0), (11, 90.0, 0)) for i in range(10)])
    assert [e.end_ns for e in await rules.events("a1", 0, 2**62)] == [None]
    assert len(await rules.events("", 0, 2**62, limit=1)) == 1
    assert await rules.events("a", 0, 2**62) == ()
    assert await rules.events("", 0, T0 * S) == ()
    await rules.begin(plant(RULES[1]), 10_000)
    assert [e.end_ns for e in await rules.events("a1", 0, 2**62)] == [(T0 + 9 - LATE_S) * S]
