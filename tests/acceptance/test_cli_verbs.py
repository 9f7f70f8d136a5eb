"""The command line against a running daemon, and without one: pleasant, exact, and honest in its exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.process import ROOT
from tests.support.daemon import BATCH, Site, adjustment, case, site, until

VERBS = ["serve", "demo", "surge", "enqueue", "status", "explain", "certify", "sandbox", "token"]
ORDERS = ["pause", "resume", "hold", "release", "drain", "undrain"]
STEERING = ["set", "unset", "cancel", "reprioritise", "move", "purge", "undo"]
LOOKS = ["peek", "search", "audit", "operations", "top"]
Done = subprocess.CompletedProcess[str]


def tidegate(*words: str, stdin: str | None = None, **environment: str) -> Done:
    """Run the command line to its end."""
    command = [sys.executable, str(ROOT / "run.py"), *words]
    environ = {**os.environ, "COLUMNS": "200", **environment}
    return subprocess.run(command, input=stdin, capture_output=True, text=True, env=environ, timeout=60, check=False)


class Shell:
    """The command line, told which daemon it talks to."""

    def __init__(self, running: Site) -> None:
        self.site = running

    def __call__(self, *words: str, stdin: str | None = None) -> Done:
        return tidegate(
            *words, stdin=stdin, TIDEGATE_URL=self.site.daemon.url, TIDEGATE_DATA__DIRECTORY=str(self.site.daemon.data)
        )


@pytest.fixture
def shell(shared_site: Site) -> Shell:
    return Shell(shared_site)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A daemon that these tests pause, drain and stop."""
    with site(tmp_path_factory.mktemp("cli")) as running:
        yield Shell(running)


def one_line_of(done: Done, code: int) -> str:
    """What went wrong, in one line; never a traceback."""
    assert done.returncode == code, done
    assert done.stdout == ""
    assert done.stderr.startswith("tidegate: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


# help and wrong use ------------------------------------------------------------------------------------------


def test_help_names_every_verb_and_the_exit_codes() -> None:
    told = tidegate("--help")
    assert told.returncode == 0
    assert all(f"\n  {verb} " in told.stdout for verb in (*VERBS, *ORDERS, *STEERING, *LOOKS))
    assert "Exit codes: 0 done, 1 refused or failed, 2 wrong use" in " ".join(told.stdout.split())


@pytest.mark.parametrize("verb", [*ORDERS, *STEERING, *LOOKS, "enqueue", "explain", "status", "surge", "demo", "token"])
def test_every_verb_shows_an_example(verb: str) -> None:
    told = tidegate(verb, "--help")
    assert told.returncode == 0
    assert "Example" in told.stdout
    assert f" {verb}" in told.stdout.partition("Example")[2]


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["pause"],
        ["pause", "all"],
        ["pause", "all", "--reason"],
        ["pause", "all", "--reason", "r", "--until", "tomorrow"],
        ["pause", "all", "--reason", "r", "--until", "14:00", "--for", "1h"],
        ["pause", "--lane", "slow", "--reason", "r"],
        ["pause", "--tenant", "acme"],
        ["drain", "--reason", "r", "--within", "soon"],
        ["set", "rate", "erp", "--reason", "r"],
        ["cancel", "--reason", "r"],
        ["cancel", "CASE-1"],
        ["undo", "op-1"],
        ["explain"],
        ["enqueue"],
        ["status", "--wach"],
        ["certify"],
        ["--config", "/nowhere.toml", "status"],
    ],
)
def test_wrong_use_exits_with_2(words: list[str]) -> None:
    done = tidegate(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [["status"], ["explain", "CASE-1"], ["pause", "all", "--reason", "r"], ["drain", "--reason", "r"]]
)
def test_without_a_daemon_one_line_says_what_to_do(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "operator.token").write_text("t\n")
    done = tidegate("--data", str(tmp_path), *words, TIDEGATE_URL="http://127.0.0.1:9")
    told = one_line_of(done, 1)
    assert "no Tidegate daemon answers at http://127.0.0.1:9" in told
    assert "tidegate serve" in told


