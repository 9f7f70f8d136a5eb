"""The invariants, judged after a run however it ended. Nothing of ours is believed: the accepted list was written from
the HTTP answers that clients got, the documents are the ERP's ledger, the calls the ERP's log. Only I5 reads our store,
with nothing but sqlite3 and hashlib.

Each checker gives the things that are wrong, as `Finding`s that name the invariant.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from actors.runtime.supervisor import SupervisorSpec
from actors.tree import tree
from ops.certificate import certify

Row = Mapping[str, Any]


class Posted(Protocol):
    """What is read of a document in the ERP's ledger."""

    reference: str
    account_id: str
    amount: str
    currency: str
    source_document: str


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    invariant: str
    detail: str


def nothing_lost(told: Sequence[Row], documents: Iterable[Posted]) -> Iterator[Finding]:
    """I1: each accepted message ended as a document, or as a refusal or an approval with a reason."""
    there = {document.source_document for document in documents}
    for row in told:
        if row["outcome"] == "posted" and row["key"] not in there:
            yield Finding("I1", f"{row['key']} was told posted; the ERP does not have it")
        elif row["outcome"] in ("refused", "approval") and not row.get("reason"):
            yield Finding("I1", f"{row['key']} was told {row['outcome']} without a reason")
        elif row["outcome"] not in ("posted", "refused", "approval"):
            yield Finding("I1", f"{row['key']} was accepted and is {row['outcome']}")


def exactly_once(told: Sequence[Row], documents: Sequence[Posted]) -> Iterator[Finding]:
    """I2: one document for what was posted, none for what was not, amounts equal, nothing that nobody sent."""
    by_key: dict[str, list[Posted]] = defaultdict(list)
    for document in documents:
        by_key[document.source_document].append(document)
    for reference, count in Counter(document.reference for document in documents).items():
        if count > 1:
            yield Finding("I2", f"reference {reference} has {count} documents")
    outcomes = {row["key"]: row for row in told}
    for key, found in by_key.items():
        row = outcomes.get(key)
        if len(found) > 1:
            yield Finding("I2", f"{key} has {len(found)} documents")
        if row is None:
            yield Finding("I2", f"{key} is in the ledger and nobody sent it")
        elif row["outcome"] in ("refused", "approval"):
            yield Finding("I2", f"{key} was told {row['outcome']} and is in the ledger")
        elif row.get("amount") and _money(row["amount"], row["currency"]) != _money(found[0].amount, found[0].currency):
            yield Finding("I2", f"{key}: told {row['amount']} {row['currency']}, posted {found[0].amount}")


def _money(amount: str, currency: str) -> tuple[Decimal, str]:
    return Decimal(amount), currency


def within_limits(erp_log: Path) -> Iterator[Finding]:
    """I3: no window of the ERP's own log, and no instant, is over any of its limits; look-ups and retries count."""
    for limit in certify(erp_log).limits:
        if limit.over:
            yield Finding("I3", f"{limit.name}: {limit.worst} of {limit.limit} ({limit.violations} times)")


def in_order(told: Sequence[Row], documents: Iterable[Posted]) -> Iterator[Finding]:
    """I4: for each account and lane, the ERP's documents follow the sequence of the client."""
    rows = {row["key"]: row for row in told}
    last: dict[tuple[str, str], Row] = {}
    for document in documents:
        row = rows.get(document.source_document)
        if row is None:
            continue
        line = (row["account"], row["lane"])
        before = last.get(line)
        if before is not None and before["sequence"] > row["sequence"]:
            yield Finding("I4", f"{line}: {row['key']} came after {before['key']}")
        last[line] = row


def urgent_is_quick(told: Sequence[Row], erp_log: Path, picks_max: int = 12) -> Iterator[Finding]:
    """P3: between the acceptance of an urgent message and its call, few others arrive at the ERP."""
    ended = [line for line in map(json.loads, erp_log.read_text().splitlines()) if line.get("ended_ns")]
    lanes = {row["key"]: row["lane"] for row in told}
    arrivals = [(line["arrived_ns"], line["source_document"]) for line in ended if line["op"] == "post"]
    for row in told:
        own = [arrived for arrived, key in arrivals if key == row["key"]]
        if row["lane"] == "urgent" and own:
            between = [k for at, k in arrivals if row["accepted_ns"] < at < own[0] and lanes.get(k) != "urgent"]
            if len(between) > picks_max:
                yield Finding("P3", f"{row['key']} is urgent and {len(between)} others went before it")


# the audit ------------------------------------------------------------------------------------------------------

_NEXT = {
    "requested": {"in_flight", "refused"},
    "waiting": {"in_flight", "refused"},
    "in_flight": {"waiting", "unknown", "done", "refused", "exception"},
    "unknown": {"waiting", "done", "exception", "unknown"},
    "exception": {"waiting", "unknown", "done", "refused"},
}


def audit_true(store: Path) -> Iterator[Finding]:
    """I5: the chain verifies from its genesis; every call's entries tell one possible life that ends where it is."""
    connection = sqlite3.connect(f"{store.resolve().as_uri()}?mode=ro", uri=True)
    try:
        entries = connection.execute(
            "SELECT seq, at, actor, verb, subject, facts, cause, policy, inputs, hash FROM audit ORDER BY seq"
        ).fetchall()
        calls = connection.execute("SELECT intent_id, status, sent FROM call").fetchall()
    finally:
        connection.close()
    yield from _chain(entries)
    yield from _lives(entries, {intent: (status, sent) for intent, status, sent in calls})


