"""A forecast of the running daemon: from what waits in it, with what-if and, afterwards, what came true."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.client import Refused
from tests.acceptance.test_cli_verbs import Shell
from tests.support.daemon import BATCH, Site, adjustment, problem_of, site, until


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with work that is held back."""
    directory = tmp_path_factory.mktemp("forecast")
    floors = {"TIDEGATE_FLOW__STANDARD_FLOOR_PERCENT": "20", "TIDEGATE_FLOW__BULK_FLOOR_PERCENT": "25"}
    with site(directory, TIDEGATE_ERP__LIMITS="20/1s,5 concurrent", **floors) as running:
        running.operate("hold", {"target": "erp", "reason": "test", "who": "test"})
        commands = [
            {**adjustment(f"f{number}", f"key-{number}"), "tenant": f"tenant-{number % 3}", "lane": "bulk"}
            for number in range(60)
        ]
        assert running.post(commands, BATCH).status_code == 202
        with running.client() as client:
            until(lambda: client.forecast()["total"]["waiting"] == 60, "everything waits")
            yield running


def test_held_work_has_no_time_and_says_what_holds_it(slow: Site) -> None:
    told = slow.client().forecast()
    total = told["total"]
    assert {name: total[name] for name in ("waiting", *_TIMES)} == {"waiting": 60, **dict.fromkeys(_TIMES)}
    assert (total["held_by"], told["lanes"]["bulk"]["held_by"]) == (["hold erp"], ["hold erp"])
    assert 1 < total["work_seconds"] < 25
    assert total["sentence"] == (
        f"not while erp is on hold by test (test); {total['work_seconds']:.0f} s of work after it is released"
    )
    assert told["basis"]["orders"] == ["hold erp"]
    assert told["basis"]["arrivals_per_second"] > 0
    assert {tenant: span["waiting"] for tenant, span in told["tenants"].items()} == {
        f"tenant-{number}": 20 for number in range(3)
    }


def test_it_is_made_from_the_floors_that_run(slow: Site) -> None:
    assert slow.client().forecast()["basis"]["floors_percent"] == {"standard": 20, "bulk": 25}
    slow.operate("set", {"name": "floor", "target": "lane:bulk", "value": "30", "reason": "test", "who": "test"})
    assert slow.client().forecast()["basis"]["floors_percent"] == {"standard": 20, "bulk": 30}


def test_a_pause_with_an_end_is_waited_for_and_one_without_is_named(slow: Site) -> None:
    client = slow.client()
    lifted = "release erp; arrivals stop"
    free = client.forecast(lifted)["tenants"]["tenant-1"]["likely_seconds"]
    end = (datetime.now(UTC) + timedelta(seconds=600)).isoformat()
    pause = {"target": "tenant:tenant-1", "reason": "their migration", "who": "root"}
    slow.operate("pause", {**pause, "until": end})
    told = client.forecast(lifted)["tenants"]
    assert 590 < told["tenant-1"]["low_seconds"] <= told["tenant-1"]["likely_seconds"] < 605 + free
    assert told["tenant-0"]["likely_seconds"] < 25
    slow.operate("pause", pause)
    told = client.forecast(lifted)
    for span in (told["total"], told["tenants"]["tenant-1"]):
        assert (span["likely_seconds"], span["held_by"]) == (None, ["pause tenant:tenant-1"])
        assert span["sentence"].startswith("not while tenant:tenant-1 is paused by root (their migration); ")
        assert span["sentence"].endswith("s of work after it is resumed")
    assert told["tenants"]["tenant-0"]["likely_seconds"] < 25
    shown = Shell(slow)("forecast", "--if", "release erp").stdout
    assert "not while tenant:tenant-1 is paused by root (their migration)" in shown
    slow.operate("resume", pause)


_TIMES = ("low_seconds", "likely_seconds", "high_seconds", "low_at", "likely_at", "high_at")


