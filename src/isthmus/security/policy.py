"""Who may do what: roles × action × path × zone × state, compiled from a plant; deny by default, each answer with its reason.

A decision asks, in this order: is it known who asks; may a request of this principal come from this address; do conduits
let this kind of message pass from the zone it comes from to core and on to the zone of its target; has the role the
action there, in this state; does the scope of a token narrow it away; is the target locked out. The first no is the answer.
"""

from __future__ import annotations

import ipaddress
import json
import os
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from isthmus.namespace.model import EMPTY, Lockout, Plant, Tag
from isthmus.security.model import ALLOWED, DOING, Action, Principal, Proof, Role, Scope
from isthmus.values.errors import ConfigError, Denied
from isthmus.values.ids import check_path, is_under
from isthmus.values.plant.policy import OUTSIDE, SITE

KIND_OF: Final[Mapping[Action, str]] = {
    Action.READ: "read",
    Action.WRITE: "write",
    Action.CONTROL_APPROVE: "write",
    Action.CONTROL_MODE: "write",
    Action.CONTROL_LOCKOUT: "write",
    Action.ALARM_ACKNOWLEDGE: "write",
    Action.ALARM_SHELVE: "write",
    Action.ALARM_CHANGE: "change",
    Action.CALLOUT_CHANGE: "change",
    Action.RECIPE_CHANGE: "change",
    Action.RECIPE_APPROVE: "change",
    Action.SCREEN_CHANGE: "change",
    Action.SCREEN_PUBLISH: "change",
    Action.PRODUCTION_RECORD: "write",
    Action.PRODUCTION_CORRECT: "change",
    Action.PRODUCTION_PLAN: "change",
    Action.PRODUCTION_SIGN: "write",
    Action.PLANT_CHANGE: "change",
    Action.PLANT_APPROVE: "change",
    Action.CONNECTION_TEST: "test",
    Action.ACCOUNT_OWN: "sign-in",
    Action.ACCOUNTS: "administer",
    Action.SECURITY: "administer",
    Action.AUDIT_READ: "audit",
    Action.PRIVACY: "administer",
    Action.BACKUP: "administer",
}
"""What kind of message asks for an action; watching live values is `live`, asking the record `history`."""

LOOKING: Final = frozenset({Action.READ, Action.ACCOUNT_OWN, Action.AUDIT_READ})
"""Actions that no state forbids."""

PERSONAL: Final = frozenset({Action.ACCOUNT_OWN})
"""Actions that concern nothing of the plant: no path and no zone narrows them."""

