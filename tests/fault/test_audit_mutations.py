"""Whatever is changed in a real audit or in its anchor file is found, and the first bad entry is named."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pytest

from broker.store.audit_verify import verify
from tests.fault.audit_mutations import Campaign
from tests.support.audit_mutations import FACTS, HASH, Audit, linked, read, real_store, write

CHANGES = 480


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return real_store(tmp_path_factory.mktemp("audited"))


def test_every_random_change_is_found_and_its_first_bad_entry_named(real: tuple[Path, Path], tmp_path: Path) -> None:
    seed = random.randrange(10**9)
    campaign = Campaign(*real, tmp_path, seed)
    assert campaign.unchanged().clean
    campaign.run(CHANGES)
    assert campaign.found.total() == CHANGES, campaign.report()
    assert campaign.named == campaign.made, f"seed {seed}\n{campaign.report()}"


def test_the_campaign_catches_a_verifier_that_looks_at_no_anchor(real: tuple[Path, Path], tmp_path: Path) -> None:
    campaign = Campaign(*real, tmp_path, 1, judge=lambda store, anchors: verify(store))
    campaign.run(CHANGES // 4)
    missed = {one.partition(",")[0] for one in campaign.missed}
    assert {"cut_the_tail", "append_forged", "rewrite_from_there", "anchors_byte"} <= missed


def _rewrite_both(audit: Audit, place: int) -> None:
    """Change an entry; then hash the chain, its announcements and the anchor file anew, so that they fit together."""
    audit.rows[place][FACTS] = audit.rows[place][FACTS].replace("{", '{"forged":1,', 1)
    linked(audit.rows, place)
    previous = "0" * 64
    for number, line in enumerate(audit.lines):
        anchor = json.loads(line)
        announcement = next(row for row in audit.rows if row[4] == f"anchor:{anchor['anchor']}")
        facts = json.loads(announcement[FACTS])
        announcement[FACTS] = json.dumps({**facts, "previous": previous}, separators=(",", ":"), sort_keys=True)
        linked(audit.rows, announcement[0] - 1)
        anchor |= {"hash": audit.rows[anchor["seq"] - 1][HASH], "previous": previous}
        audit.lines[number] = json.dumps(anchor, separators=(",", ":")).encode() + b"\n"
        previous = hashlib.sha256(audit.lines[number]).hexdigest()


def test_an_anchor_that_a_person_kept_finds_what_was_rewritten_everywhere(
    real: tuple[Path, Path], tmp_path: Path
) -> None:
    campaign = Campaign(*real, tmp_path, 1)
    store, anchors = tmp_path / "changed.db", tmp_path / "changed.jsonl"
    audit = read(store, anchors)
    kept = (len(audit.rows), audit.rows[-1][HASH])
    early = (10, audit.rows[9][HASH])
    assert verify(store, anchors, [early, kept]).clean
    _rewrite_both(audit, 20)
    write(audit, store, anchors)
    assert campaign.unchanged().clean, "file and chain vouch for each other, and both lie"
    verdict = verify(store, anchors, [early, kept])
    assert verdict.findings[0].seq == kept[0]
    assert "entries 11 to" in verdict.findings[0].problem
    del audit.rows[-3:]
    write(Audit(audit.rows, []), store, anchors)
    assert "cut off" in verify(store, None, [kept]).findings[0].problem
