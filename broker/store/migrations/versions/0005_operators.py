"""operators: orders with a beginning and a value; what was shown, done and undone"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("control", sa.Column("begins", sa.BigInteger(), nullable=True))
    op.add_column("control", sa.Column("value", sa.Text(), nullable=True))
    op.create_table(
        "operation",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("undo", sa.Text(), nullable=True),
        sa.Column("undone_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("operation_made", "operation", ["made_at"])


def downgrade() -> None:
    op.drop_table("operation")
    op.drop_column("control", "value")
    op.drop_column("control", "begins")
