"""Callers with a fault."""

from __future__ import annotations

from policies.limits import Ask, Lease
from policies.order import Item
from tests.fault.mutants.desk import Desk, Flight
from tests.fault.mutants.world import MS, SECOND, Answer, Message


class LookUpsForFree(Desk):
    """Look-ups take nothing out of the budget."""

    def turn(self) -> None:
        while self._look_ups and not self.dead:
            message, item = self._look_ups.pop(0)
            self.fly("find", message, item, Lease(-1, self.clock(), 1))
        super().turn()


class NamesNoObject(Desk):
    """Does not tell the budget what a call is about."""

    def ask(self, message: Message) -> Ask:
        return Ask("post")


class NamesNoOperation(Desk):
    """Does not tell the budget which operation a call is."""

    def ask(self, message: Message) -> Ask:
        return Ask(None, message.account)


class CountsAtTheStart(Desk):
    """A call counts as arrived when it leaves."""

    def bound(self, flight: Flight, ended_ns: int, answer: Answer) -> int:
        return flight.lease.admitted_ns


class HalfOfRetryAfter(Desk):
    """Comes back after half of the time that it was told."""

    def throttled(self, flight: Flight, bound_ns: int, until_ns: int) -> None:
        super().throttled(flight, bound_ns, (until_ns + self.clock()) // 2)


class FreesBeforeTheAnswer(Desk):
    """The place of a call is free as soon as it has left."""

    def fly(self, kind: str, message: Message, item: Item, lease: Lease) -> None:
        super().fly(kind, message, item, lease)
        self.agenda.after(0.01, lambda: self._free(lease))

    def _free(self, lease: Lease) -> None:
        self.budget.ended(lease, self.clock())
        self.turn()


class BelievesTheWallClock(Desk):
    """Takes its time from a clock that somebody sets an hour ahead."""

    def clock(self) -> int:
        now_ns = self.agenda.now_ns
        return now_ns + 3_600 * SECOND if now_ns > 3 * SECOND + 400 * MS else now_ns


class ReadsItsClockLate(Desk):
    """What it reads is up to nine tenths of a millisecond old. Healthy: the guard is there for it."""

    _read_ns = 0

    def clock(self) -> int:
        late_ns = (self.agenda.now_ns // 1_000 * 7_919) % (MS * 9 // 10)
        self._read_ns = max(self._read_ns, self.agenda.now_ns - late_ns)
        return self._read_ns


class UnknownIsFailed(Desk):
    """Sends again what may have been done."""

    def lost(self, flight: Flight, now_ns: int) -> None:
        self.budget.abandoned(flight.lease, now_ns + 2 * SECOND)
        self.failed(flight)


class NewKeyForEachTry(UnknownIsFailed):
    """Sends again what may have been done, under another intent id."""

    def reference(self, message: Message) -> str:
        return f"intent-{message.number}-{message.attempts}"


class UnknownIsDone(Desk):
    """Says posted of what it never heard of again."""

    def lost(self, flight: Flight, now_ns: int) -> None:
        self.budget.abandoned(flight.lease, now_ns + 2 * SECOND)
        self.answered(flight, "done")


class DropsTheRefused(Desk):
    """Forgets a call that was refused."""

    def again(self, flight: Flight) -> None:
        self.over(flight.item)
