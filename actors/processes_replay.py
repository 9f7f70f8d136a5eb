"""Sending again what was refused: what of a process may be done once more, by whom, and with what changed."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from actors.processes_record import Record, digest_of
from contracts.messages import ProcessReplay
from policies.approval import RANKS, ApprovalPolicy, Person, Refused, may_replay, need
from policies.process import TABLES, begin, retry

replace = msgspec.structs.replace
_ANEW = frozenset({"refused", "compensated", "expired"})
"""Outcomes after which the whole process may be gone through again, once people have approved it again."""


def replayed(
    record: Record,
    data: ProcessReplay,
    people: Mapping[str, Person],
    connected: frozenset[str],
    policy: ApprovalPolicy,
) -> Record | Refused:
    """The record as it goes on, or why it does not.

    A step that was refused is made again under an intent of its own, because the system has closed the first. What
    was turned back altogether begins anew: it is approved again, by people who did not send it again.
    """
    if (refused := _who(record, data, people)) is not None:
        return refused
    if data.digest != record.digest:
        return Refused("approval.changed", "It is not what you saw: it was changed. Look again.")
    process = record.process
    if process.phase == "ended" and process.outcome in _ANEW:
        return _anew(record, data, connected, policy)
    if data.amount is not None or data.reason_code is not None:
        return Refused("replay.edit", "Only what was turned back altogether can be changed: money has moved for this.")
    table = TABLES[record.request.kind]
    retried = retry(process, table)
    if retried is None:
        return Refused("replay.nothing", f"Nothing of it was refused that could be done again: it is {process.phase}.")
    process, again = retried
    attempts = {**record.attempts, **{name: record.attempts.get(name, 0) + 1 for name in again}}
    return replace(record, process=process, attempts=attempts, replayers=_replayers(record, data.who))


def _who(record: Record, data: ProcessReplay, people: Mapping[str, Person]) -> Refused | None:
    person = people.get(data.who)
    if person is None:
        return Refused("approval.person", f"{data.who} is not among the people who may approve. Add them, with a role.")
    if RANKS[person.role] < 1:
        return Refused("approval.role", f"A {person.role} sends nothing again.")
    return may_replay(record.ask(), (*record.old_votes, *record.votes), data.who)


def _anew(record: Record, data: ProcessReplay, connected: frozenset[str], policy: ApprovalPolicy) -> Record:
    request = record.request
    changes = {
        name: value for name, value in (("amount", data.amount), ("reason_code", data.reason_code)) if value is not None
    }
    request = replace(request, judged=False, **changes)
    digest = digest_of(request)
    table = TABLES[request.kind]
    fresh = replace(record, request=request, digest=digest)
    names = [step.name for step in table.steps]
    again = [*names, *(f"undo {name}" for name in names)]
    return replace(
        fresh,
        need=need(fresh.ask(), policy),
        process=begin(table, connected, approved=False),
        votes=(),
        old_votes=(*record.old_votes, *record.votes),
        escalations=0,
        escalates_at=None,
        expires_at=None,
        attempts={name: record.attempts.get(name, 0) + 1 for name in again},
        replayers=_replayers(record, data.who),
    )


def _replayers(record: Record, who: str) -> tuple[str, ...]:
    return record.replayers if who in record.replayers else (*record.replayers, who)
