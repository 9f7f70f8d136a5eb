"""The process around the ERP: socket, signals, event loop and uvicorn with a door to each connection."""

import asyncio
import contextlib
import logging
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ops.sandbox import journal as journal_module
from ops.sandbox import ledger as ledger_module
from ops.sandbox.erp import Erp, Settings
from ops.sandbox.faults import FaultBoard, FaultSet
from ops.sandbox.journal import Journal
from ops.sandbox.ledger import Ledger
from ops.sandbox.limits import Profile
from ops.sandbox.systems import SYSTEMS, System
from ops.sandbox.web import PEER_EXTENSION, Application

HOST = "127.0.0.1"
KEEP_ALIVE_SECONDS = 75
GRACEFUL_SECONDS = 5
# The ledger thread takes the interpreter lock a few times a batch; 5 ms each, the default, would slow it.
SWITCH_INTERVAL_SECONDS = 0.000_5


class Connection:
    """One connection, as an ERP that misbehaves needs it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def is_closing(self) -> bool:
        """Whether the caller is gone or the connection was closed by us."""
        return self._transport.is_closing()

    def close(self) -> None:
        """End the connection in an orderly way (FIN), without an answer."""
        self._transport.close()

    def reset(self) -> None:
        """End the connection abruptly: with a linger time of 0, closing sends RST."""
        if not self._transport.is_closing():
            plain: Any = self._transport.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with the connection in the ASGI extensions."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, Any] = {PEER_EXTENSION: Connection(self.transport)}
        self.scope["extensions"] = extensions


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, saying on stdout when it listens."""

    def __init__(self, config: uvicorn.Config, announcement: dict[str, str]) -> None:
        super().__init__(config)
        self._announcement = announcement

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn would raise the signal again after stopping, and the process would not end with 0.
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            sys.stdout.write(msgspec.json.encode(self._announcement).decode() + "\n")
            sys.stdout.flush()

    def stop(self) -> None:
        """First time: finish the calls in progress within GRACEFUL_SECONDS. Second time: at once."""
        self.force_exit = self.should_exit
        self.should_exit = True


def run(
    port: int, data: Path, profile: Profile, settings: Settings, faults: FaultSet, system: System = SYSTEMS["erp"]
) -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT; port 0 takes a free one.

    `data` is created when missing and holds the ledger and the log, which a later run continues.
    Raises OSError (port or directory not usable), sqlite3.Error or JournalError before anything is served.
    """
    data.mkdir(parents=True, exist_ok=True)
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    listener = socket.create_server((HOST, port))
    with listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(listener, data, profile, settings, faults, system))


async def _serve(
    listener: socket.socket, data: Path, profile: Profile, settings: Settings, faults: FaultSet, system: System
) -> None:
    journal = Journal(data / journal_module.FILE_NAME)
    ledger = Ledger(data / ledger_module.FILE_NAME, system.prefix)
    clock_ns = time.monotonic_ns
    erp = Erp(profile, settings, ledger, journal, FaultBoard(faults), clock_ns, _wall_clock, system)
    server = _Server(_config(Application(erp, clock_ns)), _announce(listener, journal, ledger, profile))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
    logging.getLogger("uvicorn.error").addFilter(_is_no_cancellation)
    journal.header(profile, clock_ns(), _wall_clock())
    try:
        await server.serve(sockets=[listener])
    finally:
        ledger.close()
        journal.close()


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """Calls that are cut off when the process ends are not errors of the application."""
    return record.exc_info is None or record.exc_info[0] is not asyncio.CancelledError


def _wall_clock() -> datetime:
    return datetime.now(UTC)


def _config(application: Application) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )


def _announce(listener: socket.socket, journal: Journal, ledger: Ledger, profile: Profile) -> dict[str, str]:
    return {
        "listening": f"http://{HOST}:{listener.getsockname()[1]}",
        "log": str(journal.path.resolve()),
        "ledger": str(ledger.path.resolve()),
        "profile": profile.profile,
    }
