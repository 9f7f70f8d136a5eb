"""The ERP's log, format `tidegate-erp-log/1`: JSON Lines, UTF-8, append-only, one flushed line per record.

header   {"log":"tidegate-erp-log/1","profile":..,"limits":[{"kind":"rate","limit":10,"seconds":1},..],
          "clock":"monotonic_ns","wall_at_zero":"2026-01-01T00:00:00Z","started_ns":..}; one more
          at each restart of the ERP
arrival  {"seq":1,"op":"post","arrived_ns":..,"event":"arrived"}; optional, written before the call is served
end      {"seq":1,"op":"post|find|limits","arrived_ns":..,"ended_ns":..,"status":201,"verdict":..,
          "reference":..,"account":..,"source_document":..,"amount":"12.50","currency":"EUR","code":..,
          "document":..,"answer":..,"retry_after":"30","rule":"post"}
change   {"event":"limits","at_ns":..,"limits":[..],"note":..}; optional, the ERP changed its limits while running

Any line may end with "chain" (see `chain`). `ops/docs/erp-log.md` tells each field to those who write such a log.

`seq` counts from 1 without a hole; after a restart it goes on or starts again at 1. Instants are nanoseconds
of one monotonic clock. A call with an arrival and no end was in progress when the ERP stopped.
A line that says anything else makes the log unreadable: a verdict over half a log would be worth nothing.
"""

import hashlib
from array import array
from collections import Counter
from pathlib import Path

import msgspec

from ops.certificate.chain import Chain, head_beside, read_head
from ops.certificate.model import CallRef, Limit, Unreadable
from ops.certificate.records import Document, Record, Refusal

FORMAT = "tidegate-erp-log/1"
NOT_ENDED = -1
LOOKUP_OPS = ("find", "list", "limits")
_HEADER_EXPECTED = f'expected the header {{"log":"{FORMAT}","limits":[...],"wall_at_zero":"..."}}'


class ErpLog:
    """Everything that arrived, in the order of the log; parallel arrays, one place a call.

    subjects: the source document that a call was about, else its reference; "" when the log does not say.
    fine: 1 for a call that was served, 0 for one that failed, was refused for limits, or has no end.
    lost: 1 for a call whose answer did not reach the caller.
    """

    def __init__(self) -> None:
        self.arrived_ns = array("q")
        self.ended_ns = array("q")
        self.seqs = array("q")
        self.lines = array("q")
        self.ops = array("B")
        self.fine = array("B")
        self.lost = array("B")
        self.subjects: list[str] = []
        self.accounts: list[str] = []
        self.refusals: list[Refusal] = []
        self.op_names: list[str] = []
        self.unfinished: list[int] = []
        self.limit_changes: list[tuple[int, list[Limit]]] = []
        self.notes: list[tuple[int, str]] = []
        self.restarts = 0
        self.profile: str | None = None
        self.system: str | None = None
        self.wall_at_zero: str | None = None
        self.refused_codes: Counter[str] = Counter()
        self.unanswered = 0
        self.creations: list[Document] = []
        self.sightings: dict[tuple[str, str], Document] = {}
        self.sha256 = ""
        self.bytes = 0
        self.line_count = 0
        self.chain = Chain(None)

    def __len__(self) -> int:
        return len(self.arrived_ns)

    def op(self, index: int) -> str:
        return self.op_names[self.ops[index]]

    def call(self, index: int) -> CallRef:
        """The call at a place in the arrays."""
        ended = None if index in self.unfinished else self.ended_ns[index]
        return CallRef(self.seqs[index], self.lines[index], self.op(index), self.arrived_ns[index], ended)

    def documents(self) -> list[Document]:
        """Each document once: as created if its creation is in the log, else as first seen."""
        created = {(one.reference, one.document) for one in self.creations}
        return self.creations + [seen for key, seen in self.sightings.items() if key not in created]