# looking -----------------------------------------------------------------------------------------------------


def test_status_is_a_page_for_people_and_json_for_scripts(shell: Shell) -> None:
    page = shell("status")
    assert page.returncode == 0
    assert "ready" in page.stdout
    assert "budget" in page.stdout
    for words in (["status", "--json"], ["--json", "status"]):
        assert json.loads(shell(*words).stdout)["ready"] is True


def test_explain_tells_the_story_of_a_key(shell: Shell) -> None:
    shell.site.post({**adjustment("cli-story", "cli-story"), "lane": "urgent"})
    until(lambda: shell.site.documents("DOC-cli-story"), "it is posted")
    until(lambda: "is posted at the ERP" in shell("explain", "DOC-cli-story").stdout, "explain says so")
    assert json.loads(shell("explain", "INT-cli-story", "--json").stdout)["explanation"]["state"] == "done"
    assert "(message.not_found)" in one_line_of(shell("explain", "DOC-nobody"), 1)


def test_the_token_itself_is_never_printed(shell: Shell) -> None:
    told = shell("token")
    assert told.stdout.strip() == str(shell.site.daemon.data / "operator.token")
    assert shell.site.token not in told.stdout


def test_certify_states_what_the_erp_experienced(shell: Shell) -> None:
    shell.site.post({**adjustment("cli-cert", "cli-cert"), "lane": "urgent"})
    until(lambda: shell.site.documents("DOC-cli-cert"), "it is posted")
    log = str(shell.site.erp.log_path)
    assert shell("certify", log, "--limit", "2000/1s", "--allow-pending").returncode == 0
    certificate = json.loads(shell("--json", "certify", log, "--limit", "2000/1s", "--allow-pending").stdout)
    assert certificate["verdict"] == "PASS"
    assert shell("certify", "/nowhere.jsonl").returncode == 2


# enqueue -----------------------------------------------------------------------------------------------------


def test_enqueue_takes_one_event_an_array_lines_and_standard_input(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(case("en-1"), indent=2))
    (tmp_path / "array.json").write_text(json.dumps([case("en-2"), case("en-3")], indent=1), "utf-8-sig")
    (tmp_path / "lines.jsonl").write_text("\n".join(json.dumps(case(f"en-{n}")) for n in range(4, 250)) + "\n\n")
    files = [str(tmp_path / name) for name in ("one.json", "array.json", "lines.jsonl")]
    done = shell("enqueue", *files, "-", stdin=json.dumps(case("en-250")))
    assert (done.returncode, done.stdout) == (0, "250 accepted, 0 known already, 0 in conflict\n")
    again = shell("enqueue", *files, "--json")
    receipts = [json.loads(line) for line in again.stdout.splitlines()]
    assert len(receipts) == 249
    assert all(receipt["duplicate"] for receipt in receipts)


BAD = [
    ("lines.jsonl", f"{json.dumps(case('bad-1'))}\n\n{{nope\n", "lines.jsonl:3: ", "(json.syntax"),
    ("lines.jsonl", f"{json.dumps(case('bad-1'))}\n7\n", "lines.jsonl:2: ", "(field.type"),
    ("lines.jsonl", f"{json.dumps(case('bad-1'))}\n{json.dumps(case('b', tier='x'))}\n", ":2: ", "/data/tier)"),
    ("array.json", json.dumps([case("bad-1"), case("b", case_id=None)], indent=1), "array.json:21: ", "/data/case_id)"),
    ("array.json", "[\n" + json.dumps(case("bad-1")) + ",\n\n}", "array.json:4: ", "(json.syntax)"),
    ("one.json", json.dumps(adjustment("bad-1"), indent=1), "one.json:1: ", "(idempotency.missing"),
    ("one.json", "", "one.json: holds no event", ""),
    ("none.json", None, "none.json: cannot be read: No such file", ""),
]


