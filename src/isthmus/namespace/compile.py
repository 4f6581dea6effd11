"""Turns the sections of a plant file into a checked draft: every reference resolved, every formula compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import is_dataclass
from hashlib import sha256
from typing import Any

from isthmus.namespace import alarms, formulas, points, production, rules, scripts, zones
from isthmus.namespace.address import fill
from isthmus.namespace.draft import Common, Draft, DraftConnection, DraftTag, InFile, Place, at_field, declared_at, note
from isthmus.namespace.model import Asset, ChangeRule, Connector
from isthmus.namespace.overlap import find_overlaps
from isthmus.namespace.plantfile import (
    Document,
    SectionReader,
    Spot,
    did_you_mean,
    plain_data,
    read_plant_file,
    without_value,
)
from isthmus.namespace.taglist import ReadFile, Row, read_tag_list
from isthmus.ports.connectors import ConnectorSpec, connector_spec
from isthmus.ports.drivers import Address, DriverSpec
from isthmus.values import packml
from isthmus.values.errors import ConfigError
from isthmus.values.ids import MAX_PATH_CHARS, check_path, is_under
from isthmus.values.model import SYSTEM_TAGS, Budget
from isthmus.values.plant.acquisition import ConnectionSection
from isthmus.values.plant.changes import owners
from isthmus.values.plant.connectors import ConnectorSection
from isthmus.values.plant.historian import DEFAULT_RETENTION_DAYS
from isthmus.values.plant.namespace import (
    AssetSection,
    PlantFile,
    PlantSection,
    TagFile,
    TagSection,
    TypeSection,
    declared,
    override,
)
from isthmus.values.plant.production import ProductionSection, ideal_rate, joined_production
from isthmus.values.sample import ValueType
from isthmus.values.schema import is_known, members

CONNECTIONS = "connections"
"""Connections and their diagnostics live below this path."""

CONNECTORS = "connectors"

LATER = ("maintenance",)
"""Sections that are read and kept, and take effect once their room exists."""

DriverOf = Callable[[str], DriverSpec]
ConnectorOf = Callable[[str], ConnectorSpec]

_ASSET_FACTS = ("type", "level", "description", "zone", "owner", "lockout", "local", "production")
_KEPT = {CONNECTIONS: "the diagnostics of connections", points.TRIPS: "what trips tell of themselves"}
_LEVELS = ("area", "line", "cell")
_INT_KINDS = frozenset({"counter", "state", "switch"})


def compile_plant(
    document: Document,
    read_file: ReadFile,
    driver_of: DriverOf,
    active: Iterable[str] = (),
    connector_of: ConnectorOf = connector_spec,
) -> Draft:
    """The checked draft of a document; warnings are in its report.

    Raises: Findings naming every mistake with file, line, column, path and value
    Cost:   about 20 µs a tag
    """
    file = read_plant_file(document)
    if file is None:
        document.report.check()
        raise AssertionError("a document without a frame has findings")
    draft = _Compiler(document, file, read_file, driver_of, connector_of, frozenset(active)).run()
    document.report.check()
    return draft


class _Compiler:
    def __init__(
        self,
        document: Document,
        file: PlantFile,
        read_file: ReadFile,
        driver_of: DriverOf,
        connector_of: ConnectorOf,
        active: frozenset[str],
    ) -> None:
        self._document, self._file, self._read_file, self._driver_of = document, file, read_file, driver_of
        self._connector_of = connector_of
        self._active = active
        plant: PlantSection | None = file.plant  # None where it was refused
        self._draft = Draft(
            enterprise=plant.enterprise if plant else "",
            site=plant.site if plant else "",
            timezone=plant.timezone if plant else "UTC",
            description=plant.description if plant else "",
            currency=plant.currency if plant else "",
        )
        self._specs: dict[str, DriverSpec] = {}
        self._types: dict[str, TypeSection] = {}
        self._nodes: dict[str, AssetSection | None] = {}  # by path, in order; None for a mere level
        self._commons: dict[int, tuple[TagSection, Common]] = {}
        self._folded: dict[str, str] = {}
        self._later: dict[str, Place] = {}
        self._reasons: dict[tuple[str | None, str | None], TagSection] = {}
        self._counted: dict[str, ProductionSection] = {}  # by asset
        self._mute: dict[Place, list[str]] = {}  # tags without any source, by the place of their declaration

    def run(self) -> Draft:
        self._nodes[""] = None
        self._retention()
        self._connections()
        for name in self._file.types:
            self._type(name, ())
        for path, asset in self._file.assets.items():
            self._asset(path, asset)
        for i, listed in enumerate(self._file.tag_files):
            self._tag_file(listed, "", "", ("tag_files", str(i)))
        self._assets()
        self._connectors()
        scripts.check(self._document, self._draft, self._read_file)
        formulas.link(self._document, self._draft)
        self._setpoints()
        self._rules()
        zones.link(self._document, self._file, self._draft)
        alarms.link(self._document, self._file, self._draft, self._types)
        points.link(self._document, self._file, self._types, self._draft)
        production.link(self._document, self._file, self._draft, self._counted)
        find_overlaps(self._document, self._draft)
        self._renames()
        self._change_control()
        self._facts()
        self._warn_mute()
        self._warn_later()
        return self._draft

    def _error(self, place: Place, problem: str, value: str | None = None, *, key: bool = False) -> None:
        note(self._document, place, problem, value, key=key)

    def _warn(self, place: Place, problem: str, value: str | None = None, *, key: bool = False) -> None:
        note(self._document, place, problem, value, key=key, warning=True)

    # --- connections -------------------------------------------------------------------------------------------------

    def _retention(self) -> None:
        self._draft.retention = {"standard": DEFAULT_RETENTION_DAYS, **self._file.history}

    def _connections(self) -> None:
        for name, section in self._file.connections.items():
            if not section.driver:  # missing or refused, said before
                continue
            try:
                spec = self._driver_of(section.driver)
            except ConfigError as error:
                problem = without_value(str(error)).removeprefix("driver: ")
                self._error((CONNECTIONS, name, "driver"), f"driver {problem}")
                continue
            self._specs[name] = spec
            config = self._settings((CONNECTIONS, name), section, spec, f"driver {spec.name}")
            budget = section.budget
            self._draft.connections[name] = DraftConnection(
                name=name,
                driver=section.driver,
                edge=section.edge,
                zone=section.zone,
                access=section.access,
                endpoint=endpoint(config),
                description=section.description,
                config=config,
                budget=Budget(budget.outstanding, budget.requests_per_s, budget.pause),
                poll_s=section.poll,
                declared=declared(section),
                owner=owners(section.owner),
                lockout=zones.lockout(section.lockout),
                unpatchable=declared(section.unpatchable) if section.unpatchable else {},
            )

    def _connectors(self) -> None:
        for name, section in self._file.connectors.items():
            if not section.connector:  # missing or refused, said before
                continue
            try:
                spec = self._connector_of(section.connector)
            except ConfigError as error:
                problem = without_value(str(error)).removeprefix("connector: ")
                self._error((CONNECTORS, name, "connector"), f"connector {problem}")
                continue
            self._check_selection(name, section)
            config = self._settings((CONNECTORS, name), section, spec, f"connector {spec.name}")
            self._draft.connectors.append(
                Connector(
                    name=name,
                    connector=section.connector,
                    config=config,
                    tags=section.tags,
                    types=section.types,
                    rows=section.rows,
                    linger_s=section.linger,
                    start=section.start,
                    endpoint=endpoint(config),
                    description=section.description,
                    zone=section.zone,
                    owner=owners(section.owner),
                )
            )
            self._draft.facts[f"connector {name}"] = declared(section)

    def _check_selection(self, name: str, section: ConnectorSection) -> None:
        for i, root in enumerate(section.tags):
            below = any(is_under(path, root) for path in (*self._draft.tags, *self._nodes))
            if not below and not is_under(root, CONNECTIONS):
                self._error((CONNECTORS, name, "tags", str(i)), "no tag or asset of this file is there", root)
        for i, kind in enumerate(section.types):
            if kind not in self._file.types:
                self._error(
                    (CONNECTORS, name, "types", str(i)), "no such type" + did_you_mean(kind, self._file.types), kind
                )

    def _settings(
        self,
        spot: tuple[str, ...],
        section: ConnectionSection | ConnectorSection,
        spec: DriverSpec | ConnectorSpec,
        plugin: str,
    ) -> dict[str, Any]:
        """A driver's or connector's own settings, read as its config declares them and checked by itself."""
        known = members(spec.config) if is_dataclass(spec.config) else {}
        reader = SectionReader(self._document)
        config: dict[str, Any] = {}
        for key in section.settings:
            member = known.get(key)
            if member is None:
                choices = [*known, *members(type(section))]
                self._error((*spot, key), f"no setting of {plugin}{did_you_mean(key, choices)}", key, key=True)
                continue
            node = self._document.find((*spot, key))
            if node is None:
                continue
            before = len(self._document.report.errors)
            value = reader.read(member.hint, node, (*spot, key)) if is_known(member.hint) else plain_data(node)
            if len(self._document.report.errors) == before:
                config[key] = value
        missing = [key for key, m in known.items() if m.required and key not in config]
        for key in missing:
            if key not in section.settings:
                self._error(spot, f"{key} is missing", "", key=True)
        if not missing:
            self._configure(spot, spec, config)
        return config

    def _configure(self, spot: tuple[str, ...], spec: DriverSpec | ConnectorSpec, config: dict[str, Any]) -> None:
        """Asks the plugin again and again without what it refused, so that all its mistakes are told at once."""
        left = dict(config)
        while True:
            try:
                spec.configure(dict(left))
            except ConfigError as error:
                problem = without_value(str(error))
                key = problem.split(":", 1)[0]
                if key not in left:
                    self._error(spot, problem, "", key=True)
                    return
                self._error((*spot, key), problem.split(": ", 1)[-1])
                del left[key]
            else:
                return

    # --- types and assets --------------------------------------------------------------------------------------------

    def _type(self, name: str, below: tuple[str, ...]) -> TypeSection:
        """A type with everything it extends."""
        if name in self._types:
            return self._types[name]
        section = self._file.types[name]
        base = TypeSection()
        if section.extends:
            spot = ("types", name, "extends")
            if section.extends in (*below, name):
                self._error(spot, "types extend each other in a circle: " + " → ".join((*below, name, section.extends)))
            elif section.extends not in self._file.types:
                self._error(spot, "no such type" + did_you_mean(section.extends, self._file.types))
            else:
                base = self._type(section.extends, (*below, name))
        tags = dict(base.tags)
        for tag, own in section.tags.items():
            tags[tag] = override(tags[tag], own) if tag in tags else own
        whole = TypeSection(
            extends=section.extends,
            description=section.description or base.description,
            tags=tags,
            production=self._both(("types", name, "production"), base.production, section.production),
            maintenance=section.maintenance or base.maintenance,
            rules={**base.rules, **section.rules},
            alarms={**base.alarms, **section.alarms},
            owner=section.owner or base.owner,
            local=section.local or base.local,
        )
        self._types[name] = whole
        self._check_type(name, whole)
        return whole

    def _check_type(self, name: str, section: TypeSection) -> None:
        spot = ("types", name)
        if section.production is not None:
            for role, tag in section.production.tags.items():
                if tag not in section.tags:
                    place = (*spot, "production", *role.split("."))
                    self._error(place, "the type has no such tag" + did_you_mean(tag, section.tags), tag)
        if section.maintenance is not None:
            self._later.setdefault("maintenance", (*spot, "maintenance"))
        for tag, own in section.tags.items():
            self._check_tag((*spot, "tags", tag), own)

    def _check_tag(self, place: Place, section: TagSection) -> None:
        """What one declaration may not say together."""
        kind = section.kind or ("state" if section.map is not None else "value")
        wrong = []
        if kind == "text":
            wrong = ["unit", "range", "decimals", "deadband", "scale", "map"]
        elif kind in {"state", "switch"}:
            wrong = ["unit", "range", "decimals", "deadband", "scale"]
        elif section.map is not None:
            wrong = ["map"]
        calculated = section.formula is not None or section.python is not None
        if calculated:
            wrong += ["scale", "every"]
        for name in wrong:
            if getattr(section, name) is not None:
                what = "calculated tag" if name in {"scale", "every"} and calculated else f"tag of kind {kind}"
                self._error(at_field(place, name), f"a {what} has no {name}", "")
        if section.retention is not None and section.retention not in self._draft.retention:
            self._error(
                at_field(place, "retention"),
                "no class of history" + did_you_mean(section.retention, self._draft.retention),
                section.retention,
            )

    def _asset(self, path: str, section: AssetSection) -> None:
        spot: Place = ("assets", path)
        kept = path.split("/", 1)[0].lower()
        if kept in _KEPT:
            self._error(spot, f"{kept} is kept for {_KEPT[kept]}", path, key=True)
            return
        self._node(path, section)
        kind = TypeSection()
        if section.type:
            if section.type in self._file.types:
                kind = self._types[section.type]
            else:
                self._error(("assets", path, "type"), "no such type" + did_you_mean(section.type, self._file.types))
                return
        self._check_source(("assets", path, "source"), section.source)
        own = section.tags.own
        for tag in section.at:
            if tag not in kind.tags and tag not in own:
                self._error(
                    ("assets", path, "at", tag),
                    f"{'type ' + section.type if section.type else 'the asset'} has no tag of this name"
                    + did_you_mean(tag, [*kind.tags, *own]),
                    tag,
                    key=True,
                )
        for tag, base in kind.tags.items():
            self._asset_tag(path, section, tag, base, own.get(tag))
        for tag, alone in own.items():
            if tag not in kind.tags:
                self._asset_tag(path, section, tag, None, alone)
        if section.tags.file:
            listed = TagFile(file=section.tags.file, encoding=section.tags.encoding)
            self._tag_file(listed, path, section.source, ("assets", path, "tags", "file"))

    def _asset_tag(
        self, path: str, asset: AssetSection, name: str, base: TagSection | None, own: TagSection | None
    ) -> None:
        place: Spot = ("assets", path)
        if base is None or own is not None:
            section = own or TagSection()
            place = ("assets", path, "tags", name)
            if base is not None:
                section = self._joined(place, base, section)
            self._check_tag(place, section)
        else:
            section = base
        address = asset.at.get(name)
        where: Place = (*place, "at") if section.at is not None and len(place) > 2 else place
        if address is not None:
            where = ("assets", path, "at", name)
            if section.formula is not None or section.python is not None:
                how = "formula" if section.formula is not None else "python"
                self._error(where, f"this tag is calculated ({how}); it has no address")
                return
        else:
            address = section.at
            if address is not None and where == ("assets", path):
                where = ("types", asset.type, "tags", name, "at")
        if address is not None and "{" in address:
            try:
                address = fill(address, asset.parameters)
            except ConfigError as error:
                self._error(where, f"{without_value(str(error))} (in asset {path})", address)
                return
        source = section.source or asset.source
        if section.source is not None:
            self._check_source((*place, "source"), section.source)
        self._tag(f"{path}/{name}", path, name, section, place, where, source, address or "", section.description or "")

    def _joined(self, place: Place, base: TagSection, own: TagSection) -> TagSection:
        try:
            return override(base, own)
        except ConfigError as error:
            self._error(place, f"does not fit what the type says: {without_value(str(error))}", "")
            return base

    def _check_source(self, place: Place, source: str) -> None:
        if source and source not in self._file.connections:
            self._error(place, "no such connection" + did_you_mean(source, self._file.connections), source)

    def _tag_file(self, listed: TagFile, root: str, source: str, spot: Place) -> None:
        if not listed.file:  # refused, said before
            return
        data = self._read_file(listed.file)
        if data is None:
            self._error(spot, "no such file beside the plant file", listed.file)
            return
        for row in read_tag_list(data, listed.file, listed.encoding, self._document.report):
            self._row(row.where, row, root, source)

    def _row(self, file: str, row: Row, root: str, source: str) -> None:
        path = f"{root}/{row.path}" if root else row.path
        place = InFile(file, row.line, path, row.columns)
        asset, _, name = path.rpartition("/")
        try:
            check_path(name if asset in self._nodes and len(path) <= MAX_PATH_CHARS else path)
        except ConfigError as error:
            self._error(place, without_value(str(error)), row.path)
            return
        kept = path.split("/", 1)[0].lower()
        if kept in _KEPT:
            self._error(place, f"{kept} is kept for {_KEPT[kept]}", path)
            return
        if row.address and row.section.formula is not None:
            self._error(at_field(place, "formula"), "a tag is read (address) or calculated (formula), not both")
            return
        source = row.connection or source
        if source not in self._file.connections:
            self._check_source(at_field(place, "connection"), source)
        if id(row.section) not in self._commons:
            self._check_tag(place, row.section)
        if asset not in self._nodes:
            self._node(asset, None)
        where = at_field(place, "address") if row.address else place
        self._tag(path, asset, name, row.section, place, where, source, row.address, row.description)

    def _tag(
        self,
        path: str,
        asset: str,
        name: str,
        section: TagSection,
        place: Place,
        where: Place,
        source: str,
        address: str,
        description: str,
        told_by: str = "",
    ) -> None:
        """One tag; ``where`` is the place of its address. ``told_by`` is the calculated tag it gives the reasons of."""
        folded = path.casefold()
        twin = self._folded.setdefault(folded, path)
        if path in self._draft.tags:
            self._error(place, "this tag is declared twice, first " + self._told(self._draft.tags[path].place), path)
            return
        if twin != path:
            self._warn(place, f"differs from {twin} in capital letters only", path)
        common = self._common(section)
        tag = DraftTag(
            path=path,
            asset=asset,
            name=name,
            common=common,
            place=place,
            at=where,
            kind=section.kind or ("state" if section.map is not None else "value"),
            type=ValueType.FLOAT,
            unit=section.unit or "",
            description=description,
            formula=section.formula or "",
            setpoint=section.setpoint or "",
            told_by=told_by,
        )
        self._draft.tags[path] = tag
        if address:
            self._address(tag, where, source, address)
        else:
            tag.type = _default_type(tag.kind)
            if source in self._draft.connections:
                tag.edge = self._draft.connections[source].edge
            if section.python is not None:
                self._scripted(tag, source)
            elif section.formula is None and not told_by:
                self._mute.setdefault(self._type_place(asset, name) or place, []).append(path)

    def _scripted(self, tag: DraftTag, source: str) -> None:
        """A tag calculated in Python has a text beside it that tells why there is no good value."""
        section = tag.common.section
        tag.formula = f"python {section.python.file}: {section.python.function}" if section.python else ""
        path, name = f"{tag.path}.reason", f"{tag.name}.reason"
        try:
            check_path(path)
        except ConfigError:
            self._error(tag.place, "its name is too long to have a tag for its reason (.reason) beside it", tag.path)
            return
        beside = TagSection(
            kind="text",
            retention=section.retention,
            was=f"{section.was}.reason" if section.was else None,
            description=f"Why {tag.name} has no good value; empty while it has",
        )
        kept = self._reasons.setdefault((section.retention, section.was), beside)
        tag.reason = path
        self._tag(path, tag.asset, name, kept, tag.place, tag.place, source, "", beside.description or "", tag.path)

    def _type_place(self, asset: str, name: str) -> Place | None:
        """Where a tag is declared in the asset's type, if its type says it itself."""
        section = self._nodes[asset]
        if section is None or name in section.tags.own:
            return None
        spot = ("types", section.type, "tags", name)
        return spot if self._document.find(spot) is not None else None

    def _warn_mute(self) -> None:
        for place, paths in self._mute.items():
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            self._warn(place, f"{paths[0]}{more}: neither an address nor a formula, so there will never be a value", "")

    def _told(self, place: Place) -> str:
        if isinstance(place, InFile):
            return f"{place.file}:{place.line}"
        node = self._document.find(place)
        return f"in line {node.line}" if node else "elsewhere"

    def _common(self, section: TagSection) -> Common:
        known = self._commons.get(id(section))
        if known is None:
            states = dict(packml.STATES) if section.map == "packml" else section.map
            known = (section, Common(section, states if isinstance(states, dict) else None))
            self._commons[id(section)] = known
        return known[1]

    def _address(self, tag: DraftTag, where: Place, source: str, address: str) -> None:
        if not source:
            self._error(where, "an address needs a connection: source is missing", address)
            return
        connection = self._draft.connections.get(source)
        if connection is None:  # unknown or broken, said before
            return
        try:
            occupies = self._specs[source].parse_address(address)
        except ConfigError as error:
            problem = without_value(str(error)).removeprefix("address: ")
            self._error(where, f"no address of driver {connection.driver}: {problem}", address)
            return
        tag.connection, tag.address, tag.edge, tag.occupies = source, address, connection.edge, occupies
        section = tag.common.section
        tag.period_s = section.every or connection.poll_s
        connection.tags += 1
        if occupies.type is ValueType.TEXT and section.kind is None and section.map is None:
            tag.kind = "text"
            if section.scale is not None or section.unit is not None or section.range is not None:
                self._error(where, "a text has no unit, range or scale", address)
        self._type_of(tag, where, occupies)

    def _type_of(self, tag: DraftTag, where: Place, occupies: Address) -> None:
        """The value type after binding: whole numbers stay whole unless they are scaled."""
        if (tag.kind == "text") != (occupies.type is ValueType.TEXT):
            self._error(
                where, f"a tag of kind {tag.kind} cannot be read from an address of type {occupies.type}", tag.address
            )
        elif tag.kind in {"state", "switch"} and occupies.type is ValueType.FLOAT:
            self._error(where, f"a {tag.kind} is a whole number; this address gives numbers with decimals", tag.address)
        scaled = tag.common.factor != 1.0 or tag.common.offset != 0.0
        tag.type = ValueType.FLOAT if scaled and occupies.type is ValueType.INT else occupies.type

    # --- the tree ----------------------------------------------------------------------------------------------------

    def _node(self, path: str, section: AssetSection | None) -> None:
        """Puts an asset and the levels above it into the tree, in the order of the file."""
        if path in self._nodes:
            self._nodes[path] = section or self._nodes[path]
            return
        parts = path.split("/")
        for depth in range(1, len(parts)):
            self._nodes.setdefault("/".join(parts[:depth]), None)
        self._nodes[path] = section
        twin = self._folded.setdefault(path.casefold(), path)
        if twin != path:
            self._warn(("assets", path), f"differs from {twin} in capital letters only", path, key=True)

    def _assets(self) -> None:
        parents = {path.rpartition("/")[0] for path in self._nodes if path}
        for path, section in self._nodes.items():
            if path in self._draft.tags:
                self._error(self._draft.tags[path].place, "is a tag and an asset at the same time", path)
            self._draft.assets.append(
                Asset(
                    path=path,
                    name=path.rpartition("/")[2] or self._draft.site,
                    level=_level(path, section, path in parents),
                    type=section.type if section else "",
                    parent=path.rpartition("/")[0],
                    order=len(self._draft.assets),
                    production=self._production(path, section),
                    description=section.description if section else "",
                    zone=self._zone(path, section),
                    owner=self._owner(section),
                    lockout=zones.lockout(section.lockout) if section else None,
                )
            )
        self._kept(CONNECTIONS, self._draft.connections, "connection", "connection")
        self._kept(points.TRIPS, self._file.trips, "area", "asset")

    def _kept(self, root: str, inside: Iterable[str], above: str, level: str) -> None:
        """Nodes for what tells of itself by tags, where there is any."""
        paths = [f"{root}/{name}" for name in inside]
        for path in [root, *paths] if paths else ():
            parent, _, name = path.rpartition("/")
            levels = level if parent else above
            self._draft.assets.append(Asset(path, name, levels, "", parent, len(self._draft.assets)))

    def _zone(self, path: str, section: AssetSection | None) -> str:
        """Its own zone, that of its source, or that of the nearest asset above that has one."""
        while True:
            if section is not None:
                source = self._draft.connections.get(section.source)
                found = section.zone or (source.zone if source else "")
                if found:
                    return found
            if not path:
                return ""
            path = path.rpartition("/")[0]
            section = self._nodes[path]

    def _production(self, path: str, section: AssetSection | None) -> dict[str, Any]:
        """The roles of its tags, for whoever shows the asset; how it is counted is in the plant's machines."""
        kind = self._types.get(section.type) if section else None
        own = section.production if section else None
        counted = self._both(("assets", path, "production"), kind.production if kind else None, own)
        if counted is None:
            return {}
        self._counted[path] = counted
        found: dict[str, Any] = {role: f"{path}/{tag}" for role, tag in counted.tags.items() if "." not in role}
        if counted.ideal_rate:
            count, per_ns = ideal_rate(counted.ideal_rate)
            found["ideal_rate"], found["ideal_rate_per_s"] = counted.ideal_rate, count * 1e9 / per_ns
        return found

    def _both(
        self, spot: Spot, base: ProductionSection | None, own: ProductionSection | None
    ) -> ProductionSection | None:
        """How production is counted, of a type it extends (or its type) and as said here."""
        if base is None or own is None:
            return own or base
        try:
            return joined_production(base, own)
        except ConfigError as error:
            self._error(spot, f"does not fit what it extends: {without_value(str(error))}", "")
            return base

    def _owner(self, section: AssetSection | None) -> tuple[str, ...]:
        if section is None:
            return ()
        kind = self._types.get(section.type)
        return owners(section.owner) or owners(kind.owner if kind else "")

    def _change_control(self) -> None:
        self._draft.change_control = tuple(
            ChangeRule(zone, rule.reason == "required", rule.approvals, rule.window)
            for zone, rule in self._file.change_control.items()
        )

    def _setpoints(self) -> None:
        for tag in self._draft.tags.values():
            if not tag.setpoint:
                continue
            beside = f"{tag.asset}/{tag.setpoint}" if tag.asset else tag.setpoint
            found = beside if beside in self._draft.tags else tag.setpoint
            if found in self._draft.tags and found != tag.path:
                tag.setpoint = found
            else:
                place = declared_at(self._document, tag, "setpoint")
                self._error(place, "setpoint names no tag beside it and no path of a tag", tag.setpoint)

    def _rules(self) -> None:
        linker = rules.Linker(self._document, self._draft)
        of_type: dict[str, list[str]] = {}
        for path, asset in self._nodes.items():
            if asset is not None and asset.type:
                of_type.setdefault(asset.type, []).append(path)
        for kind, section in self._types.items():
            for name, rule in section.rules.items():
                spot = next(
                    (s for s in self._rule_spots(kind, name) if self._document.find(s) is not None), ("types", kind)
                )
                linker.add(spot, kind, name, rule, of_type.get(kind, []))
        for name, rule in self._file.rules.items():
            linker.add(("rules", name), "", name, rule, [""])

    def _rule_spots(self, kind: str, name: str) -> list[Spot]:
        """Where a rule of a type may stand: in it, or in one it extends."""
        spots: list[Spot] = []
        while kind in self._file.types and len(spots) < len(self._file.types):
            spots.append(("types", kind, "rules", name))
            kind = self._file.types[kind].extends
        return spots

    # --- names that changed ------------------------------------------------------------------------------------------

    def _renames(self) -> None:
        moved: dict[str, str] = {}
        for old, new in self._file.renamed.items():
            place: Place = ("renamed", old)
            if new in moved:
                self._error(place, f"{moved[new]} was renamed to this path as well", new)
            elif new not in self._draft.tags and new not in self._nodes and not self._is_connection(new):
                self._error(place, "the new path is no tag, asset or connection of this file", new)
            else:
                moved[new] = old
                self._draft.rename_places[new] = place
        for path, asset in self._file.assets.items():
            if asset.was:
                moved.setdefault(path, asset.was)
                self._draft.rename_places.setdefault(path, ("assets", path, "was"))
        for name, connection in self._file.connections.items():
            if connection.was:
                moved.setdefault(f"{CONNECTIONS}/{name}", f"{CONNECTIONS}/{connection.was}")
                self._draft.rename_places.setdefault(f"{CONNECTIONS}/{name}", (CONNECTIONS, name, "was"))
        for path, tag in self._draft.tags.items():
            was = tag.common.section.was
            if moved or was:
                olds = _old_paths(path, tag.asset, tag.name, was, moved)
                if olds:
                    self._draft.renames[path] = olds
        for name in self._draft.connections:
            before = moved.get(f"{CONNECTIONS}/{name}")
            if before:
                for tag_name in SYSTEM_TAGS:
                    self._draft.renames[f"{CONNECTIONS}/{name}/{tag_name}"] = (f"{before}/{tag_name}",)

    def _is_connection(self, path: str) -> bool:
        head, _, name = path.partition("/")
        return head == CONNECTIONS and name in self._draft.connections

    # --- what else can be compared -----------------------------------------------------------------------------------

    def _facts(self) -> None:
        """What was declared beside tags, for comparing versions."""
        facts = self._draft.facts
        plant = self._draft
        facts["plant"] = {
            "enterprise": plant.enterprise,
            "site": plant.site,
            "timezone": plant.timezone,
            "description": plant.description,
            **({"currency": plant.currency} if plant.currency else {}),
        }
        for name, days in plant.retention.items():
            facts[f"history {name}"] = {"days": days}
        for name, text in plant.scripts.items():
            facts[f"script {name}"] = {"lines": text.count("\n") + 1, "text": sha256(text.encode()).hexdigest()[:12]}
        for name, connection in plant.connections.items():
            facts[f"connection {name}"] = connection.declared
        for name, section in self._types.items():
            said = declared(section)
            facts[f"type {name}"] = {
                k: said[k]
                for k in ("description", "production", "maintenance", "rules", "alarms", "owner", "local")
                if k in said
            }
        for name, rule in self._file.rules.items():
            facts[f"rule {name}"] = declared(rule)
        for name, alarm in self._file.alarms.items():
            facts[f"alarm {name}"] = declared(alarm)
        for name, trip in self._file.trips.items():
            facts[f"trip {name}"] = declared(trip)
        for place, calendar in self._file.calendars.items():
            facts[f"calendar {place}"] = declared(calendar)
        for group, reasons in self._file.reasons.items():
            facts[f"reasons {group}"] = declared(reasons)
        for path, line in self._file.lines.items():
            facts[f"line {path}"] = declared(line)
        for zone, control in self._file.change_control.items():
            facts[f"change_control {zone}"] = declared(control)
        for path, asset in self._nodes.items():
            if asset is not None:
                said = declared(asset)
                facts[f"asset {path}"] = {k: said[k] for k in _ASSET_FACTS if k in said}

    def _warn_later(self) -> None:
        for name in LATER:
            if name in self._later and name not in self._active:
                self._warn(self._later[name], f"declared; not active in this version: {name}", "")


