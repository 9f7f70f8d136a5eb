"""F61: the disk is full. Clients are told so, nothing that was accepted is lost, and it heals by itself."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.client import DaemonAway, Refused
from tests.support.checkers import audit_true, healed, money_findings, say
from tests.support.world import World, adjustment, until, world

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)], check=False, capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("a small file system can only be mounted by root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def fill(place: Path) -> Path:
    """Write until nothing more fits."""
    filler = place / "filler"
    with filler.open("ab", buffering=0) as stream:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    stream.write(b"x" * size)
            except OSError:
                continue
    return filler


def refusal(house: World, number: int) -> str | None:
    """Try to send one more; the code with which it is refused, or None when it was accepted."""
    try:
        house.send([adjustment(f"more-{number}", f"acc-{number}")])
    except Refused as refused:
        return str(refused.problem.get("code"))
    except DaemonAway:
        return None
    return None


def test_a_full_disk_refuses_loses_nothing_and_heals(small_disk: Path, tmp_path: Path) -> None:
    with world(tmp_path) as house:
        house.daemon.stop()
        house.daemon = house.new_daemon(small_disk / "data")
        with house.daemon:
            house.send([adjustment(f"case-{n}", f"acc-{n}") for n in range(60)])
            until(lambda: len(house.calls()) > 5, "the ERP is busy")
            filler = fill(small_disk)
            numbers = iter(range(10_000))
            until(lambda: refusal(house, next(numbers)) == "store.unavailable", "it says that it cannot store")
            with house.client() as client:
                assert not client.is_ready()
            filler.unlink()
            until(lambda: refusal(house, next(numbers)) is None, "it accepts again")
            until(house.settled, "everything is settled", 60)
            until(lambda: not list(healed(house.overview())), "healed")
            findings = [
                *money_findings(house.told, house.erp.documents(), house.erp.log_path),
                *audit_true(house.store_path),
            ]
            say("F61", 0, findings, accepted=len(house.told), look_ups=len(house.calls("find")))
            assert findings == []
            assert house.daemon.stop() == 0
