"""The store's answers about incidents: what was asked because of one, and what an approval of it has let through."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import Select, and_, case, exists, func, or_, select

from broker.store import schema as s
from broker.store.reads import Reads
from broker.store.rows import ProcessRow
from broker.store.wave_rows import WaveCaseRow

KIND = "credit"
"""What a wave is about; refunds, corrections and amendments are approved one by one."""
_NAMES_MAX = 10_000
"""A database takes only so many parameters at once."""
_fields = [field.name for field in msgspec.structs.fields(WaveCaseRow)]


class Group(msgspec.Struct, frozen=True):
    """Credits of an incident that are alike: how many, their sum and the largest (minor units)."""

    phase: str
    outcome: str | None
    currency: str
    tier: str | None
    people: int
    role: str
    count: int
    minor: int
    largest: int


class Waiting(msgspec.Struct, frozen=True):
    """A credit that waits for people."""

    process: str
    key: str
    account: str
    minor: int
    currency: str
    requester: str
    digest: str


class Done(msgspec.Struct, frozen=True):
    """Calls of an incident's credits that are alike: how many, and their sum (minor units)."""

    system: str
    operation: str
    status: str
    currency: str | None
    count: int
    minor: int
    documents: int


class Stand(msgspec.Struct, frozen=True):
    """Cases that were let through and are alike now: how many, and what they ask for now (minor units)."""

    phase: str
    outcome: str | None
    currency: str
    count: int
    minor: int


class Told(msgspec.Struct, frozen=True):
    """Cases of which a system took the last report: how many, and their sum (minor units)."""

    system: str
    currency: str | None
    count: int
    minor: int


class Progress(msgspec.Struct, frozen=True):
    """Cases that were let through and have neither ended nor got stuck; how many of them nobody has taken up yet.

    `returned`: those that their process refused to let go on, and that people are still asked about.
    """

    under_way: int
    untaken: int
    returned: int


class Unlike(msgspec.Struct, frozen=True):
    """A credit and what the systems hold of it, in documents and minor units: in billing, less what was voided."""

    key: str
    outcome: str
    currency: str
    minor: int
    credits: int
    credited: int
    posts: int
    posted: int


