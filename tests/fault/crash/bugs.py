"""Bugs to plant in the daemon under test. Each is one thing done in the wrong order, twice, or not at all.

`PLANTED` says for each at which point the daemon has to die for it to come to light, and which findings then name it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from actors import approvals, processes
from actors.adapters.port import Answer, Failed, Lost
from actors.adapters.rest import RestAdapter
from actors.caller import poster
from actors.caller.results import Results
from actors.doors.desk import Desk
from actors.processes import WorkflowDecider
from actors.services import Timers
from broker.life import Life
from broker.port import Delivery
from broker.relay import Relay
from broker.store.rows import CallChange, CallRow
from broker.store.unit import Unit
from policies import process
from policies.recoverability import FailureClass
from tests.fault.crash.untrue import SECONDS, Halves, Late, Without

SWITCH = "TIDEGATE_TEST_PLANTED"


@dataclass(frozen=True)
class Bug:
    """How it is planted; where to die (`POINT:SIDE:N`), in which mode and with which part; what finds it."""

    plant: Callable[[], None]
    at: str
    finds: str
    mode: str = "clean"
    engine: str = "embedded"
    part: str = ""
    first: str = ""


def _patch(owner: Any, name: str, make: Callable[[Any], Any]) -> Callable[[], None]:
    return lambda: setattr(owner, name, make(getattr(owner, name)))


# the order of things ------------------------------------------------------------------------------------------


def posts_first(sound: Any) -> Any:
    """Lets calls go, then makes them durable."""

    async def start(self: Any, flights: list[Any], group: Any, context: Any) -> None:
        for flight in flights:
            if flight.kind == "post" and flight.call.system == "erp":
                await self._adapter.post(flight.call)
        await sound(self, flights, group, context)

    return start


def acknowledges_first(sound: Any) -> Any:
    """Settles, then commits."""

    async def carry(self: Life, deliveries: Sequence[Delivery], subscription: Any, at: int) -> Any:
        await subscription.acknowledge(deliveries)
        await asyncio.sleep(SECONDS / 3)
        return await sound(self, deliveries, subscription, at)

    return carry


def answers_first(sound: Any) -> Any:
    """Answers, then commits."""

    async def accept(self: Desk, envelopes: Any, batch: bool = False) -> Any:
        store, late = self._store, Late(self._store)
        self._store = late  # type: ignore[assignment]
        try:
            return await sound(self, envelopes, batch)
        finally:
            self._store = store

    return accept


def _in_halves(part: Callable[[Unit], Unit | None], domain: str) -> Callable[[Any], Any]:
    def make(sound: Any) -> Any:
        def begin(self: Life, store: Any, broker: Any, acceptor: Any, registry: Any, decider: Any) -> None:
            mine = Halves(store, part) if decider.domain == domain else store
            sound(self, mine, broker, acceptor, registry, decider)

        return begin

    return make


def _checkpoint(unit: Unit) -> Unit | None:
    """The checkpoint and the inbox mark, taken out of a unit that asks for the call to the ERP."""
    if not any(row.system == "erp" for row in unit.calls):
        return None
    first = Unit(unit.at, handled=unit.handled, settled=unit.settled, states=unit.states, processes=unit.processes)
    unit.handled, unit.settled, unit.states, unit.processes = [], [], [], []
    return first


def _void(unit: Unit) -> Unit | None:
    """The call that undoes, under an identity that the next try does not know."""
    voids = [row for row in unit.calls if row.operation.endswith("void")]
    if not voids:
        return None
    return Unit(unit.at, calls=[_renamed(row, f"-{unit.at % 100_000}") for row in voids])


def _renamed(row: CallRow, suffix: str) -> CallRow:
    body = msgspec.json.decode(row.body)
    return msgspec.structs.replace(
        row,
        intent_id=f"{row.intent_id}{suffix}",
        body=msgspec.json.encode({**body, "intent_id": f"{row.intent_id}{suffix}"}),
        fingerprint=f"{row.fingerprint}{suffix}",
    )


def _told(unit: Unit) -> Unit | None:
    """What is said of an outcome, taken out of the unit that records it."""
    if not unit.milestones or not unit.call_changes:
        return None
    first = Unit(unit.at, milestones=unit.milestones, items=unit.items)
    unit.milestones, unit.items = [], []
    return first


def told_before(sound: Any) -> Any:
    """Says what came of a call, then records it."""

    def begin(self: Any, store: Any, *facts: Any, **named: Any) -> None:
        sound(self, Halves(store, _told), *facts, **named)

    return begin


def deletes_first(sound: Any) -> Any:
    """Takes a message off the outbox, then publishes it."""

    async def publish(self: Relay, rows: Any, epoch: int) -> Any:
        await self._store.commit(Unit(0, settled=[row.seq for row in rows]))
        await asyncio.sleep(SECONDS / 3)
        return await sound(self, rows, epoch)

    return publish


def rings_first(sound: Any) -> Any:
    """Takes timers off, then enqueues their messages."""

    def ring(self: Timers, unit: Unit, timer: Any, now: int) -> None:
        sound(self, unit, timer, now)
        accepts = list(unit.accepts)
        unit.accepts.clear()

        async def later() -> None:
            await asyncio.sleep(SECONDS)
            await self._store.commit(Unit(now, accepts=accepts))

        self.__dict__.setdefault("tasks", []).append(asyncio.create_task(later()))

    return ring


# twice, or not at all -----------------------------------------------------------------------------------------


def new_key(sound: Any) -> Any:
    """Sends again under another intent id."""

    async def post(self: RestAdapter, call: Any) -> Answer:
        if call.sent > 1 and self.system == "erp":
            body = {**msgspec.json.decode(call.body), "intent_id": f"{call.intent_id}-{call.sent}"}
            encoded = msgspec.json.encode(body)
            call = msgspec.structs.replace(call, intent_id=f"{call.intent_id}-{call.sent}", body=encoded)
        answer: Answer = await sound(self, call)
        return answer

    return post


def unknown_is_failed(sound: Any) -> Any:
    """Says of a lost answer that nothing was done."""

    async def post(self: RestAdapter, call: Any) -> Answer:
        answer: Answer = await sound(self, call)
        if isinstance(answer.outcome, Lost) and self.system == "erp":
            return Answer(Failed(FailureClass.TRANSIENT, "timeout", "no answer came"))
        return answer

    return post


def forgets_in_flight(sound: Any) -> Any:
    """A new life takes calls in flight for calls that never left."""

    async def take_over(store: Any, adapter: Any, limits: Any, domain: str, clock: Any) -> Any:
        left = await sound(store, adapter, limits, domain, clock)
        unit = Unit(0)
        for call in left.unknown:
            again = msgspec.structs.replace(call, status="waiting", ready=1, not_before=0)
            unit.call_changes.append(CallChange(again, "unknown", domain))
        await store.commit(unit)
        return msgspec.structs.replace(left, unknown=[])

    return take_over


def abandons_in_flight(sound: Any) -> Any:
    """A new life does not look at what was in flight."""

    async def take_over(store: Any, adapter: Any, limits: Any, domain: str, clock: Any) -> Any:
        return msgspec.structs.replace(await sound(store, adapter, limits, domain, clock), unknown=[])

    return take_over


def forgets_spends(sound: Any) -> Any:
    """Calls leave without being counted."""

    async def start(self: Any, flights: list[Any], group: Any, context: Any) -> None:
        store = self._store
        self._store = Without(store)
        try:
            await sound(self, flights, group, context)
        finally:
            self._store = store

    return start


def same_hand_twice(sound: Any) -> Any:
    """Does not see that somebody has voted already."""

    def judge(ask: Any, needed: Any, votes: Any, *facts: Any) -> Any:
        others = [msgspec.structs.replace(vote, who=f"{vote.who}, again") for vote in votes]
        return sound(ask, needed, others, *facts)

    return judge


def plant_same_hand() -> None:
    """At the door and in the process."""
    for module in (approvals, processes):
        module.judge = same_hand_twice(module.judge)  # type: ignore[attr-defined]


def begins_again(sound: Any) -> Any:
    """A life that goes on with a process takes it up one step too early: what it was told last is not known."""
    met: set[str] = set()

    def decide(self: WorkflowDecider, envelope: Any, data: Any, state: Any, at: Any) -> Any:
        key = envelope.tenant + data.process_id
        if state is not None and key not in met:
            steps = {
                name: process.StepState("started" if one.status == "done" else one.status, one.intent_id)
                for name, one in state.process.steps.items()
            }
            state = msgspec.structs.replace(state, process=msgspec.structs.replace(state.process, steps=steps))
        met.add(key)
        return sound(self, envelope, data, state, at)

    return decide


def no_inbox(sound: Any) -> Any:
    """Does not know what it has handled."""

    async def recognise(self: Life, received: Any) -> Any:
        return list(received)

    return recognise


def plant_no_inbox() -> None:
    """Neither looks nor minds."""
    from broker.store import fold

    Life._recognise = no_inbox(Life._recognise)  # type: ignore[method-assign]
    settle = fold.Folder._settle

    async def careless(self: Any, connection: Any, units: Any) -> None:
        try:
            await settle(self, connection, units)
        except fold.Conflict:
            return

    fold.Folder._settle = careless  # type: ignore[method-assign]


def silent_process(sound: Any) -> Any:
    """Records the outcome of a call and does not tell the process that waits for it."""

    def unit(self: Results, was: str, step: Any, spend: Any, now: int) -> Unit:
        made: Unit = sound(self, was, step, spend, now)
        if step.call.status == "done" and was == "unknown":
            made.accepts.clear()
        return made

    return unit


PLANTED: dict[str, Bug] = {
    "post before intent": Bug(
        _patch(poster.Poster, "_start", posts_first), "commit/poster.start/erp-poster:before:1", "unrecorded"
    ),
    "ack before commit": Bug(
        _patch(Life, "_carry", acknowledges_first), "commit/life.carry/erp-requests:before:1", "lost"
    ),
    "accept answered before commit": Bug(
        _patch(Desk, "accept", answers_first), "commit/untrue.commit:before:1", "lost"
    ),
    "checkpoint before effect": Bug(
        _patch(Life, "__init__", _in_halves(_checkpoint, "workflow")), "commit/untrue.first/workflow:after:1", "orphan"
    ),
    "compensation twice": Bug(
        _patch(Life, "__init__", _in_halves(_void, "workflow")), "commit/untrue.first/workflow:after:1", "orphan"
    ),
    "result recorded twice": Bug(
        _patch(poster.Poster, "__init__", told_before), "commit/untrue.first/erp-poster:after:1", "duplicate"
    ),
    "outbox deleted before confirm": Bug(
        _patch(Relay, "_publish", deletes_first), "publish/relay.send:before:3", "lost", engine="rabbitmq"
    ),
    "timer deleted before it rings": Bug(
        _patch(Timers, "_ring", rings_first), "commit/bugs.rings_first:before:1", "orphan", part="late"
    ),
    "new key on retry": Bug(_patch(RestAdapter, "post", new_key), "call/rest.post/erp-poster:before:1", "orphan"),
    "unknown treated as failed": Bug(
        _patch(RestAdapter, "post", unknown_is_failed), "commit/poster.start/erp-poster:after:2", "blind", "lost"
    ),
    "in flight taken for never sent": Bug(
        _patch(poster, "take_over", forgets_in_flight), "call/rest.post/erp-poster:after:1", "blind"
    ),
    "in flight forgotten": Bug(
        _patch(poster, "take_over", abandons_in_flight), "call/rest.post/erp-poster:after:1", "orphan"
    ),
    "spend forgotten": Bug(
        _patch(poster.Poster, "_start", forgets_spends), "commit/poster.store_step/erp-poster:before:1", "uncounted"
    ),
    "approval applied twice": Bug(plant_same_hand, "commit/approvals.vote:after:1", "duplicate"),
    "process resumed from the wrong step": Bug(
        _patch(WorkflowDecider, "decide", begins_again), "commit/life.carry/workflow:after:12", "orphan"
    ),
    "inbox mark forgotten": Bug(
        plant_no_inbox, "ack/life.carry/incident-exposure:before:1", "duplicate", engine="rabbitmq"
    ),
    "answer not told to the process": Bug(
        _patch(Results, "unit", silent_process), "call/saas.post/billing-caller:after:1", "orphan"
    ),
}
