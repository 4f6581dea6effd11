from __future__ import annotations

import asyncio

import numpy as np
import pytest

from isthmus.values.errors import ConfigError, Denied, Malformed, NotConnected, Rejected, TryLater
from isthmus.values.frame import Lane
from isthmus.values.status import (
    BAD_COMMUNICATION_ERROR,
    BAD_CONFIGURATION_ERROR,
    BAD_DECODING_ERROR,
    BAD_INTERNAL_ERROR,
    BAD_NO_COMMUNICATION,
    BAD_NO_DATA,
    BAD_NOT_CONNECTED,
    BAD_NOT_READABLE,
    BAD_OUT_OF_RANGE,
    BAD_TIMEOUT,
    BAD_WAITING_FOR_INITIAL_DATA,
    GOOD,
)

STATE, REASON = 100_010, 100_011


def never():
    return asyncio.Event().wait()


def refuse():
    raise NotConnected("connection refused by 10.0.0.1:502")


@pytest.mark.mission("M35")
def test_a_value_on_the_device_becomes_a_good_sample_of_its_tag(rig, model):
    rig.device("plc1").value = 42.5

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(0.5)

    rig.play(story)
    for tag in (101, 102):
        assert rig.outbox.statuses(tag) == [BAD_WAITING_FOR_INITIAL_DATA, GOOD]
        assert rig.outbox.values(tag)[-1] == 42.5
    words = [(tag, value) for tag, _, value, _ in rig.outbox.rows(STATE, REASON, lane=Lane.EVENT)]
    assert [v for t, v in words if t == STATE] == ["Connecting", "Good", "Stopped"]
    assert rig.lines[0] == "plc1: connected, 2 tags"


def test_polls_keep_a_fixed_cadence_whatever_a_read_takes(rig, model):
    device = rig.device("plc1")
    device.takes_s = 0.3

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(1000.5)

    rig.play(story)
    on_grid = [t for t, _ in device.reads[1:]]
    assert len(on_grid) in (1000, 1001)
    assert np.ptp(np.array(on_grid) % 1.0) < 1e-3, "the grid drifts"


def test_overrun_polls_are_skipped_never_queued_and_told_as_slow_with_their_lag(rig, model):
    device = rig.device("plc1")

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(5)
        device.takes_s = 1.3
        await asyncio.sleep(20)
        status = acquisition.status()[0]
        assert status.state == "Slow"
        assert "polls overrun" in status.reason
        assert status.skipped >= 8
        assert 0.25 < max(v for v in rig.outbox.values(100_016)) < 0.35
        assert BAD_TIMEOUT not in rig.outbox.statuses(101), "slow is not dead"
        device.takes_s = 0
        await asyncio.sleep(10)
        assert acquisition.status()[0].state == "Good"

    rig.play(story)
    assert len(device.reads) < 5 + 12 + 12
    assert [line for line in rig.lines if "overrun" in line or "keeps" in line][1:] == ["plc1: keeps its periods again"]


@pytest.mark.mission("M35")
@pytest.mark.parametrize("period_s", [0.2, 1.0, 5.0])
def test_a_silent_device_turns_its_tags_bad_within_three_periods(rig, model, period_s):
    device = rig.device("plc1")

    async def story(acquisition):
        await acquisition.apply(model("plc1", period_s=period_s))
        await asyncio.sleep(10)
        last = device.reads[-1][0]
        device.answer = lambda _: never()
        rig.outbox.clear()
        await asyncio.sleep(last + 3 * period_s + 0.001 - rig.seconds())
        assert rig.outbox.statuses(101) == [BAD_TIMEOUT]
        assert acquisition.status()[0].state == "Bad"
        assert "no answer" in acquisition.status()[0].reason
        await asyncio.sleep(200)
        assert rig.outbox.statuses(101) == [BAD_TIMEOUT], "nothing is repeated while it is away"
        assert device.opened > 3, "a hung read was cut and the link opened anew"
        device.answer = None
        await asyncio.sleep(60)
        assert rig.outbox.statuses(101) == [BAD_TIMEOUT, GOOD]

    rig.play(story)
    assert sum("no answer" in line for line in rig.lines) == 1
    assert sum("back after" in line for line in rig.lines) == 1


