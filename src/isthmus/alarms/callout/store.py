"""The records of call-out: what is in force with every version, calls and their alarms, what is to be delivered and each attempt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    Select,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
    update,
)

from isthmus.alarms.callout.model import OPEN, CallState, Channel, Contact, Quiet, Rule, Setup, Step
from isthmus.alarms.callout.rota import Exchange, Holiday, Rota
from isthmus.alarms.callout.texts import Line

metadata = MetaData()

VERSION = Table(
    "callout_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("name", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("current", Integer, nullable=False),  # 1 for the one in force
    Column("removed", Integer, nullable=False),
    Column("body", Text, nullable=False),  # people stand in it as their place in ``people``
    Column("people", Text, nullable=False),
    Column("by", String(200), nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    UniqueConstraint("kind", "name", "version"),
    Index("callout_version_current", "current"),
)
CONTACT = Table(
    "callout_contact",
    metadata,
    Column("name_key", String(200), primary_key=True),
    Column("person", String(200), nullable=False),
    Column("language", String(8), nullable=False),
    Column("addresses", Text, nullable=False),
)
CURSOR = Table(
    "callout_cursor",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
)
CALL = Table(
    "callout_call",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("rule", String(64), nullable=False),
    Column("version", Integer, ForeignKey("callout_version.id"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("held_ns", BigInteger, nullable=False),
    Column("due_ns", BigInteger),
    Column("done", Integer, nullable=False),
    Column("ended_ns", BigInteger),
    Column("answered_by", String(200), nullable=False),
    Index("callout_call_due", "due_ns"),
)
MEMBER = Table(
    "callout_member",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("call", Integer, ForeignKey("callout_call.id"), nullable=False),
    Column("occurrence", BigInteger, nullable=False),
    Column("alarm", String(500), nullable=False),
    Column("path", String(400), nullable=False),
    Column("zone", String(64), nullable=False),
    Column("priority", String(16), nullable=False),
    Column("message", String(500), nullable=False),
    Column("value", Text, nullable=False),
    Column("unit", String(64), nullable=False),
    Column("limit", Float),
    Column("raised_ns", BigInteger, nullable=False),
    Column("settled_ns", BigInteger),
    Column("settled", String(16), nullable=False),
    Index("callout_member_call", "call"),
    Index("callout_member_occurrence", "occurrence", "settled_ns"),
)
DELIVERY = Table(
    "callout_delivery",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("call", Integer, ForeignKey("callout_call.id")),  # none for a test
    Column("step", Integer, nullable=False),
    Column("nth", Integer, nullable=False),
    Column("person", String(200), nullable=False),
    Column("channel", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("next_ns", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("done_ns", BigInteger),
    Column("answered_ns", BigInteger),
    Column("reason", String(500), nullable=False),
    UniqueConstraint("call", "step", "nth", "person", "channel"),
    Index("callout_delivery_due", "state", "next_ns"),
    sqlite_autoincrement=True,  # a link names this number, and no later delivery may have it
)
ATTEMPT = Table(
    "callout_attempt",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("delivery", Integer, ForeignKey("callout_delivery.id"), nullable=False),
    Column("channel", String(64), nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("done_ns", BigInteger),
    Column("result", String(16), nullable=False),
    Column("reason", String(500), nullable=False),
    Index("callout_attempt_delivery", "delivery"),
    Index("callout_attempt_channel", "channel", "id"),
)

QUEUED, DELIVERED, FAILED, WITHDRAWN, NOBODY = "queued", "delivered", "failed", "withdrawn", "nobody"
STARTED, INTERRUPTED = "started", "interrupted"
_CHUNK = 500


# what is in force, and every version of it


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a rota, rule or channel; ``what`` is None where it was taken away."""

    id: int
    kind: str
    name: str
    version: int
    what: Rota | Rule | Channel | None
    by: str
    at_ns: int
    reason: str


