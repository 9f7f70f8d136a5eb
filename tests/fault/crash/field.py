"""Where cases run: systems that many share one after the other, a broker, a data directory to begin with."""

from __future__ import annotations

import itertools
import queue
import shutil
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import msgspec

from actors.runtime.clock import SystemClock, microseconds
from actors.settings import SYSTEMS
from broker.store.rows import ExceptionRow
from broker.store.spend_rows import SpendSum
from broker.store.unit import Unit
from ops.process import DaemonFailed
from ops.rabbitmq_node import RabbitNode, shared_node
from ops.systems import Systems
from tests.fault.crash.calls import EARLIER
from tests.fault.crash.case import LIMITS, Case, Result, run
from tests.fault.crash.reading import Finding
from tests.support.stores import running_store

LOST_SECONDS = 0.3
TEMPLATE = frozenset({"purge", "sums"})
"""Parts of the load that are there before it begins."""
TRIES = 3
"""What the processes of a case do at the same time is not the same in every run."""


class Field:
    """So many cases at a time. Use as a context manager; `engines` says whether a broker is needed."""

    def __init__(self, place: Path, workers: int, engines: Sequence[str]) -> None:
        self._place = place
        self._workers = workers
        self._engines = engines
        self._free: queue.SimpleQueue[Systems] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._stack = ExitStack()
        self._node: RabbitNode | None = None
        self._node_lock = threading.Lock()
        self._template = place / "template"
        self._pool: ThreadPoolExecutor

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for number in range(self._workers):
                out = self._place / f"systems-{number}"
                one = Systems(out, "unlimited", (LIMITS,), "0..3", number, LOST_SECONDS)
                self._free.put(stack.enter_context(one))
            if "rabbitmq" in self._engines:
                self._node = shared_node()
            anyio.run(_fill, self._template)
            self._pool = stack.enter_context(ThreadPoolExecutor(self._workers))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._stack.__exit__(kind, error, trace)

    def submit(self, case: Case) -> Future[Result]:
        """Run it when there is room."""
        return self._pool.submit(self.run, case)

    def run(self, case: Case) -> Result:
        """Run it now; again, at the first pass, while the load happens not to come (so often) to its point."""
        result = self._once(case)
        for _ in range(TRIES - 1):
            if not case.point or result.died or result.findings:
                break
            result = self._once(msgspec.structs.replace(case, number=1))
        return result

    def _once(self, case: Case) -> Result:
        number = next(self._numbers)
        place = self._place / f"case-{number}"
        systems = self._free.get()
        vhost = self._vhost() if case.engine == "rabbitmq" else ""
        try:
            url = self._node.url(vhost) if self._node is not None and vhost else ""
            return run(case, systems, place, f"c{number}", url, self._template if TEMPLATE & case.parts else None)
        except (DaemonFailed, OSError) as error:
            return Result(
                case, False, [Finding("orphan", f"the daemon does not get up again: {error}")], Counter(), 0.0
            )
        finally:
            self._free.put(systems)
            shutil.rmtree(place, ignore_errors=True)

    def _vhost(self) -> str:
        assert self._node is not None
        with self._node_lock:
            return self._node.vhost()


async def _fill(directory: Path) -> None:
    """A store with a message that no door could accept, and with calls of an earlier boot that are added up."""
    row = ExceptionRow(
        key="garbage",
        failure="json.syntax",
        owner="it",
        cause="a crash case",
        message_id="garbage",
        intent_id=None,
        body=b'{"nope',
        opened_at=1,
    )
    async with running_store(directory) as store:
        await store.commit(Unit(1, exceptions=[row], spend_sums=_sums(microseconds(SystemClock().now()))))


def _sums(now: int) -> list[SpendSum]:
    """Two sums of one kind at each system, which are old enough to be one."""
    ended = [(minutes, now - 3_600_000_000 + minutes * 60_000_000) for minutes in (1, 2)]
    return [
        SpendSum(2 * place + minutes, system, "post", None, EARLIER, minutes * 60_000_000_000, at, 1, 1_000_000)
        for place, system in enumerate(("erp", *SYSTEMS))
        for minutes, at in ended
    ]
