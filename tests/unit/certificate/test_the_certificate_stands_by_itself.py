"""Hashes, exit codes, the printed form, the arrows of its imports, and agreement with the sandbox's profiles."""

import ast
import io
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

import ops.certificate
from ops.certificate import PROFILES, Certificate, parse_limit, seal_holds
from ops.certificate.cli import main
from ops.certificate.present import plain_lines, show
from tests.unit.certificate.logs import SECOND, Certify, accepted, header, post, write

ROOM = Path(ops.certificate.__file__).parent


def test_it_imports_the_standard_library_and_msgspec_and_nothing_of_the_daemon() -> None:
    allowed = set(sys.stdlib_module_names) | {"msgspec"}
    for path in ROOM.glob("*.py"):
        names = imported(path)
        ours = {name for name in names if name.startswith("ops.certificate")}
        extra = {"rich.console", "rich.table", "rich.text"} if path.name == "present.py" else set()
        foreign = {name for name in names - ours - extra if name.split(".")[0] not in allowed}
        assert not foreign, f"{path.name} imports {foreign}"


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_the_same_bytes_give_the_same_certificate(certified: Certify) -> None:
    log, rows = [header(), post(1, 0)], [accepted(1)]
    first, second = certified(log, rows), certified(log, rows)
    assert first == second
    assert seal_holds(first)


def test_a_changed_certificate_shows(certified: Certify) -> None:
    certificate = certified([header(), *(post(1 + i, i) for i in range(11))])
    assert certificate.verdict == "FAIL"
    assert not seal_holds(msgspec.structs.replace(certificate, verdict="PASS", reasons=[]))


def test_a_changed_log_changes_the_hash(certified: Certify) -> None:
    one = certified([header(), post(1, 0)])
    other = certified([header(), post(1, 0, amount="12.51")])
    assert one.sources.log_sha256 != other.sources.log_sha256
    assert one.sha256 != other.sha256


def test_json_out_reads_back_as_the_same_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = write(tmp_path / "erp.jsonl", [header(), post(1, 0)])
    rows = write(tmp_path / "accepted.jsonl", [accepted(1)])
    assert main([str(log), "--accepted", str(rows), "--json"]) == 0
    assert seal_holds(msgspec.json.decode(capsys.readouterr().out, type=Certificate))


def test_exit_codes_tell_pass_fail_and_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = write(tmp_path / "erp.jsonl", [header(), post(1, 0), post(2, 5)])
    assert main([str(log)]) == 0
    assert "CERTIFICATE: PASS" in capsys.readouterr().out
    assert main([str(log), "--limit", "1/1s", "--limit", "5 concurrent"]) == 1
    assert "CERTIFICATE: FAIL: 1 calls in any 1 s: 2 at worst" in capsys.readouterr().out
    assert main([str(tmp_path / "absent")]) == 2
    assert main([str(log), "--limit", "much"]) == 2
    assert "is not understood" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([])


def test_an_unreadable_log_exits_with_2_and_names_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = write(tmp_path / "erp.jsonl", [header(), post(2, 0)])
    assert main([str(log)]) == 2
    assert "erp.jsonl, line 2: a call is missing" in capsys.readouterr().err


def test_it_runs_as_a_program(tmp_path: Path) -> None:
    log = write(tmp_path / "erp.jsonl", [header(), post(1, 0)])
    command = [sys.executable, "-m", "ops.certificate", str(log)]
    ran = subprocess.run(command, cwd=ROOM.parent.parent, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "CERTIFICATE: PASS" in ran.stdout


def test_the_table_says_the_same_with_and_without_rich(certified: Certify) -> None:
    certificate = certified([header(), *(post(1 + i, i * SECOND // 20) for i in range(12))], [])
    out = io.StringIO()
    show(certificate, out)
    plain = "\n".join(plain_lines(certificate))
    for text in ("10 calls in any 1 s", "CERTIFICATE: FAIL", "every document was asked for", "OVER"):
        assert text in out.getvalue()
        assert text in plain


def test_its_profiles_are_those_of_the_sandbox_erp() -> None:
    profiles = tomllib.loads((ROOM.parent / "profiles.toml").read_text())
    theirs = {name: {parse_limit(text) for text in profile["limits"]} for name, profile in profiles.items()}
    assert {name: set(limits) for name, limits in PROFILES.items()} == {
        name: limits for name, limits in theirs.items() if limits
    }
