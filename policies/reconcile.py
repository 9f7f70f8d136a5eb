"""Holding our ledger against a system's documents: pure comparison of one stretch of both, in the order of intent ids.

Every intent ends as exactly one document or a stated refusal, and every document has an intent. What may have changed
while both sides were read is `moving`: it is neither fine nor a difference, and is told apart by its time.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal[
    "document.missing",
    "document.twice",
    "document.other",
    "document.unexplained",
    "amount.differs",
    "account.differs",
    "refused.posted",
    "exception.posted",
    "unknown.posted",
    "waiting.posted",
    "refused.unstated",
]

OWNERS: Final[Mapping[Kind, tuple[str, str]]] = {
    "document.missing": (
        "finance",
        "ask whoever runs the system whether it lost or reversed the document; post again under a new intent only "
        "when they confirm it. Tidegate does not post it again by itself",
    ),
    "document.twice": ("finance", "reverse all but one of the documents in the system"),
    "document.other": ("finance", "find out which of the two documents stands, and reverse the other"),
    "document.unexplained": (
        "finance",
        "find out who posted it. If it was Tidegate before a restore, send its message again: it is recognised and "
        "not posted twice; else reverse it in the system",
    ),
    "amount.differs": ("finance", "correct the document in the system; the ledger has what was approved"),
    "account.differs": ("finance", "move the document to the account of the ledger"),
    "refused.posted": ("finance", "the sender was told that it was refused: reverse the document in the system"),
    "exception.posted": ("finance", "it waits for a person, and it is posted: close the exception as done"),
    "unknown.posted": ("it", "the daemon looks it up by itself; if it stays, the look-up fails: see the log"),
    "waiting.posted": ("it", "the daemon looks it up before it is sent; hold the system if that is not so"),
    "refused.unstated": ("it", "a refusal without a reason is a fault of Tidegate: report it"),
}
"""Whose each difference is, and what to do."""


class Intent(Struct, frozen=True):
    """One call of ours. `changed_at` and all times in microseconds since the epoch; money as text and currency."""

    intent_id: str
    key: str
    status: str
    amount: str | None
    currency: str | None
    account: str | None
    document: str | None
    reason: str | None
    changed_at: int


class Paper(Struct, frozen=True):
    """One document at the system. `reference` is the intent id under which it was posted."""

    reference: str
    document_id: str
    amount: str
    currency: str
    account: str


class Difference(Struct, frozen=True):
    """What does not agree. `expected` and `found` are short texts for people."""

    kind: Kind
    intent_id: str
    key: str
    owner: str
    expected: str
    found: str
    advice: str
    document: str = ""
    """The document that was found, if it is one."""

    @property
    def sentence(self) -> str:
        """The whole of it in one sentence."""
        return f"{self.intent_id}: expected {self.expected}; found {self.found}"


class Tally(Struct):
    """What was compared. `intents` are all of ours; the others say what became of them."""

    intents: int = 0
    documents: int = 0
    matched: int = 0
    refused: int = 0
    for_people: int = 0
    open: int = 0
    moving: int = 0


def compare(intents: Iterable[Intent], papers: Iterable[Paper], still_since: int, tally: Tally) -> list[Difference]:
    """All differences of one stretch of intent ids that both sides were read for whole; `tally` is added to.

    `still_since`: what changed later than this may have changed between the two readings.
    """
    by_reference: dict[str, list[Paper]] = {}
    for paper in papers:
        by_reference.setdefault(paper.reference, []).append(paper)
        tally.documents += 1
    found: list[Difference] = []
    for intent in intents:
        tally.intents += 1
        found += _judge(intent, by_reference.pop(intent.intent_id, ()), still_since, tally)
    for reference, left in by_reference.items():
        found += [
            _difference("document.unexplained", reference, "", "no document", _papers([one]), one.document_id)
            for one in left
        ]
    return found


def _judge(intent: Intent, papers: Sequence[Paper], still_since: int, tally: Tally) -> list[Difference]:
    if not papers:
        return _without(intent, still_since, tally)
    if len(papers) > 1:
        return [_of("document.twice", intent, "one document", _papers(papers))]
    differing = _differing(intent, papers[0])
    if intent.status == "done":
        tally.matched += not differing
        return differing
    if intent.status in ("waiting", "in_flight", "unknown") and intent.changed_at > still_since:
        tally.moving += 1
        return differing
    kind: Kind = {
        "refused": "refused.posted",
        "exception": "exception.posted",
        "waiting": "waiting.posted",
    }.get(intent.status, "unknown.posted")  # type: ignore[assignment]
    expected = f"no document, as it is {intent.status}"
    return [_of(kind, intent, expected, _papers(papers), papers[0].document_id), *differing]


def _without(intent: Intent, still_since: int, tally: Tally) -> list[Difference]:
    match intent.status:
        case "done" if intent.changed_at > still_since:
            tally.moving += 1
        case "done":
            return [_of("document.missing", intent, f"document {intent.document}", "none")]
        case "refused" if not intent.reason:
            return [_of("refused.unstated", intent, "the reason of the refusal", "none")]
        case "refused":
            tally.refused += 1
        case "exception":
            tally.for_people += 1
        case _:
            tally.open += 1
    return []


def _differing(intent: Intent, paper: Paper) -> list[Difference]:
    found = []
    if intent.amount is not None and (intent.amount, intent.currency) != (paper.amount, paper.currency):
        money = f"{intent.amount} {intent.currency}", f"{paper.amount} {paper.currency} in {paper.document_id}"
        found.append(_of("amount.differs", intent, *money))
    if intent.account is not None and intent.account != paper.account:
        accounts = f"account {intent.account}", f"account {paper.account} in {paper.document_id}"
        found.append(_of("account.differs", intent, *accounts))
    if intent.status == "done" and intent.document != paper.document_id:
        found.append(_of("document.other", intent, f"document {intent.document}", f"document {paper.document_id}"))
    return found


def _of(kind: Kind, intent: Intent, expected: str, found: str, document: str = "") -> Difference:
    return _difference(kind, intent.intent_id, intent.key, expected, found, document)


def _difference(kind: Kind, intent_id: str, key: str, expected: str, found: str, document: str) -> Difference:
    owner, advice = OWNERS[kind]
    return Difference(kind, intent_id, key, owner, expected, found, advice, document)


def _papers(papers: Sequence[Paper]) -> str:
    shown = ", ".join(f"{paper.document_id} over {paper.amount} {paper.currency}" for paper in papers[:5])
    return f"{shown} and {len(papers) - 5} more" if len(papers) > 5 else shown


class OutOfOrder(ValueError):
    """A listing that is not in the order of intent ids cannot be held against ours page by page."""


def whole(papers: Sequence[Paper], after: str, last: bool) -> tuple[Sequence[Paper], Sequence[Paper], str]:
    """The documents of which no more can come, the ones to be kept for the next page, and up to which intent it goes.

    `papers` come after the intent `after`, in order; `last`: there is no further page.

    Raises:
        OutOfOrder: they are not in order.
    """
    before = after
    for paper in papers:
        if paper.reference < before:
            raise OutOfOrder(f"{paper.reference!r} comes after {before!r}")
        before = paper.reference
    if last or not papers:
        return papers, (), before
    final = papers[-1].reference
    cut = next(place for place, paper in enumerate(papers) if paper.reference == final)
    return papers[:cut], papers[cut:], papers[cut - 1].reference if cut else after


def every_ns(rates_per_second: Iterable[float], took_ns: int, share_percent: int) -> int:
    """How long after the start of one call the next may start, so that no more than a share of the budget is used.

    Of each rate and, as one call is made at a time, of one place: after a call that took `took_ns` it rests.
    """
    narrowest = min(rates_per_second, default=0.0)
    by_rate = int(100e9 / (narrowest * share_percent)) if narrowest > 0 else 0
    return max(by_rate, took_ns * 100 // share_percent)
