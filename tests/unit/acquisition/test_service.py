from __future__ import annotations

import asyncio
import dataclasses
import itertools

import pytest

from isthmus.acquisition.diagnostics import described
from isthmus.values.errors import ConfigError, Denied, NotConnected, TryLater
from isthmus.values.frame import Frame, Lane, decode, encode
from isthmus.values.model import ConnectionModel, EdgeModel
from isthmus.values.sample import SampleBatch
from isthmus.values.status import (
    BAD_NO_COMMUNICATION,
    BAD_NO_DATA,
    BAD_NODE_ID_UNKNOWN,
    BAD_OUT_OF_SERVICE,
    BAD_WAITING_FOR_INITIAL_DATA,
    GOOD,
)


@pytest.mark.mission("M63")
def test_a_new_model_leaves_unchanged_connections_undisturbed(rig, model):
    one, two, three = (rig.device(n) for n in ("plc1", "plc2", "plc3"))

    async def story(acquisition):
        await acquisition.apply(model("plc1", "plc2"))
        await asyncio.sleep(10)
        rig.outbox.clear()
        again = model("plc1", "plc2", "plc3", version=2)
        again.tags.address[2] = "somewhere else"  # of plc2
        await acquisition.apply(again)
        await asyncio.sleep(10)
        assert acquisition.version == 2

    rig.play(story)
    assert (one.opened, one.closed, one.built) == (1, 1, 1)
    assert (two.opened, two.closed, two.built) == (2, 2, 2)
    assert three.opened == 1
    grid = [t for t, _ in one.reads[1:]]
    assert len(grid) in (19, 20, 21)
    assert {round(b - a, 3) for a, b in itertools.pairwise(grid)} == {1.0}
    assert rig.outbox.statuses(101) == [], "not even a sample is repeated"
    assert rig.outbox.values(100_010) == ["Stopped"], "nor a word about it"
    assert BAD_WAITING_FOR_INITIAL_DATA not in rig.outbox.statuses(201), "a quick reconnect is no reason to doubt a tag"


def test_a_new_scale_or_deadband_binds_differently_without_a_reconnect(rig, model):
    device = rig.device("plc1")
    device.value = 3.0

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(5)
        await acquisition.apply(model("plc1", factor=10.0, version=2))
        await asyncio.sleep(5)

    rig.play(story)
    assert rig.outbox.values(101) == [0.0, 3.0, 30.0]
    assert (device.opened, device.built) == (1, 1)


def test_tags_and_connections_that_leave_the_model_get_a_last_word(rig, model):
    async def story(acquisition):
        await acquisition.apply(model("plc1", "plc2"))
        await asyncio.sleep(5)
        await acquisition.apply(model("plc1", tags=1, version=2))
        await asyncio.sleep(5)
        assert [s.name for s in acquisition.status()] == ["plc1"]

    rig.play(story)
    assert rig.outbox.statuses(101)[-1] == GOOD
    for tag in (102, 201, 202):
        assert rig.outbox.statuses(tag)[-1] == BAD_OUT_OF_SERVICE
    assert rig.device("plc2").opened == rig.device("plc2").closed == 1
    assert rig.outbox.values(100_020)[-1] == "Stopped"
    assert "plc2: stopped: no longer part of the plant" in rig.lines


@pytest.mark.mission("M63")
def test_a_model_that_contradicts_itself_changes_nothing(rig, model):
    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(2)
        wrong = model("plc1", version=2, extra=[{"id": 5, "connection": "nobody"}])
        with pytest.raises(ConfigError, match="nobody"):
            await acquisition.apply(wrong)
        with pytest.raises(ConfigError, match="period_s"):
            await acquisition.apply(model("plc1", version=3, period_s=0.0))
        with pytest.raises(ConfigError, match="twice"):
            await acquisition.apply(model("plc1", version=4, extra=[{"id": 101}]))
        await asyncio.sleep(5)
        assert acquisition.version == 1
        assert acquisition.status()[0].state == "Good"

    rig.play(story)
    assert rig.device("plc1").opened == 1


def test_many_applies_at_once_end_with_the_last(rig, model):
    async def story(acquisition):
        models = [model(f"plc{i}", version=i) for i in range(1, 8)]
        await asyncio.gather(*(acquisition.apply(m) for m in models))
        await asyncio.sleep(3)
        assert [s.name for s in acquisition.status()] == ["plc7"]

    rig.play(story)
    assert all(d.opened == d.closed for d in rig.devices.values())