def _pack(what: Rota | Rule | Channel) -> tuple[str, str]:
    """A body in which people are numbers, and the people; so that somebody who is erased is one text in one list."""
    people: list[str] = []

    def place(name: str) -> int | None:
        if not name:
            return None
        if name not in people:
            people.append(name)
        return people.index(name)

    def who(text: str) -> Any:
        kind, _, name = text.partition(":")
        return {"person": place(name)} if kind == "person" else text

    match what:
        case Rota():
            body: dict[str, Any] = {
                "people": [place(p) for p in what.people],
                "first": what.first.isoformat(),
                "weeks": what.weeks,
                "hand_over": what.hand_over,
                "hours": what.hours,
                "holidays": [[h.day.isoformat(), place(h.person)] for h in what.holidays],
                "exceptions": [
                    [e.start.isoformat(), e.end.isoformat(), place(e.person), e.reason] for e in what.exceptions
                ],
            }
        case Rule():
            body = {
                "priorities": what.priorities,
                "under": what.under,
                "zones": what.zones,
                "quiet": [[q.priorities, q.hours] for q in what.quiet],
                "steps": [[who(s.who), s.channels, s.after_s, s.repeat_s, s.times] for s in what.steps],
                "group_s": what.group_s,
                "then_s": what.then_s,
                "until": what.until,
                "enabled": what.enabled,
            }
        case Channel():
            body = {"kind": what.kind, "url": what.url, "personal": what.personal}
    return json.dumps(body), json.dumps(people)


def _unpack(kind: str, name: str, body_text: str, people_text: str) -> Rota | Rule | Channel:
    body, people = json.loads(body_text), json.loads(people_text)

    def named(place: int | None) -> str:
        return "" if place is None else str(people[place])

    if kind == "rota":
        return Rota(
            name,
            tuple(named(p) for p in body["people"]),
            date.fromisoformat(body["first"]),
            body["weeks"],
            body["hand_over"],
            body["hours"],
            tuple(Holiday(date.fromisoformat(day), named(p)) for day, p in body["holidays"]),
            tuple(
                Exchange(datetime.fromisoformat(a), datetime.fromisoformat(b), named(p), reason)
                for a, b, p, reason in body["exceptions"]
            ),
        )
    if kind == "rule":
        steps = tuple(
            Step(
                who if isinstance(who, str) else f"person:{named(who['person'])}", tuple(channels), after, repeat, times
            )
            for who, channels, after, repeat, times in body["steps"]
        )
        return Rule(
            name,
            tuple(body["priorities"]),
            steps,
            tuple(body["under"]),
            tuple(body["zones"]),
            tuple(Quiet(tuple(priorities), hours) for priorities, hours in body["quiet"]),
            body["group_s"],
            body["then_s"],
            body["until"],
            body["enabled"],
        )
    return Channel(name, body["kind"], body["url"], body["personal"])


def _version(row: Row[Any]) -> Version:
    what = None if row.removed else _unpack(row.kind, row.name, row.body, row.people)
    return Version(row.id, row.kind, row.name, row.version, what, row.by, row.at_ns, row.reason)


def current(db: Connection) -> list[Version]:
    """What is in force."""
    rows = db.execute(select(VERSION).where(VERSION.c.current == 1, VERSION.c.removed == 0).order_by(VERSION.c.name))
    return [_version(row) for row in rows]


def setup(db: Connection) -> tuple[Setup, dict[tuple[str, str], Version]]:
    """All that is in force, and the version of each."""
    versions = {(v.kind, v.name): v for v in current(db)}
    of: dict[str, dict[str, Any]] = {"rota": {}, "rule": {}, "channel": {}}
    for (kind, name), version in versions.items():
        of[kind][name] = version.what
    return Setup(of["rota"], of["rule"], of["channel"], {c.person: c for c in contacts(db)}), versions


def versions(db: Connection, kind: str, name: str) -> list[Version]:
    """Every version of one, newest first."""
    rows = db.execute(
        select(VERSION).where(VERSION.c.kind == kind, VERSION.c.name == name).order_by(VERSION.c.version.desc())
    )
    return [_version(row) for row in rows]


def rule_of(db: Connection, version_id: int) -> Rule:
    """The rule as it was when a call began."""
    what = _version(db.execute(select(VERSION).where(VERSION.c.id == version_id)).one()).what
    assert isinstance(what, Rule)  # noqa: S101  a call refers to a version of a rule
    return what


def keep(
    db: Connection, kind: str, name: str, what: Rota | Rule | Channel | None, by: str, at_ns: int, reason: str
) -> int:
    """A new version takes the place of the one before; its number. None takes it away."""
    mine = (VERSION.c.kind == kind) & (VERSION.c.name == name)
    before = db.execute(select(VERSION).where(mine).order_by(VERSION.c.version.desc()).limit(1)).one_or_none()
    number = before.version + 1 if before else 1
    body, people = _pack(what) if what is not None else ("{}", "[]")
    db.execute(update(VERSION).where(mine).values(current=0))
    db.execute(
        insert(VERSION).values(
            kind=kind, name=name, version=number, current=1, removed=int(what is None), body=body, people=people,
            by=by, at_ns=at_ns, reason=reason,
        )
    )  # fmt: skip
    return number


