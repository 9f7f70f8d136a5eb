"""Faults that can be switched on while the ERP runs: `PUT /sandbox/faults` or `--faults FILE`.

Faults are drawn in list order for each admitted call; every `slow` that hits adds up, and the first other
one that hits decides. Each has a random generator of its own from `seed`, so a run can be repeated.
"""

import random
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ops.sandbox.call import Op
from ops.sandbox.limits import Limit, parse_limit
from ops.sandbox.manners import SAYS

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Natural = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
HeaderText = Annotated[str, msgspec.Meta(pattern=r"^[\x20-\x7e]*$")]
OpName = Literal["post", "find", "list", "limits"]

_EVERY: tuple[OpName, ...] = ("post", "find", "limits")  # a listing is met by those that name it
_POST: tuple[OpName, ...] = ("post",)


class Fault(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """What all faults share: whom they meet (`ops`, `account`, `reference`), how often (`rate`), for how many
    hits (`count`, null: without end), and how many matching calls they leave alone first (`skip`)."""

    rate: Share = 1.0
    count: Natural | None = None
    seed: int = 0
    skip: Natural = 0
    ops: tuple[OpName, ...] = _EVERY
    account: str | None = None
    reference: str | None = None


class Slow(Fault, frozen=True, kw_only=True, tag="slow"):
    """Execute `ms` milliseconds later, give or take `jitter_ms`."""

    ms: Annotated[float, msgspec.Meta(ge=0)]
    jitter_ms: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Throttle(Fault, frozen=True, kw_only=True, tag="throttle_429"):
    """Answer 429 with any text, or none, as Retry-After."""

    retry_after: HeaderText | None = None


class Unavailable(Fault, frozen=True, kw_only=True, tag="unavailable_503"):
    """Answer 503 with any text, or none, as Retry-After."""

    retry_after: HeaderText | None = None


class LostAnswer(Fault, frozen=True, kw_only=True, tag="lost_answer"):
    """Execute and commit, then close the connection without an answer."""

    ops: tuple[OpName, ...] = _POST


class Reset(Fault, frozen=True, kw_only=True, tag="reset"):
    """Reset the connection (RST) before executing anything."""


class Hang(Fault, frozen=True, kw_only=True, tag="hang"):
    """Hold connection and slot for `seconds`, then close without an answer; commit at the start or never."""

    seconds: Seconds
    commit: bool = False


class LateCommit(Fault, frozen=True, kw_only=True, tag="late_commit"):
    """Commit after `seconds` and never answer. The call ends, and its slot is free, when the connection is
    closed: at the commit, or after `close_after_seconds` with the commit still to come."""

    seconds: Seconds
    close_after_seconds: Seconds | None = None
    ops: tuple[OpName, ...] = _POST


class ClosedPeriod(Fault, frozen=True, kw_only=True, tag="closed_period"):
    """Refuse new documents with 422 period_closed."""

    ops: tuple[OpName, ...] = _POST


class Refuse(Fault, frozen=True, kw_only=True, tag="refuse"):
    """Refuse new documents with a status, code and detail of choice."""

    status: Annotated[int, msgspec.Meta(ge=400, le=499)] = 422
    code: str = "account.blocked"
    detail: str = "the account is blocked for postings"
    ops: tuple[OpName, ...] = _POST


class Garbage(Fault, frozen=True, kw_only=True, tag="garbage"):
    """Answer with something that is not a document; `status` null keeps the true one.

    `big` is `megabytes` of JSON, `gzip` the same number of megabytes once unpacked, `truncated` ends before
    its Content-Length, `charset` is Latin-1 declared as UTF-8, `error_inside` is an error under a 2xx.
    """

    form: Literal["html", "empty", "no_id", "big", "gzip", "charset", "error_inside", "truncated"]
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    megabytes: Annotated[int, msgspec.Meta(ge=1, le=4_096)] = 1
    commit: bool = True


class Clock(msgspec.Struct, frozen=True, tag_field="kind", tag="clock", forbid_unknown_fields=True):
    """Shift the ERP's wall clock (posted_at and Date) by `offset_seconds`."""

    offset_seconds: float


class ChangedLimits(msgspec.Struct, frozen=True, tag_field="kind", tag="limits", forbid_unknown_fields=True):
    """Enforce `limits` (in the words of `--limit`) from now on. `told`: `GET /limits` and headers say so as well;
    else they go on naming the published ones."""

    limits: tuple[str, ...]
    told: bool = False


class Others(msgspec.Struct, frozen=True, tag_field="kind", tag="others", forbid_unknown_fields=True):
    """Other software uses a part of the quota: `busy` calls at any instant, `per_minute` calls, evenly."""

    busy: Natural = 0
    per_minute: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Style(msgspec.Struct, frozen=True, tag_field="kind", tag="style", forbid_unknown_fields=True):
    """Refuse for limits in the manner of a vendor, and say what is left as it does (`manners.py`).

    `headers` false: say nothing of what is left.
    """

    vendor: str
    headers: bool = True

    def __post_init__(self) -> None:
        if self.vendor not in SAYS:
            raise ValueError(f"vendor {self.vendor!r} is unknown: choose one of {', '.join(SAYS)}")


Standing = Clock | ChangedLimits | Others | Style
Drawn = Throttle | Unavailable | LostAnswer | Reset | Hang | LateCommit | ClosedPeriod | Refuse | Garbage
AnyFault = Slow | Drawn | Standing


class FaultSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `PUT /sandbox/faults`: replaces everything that was switched on before."""

    faults: tuple[AnyFault, ...] = ()


class FaultState(msgspec.Struct, frozen=True):
    """A fault as `GET /sandbox/faults` shows it, with how often it has hit."""

    fault: AnyFault
    hits: int


class _Switch:
    def __init__(self, index: int, fault: Slow | Drawn) -> None:
        self.fault = fault
        self.hits = 0
        self.random = random.Random(f"{fault.seed}/{index}/{type(fault).__name__}")
        self._skip = fault.skip

    def strikes(self, op: Op, account: str | None, reference: str | None) -> bool:
        fault = self.fault
        if op not in fault.ops or (fault.count is not None and self.hits >= fault.count):
            return False
        if fault.account not in (None, account) or fault.reference not in (None, reference):
            return False
        if self._skip > 0:
            self._skip -= 1
            return False
        if fault.rate < 1 and self.random.random() >= fault.rate:
            return False
        self.hits += 1
        return True


class FaultBoard:
    """The faults that are switched on."""

    def __init__(self, faults: FaultSet | None = None) -> None:
        self._switches: list[_Switch] = []
        self._standing: list[Standing] = []
        self.limits: tuple[Limit, ...] | None = None
        self.others = Others()
        self.style: Style | None = None
        self.set(faults or FaultSet())

    def set(self, faults: FaultSet) -> None:
        """Replace all faults; counts and random generators start anew.

        Raises LimitError for words of a limit that make no sense, and then changes nothing.
        """
        standing = [fault for fault in faults.faults if isinstance(fault, Standing)]
        words = [text for fault in standing if isinstance(fault, ChangedLimits) for text in fault.limits]
        limits = tuple(parse_limit(text) for text in words)
        self._standing, self.limits = standing, limits or None
        self.others = next((fault for fault in standing if isinstance(fault, Others)), Others())
        self.style = next((fault for fault in standing if isinstance(fault, Style)), None)
        self._switches = [
            _Switch(index, fault) for index, fault in enumerate(faults.faults) if not isinstance(fault, Standing)
        ]

    def show(self) -> list[FaultState]:
        """Every fault with its hits."""
        drawn = [FaultState(switch.fault, switch.hits) for switch in self._switches]
        return drawn + [FaultState(fault, 0) for fault in self._standing]

    @property
    def limits_told(self) -> bool:
        """Whether changed limits are told to those who ask."""
        return any(isinstance(fault, ChangedLimits) and fault.told for fault in self._standing)

    @property
    def clock_offset_seconds(self) -> float:
        """By how many seconds the wall clock is wrong."""
        return sum(fault.offset_seconds for fault in self._standing if isinstance(fault, Clock))

    def draw(self, op: Op, account: str | None, reference: str | None) -> tuple[float, Drawn | None]:
        """Seconds of extra delay for a call, and the fault that it meets, if any."""
        delay_ms = 0.0
        for switch in self._switches:
            if not switch.strikes(op, account, reference):
                continue
            if not isinstance(switch.fault, Slow):
                return delay_ms / 1_000, switch.fault
            slow = switch.fault
            delay_ms += max(0.0, slow.ms + switch.random.uniform(-slow.jitter_ms, slow.jitter_ms))
        return delay_ms / 1_000, None


def kind_of(fault: AnyFault) -> str:
    """The name of a fault as it is written in JSON."""
    return str(fault.__struct_config__.tag)


def load_faults(path: Path) -> FaultSet:
    """Read a fault file (TOML when it is named so, else JSON).

    Raises OSError, tomllib.TOMLDecodeError or msgspec.DecodeError (with the place of the mistake).
    """
    if path.suffix == ".toml":
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), FaultSet)
    return msgspec.json.decode(path.read_bytes(), type=FaultSet)