@pytest.mark.parametrize(("name", "text", "place", "reason"), BAD)
def test_a_file_with_a_mistake_is_told_by_line_and_sends_nothing(
    shell: Shell, tmp_path: Path, name: str, text: str | None, place: str, reason: str
) -> None:
    (tmp_path / "good.json").write_text(json.dumps(case("bad-0")))
    if text is not None:
        (tmp_path / name).write_text(text)
    told = one_line_of(shell("enqueue", str(tmp_path / "good.json"), str(tmp_path / name)), 1)
    assert place in told
    assert reason in told
    assert told.endswith("; nothing was sent\n")
    assert shell.site.get("/v1/messages/case-bad-0").status_code == 404
    assert shell.site.get("/v1/messages/case-bad-1").status_code == 404


def test_a_conflict_is_told_by_its_line_and_exits_with_1(shell: Shell, tmp_path: Path) -> None:
    shell.site.post(case("en-conflict"))
    path = tmp_path / "lines.jsonl"
    path.write_text(f"{json.dumps(case('en-fine'))}\n{json.dumps(case('en-conflict', outage_minutes=1))}\n")
    done = shell("enqueue", str(path))
    assert (done.returncode, done.stdout) == (1, "1 accepted, 0 known already, 1 in conflict\n")
    assert f"{path}:2: " in done.stderr


# orders ------------------------------------------------------------------------------------------------------


