"""What the incident of a process has come to by now, beside what it had come to when the process was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from actors.processes_incident import DOMAIN, Incident, incident_key
from actors.processes_record import Record
from broker.store.reads import Reads
from contracts.codec import decode
from contracts.money import Money
from policies.approval import DEFAULT_POLICY, ApprovalPolicy


async def exposed(reads: Reads, records: Sequence[Record], policy: ApprovalPolicy = DEFAULT_POLICY) -> list[Record]:
    """The same records with the sum of now, and who must approve for it: what people see and what their votes carry.

    What waits for nobody any more stays as it was decided.

    Raises:
        TimeoutError: the store took too long to answer.
    """
    keys = [_key(record) for record in records]
    wanted = {key for key in keys if key is not None}
    found = await reads.states(DOMAIN, wanted) if wanted else {}
    return [
        record.exposed(_sum(found[key][1], record), policy) if key in found else record
        for key, record in zip(keys, records, strict=True)
    ]


def _key(record: Record) -> str | None:
    incident = record.request.incident_id
    if incident is None or record.process.phase != "approval":
        return None
    return f"{record.tenant}/{incident_key(incident)}"


def _sum(body: bytes, record: Record) -> Money:
    """In the currency in which it was counted."""
    currency = record.request.exposure.currency
    return Money(decode(body, Incident).minor.get(currency, 0), currency)
