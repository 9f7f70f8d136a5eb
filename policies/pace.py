"""What went on lately, forgetting as it goes: arrivals by lane and tenant, times and failures of calls.

Arrivals are counted with a weight that falls to 1/e in `MEMORY_SECONDS`, and again with a longer memory, which tells
how long they have been coming in as they do. What is known of calls fades with the calls that follow, not with time: a
quiet night changes nothing about how long a call takes. Times are nanoseconds of one monotonic clock.
"""

from collections.abc import Mapping
from math import exp, sqrt

from msgspec import Struct

from policies.outages import NONE, Accidents, Outages

MEMORY_SECONDS = 120.0
LONG_MEMORY_SECONDS = 3_600.0
SHORT_MEMORY_SECONDS = 10.0
_SILENCE_EXPECTED = 3.0
"""Arrivals that can be missing by chance: with e^-3, one time in twenty."""
MEMORY_CALLS = 200
STANDS_STILL_SECONDS = 60.0
"""While we are away, senders go on waiting: for so long, what came in lately is taken to come in still."""
LINES_KEPT = 2_000
"""Lines whose arrivals are kept over a restart, those with the most."""
_SECOND_NS = 1_000_000_000


class Recent(Struct, frozen=True):
    """What a forecast needs to know of the last minutes.

    service_seconds, service_deviation: how long a call held its place, mean and standard deviation. calls: how many
    that is known from, the old ones counted less; 0 means that nothing is known. failure_share: of the calls, how
    many had to be repeated or asked about. arrivals: calls per second, by lane and tenant. wave_seconds: for how long
    they have been coming in like this, at most `LONG_MEMORY_SECONDS`. outages: times without us.
    """

    service_seconds: float = 1.0
    service_deviation: float = 1.0
    calls: float = 0.0
    failure_share: float = 0.0
    arrivals: Mapping[tuple[str, str], float] = {}
    wave_seconds: float = 0.0
    outages: Outages = NONE


class PaceState(Struct, frozen=True):
    """What is remembered, for the next process. age_seconds: for how long we have been looking."""

    age_seconds: float
    arrivals: list[tuple[str, str, float]]
    long: float
    short: float
    ended: float
    failed: float
    seconds: float
    squares: float
    accidents: Accidents


class _Fading:
    """A sum that forgets: to 1/e in `memory_ns`."""

    __slots__ = ("at_ns", "memory_ns", "value")

    def __init__(self, memory_seconds: float = MEMORY_SECONDS) -> None:
        self.memory_ns = memory_seconds * _SECOND_NS
        self.value = 0.0
        self.at_ns = 0

    def add(self, amount: float, now_ns: int) -> None:
        self.value = self.read(now_ns) + amount
        self.at_ns = max(now_ns, self.at_ns)

    def read(self, now_ns: int) -> float:
        return self.value * exp(-max(now_ns - self.at_ns, 0) / self.memory_ns)


