"""Why is it not done yet? One true sentence, the owner who can change it, and an ETA, by business key."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from actors.caller.gate import Closed
from actors.followers import behind
from actors.gate_view import at, plan_sentence
from actors.house import House
from actors.operator_records import CANCELLED
from actors.processes_explain import pending, record_of, story
from actors.runtime.clock import microseconds, moment
from broker.store.backlog import Backlog
from broker.store.reads import Control, MessageRecord
from broker.store.rows import Call
from policies.order_place import calls_before


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """`state` is for scripts, `sentence` for people; `eta` is RFC 3339, absent when it depends on a person."""

    key: str
    state: str
    sentence: str
    owner: str = "nobody"
    eta: str | None = None


class Explainer:
    """Finds the first true reason, from the outcome backwards."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def explain(self, key: str) -> Explanation:
        """The state of a case, an invoice, an intent id or a document reference.

        Raises:
            TimeoutError: the store took too long to answer.
        """
        reads = self._house.store.reads
        calls = await reads.calls_by_key(key)
        if (told := await self._process(key, calls)) is not None:
            return told
        if calls:
            undone = [call for call in calls if call.status != "done"]
            return await self._call(key, undone[0] if undone else calls[-1])
        messages = await reads.messages_by_key(key)
        if not messages:
            messages = await reads.messages_by_id(key)
        if not messages:
            return Explanation(key, "unknown_key", f"Nothing is known under {key}.")
        return await self._message(key, messages)

    # processes -----------------------------------------------------------------------------------------------

    async def _process(self, key: str, calls: list[Call]) -> Explanation | None:
        """What is true of the process of this key; None when there is none."""
        for row in await self._house.store.reads.processes(calls[0].key if calls else key):
            record = await record_of(self._house, row)
            if record is None:
                continue
            if (found := story(record)) is not None:
                return Explanation(key, *found)
            mine = await self._house.store.reads.calls_by_key(row.key)
            if (call := pending(record, mine)) is not None:
                return _at(call.system, await self._call(key, call))
            return Explanation(key, "deciding", "Its next step is taken in a moment.")
        return None

    # messages ------------------------------------------------------------------------------------------------

    async def _message(self, key: str, messages: list[MessageRecord]) -> Explanation:
        waiting = [message for message in messages if message.handled_at is None]
        if waiting:
            return self._queued(key, waiting[0])
        reads = self._house.store.reads
        if exceptions := await reads.exceptions(key):
            last = exceptions[-1]
            sentence = f"It needs the {last.owner} team: {last.cause}"
            return Explanation(key, f"exception.{last.failure}", sentence, owner=last.owner)
        decisions = await reads.decisions([messages[-1].key])
        decision = decisions.get(messages[-1].key)
        if decision is None:
            return Explanation(key, "done", "It was handled; nothing is left to do.")
        facts = msgspec.json.decode(decision.facts, type=dict[str, str])
        if decision.name == "credit.refused":
            sentence = f"No credit: {facts.get('reasons', '')} ({facts.get('code')}, {facts.get('policy_version')})."
            return Explanation(key, "refused_by_policy", sentence)
        return Explanation(key, "deciding", "It was approved and its adjustment is on the way to the ERP's worklist.")

    def _queued(self, key: str, message: MessageRecord) -> Explanation:
        if order := self._house.controls.on_queue(message.queue):
            return self._ordered(key, order, f"Its {message.type} waits to be taken up")
        return Explanation(key, "queued", f"Its {message.type} is in {message.queue} and is taken up in a moment.")

    # calls ---------------------------------------------------------------------------------------------------

    async def _call(self, key: str, call: Call) -> Explanation:
        match call.status:
            case "done" if (told := await self._differs(key, call)) is not None:
                return told
            case "done":
                return Explanation(key, "done", f"It is posted at the ERP as {call.document}; nothing is left to do.")
            case "refused":
                if (call.reason or "").startswith(CANCELLED):
                    why = (call.reason or "").partition(": ")[2]
                    return Explanation(key, "cancelled", f"It was {why}. Nothing was sent to the ERP.")
                owner = await self._owner(call)
                return Explanation(key, "refused", f"The ERP refused it: {call.reason}.", owner=owner)
            case "exception":
                owner = await self._owner(call)
                after = await behind(self._house.store.reads, call)
                return Explanation(key, "exception", f"It needs the {owner} team: {call.reason}.{after}", owner=owner)
            case "in_flight":
                since = f"{moment(call.changed_at):%H:%M:%S} UTC"
                return Explanation(key, "in_flight", f"It is at the ERP right now, since {since}.", owner="it")
            case "unknown":
                sentence = (
                    f"Its outcome is not known ({call.reason}); it is looked up at the ERP by {call.intent_id} "
                    "and not sent again before that is answered."
                )
                return Explanation(key, "unknown", sentence, owner="it")
            case _:
                return await self._waiting(key, call)

    async def _differs(self, key: str, call: Call) -> Explanation | None:
        """What was seen when the ledger was held against the system, if it did not agree."""
        for trouble in await self._house.store.reads.exceptions(call.key):
            if trouble.intent_id == call.intent_id and trouble.failure.startswith("ledger."):
                sentence = f"It was posted as {call.document}, but it needs the {trouble.owner} team: {trouble.cause}"
                return Explanation(key, trouble.failure, sentence, owner=trouble.owner)
        return None

    async def _owner(self, call: Call) -> str:
        exceptions = await self._house.store.reads.exceptions(call.key)
        return exceptions[-1].owner if exceptions else "finance"

    async def _waiting(self, key: str, call: Call) -> Explanation:
        house = self._house
        if order := house.controls.blocks(call):
            return self._ordered(key, order, "It waits for the ERP")
        if call.not_before > microseconds(house.clock.now()):
            until = moment(call.not_before)
            why = f" after {call.reason}" if call.reason else " as was asked for"
            return Explanation(key, "delayed", f"It goes on at {until:%H:%M:%S} UTC{why}.", eta=_iso(call.not_before))
        if not call.ready and (first := await house.store.reads.blocking(call)) is not None:
            inner = await self._call(first.key, first)
            sentence = f"It waits behind {first.key} of the same account, to keep their order. {inner.sentence}"
            return Explanation(key, "behind", sentence, inner.owner, inner.eta)
        return await self._in_line(key, call)

    async def _in_line(self, key: str, call: Call) -> Explanation:
        house = self._house
        poster = house.posters.get(call.system)
        if poster is None:
            return Explanation(key, "stopped", "The ERP's caller is being restarted.", owner="it")
        if (looking := poster.first_looks.closed) is not None:
            return Explanation(key, "reconciling", f"It waits for the ERP: {looking.reason}.", owner="it")
        order = poster.gate.order
        before = await Backlog(house.store.reads, call.system).before(call)
        flows = {flow[1:]: n for flow, n in house.store.counters.flows.items() if flow[0] == call.system}
        ahead = calls_before(call.place, before, flows, order.picker, order.tenants, order.workloads)
        now_ns = house.clock.boot_ns()
        seconds = (poster.gate.budget.eta(now_ns, ahead) - now_ns) / 1e9
        eta = microseconds(house.clock.now() + timedelta(seconds=seconds))
        if poster.pace is not None and (closed := poster.pace.on(call.lane)) is not None:
            opens = at(house.clock, closed.until_ns)
            sentence = f"It waits for the ERP: {closed.reason}. {_at_most(ahead)} before it."
            return Explanation(key, closed.what, sentence, owner="it", eta=opens)
        if (own := poster.gate.on_object(call, now_ns)) is not None:
            opens = at(house.clock, own.until_ns)
            return Explanation(key, "object", f"It waits for its account at the ERP: {own.reason}.", "it", opens)
        if (rest := poster.gate.resting(call.operation, now_ns) or _rest(poster.closed)) is not None:
            until = f" until {at(house.clock, rest.until_ns)}" if rest.until_ns else ""
            sentence = f"The ERP gets a rest{until}: {rest.reason}. {_at_most(ahead)} before it."
            return Explanation(key, "erp_rests", sentence, owner="it", eta=_iso(eta))
        sentence = (
            f"It waits for its turn in the {call.lane} lane within the ERP's limits; {_at_most(ahead)} before it."
        )
        return Explanation(key, "in_line", sentence + self._shortage(seconds), eta=_iso(eta))

    def _shortage(self, seconds: float) -> str:
        """Limits that stand below what was configured, and long ones that are dry before its turn."""
        poster, clock = self._house.poster, self._house.clock
        assert poster is not None
        words = [
            f" The ERP allows {one.effective} instead of {one.ceiling} ({one.limit}) at present."
            for one in poster.gate.governor.standings(clock.boot_ns())
            if one.effective < one.ceiling - one.reserve
        ]
        for plan in poster.pace.outlooks() if poster.pace else []:
            if plan.dry_in_ns is not None and plan.dry_in_ns <= seconds * 1e9:
                words.append(f" {plan_sentence(clock, plan)}")
        return "".join(words)

    def _ordered(self, key: str, order: Control, what: str) -> Explanation:
        until = f" until {moment(order.until):%Y-%m-%d %H:%M} UTC" if order.until else ""
        past = {"pause": "paused", "hold": "put on hold", "drain": "drained"}[order.verb]
        sentence = f"{what}: {order.target} was {past} by {order.who}{until} ({order.reason})."
        eta = _iso(order.until) if order.until else None
        return Explanation(key, "paused" if order.verb == "pause" else "held", sentence, order.who, eta)


def _rest(closed: Closed | None) -> Closed | None:
    return closed if closed is not None and closed.what in ("frozen", "probe", "return", "breaker") else None


def _at_most(ahead: int) -> str:
    if not ahead:
        return "no other call goes"
    return "at most 1 call goes" if ahead == 1 else f"at most {ahead} calls go"


def _at(system: str, told: Explanation) -> Explanation:
    """The sentences speak of the ERP; said of the system that it is about."""
    if system == "erp":
        return told
    sentence = told.sentence.replace("The ERP", system.capitalize()).replace("the ERP", system)
    return msgspec.structs.replace(told, sentence=sentence)


def _iso(microseconds: int) -> str:
    return moment(microseconds).isoformat(timespec="seconds").replace("+00:00", "Z")
