"""`tidegate serve`: the daemon on uvloop, with logging that cannot block it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

import anyio
from loguru import logger

from actors.daemon import serve, stuck
from actors.doors.http.server import PortInUse
from actors.runtime.notify import Manager
from actors.settings import Settings
from broker.store.migrate import StoreRefused
from ops.logs import configure


def run_service(settings: Settings, reload: Callable[[], Settings], as_json: bool) -> int:
    """Run until the end; the exit code. The URL is told on standard output once the door is open."""
    sink = configure(settings.daemon.log_level)
    manager = Manager.from_environment(os.environ, os.getpid(), time.monotonic_ns)

    def listening(url: str) -> None:
        told = json.dumps({"listening": url}) if as_json else f"tidegate is ready at {url}"
        sys.stdout.write(told + "\n")
        sys.stdout.flush()

    async def main() -> int:
        code = await serve(settings, reload, listening, manager=manager)
        if names := await stuck():
            logger.error("these ignore their cancellation, so the process ends without them: {}", ", ".join(names))
            manager.close()
            sink.close()
            os._exit(code)
        return code

    try:
        return anyio.run(main, backend="asyncio", backend_options={"use_uvloop": True})
    except (StoreRefused, PortInUse) as refused:
        logger.error("{}", refused)
        return 1
    finally:
        manager.close()
        sink.close()
