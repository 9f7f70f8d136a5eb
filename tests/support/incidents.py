"""An approved incident in a real store, with its runner and its views, and nobody behind them: a test writes what the
processes and the systems would."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from sqlalchemy import select

from actors.house import House
from actors.processes_record import DOMAIN, Record, digest_of
from actors.runtime.clock import VirtualClock, microseconds
from actors.wave_runner import WaveRunner
from actors.wave_views import WaveViews
from actors.waves import Waves
from broker.accept import Acceptor
from broker.embedded import EmbeddedBroker
from broker.store import schema as s
from broker.store.rows import Handled, StateRow
from broker.store.store import Store
from broker.store.unit import Unit
from broker.topology import build
from contracts.catalogue import REGISTRY
from contracts.codec import encode
from contracts.messages import ProcessStart
from contracts.money import Money
from policies.approval import Need, Vote
from policies.process import TABLES, begin
from policies.wave import DEFAULT_RULES, Cap, Rules, Wave, granted
from tests.support.rows import accept, call, step
from tests.support.stores import running_store

TENANT, INCIDENT = "acme", "INC-1"
MINOR = 10_000
replace = msgspec.structs.replace
_ROUTES = {"process.grant": DOMAIN, "incident.switch": "incident-exposure"}


class Outage:
    """The incident, as anna has approved it."""

    def __init__(self, store: Store, broker: EmbeddedBroker, rules: Rules) -> None:
        self.store, self.clock = store, VirtualClock()
        house = SimpleNamespace(store=store, clock=self.clock, registry=REGISTRY, poster=None, now=self.now)
        self.waves = Waves(cast(House, house), Acceptor(broker, REGISTRY, _ROUTES, 1), {}, ())
        self.runner, self.views = WaveRunner(self.waves, rules), WaveViews(self.waves)

    def now(self) -> int:
        return microseconds(self.clock.now())

    async def ask(self, *records: Record) -> None:
        """Processes stand like this now."""
        unit = Unit(self.now())
        unit.processes += [record.row(self.clock.now()) for record in records]
        names = [(f"{TENANT}/{record.request.process_id}", encode(record)) for record in records]
        unit.states += [StateRow(DOMAIN, name, unit.at, body, unit.at) for name, body in names]
        await self.store.commit(unit)

    async def approve(self, cases: int = 100, by: str = "anna") -> None:
        """From now on it runs."""
        wave = Wave(tenant=TENANT, incident=INCIDENT)
        cap = Cap({"EUR": cases * MINOR}, cases)
        vote = Vote(who=by, verdict="approve", digest="d", reason="confirmed")
        seen = await self.waves.seen(wave, self.now())
        proposal = replace(self.waves.proposal(wave, cap, seen), votes=(vote,))
        await self.waves.all()
        asked = await self.waves.reads.asked(TENANT, INCIDENT)
        self.waves.written(granted(wave, proposal, asked, self.now()))

    async def take_up(self) -> list[str]:
        """The processes have handled what was let through; whose they are."""
        m = s.message.c
        query = select(m.dedupe, m.key).where(m.type == "process.grant", m.handled_at.is_(None)).order_by(m.seq)
        rows = await self.store.reads.rows(query)
        await self.store.commit(Unit(self.now(), handled=[Handled(dedupe, self.now(), "done") for dedupe, _ in rows]))
        return [key for _, key in rows]

    async def send_again(self, who: str, *names: str) -> None:
        """Somebody sends cases again that were turned back; people are asked about them anew."""
        await self.clock.advance(1)
        facts = {"type": "process.replay", "tenant": TENANT, "accepted_at": self.now()}
        sent = [accept(f"again {name}", key=name, **facts) for name in names]
        done = [Handled(one.row.dedupe, self.now(), "done") for one in sent]
        await self.store.commit(Unit(self.now(), accepts=sent))
        await self.store.commit(Unit(self.now(), handled=done))
        await self.ask(*(replace(credit(name), replayers=(who,)) for name in names))

    async def look(self) -> Wave:
        """The runner looks once."""
        await self.runner.turn()
        return await self.waves.of(INCIDENT, TENANT)

    async def calls(self, name: str, *calls: tuple[str, str], minor: int = MINOR, status: str = "done") -> None:
        """What systems were asked for a case, in this order."""
        for system, operation in calls:
            count = len(await self.store.reads.calls_by_key(name))
            facts = {"key": name, "tenant": TENANT, "system": system, "operation": operation, "minor": minor}
            row = call(f"{name} {count}", f"of {name} {count}", **facts)
            await self.store.commit(Unit(self.now(), calls=[row]))
            (asked,) = [one for one in await self.store.reads.calls_by_key(name) if one.intent_id == row.intent_id]
            await self.store.commit(Unit(self.now(), call_changes=[step(asked, "in_flight")]))
            (begun,) = [one for one in await self.store.reads.calls_by_key(name) if one.intent_id == row.intent_id]
            await self.store.commit(Unit(self.now(), call_changes=[step(begun, status)]))


@asynccontextmanager
async def outage(directory: Path, records: Sequence[Record], rules: Rules = DEFAULT_RULES) -> AsyncIterator[Outage]:
    """An incident with these processes, that nobody has approved yet."""
    async with running_store(directory) as store:
        broker = EmbeddedBroker(store)
        async with broker.connected():
            await broker.declare(build(sorted(set(_ROUTES.values())), 1))
            made = Outage(store, broker, rules)
            await made.ask(*records)
            yield made


def credit(name: str, minor: int = MINOR, **more: Any) -> Record:
    """A credit of an account of its own that a policy has asked for and that waits for people."""
    money = Money(minor, "EUR")
    facts = {"requested_by": "credit-policy", "policy_version": "credit/1", **more}
    request = ProcessStart(
        process_id=name,
        kind="credit",
        account_id=f"ACC-{name}",
        amount=money,
        reason_code="service_credit",
        exposure=money,
        incident_id=INCIDENT,
        **facts,
    )
    return Record(
        tenant=TENANT,
        lane="standard",
        workload="credit",
        request=request,
        digest=digest_of(request),
        need=Need(1, "finance-clerk", "a test"),
        process=begin(TABLES["credit"], frozenset(), approved=False),
        opened_at=1,
    )


def came_out(record: Record, outcome: Any) -> Record:
    """The same process, ended."""
    return replace(record, process=replace(record.process, phase="ended", outcome=outcome))
