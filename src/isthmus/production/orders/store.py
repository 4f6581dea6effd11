"""The records of orders: products, orders with their operations and runs, what happened, who worked, what was signed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from isthmus.production.orders.model import (
    ENDED,
    Count,
    Done,
    Happening,
    Job,
    Labour,
    Order,
    Product,
    Run,
    Signature,
    Skill,
    State,
    product_from,
)

metadata = MetaData()
FIRST: Final = (State.RUNNING, State.PAUSED, State.RELEASED, State.PLANNED)
"""What is under way stands before what waits."""
_COUNTS = ("total", "good", "reject", "rework")

PRODUCT = Table(
    "orders_product",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
)
VERSION = Table(
    "orders_product_version",
    metadata,
    Column("id", ForeignKey(PRODUCT.c.id), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
    Column("by", String(200), nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)
ORDER = Table(
    "orders_order",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("product", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("rev", Integer, nullable=False),
    Column("lot", String(64), nullable=False),
    Column("due_ns", BigInteger),
    Column("priority", Integer, nullable=False),
    Column("reference", String(200), nullable=False),
    Column("note", Text, nullable=False),
    Column("over", BigInteger, nullable=False),
    Column("under", BigInteger, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
    Column("ended_ns", BigInteger),
    Index("orders_order_by_state", "state", "priority", "due_ns"),
)
JOB = Table(
    "orders_job",
    metadata,
    Column("order", ForeignKey(ORDER.c.id), primary_key=True),
    Column("operation", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("asset", String(400), nullable=False),
)
RUN = Table(
    "orders_run",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("order", ForeignKey(ORDER.c.id), nullable=False),
    Column("operation", Integer, nullable=False),
    Column("asset", String(400), nullable=False),
    Column("product", String(64), nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger),
    Column("by", String(200), nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in _COUNTS),
    Column("entries", Text, nullable=False),
    Column("told", Boolean, nullable=False),
    Index("orders_run_by_order", "order", "operation"),
    Index("orders_run_by_asset", "asset", "start_ns"),
)
EVENT = Table(
    "orders_event",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("order", ForeignKey(ORDER.c.id), nullable=False),
    Column("operation", Integer, nullable=False),
    Column("kind", String(24), nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
    Column("detail", Text, nullable=False),
    Index("orders_event_by_order", "order", "seq"),
)
LABOUR = Table(
    "orders_labour",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("order", ForeignKey(ORDER.c.id), nullable=False),
    Column("operation", Integer, nullable=False),
    Column("asset", String(400), nullable=False),
    Column("person", String(200), nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger),
    Index("orders_labour_by_order", "order"),
    Index("orders_labour_by_person", "person", "end_ns"),
)
SKILL = Table(
    "orders_skill",
    metadata,
    Column("person", String(200), primary_key=True),
    Column("skill", String(80), primary_key=True),
    Column("until_ns", BigInteger),
)
DONE = Table(
    "orders_step",
    metadata,
    Column("order", ForeignKey(ORDER.c.id), primary_key=True),
    Column("operation", Integer, primary_key=True, autoincrement=False),
    Column("step", String(40), primary_key=True),
    Column("at_ns", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
    Column("result", Text, nullable=False),
)
SIGNATURE = Table(
    "orders_signature",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("order", ForeignKey(ORDER.c.id), nullable=False),
    Column("operation", Integer, nullable=False),
    Column("step", String(40), nullable=False),
    Column("lot", String(64), nullable=False),
    Column("meaning", Text, nullable=False),
    Column("by", String(200), nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("content", Text, nullable=False),
    Column("hash", String(64), nullable=False),
    Index("orders_signature_by_order", "order"),
    Index("orders_signature_by_lot", "lot"),
)


def dump(value: object) -> str:
    """As it is kept; keys sorted, so that the same is the same text."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def values_of(row: Row[Any]) -> dict[str, Any]:
    """A row by column."""
    return dict(row._mapping)  # noqa: SLF001  SQLAlchemy's own name for it


