"""The table of traps names a test for each, and the tests that it names exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
TABLE = (ROOT / "ops/docs/broker-traps.md").read_text()


def test_every_trap_of_the_broker_has_a_row() -> None:
    rows = re.findall(r"^\| (R\d+) \|", TABLE, re.M)
    assert rows == [f"R{number}" for number in range(1, 31)]


def test_every_test_that_the_table_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", TABLE))
    there = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.M)
    }
    assert named - there == set()
    assert len(named) > 40