MOST_SIGHTS: Final = 256
MOST_MEMOS: Final = 200_000
"""Decisions kept; beyond that all are forgotten and worked out again, at about 10 µs each."""


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer with its reason. ``code`` is for programs ("" when allowed), ``rule`` names what decided."""

    allowed: bool
    reason: str
    code: str = ""
    rule: str = ""

    def check(self) -> None:
        """Pass when allowed.

        Raises: Denied
        """
        if not self.allowed:
            raise Denied(self.reason, self.code)


@dataclass(frozen=True, slots=True)
class _Target:
    """What is asked for. ``whole``: the whole site; ``part``: whatever part of it the principal may see."""

    action: Action
    path: str
    zone: str
    state: str
    whole: bool
    part: bool

    @property
    def where(self) -> str:
        return self.path or "the whole site"


@dataclass(frozen=True, slots=True, eq=False)
class _Role:
    """A role as it is asked; ``bases`` give what they have within what this one is narrowed to."""

    name: str
    allow: frozenset[str]
    deny: frozenset[str] = frozenset()
    under: tuple[str, ...] = ()
    zones: frozenset[str] = frozenset()
    when: tuple[str, ...] = ()
    bases: tuple[_Role, ...] = ()

    def has(self, action: Action) -> bool:
        """Whether it has the action anywhere, at any time."""
        return action not in self.deny and (action in self.allow or any(b.has(action) for b in self.bases))

    def narrows(self, action: Action) -> bool:
        """Whether it has the action in a part of the plant only."""
        if self.under or self.zones:
            return True
        return action not in self.allow and all(b.narrows(action) for b in self.bases if b.has(action))

    @property
    def asks_state(self) -> bool:
        """Whether what it may do hangs on what a machine is doing."""
        return bool(self.when) or any(base.asks_state for base in self.bases)

    def obstacle(self, target: _Target) -> Decision | None:
        """Why not, None when it grants it; it has the action."""
        if target.action not in PERSONAL:
            found = _narrowed(f"role {self.name}", "role", self.under, self.zones, target)
            if found is not None:
                return found
        asked = self.when and target.action not in LOOKING and not target.part
        if asked and target.state.casefold() not in map(str.casefold, self.when):
            now = f"it is {target.state}" if target.state else "its state is not known"
            return _no(
                f"role {self.name} changes something only while {' or '.join(self.when)}; {now}",
                "role_state",
                f"role {self.name}",
            )
        if target.action in self.allow:
            return None
        first: Decision | None = None
        for base in self.bases:
            if base.has(target.action):
                found = base.obstacle(target)
                if found is None:
                    return None
                first = first or found
        return first


def _no(reason: str, code: str, rule: str) -> Decision:
    return Decision(False, reason, code, rule)


def _narrowed(
    who: str, code: str, under: tuple[str, ...], zones: frozenset[str] | tuple[str, ...], target: _Target
) -> Decision | None:
    """Why a path or zone lies outside what somebody is narrowed to."""
    if target.part:
        return None
    if under and not any(target.path and is_under(target.path, root) for root in under):
        return _no(f"{who} is narrowed to {', '.join(under)}; this is {target.where}", f"{code}_path", who)
    if zones and (target.whole or target.zone not in zones):
        here = "the whole site" if target.whole else f"zone {target.zone}"
        return _no(f"{who} is narrowed to zone {', '.join(sorted(zones))}; this is {here}", f"{code}_zone", who)
    return None


@lru_cache(maxsize=1024)
def _networks(sources: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(source, strict=False) for source in sources)


@lru_cache(maxsize=8192)
def _address(source: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address; one of IPv4 in the clothes of IPv6 is what it is. None where it is no address."""
    try:
        found = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _from(source: str, sources: tuple[str, ...]) -> bool:
    address = _address(source)
    try:
        return address is not None and any(address in network for network in _networks(sources))
    except ValueError:  # a scope that names no network lets nothing in
        return False