# products


def product(db: Connection, ident: str, version: int = 0) -> Product | None:
    """One version of a product; 0 is the newest."""
    wanted = select(VERSION).where(VERSION.c.id == ident)
    wanted = wanted.where(VERSION.c.version == version) if version else wanted.order_by(VERSION.c.version.desc())
    row = db.execute(wanted.limit(1)).first()
    return _product(row) if row else None


def products(db: Connection, search: str = "", limit: int = 500) -> list[Product]:
    """The newest version of each, by number."""
    at_head = (VERSION.c.id == PRODUCT.c.id) & (VERSION.c.version == PRODUCT.c.version)
    wanted = select(VERSION).join(PRODUCT, at_head).order_by(VERSION.c.id)
    found = [_product(row) for row in db.execute(wanted)]
    word = search.casefold()
    return [one for one in found if word in one.id.casefold() or word in one.name.casefold()][:limit]


def product_ids(db: Connection) -> set[str]:
    """Numbers of all."""
    return set(db.scalars(select(PRODUCT.c.id)))


def product_versions(db: Connection, ident: str) -> list[Product]:
    """All of one, newest first."""
    wanted = select(VERSION).where(VERSION.c.id == ident).order_by(VERSION.c.version.desc())
    return [_product(row) for row in db.execute(wanted)]


def add_product(db: Connection, one: Product) -> None:
    """A version that follows the newest."""
    if one.version == 1:
        db.execute(insert(PRODUCT).values(id=one.id, version=1))
    else:
        db.execute(update(PRODUCT).where(PRODUCT.c.id == one.id).values(version=one.version))
    db.execute(
        insert(VERSION).values(
            id=one.id, version=one.version, body=dump(one.body()), by=one.by, at_ns=one.at_ns, reason=one.reason
        )
    )


def _product(row: Row[Any]) -> Product:
    columns = values_of(row)
    return product_from(columns, orjson.loads(columns.pop("body")))


# orders


def order(db: Connection, ident: str) -> Order | None:
    """One."""
    row = db.execute(select(ORDER).where(ORDER.c.id == ident)).first()
    return _orders(db, [row])[0] if row else None


def orders(
    db: Connection,
    *,
    states: Sequence[str] = (),
    product: str = "",
    search: str = "",
    limit: int = 200,
) -> list[Order]:
    """By what is done first: running, paused, released, planned; then priority, then due; ended ones newest first."""
    wanted = select(ORDER)
    wanted = wanted.where(ORDER.c.state.in_(states)) if states else wanted
    wanted = wanted.where(ORDER.c.product == product) if product else wanted
    if search:
        word = f"%{search.replace('%', '').replace('_', '')}%"
        wanted = wanted.where(
            or_(*(c.like(word) for c in (ORDER.c.id, ORDER.c.product, ORDER.c.reference, ORDER.c.lot)))
        )
    ended = ORDER.c.state.in_([*ENDED])
    rank = case({str(state): place for place, state in enumerate(FIRST)}, value=ORDER.c.state, else_=len(FIRST))
    ranked = wanted.order_by(
        ended, ORDER.c.ended_ns.desc(), rank, ORDER.c.priority, ORDER.c.due_ns.nulls_last(), ORDER.c.id
    )
    return _orders(db, list(db.execute(ranked.limit(limit))))


def add_order(db: Connection, one: Order) -> None:
    """A new one with its operations."""
    db.execute(insert(ORDER).values(_order_row(one)))
    if one.jobs:
        db.execute(insert(JOB), [asdict(job) | {"order": one.id} for job in one.jobs])


def save_order(db: Connection, one: Order) -> Order:
    """As it is now; with the next revision."""
    made = replace(one, rev=one.rev + 1)
    db.execute(update(ORDER).where(ORDER.c.id == one.id).values(_order_row(made)))
    for job in made.jobs:
        place = (JOB.c.order == one.id) & (JOB.c.operation == job.operation)
        db.execute(update(JOB).where(place).values(state=job.state, asset=job.asset))
    return made


