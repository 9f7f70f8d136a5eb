"""Use of the limits under backlog, and windows over, in virtual time: the gate beside what else there is.

Everybody meets the same ERP: each call takes 0.2 to 2 ms there and back and executes for a time drawn from a range. The
judge is the certificate's exact scan over the instants at which the ERP saw the calls.
"""

from __future__ import annotations

import asyncio
import gc
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from random import Random

import msgspec

from ops.certificate.limits import LimitTrack
from ops.certificate.windows import worst_concurrency, worst_execution, worst_rate
from policies.budget import Ask, Budget
from policies.limit_words import parse_limits
from policies.limits import ExecutionLimit, Lease, Limit, RateLimit, window_of
from tests.load import virtual
from tests.load.limiters import LIMITERS, Limiter
from tests.load.run import Row, show

SECOND_NS = 1_000_000_000
WIRE_MS = (0.2, 2.0)


class Case(msgspec.Struct, frozen=True):
    """Limits in words (the first is measured), execution time of a call in ms, how many windows, what is reported."""

    words: tuple[str, ...]
    windows: int
    busy_ms: tuple[float, float] = (40, 60)
    reports: bool = True


CASES = (
    Case(("10/1s",), 60),
    Case(("10/1s",), 60, reports=False),
    Case(("100/1s", "20 concurrent"), 30),
    Case(("60/min", "5000/day", "5 concurrent"), 30),
    Case(("600/min",), 8),
    Case(("6000/300s", "5 concurrent"), 2, (150, 250)),
    Case(("5000/day", "5 concurrent"), 2),
    Case(("1200 execution-seconds/300s", "6000/300s", "52 concurrent"), 4, (200, 3_000)),
)


class Seen:
    """What the ERP saw."""

    def __init__(self) -> None:
        self.arrivals = array("q")
        self.ends = array("q")


async def _drive(limiter: Limiter, case: Case, end_ns: int, seen: Seen) -> None:
    """An endless backlog until the end of time."""
    random = Random(7)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, virtual.VirtualLoop)
    flying: set[asyncio.Task[None]] = set()

    async def call(ticket: object) -> None:
        started_ns = loop.now_ns
        await asyncio.sleep(random.uniform(*WIRE_MS) / 1e3)
        arrived_ns = loop.now_ns
        seen.arrivals.append(arrived_ns)
        await asyncio.sleep(random.uniform(*case.busy_ms) / 1e3)
        server_ns = (loop.now_ns - arrived_ns) // 1_000 * 1_000
        seen.ends.append(loop.now_ns)
        await asyncio.sleep(random.uniform(*WIRE_MS) / 1e3)
        limiter.release(ticket, started_ns, loop.now_ns, server_ns if case.reports else None)

    async def begin() -> None:
        while loop.now_ns < end_ns:
            task = asyncio.create_task(call(await limiter.acquire()))
            flying.add(task)
            task.add_done_callback(flying.discard)

    try:
        async with asyncio.timeout(end_ns / 1e9):
            await begin()
    except TimeoutError:
        pass
    await asyncio.gather(*flying)


