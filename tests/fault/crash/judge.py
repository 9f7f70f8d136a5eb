"""What must hold after a case, whatever happened in it: nothing twice, nothing lost, nothing left without an end.

Money is judged from the systems' own ledgers. The store is read with nothing but sqlite3, for what only it knows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ops.sandbox.documents import Document
from ops.systems import Systems
from tests.fault.crash.calls import call_findings
from tests.fault.crash.reading import Finding, Row, ask
from tests.support.checkers import audit_true

SUPPORT_TOLD = {"posted": "posted", "compensated": "compensated", "rejected": "rejected"}
PROCESSES = ("small", "taken-back", "approved", "rejected", "late", "wave-a", "wave-b", "locked")
UNSETTLED = """
    SELECT (SELECT count(*) FROM call WHERE status IN ('waiting', 'in_flight', 'unknown'))
         + (SELECT count(*) FROM process WHERE phase <> 'ended')
         + (SELECT count(*) FROM queue_item)
         + (SELECT count(*) FROM message WHERE handled_at IS NULL)
         + (SELECT count(*) FROM control WHERE until IS NOT NULL AND ended_at IS NULL)
"""
"""How much has no end yet."""
MOVES = """
    SELECT (SELECT count(*) FROM audit WHERE verb LIKE 'call.%' OR verb LIKE 'operation.%'),
           (SELECT count(*) FROM milestone WHERE name <> 'approval.escalated'),
           (SELECT count(*) FROM message WHERE type <> 'process.timer')
