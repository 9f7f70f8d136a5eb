"""F67, S10: the store is put back from a backup, or is gone. Nothing is doubled, nothing is lost, and it says so.

The ERP forgets every key at once, so it does not save us: what is posted twice is there twice.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.store.store import FILE
from ops.process import DaemonProcess
from ops.sandbox.process import SandboxProcess
from tests.support.daemon import BATCH, Site, adjustment, until

pytestmark = pytest.mark.slow
BEFORE, AFTER = range(40), range(40, 90)
"""Adjustments sent before the backup was made, and after it."""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    options = ["--idempotency-seconds", "0"]
    with SandboxProcess(tmp_path / "erp", "unlimited", options=options) as erp:
        told = {
            "TIDEGATE_ERP__URL": erp.url,
            "TIDEGATE_ERP__LIMITS": "200/1s,10 concurrent",
            "TIDEGATE_ERP__LOST_SECONDS": "0.5",
            "TIDEGATE_RECONCILE__SHARE_PERCENT": "100",
        }
        with DaemonProcess(tmp_path / "data", told) as daemon:
            yield Site(daemon, erp)


def send(own: Site, numbers: range) -> None:
    """As a connector does, and as it does again when it is not sure: the same events with the same ids."""
    events = [adjustment(f"{n:04d}", f"key-{n}", account_id=f"ACC-{n % 7}") for n in numbers]
    assert own.post(events, BATCH).status_code == 202


def done(own: Site) -> int:
    return sum(row["done"] for row in own.client().overview()["calls"])


def back_up(own: Site, place: Path) -> None:
    """A copy of the store while it is at work."""
    place.mkdir()
    with sqlite3.connect(own.daemon.data / FILE) as source, sqlite3.connect(place / FILE) as target:
        source.backup(target)


def put_back(own: Site, place: Path | None) -> None:
    """The backup takes the place of the store; or nothing does."""
    for path in own.daemon.data.glob(FILE + "*"):
        path.unlink()
    if place is not None:
        shutil.copy(place / FILE, own.daemon.data / FILE)


def posts(own: Site) -> Counter[str]:
    """How often each intent was posted, by the ERP's own log."""
    return Counter(line["reference"] for line in own.erp.log_lines() if line.get("ended_ns") and line["op"] == "post")


def verdict(own: Site) -> dict[str, Any]:
    """What a comparison of ledger and ERP says, once it is over."""
    number = own.operate("ledger", {"who": "kim"}).json()["number"]
    over = ("clean", "differs", "stopped", "failed")
    return until(
        lambda: (r := own.client().look("ledger", run=number))["state"] in over and r, "the comparison is over"
    )


def judged_whole(own: Site) -> None:
    """Every event became one document and one done call, whoever remembers what."""
    references = Counter(document.reference for document in own.erp.documents())
    assert references == Counter({f"INT-{n:04d}": 1 for n in (*BEFORE, *AFTER)})
    assert verdict(own)["state"] == "clean"
    assert own.client().overview()["ledger"]["strays"] == {"erp": 0}
    verbs = [entry["verb"] for entry in own.client().look("audit", subject="erp")["items"]]
    assert verbs.count("ledger.looked") == 1


