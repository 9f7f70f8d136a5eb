"""waves: what an approval of a whole incident has let through, and what of a process an approver looks at"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("process", sa.Column("tier", sa.String(), nullable=True))
    op.add_column("process", sa.Column("people", sa.Integer(), nullable=False, server_default="0"))
    for name in ("role", "requester", "digest"):
        op.add_column("process", sa.Column(name, sa.String(), nullable=False, server_default=""))
    op.create_index("process_wave", "process", ["tenant", "incident", "phase"])
    op.create_table(
        "wave_case",
        sa.Column("wave", sa.String(), nullable=False),
        sa.Column("approval", sa.String(), nullable=False),
        sa.Column("process", sa.String(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("wave", "approval", "process"),
    )
    op.create_index("wave_case_account", "wave_case", ["wave", "account"])
    op.create_index("wave_case_place", "wave_case", ["wave", "place"])
