"""Call-out: what is in force with every version, calls and their alarms, deliveries and attempts"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

TABLES = (
    "callout_attempt",
    "callout_delivery",
    "callout_member",
    "callout_call",
    "callout_cursor",
    "callout_contact",
    "callout_version",
)


def upgrade() -> None:
    op.create_table(
        "callout_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("current", sa.Integer(), nullable=False),
        sa.Column("removed", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("people", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "name", "version"),
    )
    with op.batch_alter_table("callout_version", schema=None) as batch_op:
        batch_op.create_index("callout_version_current", ["current"], unique=False)
    op.create_table(
        "callout_contact",
        sa.Column("name_key", sa.String(length=200), nullable=False),
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("addresses", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name_key"),
    )
    op.create_table(
        "callout_cursor",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "callout_call",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("held_ns", sa.BigInteger(), nullable=False),
        sa.Column("due_ns", sa.BigInteger(), nullable=True),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("ended_ns", sa.BigInteger(), nullable=True),
        sa.Column("answered_by", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["callout_version.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("callout_call", schema=None) as batch_op:
        batch_op.create_index("callout_call_due", ["due_ns"], unique=False)
    op.create_table(
        "callout_member",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("call", sa.Integer(), nullable=False),
        sa.Column("occurrence", sa.BigInteger(), nullable=False),
        sa.Column("alarm", sa.String(length=500), nullable=False),
        sa.Column("path", sa.String(length=400), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("priority", sa.String(length=16), nullable=False),
        sa.Column("message", sa.String(length=500), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("unit", sa.String(length=64), nullable=False),
        sa.Column("limit", sa.Float(), nullable=True),
        sa.Column("raised_ns", sa.BigInteger(), nullable=False),
        sa.Column("settled_ns", sa.BigInteger(), nullable=True),
        sa.Column("settled", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["call"], ["callout_call.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("callout_member", schema=None) as batch_op:
        batch_op.create_index("callout_member_call", ["call"], unique=False)
        batch_op.create_index("callout_member_occurrence", ["occurrence", "settled_ns"], unique=False)
    op.create_table(
        "callout_delivery",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("call", sa.Integer(), nullable=True),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("nth", sa.Integer(), nullable=False),
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("next_ns", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("done_ns", sa.BigInteger(), nullable=True),
        sa.Column("answered_ns", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["call"], ["callout_call.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("call", "step", "nth", "person", "channel"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("callout_delivery", schema=None) as batch_op:
        batch_op.create_index("callout_delivery_due", ["state", "next_ns"], unique=False)
    op.create_table(
        "callout_attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("delivery", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("done_ns", sa.BigInteger(), nullable=True),
        sa.Column("result", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["delivery"], ["callout_delivery.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("callout_attempt", schema=None) as batch_op:
        batch_op.create_index("callout_attempt_delivery", ["delivery"], unique=False)
        batch_op.create_index("callout_attempt_channel", ["channel", "id"], unique=False)


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