def set_jobs(db: Connection, one: Order) -> None:
    """Other operations in the place of those it had."""
    db.execute(delete(JOB).where(JOB.c.order == one.id))
    db.execute(insert(JOB), [asdict(job) | {"order": one.id} for job in one.jobs])


def order_count(db: Connection) -> int:
    """How many there are."""
    return int(db.scalar(select(func.count()).select_from(ORDER)) or 0)


def _order_row(one: Order) -> dict[str, Any]:
    values = asdict(one)
    del values["jobs"]
    return values


def _orders(db: Connection, rows: Sequence[Row[Any]]) -> list[Order]:
    idents = [row.id for row in rows]
    jobs: dict[str, list[Job]] = {ident: [] for ident in idents}
    for row in db.execute(select(JOB).where(JOB.c.order.in_(idents)).order_by(JOB.c.operation)):
        jobs[row.order].append(Job(row.operation, State(row.state), row.asset))
    return [Order(**values_of(row) | {"state": State(row.state), "jobs": tuple(jobs[row.id])}) for row in rows]


# runs


def add_run(db: Connection, one: Run) -> Run:
    """One that begins; with its number."""
    made = db.execute(insert(RUN).values(_run_row(one)))
    return replace(one, id=int(made.inserted_primary_key[0]) if made.inserted_primary_key else 0)


def end_run(db: Connection, ident: int, end_ns: int) -> None:
    """It is over, which the machines' accounts do not know yet."""
    db.execute(update(RUN).where(RUN.c.id == ident).values(end_ns=end_ns, told=False))


def move_run(db: Connection, one: Run) -> None:
    """It ran from when to when, which the machines' accounts do not know yet."""
    db.execute(update(RUN).where(RUN.c.id == one.id).values(start_ns=one.start_ns, end_ns=one.end_ns, told=False))


def runs_between(db: Connection, start_ns: int, end_ns: int | None) -> list[Run]:
    """What ran at some time in [start, end), oldest first; without an end until now."""
    wanted = select(RUN).where(or_(RUN.c.end_ns.is_(None), RUN.c.end_ns > start_ns))
    wanted = wanted if end_ns is None else wanted.where(RUN.c.start_ns < end_ns)
    return [_run(row) for row in db.execute(wanted.order_by(RUN.c.start_ns, RUN.c.id))]


def save_told(db: Connection, one: Run) -> None:
    """What the accounts know: unless it ended or was moved meanwhile, everything."""
    same = RUN.c.end_ns.is_(None) if one.end_ns is None else RUN.c.end_ns == one.end_ns
    same &= RUN.c.start_ns == one.start_ns
    db.execute(update(RUN).where(RUN.c.id == one.id).values(entries=dump(list(one.entries))))
    db.execute(update(RUN).where(RUN.c.id == one.id, same).values(told=True))


def save_count(db: Connection, run: int, count: Count) -> None:
    """What was counted in a run by now."""
    db.execute(update(RUN).where(RUN.c.id == run).values(asdict(count)))


def runs(db: Connection, ident: str = "", operation: int = 0) -> list[Run]:
    """Of an order, or of one of its operations, oldest first."""
    wanted = select(RUN).where(RUN.c.order == ident).order_by(RUN.c.start_ns, RUN.c.id)
    wanted = wanted.where(RUN.c.operation == operation) if operation else wanted
    return [_run(row) for row in db.execute(wanted)]


def open_runs(db: Connection) -> list[Run]:
    """What runs now, or was not told to the machines' accounts yet."""
    wanted = select(RUN).where(or_(RUN.c.end_ns.is_(None), RUN.c.told.is_(False))).order_by(RUN.c.start_ns, RUN.c.id)
    return [_run(row) for row in db.execute(wanted)]


