"""Production: facts of closed days, entries, what is to be computed again, and differences"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "production_name",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("code", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("text", sa.String(length=700), nullable=False),
        sa.PrimaryKeyConstraint("kind", "code"),
    )
    op.create_table(
        "production_day",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("machine", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_ns", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("made_ns", sa.BigInteger(), nullable=False),
        sa.Column("intervals", sa.Integer(), nullable=False),
        sa.Column("facts", sa.LargeBinary(), nullable=False),
        sa.Column("carry", sa.LargeBinary(), nullable=False),
        sa.Column("marks", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("day", "machine"),
    )
    op.create_table(
        "production_slots",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("machine", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("facts", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("day", "machine"),
    )
    op.create_table(
        "production_dirty",
        sa.Column("machine", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("why", sa.String(length=300), nullable=False),
        sa.PrimaryKeyConstraint("machine", "day"),
    )
    op.create_table(
        "production_entry",
        sa.Column("number", _SEQ, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("asset", sa.String(length=400), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_ns", sa.BigInteger(), nullable=False),
        sa.Column("values", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("replaces", sa.BigInteger(), nullable=False),
        sa.Column("void", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("production_entry_by_asset", "production_entry", ["asset", "start_ns"])
    op.create_table(
        "production_restatement",
        sa.Column("id", _SEQ, autoincrement=True, nullable=False),
        sa.Column("asset", sa.String(length=400), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.String(length=300), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("production_restatement_by_time", "production_restatement", ["at_ns"])


def downgrade() -> None:
    for table in ("restatement", "entry", "dirty", "slots", "day", "name"):
        op.drop_table(f"production_{table}")
