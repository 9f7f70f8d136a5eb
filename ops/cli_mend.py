"""`tidegate retry` and `tidegate settle`: what is with a person goes on."""

from __future__ import annotations

import click

from ops.cli_operators import _need_reason, _show, _why
from ops.cli_shared import Shared, common, pass_shared


@click.command()
@click.argument("keys", nargs=-1)
@click.option("--failure", help="Everything of this class of failure, such as closed_period; --dry-run first.")
@_why
@_show
@common
@pass_shared
def retry(
    shared: Shared,
    keys: tuple[str, ...],
    failure: str | None,
    reason: str | None,
    who: str,
    dry_run: bool,
    token: str | None,
) -> None:
    """Send calls again that are with a person, under the same intent; of unknown outcome they are looked up first.

    Many go behind a canary: one, then two, four and so on, and none any more after one that fails.

    \b
    Examples:
      tidegate retry CASE-1042 --reason "the tax code is there now"
      tidegate retry --failure closed_period --reason "March is open" --dry-run
    """
    from ops.verbs import run_command, run_commit

    why = _need_reason(reason, token)
    if token is None and not keys and failure is None:
        raise click.UsageError("Name keys, or a class with --failure.")
    scope = None if failure is None else f"failure:{failure}"
    command = {"keys": list(keys), "scope": scope, "reason": why, "who": who, "dry_run": dry_run}
    with shared.client() as client:
        if token is not None:
            raise SystemExit(run_commit(client, token, who, shared.as_json))
        raise SystemExit(run_command(client, "retry", command, shared.as_json))


@click.command()
@click.argument("key")
@click.option("--posted", "document", metavar="DOCUMENT", help="It is there, under this name.")
@click.option("--not-posted", is_flag=True, help="It is not there and will not come: it is refused.")
@_why
@_show
@common
@pass_shared
def settle(
    shared: Shared,
    key: str,
    document: str | None,
    not_posted: bool,
    reason: str | None,
    who: str,
    dry_run: bool,
    token: str | None,
) -> None:
    """Say what has become of a call that no system can tell of: a person has looked.

    \b
    Example:
      tidegate settle CASE-1042 --posted ADJ-00000117 --reason "found it in the ERP by its amount"
    """
    from ops.verbs import run_command, run_commit

    command = {
        "key": key,
        "document": document,
        "not_posted": not_posted,
        "reason": _need_reason(reason, token),
        "who": who,
        "dry_run": dry_run,
    }
    with shared.client() as client:
        if token is not None:
            raise SystemExit(run_commit(client, token, who, shared.as_json))
        raise SystemExit(run_command(client, "settle", command, shared.as_json))


COMMANDS = [retry, settle]
