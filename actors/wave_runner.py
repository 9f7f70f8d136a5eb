"""Letting approved incidents through: case after case, at the pace of the ERP, until something does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from actors.house import House
from actors.operator_effects import money_text
from actors.runtime.actor import Context
from actors.waves import OWNER, STOPPED, Waves, message_id
from broker.store.rows import AuditRow, ExceptionRow
from broker.store.store import StoreUnavailable
from broker.store.unit import Unit
from broker.store.wave_rows import WaveCaseRow
from broker.store.waves import Progress
from contracts.messages import ProcessGrant
from policies import wave as policy
from policies.wave import Case, Hold, Release, Rules, Stop, Wave

LANE, WORKLOAD = "standard", "incident-wave"
"""Its calls go in a line of their own, with the share that `flow.workloads` gives to it."""
_GRANT, _PREFIX = "process.grant", "GR"
LEAD_SECONDS = 20
"""So much of the ERP's work may be under way: what a stop comes too late for."""
LOOK_SECONDS = 0.5
_LOOK_SHARE = 4.0
"""Looking takes at most a fifth of the time: at an incident of very many cases it is work for the store, too."""
ENDS_MAX = 200
"""So many of the last ends tell whether the incident still is what was approved."""
_LEAD_STEPS = (20, 50, 100, 200, 400, 800, 1_600)


