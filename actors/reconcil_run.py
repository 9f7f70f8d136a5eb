"""One comparison of the ledger with a system, page by page: two streams in the order of intent ids, merged.

Memory holds one page of documents and one of calls, however many there are. A page of documents is read first and the
calls of the same stretch after it: so a document that was there has its intent in what is read, and what changed since
is told by its time. A difference is looked at again, at both ends, before it is believed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from actors.adapters.port import Absent, Answer, CannotList, Failed, Listed, Lister
from actors.caller.errands import Ways
from actors.caller.poster import Poster
from actors.reconcil_words import Progress
from actors.runtime.actor import Context
from actors.runtime.clock import microseconds
from broker.store.ledger import Entry, LedgerReads
from contracts.errors import ContractError
from contracts.money import Money
from policies.identity import READS
from policies.reconcile import Difference, Intent, Paper, Tally, compare, whole
from policies.recoverability import FailureClass

CALLS_PAGE = 1_000
"""Calls that are read at once."""
AGAIN_MAX = 200
"""Differences that are looked at a second time; what is beyond is a fault of many, and each look is a call."""
PATIENCE_SECONDS_MAX = 30.0
Found = Callable[[list[Difference]], Awaitable[None]]


class Stopped(Exception):
    """The comparison cannot or shall not go on; the text says why."""


class Asker:
    """Makes the calls of a comparison through the running caller, however often that is replaced or refused."""

    def __init__(self, poster: Callable[[], Poster | None], context: Context, progress: Progress) -> None:
        self._poster = poster
        self._context = context
        self._progress = progress

    async def page(
        self, cursor: str | None, since: datetime | None = None, urgent: bool = False
    ) -> Listed | CannotList:
        """A page of the listing. Raises as `ask`."""
        page: Listed | CannotList = await self.ask(
            "list", "ledger", lambda lister: lister.list_documents(cursor, since), urgent
        )
        return page

    async def papers(self, intent: str) -> tuple[Paper, ...]:
        """All documents of an intent. Raises as `ask`."""
        papers: tuple[Paper, ...] = await self.ask("find", intent, lambda lister: lister.papers(intent), False)
        return papers

    async def ask(
        self, kind: str, name: str, ways: Callable[[Lister], Awaitable[tuple[Answer, Any]]], urgent: bool
    ) -> Any:
        """What the call gives, once one has succeeded.

        Raises:
            Stopped: the daemon or the comparison is to end, or the system does not accept our credential.
        """
        patience = 0.5
        while True:
            self.check()
            poster = self._poster()
            if poster is None or not isinstance(poster.adapter, Lister):
                raise Stopped("the system cannot be asked for its documents")
            answer, found = await self._made(poster, kind, name, partial(ways, poster.adapter), urgent)
            if isinstance(answer.outcome, Absent) and found is not None:
                self._progress.waits_for = None
                return found
            reason = getattr(answer.outcome, "reason", "the answer made no sense")
            if isinstance(answer.outcome, Failed) and answer.outcome.failure is FailureClass.AUTH:
                raise Stopped(f"the system refuses to be asked: {reason}")
            self._progress.waits_for = reason
            await self._context.pause(self._context.stop_asked, patience)
            patience = min(patience * 2, PATIENCE_SECONDS_MAX)

    async def _made(self, poster: Poster, kind: str, name: str, ways: Ways, urgent: bool) -> tuple[Answer, Any]:
        """The call's end; the actor shows that it lives meanwhile, and says what the call waits for."""
        task = asyncio.ensure_future(poster.errands.ask(kind, name, ways, urgent))
        done = asyncio.Event()
        task.add_done_callback(lambda _: done.set())
        try:
            while not await self._context.clock.wait(done, 1.0):
                self._context.beat()
                closed = poster.errands.closed
                self._progress.waits_for = closed.reason if closed is not None else None
                self.check()
        finally:
            task.cancel()
        self._progress.calls += 1
        return task.result()

    def check(self) -> None:
        """Show that the comparison lives. Raises Stopped if it is to end."""
        self._context.beat()
        if self._context.stopping:
            raise Stopped("the daemon is stopping")
        if self._progress.stop_asked:
            raise Stopped("stopped on request")


