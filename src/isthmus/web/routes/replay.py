"""Computing a calculated tag again, and comparing it with the record."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field

from isthmus.acquisition.replay import Difference
from isthmus.security.model import Action
from isthmus.values import status
from isthmus.values.errors import ConfigError
from isthmus.values.ids import MAX_PATH_CHARS
from isthmus.web.access import Room, allow
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.times import iso, parse_time

router = routes_of("replay")


class ReplaySample(BaseModel):
    value: float | int | str | None
    status: str


class DifferenceAnswer(BaseModel):
    time: str
    recorded: ReplaySample | None = Field(description="null where the record has no sample at this time")
    computed: ReplaySample | None
    why: str


class ReplayAnswer(BaseModel):
    tag: str
    how: str = Field(description="formula, or the script and its function")
    start: str
    end: str
    computed: int
    recorded: int
    differing: int
    differences: list[DifferenceAnswer] = Field(description="the first thousand")
    notes: list[str]


def _sample(sample: tuple[float | int | str, int] | None) -> ReplaySample | None:
    if sample is None:
        return None
    return ReplaySample(value=None if sample[1] & status.BAD else sample[0], status=status.name(sample[1]))


def _difference(one: Difference) -> DifferenceAnswer:
    return DifferenceAnswer(
        time=iso(one.time_ns), recorded=_sample(one.recorded), computed=_sample(one.computed), why=one.why
    )


@router.get("/replay", dependencies=allow(Action.PLANT_CHANGE))
async def replay_tag(
    services: Room,
    tag: Annotated[str, Query(max_length=MAX_PATH_CHARS, description="path of a calculated tag")],
    start: Annotated[str, Query(max_length=64)] = "now-1h",
    end: Annotated[str, Query(max_length=64)] = "now",
) -> ReplayAnswer:
    """A calculated tag computed again from the recorded inputs, by the plant as it is now; what the record says else."""
    now_ns = services.clock.now_ns()
    start_ns, end_ns = parse_time(start, now_ns, "start"), parse_time(end, now_ns, "end")
    if start_ns >= end_ns:
        raise ConfigError(f"start: must be before end, was {start!r} with end {end!r}")
    found = services.live.plant.by_path.get(tag)
    if found is None:
        raise NotFound(f"tag: there is none at {tag[:200]}", "unknown_tag")
    report = await services.replay(found, start_ns, end_ns)
    return ReplayAnswer(
        tag=report.tag,
        how=report.how,
        start=iso(report.start_ns),
        end=iso(report.end_ns),
        computed=report.computed,
        recorded=report.recorded,
        differing=report.differing,
        differences=[_difference(d) for d in report.differences],
        notes=list(report.notes),
    )