def test_an_older_store_posts_nothing_before_it_has_looked_and_nothing_twice(own: Site, tmp_path: Path) -> None:
    send(own, BEFORE)
    until(lambda: done(own) == len(BEFORE), "the first are posted")
    back_up(own, tmp_path / "backup")
    send(own, AFTER)
    until(lambda: len(posts(own)) > len(BEFORE) + 20, "most of the others are, too")
    own.daemon.kill()
    known_before = len(own.erp.documents())
    put_back(own, tmp_path / "backup")
    own.erp.set_faults({"kind": "unavailable_503", "ops": ["list"]})
    own.daemon.start()
    send(own, range(0, 90))
    seen = own.get("/readyz").json()
    assert "audit entries are missing" in seen["reconciling"]["erp"]
    story = until(lambda: (s := own.client().process("DOC-0041"))["calls"] and s, "the redelivered is a call again")
    assert story["explanation"]["state"] == "reconciling"
    assert "nothing is posted before the system was looked at" in story["explanation"]["sentence"]
    assert "reconciling" in own.client().overview()["ledger"]
    assert len(own.erp.documents()) == known_before, "nothing was posted before the look"
    own.erp.set_faults()
    until(lambda: done(own) == 90, "everything is settled", 60)
    assert "reconciling" not in own.get("/readyz").json()
    assert set(posts(own).values()) == {1}
    judged_whole(own)
    own.daemon.kill()
    own.daemon.start()
    assert "reconciling" not in own.get("/readyz").json(), "looked is looked"


def test_a_kill_in_the_middle_of_the_look_begins_it_anew(own: Site, tmp_path: Path) -> None:
    send(own, BEFORE)
    until(lambda: done(own) == len(BEFORE), "the first are posted")
    back_up(own, tmp_path / "backup")
    send(own, AFTER)
    until(lambda: done(own) == 90, "all are posted")
    own.daemon.kill()
    put_back(own, tmp_path / "backup")
    own.erp.set_faults({"kind": "hang", "seconds": 20, "ops": ["list"]})
    own.daemon.start()
    send(own, AFTER)
    until(lambda: any(call["op"] == "list" for call in own.calls()), "the look is under way")
    own.daemon.kill()
    own.erp.set_faults()
    own.daemon.start()
    until(lambda: done(own) == 90, "everything is settled", 60)
    assert set(posts(own).values()) == {1}
    judged_whole(own)


def test_a_store_that_is_gone_is_noticed_while_the_erp_has_the_documents(own: Site) -> None:
    send(own, range(0, 90))
    until(lambda: done(own) == 90, "all are posted")
    own.daemon.kill()
    put_back(own, None)
    own.daemon.start()
    send(own, range(0, 90))
    until(lambda: done(own) == 90, "everything is settled", 60)
    assert set(posts(own).values()) == {1}
    judged_whole(own)


def test_an_erp_without_a_listing_is_asked_before_each_post(own: Site, tmp_path: Path) -> None:
    send(own, BEFORE)
    until(lambda: done(own) == len(BEFORE), "the first are posted")
    back_up(own, tmp_path / "backup")
    send(own, range(40, 60))
    until(lambda: done(own) == 60, "some more are, too")
    own.daemon.kill()
    put_back(own, tmp_path / "backup")
    own.erp.set_faults({"kind": "refuse", "status": 404, "code": "path.unknown", "ops": ["list"]})
    own.daemon.start()
    send(own, AFTER)
    until(lambda: done(own) == 90, "everything is settled", 60)
    assert set(posts(own).values()) == {1}
    own.erp.set_faults()
    judged_whole(own)


def test_a_document_that_nobody_sends_again_is_told_to_a_person_by_the_next_cycle(own: Site, tmp_path: Path) -> None:
    send(own, BEFORE)
    until(lambda: done(own) == len(BEFORE), "the first are posted")
    back_up(own, tmp_path / "backup")
    send(own, range(40, 43))
    until(lambda: done(own) == 43, "three more are, too")
    own.daemon.kill()
    put_back(own, tmp_path / "backup")
    own.daemon.start()
    until(lambda: own.client().overview()["ledger"]["strays"] == {"erp": 3}, "they are known to be there")
    run = verdict(own)
    assert run["kinds"] == {"document.unexplained": 3}
    assert "send its message again" in run["items"][0]["advice"]
    send(own, range(40, 43))
    until(lambda: own.client().overview()["ledger"]["strays"] == {"erp": 0}, "they are explained")
    assert verdict(own)["state"] == "clean"
    assert set(posts(own).values()) == {1}
