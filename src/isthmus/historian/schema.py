"""Tables of the record, for one embedded engine and for a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from isthmus.historian.model import BUCKET_NS, WEEK_NS

DATABASE = "isthmus"
_RISING = "rising UInt8 DEFAULT 0 CODEC(ZSTD(1))"  # 0 where nobody looked yet
VERSION = 2
"""Version of these tables; a store with a newer one is refused."""

ADDED: Mapping[int, Sequence[tuple[str, str]]] = {2: [("rollup", _RISING)]}
"""Columns that came with a version, by table: an older store gets them when it is opened."""

_NS = "toUnixTimestamp64Nano(ts)"
_DURABLE = "fsync_after_insert = 1, fsync_part_directory = 1"
_FEW = 3  # spans that are named one by one in a condition
_FOREVER_S = (1 << 32) - 1  # the last second a DateTime can hold


@dataclass(frozen=True, slots=True)
class Table:
    """One table: columns, how rows that mean the same are told apart, and what is dropped when."""

    name: str
    columns: str
    order: str
    version: str = ""  # of rows with equal order the one with the highest version stays, else the last inserted one
    partition: str = ""
    expires: bool = False  # has ts and class: whole parts go when their class says so

    def body(self, name: str, engine: str, ttl: str) -> str:
        """The CREATE statement under a name, with an engine."""
        lines = [f"CREATE TABLE IF NOT EXISTS {name} ({self.columns})", f"ENGINE = {engine}"]
        if self.partition:
            lines.append(f"PARTITION BY {self.partition}")
        lines.append(f"ORDER BY {self.order}")
        if ttl:
            lines.append(f"TTL {ttl}")
        settings = ", ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1" if self.expires else ""
        lines.append(f"SETTINGS {_DURABLE}{settings}")
        return "\n".join(lines)


TABLES = (
    Table(
        "sample",
        "class UInt8 CODEC(ZSTD(1)), tag Int32 CODEC(Delta, ZSTD(1)), ts DateTime64(9, 'UTC') CODEC(GCD, Delta, ZSTD(3)), "
        "mantissa Int64 CODEC(DoubleDelta, ZSTD(1)), exponent Int8 CODEC(ZSTD(1)), status UInt32 CODEC(ZSTD(1))",
        order="(tag, ts)",
        partition=f"(class, toInt32(intDiv({_NS}, {WEEK_NS})))",
        expires=True,
    ),
    Table(
        "text",
        "class UInt8 CODEC(ZSTD(1)), tag Int32 CODEC(Delta, ZSTD(1)), ts DateTime64(9, 'UTC') CODEC(GCD, Delta, ZSTD(3)), "
        "text String CODEC(ZSTD(3)), status UInt32 CODEC(ZSTD(1))",
        order="(tag, ts)",
        partition=f"(class, toInt32(intDiv({_NS}, {WEEK_NS * 4})))",
        expires=True,
    ),
    Table(
        "rollup",
        "class UInt8 CODEC(ZSTD(1)), tag Int32 CODEC(Delta, ZSTD(1)), ts DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)), "
        "first_ns Int64 CODEC(GCD, ZSTD(3)), lasts_ns Int64 CODEC(GCD, ZSTD(3)), exponent Int8 CODEC(ZSTD(1)), "
        "first Int64 CODEC(Delta, ZSTD(3)), last Int64 CODEC(Delta, ZSTD(3)), below Int64 CODEC(ZSTD(3)), "
        "above Int64 CODEC(ZSTD(3)), good UInt32 CODEC(ZSTD(3)), other UInt32 CODEC(ZSTD(1)), "
        "last_good UInt8 CODEC(ZSTD(1)), area Int64 CODEC(GCD, ZSTD(3)), bad_ns Int64 CODEC(ZSTD(1)), "
        f"ver UInt64 CODEC(Delta, ZSTD(3)), {_RISING}",
        order="(tag, ts)",
        version="ver",
        partition=f"(class, toInt32(intDiv({_NS}, {WEEK_NS * 4})))",
        expires=True,
    ),
    Table(
        "cursor",
        "edge String, lane UInt8, epoch UInt64, seq UInt64, last_ns Int64, ver UInt64",
        order="(edge, lane)",
        version="ver",
    ),
    Table("gap", "edge String, start_ns Int64, end_ns Int64, reason String", order="(edge, start_ns, end_ns)"),
    Table(
        "dirty",
        "bucket Int64 CODEC(ZSTD(1)), tag Int32, done UInt8, ver UInt64",
        order="(bucket, tag)",
        version="ver",
    ),
    Table(
        "stretch",
        "ver UInt64, first Int64, last Int64, tags String",
        order="ver",
    ),
    Table("newest", "tag Int32, ns Int64", order="tag", version="ns"),
    Table(
        "tag",
        "tag Int32, class UInt8, before UInt8, since_ns Int64, ver UInt64",
        order="tag",
        version="ver",
    ),
    Table("retention", "name String, class UInt8, days UInt32, ver UInt64", order="name", version="ver"),
    Table("schema_version", "one UInt8, version UInt32", order="one", version="version"),
)

BY_NAME: Mapping[str, Table] = {t.name: t for t in TABLES}
EXPIRING = tuple(t for t in TABLES if t.expires)


def retention_ttl(days: Mapping[int, int]) -> str:
    """When a row goes, by the days of its class; a class that is not named or has 0 days stays for ever (2106)."""
    branches = "".join(f"class = {c}, {d * 86_400}, " for c, d in sorted(days.items()) if d)
    keep_s = f"multiIf({branches}{_FOREVER_S})" if branches else str(_FOREVER_S)
    return f"toDateTime(least(intDiv({_NS}, 1000000000) + {keep_s}, {_FOREVER_S}), 'UTC')"


def single(days: Mapping[int, int], database: str = DATABASE) -> list[str]:
    """Statements that create everything in one engine."""
    ttl = retention_ttl(days)
    return [
        f"CREATE DATABASE IF NOT EXISTS {database} ENGINE = Atomic",
        *(t.body(f"{database}.{t.name}", f"ReplacingMergeTree({t.version})", ttl if t.expires else "") for t in TABLES),
    ]


def cluster(name: str, days: Mapping[int, int], database: str = DATABASE) -> list[str]:
    """Statements that create everything on a cluster: replicated tables on each shard, one distributed face each.

    Rows of a tag live on one shard, so that FINAL, which works inside a shard, sees all versions of a row.
    """
    on = f"ON CLUSTER '{name}'"
    ttl = retention_ttl(days)
    statements = [f"CREATE DATABASE IF NOT EXISTS {database} {on}"]
    for table in TABLES:
        local = f"{database}.{table.name}_local"
        version = f", {table.version}" if table.version else ""
        engine = f"ReplicatedReplacingMergeTree('/clickhouse/tables/{{shard}}/{local}', '{{replica}}'{version})"
        shard = "tag" if "tag Int32" in table.columns else "0"
        face = f"Distributed('{name}', '{database}', '{table.name}_local', {shard})"
        statements += [
            table.body(f"{local} {on}", engine, ttl if table.expires else ""),
            f"CREATE TABLE IF NOT EXISTS {database}.{table.name} {on} AS {local} ENGINE = {face}",
        ]
    return statements


def upgrade(version: int, name: str = "", database: str = DATABASE) -> list[str]:
    """Statements that bring tables of an older version up to this one, on a cluster if one is named."""
    added = [(table, column) for v, columns in sorted(ADDED.items()) if v > version for table, column in columns]
    faces = [f"_local ON CLUSTER '{name}'", f" ON CLUSTER '{name}'"] if name else [""]
    return [
        f"ALTER TABLE {database}.{table}{face} ADD COLUMN IF NOT EXISTS {column}"
        for table, column in added
        for face in faces
    ]


def bucket_of(column: str = "ts") -> str:
    """The engine's expression for the rollup bucket of a time column (times are after 1990)."""
    return f"intDiv(toUnixTimestamp64Nano({column}), {BUCKET_NS})"


