"""Why a case of an approved incident is not let through yet: its turn has not come, or the incident is held."""

from __future__ import annotations

from actors.explain_calls import CallExplainer
from actors.explain_queued import QueueExplainer
from actors.explain_words import IT, Explanation, clause, iso
from actors.gate_view import at
from actors.house import House
from actors.processes_record import Record
from actors.wave_runner import LEAD_SECONDS, granted_as, per_lead
from actors.waves import DOMAIN, OWNER
from broker.store.rows import ProcessRow
from broker.store.waves import KIND, WaveReads
from contracts.codec import decode
from policies.wave import Hold, Proposal, Wave, room


class WaveExplainer:
    """Answers for processes that wait for people because of an incident."""

    def __init__(self, house: House, calls: CallExplainer, queues: QueueExplainer) -> None:
        self._house = house
        self._calls = calls
        self._queues = queues
        self._reads = WaveReads(house.store.reads)

    async def case(self, key: str, record: Record, row: ProcessRow) -> Explanation | None:
        """What its incident's approval is to it; None where it waits for an approval of its own.

        Raises:
            TimeoutError: the store took too long to answer.
        """
        wave = await self._wave(record)
        if wave is None or wave.grant is None:
            return None
        met = {one.approval: one.verdict for one in await self._reads.met_with(wave.id, row.id)}
        released = next((approval for approval, verdict in met.items() if verdict == "released"), None)
        if released is not None:
            return await self._released(key, row, wave, released)
        if wave.grant.digest in met:
            return None
        if wave.hold is not None:
            return _held(key, record, wave, wave.hold, wave.grant)
        return await self._turn(key, row, wave, wave.grant)

    async def _wave(self, record: Record) -> Wave | None:
        request = record.request
        if request.incident_id is None or request.kind != KIND:
            return None
        id = Wave(tenant=record.tenant, incident=request.incident_id).id
        found = await self._house.store.reads.states(DOMAIN, [id])
        return decode(found[id][1], Wave) if id in found else None

    async def _released(self, key: str, row: ProcessRow, wave: Wave, approval: str) -> Explanation | None:
        """It was let through. What its process was told of that it has refused, if it waits all the same."""
        found = await self._house.store.reads.messages_by_id(granted_as(wave, row.key, approval))
        waiting = next((one for one in found if one.handled_at is None), None)
        if waiting is None:
            return None
        what = f"It was let through with incident {wave.incident}, and the message of that to its process"
        return await self._queues.queued(key, waiting, what)

    async def _turn(self, key: str, row: ProcessRow, wave: Wave, grant: Proposal) -> Explanation:
        house, poster = self._house, self._house.poster
        before = await self._reads.ahead(wave.tenant, wave.incident, grant.digest, row)
        turn = f"It waits for its turn among the cases of {_approved(wave, grant)}, {_go_first(before)}"
        paced = f"{turn}, at the pace of the ERP's budget."
        if poster is None:
            return Explanation(key, "in_wave", paced, IT, no_eta="it goes on when the ERP's caller is back")
        under_way = await self._reads.under_way(wave.id)
        behind = max(0, before + under_way + 1 - room(0, per_lead(house, LEAD_SECONDS)))
        order = house.controls.first_on((house.system, house.caller_domain))
        if behind and order is not None:
            return self._calls.ordered(key, order, turn)
        goes_on = at(house.clock, poster.gate.budget.eta(house.clock.boot_ns(), behind))
        return Explanation(key, "in_wave", paced, IT, goes_on)


def _held(key: str, record: Record, wave: Wave, hold: Hold, grant: Proposal) -> Explanation:
    how = "was stopped by itself" if hold.rule else f"was put on hold by {hold.who}"
    sentence = f"It waits because {_approved(wave, grant)} {how} ({clause(hold.reason)})."
    owner = OWNER if hold.rule else grant.need.role
    expires = f"; without that it ends at {iso(record.expires_at)}" if record.expires_at else ""
    no_eta = f"it depends on people, who let the incident go on or approve it alone{expires}"
    return Explanation(key, "wave_held", sentence, owner, no_eta=no_eta)


def _approved(wave: Wave, grant: Proposal) -> str:
    return f"incident {wave.incident} (approved by {' and '.join(vote.who for vote in grant.votes)})"


def _go_first(before: int) -> str:
    if not before:
        return "none of which goes first"
    return "1 of which goes first" if before == 1 else f"{before} of which go first"
