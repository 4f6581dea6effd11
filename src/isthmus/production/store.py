"""The records of production: facts of closed days, what people entered, what is to be computed again, and differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Dialect,
    Engine,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy import Integer as Int

from isthmus.production.days import DayFacts
from isthmus.production.facts import DAY
from isthmus.production.facts import Table as FactTable
from isthmus.production.fold import Carry
from isthmus.production.model import Entry, EntryKind, Mark, MarkKind, Restatement

metadata = MetaData()

NAME = Table(
    "production_name",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("code", Int, primary_key=True, autoincrement=False),
    Column("text", String(700), nullable=False),
)
"""Words that facts have codes for."""

DAY_ROW = Table(
    "production_day",
    metadata,
    Column("day", Int, primary_key=True, autoincrement=False),
    Column("machine", Int, primary_key=True, autoincrement=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("version", Int, nullable=False),
    Column("made_ns", BigInteger, nullable=False),
    Column("intervals", Int, nullable=False),
    Column("facts", LargeBinary, nullable=False),
    Column("carry", LargeBinary, nullable=False),
    Column("marks", LargeBinary, nullable=False),
)
"""Facts of a closed production day of a machine."""

SLOT_ROW = Table(
    "production_slots",
    metadata,
    Column("day", Int, primary_key=True, autoincrement=False),
    Column("machine", Int, primary_key=True, autoincrement=False),
    Column("facts", LargeBinary, nullable=False),
)
"""The same by quarters of an hour."""

DIRTY = Table(
    "production_dirty",
    metadata,
    Column("machine", Int, primary_key=True, autoincrement=False),
    Column("day", Int, primary_key=True, autoincrement=False),
    Column("why", String(300), nullable=False),
)
"""Closed days that are to be computed again."""

ENTRY = Table(
    "production_entry",
    metadata,
    Column("number", BigInteger().with_variant(Int, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("asset", String(400), nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("values", Text, nullable=False),
    Column("by", String(200), nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("reason", String(500), nullable=False),
    Column("replaces", BigInteger, nullable=False),
    Column("void", Boolean, nullable=False),
    Index("production_entry_by_asset", "asset", "start_ns"),
)
"""What people said over intervals; only ever added to."""

RESTATEMENT = Table(
    "production_restatement",
    metadata,
    Column("id", BigInteger().with_variant(Int, "sqlite"), primary_key=True, autoincrement=True),
    Column("asset", String(400), nullable=False),
    Column("day", String(10), nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("why", String(300), nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Index("production_restatement_by_time", "at_ns"),
)
"""Closed days that came out differently."""

AT_ONCE: Final = 500
"""Rows of one statement that names them."""


class Kept(NamedTuple):
    """A day as it is kept."""

    version: int
    facts: bytes
    carry: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """Facts of many machines over some days. Shapes: all but the table (k,), one a machine and day"""

    table: FactTable
    machine: NDArray[np.int32]
    day: NDArray[np.int32]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.table.nbytes + self.machine.nbytes + self.day.nbytes + self.start_ns.nbytes + self.end_ns.nbytes


class ProductionStore:
    """Reads and writes the records. Blocking: called from threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # words

    def names(self) -> list[tuple[str, int, str]]:
        """All words by kind and code."""
        with self._engine.connect() as c:
            rows = c.execute(select(NAME.c.kind, NAME.c.code, NAME.c.text).order_by(NAME.c.kind, NAME.c.code))
            return [(kind, code, text) for kind, code, text in rows]

    def add_names(self, fresh: Sequence[tuple[str, int, str]]) -> None:
        """New words."""
        with self._engine.begin() as c:
            _add_names(c, fresh)

    # days

    def write_days(
        self,
        days: Sequence[DayFacts],
        fresh: Sequence[tuple[str, int, str]],
        restated: Sequence[Restatement],
        made_ns: int,
        versions: Mapping[int, int],
        again: Iterable[int] = (),
    ) -> None:
        """Days of one machine in a row, with their words and differences, and no more dirty: all of it or nothing.

        ``versions`` are those of the days that are there already, which are replaced; days ``again`` stay dirty.
        """
        if not days:
            return
        with self._engine.begin() as c:
            _add_names(c, fresh)
            first, last, machine = days[0].day, days[-1].day, days[0].machine
            for table in (DAY_ROW, SLOT_ROW, DIRTY) if versions else (DIRTY,):
                gone = table.c.day.between(first, last) & (table.c.machine == machine)
                c.execute(delete(table).where(gone & table.c.day.not_in(list(again)) if table is DIRTY else gone))
            version = {d.day: versions.get(d.day, 0) + 1 for d in days}
            _insert(c, DAY_ROW, [
                (d.day, d.machine, d.start_ns, d.end_ns, version[d.day], made_ns, d.intervals, d.facts, d.carry, d.marks)
                for d in days
            ])  # fmt: skip
            _insert(c, SLOT_ROW, [(d.day, d.machine, d.slots) for d in days])
            if restated:
                c.execute(insert(RESTATEMENT), [_restatement_row(r) for r in restated])

    def block(self, first: int, last: int) -> Block:
        """Facts of all machines over days [first, last]. Cost: one read of a few hundred bytes a machine and day"""
        columns = (DAY_ROW.c.machine, DAY_ROW.c.day, DAY_ROW.c.start_ns, DAY_ROW.c.end_ns, DAY_ROW.c.facts)
        with self._engine.connect() as c:
            found = c.execute(
                select(*columns).where(DAY_ROW.c.day.between(first, last)).order_by(DAY_ROW.c.day, DAY_ROW.c.machine)
            ).fetchall()
        if not found:
            none = np.zeros(0, np.int64)
            return Block(FactTable.of_days(np.zeros(0, DAY)), none.astype(np.int32), none.astype(np.int32), none, none)
        machine, day, start_ns, end_ns, facts = zip(*found, strict=True)
        table = FactTable.of_days(np.frombuffer(b"".join(facts), DAY))
        return Block(
            table, np.array(machine, np.int32), np.array(day, np.int32), np.array(start_ns, np.int64),
            np.array(end_ns, np.int64),
        )  # fmt: skip

    def slots(self, wanted: Iterable[tuple[int, int]]) -> list[tuple[int, int, bytes]]:
        """Facts by quarters of an hour of (machine, day) pairs, as (machine, day, packed)."""
        by_day: dict[int, list[int]] = {}
        for machine, day in wanted:
            by_day.setdefault(day, []).append(machine)
        found: list[tuple[int, int, bytes]] = []
        with self._engine.connect() as c:
            for day, machines in sorted(by_day.items()):
                for i in range(0, len(machines), AT_ONCE):
                    some = machines[i : i + AT_ONCE]
                    rows = c.execute(
                        select(SLOT_ROW.c.machine, SLOT_ROW.c.day, SLOT_ROW.c.facts).where(
                            SLOT_ROW.c.day == day, SLOT_ROW.c.machine.in_(some)
                        )
                    )
                    found += [(m, d, data) for m, d, data in rows]
        return found

    def carry(self, machine: int, day: int) -> tuple[int, Carry] | None:
        """What a day hands on, with when it ends; None if it is not computed."""
        with self._engine.connect() as c:
            row = c.execute(
                select(DAY_ROW.c.end_ns, DAY_ROW.c.carry).where(DAY_ROW.c.day == day, DAY_ROW.c.machine == machine)
            ).first()
        return None if row is None else (int(row[0]), Carry.from_bytes(row[1]))

    def known(self, machine: int, first: int, last: int) -> dict[int, Kept]:
        """Computed days of a machine, by day."""
        with self._engine.connect() as c:
            rows = c.execute(
                select(DAY_ROW.c.day, DAY_ROW.c.version, DAY_ROW.c.facts, DAY_ROW.c.carry).where(
                    DAY_ROW.c.day.between(first, last), DAY_ROW.c.machine == machine
                )
            )
            return {day: Kept(version, facts, carry) for day, version, facts, carry in rows}

    def has_day(self, machine: int, day: int) -> bool:
        """Whether a day is computed."""
        with self._engine.connect() as c:
            where = (DAY_ROW.c.day == day, DAY_ROW.c.machine == machine)
            return c.execute(select(DAY_ROW.c.day).where(*where)).first() is not None

    def days_kept(self, machine: int, first: int, last: int) -> set[int]:
        """Which days of [first, last] are computed."""
        with self._engine.connect() as c:
            where = (DAY_ROW.c.machine == machine, DAY_ROW.c.day.between(first, last))
            return set(c.execute(select(DAY_ROW.c.day).where(*where)).scalars())

    def intervals(self) -> int:
        """How many there are in all computed days."""
        with self._engine.connect() as c:
            return int(c.execute(select(func.sum(DAY_ROW.c.intervals))).scalar() or 0)

    def newest(self) -> dict[int, tuple[int, int]]:
        """The last computed day of each machine, with when it ends."""
        with self._engine.connect() as c:
            last = dict(c.execute(select(DAY_ROW.c.machine, func.max(DAY_ROW.c.day)).group_by(DAY_ROW.c.machine)).all())
            found = {}
            for machine, day in last.items():
                where = (DAY_ROW.c.day == day, DAY_ROW.c.machine == machine)
                found[machine] = (day, int(c.execute(select(DAY_ROW.c.end_ns).where(*where)).scalar_one()))
            return found

    def marks(self, machine: int, first: int, last: int, asset: str) -> list[Mark]:
        """Readings that were refused or read with care, in order."""
        with self._engine.connect() as c:
            rows = c.execute(
                select(DAY_ROW.c.marks)
                .where(DAY_ROW.c.day.between(first, last), DAY_ROW.c.machine == machine)
                .order_by(DAY_ROW.c.day)
            )
            return [
                Mark(asset, tag, time_ns, MarkKind(kind), before, after)
                for (data,) in rows
                for tag, time_ns, kind, before, after in orjson.loads(data)
            ]

    # what is to be computed again

    def mark_dirty(self, days: Mapping[tuple[int, int], str]) -> None:
        """(machine, day) pairs with why; marks that are there stay as they are."""
        if days:
            with self._engine.begin() as c:
                _mark_dirty(c, days)

    def dirty(self) -> dict[tuple[int, int], str]:
        """What waits."""
        with self._engine.connect() as c:
            return {(m, d): why for m, d, why in c.execute(select(DIRTY.c.machine, DIRTY.c.day, DIRTY.c.why))}

    def forget_dirty(self, days: Iterable[tuple[int, int]]) -> None:
        """They need not be computed."""
        keys = [{"b_machine": m, "b_day": d} for m, d in days]
        if keys:
            with self._engine.begin() as c:
                c.execute(
                    delete(DIRTY).where(DIRTY.c.machine == bindparam("b_machine"), DIRTY.c.day == bindparam("b_day")),
                    keys,
                )

    # what people said

    def add_entries(self, entries: Sequence[Entry], dirty: Sequence[tuple[int, int]] = ()) -> list[int]:
        """Store them with the (machine, day) pairs that are to be computed again for them, all of it or nothing; their numbers."""
        with self._engine.begin() as c:
            numbers = [_add_entry(c, entry) for entry in entries]
            _mark_dirty(c, dict.fromkeys(dirty, f"entry {numbers[0]}" if numbers else ""))
        return numbers

    def entries(self) -> list[Entry]:
        """All of them, in order."""
        with self._engine.connect() as c:
            return [_entry(dict(row)) for row in c.execute(select(ENTRY).order_by(ENTRY.c.number)).mappings()]

    # differences

    def restatements(self, limit: int) -> list[Restatement]:
        """Newest first."""
        with self._engine.connect() as c:
            rows = c.execute(select(RESTATEMENT).order_by(RESTATEMENT.c.id.desc()).limit(limit)).mappings()
            return [
                Restatement(
                    r["id"], r["asset"], r["day"], r["at_ns"], r["why"], orjson.loads(r["before"]),
                    orjson.loads(r["after"]),
                )
                for r in rows
            ]  # fmt: skip


