"""order: what a call is for, by when, and its partition; the next call of each line is found by an index"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0001"
branch_labels = None
depends_on = None

NEVER = str((1 << 63) - 1)


def upgrade() -> None:
    op.add_column("call", sa.Column("workload", sa.String(), nullable=False, server_default=""))
    op.add_column("call", sa.Column("deadline", sa.BigInteger(), nullable=False, server_default=NEVER))
    op.add_column("call", sa.Column("partition", sa.Integer(), nullable=False, server_default="0"))
    op.create_index(
        "call_line",
        "call",
        ["system", "lane", "tenant", "workload", "operation", "partition", "deadline", "seq", "not_before"],
        unique=False,
        sqlite_where=sa.text("ready = 1"),
        postgresql_where=sa.text("ready = 1"),
    )


def downgrade() -> None:
    op.drop_index(
        "call_line", table_name="call", sqlite_where=sa.text("ready = 1"), postgresql_where=sa.text("ready = 1")
    )
    for name in ("partition", "deadline", "workload"):
        op.drop_column("call", name)