class Pace:
    """Told of every call that arrives and every call that ends. Memory: one number a line that saw an arrival."""

    def __init__(self, now_ns: int) -> None:
        self._since_ns = now_ns
        self._arrivals: dict[tuple[str, str], _Fading] = {}
        self._all, self._short = _Fading(LONG_MEMORY_SECONDS), _Fading(SHORT_MEMORY_SECONDS)
        self._last_ns = now_ns
        self._ended = self._failed = self._seconds = self._squares = 0.0
        self._flying = self._started_ns = 0
        self._accidents, self._looked_ns = Accidents(), now_ns

    def snapshot(self, now_ns: int) -> PaceState:
        """Everything that is worth keeping over a restart."""
        self._look(now_ns)
        found = [(lane, tenant, fading.read(now_ns)) for (lane, tenant), fading in self._arrivals.items()]
        most = sorted(found, key=lambda row: -row[2])[:LINES_KEPT]
        return PaceState(
            (now_ns - self._since_ns) / _SECOND_NS,
            most,
            self._all.read(now_ns),
            self._short.read(now_ns),
            self._ended,
            self._failed,
            self._seconds,
            self._squares,
            self._accidents,
        )

    def restore(self, state: PaceState, away_seconds: float, now_ns: int, missed: bool) -> None:
        """Go on where an earlier process ended, so many seconds ago; `missed`: there was work for it meanwhile."""
        aged_ns = now_ns - round(max(away_seconds - STANDS_STILL_SECONDS, 0.0) * _SECOND_NS)
        self._since_ns = self._looked_ns = now_ns
        self._since_ns -= round(state.age_seconds * _SECOND_NS)
        for lane, tenant, value in state.arrivals:
            line = self._arrivals[lane, tenant] = _Fading()
            line.value, line.at_ns = value, aged_ns
        for fading, value in ((self._all, state.long), (self._short, state.short)):
            fading.value, fading.at_ns = value, aged_ns
        self._last_ns = aged_ns
        self._ended, self._failed = state.ended, state.failed
        self._seconds, self._squares = state.seconds, state.squares
        self._accidents = state.accidents
        if missed:
            self._accidents.happened(away_seconds)

    def _look(self, now_ns: int) -> None:
        self._accidents.passed((now_ns - self._looked_ns) / _SECOND_NS)
        self._looked_ns = now_ns

    def arrived(self, lane: str, tenant: str, now_ns: int) -> None:
        """A call began to wait."""
        self._arrivals.setdefault((lane, tenant), _Fading()).add(1.0, now_ns)
        self._all.add(1.0, now_ns)
        self._short.add(1.0, now_ns)
        self._last_ns = now_ns

    def started(self, now_ns: int) -> None:
        """A call took its place."""
        self._flying += 1
        self._started_ns += now_ns

    def ended(self, started_ns: int, now_ns: int, fine: bool) -> None:
        """A call that had started gave its place back; `fine`: it has its outcome and need not go again."""
        self._flying -= 1
        self._started_ns -= started_ns
        seconds, keep = (now_ns - started_ns) / _SECOND_NS, 1 - 1 / MEMORY_CALLS
        self._ended = self._ended * keep + 1
        self._seconds = self._seconds * keep + seconds
        self._squares = self._squares * keep + seconds * seconds
        self._failed = self._failed * keep + (not fine)

    def recent(self, now_ns: int) -> Recent:
        """The last minutes as they look now. Lines that have nearly been forgotten are dropped."""
        self._look(now_ns)
        outages = self._accidents.lately()
        found = {line: fading.read(now_ns) for line, fading in self._arrivals.items()}
        self._arrivals = {line: fading for line, fading in self._arrivals.items() if found[line] > 0.01}
        span = self._span(MEMORY_SECONDS, now_ns)
        still = self._still(sum(found.values()) / span, now_ns)
        arrivals = {line: still * count / span for line, count in found.items() if count > 0.01}
        wave = min(self._all.read(now_ns) / max(sum(found.values()) / span, 1e-9), LONG_MEMORY_SECONDS)
        if not self._ended:
            return Recent(arrivals=arrivals, wave_seconds=wave, outages=outages)
        # the first to end are the short ones: what is still under way counts as well, until enough is known
        ages = (self._flying * now_ns - self._started_ns) / _SECOND_NS
        mean = (self._seconds + ages * (1 - self._ended / MEMORY_CALLS)) / self._ended
        variance = max(self._squares / self._ended - mean * mean, 0.0)
        failed = min(self._failed / self._ended, 0.95)
        return Recent(mean, sqrt(variance), self._ended, failed, arrivals, wave, outages)

    def _span(self, memory_seconds: float, now_ns: int) -> float:
        """The seconds that a memory of this length has counted, the old ones less."""
        age_seconds = max(now_ns - self._since_ns, _SECOND_NS) / _SECOND_NS
        return memory_seconds * (1 - exp(-age_seconds / memory_seconds))

    def _still(self, per_second: float, now_ns: int) -> float:
        """How much of the rate of the last minutes is still there: the last seconds say, as far as they can."""
        expected = per_second * self._span(SHORT_MEMORY_SECONDS, now_ns)
        lately = min((self._short.read(now_ns) + 1) / (expected + 1), 1.5)
        missing = per_second * (now_ns - self._last_ns) / _SECOND_NS
        return min(lately, 1.0 if missing <= _SILENCE_EXPECTED else _SILENCE_EXPECTED / missing)