class Policy:
    """The policy of one version of the plant; immutable but for its memory. Safe to ask from several threads.

    Cost: about 0.5 µs for what was decided before, 10 µs else; `isthmus bench policy`
    """

    def __init__(
        self,
        plant: Plant,
        lockouts: Mapping[str, Lockout] | None = None,
        state_at: Callable[[str], str] | None = None,
    ) -> None:
        """``state_at`` tells what the machine at a path is doing; without it nobody knows."""
        self.plant = plant
        self._state_at = state_at
        self.zoned = bool(plant.zones)
        self.lockouts = {**_declared_lockouts(plant), **(lockouts or {})}
        self.role_names = (*(role.value for role in Role), *(role.name for role in plant.roles))
        self.zone_names = tuple(
            dict.fromkeys((SITE, *(z.name for z in plant.zones), *((OUTSIDE,) if self.zoned else ())))
        )
        self._roles = _compiled_roles(plant)
        self._by_state = frozenset(name for name, role in self._roles.items() if role.asks_state)
        self._conduits = {(c.source, c.target, kind): c.name for c in reversed(plant.conduits) for kind in c.allow}
        self._programs = {program: zone.name for zone in plant.zones for program in zone.programs}
        nets = [(ipaddress.ip_network(n), zone.name) for zone in plant.zones for n in zone.networks]
        self._nets = sorted(nets, key=lambda pair: -pair[0].prefixlen)
        self._connection_zone = {c.name: c.zone or SITE for c in plant.connections}
        self._asset_zone = {a.path: a.zone or SITE for a in plant.assets}
        # by where a principal lies in memory, which it keeps as long as it is kept here
        self._memory: dict[tuple[object, ...], tuple[Principal, Decision]] = {}
        self._seen: dict[tuple[int, str], tuple[Principal, NDArray[np.bool_] | None]] = {}
        self._sights: dict[tuple[str, Scope, tuple[bool, ...], bool], NDArray[np.bool_]] = {}

    # --- zones -------------------------------------------------------------------------------------------------------

    def zone_of(self, source: str, program: str = "") -> str:
        """The zone a request from this address belongs to. Without zones everything is the site; core's own machine is
        the site unless a zone has its loopback network, or ``program``.
        """
        if not self.zoned:
            return SITE
        address = _address(source)
        if address is None:
            return OUTSIDE
        for network, zone in self._nets:
            if address in network:
                return zone
        if address.is_loopback:
            return self._programs.get(program, SITE)
        return OUTSIDE

    def zone_at(self, path: str) -> str:
        """The zone of a tag, an asset or a connection, known or not; the empty path is core itself."""
        if not self.zoned or not path:
            return SITE
        tag = self.plant.by_path.get(path)
        return self._zone_of_asset(path) if tag is None else self.zone_of_tag(tag)

    def zone_of_tag(self, tag: Tag) -> str:
        """The zone of a tag of the plant: that of its connection, or of its asset where it has none."""
        if not self.zoned:
            return SITE
        if tag.connection:
            return self._connection_zone.get(tag.connection, SITE)
        return self._zone_of_asset(tag.asset)

    def _zone_of_asset(self, path: str) -> str:
        head, _, rest = path.partition("/")
        if head == "connections" and rest:
            return self._connection_zone.get(rest.partition("/")[0], SITE)
        while path:
            zone = self._asset_zone.get(path)
            if zone is not None:
                return zone
            path = path.rpartition("/")[0]
        return self._asset_zone.get("", SITE)

    def edge_flows(self) -> dict[str, tuple[bool, bool]]:
        """Of each edge, whether its frames may come to core, and whether commands may go to it. Frames follow a conduit for
        `edge` of either direction, as the plan checks it; commands one for `write` from core's zone to that of the edge.
        """
        zones = {edge: zone.name for zone in self.plant.zones for edge in zone.edges}
        found = {}
        for edge in self.plant.edges:
            zone = zones.get(edge, SITE)
            up = self.conduit(zone, SITE, "edge") or self.conduit(SITE, zone, "edge")
            found[edge] = (up is not None, self.conduit(SITE, zone, "write") is not None)
        return found

    def conduit(self, source: str, target: str, kind: str) -> str | None:
        """What lets a kind of message pass from zone to zone: "same zone" or the name of a conduit; None where nothing does."""
        if source == target or not self.zoned:
            return "same zone"
        name = self._conduits.get((source, target, kind))
        return None if name is None else f"conduit {name}"

    def _caller(self, principal: Principal) -> tuple[str, Decision | None]:
        """The zone somebody asks from, and why nobody of it may ask from there."""
        program = principal.name if principal.proof is Proof.TOKEN else ""
        zone = self.zone_of(principal.source, program)
        own = self._programs.get(program, zone) if program else zone
        if own != zone:
            return zone, _no(
                f"{program} belongs to zone {own}, and this request comes from zone {zone} ({principal.source or 'unknown'})",
                "program_elsewhere",
                f"zone {own}",
            )
        return zone, None

    # --- decisions ---------------------------------------------------------------------------------------------------

    def decide(
        self,
        principal: Principal | None,
        action: Action,
        path: str = "",
        *,
        zone: str = "",
        state: str = "",
        kind: str = "",
        part: bool = False,
    ) -> Decision:
        """Whether somebody may do something to a path of the plant, and why.

        ``zone`` is that of the target where it has no path, ``state`` what the target is doing unless core is to look, ``kind``
        the kind of message unless it follows from the action. An empty path means the whole site; with ``part`` whatever part of it
        may be seen, in any state (the asker then shows only that, see ``sight``, or asks again for the path it acts on).
        """
        if (
            not state
            and self._by_state
            and principal is not None
            and principal.role in self._by_state
            and self._state_at
        ):
            state = self._state_at(path)
        rest = zone or state or kind or part
        key = (id(principal), action, path, zone, state, kind, part) if rest else (id(principal), action, path)
        kept = self._memory.get(key)
        if kept is not None and kept[0] is principal:
            return kept[1]
        if principal is None:
            return _NOBODY
        decision = self._weigh(principal, action, path, zone, state, kind or KIND_OF[action], part)
        if len(self._memory) >= MOST_MEMOS:
            self._memory = {}
        self._memory[key] = (principal, decision)
        return decision

    def _weigh(
        self, principal: Principal, action: Action, path: str, zone: str, state: str, kind: str, part: bool
    ) -> Decision:
        """One decision, from the beginning."""
        who = principal.name
        if principal.proof is not Proof.SESSION and action is Action.ACCOUNT_OWN:
            return _no(
                f"a {principal.proof} has no account of its own; sign in with a name and a password",
                "needs_session",
                "account",
            )
        target = _Target(action, path, zone or self.zone_at(path), state, not path and not zone, part and not path)
        scope = principal.scope
        if scope.sources and not _from(principal.source, scope.sources):
            came = principal.source or "an unknown address"
            return _no(
                f"{who} may come from {', '.join(scope.sources)}, not from {came}", "scope_source", f"scope of {who}"
            )
        passed, blocked = self._pass(principal, target.zone, kind)
        if blocked is not None:
            return blocked
        role = self._roles.get(principal.role)
        if role is None:
            return _no(f"this plant has no role {principal.role!r}, which {who} has", "role_missing", "no role")
        if not role.has(action):
            return self._lacking(principal, role, action)
        found = role.obstacle(target) or _scope_obstacle(who, scope, target) or self._locked(target)
        if found is not None:
            return found
        return Decision(True, f"role {role.name} has {action.value}", "", f"role {role.name}; {passed}")

    def _pass(self, principal: Principal, target: str, kind: str) -> tuple[str, Decision | None]:
        """What lets the message pass, or what does not: whoever asks speaks with core first."""
        if principal.proof is Proof.SOCKET:
            return "local socket", None  # crosses no network
        caller, blocked = self._caller(principal)
        passed = "same zone"
        for zone in (SITE, target):
            found = self.conduit(caller, zone, kind)
            if blocked is None and found is None:
                blocked = _no(
                    f"no conduit from zone {caller} to zone {zone} allows {kind}",
                    "conduit_missing",
                    f"{caller} → {zone}",
                )
            passed = found or passed
        return passed, blocked

    def _lacking(self, principal: Principal, role: _Role, action: Action) -> Decision:
        if action in role.deny:
            return _no(f"role {role.name} denies {action.value}", "role_missing", f"role {role.name}")
        roles = [name for name in self.role_names if self._roles[name].has(action)]
        needs = f"role {' or '.join(roles)}" if roles else "a right that no role has"
        return _no(
            f"{DOING[action]} ({action.value}) needs {needs}; {principal.name} has role {principal.role}",
            "role_missing",
            f"role {role.name}",
        )

    def _locked(self, target: _Target) -> Decision | None:
        """What forbids a write whatever the role."""
        return self.locked(target.path) if target.action is Action.WRITE else None

    def locked(self, path: str) -> Decision | None:
        """What locks a path out, whoever asks; None where nothing does."""
        if not self.lockouts:
            return None
        tag = self.plant.by_path.get(path)
        at = path
        above = [f"connections/{tag.connection}"] if tag is not None and tag.connection else []
        while True:
            above.append(at)
            if not at:
                break
            at = at.rpartition("/")[0]
        for place in above:
            held = self.lockouts.get(place)
            if held is not None:
                since = f" since {held.since}" if held.since else ""
                return _no(
                    f"{place or 'the site'} is locked out by {held.who}{since}: {held.why}",
                    "locked_out",
                    f"lock-out {place}",
                )
        return None

    def at_least(self, role: str, least: str) -> bool:
        """Whether a role is another one or has everything of it: by extending it, or, of those built in, by its actions."""
        mine, wanted = self._roles.get(role), self._roles.get(least)
        if mine is None or wanted is None:
            return False
        if mine is wanted or any(self.at_least(base.name, least) for base in mine.bases):
            return True
        return {role, least} <= ALLOWED.keys() and mine.allow >= wanted.allow

    # --- what somebody sees ------------------------------------------------------------------------------------------

    def sight(self, principal: Principal, kind: str = "read") -> NDArray[np.bool_] | None:
        """Which tags somebody may read: a truth for each tag id; None when nothing is narrowed.

        The same as ``decide(principal, Action.READ, tag.path, kind=kind)`` for every tag, in columns.
        Shapes: (greatest id + 1,)
        Cost:   100 ms for 50,000 tags once in each version of the plant (`prepare`); 1 ms for all who are narrowed alike;
                then a look-up
        """
        key = (id(principal), kind)
        kept = self._seen.get(key)
        if kept is not None and kept[0] is principal:
            return kept[1]
        seen = self._shared_sight(principal, kind) if self._is_narrowed(principal, kind) else None
        if len(self._seen) >= MOST_MEMOS // 10:
            self._seen = {}
        self._seen[key] = (principal, seen)
        return seen

    def _is_narrowed(self, principal: Principal, kind: str) -> bool:
        """Whether there may be a tag somebody cannot read."""
        role, scope = self._roles.get(principal.role), principal.scope
        if role is None or not role.has(Action.READ) or role.narrows(Action.READ):
            return True
        if scope.under or scope.zones or (scope.actions and Action.READ not in scope.actions):
            return True
        if scope.sources and not _from(principal.source, scope.sources):
            return True
        zones = (zone for zone in self.zone_names if zone != OUTSIDE)
        return any(self._pass(principal, zone, kind)[1] is not None for zone in zones)

    def _shared_sight(self, principal: Principal, kind: str) -> NDArray[np.bool_]:
        scope = principal.scope
        open_zones = tuple(self._pass(principal, zone, kind)[1] is None for zone in self._columns.zones)
        here = not scope.sources or _from(principal.source, scope.sources)
        key = (principal.role, scope, open_zones, here)
        found = self._sights.get(key)
        if found is None:
            if len(self._sights) >= MOST_SIGHTS:
                self._sights = {}
            found = self._sights[key] = self._see(principal.role, scope, open_zones, here)
        return found

    def _see(self, name: str, scope: Scope, open_zones: tuple[bool, ...], here: bool) -> NDArray[np.bool_]:
        columns, role = self._columns, self._roles.get(name)
        found = np.zeros(columns.size, np.bool_)
        if (
            not here
            or role is None
            or not role.has(Action.READ)
            or (scope.actions and Action.READ not in scope.actions)
        ):
            return found
        seen = columns.granted(role)
        columns.narrow(seen, scope.under, scope.zones)
        seen &= np.array(open_zones, np.bool_)[columns.zone]
        found[columns.ids[seen]] = True
        return found

    def prepare(self) -> Policy:
        """The policy with its columns made, which is better done in a thread."""
        _ = self._columns
        return self

    @cached_property
    def _columns(self) -> _Columns:
        return _Columns(self)

    # --- for people --------------------------------------------------------------------------------------------------

    def roles(self) -> list[dict[str, Any]]:
        """Every role with its actions and what it is narrowed to."""
        own = {role.name: role for role in self.plant.roles}
        found = []
        for name in self.role_names:
            role, declared = self._roles[name], own.get(name)
            found.append(
                {
                    "name": name,
                    "own": declared is not None,
                    "extends": list(declared.extends) if declared else [],
                    "actions": [action.value for action in Action if role.has(action)],
                    "under": list(role.under),
                    "zones": sorted(role.zones),
                    "when": list(role.when),
                    "description": declared.description if declared else "",
                }
            )
        return found

    def flows(self) -> list[dict[str, str]]:
        """Everything that passes between two parties, each with the rule that allows it: what conduits let through, and
        every edge, device and other side of a connector.
        """
        found = [
            _flow(conduit.source, conduit.target, kind, "", f"conduit {conduit.name}")
            for conduit in self.plant.conduits
            for kind in conduit.allow
        ]
        edges = {edge: zone.name for zone in self.plant.zones for edge in zone.edges}
        found += [self._machines(edges.get(e, SITE), SITE, "edge", f"{e} and core") for e in self.plant.edges]
        for c in self.plant.connections:
            there = self.zone_at(f"connections/{c.name}")
            found.append(
                self._machines(edges.get(c.edge, SITE), there, "field", f"{c.edge} and {c.name} ({c.endpoint})")
            )
        for out in self.plant.connectors:
            there = (out.zone or OUTSIDE) if self.zoned else SITE
            found.append(self._machines(SITE, there, "deliver", f"core and {out.name} ({out.endpoint})"))
        return found

    def _machines(self, one: str, other: str, kind: str, what: str) -> dict[str, str]:
        rule = self.conduit(one, other, kind) or self.conduit(other, one, kind)
        return _flow(one, other, kind, what, rule or "none")


