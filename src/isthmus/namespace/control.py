"""Change control: which zones a plan touches, what their rules ask for, and what stands against applying it now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from isthmus.namespace.compiled import Compiled
from isthmus.namespace.model import ChangeRule, Plant, Tag
from isthmus.values.errors import Denied
from isthmus.values.ids import is_under
from isthmus.values.plant.changes import EVERY_ZONE
from isthmus.values.windows import parse_window


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that stands against applying a plan. Units: opens_ns is UTC ns, None where no time clears it"""

    zone: str  # "" for what belongs to none
    rule: str  # the key of change_control that asks for it
    code: str  # reason_needed, approval_needed or window_closed
    reason: str
    opens_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """What was agreed to beside the plan itself. ``emergency`` is the reason for passing over all rules."""

    approved_by: str = ""
    emergency: str = ""


NO_CONSENT = Consent()


@dataclass(frozen=True, slots=True)
class Demands:
    """What a plan has to fulfil: the zones it touches and the rules that hold for them."""

    zones: tuple[str, ...]
    rules: tuple[tuple[str, ChangeRule], ...]  # by zone
    timezone: str = "UTC"

    def obstacles(self, now_ns: int, reason: str, consent: Consent = NO_CONSENT) -> tuple[Obstacle, ...]:
        """What stands against applying it at this moment; empty when nothing does."""
        found = []
        for zone, rule in self.rules:
            what = f"zone {zone}" if zone else "what belongs to no zone"
            said = f"change_control {rule.zone!r}: {what}"
            if rule.reason and not reason.strip():
                found.append(Obstacle(zone, rule.zone, "reason_needed", f"{said} needs a reason"))
            if rule.approvals and not consent.approved_by:
                text = f"{said} needs the approval of another person"
                found.append(Obstacle(zone, rule.zone, "approval_needed", text))
            if rule.window:
                window = parse_window(rule.window)
                if not window.is_open(now_ns, self.timezone):
                    opens = window.opens_ns(now_ns, self.timezone)
                    text = f"{said} may be changed {rule.window} ({self.timezone}) only"
                    found.append(Obstacle(zone, rule.zone, "window_closed", text, opens))
        return tuple(found)

    def check(self, now_ns: int, reason: str, consent: Consent = NO_CONSENT) -> None:
        """Pass when nothing stands against it.

        Raises: Denied naming every rule; its code is that of the first
        """
        if consent.emergency.strip():
            return
        found = self.obstacles(now_ns, reason, consent)
        if found:
            hint = "; put it forward as a change" if any(o.code == "approval_needed" for o in found) else ""
            raise Denied("; ".join(dict.fromkeys(o.reason for o in found)) + hint, found[0].code)

    @property
    def approvals(self) -> int:
        """How many other persons must agree."""
        return max((rule.approvals for _, rule in self.rules), default=0)


NO_DEMANDS = Demands((), ())


def demands(old: Compiled, new: Compiled, *, changed: bool) -> Demands:
    """What going from one version to another has to fulfil. The rules are those in force, not those of the new version.

    Cost: about 10 µs a tag where there are rules, nothing to speak of where there are none
    """
    if not changed:
        return NO_DEMANDS
    rules = {rule.zone: rule for rule in old.plant.change_control}
    zones = tuple(sorted(touched(old, new))) if rules else ()
    bound = [(zone, rules.get(zone) or rules.get(EVERY_ZONE)) for zone in zones]
    return Demands(zones, tuple((zone, rule) for zone, rule in bound if rule is not None), old.plant.timezone)


def touched(old: Compiled, new: Compiled) -> set[str]:
    """The zones that are not the same in both versions; "" is in it for what belongs to none, or when only the text differs.

    A tag belongs to the zone of its connection, all else to the zones of the tags that are in it, below it or made by it.
    What cannot be told apart touches every zone, so that no rule is passed by.
    """
    before, after = _Zones(old.plant), _Zones(new.plant)
    found: set[str] = set()
    for tag, other, mine, theirs in _pairs(old, new, before, after):
        if other is None or theirs is None or _differs(old, new, tag, other):
            found |= mine | (theirs or set())
    for key in old.facts.keys() | new.facts.keys():
        if old.facts.get(key) != new.facts.get(key):
            what, _, name = key.partition(" ")
            found |= before.of(what, name) | after.of(what, name)
    return found or {""}