def recent_runs(db: Connection, since_ns: int) -> list[Run]:
    """Runs of orders that are not closed, which ended after a time: late samples may still change their counts."""
    wanted = select(RUN).join(ORDER, ORDER.c.id == RUN.c.order)
    wanted = wanted.where(ORDER.c.state != State.CLOSED, RUN.c.end_ns >= since_ns)
    return [_run(row) for row in db.execute(wanted)]


def last_end(db: Connection) -> int:
    """When the last run ended; 0 before the first."""
    return int(db.scalar(select(func.max(RUN.c.end_ns))) or 0)


def run_before(db: Connection, asset: str, start_ns: int) -> Run | None:
    """The last that began at a place before a time."""
    wanted = select(RUN).where(RUN.c.asset == asset, RUN.c.start_ns < start_ns).order_by(RUN.c.start_ns.desc())
    row = db.execute(wanted.limit(1)).first()
    return _run(row) if row else None


def run_at(db: Connection, assets: Sequence[str], at_ns: int) -> Run | None:
    """What ran at one of some places at a time; the last that began."""
    wanted = select(RUN).where(RUN.c.asset.in_(assets), RUN.c.start_ns <= at_ns)
    wanted = wanted.where(or_(RUN.c.end_ns.is_(None), RUN.c.end_ns > at_ns))
    row = db.execute(wanted.order_by(RUN.c.start_ns.desc(), RUN.c.id.desc()).limit(1)).first()
    return _run(row) if row else None


def counts(db: Connection, idents: Iterable[str]) -> dict[tuple[str, int], Count]:
    """What was counted by order and operation."""
    sums = (func.sum(RUN.c[name]) for name in _COUNTS)
    wanted = select(RUN.c.order, RUN.c.operation, *sums).where(RUN.c.order.in_([*idents]))
    found = db.execute(wanted.group_by(RUN.c.order, RUN.c.operation))
    return {(row[0], row[1]): Count(*(int(value) for value in row[2:])) for row in found}


def _run_row(one: Run) -> dict[str, Any]:
    values = asdict(one) | asdict(one.count) | {"entries": dump(list(one.entries))}
    del values["count"], values["id"]
    return values


def _run(row: Row[Any]) -> Run:
    values = values_of(row)
    count = Count(*(values.pop(name) for name in _COUNTS))
    return Run(**values | {"count": count, "entries": tuple(orjson.loads(values["entries"]))})


# what happened


def add_event(db: Connection, one: Happening) -> None:
    """A line of the journal."""
    values = asdict(one) | {"detail": dump(one.detail)}
    del values["seq"]
    db.execute(insert(EVENT).values(values))


def losses(db: Connection, run: Run) -> list[Happening]:
    """What people said to be scrap or rework of a run and its machine's accounts were told, oldest first."""
    wanted = select(EVENT).where(EVENT.c.order == run.order, EVENT.c.operation == run.operation)
    rows = db.execute(wanted.where(EVENT.c.kind.in_(("scrap", "rework"))).order_by(EVENT.c.seq))
    found = [Happening(**values_of(row) | {"detail": orjson.loads(row.detail)}) for row in rows]
    return [one for one in found if one.detail.get("run") == run.id and one.detail.get("entry")]


def save_event(db: Connection, one: Happening) -> None:
    """Where a line of the journal stands in the accounts now."""
    db.execute(update(EVENT).where(EVENT.c.seq == one.seq).values(detail=dump(one.detail)))


def events(db: Connection, ident: str, limit: int = 500) -> list[Happening]:
    """Of an order, newest first."""
    wanted = select(EVENT).where(EVENT.c.order == ident).order_by(EVENT.c.seq.desc()).limit(limit)
    return [Happening(**values_of(row) | {"detail": orjson.loads(row.detail)}) for row in db.execute(wanted)]


