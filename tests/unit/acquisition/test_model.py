from __future__ import annotations

from random import Random

import pytest

from isthmus.acquisition.model import Backoff, Heartbeats, cut_s, stale_s
from isthmus.acquisition.schedule import Cadence
from isthmus.values.clock import NS_PER_S
from isthmus.values.messages.acquisition import Heartbeat


def beat(edge="edge-1", epoch=1, time_ns=0, **more):
    values = {"model_version": 3, "queued": 0, "dropped": 0, "published": 0, **more}
    return Heartbeat(edge=edge, epoch=epoch, time_ns=time_ns, **values)


def test_an_edge_is_fresh_while_it_beats_and_stale_after_three_misses():
    beats = Heartbeats()
    assert beats.edge("edge-1", 0) is None
    beats.heard(beat(queued=7), 0, 10 * NS_PER_S)
    health = beats.edge("edge-1", 13 * NS_PER_S)
    assert (health.fresh, health.age_s, health.queued, health.model_version) == (True, 3.0, 7, 3)
    assert not beats.edge("edge-1", 13 * NS_PER_S + 1).fresh


def test_each_turn_is_told_once():
    beats = Heartbeats()
    beats.heard(beat(), 0, 0)
    beats.heard(beat("edge-2"), 0, 0)
    assert [(h.edge, h.fresh) for h in beats.turned(1)] == [("edge-1", True), ("edge-2", True)]
    assert beats.turned(2) == ()
    beats.heard(beat(), 0, 4 * NS_PER_S)
    assert [(h.edge, h.fresh) for h in beats.turned(5 * NS_PER_S)] == [("edge-2", False)]
    beats.heard(beat("edge-2"), 0, 6 * NS_PER_S)
    assert [(h.edge, h.fresh) for h in beats.turned(6 * NS_PER_S)] == [("edge-2", True)]
    beats.forget("edge-2")
    assert [h.edge for h in beats.edges(6 * NS_PER_S)] == ["edge-1"]


def test_the_clock_offset_is_that_of_the_heartbeat_that_was_delayed_least():
    beats = Heartbeats()
    for i, delay_ms in enumerate([900, 2, 400]):
        sent = i * NS_PER_S
        beats.heard(beat(time_ns=sent - 3 * NS_PER_S), sent + delay_ms * 1_000_000, sent)
    assert beats.edge("edge-1", 0).offset_s == pytest.approx(-3.002)


def test_late_words_of_a_dead_epoch_are_ignored_and_a_new_one_starts_afresh():
    beats = Heartbeats()
    beats.heard(beat(epoch=5, time_ns=99 * NS_PER_S), 0, 0)
    beats.heard(beat(epoch=6, time_ns=1 * NS_PER_S), 0, 1)
    beats.heard(beat(epoch=5, time_ns=99 * NS_PER_S), 0, 2)
    health = beats.edge("edge-1", 2)
    assert (health.epoch, health.offset_s) == (6, 1.0)


def test_back_off_doubles_to_its_limit_and_begins_anew_only_after_a_link_that_held():
    backoff = Backoff(Random(3))
    waits = [backoff.wait_s() for _ in range(10)]
    for wait, full in zip(waits, [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30], strict=True):
        assert full / 2 <= wait <= full
    backoff.held(29.0)
    assert backoff.wait_s() > 10
    backoff.held(31.0)
    assert backoff.wait_s() <= 0.5


def test_staleness_is_three_periods_and_knows_slow_devices():
    assert stale_s(1.0, 0.1) == 3.0
    assert stale_s(1.0, 2.0) == 6.0
    assert stale_s(1.0, 50.0) == 10.0
    assert stale_s(100.0, 1.0) == 300.0
    assert stale_s(0.01, 0.0) == 0.5
    assert (cut_s(0.1), cut_s(5.0), cut_s(3600.0)) == (10.0, 15.0, 60.0)


def test_a_cadence_keeps_its_grid_skips_what_it_overran_and_survives_early_timers():
    cadence = Cadence(1.0, 0.25)
    cadence.start(10 * NS_PER_S)
    assert cadence.due_ns == 10 * NS_PER_S
    assert cadence.done(10 * NS_PER_S + 1) == 0
    assert cadence.due_ns == int(10.25 * NS_PER_S)
    assert cadence.done(int(10.9 * NS_PER_S)) == 0
    assert cadence.due_ns == int(11.25 * NS_PER_S)
    assert cadence.late_ns(int(12.75 * NS_PER_S)) == NS_PER_S // 2
    assert cadence.done(int(14.0 * NS_PER_S)) == 2
    assert cadence.due_ns == int(14.25 * NS_PER_S)
    assert cadence.done(cadence.due_ns - 100) == 0
    assert cadence.due_ns == int(15.25 * NS_PER_S)
