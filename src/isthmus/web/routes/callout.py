"""Call-out: who is on duty, who is told of which alarms by what, what was delivered, and the page behind a link."""

from __future__ import annotations

import asyncio
import base64
from datetime import date, datetime
from hashlib import sha256
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import Field

from isthmus.alarms.callout import links, texts
from isthmus.alarms.callout.model import Channel, Contact, Quiet, Rule, Step
from isthmus.alarms.callout.rota import LONGEST_DAYS, Exchange, Holiday, Rota, Turn
from isthmus.alarms.callout.service import Asked, CallOut, CallShown, ChannelState, Logged, RotaState, RuleState
from isthmus.alarms.callout.store import Delivery, Version
from isthmus.security.model import Action, Principal, Proof
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import Denied, IsthmusError
from isthmus.web.access import Room, Who, allow
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.services import Services
from isthmus.web.times import iso, parse_time

router = routes_of("callout")

Name = Annotated[str, Path(min_length=1, max_length=64)]
PersonName = Annotated[str, Field(min_length=1, max_length=64)]
Short = Annotated[str, Field(max_length=64)]
Base = Annotated[
    int | None,
    Field(
        ge=0, le=2**31 - 1, description="the version this was changed from, 0 for a new one; none: whatever is in force"
    ),
]
Reason = Annotated[str, Field(max_length=1000)]
MOST_LOGGED = 500


class HolidayBody(BaseModel):
    day: date
    person: str = Field("", max_length=64, description="empty: nobody")


class ExchangeBody(BaseModel):
    start: datetime = Field(description="plant time, without Z or offset")
    end: datetime
    person: str = Field("", max_length=64, description="empty: nobody")
    reason: str = Field("", max_length=200)


class RotaParts(BaseModel):
    people: list[PersonName] = Field(max_length=50, description="accounts, in the order of their turns")
    first: date = Field(description="a day of the first one's first turn")
    weeks: int = Field(1, ge=1, le=12, description="how long a turn is")
    hand_over: str = Field("Mon 08:00", max_length=20, description="day and plant time")
    hours: str = Field("", max_length=1000, description="a window such as Mon 17:00-Fri 08:00; empty: always")
    holidays: list[HolidayBody] = Field(default=[], max_length=400, description="from hand-over time to hand-over time")
    exceptions: list[ExchangeBody] = Field(default=[], max_length=400)


class RotaBody(RotaParts):
    base: Base = None
    reason: Reason = ""


class StepBody(BaseModel):
    who: str = Field(max_length=80, description="rota:NAME (who is on duty), all:NAME (everybody on it) or person:NAME")
    channels: list[Short] = Field(max_length=20)
    after_s: float = Field(0, ge=0, le=86_400, description="after the call began")
    repeat_s: float = Field(0, ge=0, le=86_400, description="0: not again")
    times: int = Field(0, ge=0, le=100, description="how often again")


class QuietBody(BaseModel):
    priorities: list[Short] = Field(max_length=10)
    hours: str = Field(max_length=1000, description="a window of plant time such as 22:00-06:00")


class RuleParts(BaseModel):
    priorities: list[Short] = Field(max_length=10)
    steps: list[StepBody] = Field(max_length=50)
    under: list[Annotated[str, Field(max_length=400)]] = Field(
        default=[], max_length=100, description="paths; empty: all"
    )
    zones: list[Short] = Field(default=[], max_length=100, description="empty: all")
    quiet: list[QuietBody] = Field(default=[], max_length=10)
    group_s: float = Field(10, ge=0, le=600, description="alarms that come within this are one message")
    then_s: float = Field(60, ge=0, le=3600, description="the same while a call of this rule is under way")
    until: Literal["acknowledged", "returned"] = "acknowledged"
    enabled: bool = True


class RuleBody(RuleParts):
    base: Base = None
    reason: Reason = ""


class ChannelParts(BaseModel):
    kind: Literal["email", "sms", "voice", "chat", "webhook", "file"]
    url: str = Field(
        max_length=200,
        description="reference to a secret that holds an apprise address, with {address} in it where it is personal",
    )
    personal: bool = Field(True, description="whether each person has an address of their own on it")