def test_a_link_that_breaks_and_heals_gives_two_lines_one_bad_and_one_good_sample(rig, model):
    device = rig.device("plc1")

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(58)
        rig.lines.clear()
        rig.outbox.clear()
        device.answer, device.opening = lambda _: refuse(), refuse
        await asyncio.sleep(300)
        tried = device.opened
        assert 10 < tried < 40, "back-off grows to 30 s"
        device.answer = device.opening = None
        await asyncio.sleep(31)

    rig.play(story)
    for tag in (101, 102):
        assert rig.outbox.statuses(tag) == [BAD_NO_COMMUNICATION, GOOD], "the same value is sent again after healing"
    assert rig.lines[0] == "plc1: connection refused by 10.0.0.1:502"
    assert rig.lines[1].startswith("plc1: back after 3")
    assert "attempts" in rig.lines[1]
    assert len(rig.lines) == 3, "the third is the stop"
    states = [value for _, _, value, _ in rig.outbox.rows(STATE, lane=Lane.EVENT)]
    assert [s for i, s in enumerate(states) if i == 0 or states[i - 1] != s] == ["Bad", "Good", "Stopped"]


def test_while_away_the_bad_sample_is_repeated_after_the_max_gap_only(rig, model):
    device = rig.device("plc1")
    device.opening = refuse

    async def story(acquisition):
        await acquisition.apply(model("plc1", max_gap_s=100.0))
        await asyncio.sleep(350)

    rig.play(story)
    assert rig.outbox.statuses(101) == [BAD_WAITING_FOR_INITIAL_DATA] + 4 * [BAD_NOT_CONNECTED]


def test_a_device_that_was_never_there_is_not_connected_and_is_tried_for_ever(rig, model):
    device = rig.device("plc1")
    device.opening = refuse

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(3600)
        status = acquisition.status()[0]
        assert (status.state, status.reason) == ("Bad", "connection refused by 10.0.0.1:502")
        assert status.last_good_ns == 0

    rig.play(story)
    assert 100 < device.opened < 300
    assert device.opened == device.closed


def test_an_open_that_hangs_is_cut(rig, model):
    device = rig.device("plc1")
    device.opening = never

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(100)
        assert rig.outbox.statuses(101) == [BAD_WAITING_FOR_INITIAL_DATA, BAD_TIMEOUT]

    rig.play(story)
    assert device.opened > 2


def test_a_time_out_of_the_driver_is_told_as_one(rig, model):
    device = rig.device("plc1")

    def late(points):
        raise NotConnected("no answer within 1 s") from TimeoutError()

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(2)
        device.answer = late
        await asyncio.sleep(5)

    rig.play(story)
    assert BAD_TIMEOUT in rig.outbox.statuses(101)


@pytest.mark.parametrize("error", [ValueError("index"), KeyError("x"), ZeroDivisionError(), AssertionError()])
def test_a_bug_in_a_driver_keeps_its_traceback_once_and_costs_only_its_own_connection(rig, model, error):
    def broken(points):
        raise error

    rig.device("plc1").answer = broken

    async def story(acquisition):
        await acquisition.apply(model("plc1", "plc2"))
        await asyncio.sleep(300)
        assert acquisition.status()[0].state == "Bad"
        assert type(error).__name__ in acquisition.status()[0].reason
        assert acquisition.status()[1].state == "Good"

    rig.play(story)
    assert rig.traces == 1
    assert rig.outbox.statuses(101) == [BAD_WAITING_FOR_INITIAL_DATA, BAD_INTERNAL_ERROR]
    assert rig.outbox.statuses(201) == [BAD_WAITING_FOR_INITIAL_DATA, GOOD]
    assert len(rig.device("plc2").reads) >= 299


