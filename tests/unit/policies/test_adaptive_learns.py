"""Limits that change behind our back are found with few refusals, kept, and found again when they come back."""

from itertools import pairwise

import pytest

from policies.adaptive import Change
from policies.limits import ConcurrencyLimit, RateLimit
from tests.support.quota_world import SECOND, Quota, QuotaWorld

SLOTS = (ConcurrencyLimit(15),)
MINUTE = (RateLimit(600, 60 * SECOND, "600/min"), ConcurrencyLimit(5))
REFUSALS_MAX = 10


def slots(quota: Quota, **more: object) -> QuotaWorld:
    return QuotaWorld(quota, SLOTS, **more)  # type: ignore[arg-type]


def minute(quota: Quota, **more: object) -> QuotaWorld:
    return QuotaWorld(quota, MINUTE, **more)  # type: ignore[arg-type]


WAYS = [{}, {"tells_wait": False}, {"tells_wait": False, "names_limit": False}]


@pytest.mark.parametrize("way", WAYS)
def test_a_silent_drop_from_15_slots_to_5_costs_at_most_ten_refusals_and_hardly_any_later(way: dict[str, bool]) -> None:
    world = slots(Quota(slots=15, **way), latency=(0.3, 0.7))
    world.at(30, lambda: setattr(world.quota, "slots", 5))
    world.run(900)
    assert world.refusals(0, 30) == 0
    assert world.refusals(30, 150) <= REFUSALS_MAX
    assert world.refusals(150, 900) <= 0.001 * world.calls(150, 900)
    assert world.effective("concurrent") == 5
    assert world.calls(150, 900) >= 0.95 * 750 * 5 / 0.502, "the five that are left are used"


@pytest.mark.parametrize("way", WAYS)
def test_a_silent_drop_from_600_to_300_a_minute_costs_at_most_ten_refusals_and_hardly_any_later(
    way: dict[str, bool],
) -> None:
    world = minute(Quota(per_minute=600, **way))
    world.at(130, lambda: setattr(world.quota, "per_minute", 300))
    world.run(2_000)
    assert world.refusals(0, 130) == 0
    assert world.refusals(130, 310) <= REFUSALS_MAX
    assert world.refusals(310, 2_000) <= max(2, 0.001 * world.calls(310, 2_000))
    assert 297 <= world.effective("600/min") <= 302
    assert world.calls(310, 2_000) >= 0.97 * 300 * 1_690 / 60


def test_a_limit_that_comes_back_is_used_again_and_never_passed() -> None:
    world = slots(Quota(slots=15), latency=(0.1, 0.2))
    world.at(30, lambda: setattr(world.quota, "slots", 5))
    world.at(200, lambda: setattr(world.quota, "slots", 15))
    world.run(900)
    assert world.effective("concurrent") == 15
    assert max(peak for _, peak in world.peaks) <= 15
    assert world.refusals(300, 900) == 0


def test_a_minute_that_comes_back_is_used_again() -> None:
    world = minute(Quota(per_minute=600))
    world.at(130, lambda: setattr(world.quota, "per_minute", 300))
    world.at(400, lambda: setattr(world.quota, "per_minute", 600))
    world.run(2_400)
    assert world.effective("600/min") == 600


def test_one_refusal_for_no_reason_does_not_cost_the_limit_for_long() -> None:
    world = slots(Quota(slots=15), latency=(0.1, 0.2))
    world.at(30, lambda: setattr(world.quota, "slots", 1))
    world.at(30.3, lambda: setattr(world.quota, "slots", 15))
    world.run(120)
    assert world.refusals(0, 120) <= REFUSALS_MAX
    assert world.effective("concurrent") == 15


def test_what_others_use_of_the_slots_is_found_from_refusals_below_our_own_count() -> None:
    world = slots(Quota(slots=15), latency=(0.3, 0.7))
    world.at(30, lambda: setattr(world.quota, "others_busy", 10))
    world.run(120)
    assert world.refusals(30, 120) <= REFUSALS_MAX
    (standing,) = world.governor.standings(world.now)
    assert (standing.effective, standing.others, standing.ceiling) == (5, 10, 15)


def test_what_others_use_is_seen_in_what_is_left_before_much_is_refused() -> None:
    world = minute(Quota(per_minute=600, tells_room=True))
    for number in range(2_000):
        world.at(number * 0.3, lambda: world.quota.others_arrive(world.now))
    world.run(600)
    assert world.refusals(0, 600) <= REFUSALS_MAX
    assert world.refusals(180, 600) <= 1
    assert 380 <= world.effective("600/min") <= 400, "others make 200 a minute"
    assert world.calls(180, 600) >= 0.95 * 400 * 7
    world.run(600)
    assert world.effective("600/min") >= 590, "they have gone"


def test_a_reserve_for_people_is_left_alone() -> None:
    world = slots(Quota(slots=15), latency=(0.1, 0.2), reserve_percent=10)
    world.run(60)
    assert max(peak for _, peak in world.peaks) == 13


def test_nothing_goes_before_the_stated_time_then_one_probe_then_a_few_more_each_time() -> None:
    world = minute(Quota(per_minute=600), latency=(0.2, 0.3))
    world.at(130, lambda: setattr(world.quota, "per_minute", 300))
    world.run(180)
    first = world.refused[0]
    frozen = next(one for one in world.governor.recent if not isinstance(one, Change))
    last_sent = max(at for at in world.sent if at <= first)
    following = sorted(at for at in world.sent if at > first)
    assert following[0] == max(frozen.until_ns, following[0])
    assert last_sent < first < frozen.until_ns
    assert following[0] in world.probes
    probe_answered = following[0] + int(0.2 * SECOND)
    assert all(at >= probe_answered for at in following[1:]), "the probe goes alone"


def test_every_change_is_told_with_its_reason_and_no_limit_ever_stands_above_its_ceiling() -> None:
    world = minute(Quota(per_minute=600))
    world.at(130, lambda: setattr(world.quota, "per_minute", 300))
    world.at(400, lambda: setattr(world.quota, "per_minute", 600))
    world.run(1_200)
    changes = [one for one in world.governor.recent if isinstance(one, Change)]
    assert all(change.was != change.now <= change.ceiling for change in changes)
    of_minute = [change for change in changes if change.limit == "600/min"]
    assert all(earlier.now == later.was for earlier, later in pairwise(of_minute))
    assert {change.signal for change in of_minute} == {"refusal", "trial"}
    assert "call 600 of ours in 600/min" in of_minute[0].why