def contacts(db: Connection) -> list[Contact]:
    """How people are reached."""
    rows = db.execute(select(CONTACT).order_by(CONTACT.c.person))
    return [Contact(row.person, row.language, json.loads(row.addresses)) for row in rows]


def keep_contact(db: Connection, key: str, contact: Contact | None) -> bool:
    """Keep how somebody is reached, or forget it; whether there was something before."""
    had = db.execute(delete(CONTACT).where(CONTACT.c.name_key == key)).rowcount > 0
    if contact is not None:
        db.execute(
            insert(CONTACT).values(
                name_key=key,
                person=contact.person,
                language=contact.language,
                addresses=json.dumps(dict(contact.addresses)),
            )
        )
    return had


def rename(db: Connection, old: str, new: str, old_key: str, new_key: str) -> None:
    """An account has another name: it is the same person wherever one stands."""
    mine = CONTACT.c.name_key == old_key
    db.execute(update(CONTACT).where(mine).values(name_key=new_key, person=new))
    named = VERSION.c.people.contains(json.dumps(old), autoescape=True)
    people = func.replace(VERSION.c.people, json.dumps(old), json.dumps(new))
    db.execute(update(VERSION).where(named).values(people=people))
    db.execute(update(VERSION).where(VERSION.c.by == old).values(by=new))
    db.execute(update(DELIVERY).where(DELIVERY.c.person == old).values(person=new))
    db.execute(update(CALL).where(CALL.c.answered_by == old).values(answered_by=new))


# what was heard


def cursor(db: Connection) -> int:
    """The last change whose effect is stored."""
    return int(db.scalar(select(CURSOR.c.seq)) or 0)


def move(db: Connection, seq: int) -> None:
    """Store how far was heard."""
    if not db.execute(update(CURSOR).values(seq=seq)).rowcount:
        db.execute(insert(CURSOR).values(id=1, seq=seq))


def waiting_in(db: Connection, occurrences: Iterable[int]) -> set[tuple[str, int]]:
    """(rule, occurrence) of alarms that some call still waits for."""
    found: set[tuple[str, int]] = set()
    for some in _chunks(list(occurrences)):
        rows = db.execute(
            select(CALL.c.rule, MEMBER.c.occurrence)
            .join(CALL, CALL.c.id == MEMBER.c.call)
            .where(MEMBER.c.occurrence.in_(some), MEMBER.c.settled_ns.is_(None))
        )
        found.update((rule, occurrence) for rule, occurrence in rows)
    return found


def gathering(db: Connection, rule: str, held_ns: int) -> int | None:
    """The call of a rule that further alarms join."""
    return db.scalar(
        select(CALL.c.id).where(CALL.c.rule == rule, CALL.c.state == CallState.GATHERING, CALL.c.held_ns == held_ns)
    )


def under_way(db: Connection, rule: str) -> bool:
    """Whether a call of the rule is being told."""
    return (
        db.scalar(select(CALL.c.id).where(CALL.c.rule == rule, CALL.c.state == CallState.CALLING).limit(1)) is not None
    )


def begin(db: Connection, rule: str, version_id: int, now_ns: int, held_ns: int, due_ns: int) -> int:
    """A new call that gathers."""
    made = db.execute(
        insert(CALL).values(
            rule=rule, version=version_id, state=CallState.GATHERING, created_ns=now_ns, held_ns=held_ns, due_ns=due_ns,
            done=0, answered_by="",
        )
    )  # fmt: skip
    assert made.inserted_primary_key is not None  # noqa: S101  the table has one
    return int(made.inserted_primary_key[0])


def join(db: Connection, call: int, lines: Sequence[tuple[Line, str]]) -> None:
    """Alarms of a call, each with its zone."""
    rows = [
        {
            "call": call,
            "occurrence": line.occurrence,
            "alarm": line.alarm[:500],
            "path": line.path[:400],
            "zone": zone[:64],
            "priority": line.priority,
            "message": line.message[:500],
            "value": json.dumps(line.value),
            "unit": line.unit[:64],
            "limit": line.limit,
            "raised_ns": line.raised_ns,
            "settled": "",
        }
        for line, zone in lines
    ]
    db.execute(insert(MEMBER), rows)