class ChannelBody(ChannelParts):
    base: Base = None
    reason: Reason = ""


class ContactBody(BaseModel):
    language: Literal["en", "fr", "de"] = "en"
    addresses: dict[str, Annotated[str, Field(max_length=200)]] = Field(
        max_length=20, description="by name of the channel"
    )


class TestMessage(BaseModel):
    channel: Short
    person: PersonName


class KeptVersion(BaseModel):
    version: int


class DutyTurn(BaseModel):
    person: str = Field(description="empty: nobody")
    start: str
    end: str
    why: Literal["turn", "hours", "holiday", "exception"]
    reason: str


class RotaAnswer(RotaParts):
    name: str
    version: int
    changed: str
    now: DutyTurn
    next: DutyTurn | None
    gaps: list[DutyTurn] = Field(description="of the next 28 days: when nobody is on duty")
    problems: list[str]


class CallRule(RuleParts):
    name: str
    version: int
    changed: str
    problems: list[str]


class CallChannel(ChannelParts):
    name: str
    version: int
    changed: str
    state: Literal["unused", "delivers", "failing", "not set"]
    reason: str
    since: str | None = Field(description="since when it fails")
    queued: int = Field(description="messages that wait for it")


class Reached(BaseModel):
    name: str
    language: str
    channels: list[str] = Field(description="on which an address is known")


class CallAnswer(BaseModel):
    id: int
    rule: str
    state: Literal["gathering", "calling", "acknowledged", "over", "unanswered"]
    alarms: int
    priority: str
    message: str = Field(description="of its first alarm")
    path: str = Field(description="of its first alarm")
    began: str
    next: str | None = Field(description="when somebody is told next")
    answered_by: str


class CallOutAnswer(BaseModel):
    timezone: str
    links: bool = Field(description="whether messages hold links to acknowledge by")
    rotas: list[RotaAnswer]
    rules: list[CallRule]
    channels: list[CallChannel]
    people: list[Reached] = Field(description="open accounts")
    calls: list[CallAnswer] = Field(description="those under way, newest first")


class ContactAnswer(ContactBody):
    person: str


class Contacts(BaseModel):
    contacts: list[ContactAnswer]


class RotaSchedule(BaseModel):
    turns: list[DutyTurn]


class PartVersion(BaseModel):
    version: int
    changed: str
    by: str
    reason: str
    removed: bool
    value: dict[str, Any] | None


class PartVersions(BaseModel):
    versions: list[PartVersion]


class DeliveryAttempt(BaseModel):
    time: str
    ended: str | None
    result: Literal["started", "delivered", "failed", "withdrawn", "interrupted"]
    reason: str


class DeliveryAnswer(BaseModel):
    id: int
    call: CallAnswer | None = Field(description="none for a test")
    step: int = Field(description="from 1")
    nth: int = Field(description="0 the first time, then how often it was repeated")
    person: str
    channel: str
    state: Literal["queued", "delivered", "failed", "withdrawn", "nobody"]
    created: str
    next: str | None = Field(description="the next attempt")
    ended: str | None
    answered: str | None = Field(description="when its link was used")
    reason: str
    attempts: list[DeliveryAttempt]


class Deliveries(BaseModel):
    deliveries: list[DeliveryAnswer]


def _room(services: Services) -> CallOut:
    if services.callout is None:
        raise NotFound("call-out is not served here", "no_callout")
    return services.callout


def _iso(time_ns: int | None) -> str | None:
    return None if time_ns is None else iso(time_ns)


def _turn(turn: Turn) -> dict[str, Any]:
    return {
        "person": turn.person,
        "start": iso(turn.start_ns),
        "end": iso(turn.end_ns),
        "why": turn.why,
        "reason": turn.reason,
    }


