"""What can be written, as plain records in the order of the table's columns (so a record is a row)."""

from __future__ import annotations

from typing import Any

import msgspec

from broker.store.spend_rows import SpendEnd as SpendEnd
from broker.store.spend_rows import SpendRow as SpendRow
from broker.store.spend_rows import SpendSum as SpendSum
from contracts.money import Money
from policies.order import NEVER, Place

OPEN = frozenset({"waiting", "in_flight", "unknown"})
"""States of a call that hold back later calls of the same key; `exception` does, too, where `on_stuck` says so."""


class MessageRow(msgspec.Struct, frozen=True):
    """An accepted message: the door's memory for recognising duplicates, and the inbox mark once handled.

    `dedupe` is the identity of (tenant, source, id); `idempotency` the tenant's own key for a command, if any;
    `fingerprint` tells the same request from another one under the same key.
    """

    dedupe: str
    idempotency: str | None
    fingerprint: str
    source: str
    id: str
    type: str
    tenant: str
    key: str
    partition_key: str
    queue: str
    lane: str
    correlation_id: str
    causation_id: str | None
    accepted_at: int


class QueueRow(msgspec.Struct, frozen=True):
    """A message on its way: in an embedded queue, or in the outbox of a broker elsewhere."""

    exchange: str
    queue: str
    message_id: str
    headers: str
    body: bytes


class Accept(msgspec.Struct, frozen=True):
    """A message to accept: its row and where it goes. Left out whole when it is a duplicate."""

    row: MessageRow
    items: tuple[QueueRow, ...]


class Handled(msgspec.Struct, frozen=True):
    """The inbox mark: this message has had its effects. Refused when somebody else has set it."""

    dedupe: str
    at: int
    outcome: str


class StateRow(msgspec.Struct, frozen=True):
    """State of a decider for one key; `version` counts its saves from 1."""

    domain: str
    key: str
    version: int
    body: bytes
    updated_at: int


class MilestoneRow(msgspec.Struct, frozen=True):
    """A business object passed a named point; `facts` is a JSON object of texts."""

    process: str
    key: str
    name: str
    at: int
    actor: str
    message_id: str | None
    facts: str


class CallRow(msgspec.Struct, frozen=True, kw_only=True):
    """One durable work item for an outside system. Times in microseconds since the epoch; no deadline is `NEVER`."""

    intent_id: str
    fingerprint: str
    system: str
    operation: str
    tenant: str
    lane: str
    key: str
    order_ref: str
    message_id: str
    correlation_id: str
    minor: int | None
    currency: str | None
    body: bytes
    requested_at: int
    not_before: int = 0
    workload: str = ""
    deadline: int = NEVER
    partition: int = 0
    cause: str = ""
    policy: str = ""
    actor: str = ""
    """Who asks for it; told to the audit only."""
    on_stuck: str = "pass"
    """`hold`: while it is with a person, later calls of its key and lane wait for it; `pass`: they go on."""

    @property
    def place(self) -> Place:
        """The line in which it is to wait."""
        return Place(self.lane, self.tenant, self.workload, self.operation, self.partition)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call as stored."""

    seq: int
    intent_id: str
    fingerprint: str
    system: str
    operation: str
    tenant: str
    lane: str
    key: str
    order_ref: str
    message_id: str
    correlation_id: str
    minor: int | None
    currency: str | None
    body: bytes
    status: str
    open: int
    ready: int
    attempts: int
    sent: int
    not_before: int
    requested_at: int
    changed_at: int
    document: str | None
    reason: str | None
    workload: str = ""
    deadline: int = NEVER
    partition: int = 0
    cause: str = ""
    policy: str = ""
    on_stuck: str = "pass"
    unanswered_at: int = 0
    """Since when a send of it may have been done and nobody knows; 0: what became of every send is known."""

    @property
    def place(self) -> Place:
        """The line in which it waits."""
        return Place(self.lane, self.tenant, self.workload, self.operation, self.partition)

    @property
    def object(self) -> str | None:
        """What it is about at its system (the account), as far as its order key tells."""
        parts = self.order_ref.split("|")
        return parts[3] if len(parts) > 3 else None

    @property
    def money(self) -> Money | None:
        """The amount that moves, if any does."""
        return None if self.minor is None or self.currency is None else Money(self.minor, self.currency)


class CallChange(msgspec.Struct, frozen=True):
    """A step of a call's life. Refused when the stored status is no longer `was`."""

    call: Call
    was: str
    actor: str


