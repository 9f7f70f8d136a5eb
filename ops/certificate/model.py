"""What a certificate says. Instants are integer nanoseconds of the ERP's monotonic clock (`_ns`);
their wall time (`_at`, RFC 3339 UTC) comes from the log header and is for people only."""

from typing import Literal

from msgspec import Struct, field

LimitKind = Literal["rate", "concurrent", "execution"]
NANOSECONDS_PER_SECOND = 1_000_000_000


class WrongUse(ValueError):
    """The certifier was asked for something it cannot do: bad option, no limit to examine."""


class Unreadable(ValueError):
    """A file is not what it should be. Says the file, the line and what was expected."""

    def __init__(self, name: str, line: int, expected: str) -> None:
        super().__init__(f"{name}, line {line}: {expected}")
        self.line = line
        self.expected = expected


class Limit(Struct, frozen=True, omit_defaults=True):
    """A promise to the ERP.

    rate: at most `limit` calls arrive in any half-open window of `seconds`.
    concurrent: at most `limit` calls are in progress at any instant.
    execution: the ERP spends at most `limit` execution seconds inside any window of `seconds`.

    op: only calls of that operation count. per: "object" if each account (the log's `account`) has the limit for
    itself; calls that show no account are in none.
    """

    kind: LimitKind
    limit: int | float
    seconds: int | float | None = None
    op: str | None = None
    per: Literal["object"] | None = None

    @property
    def window_ns(self) -> int:
        return round((self.seconds or 0) * NANOSECONDS_PER_SECOND)


class CallRef(Struct, frozen=True):
    """One call of the log, so that a reader can find it: its line is the one that first names it."""

    seq: int
    line: int
    op: str
    arrived_ns: int
    ended_ns: int | None


class Place(Struct, frozen=True):
    """Where the worst case is, with the first calls in it (`calls_total` of them in all)."""

    start_ns: int
    start_at: str | None
    calls_total: int
    calls: list[CallRef]


class Regime(Struct, frozen=True):
    """One value of a limit that changed: the worst case while it was in force, by the last call of each window.

    until_at: None if it was in force to the end. Names and units as in LimitFinding.
    """

    limit: int | float
    from_at: str | None
    until_at: str | None
    worst: int | float
    margin: int | float
    violations: int


class LimitFinding(Struct, frozen=True):
    """The worst case found for one limit over every window. `margin` < 0 means over the limit.

    worst: calls (rate, concurrent) or seconds (execution). violations: windows, or arrivals for
    concurrency, that broke it. used_percent: of what the limit allowed between first and last post.
    regimes: one for each value that it had, if it changed.
    """

    name: str
    kind: LimitKind
    seconds: int | float | None
    limit: int | float
    worst: int | float
    margin: int | float
    over: bool
    violations: int
    where: Place | None
    used_percent: float | None
    regimes: list[Regime] = []


class Example(Struct, frozen=True):
    """One thing that broke a check: the business key, a sentence, and the line of the log that shows it."""

    key: str
    detail: str
    line: int | None = None


class Check(Struct, frozen=True):
    """One promise. `holds` is None when there was nothing to examine it with, or nothing to hold it to.

    bound, worst: what it was held to and the worst that was found, in words, where the promise has a measure.
    """

    name: str
    promise: str
    holds: bool | None
    count: int
    examples: list[Example]
    bound: str = ""
    worst: str = ""


class LaneWait(Struct, frozen=True):
    """Seconds from acceptance to the arrival of the creating call at the ERP; nearest-rank quantiles."""

    lane: str
    count: int
    p50_seconds: float
    p99_seconds: float
    max_seconds: float


class Turn(Struct, frozen=True):
    """One message that waited at the head of its tenant's queue in its lane: what went before it.

    ready_ns: from then on it could have gone. overtaken_by: calls of other tenants in its lane that started first.
    round_calls: one turn for each tenant that waited in the lane meanwhile, by weight. bound_calls: what is
    allowed. behind: messages of others that waited in the lane when it became ready. started_ns: None if never.
    """

    key: str
    tenant: str
    lane: str
    ready_ns: int
    started_ns: int | None
    overtaken_by: int
    round_calls: float
    bound_calls: float
    behind: int
    line: int | None = None

    @property
    def rounds(self) -> float:
        """Rounds that it waited; calls when nobody else waited."""
        return self.overtaken_by / max(self.round_calls, 1)


class TenantService(Struct, frozen=True):
    """What one tenant got. longest_seconds: from acceptance to the first call. longest_rounds: at the head of
    its queue in a lane, see Turn. waiting: what never reached the ERP within the log."""

    tenant: str
    weight: float
    calls: int
    waiting: int
    longest_seconds: float
    longest_rounds: float


class LaneService(Struct, frozen=True):
    """What one lane got. share_percent: of the calls that started while it waited (None: it never had to).

    longest_run: most calls of other lanes, one after the other, while it waited. lower_calls, spell_calls: of the
    spell in which most calls of lower lanes went before it.
    """

    lane: str
    calls: int
    waiting: int
    longest_seconds: float
    share_percent: float | None
    longest_run: int
    lower_calls: int
    spell_calls: int


class Fairness(Struct, frozen=True):
    """Jain's index, (sum x)^2 / (n sum x^2) with x = calls started / weight, over the tenants that waited through
    a whole slice of the run, lane by lane: 1 is equal, 1/n is all for one. mean: over the slices, by calls."""

    mean: float
    worst: float
    worst_lane: str
    worst_from_ns: int
    slices: int
    tenants_max: int


class Idle(Struct, frozen=True):
    """Time in which work waited although every limit had room. Stretches up to the reaction time are left out.

    waited_seconds: time in which anything waited that could have gone. longest_from_ns: where the longest begins.
    """

    seconds: float
    percent: float
    waited_seconds: float
    stretches: int
    longest_seconds: float
    longest_from_ns: int | None


class Service(Struct, frozen=True):
    """How the waiting work was served: by tenant, by lane, in time. `newcomer` is the message of a tenant that had
    nothing waiting, behind the longest queue of others; `worst_turn` the one with most rounds before it."""

    fairness: Fairness | None
    newcomer: Turn | None
    worst_turn: Turn | None
    tenants_total: int
    tenants: list[TenantService]
    lanes: list[LaneService]
    idle: Idle | None


class CallCounts(Struct, frozen=True):
    """What arrived. `unfinished` have no end in the log; `unanswered` ended, their answers were lost."""

    total: int
    posts: int
    lookups: int
    other: int
    refused_429: int
    refused_codes: dict[str, int]
    unfinished: int
    unanswered: int


class Sources(Struct, frozen=True):
    """The bytes that were read, by SHA-256 (hex). `log_chain`: of the last line; empty if the log is not chained."""

    log_sha256: str
    log_bytes: int
    log_lines: int
    log_chain: str
    restarts: int
    accepted_sha256: str | None
    accepted_bytes: int | None
    accepted_messages: int | None


class Certificate(Struct, frozen=True):
    """The whole statement. Holds no time of its making: the same bytes give the same certificate.

    previous: the hash of the certificate before this one when several logs were certified together.
    """

    format: str
    verdict: Literal["PASS", "FAIL"]
    reasons: list[str]
    notes: list[str]
    profile: str | None
    sources: Sources
    first_at: str | None
    last_at: str | None
    seconds: float
    calls: CallCounts
    documents: int
    limits: list[LimitFinding]
    checks: list[Check]
    waits: list[LaneWait]
    service: Service | None = None
    previous: str = ""
    sha256: str = field(default="")
