"""A window given by a verb closes the ERP at once, for everybody who asks to see, over kill -9, until it is taken
back. Judged by the ERP's own log."""

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.acceptance.test_cli_verbs import Shell
from tests.support.audits import verified
from tests.support.daemon import BATCH, Site, adjustment, site, until

TOKYO = "Asia/Tokyo"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, TIDEGATE_ERP__LIMITS="30/1s,4 concurrent,50000/day") as running:
        yield running


def said(own: Site, *words: str, code: int = 0) -> Any:
    done = Shell(own)(*words, "--json")
    assert done.returncode == code, done
    return json.loads(done.stdout) if code == 0 else done.stderr


def arrivals(own: Site) -> list[int]:
    return [line["arrived_ns"] for line in own.erp.log_lines() if line.get("event") == "arrived"]


def open_now() -> str:
    """A window of every day that began a minute ago by the clocks of Tokyo and lasts for ten."""
    return f"{datetime.now(ZoneInfo(TOKYO)) - timedelta(minutes=1):%H:%M} for 10min"


def test_a_maintenance_window_by_verb_closes_is_shown_survives_and_is_undone(own: Site) -> None:
    words, why = open_now(), ("--reason", "patch night")
    add = ("window", "add", "maintenance", "--every", words, "--tz", TOKYO, *why)
    shown = said(own, *add, "--dry-run")
    assert "open: " in shown["after"]
    assert "Asia/Tokyo" in shown["after"]
    assert said(own, "window", "list")["windows"] == []
    done = said(own, "window", "add", "--commit", shown["token"])
    closed_ns = time.monotonic_ns()
    own.post([adjustment(f"w{n}", f"w{n}") for n in range(40)], BATCH)
    with own.client() as client:
        until(lambda: client.forecast()["total"]["waiting"] == 40, "all of it waits")
        total = client.forecast()["total"]
        assert 400 < total["low_seconds"] < total["high_seconds"] < 620
        assert client.look("top")["windows"][0]["kind"] == "maintenance"
    sentence = own.get("/v1/processes/DOC-w39").json()["explanation"]["sentence"]
    assert f"it is maintained ({words} {TOKYO}) until " in sentence
    assert "maintenance" in Shell(own)("top", "--once").stdout
    own.daemon.kill()
    own.daemon.start()
    (row,) = said(own, "window", "list")["windows"]
    assert (row["kind"], row["window"], row["zone"], row["reason"]) == (
        "maintenance",
        f"{words} {TOKYO}",
        TOKYO,
        "patch night",
    )
    assert [at for at in arrivals(own) if at > closed_ns] == []
    own.operate("undo", {"operation": done["operation"], "reason": "wrong night", "who": "dana"})
    until(lambda: len(own.erp.documents()) == 40, "it goes on", 30)
    assert len([at for at in arrivals(own) if at > closed_ns]) >= 40, "the log tells of calls when there are any"
    assert said(own, "window", "list")["windows"] == []
    target = f"maintenance:{words} {TOKYO}"
    audit = verified(own.daemon.data / "tidegate.db")
    assert {("window", target), ("window.ended", target)} <= set(audit)


def test_a_freeze_and_a_night_are_removed_by_their_words_and_nonsense_is_refused(own: Site) -> None:
    why = ("--reason", "month end")
    said(own, "window", "add", "close-freeze", "--every", "last day 18:00 for 36h", *why)
    said(own, "window", "add", "bulk-only", "--every", "22:00-06:00", "--tz", "Europe/Berlin", *why)
    kinds = {row["kind"]: row["window"] for row in said(own, "window", "list")["windows"]}
    assert kinds == {"close_freeze": "last day 18:00 for 36h", "bulk_only": "22:00-06:00 Europe/Berlin"}
    assert "bulk_only" in Shell(own)("window", "list").stdout
    said(own, "window", "remove", "bulk-only", "--every", "22:00-06:00", "--tz", "Europe/Berlin", *why)
    assert [row["kind"] for row in said(own, "window", "list")["windows"]] == ["close_freeze"]
    assert "Sun 02:00-04:00" in said(own, "window", "add", "maintenance", "--every", "Son 2", *why, code=1)
    wrong = said(own, "window", "add", "maintenance", "--every", "22:00-06:00", "--tz", "Europe/Atlantis", *why, code=1)
    assert "Europe/Atlantis" in wrong
    gone = said(own, "window", "remove", "bulk-only", "--every", "22:00-06:00", *why, code=1)
    assert "No window of bulk_only:22:00-06:00 is in force" in gone


def test_the_plan_of_the_day_says_when_it_will_be_dry(tmp_path: Path) -> None:
    limits = "200/1s,20 concurrent,60/day"
    with site(tmp_path, TIDEGATE_ERP__LIMITS=limits, TIDEGATE_PLAN__BULK_KEEP_PERCENT="0") as own:
        own.operate("hold", {"target": "erp", "reason": "test", "who": "dana"})
        own.post([adjustment(f"p{n}", f"p{n}") for n in range(100)], BATCH)
        with own.client() as client:
            until(lambda: client.forecast()["total"]["waiting"] == 100, "all of it waits")
            (plan,) = client.look("top")["plans"]
            assert (plan["used"], plan["allowed"], plan["waiting"]) == (0, 60, 100)
            assert plan["dry_at"] is not None
            assert "will be dry at" in plan["sentence"]
            (again,) = client.forecast()["basis"]["plans"]
            assert again.split(";")[0] == plan["sentence"].split(";")[0]
        for verb in ("status", "forecast"):
            told = " ".join(Shell(own)(verb).stdout.split())
            assert plan["sentence"].split(";")[0] in told, verb
            assert "will be dry at" in told, verb
        assert "will be dry" in Shell(own)("top", "--once").stdout
