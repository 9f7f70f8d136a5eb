"""A token in a file: read once for everybody, and again only when the file is another one."""

from pathlib import Path

import pytest

from actors.adapters.credential import Credential


def write(path: Path, token: str) -> None:
    """Replace the file, as a rotation does."""
    fresh = path.with_suffix(".new")
    fresh.write_text(token)
    fresh.replace(path)


def test_without_a_file_nothing_is_carried() -> None:
    assert Credential(None).headers() == {}


def test_the_file_is_read_once_however_many_calls_there_are(tmp_path: Path) -> None:
    path = tmp_path / "token"
    write(path, "one\n")
    credential = Credential(path)
    assert [credential.headers() for _ in range(50)] == [{"Authorization": "Bearer one"}] * 50
    assert credential.reads == 1
    write(path, "two")
    assert [credential.headers() for _ in range(50)] == [{"Authorization": "Bearer two"}] * 50
    assert credential.reads == 2, "one refresh for all"


def test_a_file_that_is_away_or_empty_for_a_moment_leaves_the_token_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "token"
    write(path, "one")
    credential = Credential(path)
    path.unlink()
    assert credential.headers() == {"Authorization": "Bearer one"}
    path.write_text("")
    assert credential.headers() == {"Authorization": "Bearer one"}


def test_a_file_that_is_not_there_at_the_start_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="token"):
        Credential(tmp_path / "token")
