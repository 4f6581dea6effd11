"""Passkeys in the records: public keys only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Engine,
    ForeignKey,
    Integer,
    LargeBinary,
    RowMapping,
    String,
    Table,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)

from isthmus.security.store import metadata, sessions

passkeys = Table(
    "security_passkeys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("credential", LargeBinary, nullable=False, unique=True),
    Column("user_id", Integer, ForeignKey("security_users.id"), nullable=False, index=True),
    Column("handle", LargeBinary, nullable=False),  # what the authenticator knows the account by
    Column("rp_id", String(253), nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("name", String(64), nullable=False),
    Column("synced", Boolean, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("used_ns", BigInteger),
    Column("suspect_ns", BigInteger),  # its counter went back: there may be a copy of it
)


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey as its owner sees it."""

    id: int
    name: str
    rp_id: str
    synced: bool
    created_ns: int
    used_ns: int | None
    suspect_ns: int | None


def _passkey(row: RowMapping) -> Passkey:
    return Passkey(
        row["id"], row["name"], row["rp_id"], row["synced"], row["created_ns"], row["used_ns"], row["suspect_ns"]
    )


class PasskeyStore:
    """All I/O of passkeys. Every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, user_id: int) -> list[Passkey]:
        """One person's, oldest first."""
        query = select(passkeys).where(passkeys.c.user_id == user_id).order_by(passkeys.c.id)
        with self._engine.begin() as connection:
            return [_passkey(row) for row in connection.execute(query).mappings()]

    def known(self, user_id: int, rp_id: str) -> tuple[bytes | None, list[bytes]]:
        """The handle of an account, if it has one yet, and its credentials for this name."""
        query = select(passkeys.c.handle, passkeys.c.credential, passkeys.c.rp_id).where(passkeys.c.user_id == user_id)
        with self._engine.begin() as connection:
            rows = connection.execute(query).all()
        return (rows[0].handle if rows else None), [row.credential for row in rows if row.rp_id == rp_id]

    def add(self, values: dict[str, Any], most: int) -> Passkey | None:
        """Keep one; None when it is known already, or its owner has the most that are kept."""
        with self._engine.begin() as connection:
            same = connection.execute(
                select(passkeys.c.id).where(passkeys.c.credential == values["credential"])
            ).first()
            count = connection.execute(
                select(func.count()).select_from(passkeys).where(passkeys.c.user_id == values["user_id"])
            ).scalar_one()
            if same is not None or count >= most:
                return None
            row = connection.execute(insert(passkeys).values(**values).returning(passkeys)).mappings().one()
            return _passkey(row)

    def find(self, credential: bytes) -> RowMapping | None:
        """The passkey of a credential, with all that it is checked by."""
        with self._engine.begin() as connection:
            return connection.execute(select(passkeys).where(passkeys.c.credential == credential)).mappings().first()

    def used(self, ident: int, counter: int, before: int, now_ns: int) -> bool:
        """Count a use; False when somebody else counted one meanwhile."""
        query = update(passkeys).where(and_(passkeys.c.id == ident, passkeys.c.counter == before))
        with self._engine.begin() as connection:
            return connection.execute(query.values(counter=counter, used_ns=now_ns)).rowcount == 1

    def suspect(self, ident: int, now_ns: int) -> None:
        """Take it no more."""
        with self._engine.begin() as connection:
            connection.execute(update(passkeys).where(passkeys.c.id == ident).values(suspect_ns=now_ns))

    def remove(self, user_id: int, ident: int) -> bool:
        """False when this person has none such."""
        query = delete(passkeys).where(passkeys.c.id == ident, passkeys.c.user_id == user_id)
        with self._engine.begin() as connection:
            return connection.execute(query).rowcount == 1

    def remove_all(self, user_id: int) -> int:
        """How many this person had."""
        with self._engine.begin() as connection:
            return connection.execute(delete(passkeys).where(passkeys.c.user_id == user_id)).rowcount

    def signed_in_ns(self, session: str) -> int:
        """When a session was opened, UTC ns; 0 if there is none."""
        with self._engine.begin() as connection:
            found = connection.execute(select(sessions.c.created_ns).where(sessions.c.hash == session)).scalar()
        return int(found or 0)