def _old_paths(path: str, asset: str, name: str, was: str | None, moved: dict[str, str]) -> tuple[str, ...]:
    """The paths a tag may have had before, best first: its own renaming, then that of the assets above it."""
    if path in moved:
        return (moved[path],)
    bases = [asset]
    above, below = asset, ""
    while above:
        if above in moved:
            bases.insert(0, moved[above] + below)
            break
        above, _, last = above.rpartition("/")
        below = f"/{last}{below}"
    if was is not None:
        return (was,) if "/" in was else tuple(f"{base}/{was}" if base else was for base in bases)
    return tuple(f"{base}/{name}" for base in bases[:-1])


def _default_type(kind: str) -> ValueType:
    if kind == "text":
        return ValueType.TEXT
    return ValueType.INT if kind in _INT_KINDS else ValueType.FLOAT


def _level(path: str, section: AssetSection | None, has_children: bool) -> str:
    """The ISA-95 level of a node: as declared, asset for a leaf with a type or tags, else by its depth."""
    if not path:
        return "site"
    if section is not None and section.level:
        return section.level
    if section is not None and not has_children and (section.type or section.tags.own or section.tags.file):
        return "asset"
    return _LEVELS[min(path.count("/"), 2)]


def endpoint(config: dict[str, Any]) -> str:
    """Where a connection leads to, for people."""
    for key in ("endpoint", "url", "path", "device"):
        if config.get(key):
            return str(config[key])
    host, port = config.get("host"), config.get("port")
    if host is None:
        return ""
    return f"{host}:{port}" if port is not None else str(host)
