"""audit: entries and calls name their human cause, the policy's version and their inputs; anchors are found quickly"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, names in (("audit", ("cause", "policy", "inputs")), ("call", ("cause", "policy"))):
        for name in names:
            op.add_column(table, sa.Column(name, sa.Text(), nullable=False, server_default=""))
    anchored = sa.text("verb = 'audit.anchored'")
    op.create_index("audit_anchored", "audit", ["seq"], sqlite_where=anchored, postgresql_where=anchored)