def test_a_driver_that_swallows_its_cancellation_never_gets_a_second_request(rig, model):
    device = rig.device("plc1")
    free = []

    async def deaf(points=None):
        free.append(asyncio.Event())
        while not free[0].is_set():
            try:
                await free[0].wait()
            except asyncio.CancelledError:
                continue
        return []

    async def story(acquisition):
        await acquisition.apply(model("plc1", "plc2"))
        await asyncio.sleep(2)
        device.answer = lambda _: deaf()
        await asyncio.sleep(200)
        assert len(free) == 1
        assert device.opened == 1, "not even a new connection, while the old request may still be out"
        assert acquisition.status()[0].state == "Bad"
        device.answer = None
        free[0].set()
        await asyncio.sleep(31)
        assert acquisition.status()[0].state == "Good"

    rig.play(story)
    assert len(rig.device("plc2").reads) > 230


def test_a_device_that_hangs_does_not_delay_another(rig, model):
    device = rig.device("plc1")
    device.answer = lambda _: never()

    async def story(acquisition):
        await acquisition.apply(model("plc1", "plc2"))
        await asyncio.sleep(100.2)

    rig.play(story)
    grid = np.array([t for t, _ in rig.device("plc2").reads[1:]])
    assert len(grid) in (100, 101)
    assert np.ptp(np.diff(grid)) < 1e-3


def test_rows_a_device_left_out_are_bad_and_rows_nobody_asked_for_are_counted(rig, model):
    device = rig.device("plc1")

    def lies(points):
        batch = device.batch(points[:1])
        batch.id.setflags(write=True)
        more = device.batch(points)
        more.id[:] = [-1, 70_000]
        return [batch, more]

    device.answer = lies

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(5)
        assert acquisition.status()[0].unknown >= 10

    rig.play(story)
    assert rig.outbox.statuses(101)[-1] == GOOD
    assert rig.outbox.statuses(102) == [BAD_WAITING_FOR_INITIAL_DATA, BAD_NO_DATA]


def test_garbage_values_are_bad(rig, model):
    rig.device("plc1").value = float("nan")

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(3)

    rig.play(story)
    assert rig.outbox.statuses(101) == [BAD_WAITING_FOR_INITIAL_DATA, BAD_OUT_OF_RANGE]


@pytest.mark.parametrize("garbage", [None, [None], [object()], 7])
def test_an_answer_that_is_no_batch_is_a_bug_of_the_driver(rig, model, garbage):
    rig.device("plc1").answer = lambda _: garbage

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(20)

    rig.play(story)
    assert rig.outbox.statuses(101) == [BAD_WAITING_FOR_INITIAL_DATA, BAD_INTERNAL_ERROR]
    assert rig.traces == 1


def test_a_device_that_refuses_everything_is_bad_with_the_devices_own_reason(rig, model):
    device = rig.device("plc1")

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(2)
        device.answer = lambda points: [device.batch(points, status=BAD_NOT_READABLE)]
        await asyncio.sleep(5)
        assert acquisition.status()[0].state == "Bad"
        assert "refuses every value" in acquisition.status()[0].reason
        assert device.opened == 1, "it answers, so there is nothing to reconnect"
        device.answer = None
        await asyncio.sleep(2)
        assert acquisition.status()[0].state == "Good"

    rig.play(story)


def test_a_group_that_is_rejected_is_bad_and_the_others_go_on(rig, model):
    device = rig.device("plc1")

    def answer(points):
        if points[0].address == "slow":
            raise Rejected("area 7 does not exist")
        return [device.batch(points)]

    device.answer = answer
    extra = [{"id": 9, "connection": "plc1", "address": "slow", "period_s": 5.0}]

    async def story(acquisition):
        await acquisition.apply(model("plc1", extra=extra))
        await asyncio.sleep(20)
        status = acquisition.status()[0]
        assert (status.state, status.reason) == ("Good", "area 7 does not exist")

    rig.play(story)
    assert rig.outbox.statuses(9) == [BAD_WAITING_FOR_INITIAL_DATA, BAD_NOT_READABLE]
    assert rig.outbox.statuses(101)[-1] == GOOD


