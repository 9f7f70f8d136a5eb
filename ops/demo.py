"""`tidegate demo`: a sandbox ERP, a real daemon, an incident; killed in mid-surge on request; certified."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from ops.client import Client
from ops.process import DaemonProcess
from ops.rabbitmq_node import RabbitNode
from ops.report.series import Mark
from ops.sandbox.limits import profile_words
from ops.sandbox.process import SandboxProcess
from ops.surge import Progress
from ops.surge_evidence import Evidence
from ops.surging import run_surge


class Killer:
    """Kills the daemon (and the broker, if there is one) at steps of the surge, and starts them again."""

    def __init__(
        self, daemon: DaemonProcess, node: RabbitNode | None, times: int, evidence: Evidence | None = None
    ) -> None:
        self._daemon = daemon
        self._evidence = evidence or Evidence()
        self._node = node
        self._times = times
        self.marks: list[Mark] = []

    def step(self, progress: Progress) -> None:
        """Kill when the next point has been passed: spread over the part in which the ERP is the bottleneck."""
        done = len(self.marks)
        if done < self._times and progress.settled >= progress.total * ((done + 1) / (self._times + 1)) ** 0.5:
            if self._node is not None:
                self._node.kill()
            self._evidence.gone("killed with SIGKILL", sharply=True)
            self._daemon.kill()
            self.marks.append(Mark(time.monotonic_ns(), f"kill -9 number {done + 1}"))
            if self._node is not None:
                self._node.start()
            self._daemon.start()


def run_demo(
    cases: int, seed: int, profile: str, kills: int, broker: str, out: Path, as_json: bool, pack: str = "incident"
) -> int:
    """The demo; its exit code says whether the certificate passed. Everything it made stays under `out`."""
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    say = sys.stderr.write if as_json else sys.stdout.write
    limits = profile_words(profile)
    allowed = ", ".join(limits) or "no limits"
    say(f"sandbox ERP with profile {profile} ({allowed}); a daemon; pack {pack}, {cases} cases\n")
    settings = {
        "TIDEGATE_ERP__LIMITS": ",".join(limits) or "1000000/1s",
        "TIDEGATE_ERP__TIMEOUT_SECONDS": "5",
        "TIDEGATE_ERP__LOST_SECONDS": "2",
    }
    with ExitStack() as stack:
        node = None
        if broker == "rabbitmq":
            node = RabbitNode()
            stack.callback(node.close)
            settings["TIDEGATE_BROKER__URL"] = node.start().url()
            say(f"a RabbitMQ node of our own on port {node.port}\n")
        erp = stack.enter_context(SandboxProcess(out / "erp", profile, latency_ms="40..60", seed=seed))
        daemon = stack.enter_context(DaemonProcess(out / "data", {**settings, "TIDEGATE_ERP__URL": erp.url}))
        client = stack.enter_context(Client(daemon.url, out / "data" / "operator.token"))
        say(f"daemon at {daemon.url}, ERP at {erp.url}; everything is kept under {out}\n")
        evidence = Evidence()
        killer = Killer(daemon, node, kills, evidence)
        log = erp.log_path
        return run_surge(
            client, pack, cases, seed, log, out, as_json, killer.step, lambda: killer.marks, evidence=evidence
        )
