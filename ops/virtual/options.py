"""The options of `tidegate surge --virtual`; apart from the rest, because reading a command line is to stay quick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

_OPTIONS = {
    "profile": click.option("--profile", help="Virtual: the ERP's limits profile (default: business-central)."),
    "limits": click.option(
        "--limit", "limits", multiple=True, help='Virtual: one more limit of the ERP, such as "60/min".'
    ),
    "latency_ms": click.option(
        "--latency-ms", type=click.FloatRange(0), help="Virtual: the ERP's mean time for a call (default: 6000)."
    ),
    "failures": click.option(
        "--failures", type=click.FloatRange(0, 1), help="Virtual: share of calls answered with 503."
    ),
    "lost": click.option(
        "--lost", type=click.FloatRange(0, 1), help="Virtual: share of posts that are done and never answered."
    ),
}
_VIRTUAL = click.option(
    "--virtual", is_flag=True, help="No daemon: a simulated day, with the real gate, order and policies."
)


def virtual_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add them to a command."""
    for option in reversed((_VIRTUAL, *_OPTIONS.values())):
        command = option(command)
    return command


def is_virtual(given: dict[str, Any], **live: Any) -> bool:
    """Whether a simulation is asked for; takes what does not concern the case out of `given`.

    Raises click.UsageError for an option of the other case.
    """
    virtual = bool(given.pop("virtual"))
    others = live if virtual else {name: given.pop(name) for name in _OPTIONS}
    for name, value in others.items():
        if value:
            option = "--" + name.replace("_", "-").replace("limits", "limit")
            raise click.UsageError(
                f"{option} needs a daemon, without --virtual" if virtual else f"{option} is only for --virtual"
            )
    return virtual