def test_a_busy_device_is_left_alone_for_as_long_as_it_asks(rig, model):
    device = rig.device("plc1")

    def busy(points):
        raise TryLater("busy", after_s=2.0)

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(10)
        before = len(device.reads)
        device.answer = busy
        await asyncio.sleep(1.5)
        assert acquisition.status()[0].state == "Good", "a moment of it is not an outage"
        await asyncio.sleep(18)
        assert len(device.reads) - before <= 11
        assert acquisition.status()[0].state == "Bad"
        assert device.opened == 1
        device.answer = None
        await asyncio.sleep(4)
        assert acquisition.status()[0].state == "Good"

    rig.play(story)


def test_a_wrong_config_stops_the_connection_with_the_reason_and_no_other(rig, model):
    from isthmus.values.model import ConnectionModel

    wrong = ConnectionModel("plc1", "fake", {"host": "plc1", "bad": True})
    unknown = ConnectionModel("plc2", "telepathy", {})

    async def story(acquisition):
        await acquisition.apply(model(wrong, unknown, "plc3"))
        await asyncio.sleep(50)
        one, two, three = acquisition.status()
        assert (one.state, one.reason) == ("Bad", "bad: must not be true, was True")
        assert "telepathy" in two.reason
        assert three.state == "Good"

    rig.play(story)
    assert rig.outbox.statuses(101) == [BAD_WAITING_FOR_INITIAL_DATA, BAD_CONFIGURATION_ERROR]
    assert rig.device("plc1").built == 0


def test_groups_of_one_connection_never_read_at_once_and_keep_their_own_periods(rig, model):
    device = rig.device("plc1")
    device.takes_s = 0.05
    extra = [
        {"id": 9, "connection": "plc1", "address": "b", "period_s": 0.5},
        {"id": 10, "connection": "plc1", "address": "c", "period_s": 10.0},
        {"id": 11, "connection": "plc1", "address": "d", "period_s": 10.0},
        {"id": 12, "connection": "plc1", "address": "e", "period_s": 10.0},
    ]

    async def story(acquisition):
        await acquisition.apply(model("plc1", extra=extra))
        await asyncio.sleep(100)

    rig.play(story)
    sizes = [n for _, n in device.reads]
    assert abs(sizes.count(1) - 201) <= 2
    assert abs(sizes.count(2) - 101) <= 2
    assert abs(sizes.count(3) - 11) <= 1


def test_a_link_that_breaks_right_after_each_opening_is_not_hammered(rig, model):
    device = rig.device("plc1")
    extra = [{"id": 9, "connection": "plc1", "address": "b", "period_s": 0.7}]

    def answer(points):
        if points[0].address == "b" or device.in_flight > 1:
            return [device.batch(points)]
        raise NotConnected("reset by peer")

    device.answer = answer

    async def story(acquisition):
        await acquisition.apply(model("plc1", extra=extra))
        await asyncio.sleep(600)

    rig.play(story)
    assert device.opened < 50
    assert sum("reset by peer" in line for line in rig.lines) == 1


@pytest.mark.mission("M37")
def test_the_budget_of_the_model_reaches_the_driver_and_a_device_gets_one_connection(rig, model):
    from isthmus.values.model import Budget, ConnectionModel

    budget = Budget(outstanding=1, requests_per_s=5.0, pause_s=0.05)
    connection = ConnectionModel("plc1", "fake", {"host": "plc1"}, budget=budget)
    device = rig.device("plc1")

    async def story(acquisition):
        await acquisition.apply(model(connection))
        await asyncio.sleep(30)
        assert device.opened - device.closed == 1

    rig.play(story)
    assert device.budgets == [budget]
    assert device.opened == device.closed == 1


def test_a_connection_without_tags_connects_and_is_good(rig, model):
    async def story(acquisition):
        await acquisition.apply(model("plc1", tags=0))
        await asyncio.sleep(5)
        assert acquisition.status()[0].state == "Good"

    rig.play(story)


