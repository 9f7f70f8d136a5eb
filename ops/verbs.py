"""Operator verbs from the command line: to the daemon when one runs, else (orders only) into the store."""

from __future__ import annotations

import json
import shutil
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from actors.settings import Settings
from contracts.errors import ContractError
from ops.client import Client, DaemonAway, Refused

LEFT_NAMED = 20
"""Ids of each kind that are printed of what a drain left; all that are known with --json."""


def run_verb(
    client: Client, settings: Settings, verb: str, order: dict[str, Any], as_json: bool, within: timedelta | None = None
) -> int:
    """Give or end the order and print its effect; `drain` also waits until nothing is left, showing an estimate.

    `order` has target, reason, who, dry_run, and `until` and `begins` (aware, or None). A drain ends after `within`
    at the latest. The exit code: 1 when it left something.

    Raises:
        DaemonAway: there is no daemon, and no store to write into.
        Refused: the daemon refuses it, or would; or the store cannot be used.
    """
    try:
        effect = client.operate(verb, **_wire(order))
    except DaemonAway:
        if order["dry_run"] or not (settings.directory / "tidegate.db").exists():
            raise
        effect = _offline(settings, verb, order)
    if verb == "drain" and "in_flight_calls" in effect and not order["dry_run"]:
        effect.update(_wait_until_empty(client, as_json, within or timedelta(minutes=10)))
    _print(effect, as_json)
    return 0 if (effect["done"] and not effect.get("left")) or order["dry_run"] else 1


def run_command(client: Client, verb: str, command: dict[str, Any], as_json: bool) -> int:
    """Carry out, or with dry_run show, any other verb; the exit code.

    Raises:
        DaemonAway, Refused: nothing was changed.
    """
    _print(client.operate(verb, **_wire(command)), as_json)
    return 0


def run_commit(client: Client, token: str, who: str, as_json: bool, export: Path | None = None) -> int:
    """Carry out what a dry run has shown; the exit code. `export`: where to copy what was exported.

    Raises:
        DaemonAway, Refused: nothing was changed.
    """
    effect = client.operate("commit", token=token, who=who)
    if export is not None and effect.get("export"):
        shutil.copyfile(effect["export"], export)
        effect["export"] = str(export)
    _print(effect, as_json)
    return 0


def _wire(command: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in command.items()}


def _offline(settings: Settings, verb: str, order: dict[str, Any]) -> dict[str, Any]:
    """The same checks as in the daemon, then into the store."""
    # imported here, because the store's libraries take longer to load than everything else that a verb needs
    from actors.credit_policy import DOMAIN as CREDIT_POLICY
    from actors.erp_requests import DOMAIN as ERP_POSTER
    from actors.erp_requests import OPERATION, SYSTEM
    from actors.operator_places import Places, check
    from actors.operator_records import Command
    from actors.processes_build import connected
    from actors.runtime.clock import SystemClock
    from broker.store.migrate import StoreRefused
    from broker.topology import domain_queues
    from ops.offline import operate
    from policies.process import operations_of

    partitions = settings.broker.partitions
    queues = {domain: domain_queues(domain, partitions) for domain in (CREDIT_POLICY, ERP_POSTER)}
    command = Command(**order)
    try:
        beside = connected(settings)
        places = Places(SYSTEM, ERP_POSTER, queues, partitions, (OPERATION, *operations_of(beside)), beside)
        scope = check(verb, command, places, SystemClock().now())
        return operate(settings.directory, settings.anchors, verb, str(scope), command)
    except ContractError as error:
        raise Refused({"title": error.title, "detail": error.detail, "code": error.code}) from None
    except StoreRefused as error:
        raise Refused(
            {"title": "The store cannot be used", "detail": str(error), "code": "store.unavailable"}
        ) from None


# printing ----------------------------------------------------------------------------------------------------


def _print(effect: dict[str, Any], as_json: bool) -> None:
    sys.stdout.write((json.dumps(effect) if as_json else sentence(effect)) + "\n")


def sentence(effect: dict[str, Any]) -> str:
    """An effect as lines for people."""
    lines = [f"{effect['verb']} {effect['target']}: {effect['note']}"]
    if "waiting_calls" in effect:
        lines.append(_objects(effect))
    if effect.get("before") or effect.get("after"):
        lines.append(f"{effect.get('before') or 'nothing'} -> {effect.get('after') or effect['verb']}")
    if effect.get("eta") or effect.get("eta_after"):
        lines.append(
            f"the last of them: {effect.get('eta') or 'not known'} -> {effect.get('eta_after') or 'not known'}"
        )
    if effect.get("left_alone"):
        lines.append(f"left alone: {_some(effect['left_alone'])}")
    if effect.get("export"):
        lines.append(f"exported to {effect['export']}")
    if effect.get("token"):
        lines.append(f"to carry it out: --commit {effect['token']} (good until {effect['expires']})")
    elif effect.get("operation") and effect["verb"] != "undo":
        lines.append(f"operation {effect['operation']}")
    if "left" in effect:
        lines += _left_lines(effect) if effect["left"] else ["drained: nothing is left"]
    return "\n".join(lines)


def _objects(effect: dict[str, Any]) -> str:
    parts = [f"{effect['queued_messages']} messages queued, {effect['waiting_calls']} calls waiting"]
    if effect.get("money"):
        parts.append(" + ".join(f"{amount} {currency}" for currency, amount in effect["money"].items()))
    parts.append(f"{effect['in_flight_calls']} calls in flight (they go on to their end)")
    return ", ".join(parts)


def _left_lines(effect: dict[str, Any]) -> list[str]:
    ids = effect.get("left_ids", {})
    lines = [f"left after {effect['seconds']:g} s, all of it durable:"]
    return lines + [f"  {count} {name}: {_some(ids.get(name, []), count)}" for name, count in effect["left"].items()]


def _some(ids: list[str], count: int | None = None) -> str:
    more = (len(ids) if count is None else count) - LEFT_NAMED
    return ", ".join(ids[:LEFT_NAMED]) + (f" and {more} more" if more > 0 else "")


# drain -------------------------------------------------------------------------------------------------------


def _wait_until_empty(client: Client, as_json: bool, within: timedelta) -> dict[str, Any]:
    """Until no work is left or the time is over; what is left then, by id. It always ends."""
    begun = time.monotonic()
    while True:
        left = client.look("left")
        seconds = time.monotonic() - begun
        if not left["counts"] or seconds >= within.total_seconds():
            return {"left": left["counts"], "left_ids": left["ids"], "seconds": round(seconds, 1)}
        if not as_json and sys.stderr.isatty():
            sys.stderr.write(f"\rdraining: {sum(left['counts'].values())} left, ETA {left['eta'] or 'not known'} ")
        time.sleep(min(0.5, max(within.total_seconds() - seconds, 0.01)))