def settle(
    db: Connection, occurrences: Mapping[int, tuple[str, int]], versions: Iterable[int] | None = None
) -> set[int]:
    """Alarms that need nobody any more: how and when, by occurrence; the calls they were in. ``versions`` of rules narrows to theirs."""
    touched: set[int] = set()
    for some in _chunks(list(occurrences)):
        wanted = (
            select(MEMBER.c.id, MEMBER.c.call, MEMBER.c.occurrence)
            .join(CALL, CALL.c.id == MEMBER.c.call)
            .where(MEMBER.c.occurrence.in_(some), MEMBER.c.settled_ns.is_(None))
        )
        if versions is not None:
            wanted = wanted.where(CALL.c.version.in_(list(versions)))
        by_how: dict[tuple[str, int], list[int]] = {}
        for member, call, occurrence in db.execute(wanted):
            touched.add(call)
            by_how.setdefault(occurrences[occurrence], []).append(member)
        for (how, at_ns), members in by_how.items():
            for few in _chunks(members):
                db.execute(update(MEMBER).where(MEMBER.c.id.in_(few)).values(settled=how, settled_ns=at_ns))
    return touched


def open_versions(db: Connection) -> set[int]:
    """Versions of rules by which calls are not at an end."""
    wanted = select(CALL.c.version).where(CALL.c.state.in_([*OPEN, CallState.UNANSWERED])).distinct()
    return {int(row[0]) for row in db.execute(wanted)}


def left_in(db: Connection, calls: Iterable[int]) -> dict[int, int]:
    """How many alarms of each call still need somebody."""
    found: dict[int, int] = {}
    for some in _chunks(list(calls)):
        found |= dict.fromkeys(some, 0)
        rows = db.execute(
            select(MEMBER.c.call, func.count())
            .where(MEMBER.c.call.in_(some), MEMBER.c.settled_ns.is_(None))
            .group_by(MEMBER.c.call)
        )
        found |= {int(call): int(count) for call, count in rows}
    return found


def was_acknowledged(db: Connection, call: int) -> bool:
    """Whether somebody acknowledged any alarm of a call."""
    return (
        db.scalar(select(MEMBER.c.id).where(MEMBER.c.call == call, MEMBER.c.settled == "acknowledged").limit(1))
        is not None
    )