class WaveRunner:
    """Looks at every wave that runs, and lets through what fits."""

    def __init__(self, waves: Waves, rules: Rules = policy.DEFAULT_RULES) -> None:
        self._waves = waves
        self._rules = rules
        self._idle: dict[str, int] = {}
        """Looks in a row at which a wave had no room because nothing that it has let through was taken up."""

    async def run(self, context: Context) -> None:
        """Look twice a second while something runs. Each look is one transaction, so a crash repeats none."""
        context.ready()
        while not context.stopping:
            context.beat()
            begun_ns = context.clock.boot_ns()
            try:
                running = await self.turn()
            except (StoreUnavailable, TimeoutError) as problem:
                context.notice(f"approved incidents wait: {problem}")
                running = False
            self._waves.changed.clear()
            took = (context.clock.boot_ns() - begun_ns) / 1e9
            event = context.stop_asked if running else self._waves.changed
            await context.pause(event, max(LOOK_SECONDS, _LOOK_SHARE * took) if running else 1.0)

    async def turn(self) -> bool:
        """One look at every wave; whether one runs.

        Raises:
            StoreUnavailable, TimeoutError: nothing of this look was done.
        """
        async with self._waves.lock:
            running = [wave for wave in (await self._waves.all()).values() if wave.phase == "running"]
            self._idle = {wave.id: self._idle[wave.id] for wave in running if wave.id in self._idle}
            for wave in running:
                await self._look(wave)
        return bool(running)

    async def _look(self, wave: Wave) -> None:
        waves, house = self._waves, self._waves.house
        asked = await waves.reads.asked(wave.tenant, wave.incident)
        ends = await waves.reads.last_ends(wave.tenant, wave.incident, wave.since, ENDS_MAX)
        unit = Unit(house.now())
        progress = await waves.reads.progress(wave.id, wave.since, wave.places - ENDS_MAX)
        after, stop = policy.look(wave, ends, asked, unit.at, self._rules, progress.returned)
        if stop is None:
            after, stop = await self._let_through(unit, after, progress)
        if stop is not None:
            after = self._stop(unit, after, stop)
        if unit.wave_cases or stop is not None:
            waves.keep(unit, after)
            await house.store.commit(unit)
        if after != wave:
            waves.written(after)

    async def _let_through(self, unit: Unit, wave: Wave, progress: Progress) -> tuple[Wave, Stop | None]:
        assert wave.grant is not None, "what runs was approved"
        reads = self._waves.reads
        free = policy.room(progress.under_way, self._per_lead())
        if not free:
            return wave, await self._stalled(wave, wave.grant.digest, progress)
        self._idle.pop(wave.id, None)
        waiting = await reads.waiting(wave.tenant, wave.incident, wave.grant.digest, free)
        cases = await self._waves.cases(waiting)
        had = Counter(await reads.released_of(wave.id, {one.account for one in cases}))
        before, stop = wave, None
        for case in cases:
            wave, stop = self._meet(unit, wave, case, had)
            if stop is not None:
                break
        self._tell(unit, before, wave)
        return wave, stop

    async def _stalled(self, wave: Wave, approval: str, progress: Progress) -> Stop | None:
        """Nobody is told of a wave that has no room, so it must not stay so for a reason that nothing else tells of.

        What was taken up waits for systems, and says so itself. Looks are counted and no time is measured: after a
        start, or a machine that slept, the processes get the time that they need.
        """
        taken_up = progress.untaken < progress.under_way
        if taken_up or not await self._waves.reads.waiting(wave.tenant, wave.incident, approval, 1):
            self._idle.pop(wave.id, None)
            return None
        looks = self._idle[wave.id] = self._idle.get(wave.id, 0) + 1
        return policy.stalled(progress.untaken, looks * LOOK_SECONDS, self._rules)

    def _meet(self, unit: Unit, wave: Wave, case: Case, had: Counter[str]) -> tuple[Wave, Stop | None]:
        assert wave.grant is not None, "what runs was approved"
        verdict = policy.judge_case(wave, case, had[case.account], self._rules)
        wave = policy.met(wave, case, verdict)
        released = isinstance(verdict, Release)
        why = "within the cap" if isinstance(verdict, Release) else verdict.why
        unit.wave_cases.append(_row(wave, case, "released" if released else "waits", why, unit.at))
        if released:
            had[case.account] += 1
            self._grant(unit, wave, case)
        return wave, verdict if isinstance(verdict, Stop) else None

    def _grant(self, unit: Unit, wave: Wave, case: Case) -> None:
        assert wave.grant is not None, "what runs was approved"
        data = ProcessGrant(
            process_id=case.key,
            account_id=case.account,
            digest=case.digest,
            approval=wave.grant.digest,
            approvers=sorted(wave.grant.approvers),
            reason=wave.grant.votes[-1].reason,
        )
        name = _grant_name(case.key, wave.grant.digest)
        self._waves.send(unit, wave, _GRANT, data, name, _PREFIX, LANE, WORKLOAD)

    def _tell(self, unit: Unit, before: Wave, after: Wave) -> None:
        """One entry of the audit for what one look let through."""
        cases = after.cases - before.cases
        if cases and after.grant is not None:
            minor = {name: used - before.used.get(name, 0) for name, used in after.used.items()}
            facts = {
                "tenant": after.tenant,
                "approval": after.grant.digest,
                "cases": cases,
                "money": money_text({name: more for name, more in minor.items() if more}),
            }
            unit.audits.append(AuditRow(unit.at, "wave-runner", "incident.released", after.incident, facts))

    def _stop(self, unit: Unit, wave: Wave, stop: Stop) -> Wave:
        """Hold the wave, and make it somebody's work."""
        self._idle.pop(wave.id, None)
        held = policy.held(wave, Hold("wave-runner", stop.why, unit.at, stop.rule))
        cause = f"{wave.tenant}: the credits of incident {wave.incident} were stopped: {stop.why}"
        unit.exceptions.append(
            ExceptionRow(
                key=wave.incident,
                failure=STOPPED,
                owner=OWNER,
                cause=cause,
                message_id=None,
                intent_id=None,
                body=None,
                opened_at=unit.at,
                tenant=wave.tenant,
            )
        )
        facts = {"tenant": wave.tenant, "rule": stop.rule, "why": stop.why, "cases": wave.cases}
        unit.audits.append(AuditRow(unit.at, "wave-runner", "incident.stopped", wave.incident, facts))
        self._waves.switch(unit, held)
        return held

    def _per_lead(self) -> int:
        """How many calls the ERP takes in the lead, by its budget as it stands."""
        return per_lead(self._waves.house, LEAD_SECONDS)


def granted_as(wave: Wave, key: str, approval: str) -> str:
    """The id of the message that lets a case go on under an approval."""
    return message_id(wave, _GRANT, _grant_name(key, approval), _PREFIX)


def _grant_name(key: str, approval: str) -> str:
    return f"{key} {approval}"


def per_lead(house: House, seconds: int, steps: Sequence[int] = _LEAD_STEPS) -> int:
    """The most of these numbers of calls that the ERP's budget lets start within so many seconds."""
    poster = house.poster
    if poster is None:
        return 0
    now_ns = house.clock.boot_ns()
    able = [n for n in steps if poster.gate.budget.eta(now_ns, n) <= now_ns + seconds * 1_000_000_000]
    return max(able, default=0)


def _row(wave: Wave, case: Case, verdict: str, why: str, at: int) -> WaveCaseRow:
    assert wave.grant is not None, "what runs was approved"
    return WaveCaseRow(
        wave=wave.id,
        approval=wave.grant.digest,
        process=case.process,
        place=wave.places,
        key=case.key,
        account=case.account,
        minor=case.minor,
        currency=case.currency,
        verdict=verdict,
        why=why,
        at=at,
    )
