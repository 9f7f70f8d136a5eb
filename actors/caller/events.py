"""What changes at the gate, as it is stored: so that a restart goes on with it, and people can read why."""

from __future__ import annotations

from collections.abc import Iterable

from actors.runtime.clock import Clock, microseconds
from broker.store.rows import GateRow
from policies.adaptive import Change
from policies.governor import Frozen

_BOUND_SIGNALS = ("refusal", "trial", "latency")
"""Evidence of our own; what a system tells, it tells again."""
_OBJECT = "object "
"""Before the name of an object, where a freeze is of that alone."""


def gate_rows(news: Iterable[Change | Frozen], system: str, clock: Clock) -> list[GateRow]:
    """The rows of what is new, in order."""
    return [_row(one, system, clock) for one in news]


def _row(one: Change | Frozen, system: str, clock: Clock) -> GateRow:
    now, now_ns = microseconds(clock.now()), clock.boot_ns()
    at = now - (now_ns - one.at_ns) // 1_000
    if isinstance(one, Change):
        return GateRow(
            system=system,
            kind="limit",
            subject=one.limit,
            at=at,
            was=one.was,
            now=one.now,
            ceiling=one.ceiling,
            boot=clock.boot,
            signal=one.signal,
            why=one.why,
        )
    return GateRow(
        system=system,
        kind="freeze",
        subject=f"{_OBJECT}{one.object}" if one.object is not None else one.limit or "",
        at=at,
        until_at=now + (one.until_ns - now_ns) // 1_000,
        until_ns=one.until_ns,
        boot=clock.boot,
        signal="refusal",
        why=one.why,
    )


def restored(rows: Iterable[GateRow], clock: Clock) -> tuple[dict[str, int], list[Frozen]]:
    """What an earlier process had learned of each limit, and the freezes that are not over, on this clock."""
    bounds: dict[str, int] = {}
    frozen = []
    for row in rows:
        if row.kind == "limit" and row.now is not None and row.signal in _BOUND_SIGNALS:
            bounds[row.subject] = row.now
        elif row.kind == "freeze" and (until_ns := _until_ns(row, clock)) > clock.boot_ns():
            object_ = row.subject.removeprefix(_OBJECT) if row.subject.startswith(_OBJECT) else None
            limit = row.subject or None if object_ is None else None
            frozen.append(Frozen(clock.boot_ns(), limit, until_ns, row.why, object_))
    return bounds, frozen


def _until_ns(row: GateRow, clock: Clock) -> int:
    if row.until_ns is None or row.until_at is None:
        return 0
    if row.boot == clock.boot:
        return row.until_ns
    return clock.boot_ns() + (row.until_at - microseconds(clock.now())) * 1_000
