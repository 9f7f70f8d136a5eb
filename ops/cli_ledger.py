"""`tidegate ledger`: what it takes. What it does stands in `ops/ledgering.py`."""

from __future__ import annotations

import getpass
import os

import click

from ops.cli_shared import Shared, common, pass_shared

SYSTEMS = ("erp", "billing", "support", "crm", "revenue")


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may know no name for its user
        return f"uid {os.getuid()}"


_who = click.option("--who", default=_login, help="You (default: the login name).")
_system = click.option(
    "--system", default="erp", show_default=True, type=click.Choice(SYSTEMS), help="What it is held against."
)


@click.group()
def ledger() -> None:
    """The ledger held against the systems: every intent has exactly one document or a stated refusal, and back."""


@ledger.command()
@_system
@_who
@common
@pass_shared
def verify(shared: Shared, system: str, who: str) -> None:
    """Hold every intent of the ledger against the documents of a system, both ways, and name each difference.

    It runs in the daemon, within a share of the system's budget (reconcile.share_percent), and goes on when this
    command is ended with Ctrl-C; `ledger stop` ends it. Nothing is posted, reversed or closed by it.

    \b
    Examples:
      tidegate ledger verify
      tidegate ledger verify --system billing --json | jq '.items[].intent_id'
    """
    from ops.ledgering import run_verify

    with shared.client() as client:
        raise SystemExit(run_verify(client, system, who, shared.as_json))


@ledger.command()
@common
@pass_shared
def show(shared: Shared) -> None:
    """The last comparison, of the background or asked for: how far it is, and what it has found.

    \b
    Example:
      tidegate ledger show
    """
    from ops.ledgering import run_show

    with shared.client() as client:
        raise SystemExit(run_show(client, shared.as_json))


@ledger.command()
@_system
@_who
@common
@pass_shared
def stop(shared: Shared, system: str, who: str) -> None:
    """End the comparison with a system that is on.

    \b
    Example:
      tidegate ledger stop
    """
    with shared.client() as client:
        run = client.operate("ledger", system=system, who=who, stop=True)
        shared.say(run, lambda: click.echo(f"Run {run['number']} ends with its next call."))