def _track(limit: Limit) -> LimitTrack:
    kind = (
        "rate" if isinstance(limit, RateLimit) else "execution" if isinstance(limit, ExecutionLimit) else "concurrent"
    )
    window_ns = window_of(limit)
    track = LimitTrack(kind, None if window_ns is None else window_ns // SECOND_NS)
    track.change(-1, limit.limit)
    return track


def _over(seen: Seen, limits: Sequence[Limit]) -> tuple[list[str], int]:
    """The worst case of each limit, and how many windows and instants are over, of all limits."""
    arrivals, ends = sorted(seen.arrivals), sorted(seen.ends)
    worst, violations = [], 0
    for limit in limits:
        track = _track(limit)
        if isinstance(limit, RateLimit):
            found = worst_rate(arrivals, track)
            worst.append(str(found.worst))
        elif isinstance(limit, ExecutionLimit):
            found = worst_execution(arrivals, ends, track)
            worst.append(f"{found.worst / SECOND_NS:.0f} s")
        else:
            # at the very instant at which one ends the next may come
            found = worst_concurrency(arrivals, [end - 1 for end in ends], track)
            worst.append(str(found.worst))
        violations += found.violations
    return worst, violations


def _used(seen: Seen, limit: Limit) -> float:
    """Percent of what the first limit allows: window by the time after which each of its places was used again.

    Execution time by what was executed in the whole windows since the first call.
    """
    arrivals = sorted(seen.arrivals)
    window_ns = window_of(limit) or SECOND_NS
    if isinstance(limit, ExecutionLimit):
        first, last = arrivals[0], max(seen.ends)
        until = first + (last - first) // window_ns * window_ns
        pairs = zip(sorted(seen.arrivals), sorted(seen.ends), strict=True)
        spent = sum(min(end, until) - min(at, until) for at, end in pairs)
        return 100 * spent / (limit.limit * SECOND_NS * ((until - first) // window_ns))
    cycles = [later - at for at, later in zip(arrivals, arrivals[limit.limit :], strict=False)]
    return 100 * window_ns * len(cycles) / sum(cycles)


def _one(case: Case, name: str) -> Row:
    limits = parse_limits(case.words)
    seen = Seen()
    end_ns = case.windows * (window_of(limits[0]) or SECOND_NS) + SECOND_NS

    async def run() -> None:
        await _drive(LIMITERS[name](limits), case, end_ns, seen)

    virtual.run(run())
    worst, violations = _over(seen, limits)
    told = "" if case.reports else ", no duration told"
    budget = ", ".join(case.words) + f" ({case.busy_ms[0]:g}..{case.busy_ms[1]:g} ms{told})"
    return budget, name, str(len(seen.arrivals)), f"{_used(seen, limits[0]):.1f}", " / ".join(worst), str(violations)


def use() -> str:
    """Use and violations of everybody, for every case."""
    rows = [_one(case, name) for case in CASES for name in LIMITERS]
    columns = ["limits (execution time of a call)", "limiter", "calls", "used %", "worst window", "over"]
    note = "\nThe others know rates and slots; nothing of theirs limits execution time.\n"
    return show("Use of the first limit under backlog, and windows over of all, in virtual time", columns, rows) + note


COSTS = {
    "10/1s, 5 concurrent": (5, ("10/1s", "5 concurrent")),
    "Xero": (5, ("60/min", "5000/day", "5 concurrent")),
    "Zuora": (200, ("50000/min", "2250000/h", "27000000/day", "200 concurrent")),
    "Dataverse": (52, ("6000/300s", "1200 execution-seconds/300s", "52 concurrent")),
    "Stripe, 10,000 objects": (20, ("100/1s", "post: 25/1s", "post: 10/min per object", "post: 20/day per object")),
}
ADMISSIONS = 60_000


def _cost(name: str, width: int, words: tuple[str, ...]) -> Row:
    """Time of one admission with its end, and memory, with as many calls remembered as the limits let through."""
    budget, now_ns, flying = Budget(parse_limits(words)), 0, list[Lease]()
    random, took = Random(3), array("d")
    gc.disable()
    for _ in range(ADMISSIONS):
        ask = Ask("post", f"object-{random.randrange(10_000)}")
        while True:
            begun = time.thread_time()
            answer = budget.admit(now_ns, ask=ask)
            took.append(time.thread_time() - begun)
            if isinstance(answer, Lease):
                flying.append(answer)
                break
            now_ns = answer.until_ns or now_ns
            if flying and answer.until_ns is None:
                _end(budget, flying.pop(0), now_ns)
        now_ns += 1_000_000
        if len(flying) >= width:
            begun = time.thread_time()
            _end(budget, flying.pop(0), now_ns)
            took[-1] += time.thread_time() - begun
    gc.enable()
    steps = max(len(meter.at) for meter in budget.snapshot().meters)
    memory = len(msgspec.msgpack.encode(budget.snapshot())) / 2**20
    ordered = sorted(took)
    return name, *(f"{ordered[int(len(ordered) * q)] * 1e6:.1f}" for q in (0.5, 0.99)), str(steps), f"{memory:.1f}"


def _end(budget: Budget, lease: Lease, now_ns: int) -> None:
    budget.ended(lease, now_ns, ended_ns=now_ns)


def costs() -> str:
    """What an admission costs, by the shape of the limits."""
    rows = [_cost(name, width, words) for name, (width, words) in COSTS.items()]
    columns = ["limits", "p50 us", "p99 us", "steps of the longest sum", "snapshot MB"]
    return show(f"One admission with its end, over {ADMISSIONS:,} calls (CPU time)", columns, rows)


PARTS = [use, costs]
"""What `make bench-gate` shows, in this order."""


def run(directory: Path) -> str:
    """All parts."""
    return "\n".join(part() for part in PARTS)
