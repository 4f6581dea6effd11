"""What would change: ids for the paths of a new version, and the difference between two versions in words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.namespace.compiled import Compiled
from isthmus.namespace.control import NO_DEMANDS, Demands
from isthmus.namespace.draft import Draft
from isthmus.namespace.model import Tag
from isthmus.values.errors import ConfigError, Finding

MAX_ID = 2**31 - 1
MAX_SHOWN_CHARS = 80


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that would change. ``path`` is the new one; a rename tells the old one in ``detail``."""

    action: str  # add, change, remove or rename
    what: str  # one of _ORDER, tag or text
    path: str
    detail: str = ""

    def __str__(self) -> str:
        detail = f"  {self.detail}" if self.detail else ""
        return f"{_SIGNS[self.action]} {self.what} {self.path}{detail}".rstrip()


_SIGNS = {"add": "+", "change": "~", "remove": "-", "rename": ">"}


@dataclass(frozen=True, slots=True)
class PlanResult:
    """What applying a text would do to version ``base``. ``token`` stands for exactly this text, files and base."""

    base: int
    token: str
    changes: tuple[Change, ...]
    warnings: tuple[Finding, ...]
    text: str
    demands: Demands = NO_DEMANDS


@dataclass(frozen=True, slots=True)
class Ids:
    """All ids there ever were. ``past`` holds retired ones by the last path they had."""

    live: Mapping[str, int] = field(default_factory=dict)
    past: Mapping[str, int] = field(default_factory=dict)
    last: int = 0


def assign(wanted: Iterable[str], renames: Mapping[str, tuple[str, ...]], ids: Ids) -> dict[str, int]:
    """An id for every path: the one it has, the one of the path it was renamed from, the one it had before it was
    retired, else a new one. No id ever names a second tag.

    Raises: ConfigError when all ids are used up
    """
    paths = list(wanted)
    wanted_set = set(paths)
    found: dict[str, int] = {}
    taken: set[int] = set()
    for path in paths:
        if path not in renames or path in ids.live:
            continue
        for old in renames[path]:
            number = ids.live.get(old)
            if number is not None and number not in taken and (old not in wanted_set or old in renames):
                found[path] = number
                taken.add(number)
                break
    for path in paths:
        if path not in found and path in ids.live and ids.live[path] not in taken:
            found[path] = ids.live[path]
            taken.add(ids.live[path])
    last = ids.last
    for path in paths:
        if path in found:
            continue
        revived = ids.past.get(path)
        if revived is not None and revived not in taken:
            found[path] = revived
            taken.add(revived)
            continue
        last += 1
        if last > MAX_ID:
            raise ConfigError("all tag ids of this site are used up")
        found[path] = last
    return found


def blocked_renames(draft: Draft, ids: Ids) -> list[tuple[str, str, bool]]:
    """Renamings that cannot take place: new path, old path, and whether it is because the new one is in use already
    (harmless, the old one keeps its history to itself) rather than because the old one is still declared.
    """
    found = []
    for path, olds in draft.renames.items():
        old = next((o for o in olds if o in ids.live), None)
        if old is None:
            continue
        if path in ids.live:
            found.append((path, old, True))
        elif old in draft.tags and old not in draft.renames:
            found.append((path, old, False))
    return found


def compare(old: Compiled, new: Compiled) -> tuple[Change, ...]:
    """What is different, in the order plant, connections, types, assets, tags."""
    return (*_facts(old, new), *_tags(old, new))


_TOLD = frozenset(
    {"driver", "connector", "type", "days", "networks", "programs", "edges", "from", "to", "extends", "under", "zones"}
    | {"allow", "deny", "when", "need", "actions", "reason", "approvals", "window", "constraint", "counts_at"}
)
"""What is told of something new."""
_ORDER = (
    *("plant", "zone", "conduit", "role", "change_control", "history", "script", "connection", "connector"),
    *("type", "rule", "alarm", "trip", "calendar", "reasons", "line", "asset"),
)


def _facts(old: Compiled, new: Compiled) -> list[Change]:
    found = []
    counts_old = Counter(t.asset for t in old.plant.tags)
    counts_new = Counter(t.asset for t in new.plant.tags)
    moved = _moved_assets(old, new)
    for key in sorted({*old.facts, *new.facts}, key=lambda k: (_ORDER.index(k.split(" ", 1)[0]), k)):
        what, _, path = key.partition(" ")
        before, after = old.facts.get(key), new.facts.get(key)
        if what == "asset" and after is not None and before is None and path in moved:
            found.append(
                Change("rename", what, path, f"was {moved[path]}; {_tag_count(counts_new[path])} keep their history")
            )
            before = old.facts.get(f"asset {moved[path]}", {})
            if before != after:
                found.append(Change("change", what, path, _difference(before, after)))
        elif after is None:
            if what == "asset" and path in moved.values():
                continue
            detail = _tag_count(counts_old[path]) if what == "asset" else ""
            found.append(Change("remove", what, path, detail))
        elif before is None:
            detail = ", ".join(f"{k} {_shown(v)}" for k, v in after.items() if k in _TOLD)
            if what == "asset":
                detail = ", ".join(filter(None, [detail, _tag_count(counts_new[path])]))
            found.append(Change("add", what, path or str(after.get("site", "")), detail))
        elif before != after:
            found.append(Change("change", what, path, _difference(before, after)))
    return found


