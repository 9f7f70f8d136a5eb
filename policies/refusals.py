"""What a gate does after the called system refused: stand still, send one probe, come back step by step.

    open --refused--> frozen --until_ns--> one probe --ended fine--> coming back --wide enough--> open
                        ^                     |                          |
                        +------refused--------+------refused-------------+

A probe that ended badly, was abandoned or never left makes place for the next one. A refusal can only narrow. It holds
back what it was about and nothing else: everything, the calls of one operation, or those on one object.
"""

from msgspec.structs import replace

from policies.limits import Freeze, Lease, RefusalState, Return, Wait

RETURN_START = 2
"""Calls allowed in flight once a probe ended fine. Each fine end adds one, so it doubles per round trip."""


class Refusals:
    """The freeze of one scope and the way back from it. Times are monotonic nanoseconds."""

    def __init__(
        self,
        operation: str | None = None,
        object_: str | None = None,
        freeze: Freeze | None = None,
        way_back: Return | None = None,
    ) -> None:
        self.operation = operation
        self.object = object_
        self.freeze = freeze
        self.way_back = way_back

    @property
    def open(self) -> bool:
        """Whether nothing is held back any more."""
        return self.freeze is None and self.way_back is None

    def refused(self, until_ns: int, reason: str, limit_name: str | None) -> None:
        """The system refused: frozen until the latest time told. A probe under way no longer counts."""
        if self.freeze is not None:
            until_ns = max(until_ns, self.freeze.until_ns)
        self.freeze = Freeze(until_ns, reason, limit_name, None, self.operation, self.object)
        self.way_back = None

    def obstacle(self, now_ns: int) -> Wait | None:
        """Why nothing may start now, or None if a call (perhaps the probe) may."""
        if self.freeze is None:
            return None
        if now_ns < self.freeze.until_ns:
            return Wait(self.freeze.until_ns, self.freeze.limit_name or "frozen", self.freeze.reason)
        if self.freeze.probe is not None:
            return Wait(None, "probe", f"one probe is under way after a refusal: {self.freeze.reason}")
        return None

    def admitted(self, lease: Lease) -> None:
        """A call was admitted; while frozen it is the probe."""
        if self.freeze is not None:
            self.freeze = replace(self.freeze, probe=lease.id)

    def ended_fine(self, lease: Lease, narrowest: int) -> None:
        """A call ended fine: the probe opens the gate, a call after it widens the way back.

        `narrowest` is the smallest limit of the scope; at that width the gate is open again.
        """
        if self._is_probe(lease):
            self.freeze = None
            self.way_back = Return(RETURN_START, lease.id)
        elif self.way_back is not None and lease.id > self.way_back.probe:
            self.way_back = Return(self.way_back.allowed + 1, self.way_back.probe)
        if self.way_back is not None and self.way_back.allowed >= narrowest:
            self.way_back = None

    def unanswered(self, lease: Lease, next_probe_ns: int | None = None) -> None:
        """A call proved nothing; if it was the probe, the next may go (not before `next_probe_ns`)."""
        if self.freeze is not None and self._is_probe(lease):
            until_ns = max(self.freeze.until_ns, next_probe_ns or self.freeze.until_ns)
            self.freeze = replace(self.freeze, until_ns=until_ns, probe=None)

    def snapshot(self) -> RefusalState:
        """Everything it knows."""
        return RefusalState(self.operation, self.object, self.freeze, self.way_back)

    def _is_probe(self, lease: Lease) -> bool:
        return self.freeze is not None and self.freeze.probe == lease.id
