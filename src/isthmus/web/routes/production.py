"""Production: what machines do now, intervals, OEE with its losses, where a figure comes from, and what came out differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import Query, Request, Response
from pydantic import Field

from isthmus.production.facts import BY, group_of
from isthmus.production.figures import DOWN, Figures, waterfall
from isthmus.production.lineage import FIGURES
from isthmus.production.model import MILLION, MINOR, FactSum, Interval, MachineNow, StateClass
from isthmus.production.replay import MAX_DIFFERENCES, Difference, Replayed
from isthmus.production.service import Production
from isthmus.security.model import Action
from isthmus.values.errors import ConfigError, TryLater
from isthmus.values.ids import MAX_PATH_CHARS
from isthmus.web.access import Room, Seen, Sight, allow
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.services import Services
from isthmus.web.sheets import FILES, Form, sheet
from isthmus.web.times import check_quarters, iso, parse_time

router = routes_of("production")

Under = Annotated[
    str, Query(max_length=MAX_PATH_CHARS, description="machines at or below this path; empty: everything")
]
Asset = Annotated[str, Query(max_length=MAX_PATH_CHARS, description="path of a machine")]
Start = Annotated[str, Query(max_length=64, description="ISO 8601, now, or now-8h (s, m, h, d, w)")]
By = Annotated[str, Query(max_length=200, description=f"names with commas between: {', '.join(BY)}; empty: all in one")]
NO_PRODUCTION = "production does not run here"
NOT_KNOWN: Final = "unknown"
WITHOUT_REASON: Final = {MINOR: "Minor stops", "": "No reason given", NOT_KNOWN: "Not known"}
"""What losses are called that are no reason of the plant's, by key."""


class MachineOut(BaseModel):
    asset: str
    line: str
    state_class: StateClass
    state: int | None = Field(description="number of its state tag; null where nobody knows or there is none")
    since: str = Field(description="when it began to run, or the stop it stands in began")
    reason: str
    order: str
    product: str
    shift: str
    team: str
    good: float = Field(description="pieces of the shift that runs, as all counts here")
    reject: float
    total: float
    rate: float | None = Field(description="pieces per hour over the last half hour")
    ideal_rate: float | None
    target: float | None = Field(description="pieces at the ideal rate over the planned time of the shift so far")
    ahead: float | None = Field(description="good pieces beyond the target; below 0 it is behind")
    uncoded: int = Field(description="stops since the last closed day that ask for a reason")
    help: bool = Field(description="whether somebody called for help")
    stop: str = Field(description="id of the stop it stands in; empty where it runs")


class MachinesOut(BaseModel):
    version: int
    waiting: int = Field(description="closed days that are to be computed again")
    currency: str
    machines: list[MachineOut]


class ProductionVersion(BaseModel):
    version: int


class IntervalOut(BaseModel):
    start: str
    end: str
    state_class: StateClass
    state: int | None
    order: str
    product: str
    shift: str
    team: str
    reason: str
    stop: str


class IntervalsOut(BaseModel):
    asset: str
    intervals: list[IntervalOut]


class OeeRow(BaseModel):
    key: dict[str, str] = Field(description="what was asked by, with its value")
    all_s: float = Field(description="calendar time that is accounted for")
    planned_s: float = Field(description="planned busy time (PBT)")
    run_s: float = Field(description="actual production time (APT)")
    down_s: float
    unknown_s: float = Field(description="nobody knows what it did; inside planned busy time, and in no other loss")
    availability: float | None
    performance: float | None = Field(description="effectiveness")
    quality: float | None
    oee: float | None
    teep: float | None
    utilization: float | None
    mtbf_s: float | None
    mttr_s: float | None
    stops: int
    minor_stops: int
    total: float
    good: float
    reject: float
    rework: float
    first_pass_yield: float | None
    scrap_ratio: float | None
    throughput_per_h: float | None
    energy_per_good: float | None
    material_per_good: float | None
    cost: float = Field(description="of the time it was down, in the plant's currency")
    ideal_s: float | None = Field(description="time that all pieces take at their ideal rate")
    unrated_run_s: float = Field(
        description="of run_s, without an ideal rate or a counter: performance, OEE and TEEP leave it out"
    )
    unrated_s: float = Field(description="of planned_s, the same")
    counted: bool = Field(description="whether anything counts pieces here; if not, counts are 0 for want of a counter")
    why: dict[str, str] = Field(description="of each figure that is null, what it has no denominator for")


