"""`tidegate explain` at each moment at which a thing is not done yet: one sentence, which is true, who can change it,
and when it goes on, or why nobody can say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from ops.process import ROOT
from tests.support.daemon import site
from tests.support.moments import MOMENTS, Told, post, told


def is_one_sentence(text: str) -> bool:
    """A capital at its beginning, a full stop at its end and nowhere else, one line."""
    return text[:1].isupper() and text.endswith(".") and re.search(r"[.!?]\s", text) is None and "\n" not in text


def check(one: Told) -> None:
    """What was told is what is so."""
    explanation = one.explanation
    sentence = explanation["sentence"]
    assert is_one_sentence(sentence), sentence
    missing = [words for words in one.words if words not in sentence]
    assert not missing, f"{missing} is not in: {sentence}"
    assert explanation.get("owner", "nobody") == one.owner, sentence
    if one.eta is None:
        assert "eta" not in explanation, explanation
        assert one.no_eta in explanation["no_eta"], explanation
        return
    assert "no_eta" not in explanation, explanation
    seconds = (datetime.fromisoformat(explanation["eta"]) - one.asked).total_seconds()
    low, high = one.eta
    assert low <= seconds <= high, f"ETA in {seconds:.0f} s, expected {low} to {high}: {explanation}"


def test_the_command_line_tells_sentence_owner_and_why_there_is_no_eta(tmp_path: Path) -> None:
    with site(tmp_path) as own:
        own.operate("hold", {"target": "erp", "reason": "closing the books", "who": "dana"})
        post(own, "held")
        told(own.daemon, "DOC-held", "held", owner="dana", no_eta="dana")
        command = [sys.executable, str(ROOT / "run.py"), "explain", "DOC-held"]
        environ = {**os.environ, "TIDEGATE_URL": own.daemon.url, "COLUMNS": "160"}
        done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60, check=True)
    sentence, owner, *_ = done.stdout.splitlines()
    assert sentence == "DOC-held: It waits for the ERP: erp was put on hold by dana (closing the books)."
    assert owner == "owner: dana   ETA: none, no end was set; dana can end it"


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
def test_one_true_sentence_the_owner_and_the_eta(moment: Callable[[Path], Iterator[Told]], tmp_path: Path) -> None:
    seen = 0
    for one in moment(tmp_path):
        check(one)
        seen += 1
    assert seen
