"""The log file across processes and accidents."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from ops.sandbox.call import Call, Reply
from ops.sandbox.journal import Journal, JournalError
from ops.sandbox.limits import Profile

NOON = datetime(2026, 1, 31, 12, 0, 10, tzinfo=UTC)


def call(seq: int, arrived_ns: int) -> Call:
    return Call(seq, "post", "POST", "/adjustments", arrived_ns, 1, None, None)


def written(path: Path) -> Journal:
    journal = Journal(path)
    journal.header(Profile("demo", ()), 10_000_000_000, NOON)
    for seq in (1, 2):
        journal.arrived(call(seq, seq * 100))
    journal.ended(call(1, 100), Reply(201, "created"), 150)
    return journal


def test_the_header_gives_the_wall_time_at_monotonic_zero(tmp_path: Path) -> None:
    written(tmp_path / "log").close()
    header = msgspec.json.decode((tmp_path / "log").read_bytes().split(b"\n")[0])
    assert header["log"] == "tidegate-erp-log/1"
    assert header["wall_at_zero"] == "2026-01-31T12:00:00.000000Z"


def test_a_later_process_remembers_what_arrived_and_what_ended(tmp_path: Path) -> None:
    written(tmp_path / "log").close()
    past = Journal(tmp_path / "log").past
    assert (past.last_seq, past.arrivals, past.ends) == (2, [(100, "post"), (200, "post")], [(100, 150, "post", None)])


def test_a_torn_last_line_is_cut_before_the_next_one_is_written(tmp_path: Path) -> None:
    written(tmp_path / "log").close()
    whole = (tmp_path / "log").read_bytes()
    (tmp_path / "log").write_bytes(whole + b'{"seq":3,"op":"po')
    Journal(tmp_path / "log").arrived(call(3, 300))
    assert (tmp_path / "log").read_bytes().startswith(whole + b'{"seq":3,"op":"post","arrived_ns":300')


def test_two_processes_cannot_write_one_log(tmp_path: Path) -> None:
    journal = written(tmp_path / "log")
    with pytest.raises(JournalError, match="in use by another"):
        Journal(tmp_path / "log")
    journal.close()


def test_a_file_that_is_not_a_log_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("dear diary\n")
    with pytest.raises(JournalError, match="not an ERP log"):
        Journal(tmp_path / "log")
    assert (tmp_path / "log").read_text() == "dear diary\n"
