"""Why is it not done yet? One true sentence, the owner who can change it, and an ETA, by business key."""

from __future__ import annotations

import msgspec

from actors.explain_calls import CallExplainer
from actors.explain_queued import QueueExplainer
from actors.explain_words import IT, SOON, Explanation, clause
from actors.house import House
from actors.processes_explain import ProcessExplainer
from broker.store.reads import MessageRecord


class Explainer:
    """Finds the first true reason, from the outcome backwards."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._calls = CallExplainer(house)
        self._queues = QueueExplainer(house, self._calls)
        self._processes = ProcessExplainer(house, self._calls, self._queues)

    async def explain(self, key: str) -> Explanation:
        """The state of a case, an invoice, an intent id or a document reference.

        Raises:
            TimeoutError: the store took too long to answer.
        """
        reads = self._house.store.reads
        calls = await reads.calls_by_key(key)
        for row in await reads.processes(calls[0].key if calls else key):
            if (told := await self._processes.process(key, row)) is not None:
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

    # messages ------------------------------------------------------------------------------------------------

    async def _message(self, key: str, messages: list[MessageRecord]) -> Explanation:
        waiting = [message for message in messages if message.handled_at is None]
        if waiting:
            return await self._queues.queued(key, waiting[0], f"Its {waiting[0].type}")
        reads = self._house.store.reads
        if exceptions := [one for one in await reads.exceptions(key) if one.is_of(messages[-1].tenant)]:
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
        return Explanation(key, "deciding", sentence, IT, no_eta=SOON)


__all__ = ["Explainer", "Explanation"]