def parts(what: Rota | Rule | Channel) -> dict[str, Any]:
    """A rota, rule or channel as it is sent, without its name."""
    match what:
        case Rota():
            return {
                "people": list(what.people),
                "first": what.first.isoformat(),
                "weeks": what.weeks,
                "hand_over": what.hand_over,
                "hours": what.hours,
                "holidays": [{"day": h.day.isoformat(), "person": h.person} for h in what.holidays],
                "exceptions": [
                    {"start": e.start.isoformat(), "end": e.end.isoformat(), "person": e.person, "reason": e.reason}
                    for e in what.exceptions
                ],
            }
        case Rule():
            return {
                "priorities": list(what.priorities),
                "under": list(what.under),
                "zones": list(what.zones),
                "quiet": [{"priorities": list(q.priorities), "hours": q.hours} for q in what.quiet],
                "steps": [
                    {
                        "who": s.who,
                        "channels": list(s.channels),
                        "after_s": s.after_s,
                        "repeat_s": s.repeat_s,
                        "times": s.times,
                    }
                    for s in what.steps
                ],
                "group_s": what.group_s,
                "then_s": what.then_s,
                "until": what.until,
                "enabled": what.enabled,
            }
        case Channel():
            return {"kind": what.kind, "url": what.url, "personal": what.personal}


def _rota(state: RotaState) -> RotaAnswer:
    return RotaAnswer.model_validate(
        {
            "name": state.rota.name,
            **parts(state.rota),
            **_stamp(state.version),
            "now": _turn(state.now),
            "next": None if state.later is None else _turn(state.later),
            "gaps": [_turn(gap) for gap in state.gaps[:100]],
            "problems": state.problems,
        }
    )


def _rule(state: RuleState) -> CallRule:
    return CallRule.model_validate(
        {"name": state.rule.name, **parts(state.rule), **_stamp(state.version), "problems": state.problems}
    )


def _channel(state: ChannelState) -> CallChannel:
    health = state.health
    word = "not set" if state.missing else "failing" if health.failing else "delivers" if health.last_ns else "unused"
    return CallChannel.model_validate(
        {
            "name": state.channel.name,
            **parts(state.channel),
            **_stamp(state.version),
            "state": word,
            "reason": state.missing or health.reason,
            "since": _iso(health.since_ns),
            "queued": health.queued,
        }
    )


def _stamp(version: Version) -> dict[str, Any]:
    return {"version": version.version, "changed": iso(version.at_ns)}


def _call(shown: CallShown) -> CallAnswer:
    call = shown.call
    return CallAnswer.model_validate(
        {
            "id": call.id,
            "rule": call.rule,
            "state": str(call.state),
            "alarms": shown.alarms,
            "priority": shown.priority,
            "message": shown.message,
            "path": shown.path,
            "began": iso(call.created_ns),
            "next": _iso(call.due_ns),
            "answered_by": call.answered_by,
        }
    )


def _delivery(
    one: Delivery, attempts: list[tuple[int, int | None, str, str]], call: CallShown | None
) -> DeliveryAnswer:
    return DeliveryAnswer.model_validate(
        {
            "id": one.id,
            "call": None if call is None else _call(call),
            "step": one.step + 1,
            "nth": one.nth,
            "person": one.person,
            "channel": one.channel,
            "state": one.state,
            "created": iso(one.created_ns),
            "next": _iso(one.next_ns),
            "ended": _iso(one.done_ns),
            "answered": _iso(one.answered_ns),
            "reason": one.reason,
            "attempts": [
                {"time": iso(at), "ended": _iso(done), "result": result, "reason": reason}
                for at, done, result, reason in attempts
            ],
        }
    )


@router.get("/callout", dependencies=allow(Action.READ))
async def get_callout(services: Room) -> CallOutAnswer:
    """Who is on duty now and next, rules and channels with what is wrong with them, and the calls under way."""
    state = await _room(services).state()
    reached = {contact.person: contact for contact in state.contacts}
    return CallOutAnswer(
        timezone=state.zone,
        links=bool(state.link),
        rotas=[_rota(one) for one in state.rotas],
        rules=[_rule(one) for one in state.rules],
        channels=[_channel(one) for one in state.channels],
        people=[
            Reached(
                name=name,
                language=reached[name].language if name in reached else "en",
                channels=sorted(reached[name].addresses) if name in reached else [],
            )
            for name in state.people
        ],
        calls=[_call(one) for one in state.calls],
    )


