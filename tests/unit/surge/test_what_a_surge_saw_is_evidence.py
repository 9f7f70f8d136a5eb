"""From the daemon's overview to the lines of the accepted list and the terms of the certificate."""

from typing import Any

import msgspec

from ops.certificate import HOUSE, Weights
from ops.certificate.accepted import Away, Held, Spell, Steered
from ops.surge_evidence import Evidence

SECOND = 1_000_000_000
FLOORS = {"standard": 10, "bulk": 5}


class Clocks:
    """A monotonic clock, and a wall clock that reads 1970-01-01T00:01:40Z when it reads 0."""

    def __init__(self) -> None:
        self.now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return self.now_ns + 100 * SECOND


def evidence() -> tuple[Evidence, Clocks]:
    clocks = Clocks()
    return Evidence(clocks.monotonic_ns, clocks.wall_ns), clocks


def overview(*orders: dict[str, Any], slots: int = 5, **shares: Any) -> dict[str, Any]:
    return {
        "orders": list(orders),
        "shares": {"floors": FLOORS, "weights": {}, "minima": {}, "since": [], **shares},
        "budget": [{"limit": slots, "window_seconds": None}, {"limit": 60, "window_seconds": 60.0}],
    }


def pause(target: str, until: str | None = None) -> dict[str, Any]:
    since = "1970-01-01T00:01:41Z"
    return {"verb": "pause", "target": target, "reason": "why", "since": since, "until": until}


def lines(seen: Evidence) -> list[Spell]:
    """As the certificate reads them."""
    return [msgspec.json.decode(msgspec.json.encode(line), type=Held | Away | Steered) for line in seen.lines()]


def test_a_moment_that_the_daemon_tells_is_put_on_the_clock_of_the_log() -> None:
    seen, clocks = evidence()
    clocks.now_ns = 7 * SECOND
    assert seen.instant("1970-01-01T00:01:45.250Z") == 5_250_000_000


def test_nobody_there_lasts_from_the_last_answer_to_the_next() -> None:
    seen, clocks = evidence()
    clocks.now_ns = 2 * SECOND
    seen.seen(overview())
    clocks.now_ns = 3 * SECOND
    seen.gone()
    seen.gone()
    clocks.now_ns = 5 * SECOND
    seen.seen(overview())
    assert [(type(one), one.from_ns, one.to_ns) for one in lines(seen)] == [(Away, 2 * SECOND, 5 * SECOND)]


def test_a_kill_by_the_one_who_looks_is_known_sharply() -> None:
    seen, clocks = evidence()
    clocks.now_ns = 3 * SECOND
    seen.gone("killed", sharply=True)
    (spell,) = lines(seen)
    assert (spell.from_ns, spell.to_ns, spell.why) == (3 * SECOND, None, "killed")


def test_a_pause_is_held_from_when_it_was_seen_until_its_time_is_up() -> None:
    seen, clocks = evidence()
    until = "1970-01-01T00:01:46Z"
    for second in (2, 4, 8):
        clocks.now_ns = second * SECOND
        seen.seen(overview(pause("tenant:acme", until)) if second < 6 else overview())
    (spell,) = lines(seen)
    assert (spell.tenant, spell.lane, spell.from_ns, spell.to_ns) == ("acme", "", 2 * SECOND, 6 * SECOND)


def test_a_pause_that_was_lifted_is_held_as_long_as_it_was_seen() -> None:
    seen, clocks = evidence()
    for second in (2, 4, 8):
        clocks.now_ns = second * SECOND
        seen.seen(overview(pause("tenant:acme,lane:bulk")) if second < 6 else overview())
    (spell,) = lines(seen)
    assert (spell.tenant, spell.lane, spell.to_ns) == ("acme", "bulk", 4 * SECOND)


def test_a_pause_that_stands_has_no_end() -> None:
    seen, clocks = evidence()
    for second in (2, 4):
        clocks.now_ns = second * SECOND
        seen.seen(overview(pause("erp")))
    (spell,) = lines(seen)
    assert (spell.tenant, spell.lane, spell.account, spell.to_ns) == ("", "", "", None)


def test_an_order_that_the_list_has_no_words_for_is_left_out() -> None:
    seen, _ = evidence()
    seen.seen(overview(pause("operation:post"), pause("queue:erp-poster.bulk.0")))
    assert lines(seen) == []


def test_the_terms_are_what_was_in_force() -> None:
    seen, clocks = evidence()
    seen.seen(overview(slots=52))
    clocks.now_ns = 9 * SECOND
    seen.seen(overview(weights={"acme": 3}, since=["1970-01-01T00:01:48Z"]))
    terms = seen.terms(HOUSE)
    assert terms.floors_percent == FLOORS
    assert terms.weights == [Weights({}), Weights({"acme": 3.0}, 8 * SECOND)]
    assert (terms.transit_calls, terms.turn_rounds, terms.jain_min) == (52, 1.0, 0.9)


def test_minima_allow_twice_the_rounds_as_the_order_promises() -> None:
    seen, _ = evidence()
    seen.seen(overview(minima={"acme": 10}))
    assert seen.terms(HOUSE).turn_rounds == 2.0


def test_without_an_answer_the_terms_are_those_of_the_house() -> None:
    assert evidence()[0].terms(HOUSE) is HOUSE


def test_while_limits_are_changed_nobody_is_called_idle() -> None:
    seen, clocks = evidence()
    clocks.now_ns = 3 * SECOND
    with seen.steering("narrower"):
        clocks.now_ns = 5 * SECOND
    (spell,) = lines(seen)
    assert (type(spell), spell.from_ns, spell.to_ns) == (Steered, 3 * SECOND, 5 * SECOND)