# calls


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it is stored; ``due_ns`` is None when nothing comes any more."""

    id: int
    rule: str
    version: int
    state: CallState
    created_ns: int
    held_ns: int
    due_ns: int | None
    done: int
    ended_ns: int | None
    answered_by: str


def _call(row: Row[Any]) -> Call:
    return Call(
        row.id, row.rule, row.version, CallState(row.state), row.created_ns, row.held_ns, row.due_ns, row.done,
        row.ended_ns, row.answered_by,
    )  # fmt: skip


def due(db: Connection, now_ns: int) -> list[Call]:
    """Calls whose next moment has come."""
    wanted = select(CALL).where(CALL.c.due_ns <= now_ns, CALL.c.state.in_(OPEN)).order_by(CALL.c.due_ns, CALL.c.id)
    return [_call(row) for row in db.execute(wanted)]


def next_moment(db: Connection) -> int | None:
    """When the next call or delivery is due."""
    first = db.scalar(select(func.min(CALL.c.due_ns)).where(CALL.c.state.in_(OPEN)))
    queued = db.scalar(select(func.min(DELIVERY.c.next_ns)).where(DELIVERY.c.state == QUEUED))
    return min((one for one in (first, queued) if one is not None), default=None)


def unanswered(db: Connection, rule: str) -> bool:
    """Whether a call of the rule is at its end and its alarms still need somebody."""
    mine = (CALL.c.rule == rule) & (CALL.c.state == CallState.UNANSWERED)
    return db.scalar(select(CALL.c.id).where(mine).limit(1)) is not None


def call_of(db: Connection, call: int) -> Call:
    """One call."""
    return _call(db.execute(select(CALL).where(CALL.c.id == call)).one())


def change_call(db: Connection, call: int, **values: Any) -> None:
    """Change some of a call."""
    db.execute(update(CALL).where(CALL.c.id == call).values(**values))


def withdraw(db: Connection, call: int, now_ns: int, why: str) -> None:
    """What waits to be delivered of a call needs not to be any more."""
    db.execute(
        update(DELIVERY)
        .where(DELIVERY.c.call == call, DELIVERY.c.state == QUEUED)
        .values(state=WITHDRAWN, next_ns=None, done_ns=now_ns, reason=why)
    )


def lines_of(db: Connection, call: int, *, unsettled: bool = False) -> list[Line]:
    """The alarms of a call."""
    wanted: Select[Any] = select(MEMBER).where(MEMBER.c.call == call).order_by(MEMBER.c.id)
    if unsettled:
        wanted = wanted.where(MEMBER.c.settled_ns.is_(None))
    return [
        Line(r.occurrence, r.alarm, r.path, r.priority, r.message, r.raised_ns, json.loads(r.value), r.unit, r.limit)
        for r in db.execute(wanted)
    ]


def priorities_of(db: Connection, call: int) -> set[str]:
    """Of the alarms of a call that still need somebody."""
    wanted = select(MEMBER.c.priority).where(MEMBER.c.call == call, MEMBER.c.settled_ns.is_(None)).distinct()
    return {row[0] for row in db.execute(wanted)}


def calls(db: Connection, limit: int, before: int | None = None, *, only_open: bool = False) -> list[Call]:
    """The newest calls, newest first."""
    wanted = select(CALL).order_by(CALL.c.id.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(CALL.c.id < before)
    if only_open:
        wanted = wanted.where(CALL.c.state.in_(OPEN))
    return [_call(row) for row in db.execute(wanted)]


# deliveries


@dataclass(frozen=True, slots=True)
class Delivery:
    """One person told by one channel. ``call`` is None for a test."""

    id: int
    call: int | None
    step: int
    nth: int
    person: str
    channel: str
    state: str
    created_ns: int
    next_ns: int | None
    attempts: int
    done_ns: int | None
    answered_ns: int | None
    reason: str


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(*(getattr(row, name) for name in Delivery.__slots__))


def queue(
    db: Connection, call: int | None, step: int, nth: int, person: str, channel: str, now_ns: int, reason: str = ""
) -> int:
    """Decide that somebody is told; the records refuse the same decision a second time. An empty person is nobody."""
    made = db.execute(
        insert(DELIVERY).values(
            call=call, step=step, nth=nth, person=person, channel=channel, state=QUEUED if person else NOBODY,
            created_ns=now_ns, next_ns=now_ns if person else None, attempts=0, done_ns=None if person else now_ns,
            reason=reason[:500],
        )
    )  # fmt: skip
    assert made.inserted_primary_key is not None  # noqa: S101  the table has one
    return int(made.inserted_primary_key[0])


def to_send(db: Connection, now_ns: int, limit: int) -> list[Delivery]:
    """What is due, oldest first."""
    wanted = (
        select(DELIVERY)
        .where(DELIVERY.c.state == QUEUED, DELIVERY.c.next_ns <= now_ns)
        .order_by(DELIVERY.c.next_ns, DELIVERY.c.id)
        .limit(limit)
    )
    return [_delivery(row) for row in db.execute(wanted)]


def delivery(db: Connection, ident: int) -> Delivery | None:
    """One delivery."""
    row = db.execute(select(DELIVERY).where(DELIVERY.c.id == ident)).one_or_none()
    return None if row is None else _delivery(row)


def start_attempt(db: Connection, one: Delivery, now_ns: int) -> int:
    """Before it is sent, so that a kill in between is seen."""
    made = db.execute(
        insert(ATTEMPT).values(delivery=one.id, channel=one.channel, at_ns=now_ns, result=STARTED, reason="")
    )
    assert made.inserted_primary_key is not None  # noqa: S101  the table has one
    return int(made.inserted_primary_key[0])


def end_attempt(db: Connection, attempt: int, result: str, reason: str, now_ns: int) -> None:
    """How it went."""
    db.execute(
        update(ATTEMPT).where(ATTEMPT.c.id == attempt).values(result=result, reason=reason[:500], done_ns=now_ns)
    )


def change_delivery(db: Connection, ident: int, *, only_queued: bool = True, **values: Any) -> bool:
    """Change some of a delivery; whether it still was queued."""
    mine = DELIVERY.c.id == ident
    if only_queued:
        mine &= DELIVERY.c.state == QUEUED
    return db.execute(update(DELIVERY).where(mine).values(**values)).rowcount > 0


def claim(db: Connection, ident: int, now_ns: int) -> bool:
    """Use a link: true the first time."""
    mine = (DELIVERY.c.id == ident) & DELIVERY.c.answered_ns.is_(None)
    return db.execute(update(DELIVERY).where(mine).values(answered_ns=now_ns)).rowcount > 0


def interrupted(db: Connection, now_ns: int) -> int:
    """Attempts that a kill cut off; what they were to deliver is queued still."""
    return db.execute(
        update(ATTEMPT)
        .where(ATTEMPT.c.result == STARTED)
        .values(result=INTERRUPTED, reason="core ended before the outcome was known", done_ns=now_ns)
    ).rowcount


def deliveries(db: Connection, limit: int, before: int | None, call: int | None) -> list[Delivery]:
    """The log, newest first."""
    wanted = select(DELIVERY).order_by(DELIVERY.c.id.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(DELIVERY.c.id < before)
    if call is not None:
        wanted = wanted.where(DELIVERY.c.call == call)
    return [_delivery(row) for row in db.execute(wanted)]


def attempts_of(db: Connection, ids: Sequence[int]) -> dict[int, list[tuple[int, int | None, str, str]]]:
    """(at_ns, done_ns, result, reason) of each delivery's attempts."""
    found: dict[int, list[tuple[int, int | None, str, str]]] = {}
    for some in _chunks(list(ids)):
        rows = db.execute(select(ATTEMPT).where(ATTEMPT.c.delivery.in_(some)).order_by(ATTEMPT.c.id))
        for row in rows:
            found.setdefault(row.delivery, []).append((row.at_ns, row.done_ns, row.result, row.reason))
    return found


