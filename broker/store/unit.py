"""The unit of work: everything that has to become true together."""

from __future__ import annotations

from dataclasses import dataclass, field

from broker.store.ledger_rows import ReconciliationRow, StrayEnd, StrayRow
from broker.store.rows import (
    Accept,
    AuditRow,
    CallChange,
    CallMove,
    CallRow,
    ControlEnd,
    ControlRow,
    ExceptionEnd,
    ExceptionRow,
    GateRow,
    Handled,
    MilestoneRow,
    OperationDone,
    OperationRow,
    OperationUndone,
    ProcessRow,
    QueueRow,
    SpendEnd,
    SpendRow,
    SpendSum,
    StateRow,
    TimerRow,
)
from broker.store.wave_rows import WaveCaseRow


@dataclass(slots=True)
class Unit:
    """Rows to be written in one transaction. Units of others may share the transaction; none is ever split."""

    at: int
    """Microseconds since the epoch at which this was decided."""
    accepts: list[Accept] = field(default_factory=list)
    items: list[QueueRow] = field(default_factory=list)
    handled: list[Handled] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)
    published: list[int] = field(default_factory=list)
    states: list[StateRow] = field(default_factory=list)
    milestones: list[MilestoneRow] = field(default_factory=list)
    calls: list[CallRow] = field(default_factory=list)
    call_changes: list[CallChange] = field(default_factory=list)
    spends: list[SpendRow] = field(default_factory=list)
    spend_ends: list[SpendEnd] = field(default_factory=list)
    spends_gone: list[int] = field(default_factory=list)
    spend_sums: list[SpendSum] = field(default_factory=list)
    spend_sums_gone: list[int] = field(default_factory=list)
    timers: list[TimerRow] = field(default_factory=list)
    timers_done: list[str] = field(default_factory=list)
    exceptions: list[ExceptionRow] = field(default_factory=list)
    controls: list[ControlRow] = field(default_factory=list)
    control_ends: list[ControlEnd] = field(default_factory=list)
    gate_events: list[GateRow] = field(default_factory=list)
    call_moves: list[CallMove] = field(default_factory=list)
    exception_ends: list[ExceptionEnd] = field(default_factory=list)
    operations: list[OperationRow] = field(default_factory=list)
    operations_done: list[OperationDone] = field(default_factory=list)
    operations_undone: list[OperationUndone] = field(default_factory=list)
    audits: list[AuditRow] = field(default_factory=list)
    processes: list[ProcessRow] = field(default_factory=list)
    reconciliations: list[ReconciliationRow] = field(default_factory=list)
    strays: list[StrayRow] = field(default_factory=list)
    strays_settled: list[StrayEnd] = field(default_factory=list)
    wave_cases: list[WaveCaseRow] = field(default_factory=list)

    def size(self) -> int:
        """Number of rows, for bounding a group."""
        return (
            2 * len(self.accepts)
            + len(self.items)
            + len(self.handled)
            + len(self.settled)
            + len(self.states)
            + len(self.milestones)
            + len(self.processes)
            + len(self.wave_cases)
            + len(self.calls)
            + len(self.call_changes)
            + len(self.spends)
            + len(self.spends_gone)
            + len(self.call_moves)
            + len(self.strays)
            + 1
        )


@dataclass(slots=True)
class Accepted:
    """The answer to one `Accept`: `duplicate` when it was known already; `mismatch` when the known one differed."""

    seq: int
    duplicate: bool = False
    mismatch: bool = False
    original_id: str | None = None
    original_type: str | None = None


@dataclass(slots=True)
class Committed:
    """What the writer found out on the way: one `Accepted` for each of the unit's accepts, in order."""

    accepted: list[Accepted] = field(default_factory=list)
    calls_known: list[str] = field(default_factory=list)
    """Intent ids that the ledger had already, with the same content: nothing was added for them."""
    calls_conflicting: list[str] = field(default_factory=list)
    """Intent ids that the ledger had already, with other content: not added, an exception was opened."""
    promoted: bool = False
    """Whether a call that waited behind another of its key may go now, because of this unit or one beside it."""
    items_to: int = 0
    """The highest number that any queue item had when this was committed: who has counted so far has these."""
