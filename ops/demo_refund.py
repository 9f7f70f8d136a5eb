"""`tidegate demo-refund`: all systems as processes, one case told, one taken back, then an incident of many, judged."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from ops.certificate import certify
from ops.certificate.present import show
from ops.cli_incidents import present_reconciliation
from ops.client import Client, DaemonAway
from ops.demo import Killer
from ops.demo_refund_approval import Approver
from ops.demo_refund_judge import Verdict, judge
from ops.demo_refund_story import tell_stories
from ops.packs import PackMessage
from ops.process import DaemonProcess
from ops.rabbitmq_node import RabbitNode
from ops.sandbox.limits import profile_words
from ops.surge import Progress, Surge
from ops.surging import Screen
from ops.systems import Systems

PATIENCE_SECONDS = 120.0
LOST_SECONDS = 3.0
LATE_SECONDS, CUT_SECONDS = 2.5, 0.5
TENANT, INCIDENT, FEE_TIMES = "acme", "INC-2041", 10
_LOOK_SECONDS = 1.0


class Wave(msgspec.Struct, frozen=True):
    """An incident wave: how many cases, and which shares of the systems' answers are lost, late or refusals."""

    cases: int
    seed: int
    profile: str
    lost: float
    late: float
    refused: float
    kills: int = 0
    broker: str = "embedded"

    def faults(self) -> dict[str, list[dict[str, Any]]]:
        """What each system does wrong. The ERP refuses by account of its own mind; the others are only unreliable."""
        lost = {"kind": "lost_answer", "rate": self.lost, "seed": self.seed}
        late = {"kind": "late_commit", "rate": self.late, "seed": self.seed + 1}
        late |= {"seconds": LATE_SECONDS, "close_after_seconds": CUT_SECONDS}
        refuse = {"kind": "refuse", "rate": self.refused, "seed": self.seed + 2}
        return {
            "erp": [refuse, lost, late],
            **{name: [lost, late] for name in ("billing", "support", "crm", "revenue")},
        }


def run_demo_refund(wave: Wave, out: Path, as_json: bool) -> int:
    """The demo; its exit code says whether everything held. All systems' ledgers and logs stay under `out`."""
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    say = sys.stderr.write if as_json else sys.stdout.write
    with ExitStack() as stack:
        systems = Systems(out, wave.profile, ("200/1s", "20 concurrent"), "5..20", wave.seed, LOST_SECONDS)
        stack.enter_context(systems)
        node = RabbitNode() if wave.broker == "rabbitmq" else None
        settings = systems.settings()
        if node is not None:
            stack.callback(node.close)
            settings["TIDEGATE_BROKER__URL"] = node.start().url()
        daemon = stack.enter_context(DaemonProcess(out / "data", settings))
        client = stack.enter_context(Client(daemon.url, out / "data" / "operator.token"))
        say(f"five systems and a daemon, each a process with a log of its own, under {out}\n")
        tell_stories(client, daemon.url, systems, say)
        if not wave.cases:
            return 0
        say(
            f"\nAn incident of {wave.cases} cases. {wave.lost:.0%} of all answers are lost, {wave.late:.0%} of the "
            f"posts are carried out late, the ERP refuses {wave.refused:.0%}. "
            f"The ERP's limits: profile {wave.profile} ({', '.join(profile_words(wave.profile)) or 'none'}).\n"
        )
        systems.set_faults(wave.faults())
        killer = Killer(daemon, node, wave.kills)
        return _run_wave(client, systems, wave, killer, out, as_json, say)


