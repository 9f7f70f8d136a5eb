"""The daemon says when it is ready, that it lives, and that it ends, the way systemd asks for it."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from actors.runtime.clock import VirtualClock
from actors.runtime.notify import UNWELL_SECONDS, Manager, keep_telling
from ops.process import DaemonProcess

_WAIT_SECONDS = 15.0


class Listener:
    """A service manager's end of the socket: what it was told, in order."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.settimeout(_WAIT_SECONDS)
        self.address = address
        self.told: list[str] = []

    def until(self, wanted: str) -> str:
        """Read up to the message that has this line; the whole message."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline:
            message = self._socket.recv(4096).decode()
            self.told.append(message)
            if wanted in message.splitlines():
                return message
        raise AssertionError(f"{wanted!r} was never told, only {sorted(set(self.told))}")

    def drain(self) -> list[str]:
        """What has come and was not read yet."""
        self._socket.setblocking(False)
        rest: list[str] = []
        try:
            while True:
                rest.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return rest

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    abstract = f"@tidegate-test-{os.getpid()}-{tmp_path.name}"
    listener = Listener(str(tmp_path / "notify") if request.param == "path" else abstract)
    yield listener
    listener.close()


def _daemon(tmp_path: Path, listener: Listener, **more: str) -> DaemonProcess:
    return DaemonProcess(tmp_path / "data", {"NOTIFY_SOCKET": listener.address, **more})


def test_a_daemon_tells_ready_reload_life_and_end(tmp_path: Path, listener: Listener) -> None:
    with _daemon(tmp_path, listener, WATCHDOG_USEC="400000") as daemon:
        listener.until("READY=1")
        listener.until("WATCHDOG=1")
        listener.until("STATUS=ready; calls: 0 waiting, 0 in flight, 0 unknown")
        daemon.send(signal.SIGHUP)
        stamp = listener.until("RELOADING=1").partition("MONOTONIC_USEC=")[2]
        assert 0 < int(stamp) <= time.monotonic_ns() // 1000
        listener.until("READY=1")
        listener.until("WATCHDOG=1")
        daemon.send(signal.SIGTERM)
        end = listener.until("STOPPING=1")
        assert end == "STOPPING=1\nSTATUS=draining for at most 30 s"
        assert daemon.wait(_WAIT_SECONDS) == 0
    assert listener.drain() == []


def test_ready_is_not_told_before_the_door_is_open(tmp_path: Path, listener: Listener) -> None:
    with _daemon(tmp_path, listener) as daemon:
        listener.until("READY=1")
        with socket.create_connection(("127.0.0.1", int(daemon.url.rpartition(":")[2])), _WAIT_SECONDS):
            pass
    assert "WATCHDOG=1" not in listener.told + listener.drain()


def test_a_daemon_that_cannot_start_never_says_that_it_is_ready(tmp_path: Path, listener: Listener) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tidegate.db").write_bytes(b"not a database, but somebody's letter" * 200)
    daemon = _daemon(tmp_path, listener)
    with pytest.raises(Exception, match="did not get ready"):
        daemon.start()
    assert not [message for message in listener.drain() if "READY=1" in message]


def test_a_watchdog_meant_for_another_process_gets_no_beats() -> None:
    environ = {"NOTIFY_SOCKET": "/run/nobody", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
    assert Manager.from_environment(environ, 4711, lambda: 0).watchdog_seconds is None
    assert Manager.from_environment({**environ, "WATCHDOG_PID": "4711"}, 4711, lambda: 0).watchdog_seconds == 1.0


@pytest.mark.parametrize("micros", ["", "0", "-5", "soon", "1.5", "²"])
def test_a_watchdog_period_that_is_no_number_is_none(micros: str) -> None:
    assert Manager.from_environment({"WATCHDOG_USEC": micros}, 1, lambda: 0).watchdog_seconds is None


@pytest.mark.parametrize("address", [None, "vsock:2:1234", "relative/path"])
def test_without_a_socket_that_is_understood_nothing_is_said_and_nothing_fails(address: str | None) -> None:
    manager = Manager(address)
    manager.ready()
    manager.stop("done")
    manager.close()
    assert not manager.listens


@pytest.mark.parametrize("listener", ["path"], indirect=True)
def test_nothing_follows_the_end(listener: Listener) -> None:
    manager = Manager(listener.address)
    manager.ready()
    manager.stop("once")
    manager.stop("twice")
    with manager.reloading():
        pass
    assert listener.drain() == ["READY=1", "STOPPING=1\nSTATUS=once"]
    manager.close()


@pytest.mark.parametrize("listener", ["path"], indirect=True)
def test_a_reload_before_the_tree_is_ready_does_not_say_that_it_is(listener: Listener) -> None:
    manager = Manager(listener.address)
    with manager.reloading():
        pass
    assert listener.drain() == []
    manager.close()


def test_what_a_busy_manager_missed_is_told_later_in_order_but_no_old_beat(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    manager = Manager(address)
    manager.ready()  # nobody listens yet
    manager.beat()
    listener = Listener(address)
    manager.status("two\nlines")
    assert listener.drain() == ["READY=1", "STATUS=two lines"]
    manager.close()
    listener.close()


@pytest.mark.anyio
@pytest.mark.parametrize("listener", ["path"], indirect=True)
async def test_beats_end_when_a_part_of_the_tree_stays_away(listener: Listener) -> None:
    clock, states = VirtualClock(), ["up", "starting"]
    manager = Manager(listener.address, watchdog_seconds=10.0)

    async def beats(seconds: float) -> int:
        count = 0
        for _ in range(int(seconds / 5)):  # a manager reads all the time; the socket holds only ten messages
            await clock.advance(5)
            count += listener.drain().count("WATCHDOG=1")
        return count

    async with anyio.create_task_group() as group:
        group.start_soon(keep_telling, manager, clock, lambda: states, lambda: "fine")
        assert await beats(20) == 5
        states[0] = "down"
        assert await beats(UNWELL_SECONDS) == UNWELL_SECONDS / 5
        assert await beats(60) == 0
        states[0] = "up"
        assert await beats(10) == 2
        group.cancel_scope.cancel()
    manager.close()
