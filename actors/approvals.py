"""The desk for approvals: what waits, for whom and until when; votes, judged at once and again by the process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from actors.house import House
from actors.processes_exposure import exposed
from actors.processes_record import DOMAIN, Record
from actors.processes_replay import replayed
from actors.replays import closed, replaced
from actors.retries import of_tenant
from actors.runtime.clock import microseconds, moment
from broker.accept import Acceptor
from broker.store.operators import OperatorReads
from broker.store.orders import Conflict
from broker.store.rows import Accept, AuditRow, ExceptionEnd, ExceptionRecord, ProcessRow
from broker.store.unit import Unit
from contracts.codec import decode, encode
from contracts.envelope import Envelope
from contracts.errors import ContractError
from contracts.ids import intent_id
from contracts.messages import ProcessReplay, ProcessVote
from contracts.money import Money
from policies.approval import (
    DEFAULT_POLICY,
    ApprovalPolicy,
    Counted,
    Delegation,
    Person,
    Refused,
    Rejected,
    Vote,
    judge,
)
from policies.process import TABLES, states

PAGE_MAX = 200
_REASON_MAX = 500
_LOOKS, _LOOK_SECONDS = 100, 0.02


class Ballot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A vote as it is sent. `digest` is the one that `show` told: it binds the vote to what was seen.

    Who votes is whose token it is; `who` may say so, and is refused if it says another name. `tenant` is needed only
    for a key that several tenants have.
    """

    digest: str
    reason: str
    who: str | None = None
    behalf: str | None = None
    tenant: str | None = None
    dry_run: bool = False


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Send again what was refused, as it is with this digest. What was turned back altogether may be changed."""

    digest: str
    reason: str
    amount: Money | None = None
    reason_code: Literal["service_credit", "refund", "correction", "renewal", "invoice"] | None = None
    tenant: str | None = None
    dry_run: bool = False


class Told(msgspec.Struct, frozen=True):
    """A vote that counted, or a step of the process."""

    who: str
    verdict: str
    behalf: str | None = None
    reason: str = ""


class ApprovalView(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that waits for people, or did. Amounts are "12.50 EUR"; moments RFC 3339."""

    key: str
    tenant: str
    kind: str
    account: str
    amount: str
    exposure: str
    requested_by: str
    phase: str
    people: int
    role: str
    why: str
    digest: str
    since: str
    incident: str | None = None
    note: str | None = None
    outcome: str | None = None
    escalates_at: str | None = None
    expires_at: str | None = None
    votes: list[Told] = []
    plan: list[str] = []
    states: dict[str, str] = {}


class ApprovalPage(msgspec.Struct, frozen=True):
    """What waits for approval, oldest first."""

    items: list[ApprovalView]


class VoteEffect(msgspec.Struct, frozen=True):
    """What a vote did, or with dry_run would do: `counted` (and how many are missing), `approved` or `rejected`.

    Of what is sent again: `replayed`, or `approval` when it begins anew (and how many must approve it).

    `taken`: it is durable, and the process has not got to it yet.
    """

    key: str
    result: str
    left: int
    done: bool
    note: str