def _chain(entries: Sequence[tuple[Any, ...]]) -> Iterator[Finding]:
    head = "0" * 64
    for place, (*fields, given) in enumerate(entries, 1):
        text = "\x1f".join(str(value) for value in (fields if any(fields[6:]) else fields[:6]))
        head = hashlib.sha256(f"{head}\n{text}".encode()).hexdigest()
        if fields[0] != place or given != head:
            yield Finding("I5", f"audit entry {place} does not follow from the ones before it")
            return


def _lives(entries: Sequence[tuple[Any, ...]], calls: Mapping[str, tuple[str, int]]) -> Iterator[Finding]:
    told: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    for _, _, _, verb, subject, facts, *_ in entries:
        if verb.startswith("call.") and verb != "call.moved":  # by an operator, to another place in the line
            told[subject].append((verb.removeprefix("call."), json.loads(facts).get("was")))
    for intent in calls.keys() - told.keys():
        yield Finding("I5", f"call {intent} is not in the audit")
    for intent, steps in told.items():
        if intent not in calls:
            yield Finding("I5", f"the audit tells of call {intent}, which does not exist")
            continue
        yield from _life(intent, steps, calls[intent])


def _life(intent: str, steps: Sequence[tuple[str, Any]], now: tuple[str, int]) -> Iterator[Finding]:
    state = steps[0][0]
    if state != "requested":
        yield Finding("I5", f"the life of call {intent} begins with {state}")
    for name, was in steps[1:]:
        known = "waiting" if state == "requested" else state
        if was != known or name not in _NEXT.get(state, ()):
            yield Finding("I5", f"call {intent}: {name} after {state} (it says it was {was})")
        state = name
    status, sent = now
    if state != status and (state, status) != ("requested", "waiting"):
        yield Finding("I5", f"call {intent} is {status}; the audit ends with {state}")
    if sum(name == "in_flight" for name, _ in steps) < sent:
        yield Finding("I5", f"call {intent} was sent {sent} times; the audit has fewer")


# health ---------------------------------------------------------------------------------------------------------


def expected_actors() -> list[str]:
    """Every place of the tree of an embedded daemon, in start order."""
    leaves = (
        "store-writer",
        "anchors",
        "broker-link",
        "credit-policy",
        "erp-requests",
        "erp-poster",
        "timers",
        "orders",
        "housekeeping",
        "reconciler",
    )
    spec = tree({name: lambda: NotImplemented for name in (*leaves, "watchdog", "http")})

    def below(part: SupervisorSpec, path: str) -> Iterator[str]:
        for child in part.children:
            yield f"{path}/{child.name}"
            if isinstance(child, SupervisorSpec):
                yield from below(child, f"{path}/{child.name}")

    return list(below(spec, f"/{spec.name}"))


def healed(overview: Row) -> Iterator[Finding]:
    """I8: ready, everybody of the tree is up, and no call is open."""
    if not overview or not overview["ready"]:
        yield Finding("I8", "the daemon is not ready")
        return
    actors = {row["path"]: row["state"] for row in overview["actors"]}
    if list(actors) != expected_actors():
        yield Finding("I8", f"the census is {list(actors)}")
    for path, state in actors.items():
        if state != "up":
            yield Finding("I8", f"{path} is {state}")
    for row in overview["calls"]:
        if open_calls := row["waiting"] + row["in_flight"] + row["unknown"]:
            yield Finding("I8", f"{open_calls} calls of lane {row['lane']} are open")


def bounded(
    rss_bytes: Sequence[int], descriptors: Sequence[int], rss_max: int = 300_000_000, descriptors_max: int = 200
) -> Iterator[Finding]:
    """I9: memory and descriptors stay under their caps."""
    if max(rss_bytes, default=0) > rss_max:
        yield Finding("I9", f"{max(rss_bytes)} bytes resident, more than {rss_max}")
    if max(descriptors, default=0) > descriptors_max:
        yield Finding("I9", f"{max(descriptors)} descriptors, more than {descriptors_max}")


# the verdict ----------------------------------------------------------------------------------------------------


def money_findings(told: Sequence[Row], documents: Sequence[Posted], erp_log: Path) -> list[Finding]:
    """I1 to I4."""
    return [
        *nothing_lost(told, documents),
        *exactly_once(told, documents),
        *within_limits(erp_log),
        *in_order(told, documents),
    ]


def say(fault: str, seed: int, findings: Sequence[Finding], **counts: Any) -> None:
    """Print one line of JSON about the run."""
    verdict = sorted({finding.invariant for finding in findings}) or "holds"
    print(json.dumps({"fault": fault, "seed": seed, "verdict": verdict, "counts": counts}), flush=True)  # noqa: T201


def tally(told: Sequence[Row], documents: Sequence[Posted], attempts: int) -> dict[str, int]:
    """Counts as Jepsen's total-queue gives them. Recovered: in the ledger although no answer to the post came."""
    there = Counter(document.source_document for document in documents)
    keys = {row["key"] for row in told}
    return {
        "attempts": attempts,
        "acknowledged": len(told),
        "ok": sum(row["outcome"] == "posted" and there[row["key"]] > 0 for row in told),
        "lost": sum(row["outcome"] == "posted" and not there[row["key"]] for row in told),
        "unexpected": len(there.keys() - keys),
        "duplicated": sum(count - 1 for count in there.values()),
    }
