"""What an onlooker knows of a simulated house: which calls wait, and the pace of the last minutes."""

from __future__ import annotations

from collections import Counter

from actors.caller.steps import Step
from policies.forecast import Situation
from policies.pace import Pace


class Watch:
    """A watcher of a World. It sees what the daemon's own onlooker sees, and nothing of the ERP's mood."""

    def __init__(self) -> None:
        self.pace = Pace(0)
        self.waiting: dict[int, tuple[str, str]] = {}
        self._started_ns: dict[int, int] = {}

    def __call__(self, was: str, step: Step, now_ns: int) -> None:
        """A step of a call."""
        call = step.call
        if was == "":
            self.pace.arrived(call.lane, call.tenant, now_ns)
        if call.status == "waiting":
            self.waiting[call.seq] = (call.lane, call.tenant)
        else:
            self.waiting.pop(call.seq, None)
        if call.status == "in_flight":
            self._started_ns[call.seq] = now_ns
            self.pace.started(now_ns)
        elif (started_ns := self._started_ns.pop(call.seq, None)) is not None:
            self.pace.ended(started_ns, now_ns, not call.open)

    def situation(self, now_ns: int) -> Situation:
        """What a forecast is made from."""
        return Situation(waiting=Counter(self.waiting.values()), recent=self.pace.recent(now_ns))