def _pairs(old: Compiled, new: Compiled, before: _Zones, after: _Zones) -> Iterable[tuple[Tag, Any, set[str], Any]]:
    for tag in old.plant.tags:
        other = new.plant.by_id.get(tag.id)
        yield tag, other, before.of_tag(tag), after.of_tag(other) if other else None
    for tag in new.plant.tags:
        if tag.id not in old.plant.by_id:
            yield tag, None, after.of_tag(tag), None


def _differs(old: Compiled, new: Compiled, tag: Tag, other: Tag) -> bool:
    """Whether a tag is another one; its place in the file does not matter."""
    if tag != other and _said(tag) != _said(other):
        return True
    return old.said_by_id.get(tag.id) != new.said_by_id.get(other.id)


_said = attrgetter(*(f.name for f in fields(Tag) if f.name != "order"))


class _Zones:
    """Which zones what in a plant belongs to."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._connection = {c.name: c.zone for c in plant.connections}
        self._assets = {asset.path for asset in plant.assets}
        self._below: dict[str, set[str]] = defaultdict(
            set
        )  # by path of an asset: zones of connected tags at or below it
        for tag in plant.tags:
            if tag.connection and tag.kind != "system":
                zone, path = self._connection.get(tag.connection, ""), tag.asset
                while zone not in self._below[path]:
                    self._below[path].add(zone)
                    path = path.rpartition("/")[0]
        self.every = {"", *self._connection.values(), *(r.zone for r in plant.change_control)} - {EVERY_ZONE}

    def of_tag(self, tag: Tag) -> set[str]:
        if tag.connection:
            return {self._connection.get(tag.connection, "")}
        if tag.kind == "system":  # what a trip tells of itself
            return self.of("trip", tag.asset.rpartition("/")[2])
        return self.of_asset(tag.asset)

    def of_asset(self, path: str) -> set[str]:
        """Its own zones, or those of the nearest level above that has any."""
        while path and not self._below.get(path):
            path = path.rpartition("/")[0]
        return self._below.get(path) or {""}

    def of(self, what: str, name: str) -> set[str]:
        """The zones of one declared thing; those of nothing where this plant does not have it."""
        plant = self._plant
        match what:
            case "connection":
                return {self._connection[name]} if name in self._connection else set()
            case "asset" | "calendar" | "line":
                return self.of_asset(name) if name in self._assets else set()
            case "type":
                return self._join(self.of_asset(a.path) for a in plant.assets if a.type == name)
            case "script":
                made = (t for t in plant.tags if t.formula.startswith(f"python {name}: "))
                return self._join(map(self.of_tag, made))
            case "rule":
                inputs = (i for rule, at in plant.rules if rule.name == name and not rule.type for i in at)
                return self._join(self.of_tag(plant.by_id[n]) for one in inputs for n in one.inputs.values())
            case "trip":
                seen = {tag for t in plant.trips if t.name == name for tag in (*t.inputs.values(), *dict(t.actions))}
                return self._join(self.of_tag(plant.by_id[n]) for n in seen)
            case "connector":
                return self._join(self._of_connector(name))
            case "history":
                return self._join(self.of_tag(t) for t in plant.tags if t.retention == name)
            case "change_control" if name != EVERY_ZONE:
                return {name}
        return self.every

    def _of_connector(self, name: str) -> Iterable[set[str]]:
        one = next((c for c in self._plant.connectors if c.name == name), None)
        if one is None:
            return
        for asset in self._plant.assets:
            if (not one.types or asset.type in one.types) and any(is_under(asset.path, r) for r in one.tags or ("",)):
                yield self.of_asset(asset.path)
        for root in one.tags:
            yield self.of_asset(root)  # it may be a tag, which is in the asset above it

    @staticmethod
    def _join(some: Iterable[set[str]]) -> set[str]:
        found: set[str] = set()
        for zones in some:
            found |= zones
        return found
