"""What people are shown of an incident: where it stands, what a cap would let through, and how it came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec

from actors.operator_effects import money_text, rfc3339
from actors.runtime.clock import moment
from actors.wave_records import (
    CapView,
    CasePage,
    CaseView,
    Check,
    CostView,
    HoldView,
    IncidentPage,
    IncidentRow,
    Line,
    Part,
    Reconciliation,
    WaveCommand,
    WaveView,
)
from actors.waves import Waves, read_cap
from broker.store.waves import Done, Group, Stand, Told, Unlike
from contracts.money import Money
from policies import wave as policy
from policies.approval import Vote
from policies.lanes import LANES
from policies.wave import Cap, Proposal, Release, Stop, Wave

EXAMPLES_MAX = 5
_WAITING_MAX = 100_000
_ENDS = ("posted", "compensated", "refused", "rejected", "expired")
_TOLD = ("support", "crm", "revenue")


class WaveViews:
    """Looks at incidents; changes nothing.

    Raises (all of them): TimeoutError when the store took too long, ContractError incident.* for what there is not.
    """

    def __init__(self, waves: Waves) -> None:
        self._waves = waves

    async def incidents(self, limit: int) -> IncidentPage:
        """The latest incidents because of which credits were asked."""
        known = await self._waves.all()
        rows = []
        for tenant, incident, cases, waiting, last in await self._waves.reads.incidents(limit):
            wave = known.get(f"{tenant}/{incident}") or Wave(tenant=tenant, incident=incident)
            at = rfc3339(moment(last)) or ""
            rows.append(IncidentRow(incident, tenant, wave.phase, cases, waiting, wave.cases, at))
        return IncidentPage(rows)

    async def cases(self, incident: str, tenant: str | None, after: int, limit: int) -> CasePage:
        """Cases that approvals have met, in that order."""
        wave = await self._waves.of(incident, tenant)
        rows = await self._waves.reads.met(wave.id, after, limit)
        items = [
            CaseView(
                row.place,
                row.key,
                row.account,
                str(Money(row.minor, row.currency)),
                row.verdict,
                row.why,
                rfc3339(moment(row.at)) or "",
            )
            for row in rows
        ]
        return CasePage(items, items[-1].place if items else after)

    async def show(self, incident: str, tenant: str | None) -> WaveView:
        """Where an incident stands, as it is approved."""
        return await self._view(await self._waves.of(incident, tenant))

    async def preview(self, incident: str, command: WaveCommand) -> WaveView:
        """The same, and what a cap would let through; without one, the cap is what waits now."""
        waves = self._waves
        wave = await waves.of(incident, command.tenant)
        view = await self._view(wave)
        seen = await waves.seen(wave, waves.house.now())
        if command.cap:
            cap = read_cap(command.cap, command.cases or seen.cases, command.per_account)
        else:
            cap = Cap(dict(seen.asked), command.cases or seen.cases, command.per_account or 1)
        proposal = waves.proposal(wave, cap, seen)
        after, leaves = await self._try(wave, proposal)
        minor = {name: used - wave.used.get(name, 0) for name, used in after.used.items()}
        return msgspec.structs.replace(
            view,
            preview=_cap(proposal),
            lets_through=Part(after.cases - wave.cases, money_text(minor)),
            leaves=dict(leaves.most_common()),
            cost=self._cost(after.cases - wave.cases),
        )

    async def _try(self, wave: Wave, proposal: Proposal) -> tuple[Wave, Counter[str]]:
        """What the cap would do to what waits now, were it approved by people who have nothing to do with any case.

        A case that would stop the wave is left, and the others go on.
        """
        reads = self._waves.reads
        nobody = Vote(who="", verdict="approve", digest=proposal.digest)
        wave = policy.granted(wave, msgspec.structs.replace(proposal, votes=(nobody,)), {}, 0)
        waiting = await reads.waiting(wave.tenant, wave.incident, proposal.digest, _WAITING_MAX)
        cases = await self._waves.cases(waiting)
        had = Counter(await reads.released_of(wave.id, {one.account for one in cases}))
        leaves: Counter[str] = Counter()
        for case in cases:
            verdict = policy.judge_case(wave, case, had[case.account])
            wave = policy.met(wave, case, verdict)
            if isinstance(verdict, Release):
                had[case.account] += 1
            else:
                leaves[f"would stop it: {verdict.rule}" if isinstance(verdict, Stop) else "would wait"] += 1
        return wave, leaves

    # the view ------------------------------------------------------------------------------------------------

    async def _view(self, wave: Wave) -> WaveView:
        reads = self._waves.reads
        groups = await reads.groups(wave.tenant, wave.incident)
        waiting = [group for group in groups if group.phase == "approval"]
        grant = wave.grant
        left = {name: limit - wave.used.get(name, 0) for name, limit in grant.cap.minor.items()} if grant else {}
        largest = await reads.largest(wave.tenant, wave.incident, EXAMPLES_MAX)
        return WaveView(
            incident=wave.incident,
            tenant=wave.tenant,
            phase=wave.phase,
            asked=_part(groups),
            by_policy=_part(group for group in groups if group.people == 0),
            waiting=_part(waiting),
            ended={
                name: _part(found)
                for name in _ENDS
                if (found := [g for g in groups if g.phase == "ended" and g.outcome == name])
            },
            tiers={name: _part(g for g in waiting if (g.tier or "?") == name) for name in _tiers(waiting)},
            needs=_needs(waiting),
            cost=self._cost(sum(group.count for group in waiting)),
            released=Part(wave.cases, money_text(wave.used)),
            under_way=await reads.under_way(wave.id),
            exceptions=await self._exceptions(wave, groups),
            largest=[f"{one.key}: {Money(one.minor, one.currency)}" for one in largest],
            busiest=dict(await reads.busiest(wave.tenant, wave.incident, EXAMPLES_MAX)),
            cap=_cap(grant) if grant else None,
            proposal=_cap(wave.proposal) if wave.proposal else None,
            left=money_text(left),
            hold=_hold(wave),
        )

    async def _exceptions(self, wave: Wave, groups: Iterable[Group]) -> list[str]:
        stuck = sum(group.count for group in groups if group.phase == "stuck")
        found = [f"{stuck} credits are stuck between systems: tidegate exceptions"] if stuck else []
        if wave.hold is not None and wave.hold.rule:
            found.append(f"stopped ({wave.hold.rule}): {wave.hold.reason}")
        waits = {verdict: cases for verdict, _, cases, _ in await self._waves.reads.verdicts(wave.id)}.get("waits", 0)
        return [*found, *([f"{waits} cases were met and left to people: tidegate incidents cases"] if waits else [])]

    def _cost(self, cases: int) -> CostView:
        """One call a credit; look-ups of lost answers come on top. The time is after all that waits already."""
        house = self._waves.house
        if house.poster is None or not cases:
            return CostView(cases)
        ahead = sum(house.store.counters.waiting(house.system, lane) for lane in LANES) + cases
        now_ns = house.clock.boot_ns()
        seconds = (house.poster.gate.budget.eta(now_ns, ahead) - now_ns) / 1e9
        return CostView(cases, round(seconds, 1), rfc3339(house.clock.now() + timedelta(seconds=seconds)))

    # coming out ----------------------------------------------------------------------------------------------

    async def reconcile(self, incident: str, tenant: str | None) -> Reconciliation:
        """Approved against credited against ERP documents against told: counts and sums.

        It compares what was approved with the ledger of calls, in which each document is the system's own answer.
        """
        wave = await self._waves.of(incident, tenant)
        reads = self._waves.reads
        calls = await reads.calls(wave.tenant, wave.incident, wave.id)
        verdicts = await reads.verdicts(wave.id)
        approved = _sum((cases, cur, minor) for verdict, cur, cases, minor in verdicts if verdict == "released")
        stands = await reads.stands(wave.id)
        asked, turned_back = _stands(stands), _stands(one for one in stands if _turned_back(one))
        credited = _calls(calls, "billing", "credit.create")
        voided = _calls(calls, "billing", "credit.void")
        posted = _calls(calls, "erp")
        told = _reports(await reads.told(wave.id))
        going = await reads.under_way(wave.id) or any(one.phase == "approval" for one in stands)
        standing = _less(credited, voided)
        unlike = await reads.unlike(wave.tenant, wave.incident, EXAMPLES_MAX)
        open_calls = sum(one.count for one in calls if one.status in ("waiting", "in_flight", "unknown"))
        checks = [
            Check("what was approved was let through within the cap", _within(wave, approved)),
            Check("what was approved and what was let through are the same", approved == _used(wave)),
            Check("every credit that was not turned back stands in billing", _less(asked, turned_back) == standing),
            Check("every credit that stands in billing is in the ERP, and no other", standing == posted),
            *(Check(f"{name} was told of each, as it is now", counted == asked) for name, counted in told.items()),
            Check("each case has the documents of its outcome and amount", not unlike, _examples(unlike)),
            Check("nothing is open or unknown", not open_calls and not going),
        ]
        lines = [("approved", approved), ("turned back", turned_back), ("credited in billing", credited)]
        lines += [("voided in billing", voided), ("posted in the ERP", posted)]
        lines += [(f"told to {name}", counted) for name, counted in told.items()]
        return Reconciliation(
            incident=wave.incident,
            tenant=wave.tenant,
            over=not going and not open_calls,
            agrees=all(check.holds for check in checks),
            lines=[Line(what, count, money_text(minor)) for what, (count, minor) in lines],
            checks=checks,
        )


Sum = tuple[int, dict[str, int]]


def _sum(parts: Iterable[tuple[int, str | None, int]]) -> Sum:
    count, minor = 0, Counter[str]()
    for cases, currency, amount in parts:
        count += cases
        if currency is not None:
            minor[currency] += amount
    return count, {name: amount for name, amount in sorted(minor.items()) if amount}


def _calls(calls: Iterable[Done], system: str, operation: str | None = None) -> Sum:
    found = [
        one
        for one in calls
        if one.system == system and one.status == "done" and operation in (None, one.operation) and one.documents
    ]
    return _sum((one.documents, one.currency, one.minor) for one in found)


def _stands(stands: Iterable[Stand]) -> Sum:
    return _sum((one.count, one.currency, one.minor) for one in stands)


def _turned_back(one: Stand) -> bool:
    """It has come out without a credit, or people are asked about it once more."""
    return one.phase == "approval" or one.outcome not in (None, "posted")


def _reports(told: Sequence[Told]) -> dict[str, Sum]:
    return {name: _sum((one.count, one.currency, one.minor) for one in told if one.system == name) for name in _TOLD}


def _less(one: Sum, other: Sum) -> Sum:
    minor = Counter(one[1])
    minor.subtract(other[1])
    return one[0] - other[0], {name: amount for name, amount in sorted(minor.items()) if amount}


def _used(wave: Wave) -> Sum:
    return wave.cases, {name: amount for name, amount in sorted(wave.used.items()) if amount}


def _within(wave: Wave, approved: Sum) -> bool:
    if wave.grant is None:
        return approved[0] == 0
    cap = wave.grant.cap
    return approved[0] <= cap.cases and all(cap.minor.get(name, 0) >= used for name, used in approved[1].items())


def _examples(unlike: Iterable[Unlike]) -> list[str]:
    return [
        f"{one.key} ({one.outcome}, {Money(one.minor, one.currency)}): {one.credits} standing in billing of "
        f"{Money(one.credited, one.currency)}, {one.posts} in the ERP of {Money(one.posted, one.currency)}"
        for one in unlike
    ]


def _part(groups: Iterable[Group]) -> Part:
    count, minor = _sum((group.count, group.currency, group.minor) for group in groups)
    return Part(count, money_text(minor))


def _tiers(groups: Iterable[Group]) -> list[str]:
    return sorted({group.tier or "?" for group in groups})


def _needs(groups: Iterable[Group]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for group in groups:
        found[f"{group.people} {group.role}"] += group.count
    return dict(sorted(found.items()))


def _cap(proposal: Proposal) -> CapView:
    return CapView(
        money=money_text(proposal.cap.minor),
        cases=proposal.cap.cases,
        per_account=proposal.cap.per_account,
        digest=proposal.digest,
        people=proposal.need.people,
        role=proposal.need.role,
        why=proposal.need.why,
        approved_by=[vote.who for vote in proposal.votes],
    )


def _hold(wave: Wave) -> HoldView | None:
    hold = wave.hold
    return None if hold is None else HoldView(hold.who, hold.reason, rfc3339(moment(hold.at)) or "", hold.rule)
