"""Fair turns: what went before each message that stood at the head of its tenant's queue in its lane.

A tenant that waits in a lane gets a turn per round; a round has one turn for each tenant that waits there, as many
calls as its weight is higher. So a message at the head is overtaken by at most one round, and by the call that was
about to go when it came. Counted are first calls of messages, lane by lane: what is sent again is nobody's turn.
What is owed need not outlive the one who owes it: each time that nobody was there, the count may begin anew.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import ceil, log2

from ops.certificate.model import Turn
from ops.certificate.spans import Counter, Span, union
from ops.certificate.terms import Terms, Weights
from ops.certificate.waiting import Waiter

WEIGHTS_MAX = 32
"""Different weights that are told apart; each costs two look-ups for every turn."""


def weight_of(terms: Terms, tenant: str, at_ns: int) -> float:
    """The weight in force at an instant."""
    known = [one for one in terms.weights if one.from_ns <= at_ns]
    return known[-1].weights.get(tenant, 1.0) if known else 1.0


class LaneStory:
    """Everything that waited in one lane, by tenant."""

    def __init__(self, lane: str, waiters: Sequence[Waiter], terms: Terms, restarts: Counter | None = None) -> None:
        self.lane = lane
        self._restarts = restarts or Counter(())
        self.waiters = waiters
        self.by_tenant: dict[str, list[Waiter]] = defaultdict(list)
        for waiter in waiters:
            self.by_tenant[waiter.row.tenant].append(waiter)
        self.waits = {tenant: union(_span(one) for one in own) for tenant, own in self.by_tenant.items()}
        self.starts = [one.start_ns for one in waiters if one.started]
        self._terms = terms
        self._all_starts = Counter(self.starts)
        self._own_starts = {
            tenant: Counter(one.start_ns for one in own if one.started) for tenant, own in self.by_tenant.items()
        }
        self._queue = _Queue(waiters)
        self._own_queue = {tenant: _Queue(own) for tenant, own in self.by_tenant.items()}
        regimes = terms.weights or [Weights({})]
        self._classes = [(regime.from_ns, self._classed(regime)) for regime in regimes]

    def _classed(self, regime: Weights) -> dict[float, tuple[Counter, Counter]]:
        """For each weight: when tenants of that weight began and ceased to wait.

        Of very many different weights the next power of two is taken, which only makes a round longer.
        """
        many = len({regime.weights.get(tenant, 1.0) for tenant in self.waits}) > WEIGHTS_MAX
        begun: dict[float, list[int]] = defaultdict(list)
        ceased: dict[float, list[int]] = defaultdict(list)
        for tenant, spans in self.waits.items():
            weight = regime.weights.get(tenant, 1.0)
            weight = 2.0 ** ceil(log2(weight)) if many else weight
            begun[weight] += [span.start_ns for span in spans]
            ceased[weight] += [span.end_ns for span in spans]
        return {weight: (Counter(begun[weight]), Counter(ceased[weight])) for weight in begun}

    def turns(self) -> Iterator[Turn]:
        """One for each message that was at the head of its tenant's queue for any time."""
        for tenant, spans in self.waits.items():
            own = sorted(self.by_tenant[tenant], key=lambda one: one.start_ns)
            starts = [one.start_ns for one in own]
            for span in spans:
                since_ns = span.start_ns
                for waiter in own[bisect_left(starts, span.start_ns + 1) : bisect_left(starts, span.end_ns + 1)]:
                    if waiter.start_ns > since_ns:
                        yield self._turn(waiter, tenant, since_ns)
                    since_ns = max(since_ns, waiter.start_ns)

    def _turn(self, waiter: Waiter, tenant: str, since_ns: int) -> Turn:
        until_ns = waiter.start_ns
        overtaken = self._all_starts.between(since_ns, until_ns) - self._own_starts[tenant].between(since_ns, until_ns)
        round_calls = self._round(tenant, since_ns, until_ns)
        rounds = self._terms.turn_rounds if self._terms.turn_rounds is not None else 1.0
        lives = 1 + self._restarts.between(since_ns, until_ns)
        return Turn(
            key=waiter.row.key,
            tenant=tenant,
            lane=self.lane,
            ready_ns=since_ns,
            started_ns=until_ns if waiter.started else None,
            overtaken_by=overtaken,
            round_calls=round_calls,
            bound_calls=lives * (rounds * round_calls + self._terms.turn_calls + self._terms.transit_calls),
            behind=self._queue.length(since_ns) - self._own_queue[tenant].length(since_ns),
            line=waiter.line,
        )

    def _round(self, tenant: str, since_ns: int, until_ns: int) -> float:
        """The calls of one round without the tenant's own, the most under any weights that were in force meanwhile."""
        most = 0.0
        for place, (from_ns, classes) in enumerate(self._classes):
            over_ns = self._classes[place + 1][0] if place + 1 < len(self._classes) else 1 << 62
            if from_ns < until_ns and since_ns < over_ns:
                own = weight_of(self._terms, tenant, max(since_ns, from_ns))
                most = max(most, self._competitors(classes, own, since_ns, until_ns))
        return most

    def _competitors(
        self, classes: dict[float, tuple[Counter, Counter]], own: float, since_ns: int, until_ns: int
    ) -> float:
        calls = -1.0  # the tenant itself waits too
        for weight, (begun, ceased) in classes.items():
            calls += (begun.before(until_ns) - ceased.until(since_ns)) * max(1.0, weight / own)
        return max(calls, 0.0)


class _Queue:
    """How many waited at an instant."""

    def __init__(self, waiters: Sequence[Waiter]) -> None:
        self._ready = Counter(one.ready_ns for one in waiters if one.had_to_wait)
        self._gone = Counter(one.start_ns for one in waiters if one.had_to_wait)

    def length(self, instant_ns: int) -> int:
        return self._ready.until(instant_ns) - self._gone.until(instant_ns)


def _span(waiter: Waiter) -> Span:
    return Span(waiter.ready_ns, waiter.start_ns)


def newcomer_of(story: LaneStory, turns: Sequence[Turn]) -> Turn | None:
    """The message of a tenant that had nothing waiting, behind the longest queue of others."""
    begun = {(tenant, span.start_ns) for tenant, spans in story.waits.items() for span in spans}
    new = [turn for turn in turns if (turn.tenant, turn.ready_ns) in begun and turn.started_ns is not None]
    return max(new, key=lambda turn: (turn.behind, turn.overtaken_by), default=None)
