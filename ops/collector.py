"""The garbage collector of a long-lived process that allocates much and makes few cycles."""

from __future__ import annotations

import gc

_YOUNG_OBJECTS = 50_000
"""Python's own 700 make a collection every few messages, and walks over the whole backlog that stop everything."""


def spare_the_collector() -> None:
    """Leave alone what was imported, and look at the rest seldom. Call it once, when everything is imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 50)
