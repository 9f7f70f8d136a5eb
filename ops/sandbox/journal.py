"""The ERP's own log: append-only JSON Lines, written line by line before anybody is answered.

A line is written at arrival and one with the same `seq` at the end. A header opens every run of the
process, so calls without an end line before a header ended with the process that served them.

Each line ends with `"chain"`: the SHA-256 of the chain of the line before it and of the line itself, so that a line
that was changed, taken out or put in shows. The file beside it (`.head`) has the number of lines and the last chain,
so that a log that was cut at its end shows as well. `ops/docs/erp-log.md` has the format.
"""

import fcntl
import hashlib
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from ops.sandbox.call import Call, Reply
from ops.sandbox.limits import Limit, Profile

FORMAT = "tidegate-erp-log/1"
FILE_NAME = "erp-log.jsonl"
HEAD_SUFFIX = ".head"
GENESIS = b"0" * 64


class JournalError(RuntimeError):
    """The log cannot be opened or read; the message says what to do."""


class End(msgspec.Struct):
    """The end line of a call. Times are monotonic nanoseconds."""

    seq: int
    op: str
    arrived_ns: int
    ended_ns: int
    method: str
    path: str
    key: str | None
    reference: str | None
    account: str | None
    source_document: str | None
    amount: str | None
    currency: str | None
    status: int | None
    verdict: str
    code: str | None
    document: str | None
    answer: str
    concurrent: int
    retry_after: str | msgspec.UnsetType
    rule: str | msgspec.UnsetType
    fault: str | msgspec.UnsetType


class Past(msgspec.Struct):
    """What earlier processes logged: the last `seq`, (arrived, operation), and
    (arrived, ended, operation, account) of what ended, in nanoseconds.

    `chain` is the chain to go on from; None if the log was begun without one."""

    last_seq: int = 0
    lines: int = 0
    chain: bytes | None = GENESIS
    arrivals: list[tuple[int, str]] = []
    ends: list[tuple[int, int, str, str | None]] = []


class _Line(msgspec.Struct):
    seq: int | None = None
    op: str = "other"
    arrived_ns: int = 0
    ended_ns: int | None = None
    account: str | None = None
    chain: str | None = None


class Journal:
    """The single writer of the log file of one data directory."""

    def __init__(self, path: Path) -> None:
        """Open or create the log and take it for this process alone.

        Raises JournalError when another process has it or an earlier line is not readable.
        """
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._encoder = msgspec.json.Encoder()
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.past = self.read_past()
        except BlockingIOError:
            os.close(self._fd)
            raise JournalError(f"{path}: in use by another sandbox ERP; give each its own --data") from None
        except msgspec.DecodeError as error:
            os.close(self._fd)
            advice = "move it away or use another --data"
            raise JournalError(f"{path}: not an ERP log ({error}); {advice}") from error
        self._chain, self._lines = self.past.chain, self.past.lines
        head = path.with_name(path.name + HEAD_SUFFIX)
        self._head_fd = os.open(head, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def header(self, profile: Profile, now_ns: int, wall: datetime) -> None:
        """Write the line that opens a run: profile, limits, and the wall time at monotonic zero."""
        zero = (wall - timedelta(microseconds=now_ns // 1_000)).astimezone(UTC)
        self._write(
            {
                "log": FORMAT,
                "profile": profile.profile,
                "limits": profile.limits,
                "clock": "monotonic_ns",
                "wall_at_zero": f"{zero:%Y-%m-%dT%H:%M:%S.%f}Z",
                "started_ns": now_ns,
            }
        )

    def arrived(self, call: Call) -> None:
        """Write the arrival line of a call."""
        line = f'{{"seq":{call.seq},"op":"{call.op}","arrived_ns":{call.arrived_ns},"event":"arrived"}}'
        self._append(line.encode())

    def ended(self, call: Call, reply: Reply, ended_ns: int) -> None:
        """Write the end line of a call."""
        self._write(
            End(
                seq=call.seq,
                op=call.op,
                arrived_ns=call.arrived_ns,
                ended_ns=ended_ns,
                method=call.method,
                path=call.path,
                key=call.key,
                reference=call.reference,
                account=call.text("account_id"),
                source_document=call.text("source_document"),
                amount=call.text("amount"),
                currency=call.text("currency"),
                status=reply.status,
                verdict=reply.verdict,
                code=reply.code,
                document=reply.document,
                answer=reply.answer,
                concurrent=call.concurrent,
                retry_after=_header(reply, b"retry-after"),
                rule=_header(reply, b"x-ratelimit-rule"),
                fault=call.fault,
            )
        )

    def limits(self, limits: Sequence[Limit], at_ns: int, note: str = "") -> None:
        """Write that other limits are in force from `at_ns` on, for every call that arrives then or later."""
        line = {"event": "limits", "at_ns": at_ns, "limits": list(limits)}
        self._write({**line, "note": note} if note else line)

    def close(self) -> None:
        """Close the file and give it free."""
        os.close(self._fd)
        os.close(self._head_fd)

    def _write(self, line: object) -> None:
        self._append(self._encoder.encode(line))

    def _append(self, line: bytes) -> None:
        line = self._linked(line) + b"\n"
        try:
            while line:
                line = line[os.write(self._fd, line) :]
            self._lines += 1
            # Same length each time, so one write replaces it whole; after the line, so it may lag and never leads.
            head = b'{"lines":%12d,"chain":"%b"}\n' % (self._lines, self._chain or b"")
            os.pwrite(self._head_fd, head, 0)
        except OSError as error:
            # A log with holes is a false witness: better no ERP than one that nobody can believe.
            sys.stderr.write(f"{self.path}: cannot be written ({error}); the sandbox ERP ends\n")
            os._exit(os.EX_IOERR)

    def _linked(self, line: bytes) -> bytes:
        if self._chain is None:
            return line
        self._chain = hashlib.sha256(self._chain + line[:-1]).hexdigest().encode()
        return b'%b,"chain":"%b"}' % (line[:-1], self._chain)

    def read_past(self) -> Past:
        """Everything that is in the log by now; a torn last line is cut off."""
        past = Past()
        decoder = msgspec.json.Decoder(_Line)
        whole = 0
        with open(self.path, "rb") as lines:
            for text in lines:
                if not text.endswith(b"\n"):
                    break
                whole += len(text)
                _remember(past, decoder.decode(text))
        # A torn last line (the machine died, the disk was full) would spoil the line that follows it.
        os.ftruncate(self._fd, whole)
        return past


def _remember(past: Past, line: _Line) -> None:
    past.lines += 1
    past.chain = line.chain.encode() if line.chain else None
    if line.seq is None:
        return
    past.last_seq = max(past.last_seq, line.seq)
    if line.ended_ns is None:
        past.arrivals.append((line.arrived_ns, line.op))
    else:
        past.ends.append((line.arrived_ns, line.ended_ns, line.op, line.account))


def _header(reply: Reply, name: bytes) -> str | msgspec.UnsetType:
    return next((value.decode("latin-1") for known, value in reply.headers if known == name), msgspec.UNSET)