class StepOut(BaseModel):
    key: str
    s: float
    kind: str = Field(description="total, loss, or apart: left out of what follows, and no loss")


class OeeOut(BaseModel):
    start: str
    end: str
    by: list[str]
    currency: str
    waiting: int = Field(description="closed days that are to be computed again")
    rows: list[OeeRow]


class LossRow(BaseModel):
    key: str
    text: str
    s: float
    count: int = Field(description="stops")
    cost: float


class LossesOut(BaseModel):
    start: str
    end: str
    by: str
    currency: str
    rows: list[LossRow] = Field(description="the longest first")
    waterfall: list[StepOut] = Field(description="from all time to good time; the losses between two totals add up")


class MarkOut(BaseModel):
    tag: str
    time: str
    kind: str
    before: float
    after: float


class SaidOut(BaseModel):
    number: int
    kind: str
    start: str
    end: str | None = Field(description="null while it goes on")
    values: dict[str, Any]
    by: str
    at: str
    reason: str
    replaces: int
    void: bool


class QuestionOut(BaseModel):
    what: str
    tags: list[str]
    history: str = Field(description="the question to the history that shows these samples")


class LineageOut(BaseModel):
    asset: str
    figure: str
    start: str
    end: str
    value: float | None
    row: OeeRow
    intervals: list[IntervalOut]
    truncated: bool = Field(description="there are more intervals; ask for less time")
    marks: list[MarkOut] = Field(description="readings that were refused, or read with care")
    said: list[SaidOut] = Field(description="what people said about this time, what was replaced included")
    questions: list[QuestionOut]


class RestatementOut(BaseModel):
    id: int
    asset: str
    day: str
    at: str
    why: str
    before: dict[str, int] = Field(description="what differs: times by class in ns, counts in millionths")
    after: dict[str, int]


class RestatementsOut(BaseModel):
    restatements: list[RestatementOut]


class ReplayedFiguresOut(BaseModel):
    availability: float | None
    performance: float | None
    quality: float | None
    oee: float | None
    run_s: float
    good: float


class ReplayedMachineOut(BaseModel):
    asset: str
    days: int = Field(description="closed days that were computed again")
    intervals: int = Field(description="intervals of the span that runs, compared one by one")
    kept: ReplayedFiguresOut | None = Field(description="figures of the range from what is kept; null where nothing is")
    computed: ReplayedFiguresOut | None = Field(description="the same from raw samples")
    differing: int
    notes: list[str]


class ReplayDifferenceOut(BaseModel):
    asset: str
    start: str
    end: str
    what: str = Field(description="an amount of a quarter of an hour, an interval, a stop, or what a day hands on")
    kept: float | str | None = Field(description="s or pieces; null where nothing of it is kept")
    computed: float | str | None


class ProductionReplayOut(BaseModel):
    start: str
    end: str
    equal: bool
    differing: int
    differences: list[ReplayDifferenceOut] = Field(description=f"the first {MAX_DIFFERENCES:,}, by machine and time")
    machines: list[ReplayedMachineOut]


class RecomputeIn(BaseModel):
    under: str = Field(default="", max_length=MAX_PATH_CHARS)
    start: str = Field(max_length=64)
    end: str = Field(default="now", max_length=64)


class RecomputeOut(BaseModel):
    days: int = Field(description="closed days of machines that are computed again, in the background")


def _production(services: Services) -> Production:
    if services.production is None:
        raise TryLater(NO_PRODUCTION, after_s=5.0)
    return services.production


def _range(services: Services, start: str, end: str) -> tuple[int, int]:
    now_ns = services.clock.now_ns()
    start_ns, end_ns = parse_time(start, now_ns, "start"), parse_time(end, now_ns, "end")
    if start_ns >= end_ns:
        raise ConfigError(f"start: must be before end, was {start[:80]!r} with end {end[:80]!r}")
    return start_ns, end_ns


