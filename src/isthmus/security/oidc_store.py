"""Which account belongs to which subject of which provider."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Engine, ForeignKey, Integer, String, Table, insert, select, update

from isthmus.security.store import metadata, users

subjects = Table(
    "security_subjects",
    metadata,
    Column("issuer", String(400), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("user_id", Integer, ForeignKey("security_users.id"), nullable=False, unique=True),
    Column("provider", String(32), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("seen_ns", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Account:
    """An account that a provider vouches for."""

    user_id: int
    name: str
    role: str
    disabled: bool


class SubjectStore:
    """All I/O of sign-on. Every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def account(self, issuer: str, subject: str) -> Account | None:
        """Whose it is."""
        query = select(users.c.id, users.c.name, users.c.role, users.c.disabled).join_from(subjects, users)
        with self._engine.begin() as connection:
            row = connection.execute(query.where(subjects.c.issuer == issuer, subjects.c.subject == subject)).first()
        return Account(row.id, row.name, row.role, row.disabled) if row else None

    def bind(self, issuer: str, subject: str, user_id: int, provider: str, now_ns: int) -> None:
        """From now on this subject enters this account."""
        values = {"issuer": issuer, "subject": subject, "user_id": user_id, "provider": provider}
        with self._engine.begin() as connection:
            connection.execute(insert(subjects).values(**values, created_ns=now_ns, seen_ns=now_ns))

    def seen(self, issuer: str, subject: str, now_ns: int) -> None:
        """Somebody came in by it."""
        with self._engine.begin() as connection:
            connection.execute(
                update(subjects)
                .where(subjects.c.issuer == issuer, subjects.c.subject == subject)
                .values(seen_ns=now_ns)
            )

    def provider_of(self, user_id: int) -> str:
        """The provider that vouches for an account; empty where it is kept here."""
        with self._engine.begin() as connection:
            found = connection.execute(select(subjects.c.provider).where(subjects.c.user_id == user_id)).scalar()
        return str(found) if found is not None else ""
