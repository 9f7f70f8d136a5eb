"""An ERP in memory that obeys the adapter protocol, runs on a virtual clock, and keeps the log that a real one keeps.

Like a real one it goes on with a call whose caller has gone: what was sent is executed, cancelled or not.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.adapters.port import Absent, Answer, Failed, Lost, NotSent, Outcome, Posted
from actors.runtime.clock import Clock
from broker.store.rows import Call
from contracts.codec import decode
from contracts.messages import AdjustmentRequest
from policies.limits import ConcurrencyLimit, ExecutionLimit, Limit, RateLimit, window_of
from policies.recoverability import FailureClass

WIRE_SECONDS = 0.0005
"""One way over the network."""


@dataclass(frozen=True)
class Plan:
    """What one call meets. `commit`: the document is made; `answered`: the caller hears of it."""

    commit: bool = True
    answered: bool = True
    failure: Failed | None = None
    connects: bool = True
    busy_seconds: float | None = None
    """How long the ERP has the call; None: its usual time."""


FINE = Plan()
LOST_DONE = Plan(answered=False)
LOST_UNDONE = Plan(commit=False, answered=False)
UNREACHABLE = Plan(connects=False)
UNAVAILABLE = Plan(commit=False, failure=Failed(FailureClass.TRANSIENT, "http.503", "the ERP is not available"))
THROTTLED = Plan(commit=False, failure=Failed(FailureClass.THROTTLED, "rate.exceeded", "too many", 3.0))
BLOCKED = Plan(commit=False, failure=Failed(FailureClass.DATA_QUALITY, "account.blocked", "the account is blocked"))
CLOSED = Plan(commit=False, failure=Failed(FailureClass.CLOSED_PERIOD, "period_closed", "the period is closed"))
FORBIDDEN = Plan(commit=False, failure=Failed(FailureClass.AUTH, "auth.invalid", "the token is not accepted"))


@dataclass(frozen=True)
class Document:
    """One document in its ledger."""

    document_id: str
    reference: str
    account_id: str
    amount: str
    currency: str
    source_document: str


@dataclass
class Experienced:
    """One call as the ERP experienced it. Times in nanoseconds of the clock."""

    kind: str
    intent: str
    lane: str
    account: str
    source: str
    amount: str
    currency: str
    arrived_ns: int
    ended_ns: int | None = None
    status: int | None = None
    verdict: str = "failed"
    document: str | None = None
    answered: bool = True


@dataclass
class MemoryErp:
    """The adapter and the system behind it. `plan` says what a call meets, by kind and call."""

    clock: Clock
    told: tuple[Limit, ...]
    latency: tuple[float, float] = (0.04, 0.06)
    timeout_seconds: float = 5.0
    lost_seconds: float = 2.0
    late_seconds: float = 0.0
    dedupe_seconds: float | None = None
    seed: int = 1
    plan: Callable[[str, Call], Plan] = lambda kind, call: FINE
    system: str = "erp"
    deduplicates: bool = True
    finds: bool = True
    says_duration: bool = True
    tells_limits: bool = True
    says: tuple[Limit, ...] = ()
    asked: int = 0
    log: list[Experienced] = field(default_factory=list)
    ledger: list[Document] = field(default_factory=list)
    _work: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    def validate(self, call: Call) -> Failed | None:
        """Everything is fine."""
        return None

    async def limits(self) -> tuple[Answer, tuple[Limit, ...]]:
        """What it says its limits are."""
        self.asked += 1
        return Answer(Absent()), self.says

    async def post(self, call: Call) -> Answer:
        """Have it done, as planned."""
        return await self._ask("post", call)

    async def find_by_intent(self, call: Call) -> Answer:
        """Look it up, as planned."""
        return await self._ask("find", call)

    async def _ask(self, kind: str, call: Call) -> Answer:
        plan = self.plan(kind, call)
        if not plan.connects:
            return Answer(NotSent("no connection"))
        await self.clock.sleep(WIRE_SECONDS)
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._experience(kind, call, plan, done))
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        if not plan.answered:
            await self.clock.sleep(self.timeout_seconds)
            return Answer(Lost("no answer came"))
        answer = await asyncio.shield(done)
        await self.clock.sleep(WIRE_SECONDS)
        return answer

    async def _experience(self, kind: str, call: Call, plan: Plan, done: asyncio.Future[Answer]) -> None:
        request = decode(call.body, AdjustmentRequest)
        entry = Experienced(
            kind,
            call.intent_id,
            call.lane,
            request.account_id,
            request.source_document,
            request.amount.amount,
            request.amount.currency,
            self.clock.boot_ns(),
            answered=plan.answered,
        )
        self.log.append(entry)
        usual = self._random.uniform(*self.latency)
        await self.clock.sleep(usual if plan.busy_seconds is None else plan.busy_seconds)
        outcome = self._execute(entry, call, plan)
        entry.ended_ns = self.clock.boot_ns()
        if not done.done():
            done.set_result(Answer(outcome, entry.ended_ns - entry.arrived_ns if self.says_duration else None))

    def _execute(self, entry: Experienced, call: Call, plan: Plan) -> Outcome:
        known = self.documents.get(entry.intent)
        if plan.failure is not None:
            entry.status, entry.verdict = 422, "refused"
            return plan.failure
        if entry.kind == "find":
            entry.status, entry.verdict, entry.document = 200, "found" if known else "absent", known
            return Posted(known, replayed=True) if known else Absent()
        if not plan.commit:
            return Lost("it was never done")
        if known and self.deduplicates:
            entry.status, entry.verdict, entry.document = 200, "replayed", known
            return Posted(known, replayed=True)
        entry.status, entry.verdict, entry.document = 201, "created", f"ADJ-{len(self.ledger) + 1}"
        self.ledger.append(
            Document(entry.document, entry.intent, entry.account, entry.amount, entry.currency, entry.source)
        )
        return Posted(entry.document)

    @property
    def documents(self) -> dict[str, str]:
        """Document of each intent that was posted."""
        return {document.reference: document.document_id for document in self.ledger}

    # what it experienced --------------------------------------------------------------------------------------

    def calls(self, kind: str = "post") -> list[Experienced]:
        """In order of arrival."""
        return [entry for entry in self.log if entry.kind == kind]

    def about(self, intent: str) -> list[str]:
        """Kinds of the calls about one intent, in order of arrival."""
        return [entry.kind for entry in self.log if entry.intent == intent]

    def write_log(self, path: Path) -> Path:
        """Its log, in the format that the certificate reads."""
        header: dict[str, Any] = {
            "log": "tidegate-erp-log/1",
            "profile": "memory",
            "limits": [_limit(limit) for limit in self.told],
            "clock": "monotonic_ns",
            "wall_at_zero": "2026-01-05T09:00:00Z",
        }
        lines = [header, *(line for seq, entry in enumerate(self.log, 1) for line in _lines(seq, entry))]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path


def _limit(limit: Limit) -> dict[str, Any]:
    kinds = {ConcurrencyLimit: "concurrent", ExecutionLimit: "execution", RateLimit: "rate"}
    told: dict[str, Any] = {"kind": kinds[type(limit)], "limit": limit.limit}
    if (window_ns := window_of(limit)) is not None:
        told["seconds"] = window_ns // 1_000_000_000
    return told | {"op": limit.operation, "per": "object" if limit.per_object else None}


def _lines(seq: int, entry: Experienced) -> Sequence[dict[str, Any]]:
    arrival = {"seq": seq, "op": entry.kind, "arrived_ns": entry.arrived_ns, "event": "arrived"}
    if entry.ended_ns is None:
        return [arrival]
    end = {
        "seq": seq,
        "op": entry.kind,
        "arrived_ns": entry.arrived_ns,
        "ended_ns": entry.ended_ns,
        "method": "POST" if entry.kind == "post" else "GET",
        "path": "/adjustments",
        "key": entry.intent,
        "reference": entry.intent,
        "account": entry.account,
        "source_document": entry.source,
        "amount": entry.amount,
        "currency": entry.currency,
        "status": entry.status,
        "verdict": entry.verdict,
        "code": None,
        "document": entry.document,
        "answer": "sent" if entry.answered else "lost",
        "concurrent": 1,
    }
    return [arrival, end]
