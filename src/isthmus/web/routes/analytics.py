"""Rules on live data: what is judged, and the events they made."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from isthmus.security.model import Action
from isthmus.values.errors import ConfigError
from isthmus.values.ids import MAX_PATH_CHARS, is_under
from isthmus.web.access import Room, Seen, allow
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.times import iso, parse_time

router = routes_of("analytics")

Under = Annotated[str, Query(max_length=MAX_PATH_CHARS, description="assets at or below this path; empty: everything")]


class RuleAnswer(BaseModel):
    name: str = Field(description="type.name, or the name of a rule of the plant")
    when: str = Field(description="the condition with its units written out")
    for_s: float
    priority: str
    message: str
    assets: list[str]


class RuleCounts(BaseModel):
    edge: str
    taken: int
    late: int = Field(description="samples that came too late to be judged at their own time")
    ahead: int = Field(description="samples more than a minute ahead of their edge's clock")


class RulesAnswer(BaseModel):
    rules: list[RuleAnswer]
    edges: list[RuleCounts]


class EventAnswer(BaseModel):
    id: int
    rule: str
    asset: str
    start: str = Field(description="when the condition came true")
    raised: str = Field(description="when it had held for long enough")
    end: str | None = Field(description="null while it holds")
    priority: str
    message: str
    values: dict[str, Any] = Field(description="what the condition read when it was raised")


class Events(BaseModel):
    events: list[EventAnswer]


@router.get("/rules", dependencies=allow(Action.READ, part=True))
async def list_rules(services: Room, sight: Seen, under: Under = "") -> RulesAnswer:
    """The rules of the plant with the assets they are judged at."""
    found = []
    for rule, instances in services.live.plant.rules:
        assets = [i.asset for i in instances if is_under(i.asset, under) and sight.path(i.asset)]
        if assets:
            name = f"{rule.type}.{rule.name}" if rule.type else rule.name
            found.append(
                RuleAnswer(
                    name=name,
                    when=rule.when,
                    for_s=rule.hold_s,
                    priority=rule.priority,
                    message=rule.message,
                    assets=assets,
                )
            )
    counts = [
        RuleCounts(edge=edge, taken=c.taken, late=c.late, ahead=c.ahead) for edge, c in services.rule_counts().items()
    ]
    return RulesAnswer(rules=found, edges=counts)


@router.get("/rules/events", dependencies=allow(Action.READ, part=True))
async def list_events(
    services: Room,
    sight: Seen,
    under: Under = "",
    start: Annotated[str, Query(max_length=64)] = "now-1d",
    end: Annotated[str, Query(max_length=64)] = "now",
    rule: Annotated[str | None, Query(max_length=140)] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> Events:
    """Events that held at some time in [start, end), those raised last first."""
    now_ns = services.clock.now_ns()
    start_ns, end_ns = parse_time(start, now_ns, "start"), parse_time(end, now_ns, "end")
    if start_ns >= end_ns:
        raise ConfigError(f"start: must be before end, was {start!r} with end {end!r}")
    events = await services.rule_events(under, start_ns, end_ns, rule, limit)
    return Events(
        events=[
            EventAnswer(
                id=e.id,
                rule=e.rule,
                asset=e.asset,
                start=iso(e.start_ns),
                raised=iso(e.raised_ns),
                end=None if e.end_ns is None else iso(e.end_ns),
                priority=e.priority,
                message=e.message,
                values=e.values,
            )
            for e in events
            if sight.path(e.asset)
        ]
    )
