"""Quality: inspection plans, checks, limits, holds, nonconformances, corrective actions"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "quality_action",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("nonconformance", sa.Integer(), nullable=False),
        sa.Column("asset", sa.String(length=400), nullable=False),
        sa.Column("title", sa.String(length=400), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("due_ns", sa.BigInteger(), nullable=False),
        sa.Column("opened_ns", sa.BigInteger(), nullable=False),
        sa.Column("opened_by", sa.String(length=200), nullable=False),
        sa.Column("result", sa.String(length=2000), nullable=False),
        sa.Column("done_ns", sa.BigInteger(), nullable=False),
        sa.Column("done_by", sa.String(length=200), nullable=False),
        sa.Column("verified_ns", sa.BigInteger(), nullable=False),
        sa.Column("verified_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_quality_action_nonconformance", "quality_action", ["nonconformance"])
    op.create_table(
        "quality_check",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("characteristic", sa.String(length=125), nullable=False),
        sa.Column("asset", sa.String(length=400), nullable=False),
        sa.Column("time_ns", sa.BigInteger(), nullable=False),
        sa.Column("values", sa.Text(), nullable=False),
        sa.Column("defects", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("signals", sa.String(length=200), nullable=False),
        sa.Column("limits", sa.Integer(), nullable=False),
        sa.Column("fault", sa.String(length=120), nullable=False),
        sa.Column("comment", sa.String(length=1000), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("order", sa.String(length=120), nullable=False),
        sa.Column("product", sa.String(length=120), nullable=False),
        sa.Column("lot", sa.String(length=120), nullable=False),
        sa.Column("due", sa.String(length=200), nullable=True),
        sa.Column("void_ns", sa.BigInteger(), nullable=False),
        sa.Column("void_by", sa.String(length=200), nullable=False),
        sa.Column("void_reason", sa.String(length=1000), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("due"),
    )
    op.create_index("quality_check_by_time", "quality_check", ["characteristic", "time_ns", "id"])
    op.create_table(
        "quality_cursor",
        sa.Column("edge", sa.String(length=64), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("edge", "lane"),
    )
    op.create_table(
        "quality_hold",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("asset", sa.String(length=400), nullable=False),
        sa.Column("lot", sa.String(length=120), nullable=False),
        sa.Column("order", sa.String(length=120), nullable=False),
        sa.Column("product", sa.String(length=120), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("since_ns", sa.BigInteger(), nullable=False),
        sa.Column("opened_ns", sa.BigInteger(), nullable=False),
        sa.Column("opened_by", sa.String(length=200), nullable=False),
        sa.Column("check", sa.Integer(), nullable=False),
        sa.Column("nonconformance", sa.Integer(), nullable=False),
        sa.Column("released_ns", sa.BigInteger(), nullable=False),
        sa.Column("released_by", sa.String(length=200), nullable=False),
        sa.Column("release_reason", sa.String(length=1000), nullable=False),
        sa.Column("disposition", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("quality_hold_by_lot", "quality_hold", ["lot", "state"])
    op.create_table(
        "quality_limits",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("characteristic", sa.String(length=125), nullable=False),
        sa.Column("since_ns", sa.BigInteger(), nullable=False),
        sa.Column("center", sa.Float(), nullable=False),
        sa.Column("sigma", sa.Float(), nullable=False),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("quality_limits_by_characteristic", "quality_limits", ["characteristic", "id"])
    op.create_table(
        "quality_nonconformance",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("title", sa.String(length=400), nullable=False),
        sa.Column("asset", sa.String(length=400), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("opened_ns", sa.BigInteger(), nullable=False),
        sa.Column("opened_by", sa.String(length=200), nullable=False),
        sa.Column("characteristic", sa.String(length=125), nullable=False),
        sa.Column("check", sa.Integer(), nullable=False),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.Column("order", sa.String(length=120), nullable=False),
        sa.Column("product", sa.String(length=120), nullable=False),
        sa.Column("lot", sa.String(length=120), nullable=False),
        sa.Column("quantity", sa.Float(), nullable=False),
        sa.Column("cause", sa.String(length=2000), nullable=False),
        sa.Column("disposition", sa.String(length=16), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("due_ns", sa.BigInteger(), nullable=False),
        sa.Column("closed_ns", sa.BigInteger(), nullable=False),
        sa.Column("closed_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("quality_nonconformance_by_state", "quality_nonconformance", ["state", "characteristic"])
    op.create_table(
        "quality_plan",
        sa.Column("id", sa.String(length=60), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("asset", sa.String(length=400), nullable=False),
        sa.Column("product", sa.String(length=120), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.String(length=200), nullable=False),
        sa.Column("changed_ns", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.PrimaryKeyConstraint("id", "version"),
    )
    op.create_table(
        "quality_sampler",
        sa.Column("characteristic", sa.String(length=125), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("characteristic"),
    )


def downgrade() -> None:
    op.drop_table("quality_sampler")
    op.drop_table("quality_plan")
    op.drop_table("quality_nonconformance")
    op.drop_table("quality_limits")
    op.drop_table("quality_hold")
    op.drop_table("quality_cursor")
    op.drop_table("quality_check")
    op.drop_table("quality_action")
