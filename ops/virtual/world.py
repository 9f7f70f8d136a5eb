"""One simulated house: messages come in by their offsets, calls go out through the gate, until nothing is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

import msgspec

from actors.caller.gate import Gate
from actors.caller.steps import Step
from ops.packs import PackMessage
from ops.sandbox.journal import Journal
from ops.sandbox.limits import Profile
from ops.virtual.agenda import Agenda
from ops.virtual.caller import Caller
from ops.virtual.erp import ModelErp, Mood
from ops.virtual.intake import Intake
from policies.limits import Limit

FOREVER_NS = 90 * 86_400 * 1_000_000_000
"""A quarter of a year: whatever has not ended by then stands still for good."""


class Fate(msgspec.Struct):
    """What became of one accepted message. Instants are nanoseconds from the start of the day."""

    message: PackMessage
    accepted_ns: int
    outcome: str = "pending"
    reason: str | None = None
    reference: str | None = None
    amount: str | None = None
    currency: str | None = None
    seq: int = 0
    ended_ns: int | None = None


Watcher = Callable[[str, Step, int], None]
"""Told of each step of a call: its status before, the step, and when."""


class World:
    """Built, then run once. `limits` are what the gate holds to, `profile` what the ERP enforces."""

    def __init__(
        self,
        messages: Iterable[PackMessage],
        limits: Iterable[Limit],
        profile: Profile,
        mood: Mood,
        seed: int,
        journal: Journal | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self.agenda = Agenda()
        self.erp = ModelErp(self.agenda, profile, mood, journal, seed)
        self.gate = Gate(limits, Random(f"gate:{seed}").random)
        self.fates: list[Fate] = []
        self.duplicates = 0
        self._caller = Caller(self.agenda, self.gate, self.erp, seed, self._step)
        self._intake = Intake()
        self._by_seq: dict[int, Fate] = {}
        self._watcher = watcher
        self._to_come = 0
        for message in messages:
            self._to_come += 1
            self.agenda.at(message.offset_ms * 1_000_000, lambda message=message: self._take(message))  # type: ignore[misc]

    @property
    def over(self) -> bool:
        """Whether every message has come and every call has its outcome."""
        return not self._to_come and not self._by_seq

    def run(self, until_ns: int = FOREVER_NS) -> bool:
        """Go on until a moment; whether something is left to happen."""
        return self.agenda.run(until_ns)

    def _take(self, message: PackMessage) -> None:
        now_ns = self.agenda.now_ns
        self._to_come -= 1
        verdict = self._intake.take(message, now_ns)
        if verdict is None:
            self.duplicates += 1
            return
        fate = Fate(message, now_ns, verdict.outcome, verdict.reason)
        self.fates.append(fate)
        if (call := verdict.call) is not None:
            fate.seq, fate.reference = call.seq, call.intent_id
            fate.amount, fate.currency = (call.money.amount, call.currency) if call.money else (None, None)
            self._by_seq[call.seq] = fate
            self._tell("", Step(call))
            self._caller.take(call)

    def _step(self, was: str, step: Step) -> None:
        call = step.call
        if not call.open:
            fate = self._by_seq.pop(call.seq)
            fate.outcome = "posted" if call.status == "done" else "refused"
            fate.reason, fate.ended_ns = call.reason, self.agenda.now_ns
        self._tell(was, step)

    def _tell(self, was: str, step: Step) -> None:
        if self._watcher is not None:
            self._watcher(was, step, self.agenda.now_ns)
