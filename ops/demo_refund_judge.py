"""What the systems' own ledgers say of a wave of credits: they are read as they are, whatever the daemon believes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from ops.sandbox.documents import Document
from ops.systems import Systems

_EXAMPLES_MAX = 3


class Finding(msgspec.Struct, frozen=True):
    """One promise, what was counted, and cases for which it does not hold."""

    what: str
    holds: bool
    measured: str
    examples: list[str] = []


class Verdict(msgspec.Struct, frozen=True):
    """All findings."""

    findings: list[Finding]

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return all(finding.holds for finding in self.findings)


class Books(msgspec.Struct):
    """What the ledgers hold of a wave, by case."""

    erp: dict[str, list[Document]]
    credits: dict[str, list[Document]]
    voids: dict[str, list[Document]]
    told: dict[str, dict[str, list[str]]]
    """By system, then by case: the outcomes that it was told."""
    reversed: set[str]
    """Credit notes that a void names."""


def judge(
    systems: Systems, before: Mapping[str, set[str]], expected: Mapping[str, str], unknown: int, ended: bool
) -> Verdict:
    """Compare the ledgers with each other and with what the cases had to lead to.

    `before`: references that were on the books before the wave. `expected` by case: `post`, `refuse` or `either`.
    """
    books = read_books(systems, before)
    return Verdict(
        [
            _finding("every process has ended", [] if ended else ["some have not"], "all"),
            _finding("no outcome is unknown", [f"{unknown} calls"] if unknown else [], "0 left"),
            _as_expected(books, expected),
            _once(books),
            _compensated(books),
            _amounts(books),
            _told(books),
        ]
    )


def read_books(systems: Systems, before: Mapping[str, set[str]]) -> Books:
    """The documents that the wave has made."""
    new = {
        name: [document for document in system.documents() if document.reference not in before[name]]
        for name, system in systems.all.items()
    }
    about = {name: system.reason_codes() for name, system in systems.beside.items()}
    told: dict[str, dict[str, list[str]]] = {}
    for name in ("support", "crm", "revenue"):
        cases: dict[str, list[str]] = defaultdict(list)
        for document in new[name]:
            if document.status == "status.report":
                cases[document.source_document].append(about[name][document.reference])
        told[name] = dict(cases)
    voids = [document for document in new["billing"] if document.status == "credit.void"]
    return Books(
        erp=_by_case(new["erp"]),
        credits=_by_case(document for document in new["billing"] if document.status == "credit.create"),
        voids=_by_case(voids),
        told=told,
        reversed={about["billing"][document.reference] for document in voids},
    )


def _by_case(documents: Iterable[Document]) -> dict[str, list[Document]]:
    found: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        found[document.source_document].append(document)
    return dict(found)


def _finding(what: str, wrong: list[str], measured: str) -> Finding:
    counted = measured if not wrong else f"{len(wrong)} wrong"
    return Finding(what, not wrong, counted, wrong[:_EXAMPLES_MAX])


def _as_expected(books: Books, expected: Mapping[str, str]) -> Finding:
    wrong = [case for case, wanted in expected.items() if wanted == "post" and case not in books.credits]
    wrong += [case for case, wanted in expected.items() if wanted == "refuse" and case in books.credits]
    wrong += [case for case in books.credits if case not in expected]
    return _finding(
        "credits exist for the cases that earn one, and for no other", wrong, f"{len(books.credits)} credits"
    )


def _once(books: Books) -> Finding:
    wrong = [f"{case}: {len(made)} credits in billing" for case, made in books.credits.items() if len(made) != 1]
    for case in {*books.credits, *books.erp, *books.voids}:
        posted, void = len(books.erp.get(case, [])), len(books.voids.get(case, []))
        if posted + void != 1 or case not in books.credits:
            wrong.append(f"{case}: {posted} ERP documents and {void} voids")
    measured = f"{len(books.erp)} in the ERP, {len(books.voids)} voided"
    return _finding("one ERP document for each credit that stands, none for any other", wrong, measured)


def _compensated(books: Books) -> Finding:
    wrong = []
    for case in books.voids:
        note = books.credits[case][0].document_id
        if note not in books.reversed:
            wrong.append(f"{case}: the void names another credit than {note}")
        if books.told["support"].get(case) != ["compensated"]:
            wrong.append(f"{case}: support was told {books.told['support'].get(case)}")
    return _finding("what the ERP refused is voided in billing and told to support", wrong, f"{len(books.voids)} times")


def _amounts(books: Books) -> Finding:
    wrong = []
    for case, posted in books.erp.items():
        sums = {(document.amount, document.currency) for document in (*posted, *books.credits.get(case, []))}
        if len(sums) != 1:
            wrong.append(f"{case}: {sorted(sums)}")
    return _finding("billing and ERP agree to the cent", wrong, f"{len(books.erp)} compared")


def _told(books: Books) -> Finding:
    wrong = []
    for name, cases in books.told.items():
        for case in {*books.credits, *cases}:
            wanted = ["posted"] if case in books.erp else ["compensated"]
            if cases.get(case) != wanted and case in books.credits:
                wrong.append(f"{case}: {name} was told {cases.get(case)}, not {wanted}")
    counts = Counter({name: len(cases) for name, cases in books.told.items()})
    measured = ", ".join(f"{name} {count}" for name, count in counts.items())
    return _finding("support, CRM and revenue reporting were each told the outcome once", wrong, measured)
