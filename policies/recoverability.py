"""What to do after a call or a message failed: a pure decision by the class of the failure.

The class says who must act. Facts in, decision out; `random` is a number in [0, 1) that the caller drew.
Waiting (throttled, held, frozen) burns no attempts: `attempts` counts tries that were really made and
really failed.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from policies.restarts import Backoff

_SECOND_NS = 1_000_000_000
_HOUR_NS = 3600 * _SECOND_NS


class FailureClass(StrEnum):
    """The kinds of failure. `sentence` says what it means, `owner` is the role that must act."""

    THROTTLED = "throttled"
    TRANSIENT = "transient"
    DATA_QUALITY = "data_quality"
    POLICY = "policy"
    AUTH = "auth"
    CLOSED_PERIOD = "closed_period"
    UNKNOWN_OUTCOME = "unknown_outcome"
    POISON = "poison"
    BUG = "bug"

    @property
    def sentence(self) -> str:
        """What the class means, in one plain sentence."""
        return _MEANING[self][0]

    @property
    def owner(self) -> str:
        """The role that must act: finance, revenue, support or it."""
        return _MEANING[self][1]


_MEANING: Mapping[FailureClass, tuple[str, str]] = {
    FailureClass.THROTTLED: ("The system asked us to slow down; the work waits and is sent again.", "it"),
    FailureClass.TRANSIENT: ("The system could not take it just now and surely did nothing.", "it"),
    FailureClass.DATA_QUALITY: (
        "A field is wrong or missing and must be corrected at its source.",
        "revenue",
    ),
    FailureClass.POLICY: ("A business rule says no; that is a result, not a fault.", "support"),
    FailureClass.AUTH: (
        "The system does not accept our credential, or is not at the address; trying again could lock it.",
        "it",
    ),
    FailureClass.CLOSED_PERIOD: (
        "The accounting period is closed; the work waits for an open one.",
        "finance",
    ),
    FailureClass.UNKNOWN_OUTCOME: (
        "The call was sent and no answer came; it may have taken effect.",
        "finance",
    ),
    FailureClass.POISON: ("The message fails every time it is handled and is set aside whole.", "it"),
    FailureClass.BUG: ("Our own code failed; the message is not to blame.", "it"),
}


class Failure(Struct, frozen=True, kw_only=True):
    """The facts about one failure.

    `attempts`: tries made so far that failed, this one included (throttled ones do not count). `age_ns`:
    since the work was accepted. `retry_after_ns`: what the system asked for. `opens_in_ns`: until the
    period or the system is known to open. `can_look_up`: the adapter finds a document by our intent id.
    `dedupe_window_ns`: for how long after the first try the system itself recognises our key;
    `first_try_age_ns`: since that first try. `unknown_ns`: for how long the outcome has not been known. `late_ns`:
    for how long yet the system may do what it has not answered.
    """

    failure_class: FailureClass
    attempts: int
    age_ns: int
    retry_after_ns: int | None = None
    opens_in_ns: int | None = None
    can_look_up: bool = True
    dedupe_window_ns: int | None = None
    first_try_age_ns: int = 0
    unknown_ns: int = 0
    late_ns: int = 0


class RecoveryPolicy(Struct, frozen=True, kw_only=True):
    """How patient we are. All times in nanoseconds."""

    backoff: Backoff = Backoff(base_ns=_SECOND_NS, cap_ns=300 * _SECOND_NS)
    transient_attempts_max: int = 12
    transient_age_max_ns: int = 24 * _HOUR_NS
    bug_attempts_max: int = 3
    throttled_delay_ns: int = 5 * _SECOND_NS
    unknown_max_ns: int = 24 * _HOUR_NS


class RetryAt(Struct, frozen=True, tag="retry"):
    """Try again after `delay_ns`. `burns_attempt` is False if this failure is to be counted as waiting."""

    delay_ns: int
    burns_attempt: bool = True


class LookUp(Struct, frozen=True, tag="look_up"):
    """Ask the system by intent id, after `delay_ns`, whether it took effect; decide only then."""

    delay_ns: int


class Refuse(Struct, frozen=True, tag="refuse"):
    """A final no, told to whoever asked. `owner` can explain it."""

    owner: str


class OpenException(Struct, frozen=True, tag="exception"):
    """A person must act: `owner` is the role, `reason` the sentence they read."""

    owner: str
    reason: str


class Hold(Struct, frozen=True, tag="hold"):
    """The work waits without attempts, for `delay_ns` or (None) until `owner` releases it.

    `whole_system`: no call to this system may start meanwhile, not only this one.
    """

    owner: str
    delay_ns: int | None
    whole_system: bool


Recovery: TypeAlias = RetryAt | LookUp | Refuse | OpenException | Hold

DEFAULT_RECOVERY = RecoveryPolicy()


def decide(failure: Failure, random: float, policy: RecoveryPolicy = DEFAULT_RECOVERY) -> Recovery:
    """What to do next; same facts, same decision. Raises ValueError for a `random` not in [0, 1)."""
    kind = failure.failure_class
    match kind:
        case FailureClass.THROTTLED:
            asked = failure.retry_after_ns
            return RetryAt(policy.throttled_delay_ns if asked is None else asked, burns_attempt=False)
        case FailureClass.TRANSIENT:
            return _transient(failure, random, policy)
        case FailureClass.UNKNOWN_OUTCOME:
            return _unknown(failure, random, policy)
        case FailureClass.BUG:
            if failure.attempts < policy.bug_attempts_max:
                return RetryAt(_delay_ns(failure, random, policy))
            return OpenException(kind.owner, f"failed {failure.attempts} times in our own code: {kind.sentence}")
        case FailureClass.POLICY:
            return Refuse(kind.owner)
        case FailureClass.AUTH:
            return Hold(kind.owner, None, whole_system=True)
        case FailureClass.CLOSED_PERIOD:
            return Hold(kind.owner, failure.opens_in_ns, whole_system=False)
        case FailureClass.DATA_QUALITY | FailureClass.POISON:
            return OpenException(kind.owner, kind.sentence)


def _transient(failure: Failure, random: float, policy: RecoveryPolicy) -> Recovery:
    if failure.attempts >= policy.transient_attempts_max or failure.age_ns >= policy.transient_age_max_ns:
        hours = failure.age_ns / _HOUR_NS
        return OpenException(failure.failure_class.owner, f"gave up after {failure.attempts} tries in {hours:.1f} h")
    delay_ns = _delay_ns(failure, random, policy)
    return RetryAt(max(delay_ns, failure.retry_after_ns or 0))


def _unknown(failure: Failure, random: float, policy: RecoveryPolicy) -> Recovery:
    """Look up before anything; send again only where the system itself recognises the key, and not while it may still
    do the first: it could refuse the second meanwhile.

    Who is asked and does not answer is asked less and less often, and after a day a person is.
    """
    if failure.can_look_up and failure.unknown_ns < policy.unknown_max_ns:
        return LookUp(max(_delay_ns(failure, random, policy), min(failure.unknown_ns // 4, policy.backoff.cap_ns)))
    if failure.can_look_up:
        hours = failure.unknown_ns / _HOUR_NS
        return OpenException(failure.failure_class.owner, f"no look-up was answered in {hours:.0f} h")
    window_ns = failure.dedupe_window_ns
    delay_ns = max(_delay_ns(failure, random, policy), failure.late_ns)
    if window_ns is not None and failure.first_try_age_ns + delay_ns < window_ns:
        return RetryAt(delay_ns)
    never = "the answer was lost and the system can neither look it up nor deduplicate"
    too_late = "the answer was lost, and by the time it may be sent again the system does not recognise it any more"
    return OpenException(failure.failure_class.owner, never if window_ns is None else too_late)


def _delay_ns(failure: Failure, random: float, policy: RecoveryPolicy) -> int:
    return policy.backoff.delay_ns(max(1, failure.attempts), random)
