"""Incidents approved as a whole: the desk where people approve, hold and resume, and what it keeps of each incident."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from statistics import median_low

import msgspec

from actors.house import House
from actors.operator_effects import money_text, rfc3339
from actors.operator_places import check_words
from actors.operator_plans import Plan, Plans, digest_of
from actors.operator_records import Effect
from actors.processes_record import DOMAIN as PROCESSES
from actors.processes_record import Record
from actors.runtime.clock import moment
from actors.wave_records import WaveCommand, WaveOrder
from broker.accept import Acceptor
from broker.store.rows import ExceptionEnd, StateRow
from broker.store.unit import Unit
from broker.store.waves import Waiting, WaveReads
from contracts.codec import decode, encode
from contracts.envelope import Envelope
from contracts.errors import ContractError
from contracts.ids import intent_id
from contracts.messages import IncidentSwitch
from contracts.money import Money
from policies import wave as policy
from policies.approval import RANKS, Counted, Delegation, Person, Refused, Vote, judge
from policies.wave import Cap, Case, Hold, Proposal, Seen, Wave

DOMAIN = "incident-wave"
STOPPED = "wave_stopped"
"""The failure under which a wave that stopped by itself is an exception."""
OWNER = "finance"
_WAVES_MAX = 10_000
_RECORDS_MAX = 500
replace = msgspec.structs.replace


class Waves:
    """What is approved of incidents. One lock: whoever changes a wave is alone with all of them."""

    def __init__(
        self, house: House, acceptor: Acceptor, people: Mapping[str, Person], delegations: Sequence[Delegation]
    ) -> None:
        self.house = house
        self.acceptor = acceptor
        self.reads = WaveReads(house.store.reads)
        self.lock = asyncio.Lock()
        self.changed = asyncio.Event()
        self._plans = Plans(house)
        self._people = people
        self._delegations = delegations
        self._known: dict[str, Wave] | None = None

    # what there is -------------------------------------------------------------------------------------------

    async def all(self) -> dict[str, Wave]:
        """Every wave by id, read from the store once.

        Raises:
            TimeoutError: the store took too long.
        """
        if self._known is None:
            found = [decode(body, Wave) for body in await self.reads.waves(DOMAIN, _WAVES_MAX)]
            self._known = {wave.id: wave for wave in found}
        return self._known

    async def of(self, incident: str, tenant: str | None) -> Wave:
        """The wave of an incident; an open one if nobody has approved anything of it yet.

        Raises:
            ContractError: incident.not_found.
        """
        tenants = await self.reads.tenants(incident)
        if tenant is not None:
            tenants = [one for one in tenants if one == tenant]
        if not tenants:
            raise ContractError("incident.not_found", "No credit has been asked because of this incident.")
        if len(tenants) > 1:
            raise ContractError("incident.not_found", "Several tenants have this incident. Name the tenant.")
        fresh = Wave(tenant=tenants[0], incident=incident)
        return (await self.all()).get(fresh.id, fresh)

    def keep(self, unit: Unit, wave: Wave) -> None:
        """Have a unit write a wave."""
        unit.states.append(StateRow(DOMAIN, wave.id, unit.at, encode(wave), unit.at))

    def written(self, wave: Wave) -> None:
        """It is durable: from now on it is what we know."""
        if self._known is not None:
            self._known[wave.id] = wave
        self.changed.set()

    async def seen(self, wave: Wave, until: int) -> Seen:
        """What people look at who look at this moment (microseconds)."""
        rows = await self.reads.seen(wave.tenant, wave.incident, until)
        amounts: dict[str, list[int]] = {}
        for _, _, currency, minor in rows:
            amounts.setdefault(currency, []).append(minor)
        return Seen(
            until=until,
            cases=len(rows),
            digest=policy.digest_of_cases((key, digest) for key, digest, *_ in rows),
            asked={currency: sum(found) for currency, found in amounts.items()},
            median={currency: median_low(found) for currency, found in amounts.items()},
            known={currency: len(found) for currency, found in amounts.items()},
            largest={currency: max(found) for currency, found in amounts.items()},
        )

    async def cases(self, found: Sequence[Waiting]) -> list[Case]:
        """What waits, as its own process would judge it now; what has stopped waiting meanwhile is left out."""
        cases = []
        for start in range(0, len(found), _RECORDS_MAX):
            names = [one.process for one in found[start : start + _RECORDS_MAX]]
            kept = await self.house.store.reads.states(PROCESSES, names)
            records = [(name, decode(kept[name][1], Record)) for name in names if name in kept]
            cases += [_case(name, record) for name, record in records if record.process.phase == "approval"]
        return cases

    def proposal(self, wave: Wave, cap: Cap, seen: Seen) -> Proposal:
        """A cap as it would be approved. Raises ContractError: incident.cap."""
        if not cap.minor or any(minor <= 0 for minor in cap.minor.values()) or cap.cases < 1 or cap.per_account < 1:
            detail = "A cap has an amount above zero, and allows one case and one of each account at least."
            raise ContractError("incident.cap", detail, "/cap")
        digest = policy.digest_of(wave.tenant, wave.incident, cap, seen)
        return Proposal(cap, seen, digest, policy.wave_need(cap, seen.asked))

    # people --------------------------------------------------------------------------------------------------

    async def act(self, verb: str, incident: str, command: WaveCommand, who: str) -> Effect:
        """Approve, hold or resume, in the name of a token; or show what that would do, with a token to commit it.

        Raises:
            ContractError: approval.*, incident.* or operation.*; nothing was changed.
            StoreUnavailable: nothing was changed.
        """
        async with self.lock:
            if command.token is not None:
                return await self._commit(verb, incident, command.token, who)
            check_words(command.reason, who)
            wave = await self.of(incident, command.tenant)
            facts = msgspec.structs.asdict(command)
            fields = {name: facts[name] for name in ("reason", "cap", "cases", "per_account", "digest")}
            order = WaveOrder(verb=verb, tenant=wave.tenant, incident=incident, **fields)
            plan, after = await self._plan(order, wave, who)
            if command.dry_run:
                return await self._plans.show(plan)
            effect = await self._plans.carry_out(plan)
            self.written(after)
            return effect

    async def _commit(self, verb: str, incident: str, token: str, who: str) -> Effect:
        shown = await self._plans.shown(token)
        if shown.verb != f"incident.{verb}":
            raise ContractError("operation.token", f"It is of {shown.verb}, not of incident.{verb}.", "/token")
        order = msgspec.json.decode(shown.command, type=WaveOrder)
        if order.incident != incident:
            raise ContractError("operation.token", f"It is of incident {order.incident}.", "/token")
        plan, after = await self._plan(order, await self.of(incident, order.tenant), who)
        if plan.digest != shown.digest:
            detail = "What this command concerns has changed since it was shown. Nothing was done; look again."
            raise ContractError("operation.moved", detail, "/token")
        effect = await self._plans.carry_out(plan, shown.id)
        self.written(after)
        return effect

    async def _plan(self, order: WaveOrder, wave: Wave, who: str) -> tuple[Plan, Wave]:
        match order.verb:
            case "approve":
                after, told, note = await self._approved(order, wave, who)
            case "hold":
                after, told, note = self._held(order, wave, who)
            case _:
                after, told, note = await self._resumed(wave, who)
        ends = await self._exceptions(wave) if order.verb == "resume" else []
        was_held, is_held = wave.phase == "held", after.phase == "held"

        def write(unit: Unit) -> None:
            self.keep(unit, after)
            unit.exception_ends += [ExceptionEnd(seq, unit.at) for seq in ends]
            if was_held != is_held:
                self.switch(unit, after)

        cap = after.proposal or after.grant
        effect = Effect(
            verb=f"incident.{order.verb}",
            target=wave.incident,
            done=False,
            waiting_calls=0,
            queued_messages=0,
            in_flight_calls=await self.reads.under_way(wave.id),
            note="nothing was changed (dry run): " + note,
            money=money_text(cap.cap.minor) if cap is not None else {},
            before=_told(wave),
            after=told,
        )
        grant = wave.grant.digest if wave.grant else ""
        votes = wave.proposal.votes if wave.proposal else ()
        digest = digest_of(wave.phase, grant, wave.proposal and wave.proposal.digest, votes)
        return Plan(effect, who, order, digest, write, lambda at: None, note), after

    async def _approved(self, order: WaveOrder, wave: Wave, who: str) -> tuple[Wave, str, str]:
        if wave.phase == "held":
            detail = "It is held. Look at why, and let it go on first, or leave it."
            raise ContractError("incident.held", detail)
        proposal = await self._proposed(order, wave)
        if wave.grant is not None and wave.grant.digest == proposal.digest:
            raise ContractError("approval.closed", "This very cap is approved already.")
        now = self.house.now()
        vote = Vote(who=who, verdict="approve", digest=order.digest or proposal.digest, reason=order.reason)
        ask = policy.wave_ask(proposal)
        judgement = judge(ask, proposal.need, proposal.votes, vote, self._people, self._delegations, now)
        if isinstance(judgement, Refused):
            raise ContractError(judgement.code, judgement.sentence)
        proposal = replace(proposal, votes=(*proposal.votes, vote))
        if isinstance(judgement, Counted):
            note = f"counted; {judgement.left} more needed of role {proposal.need.role} or higher"
            return replace(wave, proposal=proposal), f"{_cap_words(proposal.cap)}, {judgement.left} more needed", note
        asked = await self.reads.asked(wave.tenant, wave.incident)
        after = policy.granted(wave, proposal, asked, now)
        note = f"approved up to {_cap_words(proposal.cap)}; cases within it go on at the ERP's pace, others wait"
        return after, f"runs up to {_cap_words(proposal.cap)}", note

    async def _proposed(self, order: WaveOrder, wave: Wave) -> Proposal:
        """What is voted on: what others have begun to approve, or a new cap; either way as it was looked at.

        Raises:
            ContractError: operation.look_first, approval.changed.
        """
        standing = wave.proposal
        joins = standing is not None and not order.cap and order.digest in (None, standing.digest)
        until = policy.until_of(order.digest or "")
        if joins and standing is not None:
            cap, until = standing.cap, standing.seen.until
        elif order.digest is None or until is None or not order.cap:
            detail = "Look first: preview the incident with this cap; its digest binds the approval to what you saw."
            raise ContractError("operation.look_first", detail, "/digest")
        else:
            cap = read_cap(order.cap, order.cases, order.per_account)
        fresh = self.proposal(wave, cap, await self.seen(wave, until))
        if fresh.digest != (order.digest or (standing.digest if standing else "")):
            detail = "It is not what you saw: the cap is another one, or a case was changed. Preview it again."
            raise ContractError("approval.changed", detail, "/digest")
        return replace(fresh, votes=standing.votes) if standing and standing.digest == fresh.digest else fresh

    def _held(self, order: WaveOrder, wave: Wave, who: str) -> tuple[Wave, str, str]:
        if wave.phase == "held" and wave.hold is not None:
            detail = f"It is held already, since {rfc3339(moment(wave.hold.at))} by {wave.hold.who}."
            raise ContractError("operation.nothing", detail)
        after = policy.held(wave, Hold(who, order.reason, self.house.now()))
        note = "held: no case is let through; what is under way goes on to its end, and no policy credits by itself"
        return after, "held", note

    async def _resumed(self, wave: Wave, who: str) -> tuple[Wave, str, str]:
        if wave.phase != "held":
            raise ContractError("operation.nothing", "It is not held.")
        needed = wave.grant.need.role if wave.grant is not None else "finance-clerk"
        person = self._people.get(who)
        if person is None:
            detail = f"{who} is not among the people who may approve. Add them, with a role."
            raise ContractError("approval.person", detail)
        if RANKS[person.role] < max(RANKS[needed], 1):
            raise ContractError("approval.role", f"It needs a {needed} or higher; {who} is a {person.role}.")
        asked = await self.reads.asked(wave.tenant, wave.incident)
        after = policy.resumed(wave, asked, self.house.now())
        return after, after.phase, "goes on; the case that stopped it, if one did, is left to a person"

    async def _exceptions(self, wave: Wave) -> list[int]:
        rows = await self.house.store.reads.exceptions(wave.incident)
        return [row.seq for row in rows if row.failure == STOPPED and row.cause.startswith(f"{wave.tenant}: ")]

    def switch(self, unit: Unit, wave: Wave) -> None:
        """Have the unit tell whoever counts this incident that it is held, or goes on."""
        data = IncidentSwitch(incident_id=wave.incident, held=wave.phase == "held")
        self.send(unit, wave, "incident.switch", data, f"{wave.phase} {unit.at}", "SW", "urgent", "incident")

    def send(
        self, unit: Unit, wave: Wave, type_: str, data: msgspec.Struct, name: str, prefix: str, lane: str, workload: str
    ) -> None:
        """Have the unit accept a message of ours; told again, it is recognised by its name."""
        envelope = Envelope(
            id=message_id(wave, type_, name, prefix),
            source="urn:tidegate:waves",
            type=type_,
            time=moment(unit.at),
            dataschema=self.house.registry.newest(type_).dataschema,
            tenant=wave.tenant,
            lane=lane,  # type: ignore[arg-type]
            workload=workload,
            data=msgspec.Raw(encode(data)),
        )
        unit.accepts.append(self.acceptor.prepare(self.acceptor.read(envelope), unit.at))


def message_id(wave: Wave, type_: str, name: str, prefix: str) -> str:
    """The id of a message of ours about a wave."""
    return intent_id(wave.tenant, f"{wave.incident} {type_}", name, prefix)


def read_cap(money: Mapping[str, str], cases: int | None, per_account: int | None) -> Cap:
    """A cap as it was written. Raises ContractError: incident.cap, or money.* saying what is wrong."""
    if cases is None:
        raise ContractError("incident.cap", "Say how many cases at most.", "/cases")
    minor = {currency: Money.parse(amount, currency).minor for currency, amount in money.items()}
    return Cap(minor, cases, per_account or 1)


def _case(process: str, record: Record) -> Case:
    ask = record.ask()
    return Case(
        process=process,
        key=record.request.process_id,
        account=record.request.account_id,
        minor=ask.amount.minor,
        currency=ask.amount.currency,
        requester=ask.requester,
        digest=ask.digest,
        asked_by_person=ask.asked_by_person,
        replayers=ask.replayers,
    )


def _cap_words(cap: Cap) -> str:
    money = ", ".join(f"{amount} {currency}" for currency, amount in money_text(cap.minor).items())
    return f"{money} and {cap.cases} cases, {cap.per_account} of one account"


def _told(wave: Wave) -> str:
    if wave.hold is not None:
        return f"held by {wave.hold.who}: {wave.hold.reason}"
    return f"runs up to {_cap_words(wave.grant.cap)}" if wave.grant is not None else "not approved"
