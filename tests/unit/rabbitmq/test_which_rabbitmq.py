"""Which RabbitMQ is run, and what is said when it is not there."""

from pathlib import Path

import pytest

from ops.rabbitmq_install import FOLDER, WHICH, Installation, NodeMissing, default_folder, find_rabbitmq


def test_a_folder_without_rabbitmq_is_named_with_the_command_that_makes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WHICH, str(tmp_path))
    with pytest.raises(NodeMissing, match="make rabbitmq4") as missing:
        find_rabbitmq()
    assert str(tmp_path) in str(missing.value)


def test_the_folder_is_where_the_environment_says_else_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, "/elsewhere/four")
    assert default_folder() == Path("/elsewhere/four")
    monkeypatch.delenv(FOLDER)
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_folder() == Path("/cache/tidegate/rabbitmq-4")


def test_programs_of_a_folder_run_in_it_and_see_the_data_elsewhere() -> None:
    share = Path("/data")
    assert Installation().command(share, "epmd", "-port", "1") == ["epmd", "-port", "1"]
    assert Installation().seen(share) == "/data"
    inside = Installation(Path("/four"))
    command = inside.command(share, "rabbitmqctl", "-q", "version")
    assert command[0] == "unshare"
    assert command[-5:] == ["/four", "/data", "/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", "version"]
    assert inside.seen(share) == "/mnt"