class Approvals:
    """Reads processes from the store and hands votes to them."""

    def __init__(
        self,
        house: House,
        acceptor: Acceptor,
        people: Mapping[str, Person],
        delegations: Sequence[Delegation],
        connected: frozenset[str],
        policy: ApprovalPolicy = DEFAULT_POLICY,
    ) -> None:
        self._house = house
        self._acceptor = acceptor
        self._people = people
        self._delegations = delegations
        self._connected = connected
        self._policy = policy
        self._operators = OperatorReads(house.store.reads)

    async def waiting(self, limit: int) -> ApprovalPage:
        """What waits for people, oldest first.

        Raises:
            TimeoutError: the store took too long to answer.
        """
        rows = await self._house.store.reads.processes_in("approval", limit)
        return ApprovalPage([_view(record) for record in await self._exposed(await self._records(rows))])

    async def show(self, key: str, tenant: str | None = None) -> ApprovalView:
        """One, with its votes, what would be undone if it fails later, and where each step stands.

        Raises:
            ContractError: approval.not_found.
            TimeoutError: the store took too long to answer.
        """
        (record,) = await self._exposed([await self._record(key, tenant)])
        return _view(record)

    async def vote(self, key: str, verdict: str, ballot: Ballot, who: str) -> VoteEffect:
        """Judge the vote of a token's holder, and make it durable for the process, which judges it again.

        Raises:
            ContractError: approval.* says why it does not count; nothing was changed.
            StoreUnavailable: nothing may be assumed; vote again.
        """
        if ballot.who not in (None, who):
            raise ContractError("approval.person", f"The token is {who}'s, and nobody votes for others.", "/who")
        _check_text(ballot.reason, _REASON_MAX, "operation.reason", "Say why", "/reason")
        (record,) = await self._exposed([await self._record(key, ballot.tenant)])
        if record.process.phase != "approval":
            raise ContractError("approval.closed", f"It is {record.process.outcome or record.process.phase} already.")
        at = microseconds(self._house.clock.now())
        vote = Vote(
            who=who,
            verdict="approve" if verdict == "approve" else "reject",
            digest=ballot.digest,
            behalf=ballot.behalf,
            reason=ballot.reason,
        )
        judgement = judge(record.ask(), record.need, record.votes, vote, self._people, self._delegations, at)
        if isinstance(judgement, Refused):
            raise ContractError(judgement.code, judgement.sentence)
        if not ballot.dry_run:
            accept = self._vote(record, vote, at)
            await self._house.store.commit(Unit(at, accepts=[accept], audits=[_audit(record, vote, at)]))
            return await self._taken(key, record.tenant, vote)
        left = judgement.left if isinstance(judgement, Counted) else 0
        result = "rejected" if isinstance(judgement, Rejected) else "counted" if left else "approved"
        return VoteEffect(key, result, left, False, "nothing was changed (dry run)")

    async def _taken(self, key: str, tenant: str, vote: Vote) -> VoteEffect:
        """What the process made of it; after a while, that it is safe and will be taken up."""
        for _ in range(_LOOKS):
            record = await self._record(key, tenant)
            if vote in record.votes:
                counted = sum(one.verdict == "approve" for one in record.votes)
                waits = record.process.phase == "approval"
                left = record.need.people - counted if waits else 0
                result = "rejected" if vote.verdict == "reject" else "counted" if waits else "approved"
                return VoteEffect(key, result, left, True, "durable; the process goes on from here")
            if record.process.phase != "approval":
                raise ContractError(
                    "approval.closed", f"It is {record.process.outcome or record.process.phase} already."
                )
            await self._house.clock.sleep(_LOOK_SECONDS)
        return VoteEffect(key, "taken", 0, True, "durable; the process has not taken it up yet")

    async def replay(self, key: str, wish: Replay, who: str) -> VoteEffect:
        """Send again what was refused, in the name of a token: neither who asked for it nor who approved it.

        Raises:
            ContractError: approval.* or replay.*; nothing was changed.
            StoreUnavailable: nothing may be assumed; ask again.
        """
        _check_text(wish.reason, _REASON_MAX, "operation.reason", "Say why", "/reason")
        record = await self._record(key, wish.tenant)
        data = ProcessReplay(
            process_id=record.request.process_id,
            account_id=record.request.account_id,
            who=who,
            digest=wish.digest,
            reason=wish.reason,
            amount=wish.amount,
            reason_code=wish.reason_code,
        )
        after = replayed(record, data, self._people, self._connected, self._policy)
        if isinstance(after, Refused):
            raise ContractError(after.code, after.sentence)
        opened = await self._house.store.reads.exceptions(key)
        replaces = await replaced(self._operators, record, after, opened)
        left, anew = after.need.people, after.process.phase == "approval"
        result = "approval" if anew else "replayed"
        if wish.dry_run:
            return VoteEffect(key, result, left if anew else 0, False, "nothing was changed (dry run)")
        at = self._house.now()
        name = f"{key} {record.digest} {len(record.replayers)} {sum(record.attempts.values())}"
        accept = self._accept(record, "process.replay", data, name, who, "RP", at)
        facts = {"tenant": record.tenant, "reason": wish.reason, "digest": after.digest, "before": record.digest}
        unit = Unit(at, accepts=[accept], audits=[AuditRow(at, who, "process.replay", key, facts)])
        unit.exception_ends += [ExceptionEnd(row.seq, at) for row in opened if _answered(row, record)]
        unit.call_changes += [closed(call, who, wish.reason, at) for call in replaces]
        try:
            await self._house.store.commit(unit)
        except Conflict:
            raise ContractError(
                "replay.under_way", "Somebody has done something about it meanwhile. Look again."
            ) from None
        note = "durable; it is approved again" if anew else "durable; the process goes on from here"
        return VoteEffect(key, result, left if anew else 0, True, note)

    def _accept(
        self, record: Record, type_: str, data: msgspec.Struct, name: str, who: str, prefix: str, at: int
    ) -> Accept:
        """A message of ours to the process: sent again under the same name, it is recognised."""
        envelope = Envelope(
            id=intent_id(record.tenant, name, who, prefix),
            source="urn:tidegate:approvals",
            type=type_,
            time=moment(at),
            dataschema=self._house.registry.newest(type_).dataschema,
            tenant=record.tenant,
            lane=record.lane,  # type: ignore[arg-type]
            workload=record.workload,
            data=msgspec.Raw(encode(data)),
        )
        return self._acceptor.prepare(self._acceptor.read(envelope), at)

    def _vote(self, record: Record, vote: Vote, at: int) -> Accept:
        """One message for one voter, one thing and one count of votes."""
        request = record.request
        data = ProcessVote(
            process_id=request.process_id,
            account_id=request.account_id,
            who=vote.who,
            verdict=vote.verdict,
            digest=vote.digest,
            behalf=vote.behalf,
            reason=vote.reason,
            exposure=request.exposure,
        )
        name = f"{request.process_id} {record.digest} {len(record.replayers)} {len(record.votes)}"
        return self._accept(record, "process.vote", data, name, vote.who, "VO", at)

    async def _record(self, key: str, tenant: str | None) -> Record:
        rows = await self._house.store.reads.processes(key)
        records = await self._records([row for row in rows if tenant in (None, row.tenant)])
        if not records:
            raise ContractError("approval.not_found", "No process is known under this key.")
        if len(records) > 1:
            raise ContractError("approval.not_found", "Several tenants have this key. Name the tenant.")
        return records[0]

    async def _exposed(self, records: Sequence[Record]) -> list[Record]:
        return await exposed(self._house.store.reads, records, self._policy)

    async def _records(self, rows: Sequence[ProcessRow]) -> list[Record]:
        found = await self._house.store.reads.states(DOMAIN, [row.id for row in rows])
        return [decode(found[row.id][1], Record) for row in rows if row.id in found]


