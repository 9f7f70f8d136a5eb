"""what old spends add up to; the object and the execution time of each call"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("spend", sa.Column("object", sa.String(), nullable=True))
    op.add_column("spend", sa.Column("execution_ns", sa.BigInteger(), nullable=True))
    op.create_table(
        "spend_sum",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=True),
        sa.Column("boot", sa.String(), nullable=False),
        sa.Column("until_ns", sa.BigInteger(), nullable=False),
        sa.Column("until_at", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("execution_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("spend_sum_system", "spend_sum", ["system", "seq"], unique=False)


def downgrade() -> None:
    op.drop_index("spend_sum_system", table_name="spend_sum")
    op.drop_table("spend_sum")
    op.drop_column("spend", "execution_ns")
    op.drop_column("spend", "object")
