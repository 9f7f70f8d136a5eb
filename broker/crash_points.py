"""Crash points: every place where something becomes durable or leaves the house, and a way to die exactly there.

All such places go through a few methods, the funnels: a unit of work is committed, deliveries are acknowledged,
messages are published, a request is sent to a system, a file is written. A funnel says so (`@durable("commit")`),
and each call of it is a point, named by the kind and by the function that calls: `commit/poster.start` is the commit
that records intents and spent budget. So a new unit of work is a point by being written; nobody has to think of it.
Where one function serves several actors, the actor's name follows: `commit/life.carry/workflow`.

For tests only, and read once, when the process starts:

TIDEGATE_CRASH_AT=POINT:SIDE:N   die (SIGKILL) at the N-th pass of that side, `before` or `after`, of the point
TIDEGATE_CRASH_COUNTS=FILE       write down every pass, a line each, so that hits are known of a killed process

Without them a funnel is the plain method: `durable` gives back what it was given.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from inspect import iscoroutinefunction
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar, cast

SWITCH = "TIDEGATE_CRASH_AT"
COUNTS = "TIDEGATE_CRASH_COUNTS"
SIDES = ("before", "after")
THROUGH = frozenset({"Controls.commit", "RabbitMQBroker.publish", "RestAdapter._ask", "SaasAdapter._ask"})
"""Functions that hand on what others ask for: the point bears the name of whoever calls them."""
F = TypeVar("F", bound=Callable[..., Any])


class UnknownCrash(ValueError):
    """The switch cannot be understood."""


class CrashPoints:
    """Counts passes, and ends the process at the one that was asked for. `end` must not return."""

    def __init__(self, told: str, counts: Path | None, end: Callable[[], None]) -> None:
        self._name, self._side, self._number = _read(told) if told else ("", "", 0)
        self._end = end
        self._passes: Counter[str] = Counter()
        self._file = None if counts is None else os.open(counts, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def passing(self, point: str, side: str) -> None:
        """Say that it is passed now."""
        if self._file is not None:
            os.write(self._file, f"{point}:{side}\n".encode())
        if side == self._side and f"{point}/".startswith(f"{self._name}/"):
            self._passes[self._name] += 1
            if self._passes[self._name] == self._number:
                self._end()


def armed(environ: Mapping[str, str]) -> CrashPoints | None:
    """What the environment asks for; None, as in every real life, for nothing.

    Raises:
        UnknownCrash: the switch makes no sense.
    """
    told, counts = environ.get(SWITCH, ""), environ.get(COUNTS, "")
    return CrashPoints(told, Path(counts) if counts else None, _end_process) if told or counts else None


def _read(told: str) -> tuple[str, str, int]:
    name, _, rest = told.partition(":")
    side, _, number = rest.partition(":")
    if not name or side not in SIDES or not number.isdecimal() or int(number) < 1:
        raise UnknownCrash(f"{SWITCH}={told}: expected POINT:SIDE:N, such as commit/poster.start:before:3")
    return name, side, int(number)


def _end_process() -> None:
    """As if the machine had gone: nothing is flushed, closed or told to anybody."""
    os.kill(os.getpid(), signal.SIGKILL)


_points = armed(os.environ)
TOLD = os.environ.get(SWITCH, "")
"""What this process was told, for whoever starts it to say so aloud."""


def durable(kind: str, name: str = "", points: CrashPoints | None = _points) -> Callable[[F], F]:
    """Make each call of the function, async or not, a crash point. `name`: the whole of it, whoever calls."""

    def around(method: F) -> F:
        if points is None:
            return method

        @wraps(method)
        def begin(*facts: Any, **named: Any) -> Any:
            point = f"{kind}/{name or site(sys._getframe(1))}{_actor()}"
            if iscoroutinefunction(method):
                return _pass(points, point, method, facts, named)
            points.passing(point, "before")
            result = method(*facts, **named)
            points.passing(point, "after")
            return result

        return cast(F, begin)

    return around


async def _pass(points: CrashPoints, point: str, method: Callable[..., Awaitable[Any]], facts: Any, named: Any) -> Any:
    points.passing(point, "before")
    result = await method(*facts, **named)
    points.passing(point, "after")
    return result


def site(frame: FrameType | None) -> str:
    """The function that asks, as `module.function`."""
    while frame is not None and frame.f_code.co_qualname.partition(".<locals>")[0] in THROUGH:
        frame = frame.f_back
    if frame is None:
        return "nobody"
    return site_name(frame.f_globals["__name__"], frame.f_code.co_qualname)


def site_name(module: str, function: str) -> str:
    """`actors.caller.poster`, `Poster._start` are `poster.start`."""
    plain = function.partition(".<locals>")[0].rpartition(".")[2].strip("_")
    return f"{module.rpartition('.')[2]}.{plain}"


def _actor() -> str:
    """Whose task this is: an actor's bears its place in the tree, a call's the name of its caller."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # in a thread of its own
        return ""
    name = "" if task is None else task.get_name()
    if "/" not in name:
        return ""
    return "/" + (name.rpartition("/")[2] if name.startswith("/") else name.partition("/")[0])
