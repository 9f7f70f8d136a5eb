"""Faults of people: orders while the daemon is killed, a mass retry too early, votes that must not count."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ops.client import DaemonAway, Refused
from tests.support.checkers import Finding
from tests.support.money_faults import QUICK, Findings, judged, once, posts, send
from tests.support.world import World, until, world

_GIVEN = ("pause", "hold", "drain")
_ENDED = {"pause": "resume", "hold": "release", "drain": "undrain"}
_TARGETS = {"pause": "erp-poster", "hold": "erp", "drain": "all"}


def orders_while_killed(place: Path, rounds: int = 6, seed: int = 11) -> Findings:
    """F83: pause, resume, hold, drain, purge, retry, while the daemon is killed again and again under load (F1)."""
    chance = random.Random(seed)
    with world(place, QUICK, "5..10") as house:
        house.erp.set_faults({"kind": "closed_period", "account": "acc-7"}, {"kind": "lost_answer", "rate": 0.1})
        taken: list[tuple[str, str]] = []
        for number in range(rounds):
            send(house, 15, first=15 * number)
            taken += _orders(house, chance, number)
            house.daemon.kill()
            house.daemon.start()
        findings = [*_stand(house, taken)]
        _end_all(house)
        _calm(house)  # what was held meets the closed period as well, or it would rightly go before what is stuck
        house.erp.set_faults()
        _retry_all(house)
        return [*findings, *judged(house), *_audited(house, taken)]


def _orders(house: World, chance: random.Random, number: int) -> list[tuple[str, str]]:
    """A few verbs; those whose answer came are taken: verb and reason."""
    taken = []
    with house.client() as client:
        for verb in chance.sample([*_GIVEN, *_ENDED.values(), "purge"], 4):
            reason = f"{verb} in round {number}"
            try:
                client.operate(verb, **_command(verb, reason))
                taken.append((verb, reason))
            except (DaemonAway, Refused):
                continue
        if any(verb == "drain" for verb, _ in taken):  # else nothing could be sent in the next round
            reason = f"undrain after round {number}"
            client.operate("undrain", target="all", reason=reason, who="kim")
            taken.append(("undrain", reason))
    return taken


def _command(verb: str, reason: str) -> dict[str, Any]:
    if verb == "purge":
        return {"scope": "failure:json.syntax", "reason": reason, "who": "kim", "dry_run": True}
    opposite = {end: given for given, end in _ENDED.items()}
    return {"target": _TARGETS[opposite.get(verb, verb)], "reason": reason, "who": "kim"}


def _stand(house: World, taken: list[tuple[str, str]]) -> Iterator[Finding]:
    """After the last kill exactly those orders are in force that were given last, and not ended."""
    wanted: dict[str, str] = {}
    for verb, reason in taken:
        given = next((name for name, end in _ENDED.items() if end == verb), None)
        if verb in _GIVEN:
            wanted[verb] = reason
        elif given is not None:
            wanted.pop(given, None)
    found = {order["verb"]: order["reason"] for order in house.overview().get("orders", [])}
    if found != wanted:
        yield Finding("I5", f"in force are {found}, given were {wanted}")


def _end_all(house: World) -> None:
    with house.client() as client:
        for order in house.overview()["orders"]:
            client.operate(_ENDED[order["verb"]], target=order["target"], reason="the end", who="kim")


def _calm(house: World) -> None:
    until(
        lambda: not any(row["waiting"] + row["in_flight"] + row["unknown"] for row in house.overview()["calls"]), "calm"
    )


def _retry_all(house: World) -> None:
    with house.client() as client:
        if client.exceptions(200):
            shown = client.operate("retry", scope="failure:closed_period", reason="open", who="lea", dry_run=True)
            client.operate("commit", token=shown["token"], who="lea")
            until(lambda: not client.exceptions(200), "all went again", 60)


def _calls(house: World) -> list[dict[str, Any]]:
    return list(house.overview().get("calls", [{"waiting": 1, "in_flight": 0, "unknown": 0}]))


def _audited(house: World, taken: list[tuple[str, str]]) -> Iterator[Finding]:
    """Each verb that was answered is in the audit, with who and why."""
    told = {(actor, json.loads(facts).get("reason")) for actor, _, facts in _entries(house)}
    for verb, reason in taken:
        if verb != "purge" and ("kim", reason) not in told:
            yield Finding("I5", f"{reason!r} was answered and is not in the audit")


# mass retry -------------------------------------------------------------------------------------------------------


def retried_while_the_cause_remains(place: Path) -> Findings:
    """F85: forty calls are sent again while the period is still closed; then it is opened."""
    with world(place, QUICK, "5..10") as house:
        house.erp.set_faults({"kind": "closed_period"})
        send(house, 40)
        until(lambda: _stuck(house) == 40, "all are with a person", 60)
        spent = sum(posts(house).values())
        first = _mass_retry(house)
        until(lambda: "stopped" in _runs(house), "the canary stops it", 30)
        cost = sum(posts(house).values()) - spent
        findings = [Finding("I3", f"the retry cost {cost} calls, 1 was stated")] if cost > 1 else []
        if "costs 1 call" not in first["note"]:
            findings.append(Finding("I5", f"what it costs was not stated: {first['note']}"))
        house.erp.set_faults()
        house.daemon.kill()
        house.daemon.start()
        _mass_retry(house)
        until(lambda: _stuck(house) == 0, "all went again", 90)
        return [*findings, *judged(house), *once(house, 3, "a retry is one call, under the same intent")]


def _stuck(house: World) -> int:
    return sum(int(row["open"]) for row in house.overview().get("exceptions", []))


def _mass_retry(house: World) -> dict[str, Any]:
    with house.client() as client:
        shown = client.operate("retry", scope="failure:closed_period", reason="it is open now", who="lea", dry_run=True)
        return client.operate("commit", token=shown["token"], who="lea")


def _runs(house: World) -> str:
    """What the audit says of retries."""
    return " ".join(verb for _, verb, _ in _entries(house) if verb.startswith("retry."))


def _entries(house: World) -> list[tuple[str, str, str]]:
    """Who, what and the facts of every audit entry."""
    connection = sqlite3.connect(f"{house.store_path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT actor, verb, facts FROM audit ORDER BY seq").fetchall()
    finally:
        connection.close()


# approvals --------------------------------------------------------------------------------------------------------

APPROVALS = (
    "tests/acceptance/test_approvals_are_bound.py",
    "tests/unit/policies/test_approval.py",
    "tests/unit/test_support_cannot_post.py",
)


def approvals(place: Path) -> Findings:
    """F86: own credit, a vote sent again, an amount changed after approval: by the tests that say so."""
    return suite(*APPROVALS)


def suite(*tests: str) -> Findings:
    """Tests as findings."""
    command = [sys.executable, "-m", "pytest", "-q", "-rf", *tests]
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode and not failed:
        failed = [f"after {time.monotonic() - begun:.0f} s: {done.stdout[-300:]}{done.stderr[-300:]}"]
    return [Finding("F86", line) for line in failed]
