"""Folding updates that wait: the same end state, the same state before every call that could tell, never money."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.coalesce import COALESCIBLE, Folded, Update, coalesce, saved

DECLARED = {"record.patch": "patch", "record.replace": "replace"}
BODIES = st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 3), max_size=3)
STEPS = st.tuples(
    st.sampled_from(["k1", "k2"]),
    st.sampled_from(["record.patch", "record.patch", "record.replace", "report.create"]),
    st.sampled_from(["x", "y"]),
    BODIES,
    st.sampled_from(["urgent", "standard", "bulk"]),
    st.integers(0, 9),
    st.sampled_from([False, False, False, True]),
)


def history(steps):
    return [
        Update(n, key, operation, f"{key}/{target}", body, lane, deadline, sent=sent)
        for n, (key, operation, target, body, lane, deadline, sent) in enumerate(steps)
    ]


def run(calls):
    """The system: records by target, and what every report saw of the records of its key."""
    records: dict[str, dict[str, int]] = {}
    reports = []
    for call in calls:
        if call.operation == "report.create":
            seen = {target: dict(record) for target, record in records.items() if target.startswith(call.key)}
            reports.append((call.seq, seen))
            continue
        record = {} if call.operation == "record.replace" else records.get(call.target, {})
        merged = {**record, **call.body}
        records[call.target] = {name: value for name, value in merged.items() if value is not None}
    return records, reports


@given(st.lists(STEPS, max_size=25))
@settings(max_examples=500)
def test_the_end_state_and_every_report_are_those_of_the_calls_as_they_came(steps):
    calls = history(steps)
    assert run([folded.call for folded in coalesce(calls, DECLARED)]) == run(calls)


@given(st.lists(STEPS, max_size=25))
def test_every_call_is_made_or_stood_for_exactly_once(steps):
    calls = history(steps)
    folded = coalesce(calls, DECLARED)
    told = [number for one in folded for number in (one.call.seq, *one.superseded)]
    assert sorted(told) == [call.seq for call in calls]
    assert saved(folded) == len(calls) - len(folded)


@given(st.lists(STEPS, max_size=25))
def test_nobody_waits_for_longer(steps):
    lanes = ["urgent", "standard", "bulk"]
    by_number = {call.seq: call for call in history(steps)}
    for one in coalesce(by_number.values(), DECLARED):
        for number in (one.call.seq, *one.superseded):
            assert one.call.seq <= number
            assert one.call.deadline <= by_number[number].deadline
            assert lanes.index(one.call.lane) <= lanes.index(by_number[number].lane)


@given(st.lists(STEPS, max_size=25))
def test_what_was_ever_sent_is_left_as_it_is(steps):
    calls = history(steps)
    folded = coalesce(calls, DECLARED)
    for call in calls:
        if call.sent:
            assert Folded(call) in folded


def test_forty_updates_of_one_account_are_one_call():
    updates = [Update(n, "A-1", "account.update", "A-1", {"phone": n, f"f{n % 3}": n}) for n in range(40)]
    (one,) = coalesce(updates)
    assert one.call.body == {"phone": 39, "f0": 39, "f1": 37, "f2": 38}
    assert saved([one]) == 39


def test_a_posting_between_two_updates_keeps_them_apart():
    calls = [
        Update(1, "A-1", "account.update", "A-1", {"name": "old"}),
        Update(2, "A-1", "adjustment.create", "A-1", {}, money=True),
        Update(3, "A-1", "account.update", "A-1", {"name": "new"}),
    ]
    assert coalesce(calls) == [Folded(call) for call in calls]


def test_money_is_never_folded_whatever_the_table_says():
    with pytest.raises(ValueError, match="moves money"):
        coalesce([Update(1, "A-1", "adjustment.create", "A-1", {}, money=True)], {"adjustment.create": "patch"})
    assert not {"adjustment.create", "refund.create", "invoice.create", "credit.create"} & COALESCIBLE.keys()