@router.get("/callout/rotas/{name}/schedule", dependencies=allow(Action.READ))
async def get_schedule(
    services: Room,
    name: Name,
    start: Annotated[str, Query(max_length=40)] = "now",
    days: Annotated[int, Query(ge=1, le=LONGEST_DAYS)] = 28,
) -> RotaSchedule:
    """Who is on duty on a rota over a time."""
    start_ns = parse_time(start, services.clock.now_ns(), "start")
    end_ns = min(start_ns + days * 86_400 * NS_PER_S, _LAST_NS)
    try:
        turns = await _room(services).schedule(name, min(start_ns, end_ns - 1), end_ns)
    except KeyError:
        raise NotFound(f"no rota is called {name!r}", "unknown_rota") from None
    return RotaSchedule(turns=[DutyTurn.model_validate(_turn(turn)) for turn in turns])


_LAST_NS = 7_258_118_400 * NS_PER_S
"""Schedules end with the year 2199."""


@router.put("/callout/rotas/{name}", dependencies=allow(Action.CALLOUT_CHANGE))
async def put_rota(services: Room, principal: Who, name: Name, body: RotaBody, http: Request) -> KeptVersion:
    """Put a rota in force; the version before is kept."""
    rota = Rota(
        name,
        tuple(body.people),
        body.first,
        body.weeks,
        body.hand_over,
        body.hours,
        tuple(Holiday(one.day, one.person) for one in body.holidays),
        tuple(Exchange(one.start, one.end, one.person, one.reason) for one in body.exceptions),
    )
    return await _keep(services, principal, rota, body.base, body.reason, http)


@router.put("/callout/rules/{name}", dependencies=allow(Action.CALLOUT_CHANGE))
async def put_rule(services: Room, principal: Who, name: Name, body: RuleBody, http: Request) -> KeptVersion:
    """Put a rule in force; the version before is kept, and calls under way go on by theirs."""
    rule = Rule(
        name,
        tuple(body.priorities),
        tuple(Step(s.who, tuple(s.channels), s.after_s, s.repeat_s, s.times) for s in body.steps),
        tuple(body.under),
        tuple(body.zones),
        tuple(Quiet(tuple(q.priorities), q.hours) for q in body.quiet),
        body.group_s,
        body.then_s,
        body.until,
        body.enabled,
    )
    return await _keep(services, principal, rule, body.base, body.reason, http)


@router.put("/callout/channels/{name}", dependencies=allow(Action.CALLOUT_CHANGE))
async def put_channel(services: Room, principal: Who, name: Name, body: ChannelBody, http: Request) -> KeptVersion:
    """Put a channel in force; the version before is kept."""
    channel = Channel(name, body.kind, body.url, body.personal)
    return await _keep(services, principal, channel, body.base, body.reason, http)


async def _keep(
    services: Services, principal: Principal, what: Rota | Rule | Channel, base: int | None, reason: str, http: Request
) -> KeptVersion:
    told(http)["reason"] = reason
    version, before = await _room(services).keep(what, principal.name, reason, base)
    told(http)["new"] = await asyncio.to_thread(_audited, services, what)
    if before is not None:
        told(http)["old"] = await asyncio.to_thread(_audited, services, before)
    return KeptVersion(version=version)


def _audited(services: Services, what: Rota | Rule | Channel) -> dict[str, Any]:
    """For the audit log, which knows people by pseudonyms."""

    def other(name: str) -> str:
        return services.audit.person(name) if name else ""

    shown = parts(what)
    if isinstance(what, Rota):
        shown["people"] = [other(name) for name in what.people]
        for one in (*shown["holidays"], *shown["exceptions"]):
            one["person"] = other(one["person"])
    if isinstance(what, Rule):
        for step in shown["steps"]:
            kind, _, name = step["who"].partition(":")
            if kind == "person":
                step["who"] = f"person:{other(name)}"
    return shown


async def _remove(
    services: Services, principal: Principal, kind: str, name: str, reason: str, http: Request
) -> Response:
    told(http)["reason"] = reason
    try:
        before = await _room(services).remove(kind, name, principal.name, reason)
    except KeyError:
        raise NotFound(f"no {kind} is called {name!r}", f"unknown_{kind}") from None
    told(http)["old"] = await asyncio.to_thread(_audited, services, before)
    return Response(status_code=204)


