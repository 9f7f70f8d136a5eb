"""How much repeating a failing system has to bear: a budget for retries and a breaker.

Source of the ratio: Google, Site Reliability Engineering, chapter "Handling Overload" (a per-client retry
budget of 10 %). Times are monotonic nanoseconds; `random` is a number in [0, 1) that the caller drew.
"""

from typing import TypeAlias

from msgspec import Struct

from policies.restarts import Backoff

_SECOND_NS = 1_000_000_000
_UNIT = 100


class RetryBudget:
    """Retries go only so far that, under total failure, calls <= 1.1 x first calls + what was saved.

    Each first call earns `percent` hundredths of a retry, each success a whole one (a system that works may
    be asked again); what is saved is at most `saved_max` retries, so that a good day does not pay for a
    storm. If no first call waits, one retry per `trickle_ns` goes all the same, else the last failed call
    would stay for ever.
    """

    def __init__(self, percent: int = 10, saved_max: int = 10, trickle_ns: int = 10 * _SECOND_NS) -> None:
        if percent < 0 or saved_max < 1 or trickle_ns < 1:
            raise ValueError(f"percent {percent}, saved_max {saved_max}, trickle {trickle_ns} ns: too small")
        self._percent = percent
        self._cap = saved_max * _UNIT
        self._trickle_ns = trickle_ns
        self._saved = 0
        self._last_trickle_ns: int | None = None

    def first_call(self) -> None:
        """A call was sent for the first time."""
        self._saved = min(self._cap, self._saved + self._percent)

    def succeeded(self) -> None:
        """A call ended fine."""
        self._saved = min(self._cap, self._saved + _UNIT)

    @property
    def affordable(self) -> bool:
        """Whether a retry may go now, whatever else waits."""
        return self._saved >= _UNIT

    def take(self, now_ns: int, first_waits: bool) -> bool:
        """Whether a retry may go now; taken if so. `first_waits`: a call never sent could go instead."""
        if self._saved >= _UNIT:
            self._saved -= _UNIT
            return True
        if first_waits or not self._trickle_due(now_ns):
            return False
        self._last_trickle_ns = now_ns
        return True

    def _trickle_due(self, now_ns: int) -> bool:
        return self._last_trickle_ns is None or now_ns - self._last_trickle_ns >= self._trickle_ns


class Pass(Struct, frozen=True, tag="pass"):
    """The call may go; report its end. A `probe` decides alone whether the breaker closes."""

    probe: bool = False


class Blocked(Struct, frozen=True, tag="blocked"):
    """The breaker is open until `until_ns`; None means that a probe is under way."""

    until_ns: int | None
    reason: str


Passage: TypeAlias = Pass | Blocked


class Breaker:
    """Opens after `failures_max` transient failures in a row, then lets one probe through at a time.

    Each failed probe opens it for longer (`backoff`, with jitter). Ends of calls that were already under
    way when it opened change nothing. A refusal by a limit is not a failure here: that is `Budget.freeze`.
    """

    def __init__(self, failures_max: int = 5, backoff: Backoff | None = None) -> None:
        if failures_max < 1:
            raise ValueError(f"failures_max is {failures_max}, expected at least 1")
        self._failures_max = failures_max
        self._backoff = backoff or Backoff(base_ns=30 * _SECOND_NS, cap_ns=300 * _SECOND_NS)
        self._failures = 0
        self._openings = 0
        self._open_until_ns: int | None = None
        self._probing = False

    @property
    def open(self) -> bool:
        """Whether the breaker is open (or probing)."""
        return self._open_until_ns is not None

    def permit(self, now_ns: int) -> Passage:
        """Whether a call may start now. A Pass with `probe` must come back through an end or `unsent`."""
        if self._open_until_ns is None:
            return Pass()
        if now_ns < self._open_until_ns:
            reason = f"{self._failures} failures in a row; the system gets a rest"
            return Blocked(self._open_until_ns, reason)
        if self._probing:
            return Blocked(None, "one probe is under way after a rest")
        self._probing = True
        return Pass(probe=True)

    def succeeded(self, passage: Pass) -> None:
        """The system answered, also if it answered no: closed, unless an older call says so."""
        if self._open_until_ns is not None and not passage.probe:
            return
        self._failures = self._openings = 0
        self._open_until_ns = None
        self._probing = False

    def failed(self, passage: Pass, now_ns: int, random: float) -> None:
        """A transient failure or no answer at all."""
        if self._open_until_ns is not None and not passage.probe:
            return
        self._failures += 1
        if passage.probe or self._failures >= self._failures_max:
            self._openings += 1
            self._open_until_ns = now_ns + self._backoff.delay_ns(self._openings, random)
            self._probing = False

    def unsent(self, passage: Pass) -> None:
        """The permitted call was not made after all; if it was the probe, another may go."""
        if passage.probe:
            self._probing = False
