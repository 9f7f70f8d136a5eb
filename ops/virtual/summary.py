"""What a simulated day comes to: waits per lane and tenant, use of the limits, the backlog's peaks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from ops.certificate import Certificate
from ops.packs.message import TENANTS
from ops.report.series import LANE_ORDER
from ops.virtual.day import Plan
from ops.virtual.world import World

_HOUR_NS = 3_600 * 1_000_000_000


class Numbers(msgspec.Struct):
    """The summary; `summary.json` has exactly this."""

    plan: Plan
    accepted: int
    duplicates: int
    outcomes: dict[str, int]
    verdict: str
    ended_after_hours: float
    """When the last call had ended, from the start of the day."""
    refused_by_erp: int
    used_percent: dict[str, float | None]
    """Of what each limit allowed between the first and the last call."""
    lanes: list[dict[str, Any]]
    tenants: dict[str, int]
    """Messages accepted, by tenant."""
    backlog_peaks: dict[str, dict[str, float]]
    """The longest line of each lane, and the hour of the day at which it was."""


def summarise(plan: Plan, world: World, certificate: Certificate) -> Numbers:
    """The numbers of a day that was run."""
    tenants = Counter(fate.message.tenant for fate in world.fates)
    ends = [fate.ended_ns for fate in world.fates if fate.ended_ns is not None]
    return Numbers(
        plan=plan,
        accepted=len(world.fates),
        duplicates=world.duplicates,
        outcomes=dict(sorted(Counter(fate.outcome for fate in world.fates).items())),
        verdict=certificate.verdict,
        ended_after_hours=round(max(ends, default=0) / _HOUR_NS, 4),
        refused_by_erp=world.erp.refused,
        used_percent={limit.name: limit.used_percent for limit in certificate.limits},
        lanes=[msgspec.to_builtins(lane) for lane in certificate.waits],
        tenants={tenant: tenants[tenant] for tenant in TENANTS if tenants[tenant]},
        backlog_peaks={lane: _peak(world, lane) for lane in LANE_ORDER},
    )


def _peak(world: World, lane: str) -> dict[str, float]:
    spans = [
        (fate.accepted_ns, fate.ended_ns)
        for fate in world.fates
        if fate.message.lane == lane and fate.ended_ns is not None
    ]
    edges = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    waiting = most = at_ns = 0
    for moment_ns, step in edges:
        waiting += step
        if waiting > most:
            most, at_ns = waiting, moment_ns
    return {"calls": most, "at_hour": round(at_ns / _HOUR_NS, 4)}


def write(numbers: Numbers, path: Path) -> None:
    """As JSON; the same numbers give the same bytes."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(numbers)) + b"\n")


def sentences(numbers: Numbers) -> list[str]:
    """For people, beside the certificate."""
    plan = numbers.plan
    peaks = ", ".join(
        f"{lane} {peak['calls']:g} at {_clock(peak['at_hour'])}"
        for lane, peak in numbers.backlog_peaks.items()
        if peak["calls"]
    )
    return [
        f"a day of {plan.hours:g} hours, pack {plan.pack}, seed {plan.seed}: {numbers.accepted} accepted "
        f"({numbers.duplicates} more were recognised as duplicates), all done after {numbers.ended_after_hours:.2f} h",
        f"longest lines: {peaks or 'nobody waited'}",
    ]


def _clock(hour: float) -> str:
    minutes = round(hour * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
