"""Tenants use the same keys, and each has its own clocks; what waits for approval is never without them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from actors.processes import WorkflowDecider
from actors.processes_record import Record, digest_of
from actors.runtime.actor import Context
from actors.runtime.clock import VirtualClock, microseconds
from actors.runtime.entropy import SeededEntropy
from actors.services import Timers
from broker.accept import Acceptor
from broker.embedded import EmbeddedBroker
from broker.life import Life, timer_id
from broker.port import Subscription
from broker.store.rows import TimerRow
from broker.store.store import Store
from broker.store.unit import Unit
from broker.topology import build
from contracts.catalogue import REGISTRY
from contracts.codec import decode, encode
from contracts.envelope import Envelope, decode_envelope
from contracts.errors import ContractError
from contracts.messages import CallEnded, ProcessVote
from policies.approval import ApprovalPolicy
from policies.partitions import queue_name
from tests.support.stores import running_store
from tests.unit.test_processes_wait import PEOPLE, RECORDS, start

pytestmark = pytest.mark.anyio
DAY = timedelta(days=1)
QUEUE = queue_name("workflow", "standard", 0)


class Land:
    """A workflow with a store, a broker and timers, on a clock of the test's own."""

    def __init__(self, store: Store, life: Life, acceptor: Acceptor, clock: VirtualClock, queue: Subscription) -> None:
        self.store = store
        self.clock = clock
        self._life, self._acceptor, self._queue = life, acceptor, queue
        self.began = clock.now()
        self._sent = 0

    async def send(self, tenant: str, type_: str, data: Any) -> None:
        """A message of a tenant, taken up at once."""
        self._sent += 1
        envelope = Envelope(
            id=f"msg-{self._sent}",
            source="urn:test",
            type=type_,
            tenant=tenant,
            data=msgspec.Raw(encode(data)),
        )
        at = microseconds(self.clock.now())
        await self.store.commit(Unit(at, accepts=[self._acceptor.prepare(self._acceptor.read(envelope), at)]))
        await self._work()

    async def at(self, days: float) -> dict[str, tuple[int, str | None]]:
        """So long after the beginning, when the clocks have rung: steps up and outcome of each tenant's CASE-1."""
        wanted: datetime = self.began + days * DAY
        await self.clock.advance((wanted - self.clock.now()).total_seconds())
        while await self.store.reads.timers_due(microseconds(self.clock.now()), 1):
            await self.clock.advance(1.0)
        await self._work()
        found = await self.store.reads.states("workflow", ["acme/CASE-1", "beta/CASE-1"])
        records = {key.removesuffix("/CASE-1"): decode(body, Record) for key, (_, body) in found.items()}
        return {name: (record.escalations, record.process.outcome) for name, record in sorted(records.items())}

    async def _work(self) -> None:
        while (await self.store.reads.queue_depths()).get(QUEUE):
            await self._life.live(await self._queue.receive(10), self._queue, microseconds(self.clock.now()))


@asynccontextmanager
async def land(directory: Path, *systems: str) -> AsyncIterator[Land]:
    """Everything runs for the length of the block; these systems are connected beside the ERP."""
    clock = VirtualClock()
    policy = ApprovalPolicy(escalate_seconds=3 * 86_400, expire_seconds=5 * 86_400)
    decider = WorkflowDecider(frozenset({"erp", *systems}), PEOPLE, (), policy)
    async with running_store(directory) as store:
        broker = EmbeddedBroker(store)
        acceptor = Acceptor(broker, REGISTRY, dict.fromkeys(decider.handles, "workflow"), 1)
        async with broker.connected(), anyio.create_task_group() as group:
            await broker.declare(build(["workflow"], 1))
            group.start_soon(Timers(store, acceptor).run, Context("timers", clock, SeededEntropy(1)))
            async with broker.subscribe([QUEUE], prefetch=10) as queue:
                yield Land(store, Life(store, broker, acceptor, REGISTRY, decider), acceptor, clock, queue)
            group.cancel_scope.cancel()


async def test_the_same_key_of_two_tenants_steps_up_and_expires_for_each_by_its_own_clocks(tmp_path: Path) -> None:
    async with land(tmp_path) as here:
        await here.send("acme", "process.start", start())
        await here.clock.advance(DAY.total_seconds())
        await here.send("beta", "process.start", start())
        assert await here.at(2.9) == {"acme": (0, None), "beta": (0, None)}
        assert await here.at(3.1) == {"acme": (1, None), "beta": (0, None)}
        assert await here.at(4.1) == {"acme": (1, None), "beta": (1, None)}
        assert await here.at(5.1) == {"acme": (1, "expired"), "beta": (1, None)}
        assert await here.at(6.1) == {"acme": (1, "expired"), "beta": (1, "expired")}


async def test_what_one_tenant_rejects_leaves_the_clocks_of_the_other(tmp_path: Path) -> None:
    async with land(tmp_path) as here:
        for tenant in ("acme", "beta"):
            await here.send(tenant, "process.start", start())
        no = ProcessVote(
            process_id="CASE-1", account_id="ACC-1", who="anna", verdict="reject", digest=digest_of(start())
        )
        await here.send("beta", "process.vote", no)
        assert await here.at(3.1) == {"acme": (1, None), "beta": (0, "rejected")}
        assert await here.at(5.1) == {"acme": (1, "expired"), "beta": (0, "rejected")}


async def test_what_was_stuck_beyond_its_clocks_steps_up_and_expires_after_all(tmp_path: Path) -> None:
    async with land(tmp_path, "crm") as here:
        await here.send("acme", "process.start", start())
        (look,) = await here.store.reads.calls_by_key("CASE-1")
        ended = CallEnded(process_id="CASE-1", account_id="ACC-1", intent_id=look.intent_id, status="exception")
        await here.send("acme", "process.call.ended", ended)
        assert await here.at(30) == {"acme": (0, None)}
        assert await here.store.reads.timers_due(2**62, 10) == []
        read = msgspec.structs.replace(ended, status="done", document=RECORDS["account.read"])
        await here.send("acme", "process.call.ended", read)
        assert await here.at(33.1) == {"acme": (1, None)}
        assert await here.at(35.1) == {"acme": (1, "expired")}


async def test_a_timer_taken_off_leaves_that_of_the_other_tenant(tmp_path: Path) -> None:
    acme, beta = (timer_id("workflow", tenant, "CASE-1", "expire-1") for tenant in ("acme", "beta"))
    async with running_store(tmp_path) as store:
        await store.commit(Unit(1, timers=[TimerRow(acme, 10, QUEUE, b"acme"), TimerRow(beta, 20, QUEUE, b"beta")]))
        await store.commit(Unit(1, timers_done=[beta]))
        assert await store.reads.timers_due(2**62, 10) == [(acme, 10, QUEUE, b"acme")]


@pytest.mark.parametrize("id", ["acme/CASE-1", "acme/", "/acme", "a/b"])
def test_no_id_has_the_character_that_keeps_the_parts_of_a_timers_id_apart(id: str) -> None:
    for named in ({"tenant": id}, {"data": {"process_id": id}}):
        event: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "urn:test", "type": "process.timer"}
        data = {"process_id": "CASE-1", "account_id": "ACC-1", "what": "expire"} | named.pop("data", {})
        with pytest.raises(ContractError):
            REGISTRY.decode_data(decode_envelope(msgspec.json.encode(event | named | {"data": data})))
