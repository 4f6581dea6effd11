"""Alarms: how each stands, the journal, occurrences, changes at run time, and how far frames were heard"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "alarms_standing",
        sa.Column("alarm", sa.String(length=700), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("suppressed", sa.Boolean(), nullable=False),
        sa.Column("occurrence", sa.BigInteger(), nullable=False),
        sa.Column("raised_ns", sa.BigInteger(), nullable=False),
        sa.Column("changed_ns", sa.BigInteger(), nullable=False),
        sa.Column("returned_ns", sa.BigInteger(), nullable=False),
        sa.Column("cleared_ns", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_ns", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("comment", sa.String(length=500), nullable=False),
        sa.Column("shelved_until_ns", sa.BigInteger(), nullable=False),
        sa.Column("shelved_by", sa.String(length=200), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.Column("removed_until_ns", sa.BigInteger(), nullable=False),
        sa.Column("removed_by", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.PrimaryKeyConstraint("alarm"),
    )
    op.create_table(
        "alarms_journal",
        sa.Column("seq", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("occurrence", sa.BigInteger(), nullable=False),
        sa.Column("alarm", sa.String(length=700), nullable=False),
        sa.Column("path", sa.String(length=400), nullable=False),
        sa.Column("asset", sa.String(length=400), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("priority", sa.String(length=16), nullable=False),
        sa.Column("message", sa.String(length=500), nullable=False),
        sa.Column("before", sa.String(length=24), nullable=False),
        sa.Column("after", sa.String(length=24), nullable=False),
        sa.Column("trigger", sa.String(length=32), nullable=False),
        sa.Column("time_ns", sa.BigInteger(), nullable=False),
        sa.Column("heard_ns", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("unit", sa.String(length=64), nullable=False),
        sa.Column("limit", sa.Float(), nullable=True),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("comment", sa.String(length=500), nullable=False),
        sa.Column("replayed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("alarms_journal_by_time", "alarms_journal", ["time_ns", "seq"])
    op.create_index("alarms_journal_by_alarm", "alarms_journal", ["alarm", "time_ns"])
    op.create_table(
        "alarms_occurrence",
        sa.Column("id", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("alarm", sa.String(length=700), nullable=False),
        sa.Column("path", sa.String(length=400), nullable=False),
        sa.Column("asset", sa.String(length=400), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("priority", sa.String(length=16), nullable=False),
        sa.Column("message", sa.String(length=500), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("unit", sa.String(length=64), nullable=False),
        sa.Column("limit", sa.Float(), nullable=True),
        sa.Column("raised_ns", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_ns", sa.BigInteger(), nullable=True),
        sa.Column("returned_ns", sa.BigInteger(), nullable=True),
        sa.Column("cleared_ns", sa.BigInteger(), nullable=True),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("replayed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("alarms_occurrence_by_time", "alarms_occurrence", ["raised_ns"])
    op.create_index("alarms_occurrence_by_alarm", "alarms_occurrence", ["alarm", "raised_ns"])
    op.create_table(
        "alarms_change",
        sa.Column("alarm", sa.String(length=700), nullable=False),
        sa.Column("values", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("changed_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("alarm"),
    )
    op.create_table(
        "alarms_reported",
        sa.Column("key", sa.String(length=700), nullable=False),
        sa.Column("path", sa.String(length=400), nullable=False),
        sa.Column("priority", sa.String(length=16), nullable=False),
        sa.Column("message", sa.String(length=500), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("consequence", sa.Text(), nullable=False),
        sa.Column("response", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "alarms_cursor",
        sa.Column("edge", sa.String(length=64), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("edge", "lane"),
    )
    op.create_table(
        "alarms_mark",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("stream_seq", sa.BigInteger(), nullable=False),
        sa.Column("taken", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    for name in ("mark", "cursor", "reported", "change", "occurrence", "journal", "standing"):
        op.drop_table(f"alarms_{name}")