def during(spans: Sequence[tuple[int, int]], column: str = "ts") -> str:
    """A condition on a time column, of spans in order, that the engine's index understands.

    Many spans on the grid of the rollup are a set of buckets between the outer bounds, and many moments a set of them: the
    index understands these too, and each further OR costs the engine milliseconds before it begins.
    """
    if not spans:
        return "0"
    if len(spans) > _FEW and all(b - a == 1 for a, b in spans):
        return f"toUnixTimestamp64Nano({column}) IN ({', '.join(str(a) for a, _ in spans)})"
    if len(spans) > _FEW and all(b % BUCKET_NS == 0 for span in pairwise(spans) for b in (span[0][1], span[1][0])):
        inside = [n for a, b in spans for n in range(a // BUCKET_NS, -(-b // BUCKET_NS))]
        holes = [n for (_, a), (b, _) in pairwise(spans) for n in range(a // BUCKET_NS, b // BUCKET_NS)]
        way, fewer = ("NOT IN", holes) if len(holes) < len(inside) else ("IN", inside)
        outer = during([(spans[0][0], spans[-1][1])], column)
        return f"({outer} AND {bucket_of(column)} {way} ({', '.join(map(str, fewer))}))" if fewer else outer
    each = (
        f"({column} >= fromUnixTimestamp64Nano({a}, 'UTC') AND {column} < fromUnixTimestamp64Nano({b}, 'UTC'))"
        for a, b in spans
    )
    return f"({' OR '.join(each)})"