def _tag_count(count: int) -> str:
    return f"{count} tag{'' if count == 1 else 's'}"


def _moved_assets(old: Compiled, new: Compiled) -> dict[str, str]:
    """New path to old path of assets all of whose known tags came from one other asset."""
    found: dict[str, set[str]] = defaultdict(set)
    for tag in new.plant.tags:
        before = old.plant.by_id.get(tag.id)
        if before is not None:
            found[tag.asset].add(before.asset)
    return {
        path: next(iter(origins))
        for path, origins in found.items()
        if len(origins) == 1
        and path not in origins
        and f"asset {path}" not in old.facts
        and f"asset {next(iter(origins))}" not in new.facts
    }


def _tags(old: Compiled, new: Compiled) -> list[Change]:
    added_assets = {k[6:] for k in new.facts.keys() - old.facts.keys() if k.startswith("asset ")}
    removed_assets = {k[6:] for k in old.facts.keys() - new.facts.keys() if k.startswith("asset ")}
    moved = _moved_assets(old, new)
    types = {a.path: a.type for a in new.plant.assets}
    said_before, said_now = old.said_by_id, new.said_by_id
    found: list[Change] = []
    same: dict[tuple[str, str, str], list[str]] = {}
    for tag in new.plant.tags:
        before = old.plant.by_id.get(tag.id)
        if tag.kind == "system":
            if before is not None and before.path != tag.path and tag.name == "state":
                found.append(Change("rename", "connection", tag.asset, f"was {before.asset}"))
            continue
        if before is None:
            if tag.asset not in added_assets or tag.asset in moved:
                found.append(Change("add", "tag", tag.path, _described(tag)))
            continue
        if before.path != tag.path and (moved.get(tag.asset) != before.asset or before.name != tag.name):
            found.append(Change("rename", "tag", tag.path, f"was {before.path}; keeps its history"))
        if tag == before and said_before.get(tag.id) == said_now.get(tag.id):
            continue
        detail = _difference(_facets(old, before), _facets(new, tag))
        if detail:
            same.setdefault((types.get(tag.asset, ""), tag.name, detail), []).append(tag.path)
    for (kind, name, detail), paths in same.items():
        if kind and len(paths) > 1:
            found.append(Change("change", "tag", f"{kind}.{name}", f"{detail} (in {len(paths)} assets)"))
        else:
            found.extend(Change("change", "tag", path, detail) for path in paths)
    kept = {t.id for t in new.plant.tags}
    found.extend(
        Change("remove", "tag", t.path, "its history is kept")
        for t in old.plant.tags
        if t.id not in kept and t.kind != "system" and (t.asset not in removed_assets or t.asset in moved.values())
    )
    return found


def _described(tag: Tag) -> str:
    where = f"{tag.connection} {tag.address}" if tag.address else f"= {tag.formula}" if tag.formula else ""
    return ", ".join(filter(None, [tag.kind, tag.unit, where]))


def _facets(compiled: Compiled, tag: Tag) -> dict[str, Any]:
    """Everything about a tag that a new version may change."""
    return {
        **compiled.said_by_id[tag.id],
        "kind": tag.kind,
        "type": str(tag.type),
        "description": tag.description,
        "connection": tag.connection,
        "address": tag.address,
        "formula": tag.formula,
        "edge": tag.edge,
        "period_s": tag.period_s,
        "setpoint": tag.setpoint.rpartition("/")[2],
    }


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    parts = []
    for key in {**before, **after}:
        a, b = before.get(key), after.get(key)
        if a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            parts.append(f"{key} ({_difference(a, b)})")
        else:
            parts.append(f"{key}: {_shown(a)} → {_shown(b)}")
    return ", ".join(parts)


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, float) and value == int(value):
        value = int(value)
    if isinstance(value, list):
        value = f"[{', '.join(map(str, value))}]"
    text = (
        "{" + ", ".join(f"{k}: {_shown(v)}" for k, v in value.items()) + "}" if isinstance(value, dict) else str(value)
    )
    return text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "…"
