"""A timer's message is enqueued once, at its moment; one that nobody takes is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from actors.runtime.actor import Context
from actors.runtime.clock import VirtualClock, microseconds
from actors.runtime.entropy import SeededEntropy
from actors.services import Timers
from broker.accept import Acceptor
from broker.embedded import EmbeddedBroker
from broker.store.rows import TimerRow
from broker.store.store import Store
from broker.store.unit import Unit
from broker.topology import build
from contracts.catalogue import REGISTRY
from contracts.codec import encode
from contracts.envelope import Envelope, encode_envelope
from contracts.messages import ProcessTimer

pytestmark = pytest.mark.anyio


def a_timer(name: str, due: int) -> TimerRow:
    data = ProcessTimer(process_id=name, account_id="ACC-1", what="expire")
    envelope = Envelope(
        id=f"{name}-expire",
        source="urn:tidegate:workflow",
        type="process.timer",
        tenant="acme",
        data=msgspec.Raw(encode(data)),
    )
    return TimerRow(f"workflow/acme/{name}/expire", due, "tidegate.workflow.standard.0", encode_envelope(envelope))


async def ring(store: Store, routes: dict[str, str], clock: VirtualClock) -> dict[str, Any]:
    """Let the timers run over a second of their clock; what is queued and what is left."""
    broker = EmbeddedBroker(store)
    async with broker.connected():
        await broker.declare(build(sorted(set(routes.values())), 1))
        timers = Timers(store, Acceptor(broker, REGISTRY, routes, 1))
        context = Context("timers", clock, SeededEntropy(1))
        async with anyio.create_task_group() as group:
            group.start_soon(store.writer.run)
            group.start_soon(timers.run, context)
            before = microseconds(clock.now())
            for _ in range(200):
                await anyio.lowlevel.checkpoint()
            await clock.advance(1.5)
            left = await store.reads.timers_due(2**62, 10)
            while left and left[0][1] <= before:
                left = await store.reads.timers_due(2**62, 10)
            group.cancel_scope.cancel()
    return {"queued": await store.reads.queue_depths(), "left": left}


async def test_it_rings_once_at_its_moment(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with Store(tmp_path) as store:
        await _set(store, a_timer("CASE-1", microseconds(clock.now())))
        told = await ring(store, {"process.timer": "workflow"}, clock)
    assert told == {"queued": {"tidegate.workflow.standard.0": 1}, "left": []}


async def test_what_nobody_takes_is_kept_for_later(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with Store(tmp_path) as store:
        await _set(store, a_timer("CASE-1", microseconds(clock.now())))
        told = await ring(store, {"support.case.opened": "credit-policy"}, clock)
    assert told["queued"] == {}
    ((name, due, *_),) = told["left"]
    assert name == "workflow/acme/CASE-1/expire"
    assert due > microseconds(clock.now())


async def _set(store: Store, timer: TimerRow) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(store.writer.run)
        await store.commit(Unit(0, timers=[timer]))
        group.cancel_scope.cancel()
