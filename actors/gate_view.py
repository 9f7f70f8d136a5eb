"""The gate for people: what each limit was configured to be and what it is now, why, and how long limits will go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from actors.house import House
from actors.operator_windows import WINDOW
from actors.runtime.clock import Clock, moment
from policies.adaptive import Change
from policies.calendar_words import split_zone
from policies.governor import Frozen
from policies.plan import Outlook


def at(clock: Clock, moment_ns: int | None) -> str | None:
    """A moment of the boot clock as RFC 3339 text, to the second."""
    if moment_ns is None:
        return None
    there = clock.now() + timedelta(microseconds=(moment_ns - clock.boot_ns()) // 1_000)
    return there.isoformat(timespec="seconds").replace("+00:00", "Z")


def learned(house: House) -> list[dict[str, Any]]:
    """Each limit: its ceiling, what is kept now, what others were seen to use, when more is tried."""
    if house.poster is None:
        return []
    return [
        {
            "limit": one.limit,
            "ceiling": one.ceiling,
            "effective": one.effective,
            "told": one.told,
            "others": one.others,
            "reserve": one.reserve,
            "refusals": one.refusals,
            "tries_at": at(house.clock, one.tries_at_ns),
        }
        for one in house.poster.gate.governor.standings(house.clock.boot_ns())
    ]


def changes(house: House) -> list[dict[str, Any]]:
    """What changed at the gate last, newest first: when, what, from, to, why."""
    if house.poster is None:
        return []
    return [_change(house.clock, one) for one in reversed(house.poster.gate.governor.recent)]


def _change(clock: Clock, one: Change | Frozen) -> dict[str, Any]:
    if isinstance(one, Frozen):
        subject = one.limit if one.object is None else f"calls on {one.object}"
        return {"at": at(clock, one.at_ns), "limit": subject, "frozen_until": at(clock, one.until_ns), "why": one.why}
    return {"at": at(clock, one.at_ns), "limit": one.limit, "was": one.was, "now": one.now, "why": one.why}


def rests(house: House) -> list[dict[str, Any]]:
    """Operations that fail too often and get a rest."""
    if house.poster is None:
        return []
    found = house.poster.gate.rests(house.clock.boot_ns())
    return [{"until": at(house.clock, one.until_ns), "why": one.reason} for one in found]


def calendar(house: House) -> dict[str, Any]:
    """What the calendar closes now, and the windows that come."""
    if house.poster is None or house.poster.pace is None:
        return {}
    pace, now = house.poster.pace, house.clock.now()
    state = pace.calendar.at(now)
    closed = [one for one in (state.all, state.posts, state.bulk) if one is not None]
    return {
        "zone": pace.calendar.zone,
        "closed": [{"kind": one.kind, "why": one.reason, "until": _text(one.until)} for one in closed],
        "coming": [
            {"kind": one.kind, "window": one.words, "begin": _text(one.begin), "end": _text(one.end)}
            for one in pace.calendar.coming(now)
        ],
        "windows": _windows(house),
    }


def _windows(house: House) -> list[dict[str, Any]]:
    """Every window with who gave it, why and until when; those of the settings have nobody."""
    given = {order.target: order for order in house.controls.in_force((WINDOW,))}
    found = []
    for kind, words in house.live.calendar().words.items():
        for one in words:
            order = given.get(f"{kind}:{one}")
            row: dict[str, Any] = {
                "kind": kind,
                "window": one,
                "zone": split_zone(one)[1] or house.live.calendar().zone,
            }
            row |= {"who": order.who, "reason": order.reason} if order else {"who": None, "reason": "configured"}
            row["until"] = None if order is None or order.until is None else _text(moment(order.until))
            found.append(row)
    return found


def _text(at: Any) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")


def plans(house: House) -> list[dict[str, Any]]:
    """How each limit of an hour and longer will go at the pace of late, in figures and in a sentence."""
    if house.poster is None or house.poster.pace is None:
        return []
    return [_plan(house.clock, one) for one in house.poster.pace.outlooks()]


def _plan(clock: Clock, one: Outlook) -> dict[str, Any]:
    now_ns = clock.boot_ns()
    dry = None if one.dry_in_ns is None else at(clock, now_ns + one.dry_in_ns)
    free = None if one.free_in_ns is None else at(clock, now_ns + one.free_in_ns)
    return {
        "limit": one.limit,
        "used": one.used,
        "allowed": one.allowed,
        "waiting": one.waiting,
        "pace_per_hour": round(one.pace, 1),
        "dry_at": dry,
        "free_at": free,
        "short": one.short,
        "sentence": plan_sentence(clock, one),
    }


def plan_sentence(clock: Clock, one: Outlook) -> str:
    """The plan in plain words."""
    now_ns = clock.boot_ns()
    if one.dry_in_ns is None:
        return f"{one.used} of {one.limit} are spent; at this pace it lasts."
    dry, free = at(clock, now_ns + one.dry_in_ns), at(clock, now_ns + (one.free_in_ns or 0))
    return (
        f"{one.used} of {one.limit} are spent; with {one.waiting} waiting and {one.pace:.0f} an hour more it will be "
        f"dry at {dry}, {one.short} will still wait then, and there is room again from {free}."
    )
