"""Rules on live data: events, cursors, marks"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "analytics_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rule", sa.String(length=140), nullable=False),
        sa.Column("asset", sa.String(length=400), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("raised_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_ns", sa.BigInteger(), nullable=True),
        sa.Column("priority", sa.String(length=16), nullable=False),
        sa.Column("message", sa.String(length=500), nullable=False),
        sa.Column("values", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("rule", "asset", "raised_ns"),
    )
    with op.batch_alter_table("analytics_event", schema=None) as batch_op:
        batch_op.create_index("analytics_event_by_time", ["raised_ns"], unique=False)
    op.create_table(
        "analytics_cursor",
        sa.Column("edge", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("second", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("edge"),
    )
    op.create_table(
        "analytics_mark",
        sa.Column("stream_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("stream_seq"),
    )


def downgrade() -> None:
    op.drop_table("analytics_mark")
    op.drop_table("analytics_cursor")
    with op.batch_alter_table("analytics_event", schema=None) as batch_op:
        batch_op.drop_index("analytics_event_by_time")
    op.drop_table("analytics_event")