def told_of(db: Connection, ids: Iterable[int]) -> dict[int, tuple[int, str, str, str]]:
    """Of calls: how many alarms, and of the first its priority, message and path."""
    found: dict[int, tuple[int, str, str, str]] = {}
    for call in ids:
        count = int(db.scalar(select(func.count()).select_from(MEMBER).where(MEMBER.c.call == call)) or 0)
        first = db.execute(
            select(MEMBER.c.priority, MEMBER.c.message, MEMBER.c.alarm, MEMBER.c.path)
            .where(MEMBER.c.call == call)
            .order_by(MEMBER.c.id)
            .limit(1)
        ).one_or_none()
        found[call] = (count, first.priority, first.message or first.alarm, first.path) if first else (0, "", "", "")
    return found


@dataclass(frozen=True, slots=True)
class Health:
    """How a channel is: its last attempt, since when they fail, and what waits."""

    failing: bool = False
    since_ns: int | None = None
    reason: str = ""
    queued: int = 0
    last_ns: int | None = None


def health(db: Connection, channel: str) -> Health:
    """Told from the attempts there were."""
    mine = (ATTEMPT.c.channel == channel) & ATTEMPT.c.result.in_((DELIVERED, FAILED))
    last = db.execute(select(ATTEMPT).where(mine).order_by(ATTEMPT.c.id.desc()).limit(1)).one_or_none()
    queued = db.scalar(
        select(func.count()).select_from(DELIVERY).where(DELIVERY.c.channel == channel, DELIVERY.c.state == QUEUED)
    )
    if last is None:
        return Health(queued=int(queued or 0))
    good = db.scalar(select(func.max(ATTEMPT.c.id)).where(ATTEMPT.c.channel == channel, ATTEMPT.c.result == DELIVERED))
    since = db.scalar(select(func.min(ATTEMPT.c.at_ns)).where(mine, ATTEMPT.c.id > (good or 0)))
    failing = last.result == FAILED
    return Health(failing, since if failing else None, last.reason if failing else "", int(queued or 0), last.done_ns)


def prune(db: Connection, before_ns: int) -> int:
    """Calls that ended before, with everything of them, and old tests; how many deliveries went."""
    old = select(CALL.c.id).where(CALL.c.ended_ns < before_ns, CALL.c.state.notin_(OPEN))
    gone = select(DELIVERY.c.id).where(
        DELIVERY.c.call.in_(old) | (DELIVERY.c.call.is_(None) & (DELIVERY.c.done_ns < before_ns))
    )
    db.execute(delete(ATTEMPT).where(ATTEMPT.c.delivery.in_(gone)))
    count = db.execute(delete(DELIVERY).where(DELIVERY.c.id.in_(gone))).rowcount
    db.execute(delete(MEMBER).where(MEMBER.c.call.in_(old)))
    db.execute(delete(CALL).where(CALL.c.ended_ns < before_ns, CALL.c.state.notin_(OPEN)))
    return count


def _chunks(some: list[int]) -> list[list[int]]:
    return [some[at : at + _CHUNK] for at in range(0, len(some), _CHUNK)]
