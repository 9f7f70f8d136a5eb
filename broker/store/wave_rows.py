"""The row of a case that the approval of a whole incident has met."""

from __future__ import annotations

import msgspec


class WaveCaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """A case that the approval of a whole incident has met: `released`, or left to a person (`waits`), and why.

    `place` counts the cases of a wave in the order in which they were met.
    """

    wave: str
    approval: str
    process: str
    place: int
    key: str
    account: str
    minor: int
    currency: str
    verdict: str
    why: str
    at: int