_NOBODY = _no("sign in, or send a token as Authorization: Bearer isk_…", "no_credentials", "nobody")


def _flow(source: str, target: str, kind: str, what: str, rule: str) -> dict[str, str]:
    return {"from": source, "to": target, "kind": kind, "what": what, "rule": rule}


def _scope_obstacle(who: str, scope: Scope, target: _Target) -> Decision | None:
    """Why a scope narrows it away."""
    if scope.actions and target.action not in scope.actions:
        names = ", ".join(sorted(scope.actions))
        return _no(f"{who} is narrowed to {names}; this is {target.action.value}", "scope_action", f"scope of {who}")
    if target.action in PERSONAL:
        return None
    return _narrowed(f"scope of {who}", "scope", scope.under, scope.zones, target)


class _Columns:
    """The tags of a plant in columns, ordered by path, for asking about all of them at once."""

    def __init__(self, policy: Policy) -> None:
        tags = sorted(policy.plant.tags, key=lambda tag: tag.path)
        self.paths = [tag.path for tag in tags]
        self.ids = np.array([tag.id for tag in tags], np.intp)
        self.size = int(self.ids.max(initial=-1)) + 1
        self.zones = list(policy.zone_names)
        codes = {name: code for code, name in enumerate(self.zones)}
        # a zone that was never declared is a zone all the same
        self.zone = np.array([codes.setdefault(policy.zone_of_tag(tag), len(codes)) for tag in tags], np.int32)
        self.zones = list(codes)

    def granted(self, role: _Role) -> NDArray[np.bool_]:
        """Which tags a role may read."""
        if Action.READ in role.deny:
            return np.zeros(len(self.paths), np.bool_)
        found = np.full(len(self.paths), Action.READ in role.allow)
        for base in role.bases:
            found |= self.granted(base)
        self.narrow(found, role.under, role.zones)
        return found

    def narrow(self, seen: NDArray[np.bool_], under: Iterable[str], zones: Iterable[str]) -> None:
        """Take away what lies elsewhere."""
        under, zones = tuple(under), set(zones)
        if under:
            inside = np.zeros(len(seen), np.bool_)
            if "" in under:
                inside[:] = True
            for root in under:
                first = bisect_left(self.paths, root)
                inside[first : first + (self.paths[first : first + 1] == [root])] = True
                below = bisect_left(self.paths, root + "/")
                inside[below : bisect_left(self.paths, root + "0", below)] = True  # "0" is what follows "/"
            seen &= inside
        if zones:
            seen &= np.isin(self.zone, [code for code, zone in enumerate(self.zones) if zone in zones])


