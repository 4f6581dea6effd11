"""Who the pseudonyms of the audit log are, and the last checkpoint as the records know it."""

from __future__ import annotations

import secrets
import threading
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    delete,
    insert,
    select,
    update,
)

from isthmus.security.audit.log import Mark
from isthmus.security.names import name_key
from isthmus.values.clock import NS_PER_S, Clock

metadata = MetaData()

PEOPLE = Table(
    "audit_people",
    metadata,
    Column("pseudonym", String(16), primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("name_key", String(128), nullable=False),
    Column("name", String(128), nullable=False),
    Column("seen_ns", BigInteger, nullable=False),
    UniqueConstraint("kind", "name_key"),
)
"""The only place that ties a pseudonym to a name. Units: seen_ns is UTC ns, to the day"""

MARK = Table(
    "audit_mark",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("time", String(32), nullable=False),
)

PERSON: Final = "person"
TOKEN: Final = "token"  # noqa: S105  the word, not a secret
UNIX: Final = "unix"
_KINDS: Final = {"session": PERSON, "token": TOKEN, "socket": UNIX}
_DAY_NS: Final = 86_400 * NS_PER_S


def kind_of(proof: str) -> str:
    """What sort of somebody a proof shows."""
    return _KINDS.get(proof, PERSON)


class Names:
    """Pseudonyms by name and back. All are in memory; the records are asked for those who are new."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], tuple[str, str, int]] | None = None  # -> pseudonym, name, seen_ns

    def _all(self) -> dict[tuple[str, str], tuple[str, str, int]]:
        if self._known is None:
            with self._engine.begin() as connection:
                rows = connection.execute(select(PEOPLE)).all()
            self._known = {(r.kind, r.name_key): (r.pseudonym, r.name, r.seen_ns) for r in rows}
        return self._known

    def at_hand(self, kind: str, name: str) -> str | None:
        """The pseudonym if it needs no look into the records."""
        known = self._known
        found = known.get((kind, name_key(name))) if known is not None else None
        return found[0] if found and self._clock.now_ns() - found[2] < _DAY_NS else None

    def of(self, kind: str, name: str) -> str:
        """The pseudonym of somebody, made if they are new."""
        key, now_ns = (kind, name_key(name)), self._clock.now_ns()
        with self._lock:
            known = self._all()
            found = known.get(key)
            with self._engine.begin() as connection:
                if found is None:
                    pseudonym = f"{kind[0]}-{secrets.token_hex(6)}"
                    values = {"pseudonym": pseudonym, "kind": kind, "name_key": key[1], "name": name, "seen_ns": now_ns}
                    connection.execute(insert(PEOPLE).values(**values))
                else:
                    pseudonym = found[0]
                    connection.execute(update(PEOPLE).where(PEOPLE.c.pseudonym == pseudonym).values(seen_ns=now_ns))
            known[key] = (pseudonym, name, now_ns)
        return pseudonym

    def find(self, name: str, kind: str = "") -> list[str]:
        """Everybody of a name."""
        with self._lock:
            return [p for (k, key), (p, _, _) in self._all().items() if key == name_key(name) and kind in ("", k)]

    def names(self) -> dict[str, str]:
        """Name of each pseudonym."""
        with self._lock:
            return {pseudonym: name for pseudonym, name, _ in self._all().values()}

    def rename(self, kind: str, old: str, new: str) -> None:
        """Somebody is called otherwise now and stays who they are; where the new name is known already, both stay."""
        with self._lock:
            known, before, after = self._all(), (kind, name_key(old)), (kind, name_key(new))
            if before not in known or (after != before and after in known):
                return
            pseudonym, _, seen_ns = known[before]
            with self._engine.begin() as connection:
                values = {"name": new, "name_key": after[1]}
                connection.execute(update(PEOPLE).where(PEOPLE.c.pseudonym == pseudonym).values(**values))
            del known[before]
            known[after] = (pseudonym, new, seen_ns)

    def forget(self, name: str) -> list[str]:
        """Untie a person's pseudonyms from the name, for good; which they were."""
        with self._lock:
            gone = [k for k in self._all() if k == (PERSON, name_key(name))]
            return self._drop(gone)

    def forget_unseen(self, before_ns: int) -> int:
        """Untie everybody of whom the log has nothing left; how many."""
        with self._lock:
            return len(self._drop([k for k, (_, _, seen_ns) in self._all().items() if seen_ns < before_ns]))

    def _drop(self, keys: list[tuple[str, str]]) -> list[str]:
        known = self._all()
        gone = [known[key][0] for key in keys]
        if gone:
            with self._engine.begin() as connection:
                connection.execute(delete(PEOPLE).where(PEOPLE.c.pseudonym.in_(gone)))
        for key in keys:
            del known[key]
        return gone


class Marks:
    """The last checkpoint, kept away from the log's own files."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(self, mark: Mark) -> None:
        """Replace what was kept."""
        with self._engine.begin() as connection:
            connection.execute(delete(MARK))
            connection.execute(insert(MARK).values(id=1, seq=mark.seq, hash=mark.hash, time=mark.time))

    def last(self) -> Mark | None:
        """What was kept."""
        with self._engine.begin() as connection:
            row = connection.execute(select(MARK)).first()
        return Mark(row.seq, row.hash, row.time) if row else None
