"""Where a process's CPU time goes, by stage: a program run with its main thread sampled.

`python -m tests.load.stages OUT PROGRAM ARGUMENTS...` runs the program as `__main__` and writes to OUT, at its end, how
much CPU time (seconds) each stage took: the innermost frame of ours says which, else that of a library. What other
threads use (SQLite's) is the difference to the process's whole.
"""

from __future__ import annotations

import json
import runpy
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

TICK_SECONDS = 0.004
OURS = (
    ("/actors/doors/", "accept"),
    ("/broker/store/", "store"),
    ("/broker/rabbitmq/", "broker"),
    ("/broker/relay", "broker"),
    ("/broker/embedded", "broker"),
    ("/broker/", "decide"),
    ("/actors/adapters/", "call"),
    ("/actors/caller/", "choose and record"),
    ("/actors/processes", "decide"),
    ("/actors/credit_policy", "decide"),
    ("/actors/decider", "decide"),
    ("/actors/consumer", "decide"),
)
THEIRS = (
    ("/aiohttp/", "call"),
    ("/aiosqlite/", "store"),
    ("/sqlalchemy/", "store"),
    ("/aio_pika/", "broker"),
    ("/aiormq/", "broker"),
    ("/uvicorn/", "accept"),
    ("/litestar/", "accept"),
)
REST = "loop and rest"


def _stage(frame: FrameType | None) -> str:
    files = []
    while frame is not None:
        files.append(frame.f_code.co_filename)
        frame = frame.f_back
    for known in (OURS, THEIRS):
        for file in files:
            for part, stage in known:
                if part in file:
                    return stage
    return REST


def main(out: Path, program: str, arguments: list[str]) -> None:
    """Run it; the samples are written however it ends."""
    seen: Counter[str] = Counter()
    signal.signal(signal.SIGPROF, lambda _number, frame: seen.update((_stage(frame),)))
    signal.setitimer(signal.ITIMER_PROF, TICK_SECONDS, TICK_SECONDS)
    sys.argv = [program, *arguments]
    try:
        runpy.run_path(program, run_name="__main__")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        whole, mine = time.process_time(), time.clock_gettime(time.pthread_getcpuclockid(threading.get_ident()))
        ticks = max(seen.total(), 1)
        told = {stage: mine * count / ticks for stage, count in seen.items()}
        out.write_text(json.dumps({**told, "other threads (SQLite)": whole - mine}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
