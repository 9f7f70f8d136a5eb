"""The chain of the lines and the head beside the log, as the sandbox ERP writes them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.certificate import Certificate, certify
from ops.certificate.cli import main
from ops.sandbox.call import Call, Reply
from ops.sandbox.journal import GENESIS, Journal
from ops.sandbox.limits import Profile, Rate

CALLS = 20
Lines = list[bytes]


def write_calls(path: Path, first: int = 1, count: int = CALLS) -> Path:
    journal = Journal(path)
    journal.header(Profile("small", (Rate(10, 1),)), first * 1_000_000_000, datetime(2026, 3, 2, tzinfo=UTC))
    for seq in range(first, first + count):
        call = Call(seq, "find", "GET", "/adjustments", seq * 1_000_000_000, 1, None, None, reference=f"ref-{seq}")
        journal.arrived(call)
        journal.ended(call, Reply(200, "absent"), seq * 1_000_000_000 + 5)
    journal.close()
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_calls(tmp_path / "erp.jsonl")


def unchained(log: Path) -> Path:
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(line.partition(b',"chain"')[0] + b"}\n" for line in lines))
    log.with_name("erp.jsonl.head").unlink()
    return log


def chain_of(certificate: Certificate) -> tuple[bool | None, str]:
    check = next((one for one in certificate.checks if one.name == "chain"), None)
    if check is None:
        return None, ""
    return check.holds, " ".join(f"{one.key}: {one.detail}" for one in check.examples)


def test_an_untouched_log_is_one_chain_over_restarts(log: Path) -> None:
    write_calls(log, first=CALLS + 1)
    certificate = certify(log)
    assert chain_of(certificate) == (True, "")
    assert certificate.sources.restarts == 1
    assert f'"chain":"{certificate.sources.log_chain}"}}' in log.read_text().splitlines()[-1]


def edit(lines: Lines) -> Lines:
    return [*lines[:10], lines[10].replace(b'"status":200', b'"status":404'), *lines[11:]]


def take_a_call_out_and_number_the_rest_anew(lines: Lines) -> Lines:
    return lines[:11] + [re.sub(rb'"seq":(\d+)', _one_less, line) for line in lines[13:]]


def _one_less(found: re.Match[bytes]) -> bytes:
    return b'"seq":%d' % (int(found[1]) - 1)


def swap_two_calls(lines: Lines) -> Lines:
    return [*lines[:5], *lines[7:9], *lines[5:7], *lines[9:]]


def strip_one_chain(lines: Lines) -> Lines:
    return [*lines[:6], lines[6].partition(b',"chain"')[0] + b"}\n", *lines[7:]]


@pytest.mark.parametrize("change", [edit, take_a_call_out_and_number_the_rest_anew, swap_two_calls, strip_one_chain])
def test_a_changed_log_fails_and_the_line_is_named(log: Path, change: Callable[[Lines], Lines]) -> None:
    log.write_bytes(b"".join(change(log.read_bytes().splitlines(keepends=True))))
    certificate = certify(log)
    holds, where = chain_of(certificate)
    assert holds is False
    assert where.startswith("line ")
    assert certificate.verdict == "FAIL"
    assert any(reason.startswith("the log is one unbroken chain: broken") for reason in certificate.reasons)


def test_a_log_cut_at_its_end_fails_by_its_head(log: Path) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-2]))
    assert chain_of(certify(log)) == (False, "line 39: the log is cut: the head knows of 41 lines, 39 are there")


def test_a_log_chained_anew_after_a_change_fails_by_its_head(log: Path) -> None:
    head = log.with_name("erp.jsonl.head").read_bytes()
    log.unlink()
    write_calls(log, count=CALLS - 1)
    write_calls(log, first=CALLS, count=2)
    log.with_name("erp.jsonl.head").write_bytes(head)
    holds, where = chain_of(certify(log))
    assert holds is False
    assert "the head says chain" in where


def test_a_log_without_any_chain_is_examined_and_says_so(log: Path) -> None:
    certificate = certify(unchained(log))
    assert (certificate.verdict, chain_of(certificate)) == ("PASS", (None, ""))
    assert any("not chained" in note for note in certificate.notes)


def test_the_head_lags_when_its_writer_died_between_the_two_writes(log: Path) -> None:
    head = log.with_name("erp.jsonl.head")
    head.write_bytes(b'{"lines":           0,"chain":"%b"}\n' % GENESIS)
    assert chain_of(certify(log))[0] is True


def test_a_log_begun_without_a_chain_goes_on_without_one(log: Path) -> None:
    write_calls(unchained(log), first=CALLS + 1)
    assert chain_of(certify(log)) == (None, "")


def test_a_head_that_was_kept_elsewhere_finds_a_log_that_was_written_anew(log: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.head"
    kept.write_bytes(log.with_name("erp.jsonl.head").read_bytes())
    assert main([str(log), "--head", str(kept)]) == 0
    log.unlink()
    log.with_name("erp.jsonl.head").unlink()
    write_calls(log, count=CALLS - 1)
    assert main([str(log)]) == 0
    assert main([str(log), "--head", str(kept)]) == 1
    assert main([str(log), "--head", str(tmp_path / "absent")]) == 2


def test_without_a_head_the_certificate_says_what_cannot_be_told(log: Path) -> None:
    log.with_name("erp.jsonl.head").unlink()
    assert "no head lies beside the log: whether it was cut at its end cannot be told" in certify(log).notes
