"""Downloads of recipes that wait for a second person"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    with op.batch_alter_table("control_download", schema=None) as batch_op:
        batch_op.add_column(sa.Column("second", sa.String(length=200), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("said", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("expires_ns", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.execute("UPDATE control_download SET state = 'refused' WHERE state IN ('waiting', 'rejected', 'expired')")
    with op.batch_alter_table("control_download", schema=None) as batch_op:
        batch_op.drop_column("expires_ns")
        batch_op.drop_column("said")
        batch_op.drop_column("second")
