"""What-if clauses: read as people write them, refused with an example, and changing only what they say."""

from datetime import UTC, datetime
from math import inf

import pytest

from policies.budget import Budget, ConcurrencyLimit, RateLimit
from policies.forecast import forecast
from policies.pace import Recent
from policies.stages import Pause, Situation
from policies.what_if import Places, WhatIf, apply, parse

SECOND = 1_000_000_000
NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
PLACES = Places("erp", "erp-poster")


def read(text: str) -> WhatIf:
    return parse(text, NOW, PLACES)


@pytest.mark.parametrize(
    ("text", "pause"),
    [
        ("pause erp-poster until 14:00", Pause(5_400.0)),
        ("hold erp for 30 min", Pause(1_800.0)),
        ("pause all", Pause(inf)),
        ("pause lane:bulk until 12:00", Pause(84_600.0, lane="bulk")),
        ("pause tenant:acme until 2026-03-02T12:30Z", Pause(86_400.0, tenant="acme")),
        ("pause tenant:acme until 14:00+01:00", Pause(1_800.0, tenant="acme")),
        ("pause lane:bulk for 1.5 h", Pause(5_400.0, lane="bulk")),
    ],
)
def test_a_pause_is_read_with_its_target_and_its_end(text: str, pause: Pause) -> None:
    assert read(text) == WhatIf(pauses=(pause,))


def test_several_clauses_hold_together() -> None:
    found = read("rate 5/s; 2 concurrent and arrivals x2 and calls take 300 ms")
    assert found.limits == (RateLimit(5, SECOND, "5/1s"), ConcurrencyLimit(2))
    assert (found.arrivals_factor, found.service_seconds) == (2.0, 0.3)
    assert read("arrivals stop").arrivals_factor == 0
    assert read("") == WhatIf()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("make it fast", "cannot be read; write it as one of"),
        ("pause mars until 14:00", "expected one of all, erp, erp-poster, lane:urgent"),
        ("pause lane:mars", "mars is not a target"),
        ("pause erp until 25:00", "no hour 25"),
        ("pause erp until noon", "noon is no time"),
        ("pause erp until 2026-03-01T12:00Z", "is past"),
        ("pause erp until 2026-03-01T14:00", "is no time"),
        ("pause erp for ever", "no length of time"),
        ("rate 5/lightyear", "5/lightyear"),
        ("calls take 0 s", "no length of time"),
        ("; ".join(["rate 5/s"] * 21), "at most 20"),
    ],
)
def test_what_cannot_be_read_is_shown_with_what_is_expected(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read(text)


WAITING = {("standard", "a"): 100, ("bulk", "b"): 100}
BUDGET = Budget((RateLimit(10, SECOND, "10/1s"), ConcurrencyLimit(5)))


def likely(text: str, **more: object) -> float | None:
    situation = Situation(waiting=WAITING, recent=Recent(0.05, 0.0, 100.0), **more)  # type: ignore[arg-type]
    situation, budget = apply(read(text), situation, BUDGET, 0)
    return forecast(situation, budget, 0).total.likely


def test_another_rate_takes_the_place_of_the_rates() -> None:
    assert likely("") == pytest.approx(20, rel=0.05)
    assert likely("rate 5/s") == pytest.approx(40, rel=0.05)
    assert likely("rate 20/s") == pytest.approx(10, rel=0.1)
    assert BUDGET.limits[0].limit == 10


def test_a_pause_costs_its_time_and_its_end_gives_it_back() -> None:
    assert likely("pause erp-poster until 12:31") == pytest.approx(80, rel=0.05)
    standing = (Pause(inf, lane="bulk"),)
    assert likely("", pauses=standing) is None
    assert likely("resume lane:bulk", pauses=standing) == pytest.approx(20, rel=0.05)


def test_longer_calls_take_longer() -> None:
    assert likely("calls take 5 s") == pytest.approx(200, rel=0.05)
