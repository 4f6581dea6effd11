"""Second factors, badges, stations, the emergency credential, limits of tokens, what is known of a session"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

revision = "0004"
down_revision = "0003"

Rows = dict[str, list[dict[str, Any]]]
_CHILDREN = ("security_sessions", "security_links")


def upgrade() -> None:
    rows = _set_aside()
    with op.batch_alter_table("security_users", schema=None) as batch_op:
        _roles(batch_op, 16, 64)
        batch_op.add_column(sa.Column("seen_ns", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("badge", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("pin_hash", sa.String(length=256), nullable=True))
        batch_op.add_column(sa.Column("totp", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("totp_confirmed", sa.Boolean(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("totp_step", sa.BigInteger(), nullable=False, server_default="0"))
        batch_op.create_unique_constraint("security_users_badge", ["badge"])
    with op.batch_alter_table("security_tokens", schema=None) as batch_op:
        _roles(batch_op, 16, 64)
        batch_op.add_column(sa.Column("kind", sa.String(length=16), nullable=False, server_default="program"))
        batch_op.add_column(sa.Column("scope", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("seen_ns", sa.BigInteger(), nullable=True))
    op.create_table(
        "security_stations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("name_key", sa.String(length=128), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("badge_only", sa.Boolean(), nullable=False),
        sa.Column("idle_s", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=True),
        sa.Column("code_hash", sa.String(length=64), nullable=True),
        sa.Column("code_expires_ns", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("enrolled_ns", sa.BigInteger(), nullable=True),
        sa.Column("seen_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name_key"),
        sa.UniqueConstraint("hash"),
        sa.UniqueConstraint("code_hash"),
    )
    with op.batch_alter_table("security_sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("means", sa.String(length=16), nullable=False, server_default="password"))
        batch_op.add_column(sa.Column("program", sa.String(length=200), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("proved_ns", sa.BigInteger(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("station_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key("security_sessions_station", "security_stations", ["station_id"], ["id"])
    op.create_table(
        "security_recovery",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["security_users.id"]),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index(op.f("ix_security_recovery_user_id"), "security_recovery", ["user_id"], unique=False)
    op.create_table(
        "security_emergency",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("used_ns", sa.BigInteger(), nullable=True),
        sa.Column("used_from", sa.String(length=64), nullable=False, server_default=""),
        sa.ForeignKeyConstraint(["user_id"], ["security_users.id"]),
        sa.PrimaryKeyConstraint("hash"),
    )
    _bring_back(rows)


def downgrade() -> None:
    # what was narrowed must not become whole: the older build knows no limits, stations or second factors
    op.execute("UPDATE security_tokens SET revoked_ns = created_ns WHERE scope <> '' AND revoked_ns IS NULL")
    op.execute("DELETE FROM security_sessions WHERE station_id IS NOT NULL OR means = 'break-glass'")
    op.drop_table("security_emergency")
    op.drop_index(op.f("ix_security_recovery_user_id"), table_name="security_recovery")
    op.drop_table("security_recovery")
    with op.batch_alter_table("security_sessions", schema=None) as batch_op:
        batch_op.drop_constraint("security_sessions_station", type_="foreignkey")
        for column in ("station_id", "proved_ns", "program", "means"):
            batch_op.drop_column(column)
    op.drop_table("security_stations")
    rows = _set_aside()
    with op.batch_alter_table("security_tokens", schema=None) as batch_op:
        for column in ("seen_ns", "scope", "kind"):
            batch_op.drop_column(column)
        _roles(batch_op, 64, 16)
    with op.batch_alter_table("security_users", schema=None) as batch_op:
        batch_op.drop_constraint("security_users_badge", type_="unique")
        for column in ("totp_step", "totp_confirmed", "totp", "pin_hash", "badge", "seen_ns"):
            batch_op.drop_column(column)
        _roles(batch_op, 64, 16)
    _bring_back(rows)


def _roles(batch_op: BatchOperations, before: int, after: int) -> None:
    batch_op.alter_column(
        "role", existing_type=sa.String(length=before), type_=sa.String(length=after), existing_nullable=False
    )


def _set_aside() -> Rows:
    """SQLite changes a table by making another; while it does, no row may point at the one that goes."""
    connection = op.get_bind()
    rows: Rows = {}
    for name in _CHILDREN:
        table = _table(name)
        rows[name] = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
        connection.execute(sa.delete(table))
    return rows


def _bring_back(rows: Rows) -> None:
    for name, found in rows.items():
        if found:
            op.get_bind().execute(sa.insert(_table(name)), found)


def _table(name: str) -> sa.Table:
    """As it is at this step."""
    return sa.Table(name, sa.MetaData(), autoload_with=op.get_bind(), resolve_fks=False)
