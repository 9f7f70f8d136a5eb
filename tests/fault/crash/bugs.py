"""Bugs to plant in the daemon under test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

SWITCH = "TIDEGATE_TEST_PLANTED"


@dataclass(frozen=True)
class Bug:
    plant: Callable[[], None]


PLANTED: dict[str, Bug] = {}
