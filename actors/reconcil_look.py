"""Looking at a system after the store was found to be older than it once was; nothing is posted before that.

Every document that the system has since then is held against the ledger. Those that no done call explains are kept as
strays: whatever asks for their intent later, a redelivered message most of all, is looked up instead of sent.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from actors.adapters.port import CannotList, Lister
from actors.caller.first_looks import LookFacts
from actors.caller.poster import Poster
from actors.reconcil_run import Asker
from actors.runtime.actor import Context
from actors.runtime.clock import microseconds, moment
from broker.store.ledger import LedgerReads, Pending
from broker.store.ledger_rows import ReconciliationRow, StrayRow
from broker.store.rows import AuditRow
from broker.store.store import Store
from broker.store.unit import Unit
from policies.reconcile import Paper

MARGIN = timedelta(hours=1)
"""By so much a system's clock may be behind ours."""
_json = msgspec.json.Encoder(order="deterministic")


class Look:
    """One look at one system. A kill in the middle: the next life begins it anew."""

    def __init__(self, store: Store, poster: Poster, asker: Asker, context: Context, all_hours: float) -> None:
        """`all_hours`: how long every first post is looked up before, where the system has no listing."""
        self._store = store
        self._poster = poster
        self._system = poster.adapter.system
        self._reads = LedgerReads(store.reads, self._system)
        self._asker = asker
        self._context = context
        self._all_hours = all_hours

    async def run(self, pending: Pending) -> LookFacts:
        """Look, keep what was found, and let the caller post again.

        Raises:
            Stopped: it ended early; nothing is posted until it was done.
            StoreUnavailable: what was found could not be kept; the same.
        """
        started_at = self._now()
        await self._wait_out(pending)
        facts = await self._listed(pending) if isinstance(self._poster.adapter, Lister) else None
        if facts is None:
            facts = LookFacts(all_until=self._now() + int(self._all_hours * 3.6e9))
        text = _json.encode(facts).decode()
        unit = Unit(self._now())
        unit.reconciliations = [
            ReconciliationRow(
                kind="look",
                system=self._system,
                of=pending.seq,
                why=pending.why,
                started_at=started_at,
                ended_at=unit.at,
                facts=text,
            )
        ]
        told: dict[str, Any] = {"why": pending.why, **msgspec.structs.asdict(facts)}
        unit.audits = [AuditRow(unit.at, "reconciler", "ledger.looked", self._system, told)]
        await self._store.commit(unit)
        await self._poster.looked(self._context)
        return facts

    async def _wait_out(self, pending: Pending) -> None:
        """A call that was sent just before the store was put back may be executed late; a look now would miss it.

        Its answer was lost when its caller gave it up, or ended: by the time that this life noticed, at the latest.
        """
        adapter = self._poster.adapter
        lived = pending.restored.lived_until
        given_up = pending.noticed_at if lived is None else lived + int(adapter.timeout_seconds * 1e6)
        until = min(given_up, pending.noticed_at) + int(max(adapter.lost_seconds, adapter.late_seconds) * 1e6)
        while (left_us := until - self._now()) > 0:
            self._asker.check()
            await self._context.pause(self._context.stop_asked, min(left_us / 1e6, 1.0))

    async def _listed(self, pending: Pending) -> LookFacts | None:
        """Everything since the last that the store knows; None if the system has no listing."""
        known = pending.restored.knows_until
        since = moment(known) - MARGIN if known is not None else None
        documents = strays = calls = 0
        cursor: str | None = None
        while True:
            page = await self._asker.page(cursor, since, urgent=True)
            if isinstance(page, CannotList):
                return None
            calls += 1
            documents += len(page.papers)
            strays += await self._keep(page.papers)
            cursor = page.next
            if cursor is None:
                return LookFacts(documents, strays, calls)

    async def _keep(self, papers: tuple[Paper, ...]) -> int:
        """Keep those that no done call of ours explains; how many."""
        entries = await self._reads.entries({paper.reference for paper in papers})
        now = self._now()
        rows = [
            stray_of(self._system, paper, now)
            for paper in papers
            if (entry := entries.get(paper.reference)) is None or entry.document != paper.document_id
        ]
        if rows:
            await self._store.commit(Unit(now, strays=rows))
        return len(rows)

    def _now(self) -> int:
        return microseconds(self._context.clock.now())


def stray_of(system: str, paper: Paper, now: int) -> StrayRow:
    """A document that no call of ours explains, as it is kept. `now` in microseconds since the epoch."""
    return StrayRow(
        system=system,
        intent_id=paper.reference,
        document=paper.document_id,
        amount=paper.amount,
        currency=paper.currency,
        account=paper.account,
        found_at=now,
    )
