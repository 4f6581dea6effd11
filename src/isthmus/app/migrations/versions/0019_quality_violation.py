"""Quality: what a check said in parts, and the request for maintenance that followed"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column("quality_hold", sa.Column("violation", sa.JSON(), nullable=True))
    op.add_column("quality_nonconformance", sa.Column("violation", sa.JSON(), nullable=True))
    op.add_column("quality_nonconformance", sa.Column("request", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("quality_nonconformance", "request")
    op.drop_column("quality_nonconformance", "violation")
    op.drop_column("quality_hold", "violation")
