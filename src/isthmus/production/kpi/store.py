"""The records of KPIs: those of the plant's own, who owns which, and the targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

metadata = MetaData()

KPI = Table(
    "production_kpi",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("title", String(120), nullable=False),
    Column("formula", Text, nullable=False),
    Column("unit", String(20), nullable=False),
    Column("better", String(8), nullable=False),
    Column("description", String(500), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("rev", Integer, nullable=False),
    Column("changed_by", String(200), nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
)
TARGET = Table(
    "production_kpi_target",
    metadata,
    Column("kpi", String(40), primary_key=True),
    Column("path", String(400), primary_key=True),
    Column("value", Float, nullable=False),
    Column("per", String(8), nullable=False, server_default=""),
)


@dataclass(frozen=True, slots=True)
class Row:
    """What is kept of one KPI; of one every plant has only the owner and who changed it. ``rev`` grows with each change.

    Units: changed_ns is UTC ns
    """

    name: str
    title: str = ""
    formula: str = ""
    unit: str = ""
    better: str = ""
    description: str = ""
    owner: str = ""
    rev: int = 0
    changed_by: str = ""
    changed_ns: int = 0


def rows(connection: Connection) -> dict[str, Row]:
    """All that are kept, by name."""
    found = connection.execute(select(KPI).order_by(KPI.c.name)).mappings()
    return {row["name"]: Row(**row) for row in found}


@dataclass(frozen=True, slots=True)
class Target:
    """What a value is to come to; of what is counted, in each span of planned time. ``per``: hour, shift, day or ""."""

    value: float
    per: str = ""


def targets(connection: Connection) -> dict[str, dict[str, Target]]:
    """Targets by KPI and path."""
    found: dict[str, dict[str, Target]] = {}
    for row in connection.execute(select(TARGET).order_by(TARGET.c.kpi, TARGET.c.path)):
        found.setdefault(row.kpi, {})[row.path] = Target(row.value, row.per)
    return found


def keep(connection: Connection, row: Row, base: int) -> bool:
    """Keep a new revision in the place of ``base`` (0: there was none); False when it is not at that revision."""
    values: dict[str, Any] = {c.name: getattr(row, c.name) for c in KPI.columns}
    if base == 0:
        if connection.execute(select(KPI.c.rev).where(KPI.c.name == row.name)).first() is not None:
            return False
        connection.execute(insert(KPI).values(values))
        return True
    return connection.execute(update(KPI).where(KPI.c.name == row.name, KPI.c.rev == base).values(values)).rowcount == 1


def set_targets(connection: Connection, name: str, wanted: Mapping[str, Target]) -> None:
    """These are the targets of a KPI, and no others."""
    connection.execute(delete(TARGET).where(TARGET.c.kpi == name))
    if wanted:
        connection.execute(
            insert(TARGET), [{"kpi": name, "path": p, "value": t.value, "per": t.per} for p, t in wanted.items()]
        )


def remove(connection: Connection, name: str, base: int) -> bool:
    """Forget one with its targets; False when it is not at that revision."""
    done = connection.execute(delete(KPI).where(KPI.c.name == name, KPI.c.rev == base)).rowcount == 1
    if done:
        connection.execute(delete(TARGET).where(TARGET.c.kpi == name))
    return done
