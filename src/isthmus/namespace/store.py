"""The records of the namespace: versions of the plant file, the files beside it, and the ids of tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from isthmus.namespace.plan import Ids

metadata = MetaData()

VERSION = Table(
    "namespace_version",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("applied_ns", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("text", Text, nullable=False),
)
CONTENT = Table(
    "namespace_content",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
FILE = Table(
    "namespace_file",
    metadata,
    Column("version", ForeignKey(VERSION.c.version), primary_key=True),
    Column("name", String(400), primary_key=True),
    Column("digest", ForeignKey(CONTENT.c.digest), nullable=False),
)
TAG = Table(
    "namespace_tag",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("since_version", ForeignKey(VERSION.c.version), primary_key=True),
    Column("path", String(400), nullable=False),
    Column("retired_version", ForeignKey(VERSION.c.version), nullable=True),
)
"""Which path an id had from which version on, until (not with) which; a path has one live id at a time."""

Index(
    "namespace_tag_live",
    TAG.c.path,
    unique=True,
    sqlite_where=TAG.c.retired_version.is_(None),
)  # the migration tells PostgreSQL the same; told here, that dialect would be imported at each start, for 0.15 s

COMPILED = Table(
    "namespace_compiled",
    metadata,
    Column("version", ForeignKey(VERSION.c.version), primary_key=True),
    Column("part", String(80), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
"""The current version as compiled, so that a start need not read the text again; may be missing."""


@dataclass(frozen=True, slots=True)
class Version:
    """One applied version of the plant file. Units: applied_ns is UTC ns"""

    version: int
    applied_ns: int
    by: str
    reason: str
    text: str = ""  # left out where versions are listed


def latest(connection: Connection) -> int:
    """The current version, 0 before the first."""
    return int(connection.scalar(select(func.max(VERSION.c.version))) or 0)


def list_versions(connection: Connection) -> tuple[Version, ...]:
    """All versions without their texts, newest first."""
    rows = connection.execute(
        select(VERSION.c.version, VERSION.c.applied_ns, VERSION.c.by, VERSION.c.reason).order_by(
            VERSION.c.version.desc()
        )
    )
    return tuple(Version(*row) for row in rows)


def load_version(connection: Connection, version: int) -> Version | None:
    """One version with its text."""
    row = connection.execute(
        select(VERSION.c.version, VERSION.c.applied_ns, VERSION.c.by, VERSION.c.reason, VERSION.c.text).where(
            VERSION.c.version == version
        )
    ).first()
    return Version(*row) if row else None


def load_files(connection: Connection, version: int) -> dict[str, bytes]:
    """The files that belong to a version, by name."""
    rows = connection.execute(
        select(FILE.c.name, CONTENT.c.data)
        .join(CONTENT, FILE.c.digest == CONTENT.c.digest)
        .where(FILE.c.version == version)
    )
    return {name: bytes(data) for name, data in rows}


def load_ids(connection: Connection) -> Ids:
    """All ids there ever were. Cost: about 2 µs an id"""
    live: dict[str, int] = {}
    ended: dict[int, str] = {}
    last = 0
    rows = connection.execute(
        select(TAG.c.id, TAG.c.path, TAG.c.retired_version).order_by(TAG.c.since_version, TAG.c.id)
    )
    for number, path, retired in rows:
        last = max(last, number)
        if retired is None:
            live[path] = number
        ended[number] = path
    for number in live.values():
        del ended[number]
    return Ids(live, {path: number for number, path in sorted(ended.items())}, last)


def ids_at(connection: Connection, version: int) -> dict[str, int]:
    """Path to id as it was in a version."""
    rows = connection.execute(
        select(TAG.c.path, TAG.c.id).where(
            TAG.c.since_version <= version, or_(TAG.c.retired_version.is_(None), TAG.c.retired_version > version)
        )
    )
    return {row.path: row.id for row in rows}


def load_compiled(connection: Connection, version: int) -> dict[str, bytes]:
    """The version as compiled, in parts; empty if it is not kept."""
    rows = connection.execute(select(COMPILED.c.part, COMPILED.c.data).where(COMPILED.c.version == version))
    return {row.part: bytes(row.data) for row in rows}


def save_compiled(connection: Connection, version: int, parts: Mapping[str, bytes]) -> None:
    """Keeps the compiled form of a version, and of no other."""
    connection.execute(delete(COMPILED))
    connection.execute(insert(COMPILED), [{"version": version, "part": p, "data": d} for p, d in parts.items()])


def save_version(connection: Connection, version: Version, files: Mapping[str, bytes]) -> None:
    """A new version with the files beside it."""
    connection.execute(
        insert(VERSION).values(
            version=version.version,
            applied_ns=version.applied_ns,
            by=version.by,
            reason=version.reason,
            text=version.text,
        )
    )
    for name, data in files.items():
        digest = sha256(data).hexdigest()
        if connection.scalar(select(CONTENT.c.digest).where(CONTENT.c.digest == digest)) is None:
            connection.execute(insert(CONTENT).values(digest=digest, data=data))
        connection.execute(insert(FILE).values(version=version.version, name=name, digest=digest))


def save_ids(connection: Connection, version: int, before: Mapping[str, int], after: Mapping[str, int]) -> None:
    """Ends what is no longer so and begins what is new; an id and its past stay for ever."""
    ended = [number for path, number in before.items() if after.get(path) != number]
    begun = [(path, number) for path, number in after.items() if before.get(path) != number]
    for some in _portions(ended):
        connection.execute(
            update(TAG).where(TAG.c.retired_version.is_(None), TAG.c.id.in_(some)).values(retired_version=version)
        )
    if begun:
        connection.execute(
            insert(TAG),
            [{"id": number, "since_version": version, "path": path, "retired_version": None} for path, number in begun],
        )


def _portions(numbers: list[int], size: int = 500) -> Iterable[list[int]]:
    """Parts small enough for the number of parameters a database takes."""
    for i in range(0, len(numbers), size):
        yield numbers[i : i + size]
