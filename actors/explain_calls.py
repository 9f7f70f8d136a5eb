"""Why a call is not done yet: the first true reason, from its outcome backwards to its place in line."""

from __future__ import annotations

from datetime import timedelta

from actors.caller.poster import Poster
from actors.controls import DOMAINS
from actors.explain_words import IT, SOON, Explanation, behind, clause, clock_time, go_before, iso, rest_of
from actors.followers import behind as followers
from actors.gate_view import at, plan_sentence
from actors.house import House
from actors.operator_records import CANCELLED
from actors.runtime.clock import microseconds, moment
from broker.store.backlog import Backlog
from broker.store.reads import Control
from broker.store.rows import Call, ExceptionRecord
from policies.order_place import calls_before

_NS = 1_000_000_000
_CLOSED_PERIOD = "closed_period"
_CALENDAR = {"maintenance": IT, "close_freeze": "finance", "bulk_only": IT, "kept": IT}
"""Who answers for each kind of closing of the calendar and the plan."""


class CallExplainer:
    """Answers for calls to any system; the words are those for the ERP."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def call(self, key: str, call: Call) -> Explanation:
        """One true sentence about the call.

        Raises:
            TimeoutError: the store took too long to answer.
        """
        match call.status:
            case "done" if (told := await self.differs(key, call)) is not None:
                return told
            case "done":
                sentence = f"It is posted at the ERP as {call.document}; nothing is left to do."
                return Explanation(key, "done", sentence, no_eta="it is done")
            case "refused":
                return await self._refused(key, call)
            case "exception":
                return await self._exception(key, call)
            case "in_flight":
                sentence = f"It is at the ERP right now, since {clock_time(call.changed_at)}."
                return Explanation(key, "in_flight", sentence, IT, no_eta="the ERP is answering it")
            case "unknown":
                return self._unknown(key, call)
            case _:
                return await self._waiting(key, call)

    # over, or with a person ----------------------------------------------------------------------------------

    async def _refused(self, key: str, call: Call) -> Explanation:
        if (call.reason or "").startswith(CANCELLED):
            why = (call.reason or "").partition(": ")[2]
            return Explanation(key, "cancelled", f"It was {why}, and nothing was sent to the ERP.", no_eta="it is over")
        trouble = await self._trouble(call)
        owner = trouble.owner if trouble else "finance"
        why_none = f"it is over; {owner} can have it corrected and asked for again"
        return Explanation(key, "refused", f"The ERP refused it: {clause(call.reason or '')}.", owner, no_eta=why_none)

    async def _exception(self, key: str, call: Call) -> Explanation:
        trouble = await self._trouble(call)
        owner = trouble.owner if trouble else "finance"
        reason, after = clause(call.reason or ""), await self._followers(call)
        if trouble is not None and trouble.failure == _CLOSED_PERIOD:
            sentence = f"It was not posted because the ERP's accounting period is closed (it says: {reason}){after}."
            why_none = f"it depends on when {owner} opens the period or gives it another one"
            return Explanation(key, _CLOSED_PERIOD, sentence, owner, no_eta=why_none)
        return Explanation(
            key, "exception", f"It needs the {owner} team: {reason}{after}.", owner, no_eta=_on_a_person(owner)
        )

    async def _followers(self, call: Call) -> str:
        """Who waits behind it, as the end of a sentence."""
        told = clause((await followers(self._house.store.reads, call)).strip())
        return f"; {told[0].lower()}{told[1:]}" if told else ""

    async def differs(self, key: str, call: Call) -> Explanation | None:
        """What was seen when the ledger was held against the system, if it did not agree."""
        for trouble in await self._house.store.reads.exceptions(call.key):
            if trouble.intent_id == call.intent_id and trouble.failure.startswith("ledger."):
                cause, owner = clause(trouble.cause), trouble.owner
                sentence = f"It was posted as {call.document}, but it needs the {owner} team: {cause}."
                return Explanation(key, trouble.failure, sentence, owner, no_eta=_on_a_person(owner))
        return None

    async def _trouble(self, call: Call) -> ExceptionRecord | None:
        """The exception of this very call; else the last one of its key, if it is the same tenant's."""
        found = [one for one in await self._house.store.reads.exceptions(call.key) if one.is_of(call.tenant)]
        mine = [one for one in found if one.intent_id == call.intent_id]
        return next(reversed(mine or found), None)

    # not known -----------------------------------------------------------------------------------------------

    def _unknown(self, key: str, call: Call) -> Explanation:
        clock, poster = self._house.clock, self._house.posters.get(call.system)
        known = f"Its outcome is not known since {clock_time(call.changed_at)} ({clause(call.reason or 'no answer')})"
        if poster is not None and not poster.adapter.finds:
            sentence = (
                f"{known}; the ERP cannot be asked about it, and whether it is sent again is decided in a moment."
            )
            return Explanation(key, "unknown", sentence, IT, no_eta=SOON)
        if order := self._house.controls.blocks(call):
            told = self.ordered(key, order, f"{known}, and the look-up by {call.intent_id} waits")
            return Explanation(key, "unknown", told.sentence, told.owner, told.eta, told.no_eta)
        due_ns = None if poster is None else poster.look_up_at(call.seq)
        when = max(due_ns or 0, clock.boot_ns())
        sentence = (
            f"{known}; it is looked up at the ERP by {call.intent_id} and not sent again before that is answered."
        )
        return Explanation(key, "unknown", sentence, IT, eta=at(clock, when))

    # waiting -------------------------------------------------------------------------------------------------

    async def _waiting(self, key: str, call: Call) -> Explanation:
        house = self._house
        if order := house.controls.blocks(call):
            return self.ordered(key, order, "It waits for the ERP")
        if not call.ready and (first := await house.store.reads.blocking(call)) is not None:
            inner = await self.call(first.key, first)
            sentence = (
                f"It waits behind {first.key} of the same account, to keep their order, and {behind(first.key, inner)}."
            )
            return Explanation(key, "behind", sentence, inner.owner, inner.eta, inner.no_eta)
        if call.not_before > microseconds(house.clock.now()):
            return _delayed(key, call)
        return await self._in_line(key, call)

    def ordered(self, key: str, order: Control, what: str) -> Explanation:
        """What waits because somebody said so."""
        until = f" until {moment(order.until):%Y-%m-%d %H:%M} UTC" if order.until else ""
        past = {"pause": "paused", "hold": "put on hold", "drain": "drained"}[order.verb]
        sentence = f"{what}: {order.target} was {past} by {order.who}{until} ({clause(order.reason)})."
        state = "paused" if order.verb == "pause" else "held"
        owner = IT if order.who in (*DOMAINS.values(), "tidegate") else order.who
        if order.until:
            return Explanation(key, state, sentence, owner, eta=iso(order.until))
        return Explanation(key, state, sentence, owner, no_eta=f"no end was set; {owner} can end it")

    async def _in_line(self, key: str, call: Call) -> Explanation:
        house = self._house
        poster = house.posters.get(call.system)
        if poster is None:
            soon = "the supervisor starts it again by itself"
            return Explanation(key, "stopped", "The ERP's caller is being restarted.", IT, no_eta=soon)
        if (looking := poster.first_looks.closed) is not None:
            sentence = f"It waits for the ERP: {clause(looking.reason)}."
            until_looked = "it goes on when the ERP has been looked at"
            return Explanation(key, "reconciling", sentence, IT, no_eta=until_looked)
        now_ns = house.clock.boot_ns()
        ahead = await self._ahead(call, poster)
        start_ns = poster.gate.budget.eta(now_ns, ahead)
        if poster.pace is not None and (closed := poster.pace.on(call.lane)) is not None:
            return self._closed_hours(key, closed.what, closed.reason, closed.until_ns, start_ns, ahead)
        if (own := poster.gate.on_object(call, now_ns)) is not None:
            opens = self._at(max(start_ns, own.until_ns or 0))
            return Explanation(key, "object", f"It waits for its account at the ERP: {clause(own.reason)}.", IT, opens)
        if (rest := poster.gate.resting(call.operation, now_ns) or rest_of(poster.closed)) is not None:
            until = f" until {at(house.clock, rest.until_ns)}" if rest.until_ns else ""
            sentence = f"The ERP gets a rest{until} ({clause(rest.reason)}), and {go_before(ahead)}."
            eta = self._at(max(start_ns, rest.until_ns or 0))
            return Explanation(key, "erp_rests", sentence, IT, eta)
        if (sentence_ := self._no_room(poster, call, start_ns, ahead)) is not None:
            return Explanation(key, "quota", sentence_, IT, self._at(start_ns))
        turn = f"It waits for its turn in the {call.lane} lane within the ERP's limits; {go_before(ahead)}"
        words = turn + self._shortage(poster, (start_ns - now_ns) / _NS)
        return Explanation(key, "in_line", f"{words}.", IT, self._at(start_ns))

    async def _ahead(self, call: Call, poster: Poster) -> int:
        store, order = self._house.store, poster.gate.order
        before = await Backlog(store.reads, call.system).before(call)
        flows = {flow[1:]: n for flow, n in store.counters.flows.items() if flow[0] == call.system}
        return calls_before(call.place, before, flows, order.picker, order.tenants, order.workloads)

    def _at(self, moment_ns: int) -> str:
        clock = self._house.clock
        return iso(microseconds(clock.now() + timedelta(seconds=(moment_ns - clock.boot_ns()) / _NS)))

    def _closed_hours(
        self, key: str, what: str, reason: str, until_ns: int | None, start_ns: int, ahead: int
    ) -> Explanation:
        until = f" until {at(self._house.clock, until_ns)}" if until_ns and " until " not in reason else ""
        sentence = f"It waits for the ERP{until}: {clause(reason)}, and {go_before(ahead)}."
        owner = _CALENDAR.get(what, IT)
        if until_ns is None:
            return Explanation(key, what, sentence, owner, no_eta=f"the calendar of {owner} has no end for it")
        return Explanation(key, what, sentence, owner, self._at(max(until_ns, start_ns)))

    def _no_room(self, poster: Poster, call: Call, start_ns: int, ahead: int) -> str | None:
        """That a limit is used up, where most of the wait comes from that and not from others in line."""
        now_ns = self._house.clock.boot_ns()
        full = [use for use in poster.gate.budget.usage(now_ns) if use.free_at_ns is not None and use.window_ns]
        last = max(full, key=lambda use: use.free_at_ns or 0, default=None)
        if last is None or last.free_at_ns is None or last.free_at_ns <= now_ns:
            return None
        if 2 * (last.free_at_ns - now_ns) < start_ns - now_ns or last.free_at_ns - now_ns < _NS:
            return None
        room = at(self._house.clock, last.free_at_ns)
        return (
            f"It waits for room within the ERP's limit {last.name}, of which {last.used} of {last.limit} are used "
            f"until {room}, and {go_before(ahead)}."
        )

    def _shortage(self, poster: Poster, seconds: float) -> str:
        """Limits that stand below what was configured, and long ones that are dry before its turn."""
        clock = self._house.clock
        words = [
            f"; the ERP allows {one.effective} instead of {one.ceiling} ({one.limit}) at present"
            for one in poster.gate.governor.standings(clock.boot_ns())
            if one.effective < one.ceiling - one.reserve
        ]
        for plan in poster.pace.outlooks() if poster.pace else []:
            if plan.dry_in_ns is not None and plan.dry_in_ns <= seconds * _NS:
                words.append(f"; {clause(plan_sentence(clock, plan))}")
        return "".join(words)


def _delayed(key: str, call: Call) -> Explanation:
    when = clock_time(call.not_before)
    if not call.reason or not call.sent:
        return Explanation(key, "delayed", f"It goes on at {when} as was asked for.", IT, iso(call.not_before))
    sent = "once" if call.sent == 1 else f"{call.sent} times"
    sentence = f"It is sent again at {when}, after it was sent {sent} without a result ({clause(call.reason)})."
    return Explanation(key, "delayed", sentence, IT, iso(call.not_before))


def _on_a_person(owner: str) -> str:
    return f"it depends on the {owner} team"
