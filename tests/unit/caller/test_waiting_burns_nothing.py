"""Waiting is a state: what the ERP would not take costs no attempt, and a failing ERP is not hammered."""

from itertools import pairwise
from pathlib import Path

import pytest

from actors.adapters.port import Failed
from broker.store.rows import Call
from policies.recoverability import FailureClass
from tests.unit.caller.caller_house import CallerHouse, caller_house
from tests.unit.caller.memory_erp import BLOCKED, CLOSED, FINE, FORBIDDEN, THROTTLED, UNAVAILABLE, UNREACHABLE, Plan

pytestmark = pytest.mark.anyio
SECOND_NS = 1_000_000_000


class Weather:
    """What every call meets, until a test changes it."""

    def __init__(self, plan: Plan) -> None:
        self.now = plan

    def __call__(self, kind: str, call: Call) -> Plan:
        return self.now


async def attempts(house: CallerHouse, intents: list[str]) -> set[tuple[int, int]]:
    """(attempts, sent) of the calls."""
    calls = [await house.call(intent) for intent in intents]
    return {(call.attempts, call.sent) for call in calls}


async def test_a_call_that_never_left_burns_nothing(tmp_path: Path) -> None:
    weather = Weather(UNREACHABLE)
    async with caller_house(tmp_path, ("5/60s",), plan=weather) as house:
        intents = await house.request(5)
        await house.advance(300)
        assert house.erp.log == []
        assert await attempts(house, intents) == {(0, 0)}
        weather.now = FINE
        await house.advance(330)  # the breaker looks again after at most five minutes
        assert len(house.erp.documents) == 5, "what never left must not count against the limit either"


async def test_a_throttled_call_burns_no_attempt_and_freezes_the_gate(tmp_path: Path) -> None:
    weather = Weather(THROTTLED)
    async with caller_house(tmp_path, plan=weather) as house:
        intents = await house.request(40)
        await house.advance(1)
        first = len(house.erp.log)
        assert first <= 5, "one round of calls, then everything stands still"
        weather.now = FINE
        await house.advance(1.9)
        assert len(house.erp.log) == first, "it asked for 3 s"
        await house.until_settled(120)
        assert {n for n, _ in await attempts(house, intents)} == {1}


async def test_after_a_freeze_one_probe_goes_and_the_rest_waits_for_its_answer(tmp_path: Path) -> None:
    weather = Weather(THROTTLED)
    async with caller_house(tmp_path, plan=weather) as house:
        await house.request(40)
        await house.advance(1)
        first = len(house.erp.log)
        weather.now = Plan(busy_seconds=1.0)
        await house.advance(2.8)
        assert len(house.erp.log) == first + 1


async def test_ten_minutes_of_503_at_full_load_cost_almost_no_extra_calls(tmp_path: Path) -> None:
    weather = Weather(UNAVAILABLE)
    async with caller_house(tmp_path, plan=weather) as house:
        await house.request(300)
        await house.advance(600)
        posts = house.erp.calls("post")
        assert len(posts) <= 1.1 * len({post.intent for post in posts}) + 1
        assert len(posts) >= 10, "it is asked again within a minute, not given up"
        after_opening = [post for post in posts if post.arrived_ns > SECOND_NS]
        assert len(after_opening) >= 3
        for one, other in pairwise(after_opening):
            assert one.ended_ns is not None
            assert one.ended_ns < other.arrived_ns, "one probe at a time"
        weather.now = FINE
        await house.until_settled(900)
        assert len(house.erp.documents) == 300
        assert [limit.name for limit in house.certificate().limits if limit.over] == []


async def test_calls_are_at_most_a_tenth_more_than_first_calls_over_ten_minutes_of_failure_after_good_times(
    tmp_path: Path,
) -> None:
    weather = Weather(FINE)
    met: list[str] = []

    def counted(kind: str, call: Call) -> Plan:
        if weather.now is UNAVAILABLE:
            met.append(call.intent_id)
        return weather.now

    async with caller_house(tmp_path, ("200/1s", "40 concurrent"), plan=counted) as house:
        await house.request(600)
        await house.until_settled(60)  # successes save retries; what is saved must not pay for a storm
        weather.now = UNAVAILABLE
        await house.request(2_000)
        await house.advance(600)
        assert len(met) <= 1.1 * len(set(met))


@pytest.mark.parametrize(
    ("plan", "status", "owner"),
    [(CLOSED, "exception", ("closed_period", "finance")), (BLOCKED, "refused", ("data_quality", "revenue"))],
)
async def test_a_permanent_refusal_is_not_repeated_and_has_an_owner(
    plan: Plan, status: str, owner: tuple[str, str], tmp_path: Path
) -> None:
    async with caller_house(tmp_path, plan=lambda kind, call: plan) as house:
        (intent,) = await house.request()
        await house.advance(600)
        assert house.erp.about(intent) == ["post"]
        assert (await house.call(intent)).status == status
        assert await house.store.reads.exceptions_open() == {owner: 1}


async def test_a_refused_credential_stops_all_calls_until_somebody_releases_them(tmp_path: Path) -> None:
    weather = Weather(FORBIDDEN)
    async with caller_house(tmp_path, ("1 concurrent",), plan=weather) as house:
        await house.request(20)
        await house.advance(600)
        assert len(house.erp.log) == 1
        weather.now = FINE
        await house.controls.end("hold", "erp", "anna", "the token is renewed")
        await house.until_settled(60)
        assert len(house.erp.documents) == 20


async def test_a_transient_failure_is_tried_again_later_and_counted(tmp_path: Path) -> None:
    met: list[str] = []

    def once(kind: str, call: Call) -> Plan:
        met.append(call.intent_id)
        return UNAVAILABLE if len(met) == 1 else FINE

    async with caller_house(tmp_path, plan=once) as house:
        (intent,) = await house.request()
        await house.until_settled(60)
        assert await attempts(house, [intent]) == {(2, 2)}
        posts = house.erp.calls("post")
        assert posts[1].arrived_ns - posts[0].arrived_ns >= SECOND_NS // 2


async def test_a_system_that_asks_for_nothing_is_left_alone_for_a_default_time(tmp_path: Path) -> None:
    weather = Weather(Plan(commit=False, failure=Failed(FailureClass.THROTTLED, "rate.exceeded", "no header")))
    async with caller_house(tmp_path, plan=weather) as house:
        await house.request(10)
        await house.advance(1)
        first = len(house.erp.log)
        await house.advance(3.5)
        assert len(house.erp.log) == first
