"""One case: a daemon that dies at one point, is started again, and must end everything as if nothing had been."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from broker.crash_points import COUNTS, SWITCH
from ops.client import Client, DaemonAway, Refused
from ops.process import DaemonFailed, DaemonProcess
from ops.systems import Systems
from tests.fault.crash import bugs
from tests.fault.crash.calls import marks
from tests.fault.crash.events import event_findings, heard, listen
from tests.fault.crash.judge import MOVES, UNSETTLED, judge
from tests.fault.crash.load import PEOPLE, Load, Step
from tests.fault.crash.reading import Finding, ask

PROGRAM = ("-m", "tests.fault.crash.daemon")
MODES = ("clean", "lost")
ENGINES = ("embedded", "rabbitmq")
PATIENCE_SECONDS = 40.0
"""Without anything that moves; a look-up of a lost answer waits for about a second."""
PLANTED_SECONDS = 8.0
"""A planted bug that leaves something without an end is seen sooner."""
LINGER_SECONDS = 3.0
"""What was quick is not over before the slowest clock of a case has struck."""
LIMITS = "100000/1s"
_LOOK_SECONDS = 0.05


class Case(msgspec.Struct, frozen=True):
    """Where and how the daemon is to die. `number`: at which pass. `first`: a death before, to have a life to take
    over from. Without a `point` it does not die, and every pass is counted."""

    point: str = ""
    side: str = "before"
    number: int = 1
    mode: str = "clean"
    engine: str = "embedded"
    parts: frozenset[str] = frozenset()
    first: str = ""
    planted: str = ""

    def __str__(self) -> str:
        return f"{self.point}:{self.side}:{self.number} {self.mode} {self.engine} {self.planted}".strip()


@dataclass
class Result:
    """What became of a case. `passes` counts every point and side as `POINT:SIDE`, of all lives."""

    case: Case
    died: bool
    findings: list[Finding]
    passes: Counter[str]
    seconds: float
    hits: int = 0
    log: str = field(default="", repr=False)

    @property
    def verdict(self) -> str:
        """One word, and why."""
        if self.findings:
            return "FAILS " + "; ".join(sorted({finding.kind for finding in self.findings}))
        return "holds" if self.died or not self.case.point else "NOT REACHED"


class _Daemon(DaemonProcess):
    def command(self) -> list[str]:
        return [sys.executable, *PROGRAM, "--json", "--data", str(self.data), "serve"]


class Life:
    """The daemon of a case, through its deaths."""

    def __init__(self, place: Path, settings: Mapping[str, str], case: Case) -> None:
        self.data = place / "data"
        self.counts = place / "passes.txt"
        self._settings = dict(settings) | {COUNTS: str(self.counts)}
        self._case = case
        self._arms = [arm for arm in (case.first, self._spec()) if arm]
        self.deaths = 0
        self.wanted = len(self._arms)
        self._port = 0
        self._daemon: DaemonProcess | None = None

    def _spec(self) -> str:
        case = self._case
        return f"{case.point}:{case.side}:{case.number}" if case.point else ""

    @property
    def url(self) -> str:
        """Where it listens; the same in all lives."""
        assert self._daemon is not None
        return self._daemon.url

    def start(self) -> None:
        """The next life, armed with the next death if there is one; dead before it was ready, the one after it.

        Raises:
            DaemonFailed: it did not get ready although nothing was to kill it.
        """
        while True:
            arm = {SWITCH: self._arms.pop(0)} if self._arms else {}
            self._daemon = _Daemon(self.data, self._settings | arm, self._port)
            try:
                self._daemon.start()
                self._port = int(self._daemon.url.rpartition(":")[2])
                return
            except DaemonFailed:
                if not arm:
                    raise
                self.deaths += 1

    def look(self) -> None:
        """Start it again if it has died."""
        assert self._daemon is not None
        if self._daemon.ended():
            self.deaths += 1
            self._daemon.kill()
            self.start()

    def lingers(self, seconds: float) -> bool:
        """Let it live on with nothing to do: some points come with a clock. Whether it has died of that."""
        pause, end = threading.Event(), time.monotonic() + seconds
        while time.monotonic() < end:
            if self._daemon is not None and self._daemon.ended():
                return True
            pause.wait(_LOOK_SECONDS)
        return False

    def end(self) -> None:
        """As it began: without a word. A death of its own that nobody has seen yet counts."""
        if self._daemon is not None:
            self.deaths += bool(self._daemon.ended())
            self._daemon.kill()

    def log(self) -> str:
        """What it said, in all lives."""
        path = self.data / "daemon.log"
        return path.read_text(errors="replace") if path.exists() else ""


def run(
    case: Case, systems: Systems, place: Path, prefix: str, broker_url: str = "", template: Path | None = None
) -> Result:
    """Run it in `place`, against systems that others use as well. `template`: a data directory to begin with.

    Raises:
        DaemonFailed: the daemon cannot be started at all.
    """
    begun = time.monotonic()
    load = Load(prefix, case.parts, systems.token, broker_url)
    since = marks(systems)
    systems.set_faults(load.faults(case.mode == "lost"))
    if template is not None:
        shutil.copytree(template, place / "data")
    place.mkdir(parents=True, exist_ok=True)
    if broker_url:
        listen(broker_url)
    life = Life(place, _settings(systems, case, broker_url), case)
    try:
        life.start()
        stuck = _play(load.steps(), life, PLANTED_SECONDS if case.planted else PATIENCE_SECONDS)
        if not stuck and life.deaths < life.wanted and life.lingers(LINGER_SECONDS):
            stuck = _play([], life, PATIENCE_SECONDS)
    finally:
        life.end()
    findings = judge(systems, life.data / "tidegate.db", prefix, load.expected(), since)
    findings += [Finding("orphan", stuck)] if stuck else []
    if broker_url:
        findings += event_findings(heard(broker_url), life.data / "tidegate.db")
    passes = Counter(life.counts.read_text().splitlines()) if life.counts.exists() else Counter()
    hits = sum(n for name, n in passes.items() if _is_at(name, case))
    return Result(case, life.deaths >= life.wanted, findings, passes, time.monotonic() - begun, hits, life.log())


def _is_at(name: str, case: Case) -> bool:
    point, _, side = name.partition(":")
    return side == case.side and f"{point}/".startswith(f"{case.point}/") and bool(case.point)


def _settings(systems: Systems, case: Case, broker_url: str) -> dict[str, str]:
    more = {
        "TIDEGATE_APPROVAL__PEOPLE": PEOPLE,
        "TIDEGATE_OPERATORS__NAMED": ",".join(
            f"{name} as {role} with {systems.token(name).absolute()}"
            for name, role in (person.split("=") for person in PEOPLE.split(","))
        ),
        "TIDEGATE_ERP__LIMITS": LIMITS,
        "TIDEGATE_ERP__ASK_LIMITS_SECONDS": "0.5",
        "TIDEGATE_BROKER__PARTITIONS": "1",
        "TIDEGATE_AUDIT__ANCHOR_SECONDS": "1",
        "TIDEGATE_RECONCILE__SHARE_PERCENT": "100",
        "TIDEGATE_DAEMON__LOG_LEVEL": "DEBUG",
        bugs.SWITCH: case.planted,
    }
    if "late" in case.parts:
        more["TIDEGATE_APPROVAL__ESCALATE_HOURS"] = "0.001"
    if broker_url:
        more["TIDEGATE_BROKER__URL"] = broker_url
    return systems.settings(**more)


def _play(steps: list[Step], life: Life, patience: float) -> str:
    """Take all steps, then wait until nothing is left without an end; what is, when nothing has moved for long."""
    pause = threading.Event()
    store = life.data / "tidegate.db"
    moved, seen, refused = time.monotonic(), None, ""
    while time.monotonic() < moved + patience:
        life.look()
        try:
            with Client(life.url, life.data / "operator.token", timeout_seconds=10.0) as client:
                while steps and steps[0](client):
                    steps.pop(0)
        except DaemonAway:
            pass
        except Refused as refusal:
            refused = str(refusal)
        if not steps and ask(store, UNSETTLED) == [(0,)]:
            return ""
        if (now := [len(steps), life.deaths, *ask(store, MOVES)]) != seen:
            moved, seen = time.monotonic(), now
        pause.wait(_LOOK_SECONDS)
    waits = getattr(steps[0], "__name__", "") if steps else "the end of what is open"
    return f"nothing moves any more; it waits for {waits} {refused}"