def test_an_order_is_given_shown_and_ended(own: Shell) -> None:
    tried = own("pause", "lane:bulk", "--reason", "look", "--dry-run")
    assert (tried.returncode, "nothing was changed (dry run)" in tried.stdout) == (0, True)
    end = f"{datetime.now(UTC) + timedelta(hours=2):%Y-%m-%dT%H:%MZ}"
    given = own("pause", "lane:bulk", "--reason", "month end", "--until", end, "--who", "dana", "--json")
    assert json.loads(given.stdout)["done"] is True
    page = own("status").stdout
    assert "orders in force" in page
    assert "month end" in page
    assert own("resume", "lane:bulk", "--reason", "done").stdout.startswith("resume lane:bulk: ended")
    assert "(operation.nothing)" in one_line_of(own("resume", "lane:bulk", "--reason", "done"), 1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["pause", "erp-postr", "--reason", "r"], 'Did you mean "erp-poster"?'),
        (["hold", "credit-policy", "--reason", "r"], "(operation.target)"),
        (["pause", "all", "--reason", " "], "(operation.reason)"),
        (["pause", "all", "--reason", "r", "--until", "2020-01-01T00:00Z"], "(operation.until)"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_by_a_running_daemon(own: Shell, words: list[str], told: str) -> None:
    assert told in one_line_of(own(*words), 1)


def test_drain_waits_until_nothing_is_left(own: Shell) -> None:
    for number in range(20):
        own.site.post(adjustment(f"cli-drain-{number}", f"cli-drain-{number}"))
    done = own("drain", "--reason", "moving")
    assert done.returncode == 0
    assert "drained: nothing is left" in done.stdout
    assert len(own.site.erp.documents()) >= 20
    assert own("undrain", "--reason", "moved").returncode == 0


def test_an_order_is_narrowed_by_options_and_ends_at_a_time_of_the_local_clock(own: Shell) -> None:
    given = own("pause", "--tenant", "acme", "--lane", "bulk", "--until", "23:59:59", "--reason", "move", "--json")
    effect = json.loads(given.stdout)
    assert (effect["target"], effect["done"]) == ("tenant:acme,lane:bulk", True)
    end = datetime.fromisoformat(effect["until"]).astimezone()
    assert (end.hour, end.minute, end.second) == (23, 59, 59)
    assert "tenant:acme,lane:bulk" in own("status").stdout
    assert own("resume", "--lane", "bulk", "--tenant", "acme", "--reason", "done").returncode == 0


def test_a_dry_run_gives_a_token_that_carries_out_what_was_shown(own: Shell) -> None:
    shown = own("set", "rate", "erp", "5/s", "--for", "1h", "--reason", "asked", "--dry-run")
    assert "1000/1s,20 concurrent -> 5/1s,20 concurrent" in shown.stdout
    token = shown.stdout.partition("--commit ")[2].split()[0]
    done = own("set", "--commit", token, "--who", "dana")
    assert (done.returncode, f"operation {token}" in done.stdout) == (0, True)
    assert "(operation.token)" in one_line_of(own("set", "--commit", token), 1)
    assert own("undo", token, "--reason", "enough").returncode == 0
    assert token in own("operations").stdout
    assert "operation.undone" in own("audit", "--limit", "5").stdout


def test_waiting_work_is_found_moved_and_cancelled_from_the_command_line(own: Shell) -> None:
    own("hold", "--reason", "look at it")
    own.site.post({**adjustment("cli-work", "cli-work"), "tenant": "acme", "lane": "bulk"})
    until(lambda: "INT-cli-work" in own("peek", "--tenant", "acme", "--json").stdout, "it is in line")
    assert "hold of erp by" in own("peek", "--tenant", "acme").stdout
    assert "INT-cli-work" in own("search", "DOC-cli-work").stdout
    assert "bulk -> urgent" in own("reprioritise", "DOC-cli-work", "--to", "urgent", "--reason", "now").stdout
    assert own("move", "DOC-cli-work", "--at", "2040-01-01T00:00Z", "--reason", "later").returncode == 0
    shown = own("cancel", "--tenant", "acme", "--reason", "twice", "--dry-run")
    assert "12.50 EUR" in shown.stdout
    token = shown.stdout.partition("--commit ")[2].split()[0]
    assert own("cancel", "--commit", token).returncode == 0
    assert "cancelled by" in own("explain", "DOC-cli-work").stdout
    assert own("release", "--reason", "seen").returncode == 0


def test_top_is_one_plain_picture_without_a_terminal(own: Shell) -> None:
    plain = own("top")
    assert plain.returncode == 0
    assert "tenants" in plain.stdout or "lanes" in plain.stdout
    assert "\x1b" not in plain.stdout
    picture = json.loads(own("top", "--json").stdout)
    assert [row["lane"] for row in picture["lanes"]] == ["urgent", "standard", "bulk"]


def test_a_drain_ends_by_its_deadline_and_names_what_it_left(own: Shell) -> None:
    own("hold", "--reason", "so that something is left")
    own.site.post([adjustment(f"cli-left-{n}", f"cli-left-{n}") for n in range(3)], BATCH)
    until(lambda: "INT-cli-left-2" in own("peek", "--json").stdout, "they wait")
    done = own("drain", "--within", "1s", "--reason", "moving")
    assert done.returncode == 1
    assert all(f"INT-cli-left-{n}" in done.stdout for n in range(3))
    assert json.loads(own("drain", "--within", "1s", "--reason", "moving", "--json").stdout)["left"] == {
        "calls waiting": 3
    }
    for verb in ("undrain", "release"):
        assert own(verb, "--reason", "go on").returncode == 0
    until(lambda: own.site.documents("DOC-cli-left-2"), "they are posted")


def test_without_a_daemon_an_order_goes_into_the_store_and_holds_from_the_next_start(own: Shell) -> None:
    own.site.daemon.stop()
    done = own("hold", "erp", "--reason", "ERP upgrade", "--who", "dana")
    assert (done.returncode, "holds from the next start" in done.stdout) == (0, True)
    assert 'Did you mean "erp"?' in one_line_of(own("hold", "epr", "--reason", "r"), 1)
    assert one_line_of(own("resume", "all", "--reason", "r", "--dry-run"), 1)
    own.site.daemon.start()
    (order,) = json.loads(own("status", "--json").stdout)["orders"]
    assert (order["verb"], order["target"], order["who"], order["reason"]) == ("hold", "erp", "dana", "ERP upgrade")
    assert own("release", "erp", "--reason", "done").returncode == 0
