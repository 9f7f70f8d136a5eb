"""The tables, written once for SQLite and PostgreSQL.

Times are integer microseconds since the epoch, UTC (`*_at`), or nanoseconds of the boot clock (`*_ns`); money is
integer minor units with its currency; ids are text. `seq` is given by the writer, so it follows commit order.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

from policies.order import NEVER

metadata = MetaData()
Seq = BigInteger().with_variant(Integer, "sqlite")


def _seq() -> Column[int]:
    return Column("seq", Seq, primary_key=True, autoincrement=False)


message = Table(
    "message",
    metadata,
    _seq(),
    Column("dedupe", String, nullable=False, unique=True),
    Column("idempotency", String),
    Column("fingerprint", String, nullable=False),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("type", String, nullable=False),
    Column("tenant", String, nullable=False),
    Column("key", String, nullable=False),
    Column("partition_key", String, nullable=False),
    Column("queue", String, nullable=False),
    Column("lane", String, nullable=False),
    Column("correlation_id", String, nullable=False),
    Column("causation_id", String),
    Column("accepted_at", BigInteger, nullable=False),
    Column("handled_at", BigInteger),
    Column("outcome", String),
)
Index("message_key", message.c.key)
Index("message_id", message.c.id)
Index(
    "message_idempotency",
    message.c.idempotency,
    unique=True,
    sqlite_where=message.c.idempotency.is_not(None),
    postgresql_where=message.c.idempotency.is_not(None),
)

queue_item = Table(
    "queue_item",
    metadata,
    _seq(),
    Column("exchange", String, nullable=False),
    Column("queue", String, nullable=False),
    Column("message_id", String, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("published_at", BigInteger),
)
Index("queue_item_queue", queue_item.c.queue, queue_item.c.seq)

state = Table(
    "state",
    metadata,
    Column("domain", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

milestone = Table(
    "milestone",
    metadata,
    _seq(),
    Column("process", String, nullable=False),
    Column("key", String, nullable=False),
    Column("name", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", String, nullable=False),
    Column("message_id", String),
    Column("facts", Text, nullable=False),
)
Index("milestone_key", milestone.c.key)

call = Table(
    "call",
    metadata,
    _seq(),
    Column("intent_id", String, nullable=False, unique=True),
    Column("fingerprint", String, nullable=False),
    Column("system", String, nullable=False),
    Column("operation", String, nullable=False),
    Column("tenant", String, nullable=False),
    Column("lane", String, nullable=False),
    Column("key", String, nullable=False),
    Column("order_ref", String, nullable=False),
    Column("message_id", String, nullable=False),
    Column("correlation_id", String, nullable=False),
    Column("minor", BigInteger),
    Column("currency", String),
    Column("body", LargeBinary, nullable=False),
    Column("status", String, nullable=False),
    Column("open", Integer, nullable=False),
    Column("ready", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("sent", Integer, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("document", String),
    Column("reason", Text),
    Column("workload", String, nullable=False, server_default=""),
    Column("deadline", BigInteger, nullable=False, server_default=str(NEVER)),
    Column("partition", Integer, nullable=False, server_default="0"),
    Column("cause", Text, nullable=False, server_default=""),
    Column("policy", Text, nullable=False, server_default=""),
    Column("on_stuck", String, nullable=False, server_default="pass"),
    Column("unanswered_at", BigInteger, nullable=False, server_default="0"),
)
_ready = text("ready = 1")
_line = (call.c.system, call.c.lane, call.c.tenant, call.c.workload, call.c.operation, call.c.partition)
Index("call_line", *_line, call.c.deadline, call.c.seq, call.c.not_before, sqlite_where=_ready, postgresql_where=_ready)
Index("call_ready", call.c.system, call.c.lane, call.c.seq, sqlite_where=_ready, postgresql_where=_ready)
BEHIND = "open = 1 AND ready = 0 AND status = 'waiting'"
"""Calls that wait behind others of their key."""
Index("call_behind", *_line[:4], sqlite_where=text(BEHIND), postgresql_where=text(BEHIND))
Index("call_behind_key", call.c.order_ref, sqlite_where=text(BEHIND), postgresql_where=text(BEHIND))
_due = text("ready = 1 AND not_before > 0")
Index("call_due", call.c.system, call.c.not_before, sqlite_where=_due, postgresql_where=_due)
_open = text("open = 1")
Index("call_open", call.c.order_ref, call.c.seq, sqlite_where=_open, postgresql_where=_open)
Index("call_key", call.c.key)
Index("call_document", call.c.document)
_pending = text("status IN ('in_flight', 'unknown')")
Index("call_unsettled", call.c.system, call.c.status, sqlite_where=_pending, postgresql_where=_pending)

call_settled = Table(
    "call_settled",
    metadata,
    Column("system", String, primary_key=True),
    Column("lane", String, primary_key=True),
    Column("status", String, primary_key=True),
    Column("count", BigInteger, nullable=False),
)
"""How many calls there are that are neither waiting, nor in flight, nor unknown: the ledger never forgets, and a start
must not count it."""

spend = Table(
    "spend",
    metadata,
    _seq(),
    Column("system", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("intent_id", String, nullable=False),
    Column("boot", String, nullable=False),
    Column("started_ns", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("arrived_by_ns", BigInteger),
    Column("arrived_by_at", BigInteger),
    Column("object", String),
    Column("execution_ns", BigInteger),
)
Index("spend_system", spend.c.system, spend.c.started_at)

spend_sum = Table(
    "spend_sum",
    metadata,
    _seq(),
    Column("system", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("object", String),
    Column("boot", String, nullable=False),
    Column("until_ns", BigInteger, nullable=False),
    Column("until_at", BigInteger, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("execution_ns", BigInteger, nullable=False),
)
Index("spend_sum_system", spend_sum.c.system, spend_sum.c.seq)

timer = Table(
    "timer",
    metadata,
    Column("id", String, primary_key=True),
    Column("due_at", BigInteger, nullable=False),
    Column("queue", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
Index("timer_due", timer.c.due_at)

exception = Table(
    "exception",
    metadata,
    _seq(),
    Column("key", String, nullable=False),
    Column("failure", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("cause", Text, nullable=False),
    Column("message_id", String),
    Column("intent_id", String),
    Column("body", LargeBinary),
    Column("opened_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Column("tenant", String, nullable=False, server_default=""),
)
Index("exception_key", exception.c.key)
Index("exception_open", exception.c.closed_at)

control = Table(
    "control",
    metadata,
    _seq(),
    Column("verb", String, nullable=False),
    Column("target", String, nullable=False),
    Column("who", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("begins", BigInteger),
    Column("value", Text),
    Column("ended_at", BigInteger),
    Column("ended_by", String),
)

operation = Table(
    "operation",
    metadata,
    Column("id", String, primary_key=True),
    Column("verb", String, nullable=False),
    Column("who", String, nullable=False),
    Column("command", Text, nullable=False),
    Column("digest", String, nullable=False),
    Column("effect", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("done_at", BigInteger),
    Column("undo", Text),
    Column("undone_at", BigInteger),
)
Index("operation_made", operation.c.made_at)

audit = Table(
    "audit",
    metadata,
    _seq(),
    Column("at", BigInteger, nullable=False),
    Column("actor", String, nullable=False),
    Column("verb", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("facts", Text, nullable=False),
    Column("hash", String, nullable=False),
    Column("cause", Text, nullable=False, server_default=""),
    Column("policy", Text, nullable=False, server_default=""),
    Column("inputs", Text, nullable=False, server_default=""),
)
ANCHORED = "audit.anchored"
"""The verb of an entry that announces an anchor (see `anchors.py`)."""
_anchored = text(f"verb = '{ANCHORED}'")
Index("audit_anchored", audit.c.seq, sqlite_where=_anchored, postgresql_where=_anchored)

gate_event = Table(
    "gate_event",
    metadata,
    _seq(),
    Column("system", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("was", BigInteger),
    Column("now", BigInteger),
    Column("ceiling", BigInteger),
    Column("until_at", BigInteger),
    Column("until_ns", BigInteger),
    Column("boot", String, nullable=False),
    Column("signal", String, nullable=False),
    Column("why", Text, nullable=False),
)
Index("gate_event_subject", gate_event.c.system, gate_event.c.kind, gate_event.c.subject, gate_event.c.seq)

process = Table(
    "process",
    metadata,
    Column("id", String, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("key", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("account", String, nullable=False),
    Column("incident", String),
    Column("phase", String, nullable=False),
    Column("outcome", String),
    Column("minor", BigInteger, nullable=False),
    Column("currency", String, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("due_at", BigInteger),
    Column("tier", String),
    Column("people", Integer, nullable=False, server_default="0"),
    Column("role", String, nullable=False, server_default=""),
    Column("requester", String, nullable=False, server_default=""),
    Column("digest", String, nullable=False, server_default=""),
)
Index("process_key", process.c.key)
Index("process_phase", process.c.phase, process.c.opened_at)
Index("process_incident", process.c.tenant, process.c.incident)
Index("process_wave", process.c.tenant, process.c.incident, process.c.phase)

wave_case = Table(
    "wave_case",
    metadata,
    Column("wave", String, primary_key=True),
    Column("approval", String, primary_key=True),
    Column("process", String, primary_key=True),
    Column("place", BigInteger, nullable=False),
    Column("key", String, nullable=False),
    Column("account", String, nullable=False),
    Column("minor", BigInteger, nullable=False),
    Column("currency", String, nullable=False),
    Column("verdict", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)
Index("wave_case_account", wave_case.c.wave, wave_case.c.account)
Index("wave_case_place", wave_case.c.wave, wave_case.c.place)

reconciliation = Table(
    "reconciliation",
    metadata,
    _seq(),
    Column("kind", String, nullable=False),
    Column("system", String, nullable=False),
    Column("of", BigInteger),
    Column("why", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger, nullable=False),
    Column("facts", Text, nullable=False),
)

stray = Table(
    "stray",
    metadata,
    Column("system", String, primary_key=True),
    Column("intent_id", String, primary_key=True),
    Column("document", String, primary_key=True),
    Column("amount", String, nullable=False),
    Column("currency", String, nullable=False),
    Column("account", String, nullable=False),
    Column("found_at", BigInteger, nullable=False),
    Column("settled_at", BigInteger),
)

meta = Table("meta", metadata, Column("name", String, primary_key=True), Column("value", Text, nullable=False))

ORDER_INDEXES = (
    "CREATE INDEX IF NOT EXISTS message_unhandled ON message (queue, partition_key) WHERE handled_at IS NULL",
    "CREATE INDEX IF NOT EXISTS queue_item_message ON queue_item (message_id)",
)
"""Made when a broker is used that does not keep order (see `broker/order.py`); for the embedded one they only cost."""
