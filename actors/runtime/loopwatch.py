"""A thread that notices when the event loop stands still, and says in whose code."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from types import TracebackType

from loguru import logger

STILL_SECONDS = 1.0


class LoopWatch:
    """Pings the loop from outside; logs the stack of the loop's thread when no answer comes in time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread_id = threading.get_ident()
        self._answered = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop-watch", daemon=True)

    def __enter__(self) -> LoopWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()

    def _watch(self) -> None:
        while not self._end.wait(STILL_SECONDS):
            self._answered.clear()
            try:
                self._loop.call_soon_threadsafe(self._answered.set)
            except RuntimeError:
                return  # the loop is closed
            if not self._answered.wait(STILL_SECONDS) and not self._end.is_set():
                self._tell()

    def _tell(self) -> None:
        task = asyncio.current_task(self._loop)
        frame = sys._current_frames().get(self._thread_id)
        stack = "".join(traceback.format_stack(frame, limit=12)) if frame else ""
        name = task.get_name() if task else "no task"
        logger.error("the event loop has stood still for {} s in {}:\n{}", STILL_SECONDS, name, stack)
