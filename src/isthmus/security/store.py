"""Accounts, tokens, links and sessions in the records. Secrets are kept only as hashes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from isthmus.security.model import Token, User

metadata = MetaData()

users = Table(
    "security_users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("name_key", String(128), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("password_hash", String(256)),
    Column("disabled", Boolean, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
)

tokens = Table(
    "security_tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("hint", String(12), nullable=False),
    Column("name", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger),
    Column("revoked_ns", BigInteger),
)

links = Table(
    "security_links",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("user_id", Integer, ForeignKey("security_users.id"), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
)

sessions = Table(
    "security_sessions",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("user_id", Integer, ForeignKey("security_users.id"), nullable=False, index=True),
    Column("source", String(64), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("seen_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
)


def _user(row: Mapping[str, Any] | RowMapping) -> User:
    return User(
        row["id"], row["name"], row["role"], row["password_hash"] is not None, row["disabled"], row["created_ns"]
    )


class Store:
    """All I/O of the room. Every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def users(self) -> list[User]:
        with self._engine.begin() as connection:
            return [_user(row) for row in connection.execute(select(users).order_by(users.c.name_key)).mappings()]

    def user(self, user_id: int) -> User | None:
        with self._engine.begin() as connection:
            row = connection.execute(select(users).where(users.c.id == user_id)).mappings().first()
        return _user(row) if row else None

    def by_name(self, key: str) -> tuple[User, str | None] | None:
        """An account and its password hash."""
        with self._engine.begin() as connection:
            row = connection.execute(select(users).where(users.c.name_key == key)).mappings().first()
        return (_user(row), row["password_hash"]) if row else None

    def password_hash(self, user_id: int) -> str | None:
        with self._engine.begin() as connection:
            found: str | None = connection.execute(
                select(users.c.password_hash).where(users.c.id == user_id)
            ).scalar_one_or_none()
        return found

    def add_user(self, values: dict[str, Any]) -> int | None:
        """The new account's id; None when the name is taken."""
        with self._engine.begin() as connection:
            if self._taken(connection, values["name_key"], 0):
                return None
            return int(connection.execute(insert(users).values(**values).returning(users.c.id)).scalar_one())

    def change_user(self, user_id: int, values: dict[str, Any]) -> bool:
        """False when the new name is taken; nothing changed then."""
        with self._engine.begin() as connection:
            if "name_key" in values and self._taken(connection, values["name_key"], user_id):
                return False
            connection.execute(update(users).where(users.c.id == user_id).values(**values))
        return True

    @staticmethod
    def _taken(connection: Connection, key: str, by_other_than: int) -> bool:
        found = connection.execute(select(users.c.id).where(users.c.name_key == key, users.c.id != by_other_than))
        return found.first() is not None

    def rehash(self, user_id: int, old: str, new: str) -> None:
        """Put a stronger hash of the same password in place, unless the password was changed meanwhile."""
        with self._engine.begin() as connection:
            connection.execute(
                update(users).where(users.c.id == user_id, users.c.password_hash == old).values(password_hash=new)
            )

    def anybody_can_sign_in(self) -> bool:
        query = select(func.count()).select_from(users).where(users.c.password_hash.is_not(None), ~users.c.disabled)
        with self._engine.begin() as connection:
            return bool(connection.execute(query).scalar_one())

    def add_token(self, values: dict[str, Any]) -> int:
        with self._engine.begin() as connection:
            return int(connection.execute(insert(tokens).values(**values).returning(tokens.c.id)).scalar_one())

    def tokens(self) -> list[Token]:
        with self._engine.begin() as connection:
            rows = connection.execute(select(tokens).order_by(tokens.c.id)).mappings().all()
        return [
            Token(
                row["id"], row["name"], row["role"], row["hint"], row["created_by"], row["created_ns"],
                row["expires_ns"], row["revoked_ns"],
            )
            for row in rows
        ]  # fmt: skip

    def token(self, hashed: str) -> RowMapping | None:
        with self._engine.begin() as connection:
            return connection.execute(select(tokens).where(tokens.c.hash == hashed)).mappings().first()

    def revoke_token(self, token_id: int, now_ns: int) -> str | None:
        """Hash of the token that was revoked now; None when there is none such, or it was before."""
        with self._engine.begin() as connection:
            found: str | None = connection.execute(
                update(tokens)
                .where(tokens.c.id == token_id, tokens.c.revoked_ns.is_(None))
                .values(revoked_ns=now_ns)
                .returning(tokens.c.hash)
            ).scalar_one_or_none()
        return found

    def add_link(self, values: dict[str, Any]) -> None:
        """A user has one link at a time: the new one replaces the old."""
        with self._engine.begin() as connection:
            connection.execute(delete(links).where(links.c.user_id == values["user_id"]))
            connection.execute(insert(links).values(**values))

    def link_holds(self, hashed: str, now_ns: int) -> bool:
        """Whether a link is still good."""
        with self._engine.begin() as connection:
            found = connection.execute(select(links.c.expires_ns).where(links.c.hash == hashed)).scalar()
        return found is not None and int(found) > now_ns

    def use_link(self, hashed: str, now_ns: int) -> User | None:
        """Take a link out of the world; its user when it was still good."""
        with self._engine.begin() as connection:
            row = connection.execute(
                delete(links).where(links.c.hash == hashed).returning(links.c.user_id, links.c.expires_ns)
            ).first()
            if row is None or now_ns >= row.expires_ns:
                return None
            user = connection.execute(select(users).where(users.c.id == row.user_id)).mappings().one()
        return None if user["disabled"] else _user(user)

    def drop_links(self, user_id: int) -> None:
        with self._engine.begin() as connection:
            connection.execute(delete(links).where(links.c.user_id == user_id))

    def add_session(self, values: dict[str, Any], idle_ns: int) -> None:
        """Keep a session, and sweep out the ones that ran out."""
        now_ns = values["created_ns"]
        with self._engine.begin() as connection:
            connection.execute(
                delete(sessions).where(or_(sessions.c.expires_ns <= now_ns, sessions.c.seen_ns <= now_ns - idle_ns))
            )
            connection.execute(insert(sessions).values(**values))

    def session(self, hashed: str) -> RowMapping | None:
        """A session joined with its account."""
        query = select(
            sessions.c.seen_ns, sessions.c.expires_ns, users.c.id, users.c.name, users.c.role, users.c.password_hash
        ).join_from(sessions, users)
        with self._engine.begin() as connection:
            return connection.execute(query.where(sessions.c.hash == hashed, ~users.c.disabled)).mappings().first()

    def seen(self, hashed: str, now_ns: int) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(sessions).where(sessions.c.hash == hashed).values(seen_ns=now_ns))

    def drop_session(self, hashed: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(delete(sessions).where(sessions.c.hash == hashed))

    def drop_sessions(self, user_id: int, but: str = "") -> None:
        """All sessions of an account, except perhaps one."""
        with self._engine.begin() as connection:
            connection.execute(delete(sessions).where(sessions.c.user_id == user_id, sessions.c.hash != but))
