"""What the runner makes of a connector's errors, bugs among them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from isthmus.app import delivery, delivery_store
from isthmus.app.delivery_store import DeliveryStore, Letter, metadata
from isthmus.app.records import open_records
from isthmus.ports.connectors import ConnectorSpec
from isthmus.values.errors import ConfigError, NotConnected, Rejected, TryLater

pytestmark = [pytest.mark.mission("M46", "M47"), pytest.mark.real("nats-server", "sqlite")]


@dataclass(frozen=True)
class NoSettings:
    """Nothing to set."""


class Scripted:
    """Answers each delivery with the next of its errors; None takes it."""

    def __init__(self, *script: object) -> None:
        self.script = list(script)
        self.taken: list[tuple[str, int]] = []
        self.tables: list[tuple[str, ...]] = []
        self.opened = self.closed = 0

    async def open(self, tags) -> None:
        self.opened += 1
        self.tables.append(tuple(tags.path))

    async def close(self) -> None:
        self.closed += 1

    async def deliver(self, batch) -> None:
        error = self.script.pop(0) if self.script else None
        if error == "hang":
            await asyncio.sleep(1000)
        if isinstance(error, Exception):
            raise error
        self.taken.append((batch.key, batch.rows))


def scripted(site, to, *script, **more):
    made = Scripted(*script)
    site.specs["scripted"] = ConnectorSpec("scripted", NoSettings, lambda *_: made)
    return made, to("", connector="scripted", **more)


async def test_every_error_does_what_it_says(site, to, monkeypatch) -> None:
    monkeypatch.setattr(delivery, "DELIVER_S", 0.05)
    monkeypatch.setattr(delivery.Backoff, "FIRST_S", 0.01)
    script = (NotConnected("away"), TryLater("busy", 0.0), ZeroDivisionError("a bug"), "hang", None, Rejected("no"))
    made, one = scripted(site, to, *script)
    site.begin(one)
    wanted = await site.say(10)
    await site.until_state(delivered=len(wanted))
    assert len(made.taken) == 1
    assert made.opened == 1 + 3  # at the start, and after being away, the bug and the hang
    refused = await site.say(5)
    found = await site.until_state(rejected=len(refused), dead_letters=1)
    assert found["reason"] == "the last batch was refused: no"
    wanted += await site.say(5)
    found = await site.until_state(delivered=len(wanted), state="Delivering", reason="")
    await site.kill()
    assert made.closed >= 4


async def test_a_config_error_stops_it_until_the_plant_changes(site, to) -> None:
    made, one = scripted(site, to, ConfigError("wrong"))
    site.begin(one)
    wanted = await site.say(5)
    await site.until_state(state="Stopped", reason="wrong")
    site.begin(to("", connector="scripted", rows=3, linger_s=0.0), version=2)
    await site.until(lambda: sum(rows for _, rows in made.taken) == len(wanted))
    assert max(rows for _, rows in made.taken) == 3
    assert len({key for key, _ in made.taken}) == len(made.taken)


async def test_what_cannot_be_built_is_said(site, to) -> None:
    _, one = scripted(site, to)
    site.specs["scripted"] = ConnectorSpec("scripted", NoSettings, lambda *_: 1 // 0)
    site.begin(one)
    found = await site.until_state(state="Stopped")
    assert "ZeroDivisionError" in found["reason"] or "division" in found["reason"]
    gone = to("", name="gone", connector="no-such-package")
    site.begin(one, gone, version=2)
    await site.until_state(state="Stopped")
    assert await site.status("gone") == {}


async def test_frames_that_hold_nothing_for_it_move_its_place(site, to, monkeypatch) -> None:
    monkeypatch.setattr(delivery, "PASS_S", 0.01)
    made, one = scripted(site, to, tags=("yard",))
    site.begin(one)
    await site.say(5)
    store = DeliveryStore(site.engine)
    await site.until(lambda: (place := store.load("cloud")) is not None and bool(place.cursor))
    assert made.taken == []
    assert (await site.status())["lag_s"] == 0


async def test_a_full_disk_holds_it_up_and_loses_nothing(site, to, monkeypatch) -> None:
    monkeypatch.setattr(delivery, "RETRY_S", 0.01)
    made, one = scripted(site, to, None, Rejected("no"))
    site.begin(one)
    wanted = await site.say(5)
    await site.until_state(delivered=len(wanted))
    full = True

    def save(self, *more, then=DeliveryStore.save):
        if full:
            raise OSError("no space left on device")
        then(self, *more)

    def bury(self, *more, then=DeliveryStore.bury):
        if full:
            raise OSError("no space left on device")
        return then(self, *more)

    monkeypatch.setattr(DeliveryStore, "save", save)
    monkeypatch.setattr(DeliveryStore, "bury", bury)
    refused = await site.say(5)
    await site.until_state(state="Waiting", reason="records: no space left on device")
    assert len(made.taken) == 1  # nothing goes out before its place is on disk
    full = False
    await site.until_state(rejected=len(refused), dead_letters=1, delivered=len(wanted))


def test_dead_letters_are_bounded_and_a_key_has_one(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(delivery_store, "KEPT_LETTERS", 3)
    engine = open_records(tmp_path / "records.db")
    metadata.create_all(engine)
    store = DeliveryStore(engine)
    letter = Letter(0, 1, "k", "x" * 900, 1, b"")
    assert store.bury("c", letter) == store.bury("c", letter) == 0
    assert store.letter_counts() == {"c": 1}
    for i in range(3):
        forgotten = store.bury("c", Letter(0, 1, f"k{i}", "", 1, b""))
    assert forgotten == 1
    assert store.letter_counts() == {"c": 3}
    assert [one.key for one in store.letters("c", 2)] == ["k2", "k1"]
    engine.dispose()
