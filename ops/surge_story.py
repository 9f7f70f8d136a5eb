"""What happens to a daemon in the middle of a surge: kills, other limits, another weight, a pause. All by command.

Limits change in the one order in which nobody is ever over: first the daemon keeps the old and the new ones, until
what it has sent fits; then the ERP changes, and its log says from when; then the daemon lets go of the old ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from ops.client import Client
from ops.process import ROOT, DaemonProcess
from ops.report.series import Mark
from ops.sandbox.limits import Limit
from ops.sandbox.process import SandboxProcess
from ops.surge import Progress
from ops.surge_evidence import Evidence
from ops.surge_limits import both, instead, words

FIT_SECONDS_MAX = 120.0
_LOOK_SECONDS = 0.1
WHO = "surge"


class StoryFailed(Exception):
    """Something that belongs to the run could not be done; the text says what."""


class Moment(Struct, frozen=True):
    """Something to do once, when so much of the surge is settled and so many seconds of it are over."""

    label: str
    act: Callable[[], object]
    share: float = 0.0
    seconds: float = 0.0


class Verbs:
    """The command line, as people use it."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self._daemon = daemon

    def __call__(self, *arguments: str) -> dict[str, Any]:
        """Run a verb; what it printed.

        Raises:
            StoryFailed: it was refused, or failed.
        """
        command = [sys.executable, str(ROOT / "run.py"), "--json", "--data", str(self._daemon.data), *arguments]
        environ = {**os.environ, "TIDEGATE_URL": self._daemon.url}
        done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=120, check=False)
        if done.returncode != 0:
            raise StoryFailed(f"tidegate {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


class Story:
    """Does one moment after the other. `marks` says what was done and when, for the report."""

    def __init__(
        self, client: Client, daemon: DaemonProcess, erp: SandboxProcess, evidence: Evidence, limits: Sequence[Limit]
    ) -> None:
        """`limits`: those that ERP and daemon have at the beginning."""
        self._client = client
        self._daemon = daemon
        self._erp = erp
        self._evidence = evidence
        self._limits: tuple[Limit, ...] = tuple(limits)
        self._known: tuple[Limit, ...] = tuple(limits)
        self._moments: list[Moment] = []
        self._begun = time.monotonic()
        self.verbs = Verbs(daemon)
        self.marks: list[Mark] = []
        self._starved_seconds = 0.0

    @property
    def starved_percent(self) -> float:
        """Of the time so far in which other programs kept the daemon waiting for a processor, over all its lives."""
        starved_seconds = self._starved_seconds + self._daemon.starved_seconds()
        return 100 * starved_seconds / max(time.monotonic() - self._begun, 1e-9)

    def tell(self, moments: Sequence[Moment]) -> None:
        """What is to happen, in this order."""
        self._moments = list(moments)

    @property
    def untold(self) -> list[str]:
        """What has not happened."""
        return [moment.label for moment in self._moments]

    def step(self, progress: Progress) -> None:
        """Do what is due: at most one thing, so that there is a look at the surge between two."""
        if not self._moments:
            return
        moment = self._moments[0]
        share = progress.settled / max(progress.total, 1)
        if share >= moment.share and time.monotonic() - self._begun >= moment.seconds:
            self._moments.pop(0)
            moment.act()
            self.marks.append(Mark(time.monotonic_ns(), moment.label))

    # what can happen -----------------------------------------------------------------------------------------

    def kill(self) -> None:
        """SIGKILL to the daemon, and a new one on the same directory."""
        self._evidence.gone("killed with SIGKILL", sharply=True)
        self._starved_seconds += self._daemon.starved_seconds()
        self._daemon.kill()
        self._daemon.start()
        self._look()

    def change(self, limits: Sequence[Limit], note: str) -> None:
        """Other limits, at the ERP and in the daemon; `note` goes into the ERP's log.

        Raises:
            StoryFailed: what the daemon has sent does not fit the new limits within two minutes.
        """
        self._known = both(self._known, limits)
        with self._evidence.steering(note):
            self._set_rate(instead(self._known, both(self._limits, limits)), note)
            self._await_fit()
            self._erp.set_limits(*words(limits), note=note)
            self._limits = tuple(limits)
            self._set_rate(instead(self._known, self._limits), note)

    def weigh(self, tenant: str, weight: int) -> None:
        """Another weight of a tenant."""
        self.verbs("set", "weight", f"tenant:{tenant}", str(weight), "--who", WHO, "--reason", "a go-live")
        self._look()

    def pause(self, tenant: str, seconds: int) -> None:
        """No call of a tenant starts for so long; it ends by itself."""
        self.verbs("pause", "--tenant", tenant, "--for", f"{seconds}s", "--who", WHO, "--reason", "their migration")
        self._look()

    def _set_rate(self, limits: Sequence[Limit], note: str) -> None:
        self.verbs("set", "rate", "erp", ",".join(words(limits)), "--who", WHO, "--reason", note)

    def _await_fit(self) -> None:
        """Until no limit is exceeded by what was sent under those before, calls in flight counted as the gate does."""
        end = time.monotonic() + FIT_SECONDS_MAX
        while any(row["used"] > row["limit"] for row in self._look()["budget"]):
            if time.monotonic() > end:
                raise StoryFailed(f"after {FIT_SECONDS_MAX:g} s what was sent does not fit the new limits")
            time.sleep(_LOOK_SECONDS)

    def _look(self) -> dict[str, Any]:
        overview = self._client.overview()
        self._evidence.seen(overview)
        return overview
