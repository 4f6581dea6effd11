"""Improvement actions: who does what until when, and what the facts say it brought."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from line import T0, D, S, plant

from isthmus.app.records import open_records
from isthmus.production.model import FactSum, StateClass
from isthmus.production.stops.actions import ActionChange, ActionDesk, ActionDraft
from isthmus.production.stops.effect import rate
from isthmus.production.stops.model import ActionState
from isthmus.production.stops.store import metadata
from isthmus.values.clock import ManualClock
from isthmus.values.errors import ConfigError, Denied

pytestmark = [pytest.mark.mission("M51", "M57"), pytest.mark.real("sqlite")]
H = 3600 * S
DRAFT = ActionDraft("New guide rail", "hall/line1", "reason", "mechanical/jam", "ana", "2024-01-31", 60.0)


class Days:
    """Facts of days by chance: 16 h planned, jams that take less from day 40 on."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.jam = [int(h * 3600) * S for h in rng.gamma(4, 0.3, 80) * np.r_[np.ones(40), np.full(40, 0.4)]]
        self.idle = [int(h * 3600) * S for h in rng.gamma(4, 0.1, 80)]

    async def facts(self, under, start_ns, end_ns, by=()):
        found = []
        for n in range(80):
            begin = T0 + (n - 40) * D
            if not (begin >= start_ns and begin < end_ns):
                continue
            key = {"day": str(n)}
            running = FactSum({}, {StateClass.RUNNING: 16 * H - self.jam[n] - self.idle[n], StateClass.OFF: 8 * H})
            jam = FactSum({}, {StateClass.STOPPED: self.jam[n]})
            idle = FactSum({}, {StateClass.IDLE: self.idle[n]})
            if "reason" in by:
                found += [replace(one, key=key | {"reason": reason}) for one, reason in ((running, ""), (jam, "mechanical/jam"), (idle, "idle"))]  # fmt: skip
            else:
                whole = {c: v for one in (running, jam, idle) for c, v in one.ns.items()}
                found.append(FactSum(key, whole))
        return found


@asynccontextmanager
async def desk_at(tmp_path, days=40, seed=1):
    engine = open_records(tmp_path / f"records-{seed}.db")
    metadata.create_all(engine)
    clock = ManualClock(T0)
    facts = Days(seed)
    try:
        yield ActionDesk(engine, facts, plant, clock), clock, facts
    finally:
        engine.dispose()


async def test_an_action_is_measured_from_the_facts_and_what_it_brought_is_kept(tmp_path):
    async with desk_at(tmp_path) as (desk, clock, facts):
        made = await desk.create(DRAFT, "sam")
        assert (made.id, made.state, made.version) == (1, ActionState.OPEN, 1)
        assert (made.before_start_ns, made.before_end_ns) == (T0 - 28 * D, T0)
        assert (await desk.effect(1)).why == "it is not done yet"
        _, done = await desk.change(1, ActionChange(state="done"), 1, "ana")
        assert done.done_ns == T0
        clock.advance(D / S)
        measured = await desk.effect(1)
        assert measured.why == "since it is done there are less than 3 days with planned time"
        with pytest.raises(ConfigError, match="cannot be verified: since it is done"):
            await desk.change(1, ActionChange(state="verified"), 2, "sam")
        clock.advance(27 * D / S)
        measured = await desk.effect(1)
        share = [sum(facts.jam[part]) / (28 * 16 * H) for part in (slice(12, 40), slice(40, 68))]
        assert (measured.before.share, measured.after.share) == (pytest.approx(share[0]), pytest.approx(share[1]))
        assert measured.effect.saved.mean == pytest.approx((share[0] - share[1]) * 16 * 60 * 7)
        assert measured.effect.saved.proven
        before, after = await desk.change(1, ActionChange(state="verified"), 2, "sam")
        assert before.verified is None
        assert after.verified.saved_min == pytest.approx(measured.effect.saved.mean)
        assert (after.verified.days_before, after.verified.days_after, after.verified.by) == (28, 28, "sam")
        assert (await desk.get(1)) == after
        clock.advance(10 * D / S)
        assert (await desk.effect(1)).effect.saved.mean == pytest.approx(after.verified.saved_min)
        with pytest.raises(Denied, match="stays as it was measured"):
            await desk.change(1, ActionChange(title="more"), 3, "sam")


async def test_where_nothing_changed_nothing_is_proven_more_often_than_it_says(tmp_path):
    proven = 0
    for seed in range(60):
        async with desk_at(tmp_path, seed=seed) as (desk, clock, _facts):
            await desk.create(replace(DRAFT, loss_key="idle"), "sam")
            await desk.change(1, ActionChange(state="done"), 1, "ana")
            clock.advance(28 * D / S)
            proven += (await desk.effect(1)).effect.saved.proven
    assert proven <= 9  # 3 of 60 by chance


async def test_what_makes_no_sense_is_refused(tmp_path):
    async with desk_at(tmp_path) as (desk, clock, _):
        for change, said in (
            ({"title": " "}, "title"), ({"owner": " "}, "owner"), ({"due": "soon"}, "due"), ({"due": "20240131"}, "due"),
            ({"expected_min": -1.0}, "expected_min"), ({"expected_min": float("nan")}, "expected_min"), ({"loss_by": "mood"}, "loss_by"),
            ({"loss_key": " "}, "loss_key"), ({"under": "nowhere"}, "under"), ({"before_end_ns": T0 + 1}, "before_start"),
            ({"before_start_ns": T0}, "before_start"), ({"before_start_ns": T0 - 500 * D}, "before_start"),
        ):  # fmt: skip
            with pytest.raises(ConfigError, match=f"{said}: "):
                await desk.create(replace(DRAFT, **change), "sam")
        assert await desk.listed() == []
        await desk.create(DRAFT, "sam")
        with pytest.raises(Denied, match="sam changed action 1 meanwhile") as held:
            await desk.change(1, ActionChange(title="x"), 7, "ana")
        assert held.value.code == "stale_base"
        with pytest.raises(Denied, match="what may follow") as held:
            await desk.change(1, ActionChange(state="verified"), 1, "sam")
        assert held.value.code == "wrong_state"
        for done_ns in (T0 - 1, T0 + D):
            with pytest.raises(ConfigError, match="done: "):
                await desk.change(1, ActionChange(state="done", done_ns=done_ns), 1, "sam")
        with pytest.raises(ConfigError, match="done: "):
            await desk.change(1, ActionChange(done_ns=T0), 1, "sam")
        with pytest.raises(LookupError):
            await desk.effect(99)
        clock.advance(60)
        await desk.change(1, ActionChange(state="done"), 1, "sam")
        _, back = await desk.change(1, ActionChange(state="doing"), 2, "sam")
        assert back.done_ns is None
        _, dropped = await desk.change(1, ActionChange(state="dropped"), 3, "sam")
        assert (await desk.change(1, ActionChange(state="open"), dropped.version, "sam"))[1].state is ActionState.OPEN


def test_days_without_plan_do_not_count():
    assert rate([0, H], [8 * H, 8 * H]).days == 2
