"""Logging that can neither stop the event loop nor print a secret out of a traceback."""

from __future__ import annotations

import queue
import sys
import threading
from typing import Any, TextIO

from loguru import logger

LINES_MAX = 10_000
_FORMAT = "{time:YYYY-MM-DDTHH:mm:ss.SSS!UTC}Z {level: <8} {message}"


class QueueSink:
    """A bounded queue and a thread that writes. When the reader of the log is stuck, lines are dropped and counted."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(LINES_MAX)
        self.dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def __call__(self, message: Any) -> None:
        """Called by loguru on the loop; never waits."""
        try:
            self._lines.put_nowait(_one_line(str(message)))
        except queue.Full:
            self.dropped += 1

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                if self.dropped:
                    dropped, self.dropped = self.dropped, 0
                    self._stream.write(f"({dropped} log lines were dropped: the log's reader was stuck)\n")
                self._stream.write(line)
                self._stream.flush()
            except (OSError, ValueError):
                pass  # a log that cannot be written must not end the daemon

    def close(self, seconds: float = 2.0) -> None:
        """Write what is left, for at most so long."""
        try:
            self._lines.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(seconds)


def _one_line(text: str) -> str:
    """Control characters in a message (of a customer's text, say) must not forge lines or colours.

    Our own tracebacks and stacks keep their lines, indented, so that no line of theirs looks like a new entry.
    """
    body = text[:-1] if text.endswith("\n") else text
    plain = "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in body)
    return plain.replace("\n", "\n    ") + "\n"


def configure(level: str) -> QueueSink:
    """Send loguru to standard error, without local variables in tracebacks (`diagnose` prints them, secrets too)."""
    logger.remove()
    sink = QueueSink(sys.stderr)
    logger.add(sink, level=level, format=_FORMAT, backtrace=False, diagnose=False, colorize=False)
    return sink
