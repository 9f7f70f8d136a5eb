"""How the waiting work was served: fairness, turns, lanes, idleness; and what of it breaks the terms."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from ops.certificate.accepted import AcceptedList, Away, Held
from ops.certificate.erplog import LOOKUP_OPS, ErpLog
from ops.certificate.fairness import fairness_of
from ops.certificate.freezes import freezes_of, herds, ignored
from ops.certificate.idle import idle_of
from ops.certificate.lanes import Lanes
from ops.certificate.limits import LimitTrack
from ops.certificate.model import NANOSECONDS_PER_SECOND, Check, Example, Service, TenantService, Turn
from ops.certificate.money import check
from ops.certificate.room import Room
from ops.certificate.spans import Counter
from ops.certificate.terms import Terms
from ops.certificate.turns import LaneStory, newcomer_of, weight_of
from ops.certificate.waiting import Waiter, waiters_of

TENANTS_SHOWN = 100


class Story:
    """Everything about the service of one log."""

    def __init__(
        self,
        accepted: AcceptedList,
        log: ErpLog,
        tracks: Sequence[LimitTrack],
        terms: Terms,
        at: Callable[[int], str | None],
    ) -> None:
        """`at`: the wall time of an instant, if it is known."""
        self._accepted = accepted
        self._at = at
        self._log = log
        self._terms = terms
        room = Room(log, tracks, terms, accepted.spells)
        self.waiters = waiters_of(accepted.rows, accepted.spells, log, room, terms)
        restarts = Counter(one.until_ns for one in accepted.spells if isinstance(one, Away))
        self.lanes = Lanes(self.waiters, terms, restarts)
        stories = [LaneStory(lane, self.lanes.of(lane), terms, restarts) for lane in self.lanes.lanes]
        turns = {story.lane: list(story.turns()) for story in stories}
        self.turns = [turn for own in turns.values() for turn in own]
        newcomers = [newcomer_of(story, turns[story.lane]) for story in stories]
        self.service = Service(
            fairness=fairness_of(stories, terms),
            newcomer=max((one for one in newcomers if one), key=lambda turn: turn.behind, default=None),
            worst_turn=max(
                self.turns, key=lambda turn: (turn.overtaken_by - turn.bound_calls, turn.behind), default=None
            ),
            tenants_total=len({one.row.tenant for one in self.waiters}),
            tenants=self._tenants(),
            lanes=self.lanes.service(),
            idle=idle_of(self.waiters, accepted.spells, log, room, terms),
        )

    def _tenants(self) -> list[TenantService]:
        """Those that waited most rounds, then longest."""
        own: dict[str, list[Waiter]] = defaultdict(list)
        for waiter in self.waiters:
            own[waiter.row.tenant].append(waiter)
        rounds: dict[str, float] = defaultdict(float)
        for turn in self.turns:
            rounds[turn.tenant] = max(rounds[turn.tenant], turn.rounds)
        found = [
            TenantService(
                tenant=tenant,
                weight=weight_of(self._terms, tenant, 1 << 62),
                calls=sum(one.started for one in waiters),
                waiting=sum(not one.started for one in waiters),
                longest_seconds=max(one.wait_ns for one in waiters) / NANOSECONDS_PER_SECOND,
                longest_rounds=round(rounds[tenant], 2),
            )
            for tenant, waiters in own.items()
        ]
        return sorted(found, key=lambda one: (-one.longest_rounds, -one.longest_seconds, one.tenant))[:TENANTS_SHOWN]

    def _when(self, instant_ns: int) -> str:
        return self._at(instant_ns) or str(instant_ns)

    def _located(self, examples: Iterable[tuple[int, Example]]) -> Iterator[Example]:
        for from_ns, example in examples:
            detail = f"{example.detail}, from {self._when(from_ns)}"
            yield msgspec.structs.replace(example, detail=detail, line=self._line_at(from_ns))

    def _line_at(self, instant_ns: int) -> int | None:
        """The line of the first call that arrived then or later."""
        arrivals = zip(self._log.arrived_ns, self._log.lines, strict=True)
        return min((one for one in arrivals if one[0] >= instant_ns), default=(0, None))[1]

    # checks ----------------------------------------------------------------------------------------------------

    def checks(self) -> list[Check]:
        """One for each term; those that nothing is held to say what was found."""
        return [self._fair(), self._in_turn(), *self._lane_checks(), self._busy(), *self._held()]

    def _fair(self) -> Check:
        fairness, least = self.service.fairness, self._terms.jain_min
        promise = "tenants that wait share by weight (Jain's index)"
        if fairness is None:
            return _told("fairness", promise, None, _at_least(least), "never two tenants waited side by side")
        worst = f"{fairness.mean:.4f} over {fairness.slices} slices, {fairness.worst:.4f} in the worst"
        where = f"lane {fairness.worst_lane}, from {self._when(fairness.worst_from_ns)}"
        broken = (
            [Example(where, f"index {worst}", self._line_at(fairness.worst_from_ns))]
            if least is not None and fairness.mean < least
            else []
        )
        return _told("fairness", promise, None if least is None else broken, _at_least(least), worst)

    def _in_turn(self) -> Check:
        terms, worst = self._terms, self.service.worst_turn
        bound = ""
        if terms.turn_rounds is not None:
            on_way = f" and {terms.transit_calls} on their way" if terms.transit_calls else ""
            bound = f"{terms.turn_rounds:g} round + {terms.turn_calls} call{on_way}"
        said = _turn_words(worst) if worst else "nobody had to wait"
        broken = (self._late(turn) for turn in self.turns if turn.overtaken_by > turn.bound_calls)
        promise = "the head of a tenant's queue has its turn"
        return _told("rounds", promise, None if terms.turn_rounds is None else broken, bound, said)

    def _late(self, turn: Turn) -> Example:
        ready = f"at most {turn.bound_calls:g} (ready {self._when(turn.ready_ns)})"
        return Example(turn.key, f"{_turn_words(turn)}; {ready}", turn.line)

    def _lane_checks(self) -> Iterator[Check]:
        terms, lanes = self._terms, self.service.lanes
        floors = terms.floors_percent
        shares = [f"{one.lane} {one.share_percent:g}%" for one in lanes if one.share_percent is not None]
        held = None if floors is None else self._located(self.lanes.below_the_floor())
        bound = ", ".join(f"{lane} {percent}%" for lane, percent in (floors or {}).items())
        yield _told("floor", "a waiting lane keeps its floor", held, bound, ", ".join(shares) or "no lane had to wait")
        strict = None if floors is None else self._located(self.lanes.not_strict())
        said = [f"{one.lane} {one.lower_calls} of {one.spell_calls}" for one in lanes if one.spell_calls]
        yield _told("urgency", "no lower lane goes first, floors aside", strict, "", ", ".join(said))
        waits = terms.lane_wait_max_seconds
        bound = ", ".join(f"{lane} {seconds:g} s" for lane, seconds in waits.items())
        said = [f"{one.lane} {one.longest_seconds:.3f} s" for one in lanes]
        yield _told(
            "lane-wait", "no lane waits too long", self.lanes.too_long() if waits else None, bound, ", ".join(said)
        )

    def _busy(self) -> Check:
        idle, most = self.service.idle, self._terms.idle_percent_max
        bound = "" if most is None else f"at most {most:g}%"
        promise = "no idleness while work waited and limits had room"
        if idle is None:
            return _told("work-conservation", promise, None, bound, "nothing had to wait")
        said = f"{idle.percent:g}% ({idle.seconds:.3f} of {idle.waited_seconds:.3f} s)"
        where = f"longest {idle.longest_seconds:.3f} s from {self._when(idle.longest_from_ns or 0)}"
        broken = (
            [Example("idle", f"{said}, {where}", self._line_at(idle.longest_from_ns or 0))]
            if most is not None and idle.percent > most
            else []
        )
        return _told("work-conservation", promise, None if most is None else broken, bound, said)

    def _held(self) -> Iterator[Check]:
        holds = [spell for spell in self._accepted.spells if isinstance(spell, Held)]
        if holds:
            said = f"{len(holds)} holds"
            yield _told("held", "nothing of what is held starts", self._started_held(), "0 calls", said)

    def _started_held(self) -> Iterator[Example]:
        rows = {row.key: row for row in self._accepted.rows}
        holds = [spell for spell in self._accepted.spells if isinstance(spell, Held)]
        for index, subject in enumerate(self._log.subjects):
            row = rows.get(subject)
            if row is None or self._log.op(index) in LOOKUP_OPS:
                continue
            for spell in holds:
                if (
                    spell.covers(row)
                    and spell.from_ns + self._terms.reaction_ns < self._log.arrived_ns[index] < spell.until_ns
                ):
                    yield Example(
                        row.key, f"line {self._log.lines[index]} arrived while held: {spell.why or 'no reason'}"
                    )


def refusal_checks(log: ErpLog, terms: Terms) -> list[Check]:
    """Whether refusals were respected; from the log alone. Nothing to say if there was none."""
    freezes = freezes_of(log)
    if not freezes:
        return []
    said = f"{len(freezes)} times asked"
    held = terms.freezes
    return [
        _told(
            "frozen",
            "the ERP is left alone for as long as it asks",
            ignored(log, terms) if held else None,
            "0 calls",
            said,
        ),
        _told("probe", "one call alone comes back first", herds(log) if held else None, "0 beside it", said),
    ]


def _told(name: str, promise: str, broken: Iterable[Example] | None, bound: str, worst: str) -> Check:
    return msgspec.structs.replace(check(name, promise, broken), bound=bound, worst=worst)


def _at_least(least: float | None) -> str:
    return "" if least is None else f"at least {least:g}"


def _turn_words(turn: Turn) -> str:
    ended = "started" if turn.started_ns is not None else "still waits"
    return (
        f"{turn.key} of {turn.tenant} ({turn.lane}), behind {turn.behind}: {ended} after {turn.overtaken_by} calls of "
        f"others; a round was {turn.round_calls:g}"
    )