def _run_wave(
    client: Client, systems: Systems, wave: Wave, killer: Killer, out: Path, as_json: bool, say: Callable[[str], Any]
) -> int:
    since_ns, begun = time.monotonic_ns(), time.monotonic()
    before = {name: {document.reference for document in system.documents()} for name, system in systems.all.items()}
    with Screen(as_json, f"incident {INCIDENT}, {wave.cases} cases, seed {wave.seed}") as screen:
        approver = Approver(client, systems, INCIDENT)

        def tell(progress: Progress) -> None:
            screen.tell(progress)
            killer.step(progress)
            if progress.accepted == progress.total:
                approver.look()

        surge = _OneIncident(client, wave, tell)
        surge.run(out / "accepted.jsonl")
        ended = _wait_for_processes(client, approver, screen, surge.progress)
        surge.refresh()
    surge.write(out / "accepted.jsonl")
    report = client.incident(INCIDENT, "reconcile")
    (out / f"{INCIDENT}.json").write_text(json.dumps(report, indent=1) + "\n")
    if hold := client.incident(INCIDENT).get("hold"):
        say(f"\nThe incident is held by {hold['who']}: {hold['reason']}\n")
    approved = approver.released()
    _amend(out / "accepted.jsonl", approved)
    certificate = certify(systems.erp.log_path, out / "accepted.jsonl", since_ns=since_ns)
    overview = client.overview()
    unknown = sum(row["unknown"] for row in overview["calls"])
    verdict = judge(systems, before, surge.expected(), unknown, ended)
    holds = verdict.holds and certificate.verdict == "PASS" and report["agrees"] and ended
    if as_json:
        told = {"certificate": msgspec.to_builtins(certificate), "verdict": msgspec.to_builtins(verdict)}
        sys.stdout.write(json.dumps({**told, "incident": report, "approval": approver.told}) + "\n")
        return 0 if holds else 1
    show(certificate, sys.stdout)
    say(f"\n{len(approved)} credits were approved by people, all at once; how that went:\n")
    for line in approver.told:
        say(f"  {line}\n")
    say(f"The daemon was killed {len(killer.marks)} times.\n" if killer.marks else "")
    say("\nReconciled by the daemon:\n")
    present_reconciliation(report, lambda line: say(f"{line}\n"))
    say("\n")
    _present(verdict, say)
    say(f"\n{time.monotonic() - begun:.0f} s; ledgers and logs of all systems are under {out}\n")
    return 0 if holds else 1


class _OneIncident(Surge):
    """The incident pack, with all of its cases of one tenant and one incident, and of dear contracts: so that most
    credits need people, and one approval is about all of them."""

    def __init__(self, client: Client, wave: Wave, tell: Callable[[Progress], None]) -> None:
        super().__init__(client, "incident", wave.cases, wave.seed, tell, PATIENCE_SECONDS)
        self._messages = [_of_one(message) for message in self._messages]


def _of_one(message: PackMessage) -> PackMessage:
    data = {**message.event["data"], "incident_id": INCIDENT}
    fee = data["monthly_fee"]
    data["monthly_fee"] = {**fee, "amount": str(Decimal(fee["amount"]) * FEE_TIMES)}
    event = {**message.event, "tenant": TENANT, "data": data}
    return msgspec.structs.replace(message, event=event, tenant=TENANT)


def _amend(path: Path, approved: dict[str, int]) -> None:
    """What waited for people holds up nothing behind it: it is held to the order of approval, as a lane of its own.

    The ERP may refuse any case. Which cases must have a credit is judged from billing's ledger instead.
    """
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        if "event" in row:  # not a message of ours, but what was seen besides
            continue
        if row["key"] in approved:
            row["lane"], row["sequence"] = "approved", approved[row["key"]]
        row["expected"] = "either" if row["expected"] == "post" else row["expected"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _wait_for_processes(client: Client, approver: Approver, screen: Screen, progress: Progress) -> bool:
    """Until the incident is approved and every process has ended; whether they have."""
    moved, last = time.monotonic(), -1
    while True:
        try:
            approver.look()
            overview = client.overview()
            left = sum(row["count"] for row in overview["processes"] if row["phase"] != "ended")
            progress.waiting = {row["lane"]: row["waiting"] for row in overview["calls"]}
            progress.budget = overview["budget"]
            progress.note = f"{left} credits on their way; {approver.note}"
            screen.tell(progress)
        except DaemonAway:
            left = last
        if left == 0 and approver.done:
            return True
        if left != last:
            moved, last = time.monotonic(), left
        elif time.monotonic() - moved > PATIENCE_SECONDS:
            return False
        time.sleep(_LOOK_SECONDS / 2)


def _present(verdict: Verdict, say: Callable[[str], Any]) -> None:
    say("Judged from the ledgers of the five systems:\n")
    for finding in verdict.findings:
        say(f"  {'holds' if finding.holds else 'FAILS'}  {finding.what}: {finding.measured}\n")
        for example in finding.examples:
            say(f"         {example}\n")
