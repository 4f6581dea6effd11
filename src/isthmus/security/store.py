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
    LargeBinary,
    MetaData,
    RowMapping,
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

from isthmus.security import scopes
from isthmus.security.model import Role, Session, Station, Token, TokenKind, User, session_id
from isthmus.security.names import look_alike
from isthmus.values.clock import NS_PER_S

metadata = MetaData()

users = Table(
    "security_users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("name_key", String(128), nullable=False, unique=True),
    Column("role", String(64), nullable=False),
    Column("password_hash", String(256)),
    Column("disabled", Boolean, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("seen_ns", BigInteger),
    Column("badge", String(64), unique=True),
    Column("pin_hash", String(256)),
    Column("totp", LargeBinary),  # the sealed secret; in force once it is confirmed
    Column("totp_confirmed", Boolean, nullable=False, server_default="0"),
    Column("totp_step", BigInteger, nullable=False, server_default="0"),  # the newest code that was used
)

tokens = Table(
    "security_tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("hint", String(12), nullable=False),
    Column("name", String(64), nullable=False),
    Column("role", String(64), nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger),
    Column("revoked_ns", BigInteger),
    Column("kind", String(16), nullable=False, server_default="program"),
    Column("scope", Text, nullable=False, server_default=""),
    Column("seen_ns", BigInteger),
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
    Column("means", String(16), nullable=False, server_default="password"),
    Column("program", String(200), nullable=False, server_default=""),
    Column("proved_ns", BigInteger, nullable=False, server_default="0"),  # said last who they are
    Column("station_id", Integer, ForeignKey("security_stations.id", name="security_sessions_station")),
)

stations = Table(
    "security_stations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("name_key", String(128), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("scope", Text, nullable=False),
    Column("badge_only", Boolean, nullable=False),
    Column("idle_s", Integer, nullable=False),
    Column("hash", String(64), unique=True),  # of its cookie, once it is enrolled
    Column("code_hash", String(64), unique=True),  # of the one-time code, until then
    Column("code_expires_ns", BigInteger, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("enrolled_ns", BigInteger),
    Column("seen_ns", BigInteger),
)

recovery = Table(
    "security_recovery",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("user_id", Integer, ForeignKey("security_users.id"), nullable=False, index=True),
)

emergency = Table(
    "security_emergency",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("user_id", Integer, ForeignKey("security_users.id"), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("used_ns", BigInteger),
    Column("used_from", String(64), nullable=False, server_default=""),
)


def _user(row: Mapping[str, Any] | RowMapping) -> User:
    return User(
        row["id"], row["name"], row["role"], row["password_hash"] is not None, row["disabled"], row["created_ns"],
        row["totp_confirmed"], row["badge"] or "", row["pin_hash"] is not None, row["seen_ns"],
    )  # fmt: skip


def _station(row: Mapping[str, Any] | RowMapping) -> Station:
    return Station(
        row["id"], row["name"], scopes.from_json(row["scope"]).under, Role(row["role"]), row["badge_only"],
        float(row["idle_s"]), row["created_by"], row["created_ns"], row["enrolled_ns"], row["seen_ns"],
    )  # fmt: skip


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

    def add_user(self, values: dict[str, Any]) -> int | str:
        """The new account's id; or the name of the account that has this name, or one that looks like it."""
        with self._engine.begin() as connection:
            other = self._taken(connection, values["name_key"], values["name"], 0)
            if other is not None:
                return other
            return int(connection.execute(insert(users).values(**values).returning(users.c.id)).scalar_one())

    def change_user(self, user_id: int, values: dict[str, Any]) -> str | None:
        """Nothing when it was changed; else the name of the account that has the new name, or one that looks like it."""
        with self._engine.begin() as connection:
            if "name_key" in values:
                other = self._taken(connection, values["name_key"], values["name"], user_id)
                if other is not None:
                    return other
            if values:
                connection.execute(update(users).where(users.c.id == user_id).values(**values))
        return None

    @staticmethod
    def _taken(connection: Connection, key: str, name: str, by_other_than: int) -> str | None:
        """Every name is looked at: there are some hundreds, and accounts are made by hand."""
        query = select(users.c.name, users.c.name_key).where(users.c.id != by_other_than)
        others = connection.execute(query).all()
        same: str | None = next((other.name for other in others if other.name_key == key), None)
        return same or look_alike(name, [other.name for other in others])

    def badge_taken(self, badge: str, by_other_than: int) -> bool:
        with self._engine.begin() as connection:
            query = select(users.c.id).where(users.c.badge == badge, users.c.id != by_other_than)
            return connection.execute(query).first() is not None

    def by_badge(self, badge: str) -> tuple[User, str | None] | None:
        """An account and the hash of its PIN."""
        with self._engine.begin() as connection:
            row = connection.execute(select(users).where(users.c.badge == badge)).mappings().first()
        return (_user(row), row["pin_hash"]) if row else None

    def seen_user(self, user_id: int, now_ns: int) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(users).where(users.c.id == user_id).values(seen_ns=now_ns))

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
                row["expires_ns"], row["revoked_ns"], TokenKind(row["kind"]), scopes.from_json(row["scope"]),
                row["seen_ns"],
            )
            for row in rows
        ]  # fmt: skip

    def token_seen(self, hashed: str, now_ns: int) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(tokens).where(tokens.c.hash == hashed).values(seen_ns=now_ns))

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

    def link_user(self, hashed: str, now_ns: int) -> User | None:
        """Whose link it is, if it is still good and the account open; it is not spent by asking."""
        query = select(users).join_from(links, users).where(links.c.hash == hashed, links.c.expires_ns > now_ns)
        with self._engine.begin() as connection:
            row = connection.execute(query.where(~users.c.disabled)).mappings().first()
        return _user(row) if row else None

    def spend_link(self, hashed: str) -> bool:
        """Take a link out of the world; False when somebody else did a moment ago."""
        with self._engine.begin() as connection:
            return connection.execute(delete(links).where(links.c.hash == hashed)).rowcount > 0

    def drop_links(self, user_id: int) -> None:
        with self._engine.begin() as connection:
            connection.execute(delete(links).where(links.c.user_id == user_id))

    # Sessions

    def add_session(self, values: dict[str, Any], idle_ns: int) -> None:
        """Keep a session, and sweep out the ones that ran out."""
        now_ns = values["created_ns"]
        with self._engine.begin() as connection:
            connection.execute(
                delete(sessions).where(or_(sessions.c.expires_ns <= now_ns, sessions.c.seen_ns <= now_ns - idle_ns))
            )
            connection.execute(insert(sessions).values(**values))

    def session(self, hashed: str) -> RowMapping | None:
        """A session joined with its account and station."""
        query = (
            select(
                sessions.c.seen_ns, sessions.c.expires_ns, sessions.c.means, sessions.c.proved_ns,
                users.c.id, users.c.name, users.c.role, users.c.password_hash,
                stations.c.name.label("station"), stations.c.hash.label("station_hash"),
                stations.c.role.label("station_role"), stations.c.scope, stations.c.idle_s,
            )
            .join_from(sessions, users)
            .join(stations, sessions.c.station_id == stations.c.id, isouter=True)
        )  # fmt: skip
        with self._engine.begin() as connection:
            return connection.execute(query.where(sessions.c.hash == hashed, ~users.c.disabled)).mappings().first()

    def sessions(self, now_ns: int, idle_ns: int, user_id: int | None = None) -> list[Session]:
        """Sessions that have not run out, newest first; of one account, or of all."""
        query = (
            select(sessions, users.c.name, users.c.role, stations.c.name.label("station"), stations.c.idle_s)
            .join_from(sessions, users)
            .join(stations, sessions.c.station_id == stations.c.id, isouter=True)
            .where(sessions.c.expires_ns > now_ns, ~users.c.disabled)
            .order_by(sessions.c.created_ns.desc())
        )
        if user_id is not None:
            query = query.where(sessions.c.user_id == user_id)
        with self._engine.begin() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Session(
                session_id(row["hash"]), row["name"], row["role"], row["means"], row["station"] or "", row["source"],
                row["program"], row["created_ns"], row["seen_ns"], row["expires_ns"], row["hash"],
            )
            for row in rows
            if now_ns - row["seen_ns"] < (idle_ns if row["idle_s"] is None else row["idle_s"] * NS_PER_S)
        ]  # fmt: skip

    def places(self) -> list[tuple[str, str]]:
        """From where names have sessions, as (name, source)."""
        with self._engine.begin() as connection:
            rows = connection.execute(select(users.c.name, sessions.c.source).join_from(sessions, users)).all()
        return [(row[0], row[1]) for row in rows]

    def seen(self, hashed: str, now_ns: int) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(sessions).where(sessions.c.hash == hashed).values(seen_ns=now_ns))

    def rotate(self, hashed: str, to: str, proved_ns: int | None) -> bool:
        """Give a session another key; False when it is gone."""
        values: dict[str, Any] = {"hash": to} | ({} if proved_ns is None else {"proved_ns": proved_ns})
        with self._engine.begin() as connection:
            return connection.execute(update(sessions).where(sessions.c.hash == hashed).values(**values)).rowcount > 0

    def drop_session(self, hashed: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(delete(sessions).where(sessions.c.hash == hashed))

    def drop_sessions(self, user_id: int, but: str = "") -> list[str]:
        """End all sessions of an account, except perhaps one; their hashes."""
        query = delete(sessions).where(sessions.c.user_id == user_id, sessions.c.hash != but)
        with self._engine.begin() as connection:
            return list(connection.execute(query.returning(sessions.c.hash)).scalars())

    # Second factors

    def totp(self, user_id: int) -> tuple[bytes, bool, int] | None:
        """The sealed secret, whether it is in force, and the newest step that was used."""
        query = select(users.c.totp, users.c.totp_confirmed, users.c.totp_step).where(users.c.id == user_id)
        with self._engine.begin() as connection:
            row = connection.execute(query).first()
        return None if row is None or row[0] is None else (bytes(row[0]), bool(row[1]), int(row[2]))

    def set_totp(self, user_id: int, sealed: bytes | None) -> None:
        """Another secret, not in force yet; or none. Recovery codes are void."""
        values = {"totp": sealed, "totp_confirmed": False, "totp_step": 0}
        with self._engine.begin() as connection:
            connection.execute(update(users).where(users.c.id == user_id).values(**values))
            connection.execute(delete(recovery).where(recovery.c.user_id == user_id))

    def use_step(self, user_id: int, step: int) -> bool:
        """Spend the code of a step; False when it or a later one was used before."""
        with self._engine.begin() as connection:
            changed = connection.execute(
                update(users).where(users.c.id == user_id, users.c.totp_step < step).values(totp_step=step)
            )
        return changed.rowcount > 0

    def confirm_totp(self, user_id: int, codes: list[str]) -> None:
        """Put the secret in force, with the hashes of its recovery codes."""
        with self._engine.begin() as connection:
            connection.execute(update(users).where(users.c.id == user_id).values(totp_confirmed=True))
            connection.execute(delete(recovery).where(recovery.c.user_id == user_id))
            connection.execute(insert(recovery), [{"hash": code, "user_id": user_id} for code in codes])

    def use_recovery(self, user_id: int, hashed: str) -> bool:
        with self._engine.begin() as connection:
            query = delete(recovery).where(recovery.c.hash == hashed, recovery.c.user_id == user_id)
            return connection.execute(query).rowcount > 0

    def recovery_left(self, user_id: int) -> int:
        with self._engine.begin() as connection:
            query = select(func.count()).select_from(recovery).where(recovery.c.user_id == user_id)
            return int(connection.execute(query).scalar_one())

    # Stations

    def stations(self) -> list[Station]:
        with self._engine.begin() as connection:
            rows = connection.execute(select(stations).order_by(stations.c.name_key)).mappings().all()
        return [_station(row) for row in rows]

    def add_station(self, values: dict[str, Any]) -> int | None:
        """The new station's id; None when the name is taken."""
        with self._engine.begin() as connection:
            if connection.execute(select(stations.c.id).where(stations.c.name_key == values["name_key"])).first():
                return None
            return int(connection.execute(insert(stations).values(**values).returning(stations.c.id)).scalar_one())

    def station(self, hashed: str, now_ns: int, unused_ns: int) -> Station | None:
        """The station of a cookie, unless it was unused for too long."""
        with self._engine.begin() as connection:
            row = connection.execute(select(stations).where(stations.c.hash == hashed)).mappings().first()
        return _station(row) if row and now_ns - (row["seen_ns"] or row["enrolled_ns"]) < unused_ns else None

    def station_seen(self, station_id: int, now_ns: int) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(stations).where(stations.c.id == station_id).values(seen_ns=now_ns))

    def enrol(self, code_hash: str, hashed: str, now_ns: int) -> Station | None:
        """Spend a one-time code: its station is known by the cookie from now on."""
        good = (stations.c.code_hash == code_hash, stations.c.code_expires_ns > now_ns)
        values = {"hash": hashed, "code_hash": None, "enrolled_ns": now_ns, "seen_ns": now_ns}
        with self._engine.begin() as connection:
            changed = connection.execute(update(stations).where(*good).values(**values).returning(stations.c.id))
            ident = changed.scalar_one_or_none()
            if ident is None:
                return None
            return _station(connection.execute(select(stations).where(stations.c.id == ident)).mappings().one())

    def drop_station(self, key: str) -> list[str] | None:
        """Forget a station and end its sessions; their hashes. None when there is none of that name."""
        with self._engine.begin() as connection:
            ident = connection.execute(select(stations.c.id).where(stations.c.name_key == key)).scalar_one_or_none()
            if ident is None:
                return None
            query = delete(sessions).where(sessions.c.station_id == ident).returning(sessions.c.hash)
            found = list(connection.execute(query).scalars())
            connection.execute(delete(stations).where(stations.c.id == ident))
        return found

    # The way in when nothing else works

    def set_emergency(self, values: dict[str, Any]) -> None:
        """There is one credential at a time: the new one replaces the old."""
        with self._engine.begin() as connection:
            connection.execute(delete(emergency))
            connection.execute(insert(emergency).values(**values))

    def emergency(self) -> RowMapping | None:
        with self._engine.begin() as connection:
            return connection.execute(select(emergency)).mappings().first()

    def use_emergency(self, hashed: str, now_ns: int, source: str) -> User | None:
        """Spend the credential; its account when it was good."""
        good = (emergency.c.hash == hashed, emergency.c.used_ns.is_(None))
        with self._engine.begin() as connection:
            query = update(emergency).where(*good).values(used_ns=now_ns, used_from=source[:64])
            user_id = connection.execute(query.returning(emergency.c.user_id)).scalar_one_or_none()
            if user_id is None:
                return None
            return _user(connection.execute(select(users).where(users.c.id == user_id)).mappings().one())
