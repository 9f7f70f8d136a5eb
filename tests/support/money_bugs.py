"""Bugs to plant in the daemon process: each is the absence of one remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from actors.adapters import classify as classifier
from actors.adapters import rest
from actors.adapters.credential import Credential
from actors.caller import gate, poster, steps
from actors.retries import Retries
from policies import failures, mass_retry
from policies.recoverability import FailureClass


def sends_again_blindly() -> None:
    """What got no answer goes back in line, without a look-up."""

    def again(call: Any, reason: str, adapter: Any, now: int, random: float, since_us: int = 0) -> steps.Step:
        return steps.Step(steps._waiting(call, now, reason))

    steps._unknown = again


def waits_out_nothing() -> None:
    """An empty look-up is believed at once."""
    steps._may_come_for_us = lambda call, adapter, now, since_us: 0


def frees_places_at_once() -> None:
    """A call without an answer is taken for over."""
    settle = poster.settle

    def hasty(gate: Any, admission: Any, answer: Any, bound: int, safe: int, now: int, took: int) -> None:
        settle(gate, admission, answer, bound, now, now, took)

    poster.settle = hasty


def hears_no_429() -> None:
    """A refusal for a limit freezes nothing."""

    def deaf(self: Any, admission: Any, bound: int, after: Any, reason: str, now: int, *_: Any) -> None:
        self.answered(admission, bound, True, now)

    gate.Gate.throttled = deaf  # type: ignore[method-assign]


def reads_everything() -> None:
    """An answer may be as long as it likes."""
    rest.ANSWER_BYTES_MAX = 10**12


def believes_strangers() -> None:
    """A 404 is a 404, whoever says it."""
    hear = failures.hear
    rest.hear = lambda manner, body: msgspec.structs.replace(hear(manner, body), own=True)


def repeats_a_final_no() -> None:
    """What is wrong for good is tried again, as if the system were only away."""
    classify = classifier.classify

    def hopeful(*arguments: Any, **more: Any) -> Any:
        found = classify(*arguments, **more)
        final = (FailureClass.DATA_QUALITY, FailureClass.CLOSED_PERIOD)
        if getattr(found, "failure", None) in final:
            return msgspec.structs.replace(found, failure=FailureClass.TRANSIENT)
        return found

    rest.classify = hopeful


def never_reads_the_token_again() -> None:
    """The token of the start is the token."""
    Credential.refresh = lambda self: None  # type: ignore[method-assign]


def sends_all_at_once() -> None:
    """A mass retry without a canary."""
    go_on = mass_retry.go_on

    def bold(run: mass_retry.Run, states: Any) -> Any:
        return go_on(msgspec.structs.replace(run, wave=10**6), states)

    Retries._go_on.__globals__["go_on"] = bold


BUGS: dict[str, Callable[[], None]] = {
    "look up before sending again": sends_again_blindly,
    "wait out late execution": waits_out_nothing,
    "places kept until a lost call is surely over": frees_places_at_once,
    "freeze after a 429": hears_no_429,
    "answers of bounded size": reads_everything,
    "only the system's own no": believes_strangers,
    "a final no is final": repeats_a_final_no,
    "the token is read again when it is replaced": never_reads_the_token_again,
    "canary before a mass retry": sends_all_at_once,
}
