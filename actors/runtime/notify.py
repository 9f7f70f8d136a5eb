"""Telling a service manager how we are: systemd's notification protocol, without a library.

Source: sd_notify(3) and sd_watchdog_enabled(3). Without `NOTIFY_SOCKET` in the environment everything here does
nothing, so a daemon started by hand needs no other code.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from loguru import logger

from actors.runtime.clock import Clock

UNWELL_SECONDS = 120.0
"""How long a part of the tree may be away before we stop saying that we live. Well above what a restart may take:
the longest back-off, then the longest stop and a cancellation."""
_STATUS_SECONDS = 5.0
_UNSENT_MAX = 16
_LIVING = frozenset(("up", "starting"))
_BEAT = "WATCHDOG=1"


class Manager:
    """The service manager at the other end of a datagram socket. Nothing here blocks, and nothing raises."""

    def __init__(
        self, address: str | None, watchdog_seconds: float | None = None, monotonic_ns: Callable[[], int] = lambda: 0
    ) -> None:
        """`address` is a path, or `@name` for an abstract socket; `watchdog_seconds` is how often it wants a beat.

        `monotonic_ns` reads the machine's CLOCK_MONOTONIC, which is the one that the protocol compares with.
        """
        self.watchdog_seconds = watchdog_seconds
        self._monotonic_ns = monotonic_ns
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self._socket: socket.socket | None = None
        self._unsent: list[str] = []
        self._ready = False
        self._stopping = False
        self._failure = ""
        if address and not address.startswith(("/", "@")):
            self._address = None
            logger.warning("NOTIFY_SOCKET={}: only a path or an abstract socket is understood; not notifying", address)
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], pid: int, monotonic_ns: Callable[[], int]) -> Manager:
        """As the environment says. A watchdog period that is meant for another process (`WATCHDOG_PID`) is not ours."""
        micros = environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        seconds = int(micros) / 1e6 if ours and micros.isascii() and micros.isdigit() and int(micros) > 0 else None
        return cls(environ.get("NOTIFY_SOCKET") or None, seconds, monotonic_ns)

    @property
    def listens(self) -> bool:
        """Whether there is anybody to tell."""
        return self._socket is not None

    @property
    def stopping(self) -> bool:
        """Whether the end has been told."""
        return self._stopping

    def ready(self) -> None:
        """The tree is ready."""
        self._ready = True
        self._tell("READY=1")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """While the settings are read again. Says nothing before we were ready, nor once the end has been told."""
        counts = self._ready and not self._stopping
        if counts:
            self._tell(f"RELOADING=1\nMONOTONIC_USEC={self._monotonic_ns() // 1000}")
        try:
            yield
        finally:
            if counts:
                self._tell("READY=1")

    def stop(self, why: str) -> None:
        """The end has begun. Told once, however often it is said; no beat follows it."""
        if not self._stopping:
            self._stopping = True
            self._tell(f"STOPPING=1\nSTATUS={_line(why)}")

    def beat(self) -> None:
        """We live."""
        self._tell(_BEAT)

    def status(self, text: str) -> None:
        """One line for people, shown by `systemctl status`."""
        self._tell(f"STATUS={_line(text)}")

    def close(self) -> None:
        """Close the socket. May be called twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, text: str) -> None:
        """Send it, after what could not be sent before: in order, and never waiting for a busy manager."""
        if self._socket is None or self._address is None:
            return
        self._unsent = [*self._unsent, text][-_UNSENT_MAX:]
        try:
            while self._unsent:
                self._socket.sendto(self._unsent[0].encode(), self._address)
                self._unsent.pop(0)
            self._failure = ""
        except OSError as error:
            self._unsent = [kept for kept in self._unsent if kept != _BEAT]  # an old sign of life is none
            if self._failure != (failure := f"{type(error).__name__}: {error}"):  # said once, not with each beat
                self._failure = failure
                logger.warning("the service manager could not be told {!r}: {}", text, failure)


def _line(text: str) -> str:
    return " ".join(text.split())


async def keep_telling(
    manager: Manager, clock: Clock, states: Callable[[], Iterable[str]], status: Callable[[], str]
) -> None:
    """Beat at half the watchdog's period, and tell the status when it has changed, until cancelled.

    Runs on the daemon's loop, so a loop that stands still is silent by itself. `states` are those of all places in the
    tree: while one has been neither up nor starting for more than `UNWELL_SECONDS`, no beat is sent either, and the
    manager restarts us. Once the stop has been told there are no more beats: its time is bounded by the manager.
    """
    if not manager.listens:
        return
    every = min(manager.watchdog_seconds / 2, _STATUS_SECONDS) if manager.watchdog_seconds else _STATUS_SECONDS
    well_ns = clock.boot_ns()
    told = ""
    while not manager.stopping:
        now_ns = clock.boot_ns()
        if all(state in _LIVING for state in states()):
            well_ns = now_ns
        if manager.watchdog_seconds and now_ns - well_ns <= UNWELL_SECONDS * 1e9:
            manager.beat()
        if (text := status()) != told:
            manager.status(text)
            told = text
        await clock.sleep(every)
