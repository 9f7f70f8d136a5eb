"""Sending many failed calls again: one as a canary, then twice as many each time, and none any more once one fails.

So a cause that is still there is met by one call, and a cause that comes back by one wave. Pure: the facts of the
calls that are out go in, what to do comes out.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

WAVE_MAX: Final = 16
"""Calls that are out at once at most: what a cause that comes back can cost."""


class Run(Struct, frozen=True, kw_only=True):
    """A mass retry: the set was frozen when it was shown. Intent ids; `wave` is the size of the next one.

    `stopped`: why it goes no further; `fine` and `failed` count what came back.
    """

    id: str
    who: str
    reason: str
    waiting: tuple[str, ...]
    out: tuple[str, ...] = ()
    wave: int = 1
    fine: int = 0
    failed: int = 0
    stopped: str | None = None

    @property
    def over(self) -> bool:
        """Nothing of it is out and nothing will be sent."""
        return not self.out and (self.stopped is not None or not self.waiting)


def go_on(run: Run, states: dict[str, tuple[str, str | None]]) -> tuple[Run, tuple[str, ...]]:
    """The run after a look at the calls that are out (`states`: status and reason by intent), and whom to send now.

    A wave is waited for as a whole: only when all of it ended fine the next one goes, twice as big.
    """
    ended = {intent: states[intent] for intent in run.out if states[intent][0] in ("done", "refused", "exception")}
    bad = [reason or status for status, reason in ended.values() if status != "done"]
    still = tuple(intent for intent in run.out if intent not in ended)
    run = replace(run, out=still, fine=run.fine + len(ended) - len(bad), failed=run.failed + len(bad))
    if bad:
        why = f"the cause is still there: {bad[0]}"
        return replace(run, stopped=run.stopped or why), ()
    if still or run.stopped is not None or not run.waiting:
        return run, ()
    send = run.waiting[: run.wave]
    wave = min(2 * run.wave, WAVE_MAX)
    return replace(run, waiting=run.waiting[len(send) :], out=send, wave=wave), send
