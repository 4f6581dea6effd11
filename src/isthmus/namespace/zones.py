"""Zones, conduits and roles of a plant file: names that exist, and machines that may speak with each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from isthmus.namespace.draft import Draft, DraftTag, Place, declared_at, note
from isthmus.namespace.model import Conduit, Lockout, OwnRole, Zone
from isthmus.namespace.plantfile import Document, did_you_mean
from isthmus.values.ids import is_under
from isthmus.values.plant.namespace import PlantFile
from isthmus.values.plant.policy import BUILT_IN_ROLES, OUTSIDE, SITE, LockoutSection, RoleSection


def lockout(section: LockoutSection | None) -> Lockout | None:
    """A lock-out as the plant has it; one that was refused is none."""
    return None if section is None else Lockout(section.who, section.why, section.since)


def link(document: Document, file: PlantFile, draft: Draft) -> None:
    """Check the sections and put them into the draft."""
    _Linker(document, file, draft).run()


class _Linker:
    def __init__(self, document: Document, file: PlantFile, draft: Draft) -> None:
        self._document, self._file, self._draft = document, file, draft
        self._known = {*file.zones, SITE}
        self._open: set[tuple[str, str, str]] = set()  # from, to, kind

    def run(self) -> None:
        self._zones()
        self._conduits()
        self._roles()
        if not self._file.zones:
            return
        self._named()
        self._field()
        self._deliveries()
        self._formulas()

    def _error(self, place: Place, problem: str, value: str | None = None, *, key: bool = False) -> None:
        note(self._document, place, problem, value, key=key)

    # --- what is declared --------------------------------------------------------------------------------------------

    def _zones(self) -> None:
        taken: dict[tuple[str, str], str] = {}
        for name, zone in self._file.zones.items():
            if name == OUTSIDE:
                self._error(("zones", name), f"{OUTSIDE} is every address that no zone names", name, key=True)
            for what in ("networks", "programs", "edges"):
                for i, one in enumerate(getattr(zone, what)):
                    other = taken.setdefault((what, one), name)
                    if other != name:
                        self._error(("zones", name, what, str(i)), f"zone {other} has it already", one)
            for i, edge in enumerate(zone.edges):
                if edge not in {c.edge for c in self._draft.connections.values()}:
                    note(
                        self._document,
                        ("zones", name, "edges", str(i)),
                        "no connection of this file belongs to such an edge",
                        edge,
                        warning=True,
                    )
            self._draft.zones.append(
                Zone(name, zone.networks, zone.programs, zone.edges, zone.security_level, zone.description)
            )
            self._draft.facts[f"zone {name}"] = _said(
                networks=list(zone.networks),
                programs=list(zone.programs),
                edges=list(zone.edges),
                security_level=zone.security_level,
                description=zone.description,
            )

    def _conduits(self) -> None:
        for name, conduit in self._file.conduits.items():
            if not conduit.source or not conduit.target:  # refused, said before
                continue
            for key, zone in (("from", conduit.source), ("to", conduit.target)):
                self._check_zone(("conduits", name, key), zone, {*self._known, OUTSIDE})
            kinds = tuple(dict.fromkeys(conduit.allow or ()))
            self._open |= {(conduit.source, conduit.target, kind) for kind in kinds}
            self._draft.conduits.append(Conduit(name, conduit.source, conduit.target, kinds, conduit.description))
            self._draft.facts[f"conduit {name}"] = _said(
                **{"from": conduit.source, "to": conduit.target},
                allow=list(kinds),
                description=conduit.description,
            )

    def _roles(self) -> None:
        for name, role in self._file.roles.items():
            if name in BUILT_IN_ROLES:
                self._error(("roles", name), "is a role every plant has; name yours otherwise", name, key=True)
                continue
            self._check_role(name, role)
            self._draft.roles.append(
                OwnRole(name, role.extends, role.allow, role.deny, role.under, role.zones, role.when, role.description)
            )
            self._draft.facts[f"role {name}"] = _said(
                extends=list(role.extends),
                allow=list(role.allow),
                deny=list(role.deny),
                under=list(role.under),
                zones=list(role.zones),
                when=list(role.when),
                description=role.description,
            )

    def _check_role(self, name: str, role: RoleSection) -> None:
        choices = (*BUILT_IN_ROLES, *self._file.roles)
        for i, base in enumerate(role.extends):
            spot = ("roles", name, "extends", str(i))
            if base not in choices:
                self._error(spot, "no such role" + did_you_mean(base, choices), base)
            elif name in _all_bases(base, self._file.roles):
                self._error(spot, "roles extend each other in a circle", base)
        for i, zone in enumerate(role.zones):
            self._check_zone(("roles", name, "zones", str(i)), zone, self._known)
        for i, root in enumerate(role.under):
            if not self._exists(root):
                self._error(("roles", name, "under", str(i)), "no tag or asset of this file is there", root)

    def _exists(self, root: str) -> bool:
        if any(asset.path == root for asset in self._draft.assets):
            return True
        return root in self._draft.tags or any(is_under(path, root) for path in self._draft.tags)

    def _check_zone(self, place: Place, zone: str, known: Iterable[str]) -> None:
        if zone not in known:
            self._error(place, "no such zone" + did_you_mean(zone, known), zone)

    # --- who speaks with whom ----------------------------------------------------------------------------------------

    def _named(self) -> None:
        for name, connection in self._draft.connections.items():
            if connection.zone:
                self._check_zone(("connections", name, "zone"), connection.zone, self._known)
        for path, asset in self._file.assets.items():
            if asset.zone:
                self._check_zone(("assets", path, "zone"), asset.zone, self._known)

    def _field(self) -> None:
        """A device and its edge, an edge and core: each in one zone, or joined by a conduit."""
        edges = {edge: zone for zone, section in self._file.zones.items() for edge in section.edges}
        told = set()
        for name, connection in self._draft.connections.items():
            here, there = edges.get(connection.edge, SITE), connection.zone or SITE
            if there in self._known and not self._joined(here, there, "field"):
                place = ("connections", name, "zone" if connection.zone else "edge")
                self._error(
                    place,
                    f"{connection.edge} stands in zone {here}, this device in zone {there}: no conduit between them "
                    "allows field",
                    connection.zone or connection.edge,
                )
            if here != SITE and connection.edge not in told and not self._joined(here, SITE, "edge"):
                told.add(connection.edge)
                self._error(
                    ("zones", here, "edges"),
                    f"{connection.edge} stands in zone {here}, core in zone {SITE}: no conduit between them allows edge",
                    connection.edge,
                )

    def _joined(self, one: str, other: str, kind: str) -> bool:
        """Whether two machines may speak; either of them may be the one the conduit begins at."""
        return one == other or (one, other, kind) in self._open or (other, one, kind) in self._open

    def _deliveries(self) -> None:
        for connector in self._draft.connectors:
            there = connector.zone or OUTSIDE
            place = ("connectors", connector.name, "zone" if connector.zone else "connector")
            if there not in {*self._known, OUTSIDE}:
                self._check_zone(place, there, {*self._known, OUTSIDE})
            elif there != SITE and (SITE, there, "deliver") not in self._open:
                value = connector.zone or connector.connector
                self._error(place, f"no conduit from {SITE} to {there} allows deliver", value)

    def _formulas(self) -> None:
        """A calculated tag shows what its inputs said: its zone must be allowed to read theirs."""
        zones = {asset.path: asset.zone or SITE for asset in self._draft.assets}
        for tag in self._draft.tags.values():
            here = self._zone_of(tag, zones)
            for path in tag.inputs.values():
                given = self._draft.tags.get(path)
                there = here if given is None else self._zone_of(given, zones)
                if here != there and (here, there, "read") not in self._open:
                    name = "python" if tag.common.section.python is not None else "formula"
                    self._error(
                        declared_at(self._document, tag, name),
                        f"{tag.path} of zone {here} is calculated from {path} of zone {there}: no conduit from {here} "
                        f"to {there} allows read",
                        path,
                    )
                    break

    def _zone_of(self, tag: DraftTag, zones: Mapping[str, str]) -> str:
        connection = self._draft.connections.get(tag.connection)
        return zones.get(tag.asset, SITE) if connection is None else connection.zone or SITE


def _all_bases(name: str, roles: Mapping[str, RoleSection]) -> set[str]:
    """A role and everything it extends, circles or not."""
    found: set[str] = set()
    todo = [name]
    while todo:
        one = todo.pop()
        if one not in found:
            found.add(one)
            todo += roles[one].extends if one in roles else ()
    return found


def _said(**said: object) -> dict[str, object]:
    return {key: value for key, value in said.items() if value not in (None, "", [])}