async def _versions(services: Services, kind: str, name: str) -> PartVersions:
    found = await _room(services).versions(kind, name)
    if not found:
        raise NotFound(f"no {kind} is called {name!r}", f"unknown_{kind}")
    return PartVersions(
        versions=[
            PartVersion(
                version=one.version,
                changed=iso(one.at_ns),
                by=one.by,
                reason=one.reason,
                removed=one.what is None,
                value=None if one.what is None else parts(one.what),
            )
            for one in found
        ]
    )


Why = Annotated[str, Query(max_length=1000)]


@router.delete("/callout/rotas/{name}", dependencies=allow(Action.CALLOUT_CHANGE), status_code=204)
async def remove_rota(services: Room, principal: Who, name: Name, http: Request, reason: Why = "") -> Response:
    """Take a rota away; its versions are kept. 409 while a rule refers to it."""
    return await _remove(services, principal, "rota", name, reason, http)


@router.get("/callout/rotas/{name}/versions", dependencies=allow(Action.READ))
async def get_rota_versions(services: Room, name: Name) -> PartVersions:
    """Every version of a rota, newest first."""
    return await _versions(services, "rota", name)


@router.delete("/callout/rules/{name}", dependencies=allow(Action.CALLOUT_CHANGE), status_code=204)
async def remove_rule(services: Room, principal: Who, name: Name, http: Request, reason: Why = "") -> Response:
    """Take a rule away; its versions are kept, and calls under way go on."""
    return await _remove(services, principal, "rule", name, reason, http)


@router.get("/callout/rules/{name}/versions", dependencies=allow(Action.READ))
async def get_rule_versions(services: Room, name: Name) -> PartVersions:
    """Every version of a rule, newest first."""
    return await _versions(services, "rule", name)


@router.delete("/callout/channels/{name}", dependencies=allow(Action.CALLOUT_CHANGE), status_code=204)
async def remove_channel(services: Room, principal: Who, name: Name, http: Request, reason: Why = "") -> Response:
    """Take a channel away; its versions are kept. 409 while a rule refers to it."""
    return await _remove(services, principal, "channel", name, reason, http)


@router.get("/callout/channels/{name}/versions", dependencies=allow(Action.READ))
async def get_channel_versions(services: Room, name: Name) -> PartVersions:
    """Every version of a channel, newest first."""
    return await _versions(services, "channel", name)


@router.get("/callout/contacts", dependencies=allow(Action.CALLOUT_CHANGE))
async def get_contacts(services: Room) -> Contacts:
    """How people are reached; only for who may change it."""
    return Contacts(
        contacts=[
            ContactAnswer.model_validate({"person": c.person, "language": c.language, "addresses": dict(c.addresses)})
            for c in await _room(services).contacts()
        ]
    )


@router.put("/callout/contacts/{name}", dependencies=allow(Action.CALLOUT_CHANGE), status_code=204)
async def put_contact(services: Room, name: Name, body: ContactBody, http: Request) -> Response:
    """Keep how somebody is reached. The audit log has the channels, never the addresses."""
    told(http)["new"] = {"language": body.language, "channels": sorted(body.addresses)}
    await _room(services).keep_contact(Contact(name, body.language, dict(body.addresses)))
    return Response(status_code=204)


@router.delete("/callout/contacts/{name}", dependencies=allow(Action.CALLOUT_CHANGE), status_code=204)
async def remove_contact(services: Room, name: Name) -> Response:
    """Forget how somebody is reached."""
    if not await _room(services).forget_contact(name):
        raise NotFound(f"no address of {name} is known", "unknown_person")
    return Response(status_code=204)


@router.post("/callout/test", dependencies=allow(Action.CALLOUT_CHANGE))
async def send_test(services: Room, body: TestMessage, http: Request) -> DeliveryAnswer:
    """Send somebody a test message now, and say how it went."""
    told(http)["target"] = f"callout/test {body.channel} {await asyncio.to_thread(services.audit.person, body.person)}"
    one, attempts = await _room(services).test(body.channel, body.person)
    return _delivery(one, attempts, None)


