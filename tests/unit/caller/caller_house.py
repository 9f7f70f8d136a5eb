"""A caller with everything real but time and the ERP: store, writer, broker, gate, poster. A test moves the clock.

The store does real input and output, so the clock is moved only when nothing is being read or written and nobody has
anything left to do: a run is then the same each time, however slow the disk.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from sqlalchemy import Select

from actors.caller.gate import Gate
from actors.caller.poster import Poster
from actors.caller.results import Results
from actors.controls import Controls, Order
from actors.erp_requests import DOMAIN, OPERATION
from actors.runtime.actor import Context
from actors.runtime.clock import VirtualClock, microseconds
from actors.runtime.entropy import SeededEntropy
from broker.embedded import EmbeddedBroker
from broker.store.reads import Reads
from broker.store.rows import Call, CallRow
from broker.store.store import Store, StoreUnavailable
from broker.store.unit import Committed, Unit
from broker.topology import build
from contracts.catalogue import REGISTRY
from contracts.codec import encode
from contracts.messages import AdjustmentRequest
from contracts.money import Money
from ops.certificate import certify
from ops.certificate.model import Certificate
from policies.limit_words import parse_limits
from tests.unit.caller.memory_erp import MemoryErp

LIMITS = ("20/1s", "5 concurrent")
REAL_SECONDS_MAX = 120
"""A test that takes longer hangs."""
_ROUNDS = 40
"""Loop steps without any input or output after which nobody has anything left to do."""


class _Traffic:
    """What is being read or written just now."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()

    def __enter__(self) -> None:
        self._count += 1
        self._none.clear()

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if self._count == 0:
            self._none.set()

    async def none(self) -> bool:
        """Wait until there is none; whether there was none already."""
        if self._count == 0:
            return True
        await self._none.wait()
        return False


class _WatchedReads(Reads):
    traffic = _Traffic()

    async def rows(self, query: Select[Any], parameters: Mapping[str, Any] | None = None) -> Sequence[Any]:
        with self.traffic:
            return await super().rows(query, parameters)


class WatchedStore(Store):
    """A store that knows whether anything is being read or written, and takes its time for commits when told so."""

    clock: VirtualClock | None = None
    commit_seconds = 0.0
    failing = False

    async def __aenter__(self) -> WatchedStore:
        await super().__aenter__()
        self.traffic = _Traffic()
        self.reads = watched = _WatchedReads(self._engines[1])
        watched.traffic = self.traffic
        return self

    async def commit(self, unit: Unit) -> Committed:
        if self.clock is not None and self.commit_seconds:
            await self.clock.sleep(self.commit_seconds)
        if self.failing:
            raise StoreUnavailable("the disk is full, says the test")
        with self.traffic:
            return await super().commit(unit)


class SteppedClock(VirtualClock):
    """A virtual clock that is moved from one alarm to the next."""

    def next_ns(self) -> int | None:
        """When the next sleeper is to be woken."""
        return self._sleepers[0][0] if self._sleepers else None

    def step_to(self, now_ns: int) -> None:
        """Be there, and wake whoever is due."""
        self._ns = max(self._ns, now_ns)
        while self._sleepers and self._sleepers[0][0] <= self._ns:
            heapq.heappop(self._sleepers)[2].set()


@dataclass(frozen=True)
class Parts:
    """Kinds of the parts that a test may exchange."""

    poster: type[Poster] = Poster
    gate: type[Gate] = Gate
    erp: type[MemoryErp] = MemoryErp
    store: type[WatchedStore] = WatchedStore


