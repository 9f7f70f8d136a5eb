"""An incident wave through five unreliable systems, the daemon killed in the middle; their ledgers judge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops.demo_refund import Wave, run_demo_refund


@pytest.mark.parametrize("seed", [11])
def test_a_wave_leaves_no_system_half_whatever_is_lost_late_refused_or_killed(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wave = Wave(cases=100, seed=seed, profile="demo", lost=0.1, late=0.05, refused=0.05, kills=3)
    code = run_demo_refund(wave, tmp_path / "wave", as_json=True)
    told = json.loads(capsys.readouterr().out)
    wrong = [finding for finding in told["verdict"]["findings"] if not finding["holds"]]
    assert wrong == []
    assert told["certificate"]["verdict"] == "PASS", told["certificate"]
    assert code == 0
    books = {finding["what"]: finding["measured"] for finding in told["verdict"]["findings"]}
    assert not any(words.startswith("0 times") for words in books.values()), "nothing was refused: the test shows less"
