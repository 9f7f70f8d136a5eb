"""The desk behind every door: back-pressure, checks, recognition of duplicates, durable acceptance, a receipt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from actors.caller.poster import Poster
from actors.controls import Controls
from actors.runtime.clock import Clock, microseconds
from broker.accept import Acceptor, Arrival
from broker.store.rows import Accept
from broker.store.store import Store
from broker.store.unit import Accepted, Unit
from contracts.envelope import Envelope
from contracts.errors import ContractError
from policies.lanes import LANES
from policies.watermarks import Refuse, Watermarks, at_the_door


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to an accepted message. `place` counts what stands before it; `eta` is when the ERP may have it."""

    id: str
    correlation_id: str
    lane: str
    duplicate: bool = False
    place: int | None = None
    eta: str | None = None
    code: str | None = None
    detail: str | None = None


class Busy(Exception):
    """The desk takes nothing now. Nothing was stored; come back after `seconds`."""

    def __init__(self, code: str, seconds: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.seconds, self.reason = code, seconds, reason


class Desk:
    """Accepts messages for all doors."""

    def __init__(
        self, store: Store, acceptor: Acceptor, controls: Controls, clock: Clock, marks: Watermarks, system: str
    ) -> None:
        self._store = store
        self._acceptor = acceptor
        self._controls = controls
        self._clock = clock
        self._marks = marks
        self._system = system
        self._refusing = False
        self.poster: Poster | None = None
        self.refused = 0

    def check_open(self) -> None:
        """Cheap, before a body is even read.

        Raises:
            Busy: draining, or too much waits already.
        """
        if order := self._controls.draining():
            raise Busy("door.draining", 30, f"draining since {order.who} asked for it: {order.reason}")
        waiting = sum(self._store.counters.waiting(self._system, lane) for lane in LANES)
        decision = at_the_door(self._marks, self._refusing, waiting, 0, self._rate())
        self._refusing = isinstance(decision, Refuse)
        if isinstance(decision, Refuse):
            self.refused += 1
            raise Busy("door.busy", decision.come_back_seconds, decision.reason)

    def _rate(self) -> float:
        """Calls a second that the budget allows in the long run."""
        if self.poster is None:
            return 0.0
        now_ns = self._clock.boot_ns()
        ahead = 1_000
        seconds = (self.poster.gate.budget.eta(now_ns, ahead) - now_ns) / 1e9
        return ahead / seconds if seconds > 0 else 10_000.0

    async def accept(self, envelopes: Sequence[Envelope]) -> list[Receipt]:
        """Accept all or, if one is not acceptable, none. Returns after the commit.

        Raises:
            ContractError: with the path of what is wrong, prefixed by the message's index in a batch.
            StoreUnavailable: nothing may be assumed to be stored; send again with the same ids.
        """
        at = microseconds(self._clock.now())
        batch = len(envelopes) > 1
        rows = [self._prepare(envelope, index if batch else None, at) for index, envelope in enumerate(envelopes)]
        committed = await self._store.commit(Unit(at, accepts=[accept for _, accept in rows]))
        etas: dict[str, tuple[int, str | None]] = {}
        return [
            self._receipt(accept, answer, etas) for (_, accept), answer in zip(rows, committed.accepted, strict=True)
        ]

    def _prepare(self, envelope: Envelope, index: int | None, at: int) -> tuple[Arrival, Accept]:
        try:
            arrival = self._acceptor.read(envelope)
            if arrival.contract.kind == "command" and envelope.idempotencykey is None:
                raise ContractError(
                    "idempotency.missing",
                    "A command needs an idempotency key: the attribute idempotencykey, or the header Idempotency-Key.",
                    "/idempotencykey",
                )
            return arrival, self._acceptor.prepare(arrival, at)
        except ContractError as error:
            raise (error if index is None else error.at(f"/{index}")) from None

    def _receipt(self, accept: Accept, answer: Accepted, etas: dict[str, tuple[int, str | None]]) -> Receipt:
        row = accept.row
        if answer.mismatch:
            detail = f"Accepted before as {answer.original_id}, with other content. The first one stands."
            return Receipt(row.id, row.correlation_id, row.lane, True, code="idempotency.mismatch", detail=detail)
        if row.lane not in etas:
            etas[row.lane] = self._line(row.lane)
        place, eta = etas[row.lane]
        return Receipt(row.id, row.correlation_id, row.lane, answer.duplicate, place, eta)

    def _line(self, lane: str) -> tuple[int, str | None]:
        """How many calls stand before a new one of this lane, and when it may go."""
        before = LANES[: LANES.index(lane) + 1]
        place = sum(self._store.counters.waiting(self._system, other) for other in before)
        if self.poster is None or self._controls.first_on([self._system, "erp-poster"]):
            return place, None
        now_ns = self._clock.boot_ns()
        seconds = (self.poster.gate.budget.eta(now_ns, place) - now_ns) / 1e9
        eta = self._clock.now() + timedelta(seconds=seconds)
        return place, eta.isoformat(timespec="seconds").replace("+00:00", "Z")
