"""Call-out over real records, with a clock that stands still and gateways that remember."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine

from isthmus.alarms.callout.model import Channel, Contact, Rule, Step
from isthmus.alarms.callout.rota import Rota
from isthmus.alarms.callout.service import CallOut, CallOutConfig, Person, Place
from isthmus.alarms.callout.store import metadata
from isthmus.alarms.callout.texts import Message
from isthmus.app.records import open_records
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.errors import Rejected
from isthmus.values.messages.alarms import AlarmChange, Reported, State

ZONE = "Europe/Paris"
KEY = b"k" * 32
NOW = int(datetime(2026, 11, 23, 9, 0, tzinfo=UTC).timestamp()) * NS_PER_S  # a Monday, 10:00 in Paris


@dataclass
class Gateways:
    """Remembers what was sent, and fails by channel where it is told to."""

    sent: list[tuple[str, str, Message]] = field(default_factory=list)
    down: dict[str, str] = field(default_factory=dict)
    unset: set[str] = field(default_factory=set)

    def missing(self, channel: Channel) -> str:
        return f"{channel.url}: not set here" if channel.name in self.unset else ""

    def check(self, channel: Channel) -> None: ...

    def send(self, channel: Channel, address: str, message: Message) -> None:
        if channel.name in self.down:
            raise Rejected(self.down[channel.name])
        self.sent.append((channel.name, address, message))

    def to(self) -> list[tuple[str, str]]:
        """(channel, address) of what was sent since the last time; threads send in any order."""
        found = sorted((channel, address) for channel, address, _ in self.sent)
        self.sent.clear()
        return found


@dataclass
class Alarms:
    """The part of the room alarms that call-out meets: acknowledging comes back as a change."""

    acknowledged: list[tuple[Any, list[int], str]] = field(default_factory=list)
    fails: Exception | None = None
    reported: list[tuple[str, bool]] = field(default_factory=list)

    async def acknowledge(self, who: Any, occurrences: list[int], comment: str) -> None:
        if self.fails:
            raise self.fails
        self.acknowledged.append((who, occurrences, comment))

    async def report(self, alarm: Reported, *, active: bool, time_ns: int) -> None:
        self.reported.append((alarm.key, active))


@dataclass
class Duty:
    """A call-out and everything around it. ``restart`` is what a kill of core leaves."""

    engine: Engine
    clock: ManualClock
    ways: Gateways
    alarms: Alarms
    people: list[Person]
    callout: CallOut = None  # type: ignore[assignment]  # made right away
    seq: int = 0

    def restart(self) -> CallOut:
        self.callout = CallOut(
            self.engine, self.clock, Random(1), place=lambda: Place("lyon", ZONE), people=lambda: self.people,
            ways=self.ways, key=lambda: KEY, key_of=str.casefold, config=CallOutConfig("https://plant.example"),
            log=logging.getLogger("test"),
        )  # fmt: skip
        self.callout.attach(self.alarms, self.alarms)
        return self.callout

    async def setup(self, *what: Any) -> None:
        for one in what:
            if isinstance(one, Contact):
                await self.callout.keep_contact(one)
            else:
                await self.callout.keep(one, "bob", "", None)

    def change(self, occurrence: int, after: State = State.UNACKNOWLEDGED, **more: Any) -> AlarmChange:
        self.seq += 1
        given: dict[str, Any] = {
            "alarm": f"hall/line1/filler/speed#high{occurrence}", "path": "hall/line1/filler/speed",
            "asset": "hall/line1/filler", "zone": "line1", "priority": "critical", "message": f"Filler too fast {occurrence}",
            "before": State.NORMAL, "time_ns": self.clock.now_ns(), "value": 151.5, "unit": "1/min", "limit": 150.0,
        }  # fmt: skip
        return AlarmChange(seq=self.seq, occurrence=occurrence, after=after, **{**given, **more})

    async def hear(self, *changes: AlarmChange) -> None:
        await self.callout.heard(changes)

    async def later(self, seconds: float) -> list[tuple[str, str]]:
        """Time passes; what was sent."""
        self.clock.advance(seconds)
        await self.callout.step()
        return self.ways.to()

    async def states(self) -> list[str]:
        return [one.delivery.state for one in reversed(await self.callout.deliveries(500, None, None))]


MAIL = Channel("mail", "email", "secret:mail")
SMS = Channel("sms", "sms", "secret:sms")
CHAT = Channel("chat", "chat", "secret:chat", personal=False)
NIGHTS = Rota("nights", ("ana", "ben"), date(2026, 11, 23))
RULE = Rule(
    "urgent",
    ("critical", "high"),
    (
        Step("rota:nights", ("mail", "sms"), 0, 300, 1),
        Step("person:chief", ("mail",), 900),
    ),
)
CONTACTS = (
    Contact("ana", "en", {"mail": "ana@plant.example", "sms": "+33111"}),
    Contact("ben", "de", {"mail": "ben@plant.example", "sms": "+33222"}),
    Contact("chief", "fr", {"mail": "chief@plant.example"}),
)


def everyone() -> Sequence[Person]:
    return [
        Person("ana"),
        Person("ben"),
        Person("chief"),
        Person("out", open=False),
        Person("eve", may_acknowledge=False),
    ]


@pytest.fixture
def duty(tmp_path: Path) -> Iterator[Duty]:
    engine = open_records(tmp_path / "records.db")
    metadata.create_all(engine)
    made = Duty(engine, ManualClock(NOW), Gateways(), Alarms(), list(everyone()))
    made.restart()
    yield made
    engine.dispose()


@pytest.fixture
async def called(duty: Duty) -> Duty:
    """With a rota, a rule, channels and contacts in force."""
    await duty.setup(MAIL, SMS, CHAT, *CONTACTS, NIGHTS, RULE)
    return duty
