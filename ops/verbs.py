"""Operator verbs from the command line: to the daemon when one runs, else into the store."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from actors.settings import Settings
from contracts.errors import ContractError
from ops.client import Client, DaemonAway, Refused

DRAIN_SECONDS_MAX = 3_600.0


def run_verb(client: Client, settings: Settings, verb: str, order: dict[str, Any], as_json: bool) -> int:
    """Give or end the order and print its effect; `drain` also waits until nothing is left, showing an estimate.

    `order` has target, reason, who, dry_run, and `until` (aware, or None).

    Raises:
        DaemonAway: there is no daemon, and no store to write into.
        Refused: the daemon refuses it, or would; or the store cannot be used.
    """
    until = order["until"].isoformat() if order["until"] else None
    try:
        effect = client.operate(verb, **{**order, "until": until})
    except DaemonAway:
        if order["dry_run"] or not (settings.directory / "tidegate.db").exists():
            raise
        effect = _offline(settings, verb, order)
    if verb == "drain" and "in_flight_calls" in effect and not order["dry_run"]:
        effect.update(_wait_until_empty(client, as_json))
    sys.stdout.write((json.dumps(effect) if as_json else _sentence(effect)) + "\n")
    return 0 if effect["done"] or order["dry_run"] else 1


def _offline(settings: Settings, verb: str, order: dict[str, Any]) -> dict[str, Any]:
    """The same checks as in the daemon, then into the store."""
    # imported here, because the store's libraries take longer to load than everything else that a verb needs
    from actors.credit_policy import DOMAIN as CREDIT_POLICY
    from actors.erp_requests import DOMAIN as ERP_POSTER
    from actors.erp_requests import SYSTEM
    from actors.operator_places import Places, check
    from actors.operator_records import Command
    from actors.runtime.clock import SystemClock
    from broker.store.migrate import StoreRefused
    from broker.topology import domain_queues
    from ops.offline import operate

    queues = {domain: domain_queues(domain, settings.broker.partitions) for domain in (CREDIT_POLICY, ERP_POSTER)}
    command = Command(**order)
    try:
        check(verb, command, Places(SYSTEM, ERP_POSTER, queues), SystemClock().now())
        return operate(settings.directory, verb, command.target, command.who, command.reason, command.until)
    except ContractError as error:
        raise Refused({"title": error.title, "detail": error.detail, "code": error.code}) from None
    except StoreRefused as error:
        raise Refused(
            {"title": "The store cannot be used", "detail": str(error), "code": "store.unavailable"}
        ) from None


def _sentence(effect: dict[str, Any]) -> str:
    lines = [f"{effect['verb']} {effect['target']}: {effect['note']}"]
    if "waiting_calls" in effect:
        lines.append(
            f"{effect['queued_messages']} messages queued, {effect['waiting_calls']} calls waiting, "
            f"{effect['in_flight_calls']} calls in flight (they go on to their end)"
        )
    if "left" in effect:
        lines.append(f"left: {effect['left']}" if effect["left"] else "drained: nothing is left")
    return "\n".join(lines)


def _wait_until_empty(client: Client, as_json: bool) -> dict[str, Any]:
    """Until no work is left, nothing has moved for a minute, or an hour is over: a drain always ends."""
    begun = moved = time.monotonic()
    least: int | None = None
    while True:
        overview = client.overview()
        left = _left(overview)
        total = sum(left.values())
        now = time.monotonic()
        if least is None or total < least:
            least, moved = total, now
        if not total or now - moved > 60 or now - begun > DRAIN_SECONDS_MAX:
            return {"left": {name: count for name, count in left.items() if count}, "seconds": round(now - begun, 1)}
        if not as_json and sys.stderr.isatty():
            sys.stderr.write(f"\rdraining: {total} left ")
        time.sleep(0.5)


def _left(overview: dict[str, Any]) -> dict[str, int]:
    calls = overview["calls"]
    return {
        "messages queued": sum(queue["ready"] + queue["unsettled"] for queue in overview["queues"]),
        "calls waiting": sum(row["waiting"] for row in calls),
        "calls in flight": sum(row["in_flight"] for row in calls),
        "calls of unknown outcome": sum(row["unknown"] for row in calls),
    }
