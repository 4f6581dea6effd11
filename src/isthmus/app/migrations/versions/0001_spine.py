"""The spine: plant versions and tags, identity, outages"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "acquisition_cursor",
        sa.Column("edge", sa.String(length=64), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("edge", "lane"),
    )
    op.create_table(
        "acquisition_outage",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("connection", sa.String(length=64), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_ns", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("acquisition_outage", schema=None) as batch_op:
        batch_op.create_index("acquisition_outage_by_connection", ["connection", "id"], unique=False)

    op.create_table(
        "namespace_content",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "namespace_version",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("applied_ns", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )
    op.create_table(
        "security_tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("hint", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=True),
        sa.Column("revoked_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
    )
    op.create_table(
        "security_users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("name_key", sa.String(length=128), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("password_hash", sa.String(length=256), nullable=True),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name_key"),
    )
    op.create_table(
        "namespace_compiled",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("part", sa.String(length=80), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["version"],
            ["namespace_version.version"],
        ),
        sa.PrimaryKeyConstraint("version", "part"),
    )
    op.create_table(
        "namespace_file",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=400), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["digest"],
            ["namespace_content.digest"],
        ),
        sa.ForeignKeyConstraint(
            ["version"],
            ["namespace_version.version"],
        ),
        sa.PrimaryKeyConstraint("version", "name"),
    )
    op.create_table(
        "namespace_tag",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("since_version", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(length=400), nullable=False),
        sa.Column("retired_version", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["retired_version"],
            ["namespace_version.version"],
        ),
        sa.ForeignKeyConstraint(
            ["since_version"],
            ["namespace_version.version"],
        ),
        sa.PrimaryKeyConstraint("id", "since_version"),
    )
    with op.batch_alter_table("namespace_tag", schema=None) as batch_op:
        batch_op.create_index(
            "namespace_tag_live",
            ["path"],
            unique=True,
            sqlite_where=sa.text("retired_version IS NULL"),
            postgresql_where=sa.text("retired_version IS NULL"),
        )

    op.create_table(
        "security_links",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["security_users.id"],
        ),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "security_sessions",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("seen_ns", sa.BigInteger(), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["security_users.id"],
        ),
        sa.PrimaryKeyConstraint("hash"),
    )
    with op.batch_alter_table("security_sessions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_security_sessions_user_id"), ["user_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("security_sessions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_security_sessions_user_id"))

    op.drop_table("security_sessions")
    op.drop_table("security_links")
    with op.batch_alter_table("namespace_tag", schema=None) as batch_op:
        batch_op.drop_index(
            "namespace_tag_live",
            sqlite_where=sa.text("retired_version IS NULL"),
            postgresql_where=sa.text("retired_version IS NULL"),
        )

    op.drop_table("namespace_tag")
    op.drop_table("namespace_file")
    op.drop_table("namespace_compiled")
    op.drop_table("security_users")
    op.drop_table("security_tokens")
    op.drop_table("namespace_version")
    op.drop_table("namespace_content")
    with op.batch_alter_table("acquisition_outage", schema=None) as batch_op:
        batch_op.drop_index("acquisition_outage_by_connection")

    op.drop_table("acquisition_outage")
    op.drop_table("acquisition_cursor")
