"""Changes of the plant that are put forward, and the files beside their texts"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "namespace_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(length=200), nullable=False),
        sa.Column("author_id", sa.Integer(), nullable=True),
        sa.Column("behind", sa.Text(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("zones", sa.Text(), nullable=False),
        sa.Column("diff", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.String(length=200), nullable=False),
        sa.Column("decided_ns", sa.BigInteger(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("closed_by", sa.String(length=200), nullable=False),
        sa.Column("closed_ns", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["version"], ["namespace_version.version"]),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("namespace_change", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_namespace_change_state"), ["state"], unique=False)
    op.create_table(
        "namespace_change_file",
        sa.Column("change", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=400), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["change"], ["namespace_change.id"]),
        sa.ForeignKeyConstraint(["digest"], ["namespace_content.digest"]),
        sa.PrimaryKeyConstraint("change", "name"),
    )


def downgrade() -> None:
    op.drop_table("namespace_change_file")
    with op.batch_alter_table("namespace_change", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_namespace_change_state"))
    op.drop_table("namespace_change")
