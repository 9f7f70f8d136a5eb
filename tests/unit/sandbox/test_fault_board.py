"""Which call meets which fault."""

from pathlib import Path

import msgspec
import pytest

from ops.sandbox.faults import (
    AnyFault,
    FaultBoard,
    FaultSet,
    Hang,
    LostAnswer,
    Reset,
    Slow,
    Throttle,
    load_faults,
)


def board(*faults: AnyFault) -> FaultBoard:
    return FaultBoard(FaultSet(faults))


def hits(faults: FaultBoard, calls: int = 200) -> list[bool]:
    return [faults.draw("post", None, None)[1] is not None for _ in range(calls)]


def test_the_same_seed_meets_the_same_calls() -> None:
    assert hits(board(Reset(rate=0.3, seed=7))) == hits(board(Reset(rate=0.3, seed=7)))


def test_another_seed_meets_other_calls() -> None:
    assert hits(board(Reset(rate=0.3, seed=7))) != hits(board(Reset(rate=0.3, seed=8)))


def test_a_rate_of_zero_never_strikes_and_of_one_always() -> None:
    assert not any(hits(board(Reset(rate=0))))
    assert all(hits(board(Reset(rate=1))))


def test_a_count_ends_a_fault_and_a_skip_delays_it() -> None:
    assert hits(board(Reset(count=2, skip=1)), 5) == [False, True, True, False, False]


def test_a_fault_meets_only_the_operations_accounts_and_references_it_names() -> None:
    faults = board(Reset(ops=("find",), account="a", reference="r"))
    assert faults.draw("post", "a", "r")[1] is None
    assert faults.draw("find", "b", "r")[1] is None
    assert faults.draw("find", "a", "s")[1] is None
    assert faults.draw("find", "a", "r")[1] is not None


def test_slowness_adds_up_and_the_first_other_fault_decides() -> None:
    first, second = LostAnswer(), Throttle()
    faults = board(Slow(ms=100), Slow(ms=50), first, second)
    assert faults.draw("post", None, None) == (0.15, first)
    assert [state.hits for state in faults.show()] == [1, 1, 1, 0]


def test_a_fault_file_may_be_json_or_toml(tmp_path: Path) -> None:
    as_json, as_toml = tmp_path / "faults.json", tmp_path / "faults.toml"
    as_json.write_text('{"faults":[{"kind":"hang","seconds":60}]}')
    as_toml.write_text('[[faults]]\nkind = "hang"\nseconds = 60\n')
    assert load_faults(as_json) == load_faults(as_toml) == FaultSet((Hang(seconds=60),))


@pytest.mark.parametrize(
    "text",
    [
        '{"faults":[{"kind":"nonsense"}]}',
        '{"faults":[{"kind":"slow","ms":-1}]}',
        '{"faults":[{"kind":"reset","rate":1.5}]}',
        '{"faults":[{"kind":"reset","rat":0.5}]}',
        '{"faults":[{"kind":"throttle_429","retry_after":"1\\r\\nx: y"}]}',
    ],
)
def test_a_fault_with_a_mistake_is_not_taken(tmp_path: Path, text: str) -> None:
    path = tmp_path / "faults.json"
    path.write_text(text)
    with pytest.raises(msgspec.ValidationError):
        load_faults(path)
