"""What the service is held to. Limits, money and order are always held; how work was shared and how soon it went is
held to these terms, and only stated where a term is None.
"""

from pathlib import Path

import msgspec
from msgspec import Struct

from ops.certificate.model import NANOSECONDS_PER_SECOND, WrongUse


class Weights(Struct, frozen=True):
    """The weights of tenants from an instant on (on the log's clock); a tenant that is not named has 1."""

    weights: dict[str, float]
    from_ns: int = -1


class Terms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds and percent. Raises nothing; `read_terms` checks.

    floors_percent: of the calls that start while a lane waits; lanes highest first in `lane_order`.
    jain_min: least mean of Jain's index over the slices of the run.
    turn_rounds, turn_calls: a message at the head of its tenant's queue starts within so many rounds and calls (where
    tenants have guaranteed minima, which go before shares, up to twice as many rounds).
    idle_percent_max: of the time in which work waited. lane_wait_max_seconds: from acceptance to the first call.
    freezes: refusals are respected for as long as they say, and one probe goes first.
    ready_seconds: from acceptance (from the end of a hold, or of the call before it in its key) until a call may be
    expected.
    transit_calls: calls that may have been on their way when something changed. reaction_seconds: the same in time.
    lost_seconds: so long a call without an answer may be taken to be in progress.
    """

    floors_percent: dict[str, int] | None = None
    lane_order: tuple[str, ...] = ("urgent", "standard", "bulk")
    weights: list[Weights] = []
    jain_min: float | None = None
    turn_rounds: float | None = None
    turn_calls: int = 1
    idle_percent_max: float | None = None
    lane_wait_max_seconds: dict[str, float] = {}
    freezes: bool = False
    ready_seconds: float = 0.0
    transit_calls: int = 0
    reaction_seconds: float = 0.25
    lost_seconds: float = 0.0

    @property
    def ready_ns(self) -> int:
        return round(self.ready_seconds * NANOSECONDS_PER_SECOND)

    @property
    def reaction_ns(self) -> int:
        return round(self.reaction_seconds * NANOSECONDS_PER_SECOND)

    @property
    def lost_ns(self) -> int:
        return round(self.lost_seconds * NANOSECONDS_PER_SECOND)

    def periods(self) -> dict[str, int]:
        """A floored lane and the calls among which it has one while it waits."""
        return {lane: 100 // percent for lane, percent in (self.floors_percent or {}).items()}


STATED = Terms()
HOUSE = Terms(
    floors_percent={"standard": 10, "bulk": 5},
    jain_min=0.9,
    turn_rounds=1.0,
    idle_percent_max=20.0,
    freezes=True,
    ready_seconds=1.0,
    transit_calls=16,
    lost_seconds=2.0,
)
"""What a daemon with its built-in settings is held to over a real network."""


def read_terms(text: str) -> Terms:
    """`house`, or the path of a JSON file. Raises WrongUse with what is wrong in it, and OSError."""
    if text == "house":
        return HOUSE
    try:
        terms = msgspec.json.decode(Path(text).read_bytes(), type=Terms)
    except msgspec.MsgspecError as error:
        raise WrongUse(f"terms {text}: {error}") from None
    if any(not 1 <= percent <= 100 for percent in (terms.floors_percent or {}).values()):
        raise WrongUse(f"terms {text}: a floor is 1 to 100 percent")
    if any(weight <= 0 for one in terms.weights for weight in one.weights.values()):
        raise WrongUse(f"terms {text}: a weight is above 0")
    return terms
