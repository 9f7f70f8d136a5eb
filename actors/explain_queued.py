"""Why a message is not taken up yet: an order, the disk, the broker, its domain, or only those before it."""

from __future__ import annotations

from actors.explain_calls import CallExplainer
from actors.explain_words import IT, SOON, Explanation, clause
from actors.house import House
from broker.port import BrokerError
from broker.store.reads import MessageRecord


class QueueExplainer:
    """Answers for messages that nobody has handled."""

    def __init__(self, house: House, calls: CallExplainer) -> None:
        self._house = house
        self._calls = calls

    async def queued(self, key: str, message: MessageRecord, what: str) -> Explanation:
        """One true sentence about the message; it begins with `what`, which names it.

        Raises:
            TimeoutError: the store took too long to answer.
        """
        house = self._house
        if order := house.controls.on_queue(message.queue):
            return self._calls.ordered(key, order, f"{what} waits to be taken up")
        if (failure := house.store.writer.failure) is not None:
            sentence = f"{what} waits because the store cannot be written ({clause(failure)})."
            return Explanation(key, "store_unavailable", sentence, IT, no_eta="it goes on when the disk can be written")
        if (away := await self._broker_away()) is not None:
            sentence = f"{what} is safe in the store and waits for the message broker, which is away ({away})."
            return Explanation(key, "broker_away", sentence, IT, no_eta="it goes on when the broker is back")
        domain = message.queue.split(".")[1] if message.queue.count(".") == 3 else message.queue
        down = [one["state"] for one in house.actors() if one["path"].endswith(f"/{domain}") and one["state"] != "up"]
        if down:
            sentence = f"{what} waits for {domain}, which is {down[0]} and is started again."
            return Explanation(key, "stopped", sentence, IT, no_eta="the supervisor starts it again by itself")
        sentence = f"{what} is in {message.queue} and is taken up in a moment."
        return Explanation(key, "queued", sentence, IT, no_eta=SOON)

    async def _broker_away(self) -> str | None:
        try:
            await self._house.broker.statistics()
        except BrokerError as problem:
            return clause(str(problem))
        return None
