"""The refusals of a budget by what they are about: everything, the calls of one operation, those on one object."""

from collections.abc import Callable, Iterable, Iterator

from policies.budget_book import Book
from policies.budget_gauge import Gauge
from policies.budget_tally import Kind
from policies.limits import Ask, ConcurrencyLimit, Freeze, Lease, RefusalState, Wait
from policies.refusals import Refusals


class Freezes:
    """Freezes and the ways back from them; a call may stand under several. Times are nanoseconds."""

    def __init__(self, book: Book, states: Iterable[RefusalState] = ()) -> None:
        self._book = book
        self._scopes = {
            (its.operation, its.object): Refusals(its.operation, its.object, its.freeze, its.way_back) for its in states
        }

    @property
    def any(self) -> bool:
        """Whether there is a freeze, or a way back from one."""
        return bool(self._scopes)

    @property
    def narrow(self) -> bool:
        """Whether any of them is about some calls only."""
        return any(scope != (None, None) for scope in self._scopes)

    def all(self) -> tuple[Freeze, ...]:
        """Everything that is frozen."""
        return tuple(its.freeze for its in self._scopes.values() if its.freeze is not None)

    def refused(
        self, until_ns: int, reason: str, limit_name: str | None, operation: str | None, object_: str | None
    ) -> None:
        """The system refused; see `Budget.freeze`."""
        its = self._scopes.setdefault((operation, object_), Refusals(operation, object_))
        self._book.tally(_slots(its))
        its.refused(until_ns, reason, limit_name)

    def waits(self, now_ns: int, of: Ask) -> Iterator[Wait]:
        """Why such a call may not start now."""
        for its in self.about(of):
            if (refused := its.obstacle(now_ns)) is not None:
                yield refused
            if its.way_back is not None:
                limit = ConcurrencyLimit(its.way_back.allowed, "return", its.operation, its.object is not None)
                back = Gauge(limit, self._book.tally(_slots(its)), 0).wait(now_ns, 1, its.object)
                if back is not None:
                    yield back

    def admitted(self, lease: Lease) -> None:
        """A call was admitted; where it is a probe, it is the only one."""
        for its in self.about(lease):
            its.admitted(lease)

    def ended_fine(self, lease: Lease, narrowest: Callable[[str | None, str | None], int]) -> None:
        """A call ended fine. `narrowest` tells the smallest limit of an operation and object."""
        for its in list(self.about(lease)):
            its.ended_fine(lease, narrowest(its.operation, its.object))
            if its.open:
                del self._scopes[its.operation, its.object]

    def unanswered(self, lease: Lease, next_probe_ns: int | None = None) -> None:
        """A call proved nothing."""
        for its in self.about(lease):
            its.unanswered(lease, next_probe_ns)

    def probes(self, of: Ask) -> bool:
        """Whether the next such call is a probe."""
        return any(its.freeze is not None for its in self.about(of))

    def about(self, call: Ask | Lease) -> Iterator[Refusals]:
        """Those that hold back such a call."""
        if not self._scopes:
            return
        for operation in {None, call.operation}:
            for object_ in {None, call.object}:
                if (its := self._scopes.get((operation, object_))) is not None:
                    yield its

    def states(self) -> tuple[RefusalState, ...]:
        """Everything, for a snapshot."""
        return tuple(its.snapshot() for its in self._scopes.values())


def _slots(its: Refusals) -> Kind:
    return Kind("slots", its.operation, its.object is not None)
