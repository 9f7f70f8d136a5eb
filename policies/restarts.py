"""Restart intensity and back-off of a supervisor: more than `count` restarts in `period_ns` escalates.

Source: Erlang/OTP design principles, "Maximum Restart Intensity" (MaxR and MaxT). Times are monotonic
nanoseconds; `random` is a number in [0, 1) that the caller drew.
"""

from typing import TypeAlias

from msgspec import Struct

_SECOND_NS = 1_000_000_000


class RestartLimit(Struct, frozen=True):
    """At most `count` restarts in any `period_ns`; the next one escalates. A count of 0 never restarts."""

    count: int
    period_ns: int

    def __post_init__(self) -> None:
        if self.count < 0 or self.period_ns < 1:
            raise ValueError(f"{self.count} restarts in {self.period_ns} ns: expected 0 or more in at least 1 ns")


class Backoff(Struct, frozen=True):
    """Exponential delay with jitter: base x 2^(n-1) up to the cap, of which at least half is kept."""

    base_ns: int = _SECOND_NS // 10
    cap_ns: int = 30 * _SECOND_NS

    def delay_ns(self, attempt: int, random: float) -> int:
        """The delay before try `attempt` (1 is the first repeat), within [half, whole] of the exponential.

        Raises ValueError for an attempt below 1 or a random number outside [0, 1).
        """
        if attempt < 1 or not 0 <= random < 1:
            raise ValueError(f"attempt {attempt}, random {random}: expected 1 or more, and a number in [0, 1)")
        whole = min(self.cap_ns, self.base_ns << min(attempt - 1, 62))
        return whole // 2 + int((whole - whole // 2) * random)


class Restart(Struct, frozen=True, tag="restart"):
    """Start the child again after `after_ns`; it is restart number `number` of the period."""

    after_ns: int
    number: int


class Escalate(Struct, frozen=True, tag="escalate"):
    """Give up and crash too: the limit is spent. `reason` is a sentence for the log."""

    reason: str


RestartDecision: TypeAlias = Restart | Escalate


class RestartCounter:
    """Counts the crashes of one supervisor's children. A restart older than the period no longer counts."""

    def __init__(self, limit: RestartLimit, backoff: Backoff | None = None) -> None:
        self._limit = limit
        self._backoff = backoff if backoff is not None else Backoff()
        self._restarts_ns: list[int] = []

    def record(self, now_ns: int, random: float) -> RestartDecision:
        """A child crashed now: restart it or escalate."""
        self._restarts_ns = [at for at in self._restarts_ns if now_ns - at < self._limit.period_ns]
        if len(self._restarts_ns) >= self._limit.count:
            seconds = self._limit.period_ns / _SECOND_NS
            return Escalate(
                f"a crash after {len(self._restarts_ns)} restarts in {seconds:g} s; the limit is {self._limit.count}"
            )
        self._restarts_ns.append(now_ns)
        number = len(self._restarts_ns)
        return Restart(self._backoff.delay_ns(number, random), number)
