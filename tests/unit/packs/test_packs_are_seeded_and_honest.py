"""Packs: the same seed gives the same bytes, every message keeps its contract, and no expectation depends on order."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.catalogue import REGISTRY
from contracts.envelope import decode_envelope
from contracts.money import Money
from ops.packs import PACKS, PackMessage, UnknownPack, generate
from ops.packs.generate import shared_out
from ops.packs.message import TENANTS, tenant_of
from policies.credit import CreditDecision, CreditFacts, evaluate

CASES = 3_000


def incident(seed: int = 7, cases: int = CASES) -> list[PackMessage]:
    return list(generate("incident", cases, seed))


def originals(messages: Iterable[PackMessage]) -> list[PackMessage]:
    return [message for message in messages if not message.duplicate]


def judged(messages: Iterable[PackMessage]) -> dict[str, CreditDecision]:
    """What the credit policy says when the cases come in this order."""
    granted: Counter[str] = Counter()
    decisions = {}
    for message in messages:
        data = message.event["data"]
        decision = evaluate(
            CreditFacts(
                tier=data["tier"],
                outage_class=data["outage_class"],
                minutes=data["outage_minutes"],
                monthly_fee=Money.from_wire(data["monthly_fee"]),
                granted=Money(granted[message.account], "EUR"),
            )
        )
        if decision.verdict != "refused":
            granted[message.account] += decision.amount.minor
        decisions[message.key] = decision
    return decisions


@pytest.mark.parametrize("pack", PACKS)
def test_the_same_seed_gives_the_same_bytes(pack: str) -> None:
    first, second = (msgspec.json.encode(list(generate(pack, 500, 11))) for _ in range(2))
    assert first == second
    assert first != msgspec.json.encode(list(generate(pack, 500, 12)))


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("cases", [0, 1, 2, 40])
def test_a_pack_has_as_many_cases_as_asked_for(pack: str, cases: int) -> None:
    assert len(originals(generate(pack, cases, 3))) == cases


@pytest.mark.parametrize("pack", PACKS)
def test_every_message_keeps_its_contract(pack: str) -> None:
    for message in generate(pack, 200, 5):
        envelope = decode_envelope(msgspec.json.encode(message.event))
        data = REGISTRY.decode_data(envelope)
        contract = REGISTRY.newest(envelope.type)
        assert contract.business_key(data) == message.key
        assert contract.partition_key(data) == message.account
        assert envelope.tenant == message.tenant


@pytest.mark.parametrize("pack", PACKS)
def test_sequences_count_up_per_account_and_lane_in_send_order(pack: str) -> None:
    seen: dict[tuple[str, str], list[int]] = defaultdict(list)
    for message in originals(generate(pack, 800, 9)):
        seen[message.account, message.lane].append(message.sequence)
    assert all(sequences == list(range(1, len(sequences) + 1)) for sequences in seen.values())


@pytest.mark.parametrize("pack", PACKS)
def test_send_times_never_go_back(pack: str) -> None:
    offsets = [message.offset_ms for message in generate(pack, 800, 9)]
    assert offsets == sorted(offsets)


def test_every_message_names_its_tenant_and_its_workload() -> None:
    for message in generate("all", 400, 5):
        assert message.event["tenant"] == message.tenant
        assert message.event["workload"] == message.workload
    assert {message.workload for message in generate("all", 400, 5)} == {*PACKS} - {"all"}


def test_all_is_the_four_packs_at_once_each_as_it_is_alone() -> None:
    mixed = list(generate("all", 1_000, 3))
    for name, count in shared_out(1_000).items():
        assert [message for message in mixed if message.workload == name] == list(generate(name, count, 3))


def test_tenants_share_the_accounts_by_zipfs_law() -> None:
    accounts = Counter(tenant_of(number) for number in range(12_000))
    for rank, tenant in enumerate(TENANTS):
        fair = accounts[TENANTS[0]] / (rank + 1)
        assert 0.9 * fair < accounts[tenant] < 1.1 * fair


def test_work_has_the_lane_of_its_kind() -> None:
    lanes = {(message.workload, message.lane) for message in generate("all", 2_000, 3)}
    assert lanes == {
        ("incident", "urgent"),
        ("incident", "standard"),
        ("incident", "bulk"),
        ("billing-cycle", "bulk"),
        ("renewal", "bulk"),
        ("month-end", "standard"),
        ("month-end", "bulk"),
    }


@pytest.mark.parametrize(
    ("pack", "first", "last"), [("incident", 10, 12), ("billing-cycle", 1, 4), ("month-end", 15, 22)]
)
def test_most_of_a_pack_comes_in_its_hours(pack: str, first: int, last: int) -> None:
    hours = [message.offset_ms / 3_600_000 for message in generate(pack, 1_000, 3)]
    assert sum(first <= hour < last for hour in hours) > 0.6 * len(hours)
    assert max(hours) <= 24


def test_a_shorter_day_is_the_same_day_in_less_time() -> None:
    day, hour = (list(generate("all", 500, 3, hours)) for hours in (24, 1))
    assert Counter(message.key for message in day) == Counter(message.key for message in hour)
    assert max(message.offset_ms for message in hour) <= 3_600_000


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_no_order_of_the_cases_contradicts_an_expectation(seed: int, order: int) -> None:
    messages = originals(incident(seed, 300))
    Random(order).shuffle(messages)
    for message, decision in zip(messages, judged(messages).values(), strict=True):
        if message.expected != "either":
            assert decision.verdict == {"post": "approved", "refuse": "refused"}[message.expected]


def test_between_half_and_two_thirds_of_the_cases_earn_a_credit() -> None:
    decisions = judged(originals(incident()))
    approved = sum(decision.verdict == "approved" for decision in decisions.values())
    assert 0.5 <= approved / CASES <= 0.66


def test_most_cases_have_a_clear_outcome() -> None:
    outcomes = Counter(message.expected for message in originals(incident()))
    assert outcomes["post"] > 0.35 * CASES
    assert outcomes["refuse"] > 0.25 * CASES


def test_lanes_have_their_shares_and_only_back_dated_cases_name_theirs() -> None:
    messages = originals(incident())
    lanes = Counter(message.lane for message in messages)
    assert 0.03 < lanes["urgent"] / CASES < 0.07
    assert 0.08 < lanes["bulk"] / CASES < 0.12
    for message in messages:
        assert (message.event.get("lane") == "bulk") == (message.lane == "bulk")
        assert message.event["data"]["escalated"] == (message.lane == "urgent")


def test_a_duplicate_is_the_same_event_sent_again_later() -> None:
    first: dict[str, PackMessage] = {}
    duplicates = 0
    for message in incident():
        if message.duplicate:
            duplicates += 1
            assert message.event == first[message.event["id"]].event
        else:
            assert message.event["id"] not in first
            first[message.event["id"]] = message
    assert 0.02 < duplicates / CASES < 0.04


def test_a_few_accounts_have_very_many_cases() -> None:
    accounts = Counter(message.account for message in originals(incident()))
    assert accounts.most_common(1)[0][1] > 10 * CASES / len(accounts)


def test_cases_arrive_a_little_out_of_order() -> None:
    numbers = [int(message.key.rsplit("-", 1)[1]) for message in originals(incident())]
    displaced = [abs(place - number) for place, number in enumerate(numbers)]
    assert 0 < max(displaced) <= 12


def test_an_unknown_pack_is_refused_with_the_names_of_the_known() -> None:
    with pytest.raises(UnknownPack, match="incident, billing-cycle, renewal"):
        generate("tsunami", 1, 1)
    with pytest.raises(UnknownPack, match="-1 cases"):
        generate("incident", -1, 1)
    with pytest.raises(UnknownPack, match="0 hours"):
        generate("incident", 1, 1, hours=0)
