"""Money: whole minor units, one currency at a time, never a float."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.currencies import RETIRED, SCALES
from contracts.errors import ContractError
from contracts.money import Money, check_sum

money = st.builds(Money, st.integers(0, 10**15 - 1), st.sampled_from(sorted(SCALES)))


def eur(minor: int) -> Money:
    return Money(minor, "EUR")


@given(money)
def test_the_wire_form_reads_back_as_the_same_money(one: Money) -> None:
    assert Money.from_wire(one.to_wire()) == one
    assert Decimal(one.amount).scaleb(SCALES[one.currency]) == one.minor


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("12.50", "EUR", 1250), ("12.5", "EUR", 1250), ("12", "EUR", 1200), ("0.05", "EUR", 5), ("7", "JPY", 7),
     ("1.234", "KWD", 1234), ("1.23", "KWD", 1230), ("0", "USD", 0)],
)  # fmt: skip
def test_fewer_decimals_than_the_currency_has_are_filled_up(amount: str, currency: str, minor: int) -> None:
    assert Money.parse(amount, currency) == Money(minor, currency)


@given(st.text() | st.from_regex(r"-?[0-9.]{1,20}", fullmatch=True), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_an_amount_is_read_exactly_or_refused(text: str, currency: str) -> None:
    try:
        one = Money.parse(text, currency)
    except ContractError:
        return
    assert Decimal(text).scaleb(SCALES[currency]) == one.minor


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_sums_and_differences_are_exact(left: int, right: int) -> None:
    assert eur(left) + eur(right) - eur(right) == eur(left)
    assert (eur(left) < eur(right)) == (left < right)


def test_currencies_never_mix() -> None:
    for mix in (Money.__add__, Money.__sub__, Money.__lt__, Money.__ge__):
        with pytest.raises(ContractError, match=r"currency\.mismatch"):
            mix(eur(1), Money(1, "USD"))
    assert eur(1) != Money(1, "USD")


def test_a_sum_beyond_15_digits_is_refused() -> None:
    with pytest.raises(ContractError, match=r"money\.range"):
        eur(10**15 - 1) + eur(1)


@pytest.mark.parametrize(("minor", "rate", "share"), [
    (1000, 2500, 250), (5, 5000, 2), (15, 5000, 8), (25, 1000, 2), (35, 1000, 4), (100, Fraction(1, 3), 33),
    (-5, 5000, -2), (100, 0, 0),
])  # fmt: skip
def test_a_share_is_rounded_once_half_to_even(minor: int, rate: int | Fraction, share: int) -> None:
    assert eur(minor).percent_of(rate) == eur(share)


def test_money_cannot_be_changed_or_made_of_floats() -> None:
    with pytest.raises(AttributeError):
        eur(1).minor = 2
    with pytest.raises(TypeError):
        Money(1.5, "EUR")  # type: ignore[arg-type]
    with pytest.raises(ContractError, match=r"currency\.unknown"):
        Money(1, "XXX")


def test_lines_must_sum_to_the_total() -> None:
    check_sum([eur(10), eur(20)], eur(30), "/total")
    with pytest.raises(ContractError) as caught:
        check_sum([eur(10), eur(20)], eur(31), "/total")
    assert (caught.value.code, caught.value.path) == ("lines.sum", "/total")
    assert caught.value.extra["difference"] == {"amount": "0.01", "currency": "EUR"}


def test_no_currency_is_both_active_and_retired() -> None:
    assert not RETIRED & SCALES.keys()
    assert all(len(code) == 3 for code in RETIRED | SCALES.keys())
