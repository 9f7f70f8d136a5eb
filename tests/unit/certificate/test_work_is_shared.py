"""Turns, fairness, lanes, idleness, holds and refusals: what is stated, and what breaks the terms."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.certificate import AcceptedRow, Terms, Weights, WrongUse, read_terms
from ops.certificate.accepted import Away
from ops.certificate.erplog import ErpLog
from ops.certificate.fairness import jain
from ops.certificate.limits import LimitTrack
from ops.certificate.model import Certificate, Check, Service, Turn
from ops.certificate.room import Room
from ops.certificate.spans import Span, union, without
from ops.certificate.turns import LaneStory
from ops.certificate.waiting import Waiter
from tests.unit.certificate.logs import SECOND, Certify, accepted, header, post

TENTH = SECOND // 10
WIDE = ({"kind": "rate", "limit": 1000, "seconds": 1},)
TIGHT = ({"kind": "rate", "limit": 10, "seconds": 1},)


def calls(order: list[int], step_ns: int = TENTH, first_ns: int = TENTH) -> list[dict[str, Any]]:
    """One post for each message of `order`, evenly; `seq` is the place in the log."""
    return [
        post(1 + place, first_ns + place * step_ns, source_document=f"case-{number}", account=f"acc-{number}")
        for place, number in enumerate(order)
    ]


def message(number: int, tenant: str = "t1", lane: str = "standard", **more: Any) -> dict[str, Any]:
    row = accepted(number, tenant=tenant, lane=lane, account=f"acc-{number}", reference=None)
    return {**row, **more}


def check_of(certificate: Certificate, name: str) -> Check:
    return next(one for one in certificate.checks if one.name == name)


def service_of(certificate: Certificate) -> Service:
    assert certificate.service is not None
    return certificate.service


def newcomer_of(certificate: Certificate) -> Turn:
    turn = service_of(certificate).newcomer
    assert turn is not None
    return turn


# turns ----------------------------------------------------------------------------------------------------------


def test_a_new_message_behind_a_long_queue_starts_within_one_round_and_one_call(certified: Certify) -> None:
    rows = [message(number, "big") for number in range(1, 41)] + [message(41, "small", accepted_ns=SECOND + 1)]
    order = [*range(1, 12), 41, *range(12, 41)]
    certificate = certified([header(WIDE), *calls(order)], rows, terms=Terms(turn_rounds=1.0))
    turn = newcomer_of(certificate)
    assert (turn.key, turn.tenant, turn.overtaken_by, turn.round_calls) == ("case-41", "small", 1, 1)
    assert turn.behind == 30
    assert check_of(certificate, "rounds").holds is True


def test_a_new_message_at_the_end_of_the_queue_breaks_it_and_its_line_is_told(certified: Certify) -> None:
    rows = [message(number, "big") for number in range(1, 41)] + [message(41, "small", accepted_ns=SECOND + 1)]
    certificate = certified([header(WIDE), *calls(list(range(1, 42)))], rows, terms=Terms(turn_rounds=1.0))
    broken = check_of(certificate, "rounds")
    assert broken.holds is False
    assert (broken.examples[0].key, broken.examples[0].line) == ("case-41", 42)
    assert certificate.verdict == "FAIL"


def test_without_terms_the_same_is_stated_and_fails_nothing(certified: Certify) -> None:
    rows = [message(number, "big") for number in range(1, 41)] + [message(41, "small", accepted_ns=SECOND + 1)]
    certificate = certified([header(WIDE), *calls(list(range(1, 42)))], rows)
    assert (certificate.verdict, check_of(certificate, "rounds").holds) == ("PASS", None)
    assert "case-41" in check_of(certificate, "rounds").worst


def test_a_tenant_of_more_weight_has_more_turns_in_a_round(certified: Certify) -> None:
    rows = [message(number, "heavy" if number % 4 else "light") for number in range(1, 41)]
    heavy = [number for number in range(1, 41) if number % 4]
    order = [n for place in range(10) for n in (*heavy[3 * place : 3 * place + 3], 4 * (place + 1))]
    fair = Terms(turn_rounds=1.0, turn_calls=0, weights=[Weights({"heavy": 3.0})], jain_min=0.99)
    assert certified([header(WIDE), *calls(order)], rows, terms=fair).verdict == "PASS"
    equal = Terms(turn_rounds=1.0, turn_calls=0)
    assert check_of(certified([header(WIDE), *calls(order)], rows, terms=equal), "rounds").holds is False


def test_what_never_reached_the_erp_waits_until_the_end_of_the_log(certified: Certify) -> None:
    rows = [message(number, "big") for number in range(1, 31)] + [message(31, "small", outcome="pending")]
    certificate = certified([header(WIDE), *calls(list(range(1, 31)))], rows, terms=Terms(turn_rounds=1.0))
    assert "still waits after 29 calls of others" in check_of(certificate, "rounds").examples[0].detail
    assert next(one for one in service_of(certificate).tenants if one.tenant == "small").waiting == 1


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=30))
def test_the_calls_before_each_turn_are_those_that_a_naive_count_finds(order: list[str]) -> None:
    waiters = [
        Waiter(msgspec.convert(message(place, tenant), AcceptedRow), 0, 10 * (place + 1), started=True)
        for place, tenant in enumerate(order)
    ]
    for turn in LaneStory("standard", waiters, Terms()).turns():
        place = int(turn.key.removeprefix("case-"))
        before = [other for other in range(place) if order[other] == turn.tenant]
        assert turn.overtaken_by == place - (before[-1] + 1 if before else 0)
        still_waiting = {other for other in order[turn.ready_ns // 10 :] if other != turn.tenant}
        assert turn.round_calls == len(still_waiting)


# fairness -------------------------------------------------------------------------------------------------------


def test_jains_index_is_one_for_equal_shares_and_one_in_n_for_one_who_has_all() -> None:
    assert jain([3, 3, 3]) == 1
    assert jain([9, 0, 0]) == pytest.approx(1 / 3)
    assert jain([0, 0]) == 1


@pytest.mark.parametrize(("order", "least"), [("in turn", 1.0), ("one after the other", 0.5)])
def test_the_index_over_tenants_that_wait_side_by_side(certified: Certify, order: str, least: float) -> None:
    rows = [message(number, f"t{number % 2}") for number in range(1, 201)]
    numbers = sorted(range(1, 201), key=lambda n: n % 2) if order == "one after the other" else list(range(1, 201))
    fairness = service_of(certified([header(WIDE), *calls(numbers, 1_000_000)], rows)).fairness
    assert fairness is not None
    assert fairness.worst == pytest.approx(least, abs=0.01)


# lanes ----------------------------------------------------------------------------------------------------------

FLOORS = Terms(floors_percent={"standard": 10, "bulk": 5})


def mixed(lanes: list[str]) -> list[dict[str, Any]]:
    return [message(number, "t1", lane) for number, lane in enumerate(lanes, 1)]


def test_a_lane_that_gets_every_tenth_call_keeps_a_floor_of_ten_percent(certified: Certify) -> None:
    lanes = (["urgent"] * 9 + ["standard"]) * 6
    certificate = certified([header(WIDE), *calls(list(range(1, 61)))], mixed(lanes), terms=FLOORS)
    assert check_of(certificate, "floor").holds is True
    assert check_of(certificate, "urgency").holds is True
    standard = next(one for one in service_of(certificate).lanes if one.lane == "standard")
    assert (standard.longest_run, standard.share_percent) == (9, 10.0)


def test_a_lane_that_waits_for_eleven_others_is_below_its_floor(certified: Certify) -> None:
    lanes = ["urgent"] * 11 + ["standard"]
    certificate = certified([header(WIDE), *calls(list(range(1, 13)))], mixed(lanes), terms=FLOORS)
    assert check_of(certificate, "floor").holds is False
    assert check_of(certificate, "floor").examples[0].detail == (
        "11 calls of other lanes in a row while it waited, from 2026-03-02T08:00:00Z"
    )


def test_a_lower_lane_that_goes_first_breaks_urgency(certified: Certify) -> None:
    lanes = ["bulk"] * 20 + ["urgent"]
    certificate = certified([header(WIDE), *calls(list(range(1, 22)))], mixed(lanes), terms=FLOORS)
    assert check_of(certificate, "urgency").holds is False
    assert check_of(certificate, "floor").holds is True


def test_a_lane_may_not_wait_longer_than_its_terms(certified: Certify) -> None:
    rows = [message(1, lane="urgent")]
    terms = Terms(lane_wait_max_seconds={"urgent": 1.0})
    certificate = certified([header(WIDE), *calls([1], first_ns=2 * SECOND)], rows, terms=terms)
    assert check_of(certificate, "lane-wait").examples[0].detail == "waited 2.000 s in lane urgent, at most 1 s allowed"


# idleness -------------------------------------------------------------------------------------------------------

BUSY = Terms(idle_percent_max=5.0, reaction_seconds=0.01)


def test_a_full_limit_is_not_idleness(certified: Certify) -> None:
    rows = [message(number) for number in range(1, 31)]
    log = [post(1 + n, n // 10 * SECOND + n % 10, source_document=f"case-{n + 1}") for n in range(30)]
    assert service_of(certified([header(TIGHT), *log], rows, terms=BUSY)).idle is not None
    assert check_of(certified([header(TIGHT), *log], rows, terms=BUSY), "work-conservation").holds is True


def test_half_of_the_pace_while_work_waits_is_idleness(certified: Certify) -> None:
    rows = [message(number) for number in range(1, 31)]
    certificate = certified([header(TIGHT), *calls(list(range(1, 31)), SECOND // 5)], rows, terms=BUSY)
    assert check_of(certificate, "work-conservation").holds is False


def test_nothing_to_do_is_not_idleness(certified: Certify) -> None:
    rows = [message(number, accepted_ns=number * SECOND) for number in range(1, 6)]
    log = [post(n, n * SECOND + 1000, source_document=f"case-{n}") for n in range(1, 6)]
    assert check_of(certified([header(TIGHT), *log], rows, terms=BUSY), "work-conservation").holds is True


def test_time_in_which_nobody_was_there_is_left_out(certified: Certify) -> None:
    rows: list[dict[str, Any]] = [message(number) for number in range(1, 3)]
    rows.append({"event": "away", "from_ns": 0, "to_ns": 10 * SECOND, "why": "the daemon was killed"})
    log = calls([1, 2], 1000, first_ns=10 * SECOND)
    assert check_of(certified([header(TIGHT), *log], rows, terms=BUSY), "work-conservation").holds is True


SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda s: Span(s[0], s[0] + s[1])), max_size=8)


@given(SPANS, SPANS)
def test_time_is_taken_away_as_a_naive_look_takes_it(some: list[Span], taken: list[Span]) -> None:
    def inside(spans: list[Span], instant: int) -> bool:
        return any(span.start_ns <= instant < span.end_ns for span in spans)

    left = without(union(some), union(taken))
    for instant in range(40):
        assert inside(left, instant) == (inside(some, instant) and not inside(taken, instant))


# holds and refusals ---------------------------------------------------------------------------------------------


def test_a_call_of_what_is_held_is_found(certified: Certify) -> None:
    rows: list[dict[str, Any]] = [message(1, "acme"), message(2, "other")]
    rows.append({"event": "held", "from_ns": 0, "to_ns": 10 * SECOND, "tenant": "acme", "why": "an audit"})
    found = check_of(certified([header(WIDE), *calls([1, 2], SECOND, first_ns=SECOND)], rows), "held")
    assert (found.holds, found.count, found.examples[0].key) == (False, 1, "case-1")


def test_what_was_held_did_not_wait_for_the_gate(certified: Certify) -> None:
    rows: list[dict[str, Any]] = [message(1, "acme"), *(message(n, "big") for n in range(2, 22))]
    rows.append({"event": "held", "from_ns": 0, "to_ns": 3 * SECOND, "tenant": "acme"})
    log = [*calls(list(range(2, 22))), post(21, 3 * SECOND + 5, source_document="case-1")]
    assert check_of(certified([header(WIDE), *log], rows, terms=Terms(turn_rounds=1.0)), "rounds").holds is True


def refused(seq: int, arrived_ns: int, retry_after: str, **more: Any) -> dict[str, Any]:
    return post(
        seq, arrived_ns, status=429, verdict="refused", document=None, code="rate", retry_after=retry_after, **more
    )


STAY_AWAY = Terms(freezes=True, reaction_seconds=0.0)


@pytest.mark.parametrize("told", ["3", "Mon, 02 Mar 2026 08:00:04 GMT"])
def test_the_erp_is_left_alone_as_long_as_it_asks(certified: Certify, told: str) -> None:
    def after(seconds: float) -> Check:
        log = [header(WIDE), refused(1, SECOND, told), post(2, SECOND + round(seconds * SECOND))]
        return check_of(certified(log, terms=STAY_AWAY), "frozen")

    assert after(3).holds is True
    early = after(2.9)
    assert (early.holds, early.examples[0].line) == (False, 3)
    assert early.examples[0].detail == "arrived 0.100 s before the time told at line 2 was over"


def test_a_refusal_of_one_object_holds_only_that_object(certified: Certify) -> None:
    log = [header(WIDE), refused(1, SECOND, "3", rule="object", account="a"), post(2, 2 * SECOND, account="b")]
    assert check_of(certified(log, terms=STAY_AWAY), "frozen").holds is True
    log.append(post(3, 3 * SECOND, account="a"))
    assert check_of(certified(log, terms=STAY_AWAY), "frozen").count == 1


def test_one_call_alone_comes_back_first(certified: Certify) -> None:
    probe = post(2, 5 * SECOND, 6 * SECOND)
    alone = [header(WIDE), refused(1, SECOND, "3"), probe, post(3, 6 * SECOND)]
    assert check_of(certified(alone, terms=STAY_AWAY), "probe").holds is True
    herd = [header(WIDE), refused(1, SECOND, "3"), probe, post(3, 6 * SECOND - 1)]
    assert check_of(certified(herd, terms=STAY_AWAY), "probe").holds is False


# terms ----------------------------------------------------------------------------------------------------------


def test_terms_are_read_from_a_file_and_checked(tmp_path: Any) -> None:
    path = tmp_path / "terms.json"
    path.write_bytes(msgspec.json.encode(Terms(jain_min=0.8, weights=[Weights({"acme": 3.0})])))
    assert read_terms(str(path)).jain_min == 0.8
    for wrong in ('{"jain":1}', '{"floors_percent":{"bulk":0}}', '{"weights":[{"weights":{"acme":0}}]}'):
        path.write_text(wrong)
        with pytest.raises(WrongUse, match=r"terms\.json"):
            read_terms(str(path))


# room -----------------------------------------------------------------------------------------------------------

CALLS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), min_size=1, max_size=20).map(sorted)


@given(CALLS, st.integers(1, 4), st.integers(1, 15))
def test_a_limit_is_full_where_one_more_call_would_break_it(
    calls: list[tuple[int, int]], limit: int, window_ns: int
) -> None:
    log = ErpLog()
    for start, length in calls:
        log.arrived_ns.append(start)
        log.ended_ns.append(start + length)
        log.lost.append(0)
        log.ops.append(0)
        log.accounts.append("")
    log.op_names.append("post")
    rate, slots = LimitTrack("rate", window_ns / SECOND), LimitTrack("concurrent", None)
    for track in (rate, slots):
        track.change(-1, limit)
    full = {track.kind: Room(log, [track], Terms()).full for track in (rate, slots)}
    for now in range(60):
        arrived = sum(now - window_ns < start <= now for start, _ in calls)
        running = sum(start <= now < start + length for start, length in calls)
        assert any(span.start_ns <= now < span.end_ns for span in full["rate"]) == (arrived >= limit)
        assert any(span.start_ns <= now < span.end_ns for span in full["concurrent"]) == (running >= limit)


def test_what_was_in_flight_when_its_caller_was_killed_counts_until_it_is_back_and_may_think_it_over() -> None:
    log = ErpLog()
    log.op_names.append("post")
    for start_ns, end_ns in ((0, SECOND), (2 * SECOND, 3 * SECOND)):
        log.arrived_ns.append(start_ns)
        log.ended_ns.append(end_ns)
        log.lost.append(0)
        log.ops.append(0)
        log.accounts.append("")
    slots = LimitTrack("concurrent", None)
    slots.change(-1, 1)
    killed = Away(5 * SECOND // 2, 6 * SECOND)
    full = Room(log, [slots], Terms(lost_seconds=2.0), [killed]).full
    assert [(span.start_ns, span.end_ns) for span in full] == [(0, SECOND), (2 * SECOND, 8 * SECOND)]