@router.get("/callout/deliveries", dependencies=allow(Action.READ))
async def get_deliveries(
    services: Room,
    before: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="only deliveries with a smaller number")
    ] = None,
    call: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LOGGED)] = 100,
) -> Deliveries:
    """The delivery log with each attempt, newest first."""
    found: list[Logged] = await _room(services).deliveries(limit, before, call)
    return Deliveries(deliveries=[_delivery(one.delivery, one.attempts, one.call) for one in found])


# the page behind a link

Token = Annotated[str, Path(min_length=1, max_length=200)]
_STATUS = {"link_wrong": 404, "link_expired": 410, "link_spent": 410}
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(sha256(texts.STYLE.encode()).digest()).decode()}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def _page(text: str, status: int, request: Request, asked: Asked | None = None, **more: Any) -> HTMLResponse:
    language = asked.language if asked else _language(request)
    headers = {"content-security-policy": _POLICY, "x-robots-tag": "noindex"}
    return HTMLResponse(texts.page(language, text, **more), status, headers)


def _language(request: Request) -> str:
    return request.headers.get("accept-language", "en")[:2].casefold()


def _braked(services: Services, request: Request) -> HTMLResponse | None:
    source = request.client.host if request.client else ""
    wait_s = services.answers.wait_s(source, services.clock.monotonic_ns())
    if not wait_s:
        return None
    refused = _page(texts.word(_language(request), "wait"), 429, request)
    refused.headers["retry-after"] = str(wait_s)
    return refused


def _refused(error: IsthmusError, request: Request) -> HTMLResponse:
    language = _language(request)
    code = error.code if isinstance(error, Denied) else ""
    known = texts.word(language, code) if code in _STATUS else texts.word(language, "refused", reason=str(error))
    return _page(known, _STATUS.get(code, 403 if isinstance(error, Denied) else 503), request)


@router.get("/callout/answer/{token}", response_class=HTMLResponse)
async def show_answer(services: Room, token: Token, request: Request) -> HTMLResponse:
    """What a link acknowledges, and the button. Looking changes nothing: scanners of mail follow links."""
    braked = _braked(services, request)
    if braked is not None:
        return braked
    room = _room(services)
    try:
        asked = await room.asked(token)
    except links.LinkRefused as error:
        return _refused(error, request)
    zone, word = services.namespace.current().timezone or "UTC", asked.language
    if asked.answered_ns is not None:
        at = texts.local_time(asked.answered_ns, zone)
        return _page(
            texts.word(word, "already", name=asked.person, time=at), 200, request, asked, lines=asked.lines, zone=zone
        )
    if not asked.left:
        return _page(texts.word(word, "none"), 200, request, asked, lines=asked.lines, zone=zone)
    return _page(
        texts.word(word, "ask", name=asked.person), 200, request, asked, lines=asked.left, zone=zone, button=True
    )


@router.post("/callout/answer/{token}", response_class=HTMLResponse)
async def send_answer(services: Room, token: Token, request: Request) -> HTMLResponse:
    """Acknowledge what the link is about, as the person it was sent to. It works once."""
    braked = _braked(services, request)
    if braked is not None:
        return braked
    room = _room(services)
    try:
        asked = await room.asked(token)
        who = await asyncio.to_thread(_person, services, asked, request)
        told(request).update(principal=who, target=f"callout/answer {asked.delivery}")
        asked = await room.answer(token, who)
    except IsthmusError as error:
        return _refused(error, request)
    done = texts.word(asked.language, "done" if asked.left else "none", name=asked.person)
    return _page(done, 200, request, asked, lines=asked.left, zone=services.namespace.current().timezone or "UTC")


def _person(services: Services, asked: Asked, request: Request) -> Principal:
    """Whoever the link was sent to, if they still may acknowledge each alarm of it.

    Raises: Denied
    """
    user = next((u for u in services.security.users() if u.name == asked.person and not u.disabled), None)
    if user is None:
        raise Denied("the account this link was sent to is closed", "account_closed")
    source = request.client.host if request.client else ""
    who = Principal(user.name, user.role, Proof.LINK, f"callout {asked.delivery}", user.id, source=source)
    for path in dict.fromkeys(line.path for line in asked.left):
        services.policies.current().decide(who, Action.ALARM_ACKNOWLEDGE, path).check()
    return who