"""
"""Grows with whatever brings the case nearer to its end; clocks that run by themselves do not."""


def judge(
    systems: Systems, store: Path, prefix: str, expected: Mapping[str, str], since: Mapping[str, int]
) -> list[Finding]:
    """Everything that is wrong with a case. `since`: where the logs of the systems ended before it."""
    books = {name: _mine(system.documents(), prefix) for name, system in systems.all.items()}
    about = {name: system.reason_codes() for name, system in systems.beside.items()}
    return [
        *_once(books),
        *_money(books, expected),
        *_told(books, about, prefix, expected),
        *_books_agree(books, store, prefix),
        *_said_once(store),
        *_no_orphans(store),
        *call_findings(systems, store, since),
        *(Finding("audit", found.detail) for found in audit_true(store)),
    ]


def _mine(documents: list[Document], prefix: str) -> list[Document]:
    return [one for one in documents if one.source_document.startswith(f"{prefix}-")]


def _once(books: Mapping[str, list[Document]]) -> Iterator[Finding]:
    for system, made in books.items():
        for reference, count in Counter(one.reference for one in made).items():
            if count > 1:
                yield Finding("duplicate", f"{system} has {count} documents of reference {reference}")
        for (key, status), count in Counter((one.source_document, one.status) for one in made).items():
            if count > 1:
                yield Finding("duplicate", f"{system} has {count} documents ({status}) for {key}")


def _money(books: Mapping[str, list[Document]], expected: Mapping[str, str]) -> Iterator[Finding]:
    erp = {one.source_document for one in books["erp"]}
    credits = {one.source_document for one in books["billing"] if not one.status.endswith("void")}
    voids = {one.source_document for one in books["billing"] if one.status.endswith("void")}
    for key, outcome in expected.items():
        if outcome == "posted" and key not in erp:
            yield Finding("lost", f"{key} is not in the ERP")
        if outcome != "posted" and key in erp:
            yield Finding("duplicate", f"{key} is {outcome} and in the ERP")
        if outcome == "compensated" and key not in credits & voids:
            yield Finding("lost", f"{key}: the credit or its void is not in billing")
        if outcome == "rejected" and key in credits:
            yield Finding("duplicate", f"{key} was rejected and is in billing")
        if outcome == "posted" and key in voids:
            yield Finding("lost", f"{key} stands in the ERP and is voided in billing")
        if outcome == "posted" and _is_process(key) and key not in credits:
            yield Finding("lost", f"{key} is in the ERP and not in billing")
    for key in sorted((erp | credits) - set(expected)):
        if not key.endswith("poison"):
            yield Finding("duplicate", f"{key} is in the books and nobody asked for it")


def _is_process(key: str) -> bool:
    return key.partition("-")[2] in PROCESSES


def _told(
    books: Mapping[str, list[Document]],
    about: Mapping[str, Mapping[str, str]],
    prefix: str,
    expected: Mapping[str, str],
) -> Iterator[Finding]:
    for system in ("support", "crm", "revenue"):
        told = {one.source_document: about[system][one.reference] for one in books[system] if _reports(one)}
        for key, outcome in expected.items():
            if _is_process(key) and told.get(key) != SUPPORT_TOLD[outcome]:
                yield Finding("lost", f"{system} was told {told.get(key)} of {key}, which is {outcome}")


def _reports(document: Document) -> bool:
    return document.status == "status.report"


def _books_agree(books: Mapping[str, list[Document]], store: Path, prefix: str) -> Iterator[Finding]:
    """The ledger against the documents, both ways."""
    calls = ask(store, "SELECT intent_id, system, operation, status, document FROM call")
    made = {(system, one.reference): one.document_id for system, all_ in books.items() for one in all_}
    known = {(system, intent): (status, document) for intent, system, _, status, document in calls}
    for (system, reference), document in made.items():
        status, ours = known.get((system, reference), ("not in the ledger", None))
        if (status, ours) != ("done", document):
            yield Finding("orphan", f"{system} has {document} for {reference}, which is {status} as {ours} with us")
    for intent, system, operation, status, document in calls:
        if status == "done" and not operation.endswith(".read") and (system, intent) not in made:
            yield Finding("lost", f"{intent} is done as {document}; {system} does not have it")


def _said_once(store: Path) -> Iterator[Finding]:
    """What is recorded of a key, and who approved it."""
    once = "name IN ('erp.refused', 'approval.given')"
    once += "".join(f" OR name GLOB '*.{end}'" for end in ("posted", "done", "requested"))
    query = f"SELECT key, name, count(*) FROM milestone WHERE {once} GROUP BY process, key, name HAVING count(*) > 1"
    for key, name, count in ask(store, query):
        yield Finding("duplicate", f"{key}: {name} is recorded {count} times")
    for key, facts in ask(store, "SELECT key, facts FROM milestone WHERE name = 'approval.given'"):
        hands = json.loads(facts)["who"].split(" and ")
        if len(hands) != len(set(hands)):
            yield Finding("duplicate", f"{key} was approved by {' and '.join(hands)}")


def _no_orphans(store: Path) -> Iterator[Finding]:
    questions: tuple[tuple[str, Callable[[Row], str]], ...] = (
        (
            "SELECT intent_id, system, status FROM call WHERE status NOT IN ('done', 'refused')",
            lambda row: f"call {row[0]} to {row[1]} ends as {row[2]}",
        ),
        ("SELECT key, phase FROM process WHERE phase <> 'ended'", lambda row: f"process {row[0]} is {row[1]}"),
        ("SELECT id, type FROM message WHERE handled_at IS NULL", lambda row: f"{row[1]} {row[0]} was never handled"),
        ("SELECT queue, message_id FROM queue_item", lambda row: f"{row[1]} is left in {row[0]}"),
        (
            "SELECT seq, intent_id FROM spend WHERE arrived_by_ns IS NULL AND kind <> 'limits'",
            lambda row: f"the spend of {row[1]} has no end",
        ),
        (
            "SELECT m.id, m.key FROM message m WHERE m.type = 'process.vote' AND NOT EXISTS "
            "(SELECT 1 FROM process p WHERE p.key = m.key AND p.tenant = m.tenant)",
            lambda row: f"vote {row[0]} about {row[1]} has no process",
        ),
        (
            "SELECT p.key FROM process p WHERE NOT EXISTS "
            "(SELECT 1 FROM state s WHERE s.domain = 'workflow' AND s.key = p.id)",
            lambda row: f"process {row[0]} has no checkpoint",
        ),
    )
    for query, words in questions:
        for row in ask(store, query):
            yield Finding("orphan", words(row))