class CallerHouse:
    """One store, one ERP, and a poster that can be killed and started again."""

    def __init__(self, store: WatchedStore, clock: SteppedClock, erp: MemoryErp, parts: Parts) -> None:
        self.store = store
        self.clock = clock
        self.erp = erp
        self.entropy = SeededEntropy(7)
        self.broker = EmbeddedBroker(store)
        self.controls = Controls(store, clock)
        self.limits = erp.told
        self.parts = parts
        self.keeps_order = True
        self.operation = OPERATION
        self.ask_limits_seconds = 0.0
        self.told: list[dict[str, Any]] = []
        """What was requested, with the outcomes once `ask_outcomes` has asked."""
        self.poster: Poster
        self._context: Context
        self._life: asyncio.Task[None] | None = None
        self._numbers = 0

    # life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start a poster, as a new process would: with nothing in memory."""
        gate = self.parts.gate(self.limits, self.entropy.random)
        results = Results(self.broker, REGISTRY, DOMAIN)
        self.poster = self.parts.poster(
            self.store, self.erp, gate, results, self.controls, DOMAIN, ask_limits_seconds=self.ask_limits_seconds
        )
        self._context = Context("erp-poster", self.clock, self.entropy)
        self._life = asyncio.create_task(self.poster.run(self._context))
        await self.meanwhile(self._context.is_ready.wait())

    async def kill(self) -> None:
        """End it where it stands. What it has sent is at the ERP all the same."""
        assert self._life is not None
        self._life.cancel()
        await asyncio.wait({self._life})
        self._life = None

    async def stop(self) -> None:
        """Ask it to end, and move the clock until it has."""
        assert self._life is not None
        self._context.stop_asked.set()
        for _ in range(10_000):
            await self.quiet()
            if self._life.done():
                break
            self._step(None)
        await self._life
        self._life = None

    def slow_commits(self, seconds: float) -> None:
        """Let each commit take so long from now on."""
        self.store.clock, self.store.commit_seconds = self.clock, seconds

    # work ----------------------------------------------------------------------------------------------------

    async def request(self, count: int = 1, lane: str = "standard", account: str | None = None) -> list[str]:
        """Have calls requested; their intent ids. Each has an account of its own unless one is named."""
        now = microseconds(self.clock.now())
        rows = [self._row(now, lane, account) for _ in range(count)]
        await self.store.commit(Unit(now, calls=rows))
        self.told += [self._told(row) for row in rows]
        return [row.intent_id for row in rows]

    def _told(self, row: CallRow) -> dict[str, Any]:
        account = row.order_ref.split("|")[3]
        number = int(row.intent_id.rpartition("-")[2])
        amount = Money(row.minor or 0, "EUR")
        sequence = {"account": account, "lane": row.lane, "sequence": number, "accepted_ns": self.clock.boot_ns()}
        return {"id": row.message_id, "key": row.key, "intent": row.intent_id, **sequence, **amount.to_wire()}

    async def ask_outcomes(self) -> None:
        """Ask what became of everything that was requested."""
        for row in self.told:
            found = await self.store.reads.calls_by_key(row["intent"])
            status = found[0].status if found else "not known"
            row["outcome"] = {"done": "posted", "refused": "refused", "exception": "refused"}.get(status, status)
            row["reason"] = found[0].reason if found else None

    def _row(self, now: int, lane: str, account: str | None) -> CallRow:
        self._numbers += 1
        number = self._numbers
        amount = Money(100 + number, "EUR")
        owner = account or f"acc-{number}"
        body = AdjustmentRequest(
            intent_id=f"intent-{number}",
            account_id=owner,
            amount=amount,
            reason_code="service_credit",
            source_document=f"case-{number}",
            kind="credit",
        )
        return CallRow(
            intent_id=body.intent_id,
            fingerprint="f",
            system="erp",
            operation=self.operation,
            tenant="t",
            lane=lane,
            key=body.source_document,
            order_ref=f"erp|t|{lane}|{owner}" + ("" if self.keeps_order else f"|{number}"),
            message_id=f"m-{number}",
            correlation_id="c",
            minor=amount.minor,
            currency="EUR",
            body=encode(body),
            requested_at=now,
        )

    async def call(self, intent: str) -> Call:
        """A call as it is stored."""
        (found,) = await self.store.reads.calls_by_key(intent)
        return found

    async def order(self, verb: str, target: str) -> None:
        """Give an order and wait until it is in force."""
        await self.meanwhile(self.controls.give(Order(verb, target, "anna", "a test")))
        await self.meanwhile(self.poster.settle_orders())

    async def meanwhile(self, work: Coroutine[Any, Any, Any]) -> None:
        """Move the clock until the work is done."""
        task = asyncio.ensure_future(work)
        for _ in range(1_000):
            await self.quiet()
            if task.done():
                break
            self._step(None)
        await task

    # time ----------------------------------------------------------------------------------------------------

    async def quiet(self) -> None:
        """Return when everybody waits for the clock."""
        still = 0
        while still < _ROUNDS:
            still = still + 1 if await self.store.traffic.none() else 0
            await asyncio.sleep(0)

    def _step(self, end_ns: int | None) -> bool:
        due = self.clock.next_ns()
        if due is None or (end_ns is not None and due > end_ns):
            return False
        self.clock.step_to(due)
        return True

    async def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        end_ns = self.clock.boot_ns() + int(seconds * 1e9)
        await self.quiet()
        while self._step(end_ns):
            await self.quiet()
        self.clock.step_to(end_ns)
        await self.quiet()

    async def until_settled(self, seconds_max: float) -> None:
        """Let time pass until no call is open, but not more than so much."""
        end_ns = self.clock.boot_ns() + int(seconds_max * 1e9)
        await self.quiet()
        while self.open_calls() and self._step(end_ns):
            await self.quiet()
        assert not self.open_calls(), f"{self.open_calls()} calls are open after {seconds_max} s"

    def open_calls(self) -> int:
        """Calls that wait, are in flight or unknown."""
        counters = self.store.counters.calls.items()
        return sum(n for (_, _, status), n in counters if status in ("waiting", "in_flight", "unknown"))

    def certificate(self) -> Certificate:
        """What the ERP's own log says."""
        return certify(self.erp.write_log(self.store.directory / "erp-log.jsonl"))


@asynccontextmanager
async def caller_house(
    directory: Path, limits: Sequence[str] = LIMITS, parts: Parts | None = None, started: bool = True, **erp: Any
) -> AsyncIterator[CallerHouse]:
    """A house with an empty store, its writer and broker running; the poster runs unless told otherwise."""
    clock, parts = SteppedClock(), parts or Parts()
    with anyio.fail_after(REAL_SECONDS_MAX):
        async with parts.store(directory) as store, anyio.create_task_group() as tasks:
            tasks.start_soon(store.writer.run)
            house = CallerHouse(store, clock, parts.erp(clock, parse_limits(limits), **erp), parts)
            async with house.broker.connected():
                await house.broker.declare(build([DOMAIN], 1))
                await house.controls.load()
                if started:
                    await house.start()
                try:
                    yield house
                finally:
                    if house._life is not None:
                        await house.kill()
            tasks.cancel_scope.cancel()
