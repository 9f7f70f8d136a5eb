"""first schema"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_table(
        "call",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("intent_id", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("operation", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("order_ref", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("correlation_id", sa.String(), nullable=False),
        sa.Column("minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("open", sa.Integer(), nullable=False),
        sa.Column("ready", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.String(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("intent_id"),
    )
    op.create_index("call_document", "call", ["document"], unique=False)
    op.create_index(
        "call_due",
        "call",
        ["system", "not_before"],
        unique=False,
        sqlite_where=sa.text("ready = 1 AND not_before > 0"),
        postgresql_where=sa.text("ready = 1 AND not_before > 0"),
    )
    op.create_index("call_key", "call", ["key"], unique=False)
    op.create_index(
        "call_open",
        "call",
        ["order_ref", "seq"],
        unique=False,
        sqlite_where=sa.text("open = 1"),
        postgresql_where=sa.text("open = 1"),
    )
    op.create_index(
        "call_ready",
        "call",
        ["system", "lane", "seq"],
        unique=False,
        sqlite_where=sa.text("ready = 1"),
        postgresql_where=sa.text("ready = 1"),
    )
    op.create_index(
        "call_unsettled",
        "call",
        ["system", "status"],
        unique=False,
        sqlite_where=sa.text("status IN ('in_flight', 'unknown')"),
        postgresql_where=sa.text("status IN ('in_flight', 'unknown')"),
    )
    op.create_table(
        "control",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_table(
        "exception",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("failure", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=True),
        sa.Column("intent_id", sa.String(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("exception_key", "exception", ["key"], unique=False)
    op.create_index("exception_open", "exception", ["closed_at"], unique=False)
    op.create_table(
        "message",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("dedupe", sa.String(), nullable=False),
        sa.Column("idempotency", sa.String(), nullable=True),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("partition_key", sa.String(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("correlation_id", sa.String(), nullable=False),
        sa.Column("causation_id", sa.String(), nullable=True),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.Column("handled_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("dedupe"),
    )
    op.create_index("message_id", "message", ["id"], unique=False)
    op.create_index(
        "message_idempotency",
        "message",
        ["idempotency"],
        unique=True,
        sqlite_where=sa.text("idempotency IS NOT NULL"),
        postgresql_where=sa.text("idempotency IS NOT NULL"),
    )
    op.create_index("message_key", "message", ["key"], unique=False)
    op.create_table(
        "meta",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "milestone",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("process", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=True),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("milestone_key", "milestone", ["key"], unique=False)
    op.create_table(
        "queue_item",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("exchange", sa.String(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("queue_item_queue", "queue_item", ["queue", "seq"], unique=False)
    op.create_table(
        "spend",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("intent_id", sa.String(), nullable=False),
        sa.Column("boot", sa.String(), nullable=False),
        sa.Column("started_ns", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("arrived_by_ns", sa.BigInteger(), nullable=True),
        sa.Column("arrived_by_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("spend_system", "spend", ["system", "started_at"], unique=False)
    op.create_table(
        "state",
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("domain", "key"),
    )
    op.create_table(
        "timer",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("timer_due", "timer", ["due_at"], unique=False)


def downgrade() -> None:
    op.drop_index("timer_due", table_name="timer")
    op.drop_table("timer")
    op.drop_table("state")
    op.drop_index("spend_system", table_name="spend")
    op.drop_table("spend")
    op.drop_index("queue_item_queue", table_name="queue_item")
    op.drop_table("queue_item")
    op.drop_index("milestone_key", table_name="milestone")
    op.drop_table("milestone")
    op.drop_table("meta")
    op.drop_index("message_key", table_name="message")
    op.drop_index(
        "message_idempotency",
        table_name="message",
        sqlite_where=sa.text("idempotency IS NOT NULL"),
        postgresql_where=sa.text("idempotency IS NOT NULL"),
    )
    op.drop_index("message_id", table_name="message")
    op.drop_table("message")
    op.drop_index("exception_open", table_name="exception")
    op.drop_index("exception_key", table_name="exception")
    op.drop_table("exception")
    op.drop_table("control")
    op.drop_index(
        "call_unsettled",
        table_name="call",
        sqlite_where=sa.text("status IN ('in_flight', 'unknown')"),
        postgresql_where=sa.text("status IN ('in_flight', 'unknown')"),
    )
    op.drop_index(
        "call_ready", table_name="call", sqlite_where=sa.text("ready = 1"), postgresql_where=sa.text("ready = 1")
    )
    op.drop_index(
        "call_open", table_name="call", sqlite_where=sa.text("open = 1"), postgresql_where=sa.text("open = 1")
    )
    op.drop_index("call_key", table_name="call")
    op.drop_index(
        "call_due",
        table_name="call",
        sqlite_where=sa.text("ready = 1 AND not_before > 0"),
        postgresql_where=sa.text("ready = 1 AND not_before > 0"),
    )
    op.drop_index("call_document", table_name="call")
    op.drop_table("call")
    op.drop_table("audit")
