"""Nothing lost, nothing twice: the accepted list and the ERP's documents, compared both ways."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation

from ops.certificate.accepted import AcceptedRow, Other
from ops.certificate.model import Check, Example
from ops.certificate.records import Document

EXAMPLES_SHOWN = 100


def check(name: str, promise: str, broken: Iterable[Example] | None) -> Check:
    """A check from the things that broke it; None when there was nothing to examine it with."""
    if broken is None:
        return Check(name, promise, None, 0, [])
    examples = list(broken)
    return Check(name, promise, not examples, len(examples), examples[:EXAMPLES_SHOWN])


class Books:
    """Both sides, found by business key. A message belongs to a document by `key`, else by `reference`.

    Documents that were made before `since_ns` answer to somebody else's list. Messages of `others` account for
    documents that were made after they were accepted, and must agree with them like any other.
    """

    def __init__(
        self,
        rows: list[AcceptedRow],
        documents: list[Document],
        since_ns: int | None = None,
        others: Sequence[Other] = (),
    ) -> None:
        self._since_ns = since_ns
        self.rows = rows
        self.told = [*rows, *(other.row() for other in others)]
        self.documents = documents
        self._by_source: dict[str, Document] = {}
        self._by_reference: dict[str, Document] = {}
        for document in documents:
            self._by_source.setdefault(document.source_document, document)
            self._by_reference.setdefault(document.reference, document)
        self._asked = {row.key for row in rows}
        self._references = {row.reference for row in rows if row.reference}
        self._asked_elsewhere: dict[str, int] = {}
        for other in others:
            for name in filter(None, (other.key, other.reference)):
                known_ns = self._asked_elsewhere.get(name, other.accepted_ns)
                self._asked_elsewhere[name] = min(known_ns, other.accepted_ns)
        self._outcomes: dict[str, set[str | None]] = defaultdict(set)
        for row in self.told:
            self._outcomes[row.key].add(row.outcome)

    def document_of(self, row: AcceptedRow) -> Document | None:
        """The document that an accepted message led to, if there is one."""
        found = self._by_source.get(row.key)
        return found or self._by_reference.get(row.reference or "")

    def asked_for(self, document: Document) -> bool:
        """Whether a message of the list led to it, or it is older than the list."""
        if self._since_ns is not None and document.arrived_ns < self._since_ns:
            return True
        return self._by_us(document) or self.by_others(document)

    def _by_us(self, document: Document) -> bool:
        return document.source_document in self._asked or document.reference in self._references

    def by_others(self, document: Document) -> bool:
        """Whether another producer's message, and none of the list, led to it; not before it was accepted."""
        names = (document.source_document, document.reference)
        since_ns = min((self._asked_elsewhere[name] for name in names if name in self._asked_elsewhere), default=None)
        return since_ns is not None and since_ns <= document.arrived_ns and not self._by_us(document)

    def posted(self, row: AcceptedRow) -> bool:
        """Whether any message with the row's key was told "posted": a twin of a refused one may be."""
        return "posted" in self._outcomes[row.key]


def duplicate_checks(documents: list[Document]) -> list[Check]:
    """At most one document for each reference and for each source document; the ERP's log alone decides."""
    return [
        check("duplicate-reference", "one document per reference", _twice((d.reference, d) for d in documents)),
        check(
            "duplicate-source",
            "one document per source document",
            _twice((d.source_document, d) for d in documents if d.source_document),
        ),
    ]


def _twice(pairs: Iterable[tuple[str, Document]]) -> Iterator[Example]:
    groups: dict[str, list[Document]] = defaultdict(list)
    for key, document in pairs:
        groups[key].append(document)
    for key, group in groups.items():
        if len(group) > 1:
            shown = ", ".join(f"{one.document} (line {one.line})" for one in group[:5])
            yield Example(key, f"{len(group)} documents: {shown}", group[-1].line)


def loss_checks(books: Books | None, allow_pending: bool) -> list[Check]:
    """Each accepted message ends as one right document or one stated refusal, and no document is unasked."""
    return [check(name, promise, _broken(books, name, find, allow_pending)) for name, promise, find in _PROMISES]


def _broken(
    books: Books | None, name: str, find: Callable[[Books], Iterator[Example]], allow_pending: bool
) -> Iterable[Example] | None:
    if books is None:
        return None
    return () if name == "unknown" and allow_pending else find(books)


def _lost(books: Books) -> Iterator[Example]:
    for row in books.told:
        if row.outcome == "posted" and books.document_of(row) is None:
            yield Example(row.key, f"message {row.id} was told posted; the log has no document for it")


def _silent(books: Books) -> Iterator[Example]:
    for row in books.rows:
        if row.outcome is None:
            yield Example(row.key, f"message {row.id} was accepted and has no outcome")


def _pending(books: Books) -> Iterator[Example]:
    for row in books.rows:
        if row.outcome == "pending":
            has = "no" if books.document_of(row) is None else "a"
            yield Example(row.key, f"message {row.id} is pending at the end; the log has {has} document for it")


def _refused_yet_there(books: Books) -> Iterator[Example]:
    for row in books.told:
        document = books.document_of(row)
        if row.outcome == "refused" and document is not None and not books.posted(row):
            yield Example(row.key, f"message {row.id} was told refused; {document.document} exists")


def _unapproved(books: Books) -> Iterator[Example]:
    for row in books.told:
        document = books.document_of(row)
        if row.outcome == "approval" and document is not None and not books.posted(row):
            yield Example(row.key, f"message {row.id} waits for approval; {document.document} exists")


def _unrequested(books: Books) -> Iterator[Example]:
    for document in books.documents:
        if not books.asked_for(document):
            yield Example(
                document.source_document,
                f"{document.document} (line {document.line}) answers no message",
                document.line,
            )


def _different(books: Books) -> Iterator[Example]:
    for row in books.told:
        document = books.document_of(row)
        if document is None:
            continue
        for what, told, found in (
            ("account", row.account, document.account),
            ("amount", row.amount, document.amount),
            ("currency", row.currency, document.currency),
            ("reference", row.reference, document.reference),
        ):
            if told and found and not _same(what, told, found):
                yield Example(row.key, f"{what}: told {told}, {document.document} has {found}")


def _same(what: str, told: str, found: str) -> bool:
    if told == found:
        return True
    if what != "amount":
        return False
    try:
        return Decimal(told).is_finite() and Decimal(told) == Decimal(found)
    except InvalidOperation:
        return False


def _unexpected(books: Books) -> Iterator[Example]:
    for row in books.rows:
        exists = books.document_of(row) is not None
        if row.expected == "post" and not exists and row.outcome == "refused":
            yield Example(row.key, f"message {row.id} had to be posted; it was refused: {row.reason or 'no reason'}")
        if row.expected == "refuse" and exists:
            yield Example(row.key, f"message {row.id} had to be refused; a document exists")


_PROMISES: tuple[tuple[str, str, Callable[[Books], Iterator[Example]]], ...] = (
    ("posted-without-document", "posted means that a document exists", _lost),
    ("no-outcome", "every accepted message has an outcome", _silent),
    ("unknown", "no outcome is left open", _pending),
    ("refused-with-document", "refused means that no document exists", _refused_yet_there),
    ("unapproved-document", "what waits for approval has no document", _unapproved),
    ("unrequested-document", "every document was asked for", _unrequested),
    ("document-differs", "account, amount, currency and reference agree", _different),
    ("against-expectation", "clear cases end as they must", _unexpected),
)
