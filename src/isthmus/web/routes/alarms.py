"""Alarms as people meet them: the list, what they do with it, the journal, performance and rationalisation."""

from __future__ import annotations

import asyncio
import csv
import io
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import Query, Request, Response
from pydantic import ConfigDict, Field
from starlette.responses import StreamingResponse

from isthmus.alarms import performance
from isthmus.alarms.model import MAX_SHELVE_S, AlarmRow, Definition, Entry, Occurrence
from isthmus.alarms.rationalisation import Declared, declared, edit_plant, guarded, lines
from isthmus.security.model import Action, Principal
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError
from isthmus.values.ids import MAX_PATH_CHARS
from isthmus.values.messages.alarms import PRIORITIES, State
from isthmus.web.access import Room, Seen, Sight, Who, allow
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound, Refused
from isthmus.web.routes.plant import PlanRequest, PlanWithText, plan_answer, plan_of
from isthmus.web.services import AlarmDesk, Sees, Services
from isthmus.web.times import iso, parse_time

router = routes_of("alarms")

MOST_ROWS: Final = 20_000
MOST_AT_ONCE: Final = 1000
"""Alarms of one deed: more than anybody sees on a page."""
MOST_SHELVE_MINUTES: Final = int(MAX_SHELVE_S // 60)
MOST_SERVICE_MINUTES: Final = 525_600
MOST_WAIT_S: Final = 25.0
MOST_JOURNAL: Final = 10_000
MOST_OCCURRENCES: Final = 200_000
MOST_LOOKED_AT: Final = 50_000
"""Lines of the journal that one search reads before it answers with what it has, and where to go on."""
MOST_BARS: Final = 432
MOST_RANGE_NS: Final = 400 * 86_400 * NS_PER_S
_PAGE: Final = 1000
_CHUNK: Final = 500

ASIDE: Final = frozenset({State.SHELVED, State.SUPPRESSED_BY_DESIGN, State.OUT_OF_SERVICE})
UNACKNOWLEDGED: Final = frozenset({State.UNACKNOWLEDGED, State.RETURNED_UNACKNOWLEDGED})

Under = Annotated[str, Query(max_length=MAX_PATH_CHARS, description="at or below this path; empty: everything")]
Moment = Annotated[str, Query(max_length=64)]
Search = Annotated[str, Query(max_length=200)]
Key = Annotated[str, Field(min_length=1, max_length=MAX_PATH_CHARS + 200)]
Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
Number = Annotated[int, Field(ge=1, le=2**53)]


class PriorityCounts(BaseModel):
    active: int = Field(description="not put aside")
    unacknowledged: int


class AlarmCountsAnswer(BaseModel):
    critical: PriorityCounts
    high: PriorityCounts
    medium: PriorityCounts
    low: PriorityCounts
    shelved: int
    suppressed: int
    out_of_service: int


class AlarmAnswer(BaseModel):
    occurrence: int = Field(description="0 while the condition does not hold")
    alarm: str = Field(description="permanent key")
    path: str
    asset: str
    name: str
    kind: str
    message: str
    priority: str
    state: State
    value: float | int | str | None
    word: str = Field(description="what the plant calls the value of a state; empty for a measured one")
    unit: str
    limit: float | None
    raised_at: str | None
    changed_at: str | None
    returned_at: str | None
    cleared_at: str | None
    acknowledged_at: str | None
    by: str
    comment: str
    shelved_until: str | None
    reason: str
    cause: str
    consequence: str
    response: str
    response_s: float | None = Field(description="how long there is to answer it")
    latched: bool


class AlarmList(BaseModel):
    version: int
    counts: AlarmCountsAnswer
    total: int = Field(description="rows that match, up to 20,000")
    most_shelve_minutes: int = Field(description="the longest time that an alarm may be shelved")
    alarms: list[AlarmAnswer]


class AlarmNews(BaseModel):
    version: int
    counts: AlarmCountsAnswer


class Acknowledge(BaseModel):
    occurrences: list[Number] = Field(min_length=1, max_length=MOST_AT_ONCE)
    comment: str = Field("", max_length=500)


class Reset(BaseModel):
    occurrences: list[Number] = Field(min_length=1, max_length=MOST_AT_ONCE)


class Shelve(BaseModel):
    alarms: list[Key] = Field(min_length=1, max_length=MOST_AT_ONCE)
    minutes: int = Field(ge=1, le=MOST_SHELVE_MINUTES)
    reason: Reason


class AlarmKeys(BaseModel):
    alarms: list[Key] = Field(min_length=1, max_length=MOST_AT_ONCE)


class OutOfService(BaseModel):
    alarms: list[Key] = Field(min_length=1, max_length=MOST_AT_ONCE)
    reason: Reason
    minutes: int | None = Field(None, ge=1, le=MOST_SERVICE_MINUTES)


class OccurrencesDone(BaseModel):
    version: int
    done: list[int] = Field(description="what was changed; what somebody else did meanwhile is left out")


class AlarmsDone(BaseModel):
    version: int
    done: list[str]


class JournalLine(BaseModel):
    seq: int
    time: str
    occurrence: int
    alarm: str
    path: str
    asset: str
    zone: str
    priority: str
    message: str
    before: State
    after: State
    value: float | int | str | None
    word: str = Field(description="what the plant calls the value of a state; empty for a measured one")
    unit: str
    limit: float | None
    by: str
    comment: str
    replayed: bool = Field(description="was over before anybody could hear of it")


class Journal(BaseModel):
    changes: list[JournalLine] = Field(description="newest first")
    before: int = Field(description="asks for the next page; 0 when there is none")


class OccurrenceAnswer(BaseModel):
    occurrence: int
    alarm: str
    path: str
    asset: str
    priority: str
    message: str
    raised_at: str
    acknowledged_at: str | None
    returned_at: str | None
    cleared_at: str | None
    by: str


class Occurrences(BaseModel):
    occurrences: list[OccurrenceAnswer] = Field(description="raised last first")
    complete: bool = Field(description="false when there are more than the limit")


class AlarmValues(BaseModel):
    """What may be changed while everything runs."""

    model_config = ConfigDict(extra="forbid")

    limit: float | None = Field(None, allow_inf_nan=False)
    deadband: float | None = Field(None, ge=0, allow_inf_nan=False)
    on_delay_s: float | None = Field(None, ge=0, le=86_400, allow_inf_nan=False)
    off_delay_s: float | None = Field(None, ge=0, le=86_400, allow_inf_nan=False)
    priority: Literal["critical", "high", "medium", "low"] | None = None


class ChangeAlarm(BaseModel):
    alarm: Key
    values: AlarmValues
    reason: Reason


class DefinitionAnswer(BaseModel):
    alarm: str
    path: str
    asset: str
    name: str
    kind: str
    unit: str
    state: State
    message: str
    cause: str
    consequence: str
    response: str
    response_s: float | None
    latch: bool
    changeable: bool = Field(description="false for one that another part of Isthmus reports: no file declares it")
    values: dict[str, Any] = Field(description="in force")
    declared: dict[str, Any] = Field(
        description="what the plant file says of those that were changed while Isthmus ran"
    )
    changed_by: str
    changed_at: str | None
    reason: str = Field(description="of that change")


class Definitions(BaseModel):
    definitions: list[DefinitionAnswer]
    total: int


class FrequentAnswer(BaseModel):
    alarm: str
    count: int
    share: float


class LongAnswer(BaseModel):
    alarm: str
    since: str


class FloodAnswer(BaseModel):
    start: str
    end: str
    alarms: int
    peak: int


class FigureAnswer(BaseModel):
    name: str
    value: float
    target: float
    met: bool | None = Field(description="null where there is nothing to judge")
    source: str


class Rate(BaseModel):
    start: str
    slot_s: float = Field(description="width of a bar; a multiple of ten minutes")
    peaks: list[int] = Field(description="most alarms in ten minutes, bar by bar")


class PerformanceAnswer(BaseModel):
    start: str
    end: str
    alarms: int
    complete: bool = Field(description="false when there are more than could be counted")
    average: float = Field(description="alarms per ten minutes")
    per_day: float
    peak: int
    peak_at: str | None
    flood_share: float
    floods: list[FloodAnswer]
    standing: list[LongAnswer]
    stale: list[LongAnswer]
    chattering: list[FrequentAnswer]
    fleeting: list[FrequentAnswer]
    top: list[FrequentAnswer]
    top_share: float
    distribution: dict[str, int]
    rate: Rate
    figures: list[FigureAnswer]


class RationalisationPlan(PlanWithText):
    alarms: list[str] = Field(description="alarms that differ")


# --- what everything below needs -----------------------------------------------------------------------------------------


def _desk(services: Services) -> AlarmDesk:
    if services.alarms is None:
        raise Refused("this server judges no alarms", 501, "no_alarms")
    return services.alarms


def _eyes(sight: Sight) -> Sees | None:
    """What the desk is told about sight; None where nothing is narrowed."""
    return sight if sight.narrowed else None


def _at(time_ns: int | None) -> str | None:
    return None if time_ns is None else iso(time_ns)


def _range(services: Services, start: str, end: str) -> tuple[int, int]:
    now_ns = services.clock.now_ns()
    start_ns, end_ns = parse_time(start, now_ns, "start"), parse_time(end, now_ns, "end")
    if start_ns >= end_ns:
        raise ConfigError(f"start: must be before end, was {start!r} with end {end!r}")
    return start_ns, end_ns


def counts_answer(desk: AlarmDesk, eyes: Sees | None) -> dict[str, Any]:
    """How many alarms somebody sees."""
    counts = desk.counts(eyes)
    return _shaped(counts.states, counts.priorities, counts.unacknowledged)


def _shaped(states: Mapping[State, int], active: Mapping[str, int], waiting: Mapping[str, int]) -> dict[str, Any]:
    return {
        **{p: {"active": active.get(p, 0), "unacknowledged": waiting.get(p, 0)} for p in PRIORITIES},
        "shelved": states.get(State.SHELVED, 0),
        "suppressed": states.get(State.SUPPRESSED_BY_DESIGN, 0),
        "out_of_service": states.get(State.OUT_OF_SERVICE, 0),
    }


class News:
    """How the alarms are, for the live stream."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def version(self) -> int:
        """Grows with each change; -1 where no alarms are judged."""
        return -1 if self._services.alarms is None else self._services.alarms.version

    def told(self, principal: Principal) -> str:
        """The version and the counts that somebody sees, as JSON."""
        desk = self._services.alarms
        if desk is None:
            return orjson.dumps({"alarms": None}).decode()
        sight = Sight(self._services.policies.current(), principal)
        return orjson.dumps({"alarms": {"version": desk.version, "counts": counts_answer(desk, _eyes(sight))}}).decode()


Words = Callable[[str, float | str | None], str]
"""What the plant calls a value of a tag, by the tag's path; empty where it has no word for it."""


def _words(services: Services) -> Words:
    """The words of states of the plant as it is now."""
    tags = services.namespace.current().by_path

    def word(path: str, value: float | str | None) -> str:
        tag = tags.get(path)
        if tag is None or not tag.states or isinstance(value, str | None):
            return ""
        return tag.states.get(int(value), "") if value == int(value) else ""

    return word


def row_answer(row: AlarmRow, words: Words) -> dict[str, Any]:
    """A row as it is sent."""
    return {
        "occurrence": row.occurrence,
        "alarm": row.alarm,
        "path": row.path,
        "asset": row.asset,
        "name": row.name,
        "kind": row.kind,
        "message": row.message,
        "priority": row.priority,
        "state": row.state.value,
        "value": row.value,
        "word": words(row.path, row.value),
        "unit": row.unit,
        "limit": row.limit,
        "raised_at": _at(row.raised_ns),
        "changed_at": _at(row.changed_ns),
        "returned_at": _at(row.returned_ns),
        "cleared_at": _at(row.cleared_ns),
        "acknowledged_at": _at(row.acknowledged_ns),
        "by": row.by,
        "comment": row.comment,
        "shelved_until": _at(row.shelved_until_ns),
        "reason": row.reason,
        "cause": row.cause,
        "consequence": row.consequence,
        "response": row.response,
        "response_s": row.response_s,
        "latched": row.latched,
    }


def _list(head: dict[str, Any], name: str, items: Iterable[dict[str, Any]]) -> bytes:
    """An object that ends in a long list, written by and by: one long list would stop every other thread."""
    items, parts = iter(items), []
    while chunk := list(itertools.islice(items, _CHUNK)):
        parts.append(orjson.dumps(chunk)[1:-1])
    return b"".join((orjson.dumps(head)[:-1], b',"', name.encode(), b'":[', b",".join(parts), b"]}"))


# --- the list ------------------------------------------------------------------------------------------------------------


@router.get("/alarms", dependencies=allow(Action.READ, part=True), response_model=AlarmList)
async def list_alarms(
    services: Room,
    sight: Seen,
    under: Under = "",
    state: Annotated[list[State], Query(max_length=8)] = [],  # noqa: B006  FastAPI copies it
    priority: Annotated[list[Literal["critical", "high", "medium", "low"]], Query(max_length=4)] = [],  # noqa: B006  the same
    order: Annotated[
        Literal["urgent", "newest"], Query(description="urgent: unacknowledged first, then by priority, then newest")
    ] = "urgent",
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 500,
) -> Response:
    """Alarms that are not Normal, and how many there are."""
    desk, eyes = _desk(services), _eyes(sight)
    version, counts = desk.version, counts_answer(desk, eyes)
    newest = order == "newest"
    rows = desk.rows(under=under, states=state, priorities=priority, limit=limit, sight=eyes, newest=newest)
    total = len(rows)
    if total == limit:
        total = desk.total(under=under, states=state, priorities=priority, sight=eyes)
    head = {"version": version, "counts": counts, "total": total, "most_shelve_minutes": MOST_SHELVE_MINUTES}
    words = _words(services)
    body = await asyncio.to_thread(_list, head, "alarms", (row_answer(row, words) for row in rows))
    return Response(body, media_type="application/json")


@router.get("/alarms/wait", dependencies=allow(Action.READ, part=True))
async def wait_for_alarms(
    services: Room,
    sight: Seen,
    version: Annotated[int, Query(ge=-1, le=2**53, description="as answered last")] = -1,
    timeout_s: Annotated[float, Query(ge=0, le=MOST_WAIT_S)] = MOST_WAIT_S,
) -> AlarmNews:
    """The counts as soon as there is another version, or when the time is up."""
    desk = _desk(services)
    now = desk.version
    if now == version:
        now = await desk.wait(version, timeout_s)
    return AlarmNews(version=now, counts=AlarmCountsAnswer.model_validate(counts_answer(desk, _eyes(sight))))


# --- what people do with it ----------------------------------------------------------------------------------------------


def _places_of(desk: AlarmDesk, eyes: Sees | None, occurrences: Sequence[int]) -> Mapping[int, str]:
    """Where occurrences are that are still there; who may not see one is told that there is none."""
    found = desk.paths(occurrences)
    hidden = [n for n, path in found.items() if eyes is not None and not eyes.path(path)]
    if hidden:
        raise NotFound(f"there is no alarm {hidden[0]}", "unknown_alarm")
    return found


def _paths_of(desk: AlarmDesk, alarms: Sequence[str]) -> dict[str, str]:
    """Where alarms are, by their keys: that of the tag or asset stands in the key; another room's are in the list."""
    places = {alarm: alarm.rpartition("#")[0] if "#" in alarm else desk.path_of(alarm) for alarm in alarms}
    found = {alarm: path for alarm, path in places.items() if path is not None}
    missing = next((alarm for alarm in alarms if alarm not in found), None)
    if missing is not None:
        raise NotFound(f"there is no alarm {missing[:200]!r}", "unknown_alarm")
    return found


def _check(services: Services, principal: Principal, action: Action, paths: Iterable[str]) -> None:
    """Whether somebody may do it everywhere it is to be done.

    Raises: Denied
    """
    policy = services.policies.current()
    for path in dict.fromkeys(paths):
        policy.decide(principal, action, path).check()


def _may(
    services: Services, principal: Principal, sight: Sight, action: Action, alarms: Sequence[str]
) -> tuple[AlarmDesk, list[str]]:
    """The desk, and each alarm once, when all may be touched."""
    desk = _desk(services)
    paths = _paths_of(desk, alarms)
    hidden = next((alarm for alarm, path in paths.items() if not sight.path(path)), None)
    if hidden is not None:
        raise NotFound(f"there is no alarm {hidden[:200]!r}", "unknown_alarm")
    _check(services, principal, action, paths.values())
    return desk, list(dict.fromkeys(alarms))


def _some(things: Sequence[object]) -> dict[str, Any]:
    """What the audit trail keeps of a list: its length, and the first of it."""
    return {"count": len(things), "first": list(things[:20])}


@router.post("/alarms/acknowledge", dependencies=allow(Action.ALARM_ACKNOWLEDGE, part=True))
async def acknowledge_alarms(
    asked: Acknowledge, services: Room, sight: Seen, principal: Who, request: Request
) -> OccurrencesDone:
    """Say that somebody has seen these and takes care of them: only what was on the screen, never all there are."""
    desk = _desk(services)
    places = _places_of(desk, _eyes(sight), asked.occurrences)
    _check(services, principal, Action.ALARM_ACKNOWLEDGE, places.values())
    told(request).update(target="alarms", reason=asked.comment, new={"acknowledged": _some(asked.occurrences)})
    done = await desk.acknowledge(principal, list(places), asked.comment) if places else ()
    return OccurrencesDone(version=desk.version, done=list(done))


@router.post("/alarms/reset", dependencies=allow(Action.ALARM_ACKNOWLEDGE, part=True))
async def reset_alarms(asked: Reset, services: Room, sight: Seen, principal: Who, request: Request) -> OccurrencesDone:
    """Let latched alarms go whose condition has returned."""
    desk = _desk(services)
    places = _places_of(desk, _eyes(sight), asked.occurrences)
    _check(services, principal, Action.ALARM_ACKNOWLEDGE, places.values())
    told(request).update(target="alarms", new={"reset": _some(asked.occurrences)})
    done = await desk.reset(principal, list(places)) if places else ()
    return OccurrencesDone(version=desk.version, done=list(done))


@router.post("/alarms/shelve", dependencies=allow(Action.ALARM_SHELVE, part=True))
async def shelve_alarms(asked: Shelve, services: Room, sight: Seen, principal: Who, request: Request) -> AlarmsDone:
    """Put alarms aside for a while, with a reason; they come back by themselves."""
    desk, alarms = _may(services, principal, sight, Action.ALARM_SHELVE, asked.alarms)
    until_ns = services.clock.now_ns() + asked.minutes * 60 * NS_PER_S
    told(request).update(target="alarms", reason=asked.reason, new={"shelved": _some(alarms), "until": iso(until_ns)})
    done = await desk.shelve(principal, alarms, until_ns, asked.reason)
    return AlarmsDone(version=desk.version, done=list(done))


@router.post("/alarms/unshelve", dependencies=allow(Action.ALARM_SHELVE, part=True))
async def unshelve_alarms(
    asked: AlarmKeys, services: Room, sight: Seen, principal: Who, request: Request
) -> AlarmsDone:
    """Take alarms back that were put aside."""
    desk, alarms = _may(services, principal, sight, Action.ALARM_SHELVE, asked.alarms)
    told(request).update(target="alarms", new={"unshelved": _some(alarms)})
    done = await desk.unshelve(principal, alarms)
    return AlarmsDone(version=desk.version, done=list(done))


@router.post("/alarms/out-of-service", dependencies=allow(Action.ALARM_CHANGE, part=True))
async def take_alarms_out_of_service(
    asked: OutOfService, services: Room, sight: Seen, principal: Who, request: Request
) -> AlarmsDone:
    """Judge alarms no more until they are put in service again, or the time is up: for work on what they watch."""
    desk, alarms = _may(services, principal, sight, Action.ALARM_CHANGE, asked.alarms)
    until_ns = None if asked.minutes is None else services.clock.now_ns() + asked.minutes * 60 * NS_PER_S
    told(request).update(
        target="alarms", reason=asked.reason, new={"out_of_service": _some(alarms), "until": _at(until_ns)}
    )
    done = await desk.out_of_service(principal, alarms, asked.reason, until_ns)
    return AlarmsDone(version=desk.version, done=list(done))


@router.post("/alarms/in-service", dependencies=allow(Action.ALARM_CHANGE, part=True))
async def put_alarms_in_service(
    asked: AlarmKeys, services: Room, sight: Seen, principal: Who, request: Request
) -> AlarmsDone:
    """Judge alarms again."""
    desk, alarms = _may(services, principal, sight, Action.ALARM_CHANGE, asked.alarms)
    told(request).update(target="alarms", new={"in_service": _some(alarms)})
    done = await desk.in_service(principal, alarms)
    return AlarmsDone(version=desk.version, done=list(done))


# --- the journal ---------------------------------------------------------------------------------------------------------


class _Wanted:
    """What a search of the journal lets through."""

    def __init__(self, sight: Sight, priority: Sequence[str], by: str, text: str) -> None:
        self._sight, self._priority = sight, frozenset(priority)
        self._by, self._words = by.casefold(), text.casefold().split()

    def __call__(self, entry: Entry) -> bool:
        change = entry.change
        if not self._sight.path(change.path) or (self._priority and change.priority not in self._priority):
            return False
        if self._by and self._by != change.by.casefold():
            return False
        said = f"{change.path} {change.message} {change.by} {entry.comment}".casefold() if self._words else ""
        return all(word in said for word in self._words)


def journal_line(entry: Entry, words: Words) -> dict[str, Any]:
    """A change as it is sent."""
    change = entry.change
    return {
        "seq": change.seq,
        "time": iso(change.time_ns),
        "occurrence": change.occurrence,
        "alarm": change.alarm,
        "path": change.path,
        "asset": change.asset,
        "zone": change.zone,
        "priority": change.priority,
        "message": change.message,
        "before": change.before.value,
        "after": change.after.value,
        "value": change.value,
        "word": words(change.path, change.value),
        "unit": change.unit,
        "limit": change.limit,
        "by": change.by,
        "comment": entry.comment,
        "replayed": change.replayed,
    }


@router.get("/alarms/journal", dependencies=allow(Action.READ, "history", part=True))
async def search_alarm_journal(
    services: Room,
    sight: Seen,
    start: Moment = "now-1d",
    end: Moment = "now",
    under: Under = "",
    alarm: Annotated[str, Query(max_length=MAX_PATH_CHARS + 200)] = "",
    priority: Annotated[list[Literal["critical", "high", "medium", "low"]], Query(max_length=4)] = [],  # noqa: B006  FastAPI copies it
    by: Search = "",
    text: Search = "",
    limit: Annotated[int, Query(ge=1, le=MOST_JOURNAL)] = 500,
    before: Annotated[int, Query(ge=1, le=2**53)] = 2**53,
) -> Journal:
    """Every change of every alarm in [start, end), newest first."""
    desk, (start_ns, end_ns) = _desk(services), _range(services, start, end)
    wanted = _Wanted(sight, priority, by, text)
    found: list[Entry] = []
    looked = 0
    while len(found) < limit and looked < MOST_LOOKED_AT:
        page = await desk.journal(start_ns, end_ns, under=under, alarm=alarm, limit=_PAGE, before=before)
        for place, entry in enumerate(page):
            before = entry.change.seq
            if wanted(entry):
                found.append(entry)
            if len(found) == limit and place < len(page) - 1:
                break
        else:
            if len(page) < _PAGE:
                before = 0
                break
        looked += len(page)
    words = _words(services)
    return Journal(changes=[JournalLine(**journal_line(one, words)) for one in found], before=before)


CHANGE_COLUMNS: Final = (
    "time",
    "alarm",
    "path",
    "asset",
    "zone",
    "priority",
    "message",
    "before",
    "after",
    "value",
    "word",
    "unit",
    "limit",
    "by",
    "comment",
    "occurrence",
    "replayed",
    "seq",
)
OCCURRENCE_COLUMNS: Final = (
    "raised_at",
    "alarm",
    "path",
    "asset",
    "priority",
    "message",
    "acknowledged_at",
    "returned_at",
    "cleared_at",
    "by",
    "acknowledged_after_s",
    "active_s",
    "annunciated_s",
    "occurrence",
)


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    for row in rows:
        writer.writerow([_cell(row[name]) for name in columns])
    return out.getvalue().encode()


def _cell(value: Any) -> Any:
    """Texts of people and devices, so that no spreadsheet takes one for a formula."""
    return guarded(value) if isinstance(value, str) else value


async def _changes(
    desk: AlarmDesk, wanted: _Wanted, words: Words, start_ns: int, end_ns: int, under: str, alarm: str
) -> AsyncIterator[bytes]:
    """The journal as CSV, page by page: nothing grows with the range."""
    yield _csv(CHANGE_COLUMNS, [dict(zip(CHANGE_COLUMNS, CHANGE_COLUMNS, strict=True))])
    before = 2**53
    while True:
        page = await desk.journal(start_ns, end_ns, under=under, alarm=alarm, limit=_PAGE, before=before)
        rows = [journal_line(entry, words) for entry in page if wanted(entry)]
        if rows:
            yield await asyncio.to_thread(_csv, CHANGE_COLUMNS, rows)
        if len(page) < _PAGE:
            return
        before = page[-1].change.seq


def occurrence_answer(one: Occurrence) -> dict[str, Any]:
    """An occurrence as it is sent."""
    return {
        "occurrence": one.id,
        "alarm": one.alarm,
        "path": one.path,
        "asset": one.asset,
        "priority": one.priority,
        "message": one.message,
        "raised_at": iso(one.raised_ns),
        "acknowledged_at": _at(one.acknowledged_ns),
        "returned_at": _at(one.returned_ns),
        "cleared_at": _at(one.cleared_ns),
        "by": one.by,
    }


def _with_durations(one: Occurrence) -> dict[str, Any]:
    def after(time_ns: int | None) -> float | str:
        return "" if time_ns is None else round((time_ns - one.raised_ns) / NS_PER_S, 3)

    return {
        **{name: "" if value is None else value for name, value in occurrence_answer(one).items()},
        "acknowledged_after_s": after(one.acknowledged_ns),
        "active_s": after(one.returned_ns),
        "annunciated_s": after(one.cleared_ns),
    }


def _occurrence_blocks(found: Sequence[Occurrence]) -> Iterator[bytes]:
    yield _csv(OCCURRENCE_COLUMNS, [dict(zip(OCCURRENCE_COLUMNS, OCCURRENCE_COLUMNS, strict=True))])
    rows = map(_with_durations, found)
    while chunk := list(itertools.islice(rows, _PAGE)):
        yield _csv(OCCURRENCE_COLUMNS, chunk)


@router.get(
    "/alarms/journal/export",
    dependencies=allow(Action.READ, "history", part=True),
    response_model=None,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def export_alarm_journal(
    services: Room,
    sight: Seen,
    start: Moment = "now-1d",
    end: Moment = "now",
    under: Under = "",
    alarm: Annotated[str, Query(max_length=MAX_PATH_CHARS + 200)] = "",
    priority: Annotated[list[Literal["critical", "high", "medium", "low"]], Query(max_length=4)] = [],  # noqa: B006  FastAPI copies it
    by: Search = "",
    text: Search = "",
    shape: Annotated[
        Literal["changes", "occurrences"], Query(description="occurrences: one line an alarm, with durations")
    ] = "changes",
) -> StreamingResponse:
    """The journal of [start, end) as CSV, streamed. `priority`, `by` and `text` narrow changes."""
    desk, (start_ns, end_ns) = _desk(services), _range(services, start, end)
    headers = {"content-disposition": f'attachment; filename="alarm-{shape}.csv"'}
    if shape == "changes":
        blocks = _changes(desk, _Wanted(sight, priority, by, text), _words(services), start_ns, end_ns, under, alarm)
        return StreamingResponse(blocks, media_type="text/csv", headers=headers)
    found, complete = await _occurrences(desk, sight, start_ns, end_ns, under, alarm, MOST_OCCURRENCES)
    if not complete:
        raise Refused(f"more than {MOST_OCCURRENCES} alarms in this time; ask for less of it", 413, "too_large")
    return StreamingResponse(_occurrence_blocks(found), media_type="text/csv", headers=headers)


async def _occurrences(
    desk: AlarmDesk, sight: Sight, start_ns: int, end_ns: int, under: str, alarm: str, limit: int
) -> tuple[list[Occurrence], bool]:
    """Those that are seen, raised last first, and whether they are all."""
    found = await desk.occurrences(start_ns, end_ns, under=under, alarm=alarm, limit=limit + 1)
    complete = len(found) <= limit
    seen = [one for one in found[:limit] if sight.path(one.path)]
    return sorted(seen, key=lambda one: (-one.raised_ns, -one.id)), complete


@router.get("/alarms/occurrences", dependencies=allow(Action.READ, "history", part=True), response_model=Occurrences)
async def list_alarm_occurrences(
    services: Room,
    sight: Seen,
    start: Moment = "now-1d",
    end: Moment = "now",
    under: Under = "",
    alarm: Annotated[str, Query(max_length=MAX_PATH_CHARS + 200)] = "",
    limit: Annotated[int, Query(ge=1, le=MOST_JOURNAL)] = 1000,
) -> Response:
    """Alarms that were active or annunciated at some time in [start, end)."""
    desk, (start_ns, end_ns) = _desk(services), _range(services, start, end)
    found, complete = await _occurrences(desk, sight, start_ns, end_ns, under, alarm, limit)
    body = await asyncio.to_thread(_list, {"complete": complete}, "occurrences", map(occurrence_answer, found))
    return Response(body, media_type="application/json")


# --- performance ---------------------------------------------------------------------------------------------------------


@router.get("/alarms/performance", dependencies=allow(Action.READ, "history", part=True))
async def alarm_performance(
    services: Room, sight: Seen, start: Moment = "now-1d", end: Moment = "now", under: Under = ""
) -> PerformanceAnswer:
    """How well the alarm system serves its operators in [start, end): the figures of ISA-18.2 and IEC 62682."""
    desk, (start_ns, end_ns) = _desk(services), _range(services, start, end)
    if end_ns - start_ns > MOST_RANGE_NS:
        raise ConfigError(f"start: at most 400 days before end, was {start!r}")
    found, complete = await _occurrences(desk, sight, start_ns, end_ns, under, "", MOST_OCCURRENCES)
    return await asyncio.to_thread(_judged, found, start_ns, end_ns, complete)


def _judged(found: Sequence[Occurrence], start_ns: int, end_ns: int, complete: bool) -> PerformanceAnswer:
    told_of = performance.judge(performance.Columns.of(found), start_ns, end_ns)
    wide, peaks = performance.bars(told_of.rate, MOST_BARS)

    def often(some: Sequence[performance.Frequent]) -> list[FrequentAnswer]:
        return [FrequentAnswer(alarm=one.alarm, count=one.count, share=one.share) for one in some[:50]]

    def long(some: Sequence[performance.Long]) -> list[LongAnswer]:
        return [LongAnswer(alarm=one.alarm, since=iso(one.since_ns)) for one in some[:200]]

    return PerformanceAnswer(
        start=iso(start_ns),
        end=iso(end_ns),
        alarms=told_of.alarms,
        complete=complete,
        average=told_of.average,
        per_day=told_of.per_day,
        peak=told_of.peak,
        peak_at=iso(told_of.peak_ns) if told_of.peak else None,
        flood_share=told_of.flood_share,
        floods=[
            FloodAnswer(start=iso(f.start_ns), end=iso(f.end_ns), alarms=f.alarms, peak=f.peak)
            for f in told_of.floods[:200]
        ],
        standing=long(told_of.standing),
        stale=long(told_of.stale),
        chattering=often(told_of.chattering),
        fleeting=often(told_of.fleeting),
        top=often(told_of.top),
        top_share=told_of.top_share,
        distribution=told_of.distribution,
        rate=Rate(start=iso(told_of.first_slot_ns), slot_s=wide * 600.0, peaks=peaks.tolist()),
        figures=[
            FigureAnswer(name=f.name, value=f.value, target=f.target, met=f.met, source=f.source)
            for f in told_of.figures
        ],
    )


# --- definitions and rationalisation -------------------------------------------------------------------------------------


def definition_answer(one: Definition) -> dict[str, Any]:
    """A definition as it is sent."""
    spec = None if one.alarm is None else one.alarm.spec
    return {
        "alarm": one.key,
        "path": one.path,
        "asset": one.asset,
        "name": one.name,
        "kind": one.kind,
        "unit": "" if spec is None else spec.unit,
        "state": one.state.value,
        "message": "" if spec is None else spec.message,
        "cause": "" if spec is None else spec.cause,
        "consequence": "" if spec is None else spec.consequence,
        "response": "" if spec is None else spec.response,
        "response_s": None if spec is None else spec.response_s,
        "latch": spec is not None and spec.latch,
        "changeable": spec is not None,
        "values": dict(one.values),
        "declared": dict(one.declared),
        "changed_by": one.changed_by,
        "changed_at": _at(one.changed_ns),
        "reason": one.change_reason,
    }


def _fits(one: Definition, priorities: Sequence[str], words: Sequence[str]) -> bool:
    """Whether a definition has one of the priorities, where any are asked for, and every word."""
    if priorities and one.values.get("priority") not in priorities:
        return False
    shown = f"{one.path} {one.name} {one.alarm.spec.message if one.alarm else ''}".casefold() if words else ""
    return all(word in shown for word in words)


@router.get("/alarms/definitions", dependencies=allow(Action.READ, part=True), response_model=Definitions)
async def list_alarm_definitions(
    services: Room,
    sight: Seen,
    under: Under = "",
    priority: Annotated[list[Literal["critical", "high", "medium", "low"]], Query(max_length=4)] = [],  # noqa: B006  FastAPI copies it
    text: Search = "",
    changed: Annotated[bool, Query(description="only what differs from the plant file")] = False,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 1000,
) -> Response:
    """Every alarm that is judged, with what is in force and what the plant file says."""
    words = text.casefold().split()
    found = [
        one
        for one in _desk(services).definitions(under)
        if sight.path(one.path) and (one.declared or not changed) and _fits(one, priority, words)
    ]
    page = map(definition_answer, found[offset : offset + limit])
    body = await asyncio.to_thread(_list, {"total": len(found)}, "definitions", page)
    return Response(body, media_type="application/json")


@router.patch("/alarms/definitions", dependencies=allow(Action.ALARM_CHANGE, part=True))
async def change_alarm_definition(
    asked: ChangeAlarm, services: Room, sight: Seen, principal: Who, request: Request
) -> DefinitionAnswer:
    """Change an alarm while everything runs: it outlives a restart, and is shown as differing from the plant file."""
    desk, _ = _may(services, principal, sight, Action.ALARM_CHANGE, [asked.alarm])
    values = asked.values.model_dump(exclude_none=True)
    if not values:
        raise ConfigError("values: names nothing to change")
    path = _paths_of(desk, [asked.alarm])[asked.alarm]
    before = next((one for one in desk.definitions(path) if one.key == asked.alarm), None)
    if before is None:
        raise NotFound(f"there is no alarm {asked.alarm[:200]!r}", "unknown_alarm")
    told(request).update(
        target=f"alarms/{asked.alarm}",
        reason=asked.reason,
        old={name: before.values.get(name) for name in values},
        new=values,
    )
    after = await desk.change(principal, asked.alarm, values, asked.reason)
    return DefinitionAnswer(**definition_answer(after))


@router.get(
    "/alarms/rationalisation",
    dependencies=allow(Action.READ, part=True),
    response_model=None,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def export_rationalisation(
    services: Room,
    sight: Seen,
    under: Under = "",
    delimiter: Annotated[Literal["comma", "semicolon"], Query()] = "comma",
) -> StreamingResponse:
    """Every alarm as the plant file has it, as CSV to work on in a spreadsheet (UTF-8)."""
    found = (one for one in _desk(services).definitions(under) if sight.path(one.path))
    text = lines(_declared(found), ";" if delimiter == "semicolon" else ",")
    body = itertools.chain((b"\xef\xbb\xbf",), _blocks(text))
    headers = {"content-disposition": 'attachment; filename="alarms.csv"'}
    return StreamingResponse(body, media_type="text/csv", headers=headers)


def _declared(definitions: Iterable[Definition]) -> Iterator[Declared]:
    """What of them the plant file says; alarms that other rooms report stand in no file."""
    return (declared(one.alarm) for one in definitions if one.alarm is not None)


def _blocks(text: Iterator[str]) -> Iterator[bytes]:
    while chunk := list(itertools.islice(text, _PAGE)):
        yield "".join(chunk).encode()


@router.post(
    "/alarms/rationalisation",
    dependencies=allow(Action.ALARM_CHANGE),
    openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def plan_rationalisation(services: Room, request: Request) -> RationalisationPlan:
    """The plant file as such a table wants it, and what applying it would change; changes nothing.

    Applied like any other plan, by `POST plant/apply` or `POST plant/changes` with this text and base.
    """
    data = await request.body()
    return await asyncio.to_thread(_planned, services, data)


def _planned(services: Services, data: bytes) -> RationalisationPlan:
    version = services.namespace.current().version
    if not version:
        raise ConfigError("plant: no plant was applied yet, so there is no alarm to change")
    edited = edit_plant(services.namespace.version(version).text, data, _declared(_desk(services).definitions()))
    result = plan_of(services, PlanRequest(text=edited.text, base=version, files={}))
    return RationalisationPlan.model_validate(
        {**plan_answer(services, result), "text": edited.text, "alarms": list(edited.alarms)}
    )