@cache
def _insert_of(table: Table, dialect: Dialect) -> str:
    return str(insert(table).compile(dialect=dialect))


def _insert(c: Connection, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
    """Whole rows as they are, in the order of the table's columns: binding them by name takes longer than writing them."""
    c.exec_driver_sql(_insert_of(table, c.dialect), list(rows))


def _add_names(c: Connection, fresh: Sequence[tuple[str, int, str]]) -> None:
    if fresh:
        c.execute(insert(NAME), [{"kind": kind, "code": code, "text": text} for kind, code, text in fresh])


def _mark_dirty(c: Connection, days: Mapping[tuple[int, int], str]) -> None:
    known = {(m, d) for m, d in c.execute(select(DIRTY.c.machine, DIRTY.c.day))} if days else set()
    rows = [{"machine": m, "day": d, "why": why[:300]} for (m, d), why in sorted(days.items()) if (m, d) not in known]
    if rows:
        c.execute(insert(DIRTY), rows)


def _add_entry(c: Connection, entry: Entry) -> int:
    done = c.execute(
        insert(ENTRY),
        {
            "kind": str(entry.kind),
            "asset": entry.asset,
            "start_ns": entry.start_ns,
            "end_ns": entry.end_ns,
            "values": orjson.dumps(dict(entry.values)).decode(),
            "by": entry.by,
            "at_ns": entry.at_ns,
            "reason": entry.reason,
            "replaces": entry.replaces,
            "void": entry.void,
        },
    )
    number = done.inserted_primary_key
    return int(number[0]) if number is not None else 0


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(
        EntryKind(row["kind"]), row["asset"], row["start_ns"], row["end_ns"], orjson.loads(row["values"]), row["by"],
        row["at_ns"], row["reason"], row["replaces"], row["number"], row["void"],
    )  # fmt: skip


def _restatement_row(one: Restatement) -> dict[str, Any]:
    return {
        "asset": one.asset,
        "day": one.day,
        "at_ns": one.at_ns,
        "why": one.why[:300],
        "before": orjson.dumps(dict(one.before)).decode(),
        "after": orjson.dumps(dict(one.after)).decode(),
    }
