"""Holds the ledger against the systems: after a restore before anything is posted, from time to time, and when asked.

What the background finds becomes an exception with an owner; nothing is ever posted or reversed by itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from loguru import logger

from actors.caller.poster import Poster
from actors.reconcil_look import Look, stray_of
from actors.reconcil_run import Asker, Comparison, Stopped
from actors.reconcil_words import Progress
from actors.runtime.actor import Context
from actors.runtime.clock import microseconds
from broker.store.ledger import LedgerReads
from broker.store.ledger_rows import ReconciliationRow
from broker.store.rows import AuditRow, ExceptionRow, MilestoneRow
from broker.store.store import Store, StoreUnavailable
from broker.store.unit import Unit
from policies.reconcile import Difference, OutOfOrder, Paper

SOON_US = 600_000_000
"""So long after a start the first background comparison waits, if none was ever made."""
PREFIX = "ledger."
"""Failure classes of what a comparison has found begin so."""
_KEPT = 20
_json = msgspec.json.Encoder(order="deterministic")


class Reconciler:
    """One comparison at a time, the asked for before the background's. A restart forgets those that were asked for."""

    def __init__(
        self,
        store: Store,
        posters: Mapping[str, Poster],
        every_hours: float,
        look_first_hours: float,
    ) -> None:
        """`every_hours`: how often the background compares each system (0: never)."""
        self._store = store
        self._posters = posters
        self._every_us = int(every_hours * 3.6e9)
        self._look_first_hours = look_first_hours
        self._asked: deque[Progress] = deque()
        self._wake = asyncio.Event()
        self._due: dict[str, int] = {}
        self._number = 0
        self.runs: deque[Progress] = deque(maxlen=_KEPT)
        """The last runs, newest last."""
        self.looking: dict[str, str] = {}
        """Systems that are being looked at after a restore, and why nothing is posted to them."""

    def ask(self, system: str, who: str, now: int) -> Progress:
        """Have a system compared, or join the comparison that was asked for before and is not over."""
        for run in (*self._asked, *self.runs):
            if run.system == system and run.kind == "verify" and not run.over and not run.stop_asked:
                return run
        run = self._begin("verify", system, who, now)
        self._asked.append(run)
        for other in self.runs:
            other.stop_asked |= other.kind == "cycle" and not other.over
        self._wake.set()
        return run

    def find(self, number: int | None, system: str | None) -> Progress | None:
        """A run by its number, or the last one of a system."""
        runs = [*self.runs, *self._asked]
        return next((r for r in reversed(runs) if number in (None, r.number) and system in (None, r.system)), None)

    def _begin(self, kind: str, system: str, who: str, now: int) -> Progress:
        self._number += 1
        return Progress(self._number, kind, system, who, now)

    async def run(self, context: Context) -> None:
        """Look, compare, and keep the store's mark safe, until asked to stop.

        Raises:
            TimeoutError: the store took too long; the supervisor tries again.
        """
        context.ready()
        await self._plan(context)
        flushing = asyncio.ensure_future(self._flush(context))
        try:
            while not context.stopping:
                context.beat()
                if self._reopened:
                    await self._look(context)
                if (job := self._next(context)) is not None:
                    await self._compare(job, context)
                else:
                    self._wake.clear()
                    await context.pause(self._wake, 1.0)
        finally:
            flushing.cancel()
            await asyncio.wait({flushing})

    @property
    def _reopened(self) -> bool:
        return any(poster.first_looks.closed is not None for poster in self._posters.values())

    async def _flush(self, context: Context) -> None:
        while True:
            await context.clock.sleep(1.0)
            await self._store.flush_mark()
            if self._store.mark_failure is not None:
                context.notice(f"it is not kept how far the store is: {self._store.mark_failure}")

    # looking ---------------------------------------------------------------------------------------------------

    async def _look(self, context: Context) -> None:
        """Every system that nothing may be posted to before it was looked at."""
        for system, poster in list(self._posters.items()):
            pending = await LedgerReads(self._store.reads, system).pending()
            if pending is None:
                self.looking.pop(system, None)
                continue
            self.looking[system] = pending.why
            progress = self._begin("look", system, "tidegate", self._now(context))
            asker = Asker(lambda system=system: self._posters.get(system), context, progress)  # type: ignore[misc]
            logger.warning("{}: nothing is posted before it was looked at: {}", system, pending.why)
            try:
                facts = await Look(self._store, poster, asker, context, self._look_first_hours).run(pending)
            except Stopped as end:
                context.notice(f"{system} was not looked at: {end}")
                await context.pause(self._wake, 1.0)
                continue
            except StoreUnavailable as problem:
                context.notice(f"what was seen at {system} is not stored: {problem}")
                await context.pause(self._wake, 1.0)
                continue
            self.looking.pop(system, None)
            logger.warning("{} was looked at: {}", system, msgspec.json.encode(facts).decode())

    # comparing -------------------------------------------------------------------------------------------------

    async def _plan(self, context: Context) -> None:
        """When each system is due, by when it was compared last."""
        now = self._now(context)
        for system in self._posters:
            last = await LedgerReads(self._store.reads, system).last("cycle")
            soon = now + min(self._every_us, SOON_US)
            self._due[system] = soon if last is None else max(last.started_at + self._every_us, soon)

    def _next(self, context: Context) -> Progress | None:
        """What was asked for first; else the system that is due."""
        if self._asked:
            return self._asked.popleft()
        now = self._now(context)
        due = [system for system in self._posters if self._every_us and self._due.setdefault(system, now) <= now]
        return self._begin("cycle", min(due, key=lambda system: self._due[system]), "tidegate", now) if due else None

    async def _compare(self, run: Progress, context: Context) -> None:
        self.runs.append(run)
        run.state = "running"
        reads = LedgerReads(self._store.reads, run.system)
        asker = Asker(lambda: self._posters.get(run.system), context, run)
        last = await reads.last("cycle") if run.kind == "cycle" else None
        keep = await self._keeper(run, reads, context)
        try:
            await Comparison(reads, asker, context, run, keep).run(last.started_at if last else None)
            run.end("differs" if run.differences else "clean", self._now(context))
        except Stopped as end:
            run.end("stopped", self._now(context), str(end))
        except OutOfOrder as problem:
            run.end("failed", self._now(context), f"the listing is not in the order of references: {problem}")
        except BaseException:
            run.end("failed", self._now(context), "the comparison broke off; the log says why")
            raise
        if run.kind == "cycle" and run.state != "stopped":
            self._due[run.system] = run.started_at + max(self._every_us, 1)
        await self._record(run, context)

    async def _record(self, run: Progress, context: Context) -> None:
        """Into the store and the audit; a run that was cut short only into the audit."""
        now = self._now(context)
        verb = "ledger.verified" if run.kind == "verify" else "ledger.compared"
        unit = Unit(now, audits=[AuditRow(now, run.who, verb, run.system, run.facts())])
        if run.state in ("clean", "differs"):
            facts = _json.encode(run.facts()).decode()
            row = ReconciliationRow(
                kind=run.kind, system=run.system, why=run.who, started_at=run.started_at, ended_at=now, facts=facts
            )
            unit.reconciliations = [row]
        level = "WARNING" if run.differences else "INFO"
        logger.log(level, "{} of {}: {}", run.kind, run.system, _json.encode(run.facts()).decode())
        try:
            await self._store.commit(unit)
        except StoreUnavailable as problem:
            context.notice(f"the result of a comparison is not stored: {problem}")

    async def _keeper(self, run: Progress, reads: LedgerReads, context: Context) -> Callable[[list[Difference]], Any]:
        """What is done with differences: named for who asked; in the background they open exceptions, each once."""
        known = await reads.known_troubles(PREFIX) if run.kind == "cycle" else set()

        async def keep(found: list[Difference]) -> None:
            run.add(found)
            new = [one for one in found if (one.intent_id, PREFIX + one.kind) not in known]
            if run.kind == "cycle" and new:
                known.update((one.intent_id, PREFIX + one.kind) for one in new)
                unit = _troubles(run.system, new, self._now(context))
                await self._store.commit(unit)
                if unit.strays and (poster := self._posters.get(run.system)) is not None:
                    await poster.looked(context)

        return keep

    @staticmethod
    def _now(context: Context) -> int:
        return microseconds(context.clock.now())


def _troubles(system: str, found: list[Difference], now: int) -> Unit:
    """Exceptions for people; and intents that the system has documents of are looked up before they are sent."""
    unit = Unit(now)
    for one in found:
        unit.exceptions.append(
            ExceptionRow(
                key=one.key or one.intent_id,
                failure=PREFIX + one.kind,
                owner=one.owner,
                cause=f"{system} and the ledger differ over {one.sentence}. What to do: {one.advice}.",
                message_id=None,
                intent_id=one.intent_id,
                body=None,
                opened_at=now,
            )
        )
        if one.key:
            facts = _json.encode({"expected": one.expected, "found": one.found, "system": system}).decode()
            unit.milestones.append(
                MilestoneRow("ledger", one.key, f"ledger.{one.kind}", now, "reconciler", None, facts)
            )
        if one.kind in ("document.unexplained", "waiting.posted"):
            unit.strays.append(stray_of(system, Paper(one.intent_id, one.document, "", "", ""), now))
    return unit
