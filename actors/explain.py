"""Why is it not done yet? One true sentence, the owner who can change it, and an ETA, by business key."""

from __future__ import annotations

import msgspec

from actors.explain_calls import CallExplainer
from actors.explain_words import IT, Explanation, clause, said_of
from actors.house import House
from actors.processes_explain import pending, record_of, story
from broker.port import BrokerError
from broker.store.reads import MessageRecord
from broker.store.rows import Call

_SOON = "in a moment; nothing holds it up"


class Explainer:
    """Finds the first true reason, from the outcome backwards."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._calls = CallExplainer(house)

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
            return await self._calls.call(key, undone[0] if undone else calls[-1])
        messages = await reads.messages_by_key(key)
        if not messages:
            messages = await reads.messages_by_id(key)
        if not messages:
            return Explanation(
                key, "unknown_key", f"Nothing is known under {key}.", no_eta="there is nothing to wait for"
            )
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
            call = pending(record, mine)
            if call is None:
                return Explanation(key, "deciding", "Its next step is taken in a moment.", IT, no_eta=_SOON)
            told = said_of(call.system, await self._calls.call(key, call))
            if record.process.phase != "turning_back":
                return told
            why = clause(record.process.reason or "a step was refused")
            sentence = f"It is being taken back because {why}, and of that {call.system} {call.operation} is left: "
            sentence += told.sentence[:1].lower() + told.sentence[1:]
            return Explanation(key, "turning_back", sentence, told.owner, told.eta, told.no_eta)
        return None

    # messages ------------------------------------------------------------------------------------------------

    async def _message(self, key: str, messages: list[MessageRecord]) -> Explanation:
        waiting = [message for message in messages if message.handled_at is None]
        if waiting:
            return await self._queued(key, waiting[0])
        reads = self._house.store.reads
        if exceptions := await reads.exceptions(key):
            last = exceptions[-1]
            sentence = f"It needs the {last.owner} team: {clause(last.cause)}."
            no_eta = f"it depends on the {last.owner} team"
            return Explanation(key, f"exception.{last.failure}", sentence, last.owner, no_eta=no_eta)
        decisions = await reads.decisions([messages[-1].key])
        decision = decisions.get(messages[-1].key)
        if decision is None:
            return Explanation(key, "done", "It was handled; nothing is left to do.", no_eta="it is done")
        facts = msgspec.json.decode(decision.facts, type=dict[str, str])
        if decision.name == "credit.refused":
            why = f"{clause(facts.get('reasons', ''))} ({facts.get('code')}, {facts.get('policy_version')})"
            return Explanation(key, "refused_by_policy", f"No credit: {why}.", "support", no_eta="it is over")
        sentence = "It was approved and its adjustment is on the way to the ERP's worklist."
        return Explanation(key, "deciding", sentence, IT, no_eta=_SOON)

    async def _queued(self, key: str, message: MessageRecord) -> Explanation:
        house = self._house
        if order := house.controls.on_queue(message.queue):
            return self._calls.ordered(key, order, f"Its {message.type} waits to be taken up")
        if (failure := house.store.writer.failure) is not None:
            sentence = f"Its {message.type} waits because the store cannot be written ({clause(failure)})."
            return Explanation(key, "store_unavailable", sentence, IT, no_eta="it goes on when the disk can be written")
        if (away := await self._broker_away()) is not None:
            sentence = (
                f"Its {message.type} is safe in the store and waits for the message broker, which is away ({away})."
            )
            return Explanation(key, "broker_away", sentence, IT, no_eta="it goes on when the broker is back")
        domain = message.queue.split(".")[1] if message.queue.count(".") == 3 else message.queue
        down = [one["state"] for one in house.actors() if one["path"].endswith(f"/{domain}") and one["state"] != "up"]
        if down:
            sentence = f"Its {message.type} waits for {domain}, which is {down[0]} and is started again."
            return Explanation(key, "stopped", sentence, IT, no_eta="the supervisor starts it again by itself")
        sentence = f"Its {message.type} is in {message.queue} and is taken up in a moment."
        return Explanation(key, "queued", sentence, IT, no_eta=_SOON)

    async def _broker_away(self) -> str | None:
        try:
            await self._house.broker.statistics()
        except BrokerError as problem:
            return clause(str(problem))
        return None


__all__ = ["Explainer", "Explanation"]
