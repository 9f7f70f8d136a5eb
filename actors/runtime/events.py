"""What supervision has to say, as typed records: for the log, the metrics, the status and the audit."""

from __future__ import annotations

import msgspec


class ChildStarted(msgspec.Struct, frozen=True, tag=True):
    """A child runs; `start` counts from 1."""

    path: str
    start: int


class ChildCrashed(msgspec.Struct, frozen=True, tag=True):
    """A child ended and nobody had asked it to."""

    path: str
    reason: str
    detail: str = ""


class ChildRestarting(msgspec.Struct, frozen=True, tag=True):
    """A child (with the siblings that its strategy names) is started again after a delay."""

    path: str
    delay_seconds: float
    restarts_in_period: int


class ChildStopped(msgspec.Struct, frozen=True, tag=True):
    """A child ended on request; `forced` when it had to be cancelled, `abandoned` when even that did not help."""

    path: str
    forced: bool = False
    abandoned: bool = False


class ChildHung(msgspec.Struct, frozen=True, tag=True):
    """A child has given no sign of life for too long and is being replaced."""

    path: str
    silent_seconds: float


class Escalated(msgspec.Struct, frozen=True, tag=True):
    """A supervisor gives up: its children crashed more often than its limit allows."""

    path: str
    reason: str


SupervisionEvent = ChildStarted | ChildCrashed | ChildRestarting | ChildStopped | ChildHung | Escalated
