"""`tidegate demo-refund`: all systems as processes, one case told, one taken back, then a wave of many, judged."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from ops.certificate import certify
from ops.certificate.present import show
from ops.client import Client, DaemonAway, Refused
from ops.demo import Killer
from ops.demo_refund_judge import Verdict, judge
from ops.demo_refund_story import tell_stories
from ops.process import DaemonProcess
from ops.rabbitmq_node import RabbitNode
from ops.surge import Progress, Surge
from ops.surging import Screen
from ops.systems import Systems

PATIENCE_SECONDS = 120.0
LOST_SECONDS = 3.0
LATE_SECONDS, CUT_SECONDS = 2.5, 0.5
_APPROVERS = ("anna", "tom")
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
        tell_stories(client, systems, say)
        if not wave.cases:
            return 0
        say(
            f"\nAn incident of {wave.cases} cases. {wave.lost:.0%} of all answers are lost, {wave.late:.0%} of the "
            f"posts are carried out late, the ERP refuses {wave.refused:.0%}. "
            f"The ERP's limits: profile {wave.profile}.\n"
        )
        systems.set_faults(wave.faults())
        killer = Killer(daemon, node, wave.kills)
        return _run_wave(client, systems, wave, killer, out, as_json, say)


def _run_wave(
    client: Client, systems: Systems, wave: Wave, killer: Killer, out: Path, as_json: bool, say: Callable[[str], Any]
) -> int:
    since_ns, begun = time.monotonic_ns(), time.monotonic()
    before = {name: {document.reference for document in system.documents()} for name, system in systems.all.items()}
    with Screen(as_json, f"incident wave, {wave.cases} cases, seed {wave.seed}") as screen:
        approver = _Approver(client)

        def tell(progress: Progress) -> None:
            screen.tell(progress)
            killer.step(progress)
            approver.approve_all()

        surge = Surge(client, "incident", wave.cases, wave.seed, tell, PATIENCE_SECONDS)
        surge.run(out / "accepted.jsonl")
        ended = _wait_for_processes(client, approver)
        surge.refresh()
    surge.write(out / "accepted.jsonl")
    _amend(out / "accepted.jsonl", approver.approved)
    certificate = certify(systems.erp.log_path, out / "accepted.jsonl", since_ns=since_ns)
    overview = client.overview()
    unknown = sum(row["unknown"] for row in overview["calls"])
    verdict = judge(systems, before, surge.expected(), unknown, ended)
    if as_json:
        told = {"certificate": msgspec.to_builtins(certificate), "verdict": msgspec.to_builtins(verdict)}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        show(certificate, sys.stdout)
        say(f"\n{len(approver.approved)} credits were approved by people, one by one.\n")
        say(f"The daemon was killed {len(killer.marks)} times.\n" if killer.marks else "")
        _present(verdict, say)
        say(f"\n{time.monotonic() - begun:.0f} s; ledgers and logs of all systems are under {out}\n")
    return 0 if verdict.holds and certificate.verdict == "PASS" else 1


def _amend(path: Path, approved: dict[str, int]) -> None:
    """What waited for people holds up nothing behind it: it is held to the order of approval, as a lane of its own.

    The ERP may refuse any case.

    Which cases must have a credit is judged from billing's ledger instead.
    """
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        if row["key"] in approved:
            row["lane"], row["sequence"] = f"{row['lane']} approved", approved[row["key"]]
        row["expected"] = "either" if row["expected"] == "post" else row["expected"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


class _Approver:
    """Two people of the finance team, who look once a second at what waits for them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._last = 0.0
        self.approved: dict[str, int] = {}
        """In which order, by key."""

    def approve_all(self) -> None:
        """Approve what waits; a vote that does not count any more (somebody was faster) is left."""
        if time.monotonic() - self._last < _LOOK_SECONDS:
            return
        self._last = time.monotonic()
        try:
            for item in self._client.approvals(200):
                for who in _APPROVERS[: item["people"]]:
                    self._vote(item, who)
        except DaemonAway:
            return

    def _vote(self, item: dict[str, Any], who: str) -> None:
        try:
            reason = "the outage is confirmed"
            effect = self._client.vote(item["key"], "approve", who=who, digest=item["digest"], reason=reason)
            if effect["result"] in ("approved", "taken"):
                self.approved.setdefault(item["key"], len(self.approved) + 1)
        except Refused:
            return


def _wait_for_processes(client: Client, approver: _Approver) -> bool:
    """Until every process has ended; whether they have."""
    moved, last = time.monotonic(), -1
    while True:
        approver.approve_all()
        left = sum(row["count"] for row in client.overview()["processes"] if row["phase"] != "ended")
        if left == 0:
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
