"""The sandbox ERP is a witness: what it answered it has, and its log tells every call, also after SIGKILL."""

import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ops.sandbox.process import ROOT, SandboxError, SandboxProcess


def post(erp: SandboxProcess, reference: str) -> int:
    """Post one adjustment and give the HTTP status. Raises OSError when no answer came."""
    body = {
        "reference": reference,
        "account_id": "acc-1",
        "amount": "12.50",
        "currency": "EUR",
        "reason_code": "goodwill",
        "source_document": f"case-of-{reference}",
        "kind": "credit",
    }
    request = urllib.request.Request(f"{erp.url}/adjustments", json.dumps(body).encode(), method="POST")
    request.add_header("Idempotency-Key", reference)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def read_limits(url: str, times: int) -> None:
    for _ in range(times):
        with urllib.request.urlopen(f"{url}/limits", timeout=20) as answer:
            answer.read()


def post_until_it_dies(erp: SandboxProcess, name: str, answered: list[str], enough: threading.Semaphore) -> None:
    for number in range(1_000_000):
        try:
            status = post(erp, f"{name}-{number}")
        except OSError:
            return
        assert status == 201
        answered.append(f"{name}-{number}")
        enough.release()


def kill_under_load(erp: SandboxProcess, name: str) -> list[str]:
    """Post from four threads, kill the ERP after 60 answers, and give the references that were answered."""
    answered: list[str] = []
    enough = threading.Semaphore(0)
    callers = [
        threading.Thread(target=post_until_it_dies, args=(erp, f"{name}-{caller}", answered, enough))
        for caller in range(4)
    ]
    for caller in callers:
        caller.start()
    for _ in range(60):
        assert enough.acquire(timeout=30)
    erp.kill()
    for caller in callers:
        caller.join()
    return answered


def ends(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if "ended_ns" in line]


def test_no_answered_document_is_lost_when_the_erp_is_killed(tmp_path: Path) -> None:
    erp = SandboxProcess(tmp_path, "unlimited").start()
    answered = kill_under_load(erp, "first")
    assert set(answered) <= {document.reference for document in erp.documents()}
    erp.start()
    answered += kill_under_load(erp, "second")
    counts = Counter(document.reference for document in erp.documents())
    assert set(answered) <= set(counts)
    assert set(counts.values()) == {1}


def test_every_answered_call_has_both_its_lines_after_a_kill(tmp_path: Path) -> None:
    erp = SandboxProcess(tmp_path, "unlimited").start()
    answered = kill_under_load(erp, "run")
    lines = erp.log_lines()
    arrived = {line["seq"] for line in lines if line.get("event") == "arrived"}
    assert set(answered) <= {line["reference"] for line in ends(lines)}
    assert {line["seq"] for line in ends(lines)} <= arrived
    assert erp.log_path.read_bytes().endswith(b"\n")


def test_a_log_goes_on_where_the_killed_process_left_it(tmp_path: Path) -> None:
    erp = SandboxProcess(tmp_path, "unlimited").start()
    kill_under_load(erp, "before")
    before = erp.log_lines()
    with erp:
        post(erp, "after")
    lines = erp.log_lines()
    assert lines[: len(before)] == before
    assert [line["log"] for line in lines if "log" in line] == ["tidegate-erp-log/1"] * 2
    arrivals = [line for line in lines if line.get("event") == "arrived"]
    assert all(earlier["seq"] + 1 == later["seq"] for earlier, later in pairwise(arrivals))
    assert all(earlier["arrived_ns"] <= later["arrived_ns"] for earlier, later in pairwise(arrivals))


def test_a_restart_does_not_make_room_in_a_window(tmp_path: Path) -> None:
    erp = SandboxProcess(tmp_path, "custom", limits=["3/day"]).start()
    assert [post(erp, f"r{number}") for number in range(3)] == [201] * 3
    erp.kill()
    with erp:
        assert post(erp, "r3") == 429


def test_the_log_alone_shows_that_calls_over_the_limits_were_refused(tmp_path: Path) -> None:
    with SandboxProcess(tmp_path, "custom", limits=["20/day", "2 concurrent"], latency_ms="1..5") as erp:
        statuses: list[int] = []
        callers = [
            threading.Thread(target=lambda name=name: statuses.extend(post(erp, f"{name}-{n}") for n in range(10)))
            for name in "abcd"
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    lines = sorted(ends(erp.log_lines()), key=lambda line: int(line["seq"]))
    assert Counter(line["status"] for line in lines) == Counter(statuses)
    assert all(line["code"] in ("rate.exceeded", "concurrency.exceeded") for line in lines if line["status"] == 429)
    assert all(line["code"] == "rate.exceeded" for line in lines[20:])
    assert all(line["concurrent"] <= 2 for line in lines if line["verdict"] == "created")


def test_sigterm_finishes_the_call_in_progress_and_ends_cleanly(tmp_path: Path) -> None:
    erp = SandboxProcess(tmp_path, "unlimited", latency_ms="700").start()
    statuses: list[int] = []
    caller = threading.Thread(target=lambda: statuses.append(post(erp, "slow")))
    caller.start()
    while not any(line.get("event") == "arrived" for line in erp.log_lines()):
        pass
    assert erp.stop() == 0
    caller.join()
    assert statuses == [201]
    assert [document.reference for document in erp.documents()] == ["slow"]


def test_a_second_erp_on_the_same_data_does_not_start(tmp_path: Path) -> None:
    with SandboxProcess(tmp_path), pytest.raises(SandboxError, match="in use by another"):
        SandboxProcess(tmp_path).start()


def test_an_erp_with_a_wrong_option_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="'sap' is unknown: choose one of"):
        SandboxProcess(tmp_path, "sap").start()


def test_a_lost_write_can_be_played(tmp_path: Path) -> None:
    with SandboxProcess(tmp_path, "unlimited") as erp:
        assert post(erp, "kept") == post(erp, "lost") == 201
        assert erp.forget("lost") == 1
        assert [document.reference for document in erp.documents()] == ["kept"]
        assert post(erp, "lost") == 201


def test_sigterm_cuts_off_a_call_that_hangs_and_still_ends_cleanly(tmp_path: Path) -> None:
    erp = SandboxProcess(tmp_path, "unlimited").start()
    erp.set_faults({"kind": "hang", "seconds": 3_600})
    outcomes: list[OSError] = []

    def call() -> None:
        with pytest.raises(OSError, match="reset") as caught:
            post(erp, "hung")
        outcomes.append(caught.value)

    caller = threading.Thread(target=call)
    caller.start()
    while not any(line.get("event") == "arrived" for line in erp.log_lines()):
        pass
    assert erp.stop() == 0
    caller.join()
    assert len(outcomes) == 1
    assert ends(erp.log_lines()) == []
    assert "Traceback" not in (tmp_path / "stderr.txt").read_text()


def test_a_log_that_cannot_be_written_ends_the_erp(tmp_path: Path) -> None:
    limited = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (200_000, 200_000)); "
    command = limited + "import sys; from ops.sandbox.__main__ import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "--data", str(tmp_path), "--profile", "unlimited"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["listening"]
    with pytest.raises(OSError, match=r"reset|closed|refused"):
        read_limits(url, times=10_000)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == os.EX_IOERR
    assert b"cannot be written" in errors