def _by(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in BY:
            raise ConfigError(f"by: known are {', '.join(BY)}, was {name[:40]!r}")
    return names


def _machine(services: Services, sight: Sight, asset: str) -> None:
    known = any(m.asset == asset for m in services.namespace.current().machines)
    if not known or not sight.path(asset):
        raise NotFound(f"asset: no machine is counted at {asset[:200]!r}", "unknown_asset")


@router.get(
    "/production/machines", dependencies=allow(Action.READ, part=True), response_model=MachinesOut, responses=FILES
)
async def list_machines(services: Room, sight: Seen, under: Under = "", form: Form = "json") -> MachinesOut | Response:
    """Every machine as it is now, with what it made in the shift that runs."""
    production = _production(services)
    prefix = f"{under}/" if under else ""
    rows = [
        _machine_out(m)
        for m in production.machines()
        if (m.asset == under or m.asset.startswith(prefix)) and sight.path(m.asset)
    ]
    if form != "json":
        return await sheet(form, "machines", rows)
    currency = services.namespace.current().currency
    return MachinesOut(version=production.version, waiting=production.waiting(), currency=currency, machines=rows)


@router.get("/production/wait", dependencies=allow(Action.READ, part=True))
async def wait_for_production(
    services: Room,
    version: Annotated[int, Query(ge=0, le=2**53)] = 0,
    timeout_s: Annotated[float, Query(ge=0, le=60)] = 25,
) -> ProductionVersion:
    """Until a machine does something else, or counted more; at once if that happened since ``version``."""
    return ProductionVersion(version=await _production(services).wait(version, timeout_s))


@router.get(
    "/production/intervals", dependencies=allow(Action.READ, part=True), response_model=IntervalsOut, responses=FILES
)
async def list_intervals(
    services: Room, sight: Seen, asset: Asset, start: Start = "now-1d", end: Start = "now", form: Form = "json"
) -> IntervalsOut | Response:
    """What a machine did, in order: at most a month."""
    start_ns, end_ns = _range(services, start, end)
    _machine(services, sight, asset)
    rows = [_interval_out(i) for i in await _production(services).intervals(asset, start_ns, end_ns)]
    if form != "json":
        return await sheet(form, "intervals", rows)
    return IntervalsOut(asset=asset, intervals=rows)


@router.get("/production/oee", dependencies=allow(Action.READ, part=True), response_model=OeeOut, responses=FILES)
async def read_oee(
    services: Room,
    sight: Seen,
    under: Under = "",
    start: Start = "now-1d",
    end: Start = "now",
    by: By = "",
    form: Form = "json",
) -> OeeOut | Response:
    """Times, counts and figures of ISO 22400 over a range, one row for each thing asked by. Sums come before divisions.

    The range is cut at quarters of an hour, and where shifts change; less than 15 minutes of the past is refused (422).
    """
    start_ns, end_ns = _range(services, start, end)
    names = _by(by)
    production = _production(services)
    found = await production.figures(under, start_ns, end_ns, names, sees=sight.path)
    check_quarters(start_ns, end_ns, services.clock.now_ns(), told=bool(found))
    rows = [_oee_row(facts, said) for facts, said in found]
    if form != "json":
        flat = [row.key | row.model_dump(exclude={"key", "why"}) for row in rows]
        return await sheet(form, "oee", flat)
    currency = services.namespace.current().currency
    return OeeOut(
        start=iso(start_ns), end=iso(end_ns), by=list(names), currency=currency, waiting=production.waiting(), rows=rows
    )


@router.get("/production/losses", dependencies=allow(Action.READ, part=True), response_model=LossesOut, responses=FILES)
async def read_losses(
    services: Room,
    sight: Seen,
    under: Under = "",
    start: Start = "now-1d",
    end: Start = "now",
    by: Literal["reason", "group", "loss", "machine", "class"] = "reason",
    form: Form = "json",
) -> LossesOut | Response:
    """What planned time was lost to, by minutes, stops and cost, and the waterfall from all time to good time."""
    start_ns, end_ns = _range(services, start, end)
    production = _production(services)
    names = (by,) if by in ("machine", "class") else (by, "class")
    found = await production.facts(under, start_ns, end_ns, names, sees=sight.path)
    check_quarters(start_ns, end_ns, services.clock.now_ns(), told=bool(found))
    rows = _loss_rows(services, found, by)
    if form != "json":
        return await sheet(form, "losses", rows)
    total = await production.facts(under, start_ns, end_ns, sees=sight.path)
    steps = [StepOut(key=s.key, s=s.ns / 1e9, kind=s.kind) for s in waterfall(total[0])] if total else []
    currency = services.namespace.current().currency
    return LossesOut(start=iso(start_ns), end=iso(end_ns), by=by, currency=currency, rows=rows, waterfall=steps)


def _loss_rows(services: Services, found: Sequence[FactSum], by: str) -> list[LossRow]:
    """Time of which nobody knows what the machine did is a loss of its own, and no stop without a reason."""
    texts = {r.key: r.text for r in services.namespace.current().reasons} | WITHOUT_REASON
    sums: dict[str, tuple[int, int, int]] = {}
    for one in found:
        key = one.key[by]
        if not key and one.key.get("class") == StateClass.UNKNOWN:
            key = NOT_KNOWN
        ns, count, cost_u = sums.get(key, (0, 0, 0))
        lost_ns = sum(one.ns.get(c, 0) for c in DOWN)
        sums[key] = (ns + lost_ns, count + one.stops + one.minor_stops, cost_u + one.cost_u)
    rows = []
    for key, (ns, count, cost_u) in sums.items():
        if not ns and not count:
            continue
        text = (
            texts.get(key, f"{key} (no more offered)") if by == "reason" else _group_text(key) if by == "group" else key
        )
        rows.append(LossRow(key=key, text=text, s=ns / 1e9, count=count, cost=cost_u / MILLION / 60e9))
    return sorted(rows, key=lambda r: (-r.s, r.key))


def _group_text(key: str) -> str:
    return WITHOUT_REASON.get(key) or group_of(key)


@router.get("/production/lineage", dependencies=allow(Action.READ, part=True))
async def read_lineage(
    services: Room,
    sight: Seen,
    asset: Asset,
    start: Start = "now-1d",
    end: Start = "now",
    figure: Annotated[str, Query(max_length=40, description=", ".join(FIGURES))] = "oee",
) -> LineageOut:
    """What a figure of a machine was computed from: intervals, counts, readings that were refused, what people said, and the
    questions to the history that show the samples.
    """
    if figure not in FIGURES:
        raise ConfigError(f"figure: known are {', '.join(FIGURES)}, was {figure!r}")
    start_ns, end_ns = _range(services, start, end)
    _machine(services, sight, asset)
    production, plant = _production(services), services.namespace.current()
    found = await production.lineage(asset, start_ns, end_ns, figure)
    row = _oee_row(*(await production.figures(asset, start_ns, end_ns, ("machine",)) or [_nothing()])[0])
    return LineageOut(
        asset=asset,
        figure=figure,
        start=iso(start_ns),
        end=iso(end_ns),
        value=getattr(row, figure.replace("_ns", "_s")),
        row=row,
        intervals=[_interval_out(i) for i in found.intervals],
        truncated=found.truncated,
        marks=[
            MarkOut(
                tag=plant.by_id[m.tag].path if m.tag in plant.by_id else str(m.tag),
                time=iso(m.time_ns),
                kind=m.kind,
                before=m.before,
                after=m.after,
            )
            for m in found.marks
        ],
        said=[
            SaidOut(
                number=e.number,
                kind=e.kind,
                start=iso(e.start_ns),
                end=iso(e.end_ns) if e.end_ns else None,
                values=dict(e.values),
                by=e.by,
                at=iso(e.at_ns),
                reason=e.reason,
                replaces=e.replaces,
                void=e.void,
            )
            for e in found.entries
        ],
        questions=[
            QuestionOut(
                what=q.what,
                tags=list(q.tags),
                history="history?shape=raw&"
                + "&".join([*(f"tag={tag}" for tag in q.tags), f"start={iso(q.start_ns)}", f"end={iso(q.end_ns)}"]),
            )
            for q in found.questions
        ],
    )


@router.get(
    "/production/restatements",
    dependencies=allow(Action.READ, part=True),
    response_model=RestatementsOut,
    responses=FILES,
)
async def list_restatements(
    services: Room,
    sight: Seen,
    under: Under = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    form: Form = "json",
) -> RestatementsOut | Response:
    """Closed days that came out differently when they were computed again, newest first, with what differs."""
    found = await _production(services).restatements(under, limit, sees=sight.path)
    rows = [
        RestatementOut(
            id=r.id, asset=r.asset, day=r.day, at=iso(r.at_ns), why=r.why, before=dict(r.before), after=dict(r.after)
        )
        for r in found
    ]
    if form != "json":
        return await sheet(form, "restatements", rows)
    return RestatementsOut(restatements=rows)


@router.get("/production/replay", dependencies=allow(Action.READ, part=True))
async def replay_production(
    services: Room, sight: Seen, under: Under = "", start: Start = "now-1d", end: Start = "now"
) -> ProductionReplayOut:
    """Facts of a range computed again from raw samples and held against those that are kept. Nothing is changed by it."""
    start_ns, end_ns = _range(services, start, end)
    found = await _production(services).replay(under, start_ns, end_ns, sees=sight.path)
    if not found:
        raise NotFound(f"under: no machine is counted at {under[:200]!r}", "unknown_path")
    differences = [one for machine in found for one in machine.differences]
    return ProductionReplayOut(
        start=iso(start_ns),
        end=iso(end_ns),
        equal=not differences,
        differing=len(differences),
        differences=[_difference_out(one) for one in differences[:MAX_DIFFERENCES]],
        machines=[_replayed_out(one) for one in found],
    )


@router.post("/production/recompute", dependencies=allow(Action.PRODUCTION_PLAN), status_code=202)
async def recompute_production(services: Room, request: Request, body: RecomputeIn) -> RecomputeOut:
    """Compute closed days again from the record, by the plant and the calendars as they are now; what differs is kept."""
    start_ns, end_ns = _range(services, body.start, body.end)
    told(request).update(target=body.under or "site", new=f"{iso(start_ns)} to {iso(end_ns)}")
    return RecomputeOut(days=await _production(services).recompute(body.under, start_ns, end_ns))


def _difference_out(one: Difference) -> ReplayDifferenceOut:
    return ReplayDifferenceOut(
        asset=one.asset,
        start=iso(one.start_ns),
        end=iso(one.end_ns),
        what=one.what,
        kept=one.kept,
        computed=one.computed,
    )


def _replayed_out(one: Replayed) -> ReplayedMachineOut:
    return ReplayedMachineOut(
        asset=one.asset, days=one.days, intervals=one.intervals, kept=_replayed_figures(one.kept),
        computed=_replayed_figures(one.computed), differing=len(one.differences), notes=list(one.notes),
    )  # fmt: skip


def _replayed_figures(said: Figures | None) -> ReplayedFiguresOut | None:
    if said is None:
        return None
    return ReplayedFiguresOut(
        availability=said.availability, performance=said.performance, quality=said.quality, oee=said.oee,
        run_s=said.run_ns / 1e9, good=said.good,
    )  # fmt: skip


def _nothing() -> tuple[FactSum, Figures]:
    from isthmus.production.figures import figures

    return FactSum(), figures(FactSum())


def _machine_out(m: MachineNow) -> MachineOut:
    return MachineOut(
        asset=m.asset, line=m.line, state_class=m.state_class, state=m.state, since=iso(m.since_ns), reason=m.reason,
        order=m.order, product=m.product, shift=m.shift, team=m.team, good=m.good, reject=m.reject, total=m.total,
        rate=m.rate, ideal_rate=m.ideal_rate, target=m.target, ahead=m.ahead, uncoded=m.uncoded, help=m.help, stop=m.stop,
    )  # fmt: skip


def _interval_out(i: Interval) -> IntervalOut:
    return IntervalOut(
        start=iso(i.start_ns), end=iso(i.end_ns), state_class=i.state_class, state=i.state, order=i.order,
        product=i.product, shift=i.shift, team=i.team, reason=i.reason, stop=i.stop,
    )  # fmt: skip


def _seconds(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e9


def _oee_row(facts: FactSum, said: Figures) -> OeeRow:
    return OeeRow(
        key=dict(facts.key), all_s=said.all_ns / 1e9, planned_s=said.planned_ns / 1e9, run_s=said.run_ns / 1e9,
        down_s=said.down_ns / 1e9, unknown_s=said.unknown_ns / 1e9, availability=said.availability,
        performance=said.performance, quality=said.quality, oee=said.oee, teep=said.teep, utilization=said.utilization,
        mtbf_s=_seconds(said.mtbf_ns), mttr_s=_seconds(said.mttr_ns), stops=said.stops, minor_stops=said.minor_stops,
        total=said.total, good=said.good, reject=said.reject, rework=said.rework,
        first_pass_yield=said.first_pass_yield, scrap_ratio=said.scrap_ratio, throughput_per_h=said.throughput_per_h,
        energy_per_good=said.energy_per_good, material_per_good=said.material_per_good, cost=said.cost,
        ideal_s=_seconds(said.ideal_total_ns), unrated_run_s=said.unrated_run_ns / 1e9, unrated_s=said.unrated_ns / 1e9,
        counted=said.counted, why=dict(said.why),
    )  # fmt: skip
