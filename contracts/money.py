"""Exact money: whole minor units and a currency. There are no floats here, and none get in.

On the wire: {"amount": "12.50", "currency": "EUR"}. The amount is text, so that no JSON parser on the way
can round it; at most as many decimals as the currency has; no sign, space, exponent or grouping.
"""

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Final, Self

from contracts.currencies import RETIRED, SCALES
from contracts.errors import ContractError, cut, nearest

DIGITS_MAX: Final = 15  # below 2**53: every amount is exact in SQLite, JavaScript and a double as well
_MINOR_MAX: Final = 10**DIGITS_MAX - 1
_PLAIN: Final = re.compile(r"(-?)(0|[1-9][0-9]*+)(?:\.([0-9]++))?", re.ASCII)
_MINUS_NOTHING: Final = re.compile(r"-[0.]++")
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_FIELDS: Final = {"amount", "currency"}


class Money:
    """An amount: `minor` whole minor units (cents for EUR, yen for JPY) of `currency` (ISO 4217).

    Immutable, hashable and ordered within one currency. Negative amounts may be computed, for differences,
    but never come in over the wire. Raises ContractError money.range above 15 digits, currency.*.
    """

    __slots__ = ("currency", "minor")
    minor: int
    currency: str

    def __init__(self, minor: int, currency: str) -> None:
        if type(minor) is not int:
            raise TypeError("minor units are a whole int")
        if currency not in SCALES:
            _scale(currency)
        if not -_MINOR_MAX <= minor <= _MINOR_MAX:
            raise _too_large()
        object.__setattr__(self, "minor", minor)
        object.__setattr__(self, "currency", currency)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Money is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("Money is immutable")

    def __reduce__(self) -> tuple[type[Self], tuple[int, str]]:
        return type(self), (self.minor, self.currency)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and self.minor == other.minor and self.currency == other.currency

    def __hash__(self) -> int:
        return hash((self.minor, self.currency))

    def __repr__(self) -> str:
        return f"Money({self.minor}, {self.currency!r})"

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._same(other), self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.minor <= self._same(other)

    def __gt__(self, other: "Money") -> bool:
        return self.minor > self._same(other)

    def __ge__(self, other: "Money") -> bool:
        return self.minor >= self._same(other)

    def _same(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise ContractError("currency.mismatch", f"{self.currency} and {other.currency} cannot be combined.")
        return other.minor

    @property
    def amount(self) -> str:
        """The amount as plain decimal text with all decimals of the currency, such as "12.50"."""
        scale = SCALES[self.currency]
        digits = str(abs(self.minor)).rjust(scale + 1, "0")
        sign = "-" if self.minor < 0 else ""
        return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else sign + digits

    def to_wire(self) -> dict[str, str]:
        """{"amount": text, "currency": code}."""
        return {"amount": self.amount, "currency": self.currency}

    @classmethod
    def from_wire(cls, value: object) -> "Money":
        """Read the wire form. Raises ContractError money.*, currency.*, field.*; paths from the object."""
        if not isinstance(value, dict):
            raise ContractError("field.type", 'Expected {"amount": "12.50", "currency": "EUR"}.', expected="object")
        if value.keys() != _FIELDS:
            _check_fields(value)
        return cls.parse(value["amount"], value["currency"])

    @classmethod
    def parse(cls, amount: object, currency: object) -> "Money":
        """Read an amount and a currency code as they stand on the wire; raises as `from_wire` does."""
        scale = SCALES.get(currency) if isinstance(currency, str) else None
        if scale is None:
            scale = _scale(currency, "/currency")
        match = _PLAIN.fullmatch(amount) if isinstance(amount, str) else None
        if match is None or _MINUS_NOTHING.fullmatch(match[0]):
            raise _format(amount)
        if match[1]:
            raise ContractError("money.range", "An amount is never negative; the kind says which way.", "/amount")
        whole, decimals = match[2], match[3] or ""
        if len(decimals) > scale:
            raise _too_fine(len(decimals), scale, currency)
        if len(whole) + scale > DIGITS_MAX:
            raise _too_large("/amount")
        return cls(int(whole + decimals.ljust(scale, "0")), str(currency))

    def percent_of(self, rate: Fraction | int) -> "Money":
        """`rate` of this amount: a Fraction (1/4 is a quarter), or an int in basis points (2500 is 25 %).

        Rounded once, half to even, to whole minor units: over many credits the halves cancel out.
        """
        share = rate if isinstance(rate, Fraction) else Fraction(rate, 10_000)
        return Money(round(self.minor * share), self.currency)


def check_sum(lines: Iterable[Money], total: Money, path: str) -> None:
    """Raise lines.sum, with the difference, unless `lines` add up to `total` exactly."""
    difference = total
    for line in lines:
        difference -= line
    if difference.minor:
        detail = f"The lines differ from the total by {difference}. Correct a line or the total."
        raise ContractError("lines.sum", detail, path, difference=difference.to_wire())


def _check_fields(value: dict[object, object]) -> None:
    if "currency" not in value:
        raise ContractError("currency.missing", "Name the currency, such as EUR.", "/currency")
    if "amount" not in value:
        raise ContractError("field.missing", 'Give the amount as text, such as "12.50".', "/amount")
    unknown = next(str(key) for key in value if key not in _FIELDS)
    guess = nearest(unknown, ("amount", "currency"))
    raise ContractError("field.unknown", "Money has an amount and a currency only.", "/" + cut(unknown), nearest=guess)


def _scale(currency: object, path: str = "") -> int:
    if currency is None or currency == "":
        raise ContractError("currency.missing", "Name the currency, such as EUR.", path)
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise ContractError("currency.format", "Expected three capital letters, such as EUR.", path)
    if currency in RETIRED:
        raise ContractError("currency.retired", f"{currency} has been withdrawn; use its successor.", path)
    if currency not in SCALES:
        raise ContractError("currency.unknown", f"{currency} is not an active ISO 4217 currency.", path)
    return SCALES[currency]


def _format(amount: object) -> ContractError:
    found = f'"{cut(amount)}"' if isinstance(amount, str) else "something that is not text"
    detail = f'Expected plain decimal text such as "12.50", without sign, space or exponent; found {found}.'
    return ContractError("money.format", detail, "/amount")


def _too_fine(actual: int, scale: int, currency: object) -> ContractError:
    detail = f"{currency} has {scale} decimals; the amount has {actual}. Round it before sending."
    return ContractError("money.scale", detail, "/amount", limit=scale, actual=actual)


def _too_large(path: str = "") -> ContractError:
    return ContractError("money.range", f"An amount has at most {DIGITS_MAX} digits.", path, limit=DIGITS_MAX)
