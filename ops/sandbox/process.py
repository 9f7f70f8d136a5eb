"""Start, steer and stop a sandbox ERP as a subprocess: for tests, demos and fault runs."""

import json
import select
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from ops.sandbox import journal, ledger
from ops.sandbox.documents import Document

ROOT = Path(__file__).resolve().parents[2]
_COLUMNS = ", ".join(Document.__struct_fields__)


class SandboxError(RuntimeError):
    """The ERP did not start, or did not take an order; the message has its own words."""


class _Announcement(msgspec.Struct):
    listening: str


class SandboxProcess:
    """A sandbox ERP in a process of its own. Blocking; a context manager that starts and stops it.

    After `stop` or `kill`, `start` runs it again on the same port, ledger and log. Options are those of
    `python -m ops.sandbox --help`: `latency_ms` is text such as "40..60".
    """

    def __init__(
        self,
        data: Path,
        profile: str = "demo",
        *,
        limits: Sequence[str] = (),
        latency_ms: str = "0",
        seed: int = 0,
        port: int = 0,
        options: Sequence[str] = (),
        system: str = "erp",
    ) -> None:
        self.data = data
        self.log_path = data / journal.FILE_NAME
        self.ledger_path = data / ledger.FILE_NAME
        self.url = ""
        self._port = port
        self._options = [
            "--system",
            system,
            "--profile",
            profile,
            "--latency-ms",
            latency_ms,
            "--seed",
            str(seed),
            *options,
        ]
        for limit in limits:
            self._options += ["--limit", limit]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id. Raises SandboxError when it is not running."""
        return self._running().pid

    @property
    def port(self) -> int:
        """The port on 127.0.0.1, known after the first start."""
        return self._port

    def start(self, timeout_seconds: float = 30.0) -> Self:
        """Start and wait until it listens. Raises SandboxError when it does not within the time."""
        self.data.mkdir(parents=True, exist_ok=True)
        errors_path = self.data / "stderr.txt"
        command = [
            sys.executable,
            "-m",
            "ops.sandbox",
            "--port",
            str(self._port),
            "--data",
            str(self.data.resolve()),
        ]
        with open(errors_path, "wb") as errors:
            self._process = subprocess.Popen(
                [*command, *self._options],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        line = _first_line(self._process, timeout_seconds)
        if not line:
            self.kill()
            words = errors_path.read_text("utf-8", "replace").strip()
            raise SandboxError(f"the sandbox ERP did not start: {words}")
        self.url = msgspec.json.decode(line, type=_Announcement).listening
        self._port = int(self.url.rpartition(":")[2])
        return self

    def stop(self, timeout_seconds: float = 15.0) -> int:
        """End it with SIGTERM and give the exit code; SIGKILL after the time. Stopping twice does nothing."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
        return self._reap()

    def kill(self) -> int:
        """End it with SIGKILL, as a crash would, and give the exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGKILL)
        return self._reap()

    def set_faults(self, *faults: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Replace the faults by these (none: clear them) and give what is on now.

        Raises SandboxError when one is not understood, OSError when the ERP does not answer.
        """
        return self._faults("PUT", json.dumps({"faults": faults}).encode())

    def faults(self) -> list[dict[str, Any]]:
        """The faults that are on, as {"fault": ..., "hits": n}. Raises OSError when there is no answer."""
        return self._faults("GET", None)

    def set_limits(self, *words: str, note: str = "") -> None:
        """Replace its limits ("5/1s", "5 concurrent") for every call that arrives from now on; its log tells from when,
        and the note.

        Raises SandboxError when one is not understood, OSError when the ERP does not answer.
        """
        self._ask("/sandbox/limits", "PUT", json.dumps({"limits": words, "note": note}).encode())

    def documents(self) -> list[Document]:
        """All committed documents in the order of posting, read from the ledger file; works while it is down.

        Raises sqlite3.Error when there is no ledger yet.
        """
        reader = sqlite3.connect(f"{self.ledger_path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            rows = reader.execute(f"SELECT {_COLUMNS} FROM documents ORDER BY number").fetchall()
        finally:
            reader.close()
        return [Document(*row) for row in rows]

    def reason_codes(self) -> dict[str, str]:
        """Of every committed document, by its reference: for systems beside the ERP, what it is about.

        Raises sqlite3.Error when there is no ledger yet.
        """
        reader = sqlite3.connect(f"{self.ledger_path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            return dict(reader.execute("SELECT reference, reason_code FROM documents").fetchall())
        finally:
            reader.close()

    def forget(self, reference: str) -> int:
        """Delete documents behind the ERP's back, as a lost write would, and give how many.

        Raises sqlite3.Error.
        """
        writer = sqlite3.connect(self.ledger_path)
        try:
            with writer:
                return writer.execute("DELETE FROM documents WHERE reference = ?", (reference,)).rowcount
        finally:
            writer.close()

    def log_lines(self) -> list[dict[str, Any]]:
        """The complete lines of the log. Raises OSError when there is none yet."""
        whole, _, _ = self.log_path.read_bytes().rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines()]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise SandboxError("the sandbox ERP is not running: call start() first")
        return self._process

    def _reap(self) -> int:
        process = self._running()
        code = process.wait()
        if process.stdout is not None:
            process.stdout.close()
        self._process = None
        return code

    def _faults(self, method: str, body: bytes | None) -> list[dict[str, Any]]:
        faults: list[dict[str, Any]] = self._ask("/sandbox/faults", method, body)["faults"]
        return faults

    def _ask(self, path: str, method: str, body: bytes | None) -> Any:
        request = urllib.request.Request(f"{self.url}{path}", body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise SandboxError(error.read().decode("utf-8", "replace")) from error


def _first_line(process: subprocess.Popen[bytes], timeout_seconds: float) -> bytes:
    assert process.stdout is not None  # it was asked for as a pipe
    ready, _, _ = select.select([process.stdout], [], [], timeout_seconds)
    return process.stdout.readline() if ready else b""