def read_log(path: Path, head_path: Path | None = None) -> ErpLog:
    """Read a whole log in one pass; `head_path`: a head that was kept elsewhere, instead of the one beside the log.

    Raises Unreadable with the line and what was expected there, and OSError.
    """
    reader = _Reader(path.name, Chain(read_head(head_path or head_beside(path))))
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for raw in stream:
            digest.update(raw)
            reader.log.bytes += len(raw)
            reader.take(raw)
    log = reader.finish()
    log.sha256 = digest.hexdigest()
    return log


class _Reader:
    """One pass over the lines; knows which calls are open and what the next line may be."""

    def __init__(self, name: str, chain: Chain) -> None:
        self.log = ErpLog()
        self.log.chain = chain
        self._name = name
        self._decode = msgspec.json.Decoder(Record).decode
        self._line = 0
        self._open: dict[int, int] = {}
        self._epoch_start = 0
        self._last_ns = -1
        self._last_seq = 0
        self._previous_last_ns = -1
        self._pending_limits: list[Limit] | None = None
        self._op_codes: dict[str, int] = {}

    def take(self, raw: bytes) -> None:
        self._line += 1
        if not raw.endswith(b"\n"):
            raise self._wrong("the line has no end, so the log is cut short; expected a whole line")
        try:
            record = self._decode(raw)
        except msgspec.MsgspecError as error:
            raise self._wrong(f"expected one JSON record of {FORMAT}; {error}") from None
        self.log.chain.take(raw, record.chain)
        if record.log is not None:
            self._header(record)
        elif self._line == 1:
            raise self._wrong(_HEADER_EXPECTED)
        elif record.event == "limits":
            self._limits_changed(record)
        else:
            self._call(record)

    def finish(self) -> ErpLog:
        if self._line == 0:
            self._line = 1
            raise self._wrong(f"the file is empty; {_HEADER_EXPECTED}")
        self._close_epoch()
        self._flush_limits(max(self._last_ns, 0))
        self.log.line_count = self._line
        self.log.chain.finish()
        return self.log

    def _wrong(self, expected: str, line: int | None = None) -> Unreadable:
        return Unreadable(self._name, line or self._line, expected)

    def _header(self, record: Record) -> None:
        if record.log != FORMAT or record.limits is None:
            raise self._wrong(_HEADER_EXPECTED)
        if self._line > 1:
            self._close_epoch()
            self.log.restarts += 1
        self.log.profile = record.profile or self.log.profile
        self.log.system = record.system or self.log.system or self.log.profile
        self.log.wall_at_zero = self.log.wall_at_zero or record.wall_at_zero
        self._pending_limits = record.limits
        if record.started_ns is not None:
            self._flush_limits(record.started_ns)

    def _close_epoch(self) -> None:
        """The ERP stopped: what was in progress ended with it, at the last instant it is known to live."""
        for index in self._open.values():
            self.log.ended_ns[index] = self._last_ns
        self.log.unfinished.extend(self._open.values())
        self._open.clear()
        self._check_sequence()
        self._epoch_start = len(self.log)
        self._previous_last_ns = self._last_ns

    def _check_sequence(self) -> None:
        seqs = self.log.seqs[self._epoch_start :]
        if not seqs:
            return
        ordered = sorted(range(len(seqs)), key=seqs.__getitem__)
        first = seqs[ordered[0]]
        expected = self._last_seq + 1 if first == self._last_seq + 1 else 1
        for place in ordered:
            if seqs[place] != expected:
                line = self.log.lines[self._epoch_start + place]
                what = "a call is missing" if seqs[place] > expected else "a call is there twice"
                raise self._wrong(f"{what}: seq {seqs[place]} where {expected} was expected", line)
            expected += 1
        self._last_seq = expected - 1

    def _limits_changed(self, record: Record) -> None:
        if record.limits is None or record.at_ns is None:
            raise self._wrong('a change of limits needs "at_ns" and "limits"')
        self._flush_limits(record.at_ns)
        self.log.limit_changes.append((record.at_ns, record.limits))
        if record.note:
            self.log.notes.append((self._line, record.note))

    def _flush_limits(self, from_ns: int) -> None:
        """Limits of a header without `started_ns` hold from the first thing that happened after it."""
        if self._pending_limits is not None:
            start = from_ns if self.log.limit_changes else -1
            self.log.limit_changes.append((start, self._pending_limits))
            self._pending_limits = None

    def _call(self, record: Record) -> None:
        if record.seq is None or record.arrived_ns is None or not record.op:
            raise self._wrong('a call needs "seq", "op" and "arrived_ns"')
        if record.event == "arrived":
            if record.seq in self._open:
                raise self._wrong(f"seq {record.seq} arrived before; expected each call to arrive once")
            self._open[record.seq] = self._arrive(record, record.arrived_ns)
        elif record.event is None:
            self._end(record, record.arrived_ns)
        else:
            raise self._wrong(f"event {record.event!r} is not known; expected 'arrived' or 'limits'")

    def _arrive(self, record: Record, arrived_ns: int) -> int:
        if arrived_ns < self._previous_last_ns:
            raise self._wrong(
                f"arrived_ns {arrived_ns} lies before the restart, which was after {self._previous_last_ns}; "
                "expected one monotonic clock (certify each boot of the machine by itself)"
            )
        self._flush_limits(arrived_ns)
        log = self.log
        log.arrived_ns.append(arrived_ns)
        log.ended_ns.append(NOT_ENDED)
        log.seqs.append(record.seq or 0)
        log.lines.append(self._line)
        log.ops.append(self._op_code(record.op))
        log.fine.append(0)
        log.lost.append(1)
        log.subjects.append("")
        log.accounts.append("")
        self._last_ns = max(self._last_ns, arrived_ns)
        return len(log) - 1

    def _op_code(self, op: str) -> int:
        if op not in self._op_codes:
            if len(self._op_codes) > 200:
                raise self._wrong(f"op {op!r} is the 201st kind of call; expected a few: post, find, limits")
            self._op_codes[op] = len(self._op_codes)
            self.log.op_names.append(op)
        return self._op_codes[op]

    def _end(self, record: Record, arrived_ns: int) -> None:
        if record.ended_ns is None or record.verdict is None or record.ended_ns < arrived_ns:
            raise self._wrong('an end needs "verdict" and an "ended_ns" that is not before "arrived_ns"')
        index = self._open.pop(record.seq or 0, None)
        if index is None:
            index = self._arrive(record, arrived_ns)
        elif self.log.arrived_ns[index] != arrived_ns:
            raise self._wrong(f"arrived_ns {arrived_ns}; its arrival line said {self.log.arrived_ns[index]}")
        self.log.ended_ns[index] = record.ended_ns
        self._last_ns = max(self._last_ns, record.ended_ns)
        self.log.subjects[index] = record.source_document or record.reference or ""
        self.log.accounts[index] = record.account or ""
        self.log.fine[index] = record.verdict != "failed" and record.status is not None and record.status < 429
        if record.status == 429:
            self.log.refused_codes[record.code or "none"] += 1
            self.log.refusals.append(Refusal(index, record.code or "", record.retry_after, record.rule or ""))
        if record.answer not in (None, "sent"):
            self.log.unanswered += 1
        else:
            self.log.lost[index] = 0
        if record.verdict in ("created", "replayed", "found"):
            self._document(record, arrived_ns, record.ended_ns)

    def _document(self, record: Record, arrived_ns: int, ended_ns: int) -> None:
        created = record.verdict == "created"
        if not record.document or not record.reference:
            raise self._wrong(f'verdict "{record.verdict}" needs "document" and "reference"')
        if created and None in (record.account, record.source_document, record.amount, record.currency):
            raise self._wrong('verdict "created" needs "account", "source_document", "amount" and "currency"')
        document = Document(
            document=record.document,
            reference=record.reference,
            source_document=record.source_document or "",
            account=record.account or "",
            amount=record.amount or "",
            currency=record.currency or "",
            arrived_ns=arrived_ns,
            ended_ns=ended_ns,
            line=self._line,
            created=created,
        )
        if created:
            self.log.creations.append(document)
        else:
            self.log.sightings.setdefault((document.reference, document.document), document)
