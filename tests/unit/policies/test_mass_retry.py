"""Many go again behind a canary: a cause that is still there is met once, one that comes back by one wave."""

from hypothesis import given
from hypothesis import strategies as st

from policies.mass_retry import WAVE_MAX, Run, go_on

FINE, BAD, BUSY = ("done", None), ("exception", "closed"), ("in_flight", None)


def run_of(count: int) -> Run:
    """A run of so many."""
    return Run(id="r", who="lea", reason="open", waiting=tuple(f"i{n}" for n in range(count)))


def test_the_canary_goes_alone_and_is_waited_for() -> None:
    run, sent = go_on(run_of(5), {})
    assert sent == ("i0",)
    assert go_on(run, {"i0": BUSY}) == (run, ())


def test_after_a_canary_that_fails_nothing_goes() -> None:
    run, _ = go_on(run_of(5), {})
    stopped, sent = go_on(run, {"i0": BAD})
    assert (sent, stopped.stopped, stopped.over, len(stopped.waiting)) == (
        (),
        "the cause is still there: closed",
        True,
        4,
    )
    assert go_on(stopped, {}) == (stopped, ())


def test_waves_double_up_to_a_bound() -> None:
    run, sizes = run_of(200), []
    states: dict[str, tuple[str, str | None]] = {}
    while not run.over:
        run, sent = go_on(run, states)
        states = dict.fromkeys(sent, FINE)
        sizes.append(len(sent))
    assert sizes[:6] == [1, 2, 4, 8, 16, 16]
    assert (run.fine, run.failed) == (200, 0)


@given(st.integers(1, 120), st.integers(0, 120), st.randoms())
def test_a_cause_costs_one_wave_at_most_and_nobody_is_sent_twice(count: int, good: int, chance) -> None:  # type: ignore[no-untyped-def]
    """The first `good` calls are fine and all later ones are not; calls of a wave end one by one."""
    run, seen = run_of(count), []
    states: dict[str, tuple[str, str | None]] = {}
    for _ in range(10 * count):
        if run.over:
            break
        run, sent = go_on(run, states)
        seen += sent
        states = {i: states.get(i, BUSY) for i in run.out}
        for intent in chance.sample(run.out, min(len(run.out), 3)):
            states[intent] = FINE if int(intent[1:]) < good else BAD
    assert run.over
    assert len(seen) == len(set(seen))
    assert run.failed <= (1 if good == 0 else WAVE_MAX)
    assert run.fine + run.failed == len(seen)
    assert set(seen) | set(run.waiting) == {f"i{n}" for n in range(count)}, "nobody is lost"
