"""uvicorn as an actor: our socket, our signals, our shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from litestar.types import ASGIApp

from actors.doors.http.framing import framing
from actors.runtime.actor import Context

KEEP_ALIVE_SECONDS = 15


class PortInUse(Exception):
    """The address cannot be bound; the text says which and what to do."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket of ours: uvicorn would end the whole process on failure.

    Raises:
        PortInUse: somebody else has the port, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(1024)
    except OSError as error:
        sock.close()
        raise PortInUse(
            f"cannot listen on {host}:{port} ({error.strerror}). Another process may have the port: "
            f"see `ss -ltnp sport = :{port}`, or choose another with --port or TIDEGATE_HTTP__PORT."
        ) from error
    return sock


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the daemon's: uvicorn's own handler would raise them again and end the process early."""
        yield


class HttpDoor:
    """Serves an ASGI application on a socket until asked to stop; then finishes the requests it has."""

    def __init__(
        self, app: Callable[[], ASGIApp], listen: Callable[[], socket.socket], grace_seconds: float = 5.0
    ) -> None:
        self._app = app
        self._listen = listen
        self._grace = grace_seconds

    async def run(self, context: Context) -> None:
        """Serve.

        Raises:
            PortInUse: the address cannot be bound.
        """
        sock = self._listen()
        config = uvicorn.Config(
            self._app(),
            http=framing(context.entropy.new_id),
            ws="none",
            loop="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # nothing here depends on who the client says it is
            server_header=False,
            date_header=True,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(self._grace),
        )
        server = _Server(config)
        serving = asyncio.ensure_future(server.serve(sockets=[sock]))
        try:
            while not server.started and not serving.done():
                await context.clock.sleep(0.01)
            if server.started:
                context.ready()
            stopping = asyncio.ensure_future(context.until_stopped())
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            server.should_exit = True
            await serving
        finally:
            serving.cancel()
            sock.close()
