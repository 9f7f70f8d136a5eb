"""stuck: whether later calls of a key wait while one of them is with a person"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("call", sa.Column("on_stuck", sa.String(), nullable=False, server_default="pass"))


def downgrade() -> None:
    op.drop_column("call", "on_stuck")
