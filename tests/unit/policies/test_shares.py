"""How a batch is divided over queues."""

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.shares import Shares


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.integers(1, 64))
def test_a_batch_is_never_over_its_room_never_over_what_there_is_and_never_empty_handed(
    counts: list[int], room: int
) -> None:
    given_out = Shares().divide([(f"q{n}", count) for n, count in enumerate(counts)], room)
    assert sum(given_out) <= room
    assert all(0 <= share <= count for share, count in zip(given_out, counts, strict=True))
    assert sum(given_out) > 0 or sum(counts) == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 32), st.integers(2, 40))
def test_the_most_urgent_keeps_half_and_everybody_is_served(room: int, queues: int) -> None:
    shares = Shares()
    served = [0] * queues
    batches = 4 * queues * max(32 // room, 1)
    for _ in range(batches):
        divided = shares.divide([(f"q{n}", 1000) for n in range(queues)], room)
        served = [a + b for a, b in zip(served, divided, strict=True)]
    assert served[0] >= sum(served) // 2 - room
    assert min(served) > 0


def test_a_lone_queue_gets_everything() -> None:
    assert Shares().divide([("q", 10)], 4) == [4]
