"""A plant with its ids: what everyone reads, what each edge runs, and what versions are compared by."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import orjson

from isthmus.namespace import points
from isthmus.namespace.compile import CONNECTIONS
from isthmus.namespace.draft import Draft, DraftTag
from isthmus.namespace.model import (
    EMPTY,
    Alarm,
    AlarmSpec,
    Asset,
    Calendar,
    ChangeRule,
    Conduit,
    Connection,
    Connector,
    Lockout,
    Machine,
    OwnRole,
    PlannedStop,
    Plant,
    ProductionLine,
    Reason,
    Rule,
    RuleInstance,
    Shift,
    Tag,
    Zone,
)
from isthmus.values.errors import Malformed
from isthmus.values.model import (
    SYSTEM_TAGS,
    TRIP_STATES,
    TRIP_TAGS,
    Budget,
    ConnectionModel,
    EdgeModel,
    FormulaModel,
    ScriptModel,
    TagColumns,
    WritePoint,
    trip_of,
)
from isthmus.values.sample import ValueType

FORMAT = 5

_TAG_FIELDS = tuple(f.name for f in fields(Tag))


@dataclass(frozen=True)
class Compiled:
    """One version, compiled. ``said[said_of[i]]`` is what was declared of the i-th tag in the order of paths."""

    plant: Plant
    edges: dict[str, EdgeModel]
    said: list[dict[str, Any]]
    said_of: list[int]
    facts: dict[str, dict[str, Any]]

    def to_parts(self) -> dict[str, bytes]:
        """Compressed JSON of the plant (under "") and each edge's model, for starting without reading the file again."""
        plant = self.plant
        document = {
            "format": FORMAT,
            "plant": {
                "version": plant.version,
                "enterprise": plant.enterprise,
                "site": plant.site,
                "timezone": plant.timezone,
                "edges": plant.edges,
                "retention": plant.retention,
                "currency": plant.currency,
                "calendars": [_calendar_row(c) for c in plant.calendars],
                "reasons": [_row(r) for r in plant.reasons],
                "machines": [_row(m) for m in plant.machines],
                "lines": [_row(one) for one in plant.lines],
                "assets": [_row(a) for a in plant.assets],
                "connections": [_row(c) for c in plant.connections],
                "connectors": [_row(c) for c in plant.connectors],
                "change_control": [_row(rule) for rule in plant.change_control],
                "points": [_row(p) for p in plant.points],
                "trips": [_row(t) for t in plant.trips],
                "alarms": _alarm_columns(plant.alarms),
                "rules": [[_row(rule), [_row(i) for i in instances]] for rule, instances in plant.rules],
                "zones": [_row(z) for z in plant.zones],
                "conduits": [_row(c) for c in plant.conduits],
                "roles": [_row(r) for r in plant.roles],
                "tags": {name: [getattr(t, name) for t in plant.tags] for name in _TAG_FIELDS},
            },
            "said": self.said,
            "said_of": self.said_of,
            "facts": self.facts,
        }
        packed = zlib.compress(orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS), 3)
        return {"": packed, **{name: model.to_bytes() for name, model in self.edges.items()}}

    @classmethod
    def from_parts(cls, parts: Mapping[str, bytes]) -> Compiled:
        """Inverse of ``to_parts``.

        Raises: Malformed if the bytes are not of this build's format
        """
        try:
            raw = orjson.loads(zlib.decompress(parts[""]))
            if raw["format"] != FORMAT:
                raise Malformed("the compiled plant has a format this build does not read")
            plant = raw["plant"]
            rules = tuple(
                (Rule(**rule), tuple(RuleInstance(**i) for i in instances))
                for rule, instances in plant.pop("rules", ())
            )
            zones, conduits, roles = (plant.pop(name) for name in ("zones", "conduits", "roles"))
            outward, control = plant.pop("connectors"), plant.pop("change_control")
            points, trips = plant.pop("points", ()), plant.pop("trips", ())
            alarms = _alarms_of(plant.pop("alarms"))
            calendars, reasons, machines, lines = (
                plant.pop(name) for name in ("calendars", "reasons", "machines", "lines")
            )
            columns, assets, connections = plant.pop("tags"), plant.pop("assets"), plant.pop("connections")
            columns["type"] = [ValueType(t) for t in columns["type"]]
            columns["states"] = [s and {int(k): v for k, v in s.items()} for s in columns["states"]]
            tags = tuple(map(Tag, *(columns[name] for name in _TAG_FIELDS))) if columns["id"] else ()
            return cls(
                plant=make_plant(
                    **{**plant, "edges": tuple(plant["edges"])},
                    assets=tuple(Asset(**_locked(_tuples(a))) for a in assets),
                    connections=tuple(Connection(**_locked(_tuples(c))) for c in connections),
                    connectors=tuple(Connector(**_tuples(c)) for c in outward),
                    tags=tags,
                    rules=rules,
                    zones=tuple(Zone(**_tuples(z)) for z in zones),
                    conduits=tuple(Conduit(**_tuples(c)) for c in conduits),
                    roles=tuple(OwnRole(**_tuples(r)) for r in roles),
                    change_control=tuple(ChangeRule(**rule) for rule in control),
                    points=tuple(WritePoint(**p) for p in points),
                    trips=tuple(map(trip_of, trips)),
                    alarms=alarms,
                    calendars=tuple(map(_calendar_of, calendars)),
                    reasons=tuple(Reason(**r) for r in reasons),
                    machines=tuple(map(_machine_of, machines)),
                    lines=tuple(ProductionLine(**_tuples(one)) for one in lines),
                ),
                edges={name: EdgeModel.from_bytes(parts[name]) for name in plant["edges"]},
                said=raw["said"],
                said_of=raw["said_of"],
                facts=raw["facts"],
            )
        except Malformed:
            raise
        except (zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Malformed(f"the compiled plant does not parse: {error}") from error

    @cached_property
    def said_by_id(self) -> dict[int, dict[str, Any]]:
        """What was declared of each tag."""
        return {t.id: self.said[i] for t, i in zip(self.plant.tags, self.said_of, strict=True)}


NOTHING = Compiled(EMPTY, {}, [], [], {})
"""Before the first version."""


def _row(value: Any) -> dict[str, Any]:
    return {f.name: getattr(value, f.name) for f in fields(value)}


def _tuples(row: dict[str, Any]) -> dict[str, Any]:
    """Lists as they were before they became JSON."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}


_ALARM_FIELDS = tuple(f.name for f in fields(Alarm) if f.name != "spec")


def _alarm_columns(alarms: tuple[Alarm, ...]) -> dict[str, Any]:
    """Alarms column by column, each declaration once."""
    specs: dict[int, tuple[int, AlarmSpec]] = {}
    for alarm in alarms:
        specs.setdefault(id(alarm.spec), (len(specs), alarm.spec))
    return {
        "specs": [_row(spec) for _, spec in specs.values()],
        "spec": [specs[id(a.spec)][0] for a in alarms],
        **{name: [getattr(a, name) for a in alarms] for name in _ALARM_FIELDS},
    }


def _alarms_of(columns: dict[str, Any]) -> tuple[Alarm, ...]:
    """Inverse of ``_alarm_columns``."""
    specs = [AlarmSpec(**_tuples(row)) for row in columns["specs"]]
    rows = zip(columns["spec"], *(columns[name] for name in _ALARM_FIELDS), strict=True)
    return tuple(Alarm(spec=specs[spec], **dict(zip(_ALARM_FIELDS, rest, strict=True))) for spec, *rest in rows)


def _calendar_row(calendar: Calendar) -> dict[str, Any]:
    row = _row(calendar)
    return {**row, "shifts": [_row(s) for s in calendar.shifts], "planned": [_row(p) for p in calendar.planned]}


def _calendar_of(row: dict[str, Any]) -> Calendar:
    """Inverse of ``_calendar_row``."""
    shifts = [_tuples({**s, "breaks": [tuple(one) for one in s["breaks"]]}) for s in row["shifts"]]
    return Calendar(
        **{
            **row,
            "shifts": tuple(Shift(**s) for s in shifts),
            "holidays": tuple((day, name) for day, name in row["holidays"]),
            "planned": tuple(PlannedStop(**_tuples(p)) for p in row["planned"]),
        }
    )


def _machine_of(row: dict[str, Any]) -> Machine:
    classes = {int(number): name for number, name in row["classes"].items()}
    rules = tuple((name, text) for name, text in row["rules"])
    return Machine(**{**_tuples(row), "classes": classes, "rules": rules})


def _locked(row: dict[str, Any]) -> dict[str, Any]:
    lockout = row["lockout"]
    return row if lockout is None else {**row, "lockout": Lockout(**lockout)}


def make_plant(*, tags: tuple[Tag, ...], **rest: Any) -> Plant:
    """A plant with its indexes."""
    return Plant(tags=tags, by_path={t.path: t for t in tags}, by_id={t.id: t for t in tags}, **rest)


def tag_paths(draft: Draft) -> list[str]:
    """Paths of all tags that need an id, diagnostics of connections included, in order."""
    system = [f"{CONNECTIONS}/{name}/{tag}" for name in draft.connections for tag in SYSTEM_TAGS]
    trips = [path for trip in draft.trips for path in trip.tags.values()]
    return sorted([*draft.tags, *system, *trips])


def finish(draft: Draft, ids: Mapping[str, int], version: int) -> Compiled:
    """The draft with ids and version. ``ids`` has one for each of ``tag_paths``."""
    said, index = _declarations(draft)
    tags: list[Tag] = []
    said_of: list[int] = []
    order = {path: i for i, path in enumerate(draft.tags)}
    for path in tag_paths(draft):
        draft_tag = draft.tags.get(path)
        if draft_tag is None:
            tags.append(_system_tag(draft, path, ids[path]))
            said_of.append(0)
        else:
            tags.append(_tag(draft_tag, ids[path], order[path]))
            said_of.append(index[id(draft_tag.common)])
    connections = tuple(
        Connection(
            c.name,
            c.driver,
            c.edge,
            c.zone,
            c.access,
            c.endpoint,
            c.tags,
            c.description,
            c.owner,
            c.lockout,
            c.unpatchable,
        )
        for c in draft.connections.values()
    )
    edges = tuple(dict.fromkeys(c.edge for c in draft.connections.values()))
    written, trips = points.finish(draft, ids)
    plant = make_plant(
        version=version,
        enterprise=draft.enterprise,
        site=draft.site,
        timezone=draft.timezone,
        tags=tuple(tags),
        assets=tuple(draft.assets),
        connections=connections,
        connectors=tuple(draft.connectors),
        edges=edges,
        retention=dict(draft.retention),
        rules=_rules(draft, ids),
        zones=tuple(draft.zones),
        conduits=tuple(draft.conduits),
        roles=tuple(draft.roles),
        change_control=draft.change_control,
        alarms=_alarms(draft, ids),
        calendars=tuple(draft.calendars),
        reasons=tuple(draft.reasons),
        machines=tuple(m.with_ids(ids) for m in draft.machines),
        lines=tuple(draft.lines),
        currency=draft.currency,
        points=written,
        trips=trips,
    )
    return Compiled(plant, {edge: _edge_model(draft, plant, edge) for edge in edges}, said, said_of, draft.facts)


def _rules(draft: Draft, ids: Mapping[str, int]) -> tuple[tuple[Rule, tuple[RuleInstance, ...]], ...]:
    found: dict[Rule, list[RuleInstance]] = {}
    for rule, instance, paths in draft.rules:
        inputs = {name: ids[path] for name, path in paths.items()}
        found.setdefault(rule, []).append(replace(instance, inputs=inputs))
    return tuple((rule, tuple(instances)) for rule, instances in found.items())


def _alarms(draft: Draft, ids: Mapping[str, int]) -> tuple[Alarm, ...]:
    """In the order of their keys; an input that is no tag is the key of another alarm."""
    return tuple(
        Alarm(
            a.key,
            a.path,
            a.asset,
            a.zone,
            a.edge,
            a.spec,
            ids[a.tag] if a.tag else 0,
            ids[a.other] if a.other else 0,
            {name: ids.get(to, to) for name, to in a.inputs.items()},
            {name: ids.get(to, to) for name, to in a.suppress_inputs.items()},
        )
        for _, a in sorted(draft.alarms.items())
    )


def _declarations(draft: Draft) -> tuple[list[dict[str, Any]], dict[int, int]]:
    """What was declared, each once, and where it is in the list by the identity of its Common."""
    said: list[dict[str, Any]] = [{}]
    index: dict[int, int] = {}
    for tag in draft.tags.values():
        key = id(tag.common)
        if key not in index:
            index[key] = len(said)
            said.append(tag.common.declared)
    return said, index


def _tag(tag: DraftTag, number: int, order: int) -> Tag:
    common = tag.common
    return Tag(
        number,
        tag.path,
        tag.asset,
        tag.name,
        tag.kind,
        tag.type,
        tag.unit,
        common.section.decimals,
        tag.description,
        common.low,
        common.high,
        common.limits,
        tag.setpoint,
        common.states,
        tag.connection,
        tag.address,
        tag.formula,
        tag.edge,
        common.retention,
        tag.period_s,
        order,
    )


def _system_tag(draft: Draft, path: str, number: int) -> Tag:
    asset, _, name = path.rpartition("/")
    if asset.startswith(f"{points.TRIPS}/"):
        return _trip_tag(draft, path, number)
    connection = draft.connections[asset.rpartition("/")[2]]
    kind, unit, doc = SYSTEM_TAGS[name]
    return Tag(
        id=number,
        path=path,
        asset=asset,
        name=name,
        kind="system",
        type=kind,
        unit=unit,
        description=doc.split(";")[0],
        connection=connection.name,
        edge=connection.edge,
        order=len(draft.tags) + list(SYSTEM_TAGS).index(name),
    )


def _trip_tag(draft: Draft, path: str, number: int) -> Tag:
    asset, _, name = path.rpartition("/")
    trip = next(t for t in draft.trips if t.tags[name] == path)
    kind, doc = TRIP_TAGS[name]
    return Tag(
        id=number,
        path=path,
        asset=asset,
        name=name,
        kind="system",
        type=kind,
        description=doc,
        states=TRIP_STATES if name == "state" else None,
        edge=trip.edge,
        order=len(draft.tags) + len(SYSTEM_TAGS) + list(TRIP_TAGS).index(name),
    )


def _edge_model(draft: Draft, plant: Plant, edge: str) -> EdgeModel:
    by_path = plant.by_path
    ids = {path: tag.id for path, tag in by_path.items()} if draft.points or draft.trips else {}
    written, trips = points.finish(draft, ids, edge)
    columns = TagColumns()
    for tag in plant.tags:
        drafted = draft.tags.get(tag.path)
        if drafted is None or drafted.edge != edge or not (drafted.address or drafted.calculated):
            continue
        common = drafted.common
        columns.id.append(tag.id)
        columns.path.append(tag.path)
        columns.type.append(str(tag.type))
        columns.connection.append(tag.connection)
        columns.address.append(tag.address)
        columns.period_s.append(tag.period_s)
        columns.factor.append(common.factor)
        columns.offset.append(common.offset)
        columns.low.append(common.low)
        columns.high.append(common.high)
        columns.deadband.append(common.deadband)
        columns.deadband_percent.append(common.deadband_percent)
        columns.max_gap_s.append(common.max_gap_s)
        columns.resolution_ns.append(common.resolution_ns)
    return EdgeModel(
        version=plant.version,
        enterprise=plant.enterprise,
        site=plant.site,
        edge=edge,
        connections=tuple(
            ConnectionModel(
                name=c.name,
                driver=c.driver,
                config=c.config,
                budget=Budget(c.budget.outstanding, c.budget.requests_per_s, c.budget.pause_s),
                access=c.access,
                zone=c.zone,
                system={name: by_path[f"{CONNECTIONS}/{c.name}/{name}"].id for name in SYSTEM_TAGS},
            )
            for c in draft.connections.values()
            if c.edge == edge
        ),
        tags=columns,
        formulas=tuple(
            FormulaModel(
                by_path[path].id,
                draft.tags[path].resolved,
                {name: by_path[p].id for name, p in draft.tags[path].inputs.items()},
            )
            for path in draft.formulas
            if draft.tags[path].edge == edge and draft.tags[path].resolved
        ),
        **_scripts(draft, by_path, edge),
        points=written,
        trips=trips,
    )


def _scripts(draft: Draft, by_path: Mapping[str, Tag], edge: str) -> dict[str, Any]:
    """What an edge runs of the plant's scripts, in the order the tags depend on each other."""
    found = []
    for path in draft.formulas:
        tag = draft.tags[path]
        section = tag.common.section.python
        if tag.edge != edge or not tag.reason or section is None:
            continue
        found.append(
            ScriptModel(
                id=by_path[path].id,
                reason=by_path[tag.reason].id,
                file=section.file,
                function=section.function,
                inputs={name: (by_path[p].id, *tag.conversions[name]) for name, p in tag.inputs.items()},
                every_s=section.every,
                state=section.state,
                bad_inputs=section.bad_inputs == "pass",
                limit_s=section.limit.time,
                memory_mb=section.limit.memory,
            )
        )
    return {"scripts": tuple(found), "files": {s.file: draft.scripts[s.file] for s in found}}