class WaveReads:
    """Questions about incidents. Read-only; each may be cancelled at any time.

    Raises (all of them): TimeoutError when it took longer than `reads.READ_SECONDS_MAX`.
    """

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def incidents(self, limit: int) -> list[tuple[str, str, int, int, int]]:
        """Tenant, incident, credits, those that wait for people, and when the last began; the latest first."""
        p = s.process.c
        waits = func.sum(_one(p.phase == "approval"))
        last = func.max(p.opened_at)
        query = select(p.tenant, p.incident, func.count(), waits, last).where(p.incident.is_not(None), p.kind == KIND)
        query = query.group_by(p.tenant, p.incident).order_by(last.desc()).limit(limit)
        return [tuple(row) for row in await self._reads.rows(query)]

    async def tenants(self, incident: str) -> list[str]:
        """Whose incident it is."""
        p = s.process.c
        query = select(p.tenant).where(p.incident == incident).distinct().limit(20)
        return [row[0] for row in await self._reads.rows(query)]

    async def groups(self, tenant: str, incident: str) -> list[Group]:
        """All credits of an incident, by what is alike."""
        p = s.process.c
        names = (p.phase, p.outcome, p.currency, p.tier, p.people, p.role)
        query = select(*names, func.count(), func.sum(p.minor), func.max(p.minor))
        query = query.where(*_of(tenant, incident)).group_by(*names)
        return [Group(*row) for row in await self._reads.rows(query)]

    async def asked(self, tenant: str, incident: str) -> dict[str, int]:
        """Minor units by currency of all credits that need people."""
        p = s.process.c
        query = select(p.currency, func.sum(p.minor)).where(*_of(tenant, incident), p.people > 0).group_by(p.currency)
        return {currency: int(minor) for currency, minor in await self._reads.rows(query)}

    async def seen(self, tenant: str, incident: str, until: int) -> list[tuple[str, str, str, int]]:
        """Key, digest, currency and amount of all credits that need people and were there at a moment, by key."""
        p = s.process.c
        query = select(p.key, p.digest, p.currency, p.minor).where(
            *_of(tenant, incident), p.people > 0, p.opened_at <= until
        )
        return [tuple(row) for row in await self._reads.rows(query.order_by(p.key))]

    async def waiting(self, tenant: str, incident: str, approval: str, limit: int) -> list[Waiting]:
        """Credits that wait for people and that this approval has not met, oldest first."""
        p = s.process.c
        query = (
            select(p.id, p.key, p.account, p.minor, p.currency, p.requester, p.digest)
            .where(*_unmet(tenant, incident, approval))
            .order_by(p.opened_at, p.id)
            .limit(limit)
        )
        return [Waiting(*row) for row in await self._reads.rows(query)]

    async def ahead(self, tenant: str, incident: str, approval: str, row: ProcessRow) -> int:
        """How many of those stand before this one."""
        p = s.process.c
        earlier = or_(p.opened_at < row.opened_at, and_(p.opened_at == row.opened_at, p.id < row.id))
        query = select(func.count()).select_from(s.process).where(*_unmet(tenant, incident, approval), earlier)
        return int((await self._reads.rows(query))[0][0])

    async def met_with(self, wave: str, process: str) -> list[WaveCaseRow]:
        """What approvals of an incident have met this process with, in that order."""
        w = s.wave_case.c
        query = select(s.wave_case).where(w.wave == wave, w.process == process).order_by(w.place)
        return [_case(row) for row in await self._reads.rows(query)]

    async def released_of(self, wave: str, accounts: Collection[str]) -> dict[str, int]:
        """How many cases of each account were let through."""
        w, wanted = s.wave_case.c, sorted(accounts)
        found: dict[str, int] = {}
        for start in range(0, len(wanted), _NAMES_MAX):
            part = wanted[start : start + _NAMES_MAX]
            query = select(w.account, func.count()).where(w.wave == wave, w.account.in_(part), w.verdict == "released")
            found |= {account: count for account, count in await self._reads.rows(query.group_by(w.account))}
        return found

    async def under_way(self, wave: str) -> int:
        """Cases that were let through and go on. What people are asked about anew waits for them, not for us."""
        return (await self.progress(wave, 0, 0)).under_way

    async def progress(self, wave: str, since: int, after: int) -> Progress:
        """How far the cases are that were let through; `returned` since a moment and beyond a place."""
        p, w = s.process.c, s.wave_case.c
        asked, answered = p.phase == "approval", _handled("process.grant")
        untaken = and_(asked, ~answered)
        again = _handled("process.replay", s.message.c.accepted_at > w.at)
        returned = and_(asked, answered, ~again, w.at >= since, w.place > after)
        counts = (_one(or_(~asked, untaken)), _one(untaken), _one(returned))
        query = (
            select(*(func.coalesce(func.sum(count), 0) for count in counts))
            .select_from(s.wave_case)
            .join(s.process, p.id == w.process)
            .where(w.wave == wave, w.verdict == "released", p.phase.not_in(("ended", "stuck")))
        )
        under_way, waits, back = (await self._reads.rows(query))[0]
        return Progress(int(under_way), int(waits), int(back))

    async def last_ends(self, tenant: str, incident: str, since: int, limit: int) -> list[bool]:
        """Whether the last credits that ended (or got stuck) after a moment were posted, the latest first.

        What people rejected or nobody approved was not refused by any system, and is left out.
        """
        p = s.process.c
        over = or_(p.phase == "stuck", and_(p.phase == "ended", p.outcome.in_(("posted", "compensated", "refused"))))
        query = select(p.phase, p.outcome).where(*_of(tenant, incident), over, p.changed_at > since)
        rows = await self._reads.rows(query.order_by(p.changed_at.desc()).limit(limit))
        return [outcome == "posted" for _, outcome in rows]

    async def busiest(self, tenant: str, incident: str, limit: int) -> list[tuple[str, int]]:
        """Accounts with several credits that need people, and how many, most first."""
        p = s.process.c
        count = func.count()
        query = select(p.account, count).where(*_of(tenant, incident), p.people > 0).group_by(p.account)
        rows = await self._reads.rows(query.having(count > 1).order_by(count.desc(), p.account).limit(limit))
        return [(account, number) for account, number in rows]

    async def largest(self, tenant: str, incident: str, limit: int) -> list[Waiting]:
        """The largest credits that wait for people."""
        p = s.process.c
        query = select(p.id, p.key, p.account, p.minor, p.currency, p.requester, p.digest).where(
            *_of(tenant, incident), p.phase == "approval"
        )
        return [Waiting(*row) for row in await self._reads.rows(query.order_by(p.minor.desc(), p.id).limit(limit))]

    async def met(self, wave: str, after: int, limit: int) -> list[WaveCaseRow]:
        """Cases that approvals of an incident have met, in that order, beyond a place."""
        w = s.wave_case.c
        query = select(s.wave_case).where(w.wave == wave, w.place > after).order_by(w.place).limit(limit)
        return [_case(row) for row in await self._reads.rows(query)]

    async def verdicts(self, wave: str) -> list[tuple[str, str, int, int]]:
        """Verdict, currency, cases and their sum (minor units) of what approvals have met; each case once."""
        w = s.wave_case.c
        last = select(w.process, func.max(w.place).label("place")).where(w.wave == wave).group_by(w.process).subquery()
        query = (
            select(w.verdict, w.currency, func.count(), func.sum(w.minor))
            .join(last, and_(last.c.process == w.process, last.c.place == w.place))
            .where(w.wave == wave)
            .group_by(w.verdict, w.currency)
        )
        return [tuple(row) for row in await self._reads.rows(query)]

    async def calls(self, tenant: str, incident: str, wave: str | None) -> list[Done]:
        """What the systems were asked to do for the credits of an incident, by what is alike.

        With `wave`, for those only that it has let through.
        """
        p, c, w = s.process.c, s.call.c, s.wave_case.c
        names = (c.system, c.operation, c.status, c.currency)
        query: Select[Any] = (
            select(*names, func.count(), func.coalesce(func.sum(c.minor), 0), func.count(c.document))
            .select_from(s.process)
            .join(s.call, and_(c.key == p.key, c.tenant == p.tenant))
            .where(*_of(tenant, incident))
        )
        if wave is not None:
            let = p.id.in_(select(w.process).where(w.wave == wave, w.verdict == "released"))
            query = query.where(let)
        return [Done(*row) for row in await self._reads.rows(query.group_by(*names))]

    async def stands(self, wave: str) -> list[Stand]:
        """Where the cases that were let through stand now; who sent one again may have changed its amount."""
        p, w = s.process.c, s.wave_case.c
        names = (p.phase, p.outcome, p.currency)
        query = (
            select(*names, func.count(), func.sum(p.minor))
            .select_from(s.wave_case)
            .join(s.process, p.id == w.process)
            .where(w.wave == wave, w.verdict == "released")
            .group_by(*names)
        )
        return [Stand(*row) for row in await self._reads.rows(query)]

    async def told(self, wave: str) -> list[Told]:
        """Who took the last report of each case that was let through. A case that was sent again is told of again."""
        p, c, w = s.process.c, s.call.c, s.wave_case.c
        last = (
            select(func.max(c.seq))
            .select_from(s.wave_case)
            .join(s.process, p.id == w.process)
            .join(s.call, and_(c.key == p.key, c.tenant == p.tenant))
            .where(w.wave == wave, w.verdict == "released", c.operation == "status.report")
            .group_by(p.id, c.system)
        )
        query = select(c.system, c.currency, func.count(), func.coalesce(func.sum(c.minor), 0))
        query = query.where(c.seq.in_(last), c.status == "done", c.document.is_not(None))
        return [Told(*row) for row in await self._reads.rows(query.group_by(c.system, c.currency))]

    async def unlike(self, tenant: str, incident: str, limit: int) -> list[Unlike]:
        """Credits with other documents than their outcome says, by key.

        What was posted has one credit that stands and one document in the ERP, of its amount; any other has none.
        """
        p, c = s.process.c, s.call.c
        made, own = and_(c.status == "done", c.document.is_not(None)), c.currency == p.currency
        credit = and_(made, c.system == "billing", c.operation == "credit.create")
        void = and_(made, c.system == "billing", c.operation == "credit.void")
        post = and_(made, c.system == "erp")
        credits = func.sum(_one(credit)) - func.sum(_one(void))
        credited = func.sum(_one(and_(credit, own), c.minor)) - func.sum(_one(and_(void, own), c.minor))
        posts, posted = func.sum(_one(post)), func.sum(_one(and_(post, own), c.minor))
        right, minor = _one(p.outcome == "posted"), _one(p.outcome == "posted", p.minor)
        query = (
            select(p.key, p.outcome, p.currency, p.minor, credits, credited, posts, posted)
            .select_from(s.process)
            .outerjoin(s.call, and_(c.key == p.key, c.tenant == p.tenant))
            .where(*_of(tenant, incident), p.outcome.is_not(None))
            .group_by(p.id, p.key, p.outcome, p.currency, p.minor)
            .having(or_(credits != right, credited != minor, posts != right, posted != minor))
            .order_by(p.key)
            .limit(limit)
        )
        return [Unlike(*row) for row in await self._reads.rows(query)]

    async def waves(self, domain: str, limit: int) -> list[bytes]:
        """The states of all waves, the last changed first."""
        t = s.state.c
        query = select(t.body).where(t.domain == domain).order_by(t.updated_at.desc()).limit(limit)
        return [row[0] for row in await self._reads.rows(query)]


def _one(condition: Any, value: Any = 1) -> Any:
    return case((condition, value), else_=0)


def _handled(type_: str, *more: Any) -> Any:
    """Whether a message of this type to a process was handled. A wave lets a case through once, by one message."""
    p, m = s.process.c, s.message.c
    return exists(
        select(1).where(m.key == p.key, m.tenant == p.tenant, m.type == type_, m.handled_at.is_not(None), *more)
    )


def _of(tenant: str, incident: str) -> tuple[Any, ...]:
    p = s.process.c
    return p.tenant == tenant, p.incident == incident, p.kind == KIND


def _unmet(tenant: str, incident: str, approval: str) -> tuple[Any, ...]:
    """That a credit waits for people and that this approval has not met it."""
    p, w = s.process.c, s.wave_case.c
    met = or_(w.approval == approval, w.verdict == "released")
    known = p.id.in_(select(w.process).where(w.wave == f"{tenant}/{incident}", met))
    return *_of(tenant, incident), p.phase == "approval", ~known


def _case(row: Any) -> WaveCaseRow:
    return WaveCaseRow(**dict(zip(_fields, row, strict=True)))
