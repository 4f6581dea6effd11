"""Who answers for what: owners as declared and inherited, what has none, and compensating controls that are due."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.namespace.model import Plant


@dataclass(frozen=True, slots=True)
class Owned:
    """One asset, connection or connector and who answers for it; ``source`` says where that was declared."""

    kind: str  # asset, connection or connector
    path: str
    owner: tuple[str, ...] = ()
    source: str = ""  # the path or name itself, or the asset above it; empty where nobody does


@dataclass(frozen=True, slots=True)
class Compensation:
    """What is done about a device that cannot be patched. ``due``: its review is today or was before."""

    connection: str
    reason: str
    control: str
    review: str
    due: bool


def owners(plant: Plant) -> tuple[Owned, ...]:
    """Everything that wants an owner, in the order of the plant. An asset without one has that of what is above it."""
    said = {asset.path: asset.owner for asset in plant.assets if asset.level != "connection"}
    found = []
    for asset in plant.assets:
        if asset.level in ("connection", "site") or (asset.level != "asset" and not asset.owner):
            continue  # a mere level is what its assets are; it may be where their owner is said
        path = asset.path
        while path and not said.get(path):
            path = path.rpartition("/")[0]
        found.append(Owned("asset", asset.path, said.get(path, ()), path if said.get(path) else ""))
    found += [Owned("connection", c.name, c.owner, c.name if c.owner else "") for c in plant.connections]
    found += [Owned("connector", c.name, c.owner, c.name if c.owner else "") for c in plant.connectors]
    return tuple(found)


def compensations(plant: Plant, today: str) -> tuple[Compensation, ...]:
    """All compensating controls, the oldest review first. ``today`` is an ISO date of the plant's zone."""
    found = [
        Compensation(c.name, c.unpatchable["reason"], c.unpatchable["control"], review, review <= today)
        for c in plant.connections
        if (review := c.unpatchable.get("review"))
    ]
    return tuple(sorted(found, key=lambda one: (one.review, one.connection)))
