"""Orders: products, job orders with their runs, lots and where they went, labour, signatures, readings"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "orders_lot",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("product", sa.String(length=64), nullable=False),
        sa.Column("on_hand", sa.BigInteger(), nullable=False),
        sa.Column("order", sa.String(length=64), nullable=False),
        sa.Column("serial", sa.Boolean(), nullable=False),
        sa.Column("supplier", sa.String(length=200), nullable=False),
        sa.Column("place", sa.String(length=200), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=True),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.CheckConstraint("on_hand >= 0", name="orders_lot_not_below_zero"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("orders_lot_by_order", "orders_lot", ["order"])
    op.create_index("orders_lot_by_product", "orders_lot", ["product", "created_ns"])
    op.create_table(
        "orders_order",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("product", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("rev", sa.Integer(), nullable=False),
        sa.Column("lot", sa.String(length=64), nullable=False),
        sa.Column("due_ns", sa.BigInteger(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("reference", sa.String(length=200), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("over", sa.BigInteger(), nullable=False),
        sa.Column("under", sa.BigInteger(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("ended_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("orders_order_by_state", "orders_order", ["state", "priority", "due_ns"])
    op.create_table(
        "orders_point",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("asset", sa.String(length=400), nullable=False),
        sa.Column("unit", sa.String(length=40), nullable=False),
        sa.Column("decimals", sa.Integer(), nullable=False),
        sa.Column("lowest", sa.BigInteger(), nullable=True),
        sa.Column("highest", sa.BigInteger(), nullable=True),
        sa.Column("low", sa.BigInteger(), nullable=True),
        sa.Column("high", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "orders_product",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "orders_skill",
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("skill", sa.String(length=80), nullable=False),
        sa.Column("until_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("person", "skill"),
    )
    op.create_table(
        "orders_event",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("order", sa.String(length=64), nullable=False),
        sa.Column("operation", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["order"], ["orders_order.id"]),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("orders_event_by_order", "orders_event", ["order", "seq"])
    op.create_table(
        "orders_job",
        sa.Column("order", sa.String(length=64), nullable=False),
        sa.Column("operation", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("asset", sa.String(length=400), nullable=False),
        sa.ForeignKeyConstraint(["order"], ["orders_order.id"]),
        sa.PrimaryKeyConstraint("order", "operation"),
    )
    op.create_table(
        "orders_labour",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order", sa.String(length=64), nullable=False),
        sa.Column("operation", sa.Integer(), nullable=False),
        sa.Column("asset", sa.String(length=400), nullable=False),
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_ns", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["order"], ["orders_order.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("orders_labour_by_order", "orders_labour", ["order"])
    op.create_index("orders_labour_by_person", "orders_labour", ["person", "end_ns"])
    op.create_table(
        "orders_link",
        sa.Column("parent", sa.String(length=64), nullable=False),
        sa.Column("child", sa.String(length=64), nullable=False),
        sa.Column("order", sa.String(length=64), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["parent"], ["orders_lot.id"]),
        sa.ForeignKeyConstraint(["child"], ["orders_lot.id"]),
        sa.PrimaryKeyConstraint("parent", "child", "order"),
    )
    op.create_index("orders_link_by_child", "orders_link", ["child"])
    op.create_table(
        "orders_move",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("lot", sa.String(length=64), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("order", sa.String(length=64), nullable=False),
        sa.Column("operation", sa.Integer(), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["lot"], ["orders_lot.id"]),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("orders_move_by_lot", "orders_move", ["lot", "seq"])
    op.create_index("orders_move_by_order", "orders_move", ["order", "seq"])
    op.create_table(
        "orders_product_version",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["id"], ["orders_product.id"]),
        sa.PrimaryKeyConstraint("id", "version"),
    )
    op.create_table(
        "orders_reading",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("point", sa.String(length=64), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("taken_ns", sa.BigInteger(), nullable=False),
        sa.Column("order", sa.String(length=64), nullable=False),
        sa.Column("outside", sa.String(length=8), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("replaces", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["point"], ["orders_point.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("orders_reading_by_point", "orders_reading", ["point", "at_ns"])
    op.create_index("orders_reading_by_replaced", "orders_reading", ["replaces"])
    op.create_table(
        "orders_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order", sa.String(length=64), nullable=False),
        sa.Column("operation", sa.Integer(), nullable=False),
        sa.Column("asset", sa.String(length=400), nullable=False),
        sa.Column("product", sa.String(length=64), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_ns", sa.BigInteger(), nullable=True),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("good", sa.BigInteger(), nullable=False),
        sa.Column("reject", sa.BigInteger(), nullable=False),
        sa.Column("rework", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.Text(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["order"], ["orders_order.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("orders_run_by_asset", "orders_run", ["asset", "start_ns"])
    op.create_index("orders_run_by_order", "orders_run", ["order", "operation"])
    op.create_table(
        "orders_signature",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order", sa.String(length=64), nullable=False),
        sa.Column("operation", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("lot", sa.String(length=64), nullable=False),
        sa.Column("meaning", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["order"], ["orders_order.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("orders_signature_by_lot", "orders_signature", ["lot"])
    op.create_index("orders_signature_by_order", "orders_signature", ["order"])
    op.create_table(
        "orders_step",
        sa.Column("order", sa.String(length=64), nullable=False),
        sa.Column("operation", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["order"], ["orders_order.id"]),
        sa.PrimaryKeyConstraint("order", "operation", "step"),
    )


def downgrade() -> None:
    op.drop_table("orders_step")
    op.drop_table("orders_signature")
    op.drop_table("orders_run")
    op.drop_table("orders_reading")
    op.drop_table("orders_product_version")
    op.drop_table("orders_move")
    op.drop_table("orders_link")
    op.drop_table("orders_labour")
    op.drop_table("orders_job")
    op.drop_table("orders_event")
    op.drop_table("orders_skill")
    op.drop_table("orders_product")
    op.drop_table("orders_point")
    op.drop_table("orders_order")
    op.drop_table("orders_lot")