def test_a_close_that_hangs_ends_in_time(rig, model):
    rig.device("plc1").closing = never

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(5)
        before = rig.seconds()
        await acquisition.stop()
        assert rig.seconds() - before < 5

    rig.play(story)


def test_a_clock_set_back_holds_times_marks_them_uncertain_and_says_so_once(rig, model):
    from isthmus.values.clock import NS_PER_S
    from isthmus.values.status import UNCERTAIN

    device = rig.device("plc1")

    async def story(acquisition):
        await acquisition.apply(model("plc1", deadband=-1.0))
        await asyncio.sleep(10)
        rig.clock.set_wall(rig.clock.now_ns() - 60 * NS_PER_S)
        await asyncio.sleep(5)
        assert rig.outbox.statuses(101)[-1] == UNCERTAIN
        assert acquisition.status()[0].reason.startswith("times went back")
        assert acquisition.status()[0].state == "Good"
        await asyncio.sleep(120)
        assert rig.outbox.statuses(101)[-1] == GOOD
        assert acquisition.status()[0].reason == ""
        rig.clock.set_wall(rig.clock.now_ns() + 3600 * NS_PER_S)
        await asyncio.sleep(5)
        assert rig.outbox.statuses(101)[-1] == GOOD, "a jump ahead needs no holding"

    rig.play(story)
    times = [t for _, t, _, _ in rig.outbox.rows(101)]
    assert times == sorted(times)
    said = [line for line in rig.lines if "times are held" in line or "times have caught up" in line]
    assert len(said) == 2
    assert len(device.reads) >= 139, "polling itself does not care"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Malformed("answer is cut short"), BAD_DECODING_ERROR),
        (Denied("not this one"), BAD_COMMUNICATION_ERROR),
        (NotConnected("reset by peer"), BAD_NO_COMMUNICATION),
    ],
)
def test_each_kind_of_failure_has_its_status_and_needs_no_traceback(rig, model, error, status):
    def fail(_):
        raise error

    rig.device("plc1").answer = fail

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(5)
        assert acquisition.status()[0].reason == str(error)

    rig.play(story)
    assert rig.outbox.statuses(101) == [BAD_WAITING_FOR_INITIAL_DATA, status]
    assert rig.traces == 0


def test_a_device_that_is_busy_at_opening_chooses_when_to_be_tried_again(rig, model):
    device = rig.device("plc1")

    def busy():
        raise TryLater("all sessions are taken", after_s=20.0)

    device.opening = busy

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(50)
        assert device.opened == 3
        assert acquisition.status()[0].reason == "all sessions are taken"

    rig.play(story)


def test_a_config_that_turns_out_wrong_at_opening_is_not_tried_again(rig, model):
    device = rig.device("plc1")

    def wrong():
        raise ConfigError("unit: the device has none of this number, was 7")

    device.opening = wrong

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(100)
        assert device.opened == device.closed == 1

    rig.play(story)
    assert rig.outbox.statuses(101)[-1] == BAD_CONFIGURATION_ERROR


@pytest.mark.parametrize("kind", ["mute", "unbuildable"])
def test_a_driver_that_can_do_nothing_or_cannot_be_built_stops_only_its_connection(rig, model, kind):
    from isthmus.values.model import ConnectionModel

    async def story(acquisition):
        await acquisition.apply(model(ConnectionModel("plc1", kind, {}), "plc2"))
        await asyncio.sleep(20)
        one, two = acquisition.status()
        assert one.state == "Bad"
        assert two.state == "Good"

    rig.play(story)
    assert rig.outbox.statuses(101)[-1] in (BAD_CONFIGURATION_ERROR, BAD_INTERNAL_ERROR)
    assert rig.traces == (kind == "unbuildable")


def test_a_close_that_fails_is_told_and_hinders_nothing(rig, model):
    device = rig.device("plc1")
    device.closing = lambda: 1 / 0

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(2)
        device.answer = lambda _: refuse()
        await asyncio.sleep(2)
        device.answer = None
        await asyncio.sleep(31)
        assert acquisition.status()[0].state == "Good"

    rig.play(story)
    assert rig.traces >= 1
