"""A daemon as a subprocess: for the demo, the fault tests and the benchmarks."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent


class DaemonFailed(Exception):
    """The daemon did not get ready; the text has the end of its log."""


class DaemonProcess:
    """`tidegate serve` on a directory. Killed or stopped, it can be started again on the same port."""

    def __init__(self, data: Path, settings: Mapping[str, str], port: int = 0) -> None:
        self.data = data
        self.log_path = data / "daemon.log"
        self.url = ""
        self._settings = dict(settings)
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running daemon."""
        assert self._process is not None, "it is not running"
        return self._process.pid

    def command(self) -> list[str]:
        """What is run."""
        return [sys.executable, str(ROOT / "run.py"), "--json", "--data", str(self.data), "serve"]

    def starved_seconds(self) -> float:
        """How long its main thread was ready to run and had no processor, in this life; 0 where nobody tells."""
        try:
            return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9
        except (OSError, IndexError):
            return 0.0

    def start(self, timeout_seconds: float = 60.0) -> Self:
        """Start and wait until it says that it is ready.

        Raises:
            DaemonFailed: it ended, or took too long.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        environ = {**os.environ, **self._settings, "TIDEGATE_HTTP__PORT": str(self._port)}
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=environ
            )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], timeout_seconds)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            self.kill()
            raise DaemonFailed(f"the daemon did not get ready:\n{self._tail()}")
        self.url = json.loads(line)["listening"]
        self._port = int(self.url.rpartition(":")[2])
        return self

    def _tail(self) -> str:
        return self.log_path.read_text(errors="replace")[-2000:]

    def ended(self) -> bool:
        """Whether the process is gone, by itself or killed."""
        return self._process is None or self._process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def kill(self) -> int:
        """SIGKILL and wait; the exit code."""
        return self._end(signal.SIGKILL, 10.0)

    def stop(self, timeout_seconds: float = 60.0) -> int:
        """SIGTERM and wait; the exit code."""
        return self._end(signal.SIGTERM, timeout_seconds)

    def wait(self, timeout_seconds: float) -> int:
        """Wait for its own end; the exit code."""
        assert self._process is not None, "it was not started"
        return self._process.wait(timeout_seconds)

    def _end(self, number: signal.Signals, timeout_seconds: float) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            code = self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        return code

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
