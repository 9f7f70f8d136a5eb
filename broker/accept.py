"""Accepting: from a checked envelope to the rows that make it ours, in the right queue, once."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from broker.port import Broker, Outgoing
from broker.provenance import check_foreign
from broker.store.rows import Accept, MessageRow
from contracts.contract import Contract
from contracts.envelope import Envelope, encode_envelope
from contracts.errors import ContractError
from contracts.fingerprint import fingerprint
from contracts.registry import Registry
from policies.partitions import PartitionMap, queue_name


class Arrival(msgspec.Struct, frozen=True):
    """A message that was decoded and checked, with its contract and its data."""

    envelope: Envelope
    contract: Contract
    data: Any


class Acceptor:
    """Knows which domain handles a type, and how traffic is spread over partitions."""

    def __init__(
        self, broker: Broker, registry: Registry, routes: Mapping[str, str], partitions: int | PartitionMap
    ) -> None:
        """`routes` leads from message types to domains; a number of partitions stands for a map that never changed."""
        self._broker = broker
        self._registry = registry
        self._routes = routes
        self._spread = PartitionMap(1, partitions) if isinstance(partitions, int) else partitions

    @property
    def accepted_types(self) -> list[str]:
        """Message types that some domain handles and that anybody but ourselves may send."""
        return sorted(type for type in self._routes if not self._registry.newest(type).internal)

    def home(self, envelope: Envelope, queue: str) -> str:
        """The queue in which the key of an accepted message is at home, whichever one it came from."""
        return self._spread.moved(queue, f"{envelope.tenant}/{envelope.partitionkey or ''}")

    def read(self, envelope: Envelope) -> Arrival:
        """Check type, version and data.

        Raises:
            ContractError: what is wrong, with a JSON pointer.
        """
        contract = self._registry.resolve(envelope.type, envelope.dataschema)
        if envelope.type not in self._routes:
            raise self._not_accepted(envelope.type)
        return Arrival(envelope, contract, self._registry.decode_data(envelope))

    def read_foreign(self, envelope: Envelope) -> Arrival:
        """The same for what others send: they may not send what only we do.

        Raises:
            ContractError: contract.not_accepted or field.read_only for that, else as `read`.
        """
        check_foreign(envelope)
        arrival = self.read(envelope)
        if arrival.contract.internal:
            raise self._not_accepted(envelope.type)
        return arrival

    def _not_accepted(self, type: str) -> ContractError:
        accepted = self.accepted_types
        detail = f'"{type}" is known, but nothing here takes it. Send one of {", ".join(accepted)}.'
        return ContractError("contract.not_accepted", detail, "/type", known=accepted)

    def prepare(self, arrival: Arrival, at: int) -> Accept:
        """The rows of an accepted message. `at` is in microseconds since the epoch."""
        envelope, contract, data = arrival.envelope, arrival.contract, arrival.data
        lane = contract.lane_of(envelope, data)
        partition_key = envelope.partitionkey or contract.partition_key(data)
        partition = self._spread.partition_of(f"{envelope.tenant}/{partition_key}")
        queue = queue_name(self._routes[envelope.type], lane, partition)
        dedupe = dedupe_key(envelope.tenant, envelope.source, envelope.id)
        known = msgspec.structs.replace(
            envelope,
            lane=lane,
            partitionkey=partition_key,
            correlationid=envelope.correlationid or envelope.id,
            dataschema=contract.dataschema,
        )
        row = MessageRow(
            dedupe=dedupe,
            idempotency=_idempotency(envelope),
            fingerprint=fingerprint(bytes(envelope.data), envelope.type),
            source=envelope.source,
            id=envelope.id,
            type=envelope.type,
            tenant=envelope.tenant,
            key=contract.business_key(data),
            partition_key=partition_key,
            queue=queue,
            lane=lane,
            correlation_id=known.correlationid or envelope.id,
            causation_id=envelope.causationid,
            accepted_at=at,
        )
        return Accept(row, self._broker.outbox([Outgoing(dedupe, encode_envelope(known), queue)]))


def dedupe_key(tenant: str, source: str, id: str) -> str:
    """The identity of a message among all: CloudEvents says that source and id name an event, here within a tenant."""
    return blake2b(f"{tenant}\x1f{source}\x1f{id}".encode(), digest_size=16).hexdigest()


def _idempotency(envelope: Envelope) -> str | None:
    return f"{envelope.tenant}\x1f{envelope.type}\x1f{envelope.idempotencykey}" if envelope.idempotencykey else None
