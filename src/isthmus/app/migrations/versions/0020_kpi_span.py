"""KPIs: targets of what is counted say per what time"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.add_column("production_kpi_target", sa.Column("per", sa.String(length=8), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("production_kpi_target", "per")