def _compiled_roles(plant: Plant) -> dict[str, _Role]:
    """Every role; what extends something unknown, or itself, gets nothing of it (a plan refuses such a file)."""
    found = {str(name): _Role(str(name), frozenset(actions)) for name, actions in ALLOWED.items()}
    own = {role.name: role for role in plant.roles}

    def compiled(name: str, above: frozenset[str]) -> _Role | None:
        if name in found:
            return found[name]
        if name not in own or name in above:
            return None
        role = own[name]
        bases = (compiled(base, above | {name}) for base in role.extends)
        found[name] = _Role(
            name,
            frozenset(role.allow),
            frozenset(role.deny),
            role.under,
            frozenset(role.zones),
            role.when,
            tuple(base for base in bases if base is not None),
        )
        return found[name]

    for name in own:
        compiled(name, frozenset())
    return found


def _declared_lockouts(plant: Plant) -> dict[str, Lockout]:
    found = {asset.path: asset.lockout for asset in plant.assets if asset.lockout is not None}
    return found | {f"connections/{c.name}": c.lockout for c in plant.connections if c.lockout is not None}


def compile_policy(
    plant: Plant, lockouts: Mapping[str, Lockout] | None = None, state_at: Callable[[str], str] | None = None
) -> Policy:
    """The policy of a plant; ``lockouts`` by path stand beside those the plant file declares, ``state_at`` as in `Policy`."""
    return Policy(plant, lockouts, state_at)