def test_polls_of_many_connections_are_spread_over_the_period(rig, model):
    names = [f"plc{i}" for i in range(50)]

    async def story(acquisition):
        await acquisition.apply(model(*names))
        await asyncio.sleep(5)

    rig.play(story)
    phases = sorted(rig.device(n).reads[-1][0] % 1 for n in names)
    assert max(b - a for a, b in itertools.pairwise(phases)) < 0.2


def test_system_tags_tell_how_a_connection_is(rig, model):
    device = rig.device("plc1")

    async def story(acquisition):
        await acquisition.apply(model("plc1", tags=10))
        await asyncio.sleep(30)
        device.answer = lambda _: (_ for _ in ()).throw(NotConnected("gone"))
        await asyncio.sleep(30)

    rig.play(story)
    of = {
        name: rig.outbox.values(100_010 + i)
        for i, name in enumerate(["state", "reason", "latency", "requests", "values", "errors", "lag"])
    }
    assert of["state"] == ["Connecting", "Good", "Bad", "Stopped"]
    assert of["reason"] == ["", "gone", "the edge stops"]
    assert 2.0 in of["latency"]
    assert 1.0 in of["requests"]
    assert 10.0 in of["values"]
    assert of["errors"] == [0]
    assert len(of["requests"]) < 20, "an unchanged figure is not said again"
    lanes = {lane for lane, batches in rig.outbox.offers for b in batches if 100_010 in b.id or 100_011 in b.id}
    assert lanes == {Lane.EVENT}


def test_unchanged_system_tags_are_said_again_each_minute(rig, model):
    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(300)

    rig.play(story)
    for tag in (100_010, 100_013, 100_015):
        assert 5 <= len(rig.outbox.values(tag)) <= 9


