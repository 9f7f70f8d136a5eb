"""Order per account within a lane, and how long each lane waited."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ops.certificate.accepted import AcceptedRow
from ops.certificate.model import NANOSECONDS_PER_SECOND, Example, LaneWait
from ops.certificate.money import Books
from ops.certificate.records import Document


def inversions(books: Books) -> Iterator[Example]:
    """Neighbours in `sequence` whose first effects did not reach the ERP in that order.

    The first effect of a message is the arrival of the call that created its document, or of the first
    look-up that shows it. Messages without a document (refused, duplicates of others) are passed over.
    """
    for rows in _series(books).values():
        previous: tuple[AcceptedRow, Document] | None = None
        for row, document in sorted(rows, key=lambda pair: pair[0].sequence):
            if previous is not None and document.arrived_ns <= previous[1].arrived_ns:
                yield _inversion(previous, (row, document))
            if previous is None or document.arrived_ns > previous[1].arrived_ns:
                previous = (row, document)


def _series(books: Books) -> dict[tuple[str, str, str], list[tuple[AcceptedRow, Document]]]:
    series: dict[tuple[str, str, str], list[tuple[AcceptedRow, Document]]] = defaultdict(list)
    for row, document in _first_effects(books):
        series[row.tenant, row.account, row.lane].append((row, document))
    return series


def _first_effects(books: Books) -> Iterator[tuple[AcceptedRow, Document]]:
    """Each document once, with the earliest accepted message that it answers."""
    taken: set[tuple[str, str]] = set()
    for row in books.rows:
        document = books.document_of(row)
        if document is not None and (document.reference, document.document) not in taken:
            taken.add((document.reference, document.document))
            yield row, document


def _inversion(earlier: tuple[AcceptedRow, Document], later: tuple[AcceptedRow, Document]) -> Example:
    row, document = later
    before, first = earlier
    return Example(
        row.account,
        f"lane {row.lane}: {row.key} (sequence {row.sequence}) at {document.arrived_ns} is not after "
        f"{before.key} (sequence {before.sequence}) at {first.arrived_ns}",
        document.line,
    )


def lane_waits(books: Books) -> list[LaneWait]:
    """Waits per lane, most urgent first."""
    waits: dict[str, list[int]] = defaultdict(list)
    for row, document in _first_effects(books):
        # The client stamps acceptance when the answer reaches it; the call may have left before that.
        waits[row.lane].append(max(0, document.arrived_ns - row.accepted_ns))
    return [_lane_wait(lane, sorted(waits[lane])) for lane in sorted(waits, key=_lane_rank)]


def _lane_wait(lane: str, ordered: list[int]) -> LaneWait:
    return LaneWait(
        lane=lane,
        count=len(ordered),
        p50_seconds=quantile(ordered, 50) / NANOSECONDS_PER_SECOND,
        p99_seconds=quantile(ordered, 99) / NANOSECONDS_PER_SECOND,
        max_seconds=ordered[-1] / NANOSECONDS_PER_SECOND,
    )


def quantile(ordered: Sequence[int], percent: int) -> int:
    """Nearest rank: the smallest value that at least `percent` of the values do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _lane_rank(lane: str) -> tuple[int, str]:
    known = ("urgent", "standard", "bulk")
    return (known.index(lane) if lane in known else len(known), lane)
