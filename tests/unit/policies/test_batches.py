"""Promises of batches: the fewest calls, nobody late who need not be, one bad row spoils nobody else."""

from itertools import count
from math import ceil, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.batches import Pace, Row, late, plan, split

SPANS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6)), min_size=1, max_size=6)


def rows(spans):
    return [Row(f"r{n}", ready + span, ready) for n, (ready, span) in enumerate(spans)]


def fewest(waiting, size):
    """By trying everything: the fewest calls, at instants of the rows' own limits, with nobody late."""
    if not waiting:
        return 0
    best = len(waiting)
    instants = {row.start_by_ns for row in waiting}
    first = min(waiting, key=lambda row: row.start_by_ns)
    for at in instants:
        if not first.ready_ns <= at <= first.start_by_ns:
            continue
        able = [row for row in waiting if row is not first and row.ready_ns <= at <= row.start_by_ns]
        for mask in range(1 << len(able)):
            with_first = [row for place, row in enumerate(able) if mask >> place & 1]
            if len(with_first) < size:
                rest = [row for row in waiting if row is not first and row not in with_first]
                best = min(best, 1 + fewest(rest, size))
    return best


@given(SPANS, st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_no_plan_needs_fewer_calls_and_nobody_is_late(spans, size):
    waiting = rows(spans)
    batches = plan(waiting, size, 0)
    assert late(batches) == ()
    assert len(batches) == fewest(waiting, size)


@given(SPANS, st.integers(1, 4), st.integers(1, 3), st.integers(1, 6), st.lists(st.integers(-9, 0), max_size=4))
@settings(max_examples=150, deadline=None)
def test_a_plan_keeps_its_pace_and_carries_everybody_once(spans, size, calls, window, spent):
    waiting, pace = rows(spans), Pace(calls, window, tuple(sorted(spent)))
    batches = plan(waiting, size, 0, pace)
    assert sorted(row.id for batch in batches for row in batch.rows) == sorted(row.id for row in waiting)
    assert all(len(batch.rows) <= size for batch in batches)
    assert all(batch.start_ns >= row.ready_ns for batch in batches for row in batch.rows)
    starts = [*pace.spent, *(batch.start_ns for batch in batches)]
    assert starts == sorted(starts)
    for place in range(max(len(spent), calls), len(starts)):
        assert starts[place] - starts[place - calls] > window


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(1, 4), st.integers(1, 3), st.integers(1, 6))
def test_when_all_are_ready_nobody_is_late_who_need_not_be(deadlines, size, calls, window):
    waiting = [Row(f"r{n}", by) for n, by in enumerate(deadlines)]
    batches = plan(waiting, size, 0, Pace(calls, window))
    assert len(batches) == ceil(len(waiting) / size) or not late(batches)
    # the k-th call starts as soon as the pace allows; by then at most (k + 1) * size rows can have started
    starts = [place // calls * (window + 1) for place in range(len(waiting))]
    possible = all(starts[place // size] <= by for place, by in enumerate(sorted(deadlines)))
    assert bool(late(batches)) == (not possible)


def test_a_batch_may_wait_for_more_rows_until_its_first_deadline():
    (batch,) = plan([Row("a", 50), Row("b", 70)], 10, 5)
    assert (batch.start_ns, batch.latest_ns) == (5, 50)


def test_waiting_for_more_rows_leaves_room_for_the_calls_that_follow():
    first, second = plan([Row("a", 40), Row("b", 45)], 1, 0, Pace(1, 10))
    assert (first.latest_ns, second.latest_ns) == (35, 45)
    assert (first.start_ns, second.start_ns) == (0, 11)


def test_rows_that_are_late_already_go_at_once():
    batches = plan([Row("a", -5), Row("b", -1), Row("c", 90)], 2, 0)
    assert [[row.id for row in batch.rows] for batch in batches] == [["a", "b"], ["c"]]
    assert {row.id for row in late(batches)} == {"a", "b"}


@given(st.integers(1, 40), st.sets(st.integers(0, 39), max_size=4))
def test_a_bad_row_is_split_out_and_every_good_one_is_accepted_once(size, bad):
    batch = tuple(Row(f"r{n}", 0) for n in range(size))
    bad = {f"r{n}" for n in bad if n < size}
    accepted, found, calls, waiting = [], [], count(), [batch]
    while waiting:
        rows_sent = waiting.pop()
        next(calls)
        if not bad & {row.id for row in rows_sent}:
            accepted += [row.id for row in rows_sent]
        elif len(rows_sent) == 1:
            found.append(rows_sent[0].id)
        else:
            waiting += split(rows_sent)
    assert sorted(accepted + found) == sorted(row.id for row in batch)
    assert set(found) == bad
    assert next(calls) <= 1 + 2 * len(bad) * ceil(log2(max(size, 2)))


def test_a_row_that_the_system_names_is_left_out_at_once():
    batch = (Row("a", 0), Row("b", 0), Row("c", 0))
    assert [[row.id for row in part] for part in split(batch, "b")] == [["a", "c"]]
    assert split(batch[:1], "a") == split(batch[:1]) == ()
    with pytest.raises(ValueError, match="is not in the batch"):
        split(batch, "z")


@pytest.mark.parametrize(("size", "pace"), [(0, None), (1, Pace(0, 5)), (1, Pace(5, 0))])
def test_what_carries_nothing_is_refused(size, pace):
    with pytest.raises(ValueError, match="nothing"):
        plan([], size, 0, pace)