WITHOUT_PLANT: Final = compile_policy(EMPTY)


def authorise(principal: Principal | None, action: Action) -> None:
    """Pass, or say why not, where no plant is at hand: built-in roles and the scope, one zone.

    Where there is a plant its policy decides, own roles and zones included.
    Raises: Denied
    """
    WITHOUT_PLANT.decide(principal, action, part=True).check()


"""Built-in roles in one zone: what holds where no plant is at hand."""


class Lockouts:
    """Lock-outs set at run time, by path; kept in a file, since a restart unlocks nothing. ``version`` grows with each change."""

    def __init__(self, file: Path | None = None) -> None:
        self._file, self._lock = file, threading.Lock()
        self.version = 0
        self._held: Mapping[str, Lockout] = self._read()

    def _read(self) -> dict[str, Lockout]:
        """Raises: ConfigError if the file is damaged: what was locked must not come loose by that"""
        if self._file is None or not self._file.exists():
            return {}
        try:
            return {str(path): Lockout(**held) for path, held in json.loads(self._file.read_bytes()).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigError(f"{self._file}: is not a list of lock-outs: {error}") from error

    def all(self) -> Mapping[str, Lockout]:
        """What is locked now."""
        return self._held

    def lock(self, path: str, lockout: Lockout) -> None:
        """Lock a path; on disk when this returns.

        Raises: ConfigError for what is no path, or held by somebody else
        """
        check_path(path)
        with self._lock:
            held = self._held.get(path)
            if held is not None and held.who != lockout.who:
                raise ConfigError(f"lockout: {path} is locked out by {held.who} already, was {lockout.who}")
            self._keep({**self._held, path: lockout})

    def unlock(self, path: str) -> None:
        """Take a lock away; those of the plant file stay.

        Raises: ConfigError if there is none
        """
        with self._lock:
            if path not in self._held:
                raise ConfigError(f"lockout: nothing locks this path at run time, was {path}")
            self._keep({place: held for place, held in self._held.items() if place != path})

    def _keep(self, held: Mapping[str, Lockout]) -> None:
        if self._file is not None:
            part = self._file.with_suffix(".part")
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                out.write(json.dumps({path: asdict(one) for path, one in held.items()}).encode())
                out.flush()
                os.fsync(out.fileno())
            part.replace(self._file)
            folder = os.open(self._file.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self._held = held
        self.version += 1


class Policies:
    """The policy in force: always that of the plant as applied last, swapped as a whole."""

    def __init__(
        self,
        plant: Callable[[], Plant],
        lockouts: Lockouts | None = None,
        state_at: Callable[[str], str] | None = None,
    ) -> None:
        self._plant, self.lockouts, self._state_at = plant, lockouts or Lockouts(), state_at
        self._lock = threading.Lock()
        self._now: tuple[Plant, int, Policy] = (EMPTY, -1, WITHOUT_PLANT)

    def current(self) -> Policy:
        """The policy in force. Cost: a comparison; after an apply or a lock-out 5 ms, once"""
        plant, version = self._plant(), self.lockouts.version
        known, locked, policy = self._now
        if known is plant and locked == version:
            return policy
        with self._lock:
            plant, version = self._plant(), self.lockouts.version
            known, locked, policy = self._now
            if known is not plant or locked != version:
                policy = compile_policy(plant, self.lockouts.all(), self._state_at)
                self._now = (plant, version, policy)
            return policy
