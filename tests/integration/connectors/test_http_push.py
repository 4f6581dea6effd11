"""From the bus to a real HTTP server in another process, with either side killed at any moment."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from isthmus.values.frame import Lane
from isthmus.values.sample import SampleBatch

pytestmark = [
    pytest.mark.mission("M3", "M7", "M46", "M47"),
    pytest.mark.real("nats-server", "http.server", "sqlite"),
]


def all_of(receiver, wanted) -> bool:
    return Counter(receiver.samples()) == Counter(wanted)


async def test_everything_arrives_in_order_with_names_units_and_times(site, receiver, to) -> None:
    site.begin(to(receiver.url))
    wanted = await site.say(1200)
    good = np.zeros(2, np.uint32)
    times = np.array([1_700_000_000_000_000_001, 1_700_000_000_500_000_000])
    recipe = SampleBatch(np.array([3, 3], np.int32), times, np.array([1, 0], np.int32), good, ("Cola", "Water"))
    bad = SampleBatch(np.array([4], np.int32), times[1:], np.array([7.5]), np.array([0x80050000], np.uint32))
    site.publisher.offer(Lane.EVENT, [recipe, bad])
    wanted += [("hall/filler/recipe", "Water"), ("hall/filler/recipe", "Cola"), ("hall/filler/speed", None)]
    await site.until(lambda: len(receiver.samples()) >= len(wanted))
    assert all_of(receiver, wanted)
    for tag in ("hall/filler/count", "hall/filler/speed"):
        values = [v for t, v in receiver.samples() if t == tag and v is not None]
        assert values == sorted(values)
    batches = receiver.batches()
    assert all(len(b["samples"]) <= 500 for b in batches)
    assert {(b["enterprise"], b["site"]) for b in batches} == {("acme", "lyon")}
    by_tag = {s["tag"]: s for b in batches for s in b["samples"]}
    assert by_tag["hall/filler/recipe"]["time"] == "2023-11-14T22:13:20.500000000Z"  # its batch holds a finer time
    assert by_tag["hall/filler/speed"]["unit"] == "1/min"
    assert by_tag["hall/filler/speed"]["status"] == "BadCommunicationError"
    found = await site.until_state(state="Delivering", delivered=len(wanted), lag_s=0.0)
    assert found["rejected"] == found["dead_letters"] == found["missed_frames"] == 0


async def test_only_what_was_asked_for_is_sent(site, receiver, to) -> None:
    site.begin(
        to(receiver.url, tags=("hall/filler/count", "yard")),
        to(receiver.url, "pumps", types=("pump",)),
        to(receiver.url, "diagnostics", tags=("connections",)),
    )
    wanted = [one for one in await site.say(10) if one[0] == "hall/filler/count"]
    one = (np.array([17]), np.zeros(1, np.uint32))
    level = SampleBatch(np.array([5], np.int32), one[0], np.array([2.5]), one[1])
    state = SampleBatch(np.array([1], np.int32), one[0], np.array([0], np.int32), one[1], ("Good",))
    site.publisher.offer(Lane.LIVE, [level, state])
    wanted += [("yard/pump/level", 2.5), ("yard/pump/level", 2.5), ("connections/plc1/state", "Good")]
    await site.until(lambda: len(receiver.samples()) >= len(wanted))
    assert all_of(receiver, wanted)


async def test_a_new_connector_begins_now_unless_it_asks_for_all(site, receiver, to) -> None:
    before = await site.say(50)
    site.begin(to(receiver.url, start="now"))
    await site.until_state(state="Delivering")
    await site.until(lambda: site.runs("cloud"))
    after = await site.say(50)
    await site.until(lambda: len(receiver.samples()) >= len(after))
    assert all_of(receiver, after)
    site.begin(to(receiver.url, start="now"), to(receiver.url, "everything", start="all"), version=2)
    await site.until(lambda: len(receiver.samples()) >= len(before) + 2 * len(after))
    assert all_of(receiver, before + 2 * after)


async def test_a_receiver_that_is_away_or_busy_costs_nothing_but_time(site, receiver, to) -> None:
    receiver.kill()
    site.begin(to(receiver.url))
    wanted = await site.say(600)
    found = await site.until_state(state="Waiting")
    assert "refused" in found["reason"]
    await site.until(lambda: site.holds("cloud"))
    assert (await site.status())["lag_s"] > 0
    receiver.be("code", "503")
    receiver.start()
    found = await site.until_state(
        state="Waiting", reason=f"127.0.0.1 port {receiver.port}: answered 503: not like this"
    )
    receiver.be_not("code")
    await site.until(lambda: len(receiver.samples()) >= len(wanted))
    assert all_of(receiver, wanted)
    await site.until_state(state="Delivering", delivered=len(wanted), lag_s=0.0)


async def test_an_answer_that_was_lost_brings_a_double_with_the_same_key(site, receiver, to) -> None:
    receiver.be("forget")
    site.begin(to(receiver.url))
    wanted = await site.say(100)
    await site.until(lambda: len(receiver.batches()) >= 2)
    receiver.be_not("forget")
    await site.until_state(state="Delivering", delivered=len(wanted))
    keys = [b["key"] for b in receiver.batches()]
    assert len(set(keys)) < len(keys)
    assert all_of(receiver, wanted)


async def test_a_batch_under_way_when_core_was_killed_comes_again_as_it_was(site, receiver, to) -> None:
    """However much has come since: the same samples under the same key, then the rest."""
    receiver.be("forget")
    site.begin(to(receiver.url))
    wanted = await site.say(10)
    await site.until(lambda: bool(receiver.batches()))
    await site.kill()
    for _ in range(4):
        wanted += await site.say(10)
    receiver.be_not("forget")
    site.begin(to(receiver.url))
    await site.until(lambda: len(receiver.samples()) >= len(wanted))
    assert len({b["key"] for b in receiver.batches()}) < len(receiver.batches())
    assert all_of(receiver, wanted)


async def test_what_is_refused_is_a_dead_letter_and_the_rest_goes_on(site, receiver, to) -> None:
    receiver.be("code", "422")
    site.begin(to(receiver.url))
    refused = await site.say(50)
    found = await site.until_state(rejected=len(refused), dead_letters=1)
    assert "answered 422: not like this" in found["reason"]
    receiver.be_not("code")
    wanted = await site.say(50)
    await site.until(lambda: len(receiver.samples()) >= len(wanted))
    assert all_of(receiver, wanted)
    await site.until_state(delivered=len(wanted), rejected=len(refused))
    await site.kill()
    site.begin(to(receiver.url))
    await site.until_state(delivered=len(wanted), rejected=len(refused), dead_letters=1)
    (letter,) = await site.deliveries.dead_letters("cloud", 10)
    assert "422" in letter["reason"]
    assert Counter((path, value) for path, _, value, _ in letter["samples"]) == Counter(refused)


async def test_the_token_is_sent_and_its_absence_is_no_loss(site, guarded, to) -> None:
    site.begin(to(guarded.url))
    wanted = await site.say(10)
    found = await site.until_state(state="Waiting")
    await site.until_state(reason=f"127.0.0.1 port {guarded.port}: answered 401: who are you?")
    site.begin(to(guarded.url, config={"bearer": "secret:unknown"}), version=2)
    found = await site.until_state(state="Stopped")
    assert found["reason"] == "secret:unknown: not set here"
    site.begin(to(guarded.url, config={"bearer": "secret:receiver"}), version=3)
    await site.until(lambda: len(guarded.samples()) >= len(wanted))
    assert all_of(guarded, wanted)


async def test_a_mute_receiver_holds_up_nobody_else(site, receiver, to, tmp_path) -> None:
    receiver.be("mute")
    site.begin(to(receiver.url, "mute"), to(receiver.url))
    wanted = await site.say(20)
    await site.until(lambda: site.holds("cloud"))
    site.begin(to(receiver.url), version=2)  # taken away in the middle of a request
    receiver.be_not("mute")
    receiver.kill()
    receiver.start()
    await site.until(lambda: len(receiver.samples()) >= len(wanted))
    assert all_of(receiver, wanted)


@pytest.mark.timeout(300)
async def test_both_sides_killed_again_and_again_lose_nothing(site, receiver, to) -> None:
    """Doubles carry the same key and the same content."""
    chance = random.Random(7)
    wanted = []
    one = to(receiver.url, rows=70)
    for round_ in range(8):
        site.begin(one)
        wanted += await site.say(150)
        await asyncio.sleep(chance.uniform(0, 0.12))
        if round_ % 3 != 1:
            await site.kill()
        if round_ % 3 != 0:
            receiver.kill()
            receiver.start()
    await site.kill()
    site.begin(one)
    await site.until(lambda: len(set(receiver.samples())) >= len(wanted))
    await site.until_state(state="Delivering", lag_s=0.0)
    assert all_of(receiver, wanted)


@pytest.mark.mission("M82")
async def test_kill_9_of_core_and_receiver_loses_nothing(site, receiver, to, tmp_path) -> None:
    chance = random.Random(11)
    wanted = []
    command = [
        *(sys.executable, str(Path(__file__).with_name("core_process.py")), str(tmp_path)),
        *(str(site.broker.files.address_file("core")), receiver.url),
    ]
    for round_ in range(6):
        core = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            assert await core.stdout.readline() == b"runs\n"
            wanted += await site.say(400)
            had = len(receiver.batches())
            if round_ % 2:
                await site.until(lambda had=had: len(receiver.batches()) > had)  # in the middle of delivering
            await asyncio.sleep(chance.uniform(0, 0.05))
        finally:
            core.kill()
            await core.wait()
            core._transport.close()
        if round_ % 3 == 2:
            receiver.kill()
            receiver.start()
    site.begin(to(receiver.url, rows=70))
    await site.until(lambda: len(set(receiver.samples())) >= len(wanted))
    await site.until_state(state="Delivering", lag_s=0.0)
    assert all_of(receiver, wanted)


async def test_a_bus_that_began_anew_is_followed(site, receiver, to) -> None:
    site.begin(to(receiver.url))
    wanted = await site.say(100)
    await site.until_state(delivered=len(wanted))
    await site.kill()
    await site.core.js.delete_stream("F")
    await site.core.ensure_stream(site._folder)
    wanted += await site.say(30)
    site.begin(to(receiver.url))
    await site.until(lambda: len(receiver.samples()) >= len(wanted))
    await site.core.js.delete_stream("F")  # and once more while it runs
    await site.core.ensure_stream(site._folder)
    await site.broker.kill()
    await site.broker.start()
    wanted += await site.say(30)
    await site.kill()
    site.begin(to(receiver.url))
    await site.until(lambda: len(receiver.samples()) >= len(wanted))
    assert all_of(receiver, wanted)