@pytest.mark.mission("M46")
def test_whoever_looks_and_however_often_the_field_traffic_is_the_same(rig, model):
    async def watched(acquisition):
        await acquisition.apply(model("plc1"))
        for _ in range(600):
            for _ in range(100):
                acquisition.status()
            await asyncio.sleep(0.1)

    rig.play(watched)
    busy = list(rig.device("plc1").reads)
    rig.devices.clear()
    rig.clock.__init__()

    async def alone(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(60)

    rig.play(alone)
    lonely = rig.device("plc1").reads
    assert abs(len(busy) - len(lonely)) <= 1
    assert busy[:50] == lonely[:50]


def test_what_is_offered_fits_into_a_frame(rig, model):
    async def story(acquisition):
        await acquisition.apply(model("plc1", tags=3))
        await asyncio.sleep(3)

    rig.play(story)
    for lane, batches in rig.outbox.offers:
        frame = Frame(lane, 1, 1, 0, 1, tuple(batches))
        assert decode(encode(frame)).rows == frame.rows


def test_described_names_the_state_and_reason_of_each_connection(model):
    names = described(model("plc1", "plc2").connections)
    assert names[100_010] == ("plc1", "state")
    assert names[100_021] == ("plc2", "reason")
    assert len(names) == 4


# ------------------------------------------------------------------ streams


def stream_model(model, *extra):
    connection = ConnectionModel("ua1", "stream", {"host": "ua1"}, system={"state": 900, "reason": 901})
    return model(connection, **dict(extra))


def test_a_stream_is_bound_like_a_poll_and_comes_back_after_it_broke(rig, model):
    device = rig.device("ua1")

    async def story(acquisition):
        await acquisition.apply(stream_model(model))
        await asyncio.sleep(1)
        device.queue.put_nowait(device.batch(device.points, 5.0))
        await asyncio.sleep(1)
        assert acquisition.status()[0].state == "Good"
        device.queue.put_nowait(device.batch(device.points[:1], 6.0))
        await asyncio.sleep(3600)
        assert acquisition.status()[0].state == "Good", "silence of a subscription means no change"
        device.queue.put_nowait(NotConnected("session closed"))
        await asyncio.sleep(0.1)
        assert acquisition.status()[0].state == "Bad"
        assert rig.outbox.statuses(101)[-1] == rig.outbox.statuses(102)[-1] == BAD_NO_COMMUNICATION
        await asyncio.sleep(2)
        device.queue.put_nowait(device.batch(device.points, 6.0))
        await asyncio.sleep(1)
        device.queue.put_nowait(None)
        await asyncio.sleep(0.1)
        assert acquisition.status()[0].reason == "the device ended the subscription"
        await asyncio.sleep(10)

    rig.play(story)
    assert device.opened == device.closed == device.ended == 3
    assert rig.outbox.values(101)[:2] == [0.0, 5.0]
    assert rig.outbox.statuses(101)[:5] == [BAD_WAITING_FOR_INITIAL_DATA, GOOD, GOOD, BAD_NO_COMMUNICATION, GOOD]
    assert rig.outbox.values(100) == []


def test_a_stream_with_several_samples_of_one_tag_in_a_batch_loses_none(rig, model):
    device = rig.device("ua1")

    async def story(acquisition):
        await acquisition.apply(stream_model(model))
        await asyncio.sleep(1)
        first, second = device.points
        for value in range(3):
            batch = device.batch([first, second, first, first], 0.0)
            batch.value[:] = [value, 7, value + 0.25, value + 0.5]
            batch.time_ns[:] += [0, 0, 1_000_000, 2_000_000]
            device.queue.put_nowait(batch)
            await asyncio.sleep(1)

    rig.play(story)
    assert rig.outbox.values(101)[1:10] == [0, 0.25, 0.5, 1, 1.25, 1.5, 2, 2.25, 2.5]
    assert rig.outbox.values(102)[1:] == [7]


def test_a_streamed_tag_at_another_address_does_not_keep_its_old_value(rig, model):
    device = rig.device("ua1")

    async def story(acquisition):
        await acquisition.apply(stream_model(model))
        await asyncio.sleep(1)
        device.queue.put_nowait(device.batch(device.points, 5.0))
        await asyncio.sleep(1)
        moved = stream_model(model, ("version", 2))
        moved.tags.address[0] = "elsewhere"
        await acquisition.apply(moved)
        await asyncio.sleep(10)

    rig.play(story)
    assert rig.outbox.statuses(101)[:3] == [BAD_WAITING_FOR_INITIAL_DATA, GOOD, BAD_WAITING_FOR_INITIAL_DATA]
    assert rig.outbox.statuses(102)[:2] == [BAD_WAITING_FOR_INITIAL_DATA, GOOD]
    assert len(rig.outbox.statuses(102)) == 2


def test_a_stream_whose_every_value_is_bad_is_not_called_good(rig, model):
    device = rig.device("ua1")

    async def story(acquisition):
        await acquisition.apply(stream_model(model))
        await asyncio.sleep(1)
        device.queue.put_nowait(device.batch(device.points, 5.0))
        await asyncio.sleep(1)
        device.queue.put_nowait(device.batch(device.points[:1], 5.0, BAD_NO_COMMUNICATION))
        await asyncio.sleep(1)
        assert acquisition.status()[0].state == "Good"
        device.queue.put_nowait(device.batch(device.points[1:], 5.0, BAD_NO_COMMUNICATION))
        await asyncio.sleep(1)
        assert (acquisition.status()[0].state, acquisition.status()[0].reason) == ("Bad", "every value is bad")
        device.queue.put_nowait(device.batch(device.points[1:], 6.0))
        await asyncio.sleep(1)
        assert acquisition.status()[0].state == "Good"

    rig.play(story)


def test_a_subscription_that_brings_nothing_counts_as_up_after_a_while(rig, model):
    async def story(acquisition):
        await acquisition.apply(stream_model(model))
        await asyncio.sleep(1)
        assert acquisition.status()[0].state == "Connecting"
        await asyncio.sleep(6)
        assert acquisition.status()[0].state == "Good"

    rig.play(story)
    assert rig.outbox.statuses(101) == [BAD_WAITING_FOR_INITIAL_DATA]


# -------------------------------------------------------------------- probe


@pytest.mark.mission("M21")
def test_a_probe_reads_once_with_a_driver_of_its_own_and_closes(rig, model):
    device = rig.device("new")
    device.answer = lambda points: [
        device.batch(points[:1], 5),
        device.batch(points[1:2], 1.5),
        device.batch(points[2:3], 0.0, BAD_NODE_ID_UNKNOWN),
    ]

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(2)
        report = await acquisition.probe("fake", {"host": "new"}, ["a", "b", "c", "d"])
        assert report.ok
        assert [s.what for s in report.steps] == ["Connected", "Values read"]
        assert report.steps[1].detail.startswith("2 of 4 values")
        assert [(r.address, r.value, r.status) for r in report.readings] == [
            ("a", 5, "Good"),
            ("b", 1.5, "Good"),
            ("c", None, "BadNodeIdUnknown"),
            ("d", None, "BadNoData"),
        ]

    rig.play(story)
    assert (device.opened, device.closed, len(device.reads)) == (1, 1, 1)
    assert rig.device("plc1").opened == 1
    assert [row for row in rig.outbox.rows() if row[0] < 100] == [], "a probe says nothing to the bus"


def test_a_probe_tells_how_far_it_got(rig, model):
    def refuse():
        raise NotConnected("connection refused by new:502")

    async def story(acquisition):
        rig.device("new").opening = refuse
        report = await acquisition.probe("fake", {"host": "new"}, ["a"])
        assert not report.ok
        assert (report.steps[-1].what, report.steps[-1].detail) == ("Connected", "connection refused by new:502")
        rig.device("mute").answer = lambda _: asyncio.Event().wait()
        report = await acquisition.probe("fake", {"host": "mute"}, ["a"])
        assert "nothing within" in report.steps[-1].detail
        rig.device("odd").answer = lambda _: 1 / 0
        report = await acquisition.probe("fake", {"host": "odd"}, ["a"])
        assert "ZeroDivisionError" in report.steps[-1].detail
        for wrong in ({"host": "x", "bad": True}, {"hots": "x"}):
            with pytest.raises(ConfigError):
                await acquisition.probe("fake", wrong, ["a"])

    rig.play(story)
    assert all(d.opened == d.closed for d in rig.devices.values())


@pytest.mark.mission("M21")
def test_one_address_nobody_understands_spoils_no_other(rig, model):
    device = rig.device("new")

    async def story(acquisition):
        report = await acquisition.probe("fake", {"host": "new"}, ["a", "!b", "c"])
        assert [(r.address, r.status) for r in report.readings] == [
            ("a", "Good"),
            ("!b", "BadConfigurationError"),
            ("c", "Good"),
        ]
        assert report.readings[1].problem == "must not begin with !, was '!b'"
        assert report.steps[-1].detail.startswith("2 of 3 values")
        report = await acquisition.probe("fake", {"host": "new"}, ["!b"])
        assert not report.ok

    rig.play(story)
    assert [points for _, points in device.reads] == [2]


@pytest.mark.mission("M37")
def test_a_probe_never_takes_the_place_of_a_running_connection(rig, model):
    device = rig.device("plc1")

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(2)
        with pytest.raises(Denied, match="plc1") as refused:
            await acquisition.probe("fake", {"host": "plc1"}, ["a"])
        assert refused.value.code == "device_in_use"
        assert device.opened == 1
        rig.device("mute").opening = lambda: asyncio.Event().wait()
        waiting = asyncio.create_task(acquisition.probe("fake", {"host": "mute"}, ["a"]))
        await asyncio.sleep(1)
        with pytest.raises(TryLater):
            await acquisition.probe("fake", {"host": "other"}, ["a"])
        assert not (await waiting).ok

    rig.play(story)


def test_a_probe_asks_a_driver_that_knows_the_steps_and_goes_no_further_than_they_do(rig):
    async def story(acquisition):
        report = await acquisition.probe("probes", {"host": "new"}, ["a"])
        assert [s.what for s in report.steps] == ["Host answers", "Port 502 open", "Connected", "Values read"]
        assert report.ok
        rig.device("new").value = 0.0
        report = await acquisition.probe("probes", {"host": "new"}, ["a"])
        assert [(s.what, s.reached) for s in report.steps] == [("Host answers", True), ("Port 502 open", False)]
        assert rig.device("new").opened == 1
        report = await acquisition.probe("fake", {"host": "new"}, [])
        assert [s.what for s in report.steps] == ["Connected"]
        report = await acquisition.probe("mute", {"host": "other"}, ["a"])
        assert [r.status for r in report.readings] == ["BadNoData"]
        assert not report.ok

    rig.play(story)


def test_a_probe_reads_a_stream_until_its_first_batch(rig, model):
    device = rig.device("ua1")

    async def story(acquisition):
        probing = asyncio.create_task(acquisition.probe("stream", {"host": "ua1"}, ["a", "b"]))
        await asyncio.sleep(0.5)
        device.queue.put_nowait(device.batch(device.points, 2.5))
        report = await probing
        assert [r.value for r in report.readings] == [2.5, 2.5]

    rig.play(story)
    assert device.closed == device.ended == 1


def test_an_empty_model_and_no_model_run_quietly(rig):
    async def story(acquisition):
        await asyncio.sleep(5)
        await acquisition.apply(EdgeModel(3, "acme", "lyon", "edge-1"))
        await asyncio.sleep(5)
        assert acquisition.status() == ()

    rig.play(story)
    assert rig.outbox.offers == []


def test_a_frozen_answer_of_a_driver_is_never_written_to(rig, model):
    device = rig.device("plc1")

    def frozen(points):
        batch = device.batch(points)
        for f in dataclasses.fields(SampleBatch):
            column = getattr(batch, f.name)
            if hasattr(column, "setflags"):
                column.setflags(write=False)
        return [batch]

    device.answer = frozen

    async def story(acquisition):
        await acquisition.apply(model("plc1"))
        await asyncio.sleep(3)
        assert acquisition.status()[0].state == "Good"

    rig.play(story)
    assert rig.outbox.statuses(101)[-1] != BAD_NO_DATA
