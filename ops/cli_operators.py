"""The operator verbs of the command line: what they take. What they do stands in `ops/verbs.py`."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from ops.cli_shared import Shared, common, pass_shared
from ops.times import Duration, Moment
from policies.lanes import LANES
from policies.scope import joined

_STAYS = "The order is durable, audited, and stays in force until it is ended or its time is up."
_WHAT = "TARGET: all, a system (erp, billing, support, crm, revenue), a domain (erp-poster)"


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may know no name for its user
        return f"uid {os.getuid()}"


def _options(*options: Callable[..., Any]) -> Callable[..., Any]:
    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_narrow = _options(
    click.option("--tenant", help="Only this tenant."),
    click.option("--lane", type=click.Choice(LANES), help="Only this lane."),
    click.option("--partition", type=int, help="Only this partition."),
    click.option("--operation", help="Only this operation of the system, such as adjustment."),
)
_why = _options(
    click.option("--reason", help="Why; it is kept in the audit."),
    click.option("--who", default=_login, help="You (default: the login name)."),
)
_show = _options(
    click.option("--dry-run", is_flag=True, help="Only say what it would concern, and give a token."),
    click.option("--commit", "token", metavar="TOKEN", help="Carry out exactly what a dry run has shown."),
)
_end = _options(
    click.option("--until", type=Moment(), help="When it ends by itself: 14:00 (local), or 2026-03-01T14:00Z."),
    click.option("--for", "lasting", type=Duration(), help="After how long it ends by itself: 30m, 1h30m."),
)


def _until(until: datetime | None, lasting: timedelta | None, begins: datetime | None = None) -> datetime | None:
    if until is not None and lasting is not None:
        raise click.UsageError("--until and --for both say when it ends; give one of them.")
    return (begins or datetime.now(UTC)) + lasting if lasting is not None else until


def _need_reason(reason: str | None, token: str | None) -> str:
    if reason is None and token is None:
        raise click.UsageError("Missing option '--reason'.")
    return reason or ""


def _scope(
    place: str | None, tenant: str | None, lane: str | None, partition: int | None, operation: str | None
) -> str:
    number = None if partition is None else str(partition)
    parts = (("tenant", tenant), ("lane", lane), ("partition", number), ("operation", operation))
    return joined(place, parts)


def _verb(name: str, doc: str, example: str, default_target: str | None = None) -> click.Command:
    """A verb that gives or ends a standing order."""
    drains = name == "drain"

    @click.command(name, help=f"{doc}\n\n\b\nExample:\n  tidegate {example}")
    @click.argument("target", required=False)
    @_narrow
    @_why
    @_end
    @click.option("--from", "begins", type=Moment(), help="When it begins, if not at once.")
    @_options(*([click.option("--within", type=Duration(), default="10m", show_default=True)] if drains else []))
    @_show
    @common
    @pass_shared
    def verb(
        shared: Shared, /, target: str | None, token: str | None, within: timedelta | None = None, **given: Any
    ) -> None:
        from ops.verbs import run_commit, run_verb

        reason = _need_reason(given["reason"], token)
        narrowing = {part: given[part] for part in ("tenant", "lane", "partition", "operation")}
        if (
            token is None
            and target is None
            and default_target is None
            and not any(v is not None for v in narrowing.values())
        ):
            raise click.UsageError("Missing argument 'TARGET'.")
        order = {
            "target": _scope(target or default_target, **narrowing),
            "reason": reason,
            "who": given["who"],
            "until": _until(given["until"], given["lasting"], given["begins"]),
            "begins": given["begins"],
            "dry_run": given["dry_run"],
        }
        with shared.client() as client:
            if token is not None:
                raise SystemExit(run_commit(client, token, given["who"], shared.as_json))
            raise SystemExit(run_verb(client, shared.settings(), name, order, shared.as_json, within))

    return verb


def _orders() -> list[click.Command]:
    narrowed = "narrowed by --tenant, --lane, --partition, --operation"
    return [
        _verb(
            "pause",
            f"Take no new work from {_WHAT}, lane:bulk, queue:NAME, {narrowed}. {_STAYS}",
            'pause --tenant acme --until 14:00 --reason "their migration"',
        ),
        _verb("resume", "End a pause.", 'resume --tenant acme --reason "it is done"'),
        _verb(
            "hold",
            f"Let no new call start to the system TARGET, {narrowed}. With --from it is a maintenance window. {_STAYS}",
            'hold erp --from 22:00 --for 2h --reason "ERP upgrade tonight"',
            "erp",
        ),
        _verb("release", "End a hold.", 'release erp --reason "upgrade is done"', "erp"),
        _verb(
            "drain",
            f"Close the doors, finish what is here, and say by id what is left, at the latest after --within. {_STAYS}",
            'drain --within 5m --reason "moving to another host"',
            "all",
        ),
        _verb("undrain", "Open the doors again.", 'undrain --reason "moved"', "all"),
    ]


def _setting(name: str, doc: str, example: str) -> click.Command:
    sets = name == "set"

    @click.command(name, help=f"{doc}\n\n\b\nExamples:\n{example}")
    @click.argument("setting", required=False)
    @click.argument("target", required=False)
    @_options(*([click.argument("value", required=False)] if sets else []))
    @_why
    @_options(*([_end] if sets else []))
    @_show
    @common
    @pass_shared
    def verb(shared: Shared, /, setting: str | None, target: str | None, token: str | None, **given: Any) -> None:
        from ops.verbs import run_command, run_commit

        reason = _need_reason(given["reason"], token)
        if token is None and (setting is None or target is None or (sets and given["value"] is None)):
            raise click.UsageError("Say what, of whom, and to what: see --help.")
        command = {
            "name": setting,
            "target": target,
            "value": given.get("value"),
            "reason": reason,
            "who": given["who"],
            "until": _until(given.get("until"), given.get("lasting")),
            "dry_run": given["dry_run"],
        }
        with shared.client() as client:
            if token is not None:
                raise SystemExit(run_commit(client, token, given["who"], shared.as_json))
            raise SystemExit(run_command(client, name, command, shared.as_json))

    return verb


def _settings() -> list[click.Command]:
    return [
        _setting(
            "set",
            "Set something live; it acts on what waits already. Settings: rate of a system, weight and minimum percent "
            "of a tenant, floor percent of a lane, window of a kind (see `tidegate window`).",
            "  tidegate set rate erp 5/s --for 2h --reason 'the ERP team asked'\n"
            "  tidegate set weight tenant:acme 3 --reason 'their go-live'\n"
            "  tidegate set floor lane:bulk 10 --reason 'month end'",
        ),
        _setting("unset", "Go back to what is configured.", "  tidegate unset rate erp --reason 'they are done'"),
    ]


def _work(name: str, doc: str, example: str, *more: Callable[..., Any]) -> click.Command:
    """A verb about waiting work, named by keys or by a scope."""

    @click.command(name, help=f"{doc}\n\n\b\nExample:\n  tidegate {example}")
    @click.argument("keys", nargs=-1)
    @_options(*(() if name == "purge" else (_narrow,)))
    @click.option("--older", type=Duration(), help="Only what has waited so long: 2h.")
    @_options(*more)
    @_why
    @_show
    @common
    @pass_shared
    def verb(shared: Shared, /, keys: tuple[str, ...], token: str | None, **given: Any) -> None:
        from ops.verbs import run_command, run_commit

        reason = _need_reason(given["reason"], token)
        narrowing = {part: given.get(part) for part in ("tenant", "lane", "partition", "operation")}
        scope = _scope(None, **narrowing) if any(value is not None for value in narrowing.values()) else None
        if given.get("failure"):
            scope = f"failure:{given['failure']}"
        if token is None and not keys and scope is None:
            raise click.UsageError("Name keys, or narrow by --tenant, --lane and so on.")
        command = {
            "keys": list(keys),
            "scope": scope,
            "older_seconds": int(given["older"].total_seconds()) if given["older"] else None,
            "lane": given.get("to"),
            "not_before": given.get("at"),
            "reason": reason,
            "who": given["who"],
            "dry_run": given["dry_run"],
        }
        with shared.client() as client:
            if token is not None:
                raise SystemExit(run_commit(client, token, given["who"], shared.as_json, given.get("export")))
            raise SystemExit(run_command(client, name, command, shared.as_json))

    return verb


def _works() -> list[click.Command]:
    to = click.option("--to", type=click.Choice(LANES), help="The lane it goes to.")
    at = click.option("--at", type=Moment(), help="When it goes on: 22:00 (local), or 2026-03-01T22:00Z.")
    failure = click.option("--failure", help="Only this class of failure, such as json.syntax.")
    export = click.option("--export", type=click.Path(path_type=Path), help="Where to copy what was purged.")
    return [
        _work(
            "cancel",
            "Cancel waiting calls that were never sent; whoever waits for them is told that they were refused. Money "
            "in flight or of unknown outcome is never cancelled.",
            'cancel CASE-1042 --reason "entered twice"',
        ),
        _work(
            "reprioritise",
            "Move waiting calls to another lane.",
            'reprioritise CASE-1042 --to urgent --reason "the board asked"',
            to,
        ),
        _work(
            "move",
            "Move waiting calls to another time.",
            'move --tenant acme --lane bulk --at 22:00 --reason "after their close" --dry-run',
            at,
        ),
        _work(
            "purge",
            "Drop set-aside messages that are not about money, after exporting them whole; --dry-run first.",
            'purge --failure json.syntax --older 7d --reason "a broken test system" --dry-run',
            failure,
            export,
        ),
    ]


@click.command()
@click.argument("operation")
@_why
@common
@pass_shared
def undo(shared: Shared, operation: str, reason: str | None, who: str) -> None:
    """Take back an operation: what it gave ends, what it ended is given back, what it moved goes back.

    \b
    Example:
      tidegate undo op-3f9a1c22b7d0 --reason "wrong tenant"
    """
    from ops.verbs import run_command

    command = {"operation": operation, "reason": _need_reason(reason, None), "who": who}
    with shared.client() as client:
        raise SystemExit(run_command(client, "undo", command, shared.as_json))


@click.command()
@_narrow
@click.option("--status", default="waiting", show_default=True, help="waiting, in_flight, unknown, done, refused, ...")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 500))
@common
@pass_shared
def peek(shared: Shared, /, status: str, limit: int, **narrowing: Any) -> None:
    """What stands in line, first things first, and what stops it.

    \b
    Example:
      tidegate peek --tenant acme --lane bulk
    """
    from ops.screen import show_calls

    scope = _scope(None, **narrowing) if any(value is not None for value in narrowing.values()) else None
    with shared.client() as client:
        page = client.look("calls", scope=scope, status=status, limit=limit)
        shared.say(page, lambda: show_calls(page["items"]))


@click.command()
@click.argument("key")
@common
@pass_shared
def search(shared: Shared, key: str) -> None:
    """Everything under KEY: a case, an invoice, an intent id, a message id or a document.

    \b
    Example:
      tidegate search CASE-1042
    """
    from ops.screen import show_found

    with shared.client() as client:
        found = client.look("search", key=key)
        shared.say(found, lambda: show_found(found))


@click.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 500))
@common
@pass_shared
def operations(shared: Shared, limit: int) -> None:
    """The last operations, newest first, with the names that `undo` takes.

    \b
    Example:
      tidegate operations --limit 5
    """
    from ops.screen import show_operations

    with shared.client() as client:
        page = client.look("operations", limit=limit)
        shared.say(page, lambda: show_operations(page["items"]))


@click.command()
@click.option("--once", is_flag=True, help="One picture, then end.")
@click.option("--every", type=click.FloatRange(0.2, 60), default=1.0, show_default=True, help="Seconds between.")
@common
@pass_shared
def top(shared: Shared, once: bool, every: float) -> None:
    """What moves just now: lanes, budgets with use and run-out, tenants that wait longest, actors, orders, ETA.

    On a terminal it stays until Ctrl-C; otherwise, with --once or with --json, it is one picture.

    \b
    Examples:
      tidegate top
      tidegate top --json | jq '.tenants[0]'
    """
    from ops.top import run_top

    with shared.client() as client:
        if shared.as_json:
            picture = client.look("top")
            shared.say(picture, lambda: None)
        else:
            run_top(client, once, every)


COMMANDS = [*_orders(), *_settings(), *_works(), undo, peek, search, operations, top]
