"""The desk behind every door: back-pressure, checks, recognition of duplicates, durable acceptance, a receipt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import msgspec

from actors.caller.poster import Poster
from actors.controls import Controls, queue_subject
from actors.doors.pressure import Pressure
from actors.doors.repeats import Repeats
from actors.runtime.clock import Clock, microseconds
from broker.accept import Acceptor, Arrival
from broker.port import Delivery, MessageTooLarge
from broker.store.rows import Accept, ExceptionRow, MessageRow
from broker.store.store import Store
from broker.store.unit import Accepted, Unit
from contracts.envelope import Envelope
from contracts.errors import ContractError
from policies.lanes import LANES
from policies.scope import Subject
from policies.watermarks import Watermarks


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to an accepted message. `place` counts what stands before it; `eta` is when the ERP may have it.

    A duplicate is answered with the id and lane of the first. `code`, `detail` and `path` are set when it was *not*
    accepted, because its key stands for something else already.
    """

    id: str
    correlation_id: str
    lane: str
    duplicate: bool = False
    place: int | None = None
    eta: str | None = None
    code: str | None = None
    detail: str | None = None
    path: str = ""


class Busy(Exception):
    """The desk takes nothing now. Nothing was stored; come back after `seconds`."""

    def __init__(self, code: str, seconds: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.seconds, self.reason = code, seconds, reason


class Taken(msgspec.Struct, frozen=True):
    """What became of messages of a door that cannot answer: how many were set aside, and for which there is no room in
    their lanes."""

    set_aside: int
    left: list[Delivery]
    lanes: frozenset[str]


class Desk:
    """Accepts messages for all doors."""

    def __init__(
        self,
        store: Store,
        acceptor: Acceptor,
        controls: Controls,
        clock: Clock,
        marks: Mapping[str, Watermarks],
        system: str,
    ) -> None:
        self._store = store
        self._acceptor = acceptor
        self._controls = controls
        self._clock = clock
        self._pressure = Pressure(store.counters, controls, clock, marks, system)
        self._system = system
        self._repeats = Repeats(store.reads)
        self.refused = 0

    def check_open(self) -> None:
        """Cheap, before a body is even read.

        Raises:
            Busy: draining, or too much waits already.
        """
        if order := self._controls.draining():
            raise Busy("door.draining", 30, f"draining since {order.who} asked for it: {order.reason}")
        if (refusal := self._pressure.of(LANES[0])) is not None:
            self.refused += 1
            raise Busy("door.busy", refusal.come_back_seconds, refusal.reason)

    def _check_lanes(self, rows: Iterable[MessageRow]) -> None:
        """Raise Busy if the doors are closed to one of these: to its lane, or by a drain that covers it."""
        for row in rows:
            if order := self._controls.first_over(_subject(row), ("drain",)):
                seconds = self._pressure.until_seconds(order)
                raise Busy("door.draining", seconds, f"{order.target} is drained for {order.who}: {order.reason}")
            if (refusal := self._pressure.of(row.lane)) is not None:
                self.refused += 1
                taken = ", ".join(lane for lane in LANES if self._pressure.of(lane) is None) or "nothing"
                raise Busy(
                    "door.lane_busy", refusal.come_back_seconds, f"{row.lane}: {refusal.reason}; still taken: {taken}"
                )

    @property
    def poster(self) -> Poster | None:
        """The caller whose gate says how fast the line gets shorter."""
        return self._pressure.poster

    @poster.setter
    def poster(self, poster: Poster | None) -> None:
        self._pressure.poster = poster

    @property
    def accepted_types(self) -> list[str]:
        """Message types that some domain handles."""
        return self._acceptor.accepted_types

    async def accept(self, envelopes: Sequence[Envelope], batch: bool = False) -> list[Receipt]:
        """Accept all or, if one is not acceptable, none. Returns after the commit.

        Cancelled, they may have been accepted: send again with the same ids.

        Raises:
            ContractError: with the path of what is wrong, prefixed by the message's index in a batch.
            Busy: the lane of one of them is full, or drained.
            StoreUnavailable: nothing may be assumed to be stored; send again with the same ids.
            TimeoutError: the store did not answer in time; nothing was stored.
        """
        at = microseconds(self._clock.now())
        rows = [self._prepare(envelope, index if batch else None, at) for index, envelope in enumerate(envelopes)]
        self._check_lanes(accept.row for _, accept in rows)
        await self._refuse_repeats(rows, batch)
        committed = await self._store.commit(Unit(at, accepts=[accept for _, accept in rows]))
        lines: dict[str, tuple[int, str | None]] = {}
        return [
            await self._receipt(accept, answer, lines, f"/{index}" if batch else "")
            for index, ((_, accept), answer) in enumerate(zip(rows, committed.accepted, strict=True))
        ]

    def has_room(self, lanes: Iterable[str]) -> bool:
        """Whether something of each of these lanes would be taken."""
        return all(self._pressure.of(lane) is None for lane in lanes)

    async def accept_each(self, messages: Sequence[tuple[Delivery, Envelope | ContractError]]) -> Taken:
        """Accept each message that can be and has room in its lane; keep whole, as an exception, what makes no sense.

        For doors that cannot answer a sender. One transaction; the same messages may come again. What is left has to
        be given back, and no more of its lanes taken before there is room.

        Raises:
            StoreUnavailable: nothing may be assumed to be stored.
        """
        at = microseconds(self._clock.now())
        unit = Unit(at)
        commands: list[tuple[int, Arrival, Accept]] = []
        left: list[Delivery] = []
        lanes: set[str] = set()
        for number, (delivery, envelope) in enumerate(messages):
            try:
                if isinstance(envelope, ContractError):
                    raise envelope
                arrival, accept = self._prepare(envelope, None, at)
            except ContractError as problem:
                unit.exceptions.append(_set_aside(delivery, problem, at))
                continue
            if (lane := accept.row.lane) in lanes or self._pressure.of(lane, len(unit.accepts)) is not None:
                lanes.add(lane)
                left.append(delivery)
                continue
            unit.accepts.append(accept)
            if arrival.contract.kind == "command":
                commands.append((number, arrival, accept))
        while commands and (found := await self._repeats.refuse(commands)) is not None:
            index, repeated = found
            unit.accepts.remove(next(accept for n, _, accept in commands if n == index))
            commands = [command for command in commands if command[0] != index]
            unit.exceptions.append(_set_aside(messages[index][0], repeated, at))
        if unit.accepts or unit.exceptions:
            await self._store.commit(unit)
        return Taken(len(unit.exceptions), left, frozenset(lanes))

    def _prepare(self, envelope: Envelope, index: int | None, at: int) -> tuple[Arrival, Accept]:
        try:
            arrival = self._acceptor.read_foreign(envelope)
            if arrival.contract.kind == "command" and envelope.idempotencykey is None:
                raise ContractError(
                    "idempotency.missing",
                    "A command needs an idempotency key: the attribute idempotencykey, or the header Idempotency-Key.",
                    "/idempotencykey",
                )
            return arrival, self._acceptor.prepare(arrival, at)
        except MessageTooLarge:
            error = ContractError(
                "body.too_large", "With its envelope the event is too large. Send less data.", "/data"
            )
        except ContractError as problem:
            error = problem
        raise (error if index is None else error.at(f"/{index}")) from None

    async def _refuse_repeats(self, rows: Sequence[tuple[Arrival, Accept]], batch: bool) -> None:
        """Raise ContractError duplicate.business_key for a command that was accepted under another key."""
        commands = [(n, arrival, row) for n, (arrival, row) in enumerate(rows) if arrival.contract.kind == "command"]
        if commands and (found := await self._repeats.refuse(commands)) is not None:
            index, error = found
            raise error.at(f"/{index}") if batch else error

    async def _receipt(
        self, accept: Accept, answer: Accepted, lines: dict[str, tuple[int, str | None]], prefix: str
    ) -> Receipt:
        row = accept.row
        id, correlation_id, lane = row.id, row.correlation_id, row.lane
        if answer.mismatch:
            by_id = answer.original_id == row.id
            what = "id" if by_id else "idempotency key"
            detail = (
                f"This {what} was accepted before, as {answer.original_id}, with other content. The first one stands."
            )
            path = prefix + ("/id" if by_id else "/idempotencykey")
            return Receipt(id, correlation_id, lane, True, code="idempotency.mismatch", detail=detail, path=path)
        if answer.original_id not in (None, row.id):
            for first in await self._store.reads.messages_by_id(str(answer.original_id)):
                if first.seq == answer.seq:
                    id, correlation_id, lane = first.id, first.correlation_id, first.lane
        if lane not in lines:
            lines[lane] = self._line(lane)
        place, eta = lines[lane]
        return Receipt(id, correlation_id, lane, answer.duplicate, place, eta)

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


def _subject(row: MessageRow) -> Subject:
    """A message at the door, as orders can name it."""
    queue = queue_subject(row.queue)
    return Subject(queue.places, row.tenant, row.lane, queue.partition)


def _set_aside(delivery: Delivery, problem: ContractError, at: int) -> ExceptionRow:
    where = f" at {problem.path}" if problem.path else ""
    return ExceptionRow(
        key=delivery.message_id,
        failure=problem.code,
        owner="it",
        cause=f"{problem.detail} ({problem.code}{where})",
        message_id=delivery.message_id,
        intent_id=None,
        body=delivery.body,
        opened_at=at,
    )