def test_what_if_gives_it_a_time(slow: Site) -> None:
    client = slow.client()
    # what arrives meanwhile is projected from how fast these were sent, so bounds hold only without it
    released = client.forecast("release erp; arrivals stop")["total"]["likely_seconds"]
    assert 1 < released < 25
    slower = client.forecast("release erp; rate 2/s; arrivals stop")["total"]["likely_seconds"]
    assert 25 < slower < 40
    assert client.forecast("release erp; rate 2/s")["total"]["likely_seconds"] >= slower
    later = client.forecast("release erp; pause erp-poster for 60 s")["total"]["likely_seconds"]
    assert later > 60 + released / 2
    assert client.overview()["calls"][2]["waiting"] == 60  # nothing was changed by asking


def test_clauses_that_cannot_be_read_are_refused_with_an_example(slow: Site) -> None:
    with slow.http() as http:
        token = {"Authorization": f"Bearer {slow.token}"}
        refused = problem_of(http.get("/v1/forecast", params={"if": "faster please"}, headers=token))
        assert (refused["status"], refused["code"]) == (422, "query.value")
        assert "pause erp-poster until 14:00" in refused["detail"]
        assert http.get("/v1/forecast").status_code == 401
        assert http.get("/v1/forecast/truth", headers=token).status_code == 422
    with pytest.raises(Refused, match="past"):
        slow.client().forecast("pause erp until 2020-01-01T00:00Z")


def test_afterwards_what_came_true_stands_beside_it(slow: Site, tmp_path: Path) -> None:
    shell, kept = Shell(slow), tmp_path / "kept.json"
    assert shell("forecast", "--if", "release erp", "--save", str(kept)).returncode == 0
    early = shell("forecast", "--compare", str(kept))
    assert (early.returncode, "60 open" in early.stdout) == (1, True)
    slow.operate("release", {"target": "erp", "reason": "test", "who": "test"})
    with slow.client() as client:
        until(lambda: client.truth(json.loads(kept.read_text())["at_us"])["total"]["open"] == 0, "all is done")
    done = shell("forecast", "--compare", str(kept), "--json")
    rows = json.loads(done.stdout)["compared"]
    assert done.returncode == 0
    assert [row["what"] for row in rows] == [
        "everything",
        "lane bulk",
        "tenant tenant-0",
        "tenant tenant-1",
        "tenant tenant-2",
    ]
    assert all(row["seconds"] > 0 for row in rows)
    assert shell("forecast").stdout.count("everything") == 1
    with slow.client() as client:
        basis = client.forecast()["basis"]
    assert basis["calls_known"] >= 50
    assert 0 < basis["call_seconds"] < 1


def test_a_file_that_is_no_forecast_is_wrong_use(slow: Site, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    assert Shell(slow)("forecast", "--compare", str(tmp_path / "x.json")).returncode == 2


def test_a_kill_does_not_make_it_forget_and_is_reckoned_with(tmp_path: Path) -> None:
    with site(tmp_path, TIDEGATE_ERP__LIMITS="2/1s,5 concurrent") as running:
        commands = [{**adjustment(f"k{number}", f"key-{number}"), "lane": "bulk"} for number in range(200)]
        assert running.post(commands, BATCH).status_code == 202
        with running.client() as client:
            until(lambda: client.forecast()["basis"]["calls_known"] >= 13, "calls were made, and it was kept", 90)
            before = client.forecast()
        running.daemon.kill()
        running.daemon.start()
        with running.client() as client:
            after = client.forecast()
    assert before["basis"]["outages_per_hour"] == 0
    assert after["basis"]["calls_known"] >= 5
    assert after["basis"]["outage_seconds"] > 0
    width = {name: told["total"]["high_seconds"] - told["total"]["low_seconds"] for name, told in
             (("before", before), ("after", after))}  # fmt: skip
    assert width["after"] > width["before"], "it may happen again"