class TimerRow(msgspec.Struct, frozen=True):
    """A message to enqueue at `due_at`. Whose timer it is stands in its id: domain, tenant, key and name."""

    id: str
    due_at: int
    queue: str
    body: bytes


class ExceptionRow(msgspec.Struct, frozen=True, kw_only=True):
    """Work for a person or an upstream fix, with the whole message kept."""

    key: str
    failure: str
    owner: str
    cause: str
    message_id: str | None
    intent_id: str | None
    body: bytes | None
    opened_at: int
    tenant: str = ""
    """Whose it is; empty where nobody can tell, as of a message that cannot be read."""


class ExceptionRecord(msgspec.Struct, frozen=True):
    """An exception as stored."""

    seq: int
    key: str
    failure: str
    owner: str
    cause: str
    message_id: str | None
    intent_id: str | None
    body: bytes | None
    opened_at: int
    closed_at: int | None
    tenant: str = ""

    def is_of(self, tenant: str) -> bool:
        """Whether it is this tenant's, or may be; others may have the same key."""
        return self.tenant in ("", tenant)


class ControlRow(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's standing order: of what, on what, by whom, why, until when.

    It begins at `begins` (None: at once). `value` is what a setting is set to; None for pause, hold and drain.
    """

    verb: str
    target: str
    who: str
    reason: str
    since: int
    until: int | None = None
    begins: int | None = None
    value: str | None = None


class ControlEnd(msgspec.Struct, frozen=True):
    """The end of all standing orders of this verb on this target; with `past`, of those whose time was up by then."""

    verb: str
    target: str
    at: int
    who: str
    reason: str
    past: int | None = None


class OperationRow(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator was shown, and perhaps did: `id` is the token that carries it out, later the name to undo it.

    `command` and `effect` are JSON. `digest` stands for the state of everything it was shown to concern. A row that
    is done at once has `done_at`; a row that only shows has `expires_at`. `undo` is JSON: what takes it back.
    """

    id: str
    verb: str
    who: str
    command: str
    digest: str
    effect: str
    made_at: int
    expires_at: int | None = None
    done_at: int | None = None
    undo: str | None = None


class OperationDone(msgspec.Struct, frozen=True):
    """A shown operation is carried out. Refused when it was carried out before."""

    id: str
    at: int
    effect: str
    undo: str | None


class OperationUndone(msgspec.Struct, frozen=True):
    """A done operation is taken back. Refused when it was taken back before."""

    id: str
    at: int


class ExceptionEnd(msgspec.Struct, frozen=True):
    """An exception is closed and its message dropped (it was exported). Refused when it is closed already."""

    seq: int
    at: int


class CallMove(msgspec.Struct, frozen=True):
    """A waiting call takes another place: its lane (with the order reference of that lane) or its time.

    Refused when it is no longer waiting as it was (`changed_at` tells).
    """

    call: Call
    lane: str
    order_ref: str
    not_before: int
    actor: str
    reason: str


class GateRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate keeps of a limit has changed (`limit`), or a refusal has frozen it (`freeze`), and why.

    `subject` is the limit's name, `""` the whole system. `until_at` in microseconds since the epoch, `until_ns` the
    same moment by the clock of `boot`.
    """

    system: str
    kind: str
    subject: str
    at: int
    was: int | None = None
    now: int | None = None
    ceiling: int | None = None
    until_at: int | None = None
    until_ns: int | None = None
    boot: str
    signal: str
    why: str


class ProcessRow(msgspec.Struct, frozen=True, kw_only=True):
    """Where a process stands, to be found by key, phase or incident; `due_at` is when it gives up waiting."""

    id: str
    tenant: str
    key: str
    kind: str
    account: str
    incident: str | None
    phase: str
    outcome: str | None
    minor: int
    currency: str
    opened_at: int
    changed_at: int
    due_at: int | None
    tier: str | None = None
    people: int = 0
    role: str = ""
    requester: str = ""
    digest: str = ""


class AuditRow(msgspec.Struct, frozen=True):
    """Something happened that somebody may ask about in years; chained by hash in commit order.

    `cause`, `policy` and `inputs` are what `chain.Entry` says.
    """

    at: int
    actor: str
    verb: str
    subject: str
    facts: dict[str, Any]
    cause: str = ""
    policy: str = ""
    inputs: str = ""
