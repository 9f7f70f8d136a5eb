"""counts: how many calls are settled, and the keys that calls wait behind, so that neither has to be counted out"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_BEHIND = sa.text("open = 1 AND ready = 0 AND status = 'waiting'")


def upgrade() -> None:
    op.create_table(
        "call_settled",
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("system", "lane", "status"),
    )
    op.execute(
        "INSERT INTO call_settled SELECT system, lane, status, count(*) FROM call "
        "WHERE status NOT IN ('waiting', 'in_flight', 'unknown') GROUP BY system, lane, status"
    )
    op.create_index("call_behind_key", "call", ["order_ref"], sqlite_where=_BEHIND, postgresql_where=_BEHIND)


def downgrade() -> None:
    op.drop_index("call_behind_key", "call")
    op.drop_table("call_settled")