def _audit(record: Record, vote: Vote, at: int) -> AuditRow:
    request = record.request
    facts = {"tenant": record.tenant, "amount": str(request.amount), "digest": vote.digest, "reason": vote.reason}
    if vote.behalf is not None:
        facts["behalf"] = vote.behalf
    return AuditRow(at, vote.who, f"approval.{vote.verdict}", request.process_id, facts)


def _answered(row: ExceptionRecord, record: Record) -> bool:
    """Whether an exception is about what is done again, and so is nobody's work any more.

    Other tenants may have the same key. An intent is one tenant's; what a process says of itself keeps the message that
    it said so at.
    """
    if row.intent_id is not None:
        steps, undone = record.process.steps, record.process.undone
        return row.intent_id in {state.intent_id for state in (*steps.values(), *undone.values())}
    refused = f" for {record.request.process_id}: " in row.cause and " refused " in row.cause
    return (row.failure == "process_stuck" or refused) and of_tenant(row, record.tenant)


def _check_text(text: str, characters_max: int, code: str, wish: str, path: str) -> None:
    if not text.strip() or len(text) > characters_max or not text.isprintable():
        raise ContractError(code, f"{wish}, in 1 to {characters_max} printable characters.", path)


def _view(record: Record) -> ApprovalView:
    request, process, table = record.request, record.process, TABLES[record.request.kind]
    waits = process.phase == "approval"
    return ApprovalView(
        key=request.process_id,
        tenant=record.tenant,
        kind=request.kind,
        account=request.account_id,
        amount=str(request.amount),
        exposure=str(request.exposure),
        requested_by=request.requested_by,
        phase=process.phase,
        people=record.need.people,
        role=record.need.role,
        why=record.need.why,
        digest=record.digest,
        since=iso(record.since),
        incident=request.incident_id,
        note=request.note,
        outcome=process.outcome,
        escalates_at=iso(record.escalates_at) if waits and record.escalates_at else None,
        expires_at=iso(record.expires_at) if waits and record.expires_at else None,
        votes=[Told(vote.who, vote.verdict, vote.behalf, vote.reason) for vote in record.votes],
        plan=[f"if a later step is refused: {undo.system} {undo.operation}. {undo.sentence}" for undo in table.plan()],
        states=states(process, table),
    )


def iso(microseconds: int) -> str:
    """A stored moment as RFC 3339 text, to the second."""
    return moment(microseconds).isoformat(timespec="seconds").replace("+00:00", "Z")
