"""The simulated caller gives an operation that fails its rest, as the daemon's does, and goes on with the others."""

from collections.abc import Callable
from random import Random

from actors.adapters.port import Answer, Failed, Posted
from actors.caller.gate import Gate
from broker.store.rows import Call
from ops.virtual.agenda import Agenda
from ops.virtual.caller import Caller
from policies.limit_words import parse_limits
from policies.recoverability import FailureClass
from tests.support.rows import call, stored

SECOND_NS = 10**9


class HalfAnErp:
    """Answers after 50 ms; invoices fail until a moment, everything else works."""

    system, deduplicates, finds, lost_seconds = "erp", True, True, 2.0
    late_seconds, dedupe_seconds = 0.0, None

    def __init__(self, agenda: Agenda, well_from_ns: int) -> None:
        self.agenda = agenda
        self.well_from_ns = well_from_ns
        self.met: list[tuple[int, str]] = []

    def call(self, op: str, sent: Call, answer: Callable[[Answer], None]) -> None:
        now_ns = self.agenda.now_ns
        self.met.append((now_ns, sent.operation))
        fails = sent.operation == "invoice.create" and now_ns < self.well_from_ns
        outcome = Failed(FailureClass.TRANSIENT, "unavailable", "503") if fails else Posted(f"doc-{sent.seq}")
        self.agenda.at(now_ns + 50_000_000, lambda: answer(Answer(outcome, 50_000_000)))


def waiting(seq: int, operation: str) -> Call:
    return stored(seq, call(f"intent {seq}", f"A-{seq}", operation=operation))


def test_one_operation_rests_and_the_other_goes_on() -> None:
    agenda = Agenda()
    erp = HalfAnErp(agenda, well_from_ns=100 * SECOND_NS)
    gate = Gate(parse_limits(["10/1s", "2 concurrent"]), Random(1).random)
    caller = Caller(agenda, gate, erp, 1)  # type: ignore[arg-type]
    for seq in range(1, 401):
        operation = "invoice.create" if seq % 2 else "adjustment.create"
        caller.take(waiting(seq, operation))
    agenda.run(30 * SECOND_NS)
    resting = gate.rests(agenda.now_ns)
    assert len(resting) == 1
    assert "invoice.create" in resting[0].reason
    adjustments = [at for at, operation in erp.met if operation == "adjustment.create"]
    assert len(adjustments) == 200
    assert max(adjustments) < 26 * SECOND_NS, "the limit was used for what could go"
    agenda.run(600 * SECOND_NS)
    assert gate.order.waiting == 0
    invoices = [at for at, operation in erp.met if operation == "invoice.create"]
    before = [at for at in invoices if at < erp.well_from_ns]
    assert len(before) <= 5 + 2 + 5, "a rest means one probe at a time"
