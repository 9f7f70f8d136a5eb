"""Numbers of spends: one row of numbers for all callers of a store."""

from __future__ import annotations


class SpendNumbers:
    """Gives each number once. Every caller names the first that the store does not know before it takes any."""

    def __init__(self) -> None:
        self.next = 1
        """The one that is taken next."""

    def begin_at(self, number: int) -> None:
        """Give nothing below this."""
        self.next = max(self.next, number)

    def take(self) -> int:
        """The next number."""
        self.next += 1
        return self.next - 1
