"""Randomness and new ids come in here and nowhere else."""

from __future__ import annotations

import random
import secrets
from typing import Protocol


class Entropy(Protocol):
    """Where chance comes from."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...

    def new_id(self) -> str:
        """A new id: text, unique, of 32 hexadecimal digits."""
        ...


class SystemEntropy:
    """The operating system's."""

    def random(self) -> float:
        """Not predictable."""
        return secrets.SystemRandom().random()

    def new_id(self) -> str:
        """128 random bits."""
        return secrets.token_hex(16)


class SeededEntropy:
    """The same every time for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def random(self) -> float:
        """The next number of the sequence."""
        return self._random.random()

    def new_id(self) -> str:
        """The next 128 bits of the sequence."""
        return f"{self._random.getrandbits(128):032x}"
