"""The rate, slot and execution scans: exact, over every window, in agreement with a brute-force look."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.certificate.limits import LimitTrack, parse_limit
from ops.certificate.model import Certificate, LimitFinding
from ops.certificate.windows import worst_concurrency, worst_execution, worst_rate
from tests.unit.certificate.logs import LIMITS, SECOND, Certify, arrival, header, post

INSTANTS = st.lists(st.integers(0, 60), min_size=1, max_size=40).map(sorted)
CALLS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 15)), min_size=1, max_size=25)


def track(kind: Any, limit: int, window_ns: int | None = None) -> LimitTrack:
    made = LimitTrack(kind, None if window_ns is None else window_ns / SECOND)
    made.change(-1, limit)
    return made


def finding(certificate: Certificate, kind: str) -> LimitFinding:
    return next(one for one in certificate.limits if one.kind == kind)


@given(INSTANTS, st.integers(1, 20), st.integers(1, 8))
def test_the_worst_window_is_what_a_brute_force_look_finds(arrivals: list[int], window_ns: int, limit: int) -> None:
    counts = [sum(start <= other < start + window_ns for other in arrivals) for start in range(-20, 62)]
    starts = [sum(a <= other < a + window_ns for other in arrivals) for a in sorted(set(arrivals))]
    worst = worst_rate(arrivals, track("rate", limit, window_ns))
    assert worst.worst == max(counts)
    assert worst.violations == sum(count > limit for count in starts)
    assert starts[sorted(set(arrivals)).index(worst.start_ns or 0)] == worst.worst


@given(CALLS, st.integers(1, 8))
def test_the_worst_concurrency_is_what_a_brute_force_look_finds(calls: list[tuple[int, int]], limit: int) -> None:
    spans = [(start, start + length) for start, length in calls]
    worst = worst_concurrency(
        sorted(start for start, _ in spans), sorted(end for _, end in spans), track("concurrent", limit)
    )
    at_once = {instant: sum(start <= instant <= end for start, end in spans) for instant in range(60)}
    assert worst.worst == max(at_once.values())
    assert worst.violations == sum(at_once[start] > limit for start in {start for start, _ in spans})


@given(CALLS, st.integers(1, 20))
def test_the_worst_execution_window_is_what_a_brute_force_look_finds(
    calls: list[tuple[int, int]], window_ns: int
) -> None:
    spans = [(start, start + length) for start, length in calls]
    worst = worst_execution(
        sorted(start for start, _ in spans), sorted(end for _, end in spans), track("execution", 1, window_ns)
    )

    def inside(edge: int) -> int:
        return sum(max(0, min(end, edge + window_ns) - max(start, edge)) for start, end in spans)

    assert worst.worst == max(inside(edge) for edge in range(-21, 60))


def test_calls_that_use_every_window_to_the_brim_pass(certified: Certify) -> None:
    bursts = [post(1 + i, (i // 10) * SECOND + i % 10, key=None) for i in range(40)]
    certificate = certified([header(), *bursts], limits=None)
    rate = finding(certificate, "rate")
    assert (certificate.verdict, rate.worst, rate.margin, rate.over) == ("PASS", 10, 0, False)
    assert rate.used_percent == 100


def test_one_nanosecond_too_early_is_over(certified: Certify) -> None:
    calls = [post(1 + i, i) for i in range(10)] + [post(11, SECOND - 1)]
    rate = finding(certified([header(), *calls]), "rate")
    assert (rate.worst, rate.margin, rate.over) == (11, -1, True)


def test_a_call_exactly_one_window_later_is_not_in_the_window(certified: Certify) -> None:
    calls = [post(1 + i, i) for i in range(10)] + [post(11, SECOND)]
    assert certified([header(), *calls]).verdict == "PASS"


def test_traffic_of_a_leaky_bucket_fails(certified: Certify) -> None:
    """A bucket of 10 that refills 10 a second lets a burst through and goes on at full rate."""
    burst = [post(1 + i, i) for i in range(10)]
    refill = [post(11 + i, (i + 1) * SECOND // 10) for i in range(30)]
    certificate = certified([header(), *burst, *refill])
    assert certificate.verdict == "FAIL"
    assert finding(certificate, "rate").worst == 19


def test_traffic_of_a_fixed_window_fails(certified: Certify) -> None:
    """A counter that is reset each second allows the end of one second and the start of the next."""
    late = [post(1 + i, SECOND - 100 + i) for i in range(10)]
    early = [post(11 + i, SECOND + i) for i in range(10)]
    certificate = certified([header(), *late, *early])
    assert certificate.verdict == "FAIL"
    assert finding(certificate, "rate").worst == 20
    assert "10 calls in any 1 s: 20 at worst, from 2026-03-02T08:00:00.999999Z" in certificate.reasons[0]


def test_two_daemons_that_each_keep_the_limit_fail_together(certified: Certify) -> None:
    calls = [post(1 + i, (i // 2) * SECOND // 10) for i in range(40)]
    assert finding(certified([header(), *calls]), "rate").worst == 20


def test_a_refused_call_and_a_look_up_count_like_any_other(certified: Certify) -> None:
    calls = [post(1 + i, i) for i in range(9)]
    refused = post(10, 20, status=429, verdict="refused", code="rate.exceeded", document=None)
    look_up = post(11, 30, op="find", verdict="absent", document=None, status=200)
    certificate = certified([header(), *calls, refused, look_up])
    assert finding(certificate, "rate").worst == 11
    assert (certificate.calls.refused_429, certificate.calls.refused_codes) == (1, {"rate.exceeded": 1})


def test_an_arrival_without_an_end_counts_in_the_window(certified: Certify) -> None:
    calls = [post(1 + i, i) for i in range(10)]
    certificate = certified([header(), *calls, arrival(11, 50)])
    assert finding(certificate, "rate").worst == 11
    assert certificate.calls.unfinished == 1


def test_six_calls_at_once_fail_a_limit_of_five(certified: Certify) -> None:
    calls = [post(1 + i, i * 1000, SECOND) for i in range(6)]
    slots = finding(certified([header(), *calls]), "concurrent")
    assert (slots.worst, slots.margin, slots.over) == (6, -1, True)
    assert slots.where is not None
    assert [call.seq for call in slots.where.calls] == [1, 2, 3, 4, 5, 6]


def test_a_forgotten_slot_fails_though_the_rate_is_kept(certified: Certify) -> None:
    """One long call that the caller gave up on still runs at the ERP."""
    given_up = [arrival(1, 0), *(post(2 + i, SECOND * (1 + i), SECOND * (1 + i) + 9) for i in range(3))]
    others = [post(5 + i, 5 * SECOND + i, 6 * SECOND) for i in range(5)]
    end = post(1, 0, 60 * SECOND, answer="lost", status=None)
    certificate = certified([header(), *given_up, *others, end])
    assert not finding(certificate, "rate").over
    assert finding(certificate, "concurrent").worst == 6


def test_a_call_in_progress_at_a_restart_holds_its_slot_until_the_restart_and_no_longer(
    certified: Certify,
) -> None:
    before = [arrival(1, 0), post(2, 2 * SECOND)]
    after = [post(3 + i, 3 * SECOND + i, 4 * SECOND) for i in range(5)]
    certificate = certified([header(), *before, header(), *after])
    assert finding(certificate, "concurrent").worst == 5
    assert certificate.sources.restarts == 1


def test_a_call_without_an_end_holds_its_slot_while_the_erp_lives(certified: Certify) -> None:
    others = [post(2 + i, SECOND + i, 2 * SECOND) for i in range(5)]
    assert finding(certified([header(), arrival(1, 0), *others]), "concurrent").worst == 6


def test_a_window_is_not_forgotten_at_a_restart(certified: Certify) -> None:
    before = [post(1 + i, i) for i in range(10)]
    after = [post(11 + i, SECOND // 2 + i) for i in range(10)]
    assert finding(certified([header(), *before, header(), *after]), "rate").worst == 20


def test_after_a_limit_is_lowered_windows_are_held_to_the_lower_one(certified: Certify) -> None:
    lower = [{"kind": "rate", "limit": 5, "seconds": 1}, LIMITS[1]]
    calls = [post(1 + i, i) for i in range(10)]
    change = {"event": "limits", "at_ns": 2 * SECOND, "limits": lower}
    kept = [post(11 + i, 3 * SECOND + i) for i in range(5)]
    assert certified([header(), *calls, change, *kept]).verdict == "PASS"
    broken = [*kept, post(16, 3 * SECOND + 10)]
    rate = finding(certified([header(), *calls, change, *broken]), "rate")
    assert (rate.limit, rate.worst, rate.over) == (5, 6, True)


def test_execution_time_is_counted_when_the_profile_limits_it(certified: Certify) -> None:
    limit = {"kind": "execution", "limit": 3, "seconds": 10}
    calls = [post(1 + i, i * SECOND, i * SECOND + 2 * SECOND) for i in range(2)]
    execution = finding(certified([header([limit]), *calls]), "execution")
    assert (execution.worst, execution.margin, execution.over) == (4.0, -1.0, True)


def test_limits_given_by_hand_replace_those_of_the_header(certified: Certify) -> None:
    calls = [post(1 + i, i) for i in range(3)]
    assert certified([header(), *calls], profile="small").verdict == "PASS"
    assert certified([header(), *calls], limits=[parse_limit("2/1s")]).verdict == "FAIL"


@pytest.mark.parametrize("calls", [0, 1])
def test_an_empty_log_proves_nothing(certified: Certify, calls: int) -> None:
    certificate = certified([header(), *[post(1, 0)][:calls]])
    assert certificate.verdict == ("PASS" if calls else "FAIL")


def test_a_limit_of_one_operation_is_held_against_its_calls_alone(certified: Certify) -> None:
    calls = [post(1 + i, i) for i in range(3)] + [post(4 + i, 10 + i, op="other") for i in range(5)]
    limits = [{"kind": "rate", "limit": limit, "seconds": 1, "op": "post"} for limit in (3, 2)]
    assert certified([header(limits[:1]), *calls]).verdict == "PASS"
    over = finding(certified([header(limits), *calls]), "rate")
    assert (over.worst, over.limit, over.name, over.over) == (3, 2, "2 post calls in any 1 s", True)


def test_a_limit_per_object_is_held_against_each_account(certified: Certify) -> None:
    limit = {"kind": "rate", "limit": 2, "seconds": 1, "per": "object"}
    spread = [post(1 + i, i, account=f"acc-{i // 2}") for i in range(8)]
    assert certified([header([limit]), *spread]).verdict == "PASS"
    both = certified([header([limit]), *spread, post(9, 9, account="acc-1"), post(10, 10, account="acc-3")])
    over = finding(both, "rate")
    assert (over.worst, over.violations, over.name) == (3, 2, "2 calls in any 1 s for each object")
    assert over.where is not None
    assert [call.seq for call in over.where.calls] == [3, 4, 9]


def test_calls_at_the_same_time_and_execution_time_are_held_per_object_too(certified: Certify) -> None:
    slots = {"kind": "concurrent", "limit": 1, "per": "object"}
    time = {"kind": "execution", "limit": 2, "seconds": 10, "op": "post", "per": "object"}
    calls = [post(1, 0, 2 * SECOND, account="A"), post(2, SECOND, 3 * SECOND, account="B")]
    assert certified([header([slots, time]), *calls]).verdict == "PASS"
    more = certified([header([slots, time]), *calls, post(3, 2 * SECOND, 3 * SECOND, account="A")])
    assert [one.over for one in more.limits] == [True, True]


def test_a_limit_per_object_that_nobody_met_holds(certified: Certify) -> None:
    limit = {"kind": "rate", "limit": 1, "seconds": 1, "per": "object"}
    found = finding(
        certified(
            [header([limit]), post(1, 0, account=None, verdict="failed"), post(2, 1, account=None, verdict="failed")]
        ),
        "rate",
    )
    assert (found.worst, found.over) == (0, False)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("post: 300/min", ("rate", 300, 60, "post", None)),
        ("30/10min per object", ("rate", 30, 600, None, "object")),
        ("100000/month", ("rate", 100_000, 31 * 86_400, None, None)),
        ("find: 1 concurrent per object", ("concurrent", 1, None, "find", "object")),
    ],
)
def test_what_a_limit_counts_is_said_in_its_words(text: str, told: tuple[Any, ...]) -> None:
    limit = parse_limit(text)
    assert (limit.kind, limit.limit, limit.seconds, limit.op, limit.per) == told