def add_labour(db: Connection, one: Labour) -> Labour:
    """Somebody begins; with its number."""
    values = asdict(one)
    del values["id"]
    made = db.execute(insert(LABOUR).values(values))
    return replace(one, id=int(made.inserted_primary_key[0]) if made.inserted_primary_key else 0)


def end_labour(db: Connection, ident: int, end_ns: int) -> None:
    """Somebody is done."""
    db.execute(update(LABOUR).where(LABOUR.c.id == ident).values(end_ns=end_ns))


def labour(db: Connection, *, order: str = "", person: str = "", open_only: bool = False) -> list[Labour]:
    """Time worked, of an order or a person, oldest first."""
    wanted = select(LABOUR).order_by(LABOUR.c.start_ns, LABOUR.c.id)
    wanted = wanted.where(LABOUR.c.order == order) if order else wanted
    wanted = wanted.where(LABOUR.c.person == person) if person else wanted
    wanted = wanted.where(LABOUR.c.end_ns.is_(None)) if open_only else wanted
    return [Labour(**values_of(row)) for row in db.execute(wanted)]


def labour_between(db: Connection, start_ns: int, end_ns: int) -> list[Labour]:
    """Time worked that lies in [start, end) at least in part."""
    wanted = select(LABOUR).where(LABOUR.c.start_ns < end_ns)
    wanted = wanted.where(or_(LABOUR.c.end_ns.is_(None), LABOUR.c.end_ns > start_ns))
    return [Labour(**values_of(row)) for row in db.execute(wanted.order_by(LABOUR.c.start_ns, LABOUR.c.id))]


def skills(db: Connection, person: str = "") -> list[Skill]:
    """Of everybody, or of one person."""
    wanted = select(SKILL).order_by(SKILL.c.person, SKILL.c.skill)
    wanted = wanted.where(SKILL.c.person == person) if person else wanted
    return [Skill(**values_of(row)) for row in db.execute(wanted)]


def set_skills(db: Connection, person: str, found: Sequence[Skill]) -> None:
    """What somebody may do from now on, and nothing else."""
    db.execute(delete(SKILL).where(SKILL.c.person == person))
    if found:
        db.execute(insert(SKILL), [asdict(one) for one in found])


def done(db: Connection, ident: str) -> list[Done]:
    """Steps that were done of an order."""
    wanted = select(DONE).where(DONE.c.order == ident).order_by(DONE.c.at_ns)
    return [Done(**values_of(row)) for row in db.execute(wanted)]


def add_done(db: Connection, one: Done) -> None:
    """Somebody did a step; done again it is as it was done last."""
    place = (DONE.c.order == one.order) & (DONE.c.operation == one.operation) & (DONE.c.step == one.step)
    if not db.execute(update(DONE).where(place).values(asdict(one))).rowcount:
        db.execute(insert(DONE).values(asdict(one)))


def add_signature(db: Connection, one: Signature) -> Signature:
    """A signature; with its number."""
    values = asdict(one)
    del values["id"]
    made = db.execute(insert(SIGNATURE).values(values))
    return replace(one, id=int(made.inserted_primary_key[0]) if made.inserted_primary_key else 0)


def signatures(db: Connection, *, order: str = "", lot: str = "") -> list[Signature]:
    """Of an order or a lot, oldest first."""
    wanted = select(SIGNATURE).order_by(SIGNATURE.c.id)
    wanted = wanted.where(SIGNATURE.c.order == order) if order else wanted
    wanted = wanted.where(SIGNATURE.c.lot == lot) if lot else wanted
    return [Signature(**values_of(row)) for row in db.execute(wanted)]


def last_hash(db: Connection) -> str:
    """Of the signature before; empty before the first."""
    return str(db.scalar(select(SIGNATURE.c.hash).order_by(SIGNATURE.c.id.desc()).limit(1)) or "")


def all_people(db: Connection) -> Mapping[str, list[Skill]]:
    """Skills by person."""
    found: dict[str, list[Skill]] = {}
    for one in skills(db):
        found.setdefault(one.person, []).append(one)
    return found
