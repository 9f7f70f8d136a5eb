"""unanswered: since when nobody knows whether a send of a call was done, and whose message an exception keeps"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("call", sa.Column("unanswered_at", sa.BigInteger(), nullable=False, server_default="0"))
    # what was sent and now waits or is with a person: nobody has kept whether its answer was lost, so it may have been
    op.execute(
        "UPDATE call SET unanswered_at = changed_at "
        "WHERE sent > 0 AND status IN ('waiting', 'in_flight', 'unknown', 'exception')"
    )
    op.add_column("exception", sa.Column("tenant", sa.String(), nullable=False, server_default=""))
    op.execute(
        "UPDATE exception SET tenant = (SELECT call.tenant FROM call WHERE call.intent_id = exception.intent_id) "
        "WHERE intent_id IN (SELECT intent_id FROM call)"
    )


def downgrade() -> None:
    op.drop_column("exception", "tenant")
    op.drop_column("call", "unanswered_at")
