"""F1, F13: the daemon is killed at random moments under load; two daemons cannot share a directory."""

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ops.process import ROOT
from tests.support.checkers import audit_true, healed, money_findings, say, tally
from tests.support.world import World, quiet_world, until, world

pytestmark = pytest.mark.slow
ROUNDS = int(os.environ.get("TIDEGATE_FAULT_ROUNDS", "20"))
CASES_A_ROUND = 9


def kill_again_and_again(house: World, chance: random.Random) -> int:
    """Kill -9 at random moments, starting anew each time; how many calls were in flight at the kills."""
    pause = threading.Event()
    flying = 0
    for _ in range(ROUNDS):
        pause.wait(chance.uniform(0.0, 0.9))
        arrived = len(house.calls("post")) + len(house.calls("find"))
        house.daemon.kill()
        flying += max(arrived - len(house.ended()), 0)
        house.daemon.start()
    return flying


@pytest.mark.parametrize("seed", [int(os.environ.get("TIDEGATE_FAULT_SEED", "1"))])
def test_kill_9_at_random_moments_loses_nothing_and_doubles_nothing(seed: int, tmp_path: Path) -> None:
    with world(tmp_path, latency_ms="20..80") as house:
        with house.surging(CASES_A_ROUND * ROUNDS, seed, patience=90.0):
            flying = kill_again_and_again(house, random.Random(seed))
        until(lambda: not list(healed(house.overview())), "healed")
        documents = house.erp.documents()
        findings = [
            *money_findings(house.told, documents, house.erp.log_path),
            *healed(house.overview()),
            *audit_true(house.store_path),
        ]
        counts = tally(house.told, documents, CASES_A_ROUND * ROUNDS)
        say("F1", seed, findings, kills=ROUNDS, in_flight=flying, look_ups=len(house.calls("find")), **counts)
        assert findings == []


def test_a_second_daemon_on_the_same_directory_refuses_and_names_the_first(tmp_path: Path) -> None:
    with world(tmp_path) as house:
        command = [sys.executable, str(ROOT / "run.py"), "--data", str(house.daemon.data), "serve", "--port", "0"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert second.returncode == 1
        assert f"in use by process {house.daemon.pid}" in second.stderr
        assert house.overview()["ready"]
        say("F13", 0, [], exit_code=second.returncode)


def test_a_killed_owner_leaves_no_lock_behind(tmp_path: Path) -> None:
    with quiet_world(tmp_path) as house:
        house.daemon.start()
        house.daemon.kill()
        house.daemon.start()
        assert house.overview()["ready"]
