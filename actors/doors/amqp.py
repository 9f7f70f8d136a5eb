"""The AMQP door: connectors publish CloudEvents to the exchange `tidegate.in`.

What is accepted is acknowledged after the commit; what cannot be accepted becomes a visible exception with the whole
message kept. The connection stays up.

Structured mode has the content type application/cloudevents+json; binary mode has the attributes in headers named
`cloudEvents:id` or `cloudEvents_id` (CloudEvents AMQP binding 1.0.2, section 3.1) and the data as body.
"""

from __future__ import annotations

import re

import anyio

from actors.consumer import Consumer
from actors.controls import Controls
from actors.doors.desk import Busy, Desk
from actors.runtime.actor import Context
from actors.runtime.clock import moment
from broker.port import Broker, Delivery, Subscription
from broker.store.store import StoreUnavailable
from broker.topology import INTAKE
from contracts.envelope import Envelope, decode_envelope, from_attributes
from contracts.errors import ContractError

BATCH_MAX = 256
_PREFIXES = ("cloudEvents:", "cloudEvents_", "cloudevents:", "cloudevents_", "ce-")
"""The binding's two spellings, in either case, and the one of the CloudEvents SDK's RabbitMQ binding."""
_MILLISECONDS = re.compile(r"[0-9]{12,14}", re.ASCII)
_STRUCTURED = "application/cloudevents+json"
_RETRY_SECONDS = 0.5


class AmqpDoor:
    """Takes messages from the intake queue to the desk. While the desk is closed, they wait in the broker.

    So they do while their lane has no room: the queue has one line for all lanes, and what stands behind the first that
    has no room waits with it. The room that is kept for more urgent work is never taken by what came this way.
    """

    def __init__(self, broker: Broker, desk: Desk, controls: Controls) -> None:
        self._desk = desk
        # what came while the intake queue was missing is let in like the rest
        self._consumer = Consumer(broker, [INTAKE, *broker.unrouted], controls, BATCH_MAX, closed=self._is_closed)
        self._full: frozenset[str] = frozenset()
        """Lanes of what was given back because there was no room."""
        self.refused = 0

    async def run(self, context: Context) -> None:
        """Take messages until asked to stop.

        Raises:
            BrokerError: the broker refuses us for good.
        """
        await self._consumer.run(context, self._carry)

    def _is_closed(self) -> bool:
        try:
            self._desk.check_open()
        except Busy:
            return True
        return not self._desk.has_room(self._full)

    async def _carry(self, batch: list[Delivery], subscription: Subscription, context: Context) -> None:
        try:
            with anyio.CancelScope(shield=True):
                taken = await self._desk.accept_each([(delivery, _read(delivery)) for delivery in batch])
                self.refused += taken.set_aside
                self._full = taken.lanes
                left = {id(delivery) for delivery in taken.left}
                await subscription.acknowledge([delivery for delivery in batch if id(delivery) not in left])
                if taken.left:
                    await subscription.give_back(taken.left)
        except StoreUnavailable as problem:
            await subscription.give_back(batch)
            context.notice(f"the AMQP door waits: {problem}")
            await context.clock.wait(context.stop_asked, _RETRY_SECONDS)


def _read(delivery: Delivery) -> Envelope | ContractError:
    """The envelope of a delivery in either mode, or what is wrong with it."""
    kind = delivery.headers.get("content-type", _STRUCTURED).partition(";")[0].strip().lower()
    try:
        if delivery.headers.get("content-encoding", "identity") not in ("identity", "utf-8", "UTF-8"):
            raise ContractError("media.encoding", "Send the body plain.")
        if kind == _STRUCTURED:
            return decode_envelope(delivery.body)
        return from_attributes(_attributes(delivery, kind), delivery.body)
    except ContractError as problem:
        return problem


def _attributes(delivery: Delivery, kind: str) -> dict[str, str]:
    found = {"datacontenttype": kind}
    for name, value in delivery.headers.items():
        for prefix in _PREFIXES:
            if name.startswith(prefix):
                found[name.removeprefix(prefix)] = value
    if _MILLISECONDS.fullmatch(found.get("time", "")):  # an AMQP timestamp, as the SDK's AMQP binding writes it
        found["time"] = moment(int(found["time"]) * 1_000).isoformat(timespec="milliseconds")
    if len(found) == 1:
        raise ContractError(
            "media.type", f"Expected {_STRUCTURED}, or CloudEvents attributes in headers (cloudEvents:id)."
        )
    return found