class Comparison:
    """Holds all calls to one system against all its documents; what differs goes to `found`, in order."""

    def __init__(self, reads: LedgerReads, asker: Asker, context: Context, progress: Progress, found: Found) -> None:
        self._reads = reads
        self._asker = asker
        self._clock = context.clock
        self._progress = progress
        self._found = found
        self._again = 0

    async def run(self, since: int | None = None) -> None:
        """Compare everything. `since`: where the system has no listing, only calls that changed later (microseconds).

        Raises:
            Stopped: it ended early. OutOfOrder: the listing is not in the order of references.
            TimeoutError: the store took too long.
        """
        cursor: str | None = None
        kept: Sequence[Paper] = ()
        until, asked_before = "", self._now()
        while True:
            asked_at = self._now()
            page = await self._asker.page(cursor)
            if isinstance(page, CannotList):
                await self._by_look_ups(since)
                return
            last = page.next is None
            ready, kept, reached = whole([*kept, *page.papers], until, last)
            if last or reached != until:
                await self._stretch(ready, until, None if last else reached, min(asked_at, asked_before))
            until, cursor, asked_before = reached, page.next, asked_at
            if last:
                return

    async def _stretch(self, papers: Sequence[Paper], after: str, until: str | None, still_since: int) -> None:
        """The documents between two intent ids, against our calls between them."""
        place = 0
        while True:
            entries = await self._reads.page(after, until, CALLS_PAGE)
            full = len(entries) == CALLS_PAGE
            end = len(papers)
            if full:
                after = entries[-1].intent_id
                end = next((n for n in range(place, end) if papers[n].reference > after), end)
            await self._judge(entries, papers[place:end], still_since)
            place = end
            if not full:
                return

    async def _by_look_ups(self, since: int | None) -> None:
        """One look-up an intent; documents that no intent explains cannot be seen so."""
        self._progress.how = "look-ups"
        after = ""
        while entries := await self._reads.page(after, None, CALLS_PAGE):
            after = entries[-1].intent_id
            for entry in entries:
                if (since is None or entry.changed_at > since) and entry.operation not in READS:
                    asked_at = self._now()
                    await self._judge([entry], await self._papers(entry.intent_id), asked_at)

    async def _papers(self, intent: str) -> tuple[Paper, ...]:
        return await self._asker.papers(intent)

    async def _judge(self, entries: Sequence[Entry], papers: Sequence[Paper], still_since: int) -> None:
        self._asker.check()
        ours = [intent_of(entry) for entry in entries if entry.operation not in READS]
        differences = compare(ours, papers, still_since, self._progress.tally)
        sure = [one for one in differences if await self._is_so(one)]
        if sure:
            await self._found(sure)

    async def _is_so(self, difference: Difference) -> bool:
        """Look again at both ends: what is seen once may have been on its way."""
        if self._again >= AGAIN_MAX or self._progress.how == "look-ups":
            return True
        self._again += 1
        asked_at = self._now()
        papers = await self._papers(difference.intent_id)
        entries = await self._reads.entries([difference.intent_id])
        ours = [intent_of(entry) for entry in entries.values()]
        seen = compare(ours, papers, asked_at, Tally())
        return any(one.kind == difference.kind for one in seen)

    def _now(self) -> int:
        return microseconds(self._clock.now())


class _About(msgspec.Struct):
    account_id: str | None = None


_about = msgspec.json.Decoder(_About)


def intent_of(entry: Entry) -> Intent:
    """A call as the policy compares it. What cannot be read of it is left out."""
    try:
        account = _about.decode(entry.body).account_id
    except (msgspec.MsgspecError, UnicodeDecodeError):
        account = None
    try:
        amount = None if entry.minor is None else Money(entry.minor, entry.currency or "").amount
    except ContractError:
        amount = None
    return Intent(
        entry.intent_id,
        entry.key,
        entry.status,
        amount,
        entry.currency,
        account,
        entry.document,
        entry.reason,
        entry.changed_at,
    )
