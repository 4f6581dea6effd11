"""The audit trail: search, check, signed export, and the door for commands that change something beside core."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import Field
from starlette.responses import StreamingResponse

from isthmus.security.audit.search import MOST_LINES, Question
from isthmus.security.model import Action, Principal, Proof
from isthmus.values.errors import Denied
from isthmus.web.access import Room, Who, allow
from isthmus.web.audited import who_asks
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.times import iso, parse_time

router = routes_of("audit")

Text = Annotated[str, Query(max_length=200)]


class AuditWho(BaseModel):
    id: str = Field(description="pseudonym, or system, or unknown")
    name: str = Field("", description="empty for somebody unknown or erased")
    role: str = ""
    proof: str = ""
    source: str = ""
    station: str = ""


class AuditRecord(BaseModel):
    seq: int
    time: str
    kind: str = Field(description="intent, outcome or note")
    id: str = Field("", description="an intent and its outcome have the same")
    who: AuditWho
    action: str
    target: str
    result: str = ""
    reason: str = ""
    old: Any = None
    new: Any = None


class AuditAnswer(BaseModel):
    records: list[AuditRecord] = Field(description="newest first")
    people: dict[str, str] = Field(description="names of the pseudonyms in these records")
    before: int = Field(description="asks for the next page; 0 when there is none")


class AuditProblem(BaseModel):
    seq: int = Field(description="0 where no record can be named")
    where: str
    what: str


class Receiver(BaseModel):
    name: str
    kind: str
    delivered: int
    waiting: int
    reason: str


class AuditVerdict(BaseModel):
    whole: bool
    problem: AuditProblem | None
    records: int
    first: int
    last: int
    checkpoints: int
    last_signed: int
    state: str = Field(description="why nothing can be written now; empty while all is well")
    keep_days: int
    forward: list[Receiver]


class LocalIntent(BaseModel):
    action: str = Field(max_length=100)
    target: str = Field(max_length=400)


class LocalOutcome(BaseModel):
    result: str = Field(max_length=200)


class IntentAnswer(BaseModel):
    id: str


@router.get("/audit", dependencies=allow(Action.AUDIT_READ))
async def search_audit(
    services: Room,
    start: str | None = None,
    end: str | None = None,
    who: Text = "",
    action: Text = "",
    target: Text = "",
    text: Text = "",
    limit: Annotated[int, Query(ge=1, le=MOST_LINES)] = 100,
    before: Annotated[int, Query(ge=1, le=2**53)] = 2**53,
) -> AuditAnswer:
    """What was done, newest first."""
    now_ns = services.clock.now_ns()
    question = Question(
        start_ns=parse_time(start, now_ns, "start") if start else 0,
        end_ns=parse_time(end, now_ns, "end") if end else 2**63 - 1,
        action=action,
        target=target,
        before=before,
        limit=limit,
    )
    found, people = await asyncio.to_thread(services.audit.search, question, who, text)
    records = [
        AuditRecord(**{**r, "who": AuditWho(**r["who"], name=people.get(r["who"]["id"], ""))}) for r in found.records
    ]
    return AuditAnswer(records=records, people=people, before=found.before)


@router.get("/audit/verify", dependencies=allow(Action.AUDIT_READ))
async def verify_audit(services: Room) -> AuditVerdict:
    """Read all of the log against its signatures."""
    found = await asyncio.to_thread(services.audit.verify)
    status = services.audit.status()
    return AuditVerdict(
        whole=found.problem is None,
        problem=None
        if found.problem is None
        else AuditProblem(seq=found.problem.seq, where=found.problem.where, what=found.problem.what),
        records=found.records,
        first=found.first,
        last=found.last,
        checkpoints=found.checkpoints,
        last_signed=found.last_signed,
        state=status["state"],
        keep_days=status["keep_days"],
        forward=[Receiver(**one) for one in status["forward"]],
    )


@router.get("/audit/export", dependencies=allow(Action.AUDIT_READ), response_model=None)
async def export_audit(
    services: Room, principal: Who, request: Request, start: str | None = None, end: str | None = None
) -> StreamingResponse:
    """A time of the log as signed JSON lines, for `isthmus audit verify FILE`. People are pseudonyms in it."""
    now_ns = services.clock.now_ns()
    start_ns = parse_time(start, now_ns, "start") if start else 0
    end_ns = parse_time(end, now_ns, "end") if end else 2**63 - 1
    services.audit.note(who_asks(principal, request.scope), "GET audit/export", "audit", start=start, end=end)
    lines = services.audit.export(start_ns, end_ns, services.namespace.current().site, iso(now_ns))
    headers = {"content-disposition": 'attachment; filename="audit.jsonl"'}
    return StreamingResponse(lines, media_type="application/x-ndjson", headers=headers)


@router.post("/audit/intents", dependencies=allow(Action.BACKUP), status_code=201)
async def record_local_intent(intent: LocalIntent, services: Room, principal: Who, request: Request) -> IntentAnswer:
    """A command of this machine is about to change something beside core."""
    _local(principal)
    ident = await services.audit.intent(who_asks(principal, request.scope), intent.action, intent.target)
    return IntentAnswer(id=ident)


@router.put("/audit/intents/{ident}", dependencies=allow(Action.BACKUP), status_code=204)
async def record_local_outcome(ident: str, outcome: LocalOutcome, services: Room, principal: Who) -> None:
    """How that went."""
    _local(principal)
    await services.audit.outcome(ident, outcome.result)


def _local(who: Principal) -> None:
    if who.proof is not Proof.SOCKET:
        raise Denied("records are handed in through the socket in the data directory only", "local_only")
