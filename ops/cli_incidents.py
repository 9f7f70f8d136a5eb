"""`tidegate incidents`: an outage with thousands of credits, approved once, up to a cap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ops.cli_shared import Shared, common, pass_shared
from ops.client import Client

_Options = Callable[[Callable[..., Any]], Callable[..., Any]]
_tenant = click.option("--tenant", help="For an incident that several tenants have.")


def _cap(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """EUR=50000.00, several times."""
    found = {}
    for words in given:
        currency, sign, amount = words.partition("=")
        if not sign or not currency or not amount or currency in found:
            raise click.BadParameter(f"{words!r} is not CURRENCY=AMOUNT, as in EUR=50000.00, once for each currency.")
        found[currency.strip()] = amount.strip()
    return found


def _capped(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--per-account", type=click.IntRange(1), help="Cases of one account at most (default: 1)."),
        click.option("--count", "cases", type=click.IntRange(1), help="Cases at most (default: as many as there are)."),
        click.option("--cap", multiple=True, callback=_cap, metavar="EUR=AMOUNT", help="Most that may be credited."),
    ):
        command = option(command)
    return command


@click.group()
def incidents() -> None:
    """Incidents: what they cost, and approving their credits once, up to a cap, instead of case by case.

    Who you are is whose token you hold: --token-file, or TIDEGATE_TOKEN_FILE.
    """


@incidents.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 500))
@common
@pass_shared
def list_(shared: Shared, limit: int) -> None:
    """Incidents because of which credits were asked, the latest first.

    \b
    Example:
      tidegate incidents list
    """
    with shared.client() as client:
        items = client.incidents(limit)
        shared.say({"items": items}, lambda: _table("incidents, the latest first", items))


@incidents.command()
@click.argument("incident")
@_tenant
@common
@pass_shared
def show(shared: Shared, incident: str, tenant: str | None) -> None:
    """What was asked, what waits for people, what was approved and let through, and what holds it.

    \b
    Example:
      tidegate incidents show INC-2041
    """
    with shared.client() as client:
        view = client.incident(incident, tenant=tenant)
        shared.say(view, lambda: present(view))


@incidents.command()
@click.argument("incident")
@_tenant
@click.option("--after", default=0, help="`next` of the page before.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500))
@common
@pass_shared
def cases(shared: Shared, incident: str, tenant: str | None, after: int, limit: int) -> None:
    """The cases that approvals have met: let through, or left to a person, and why.

    \b
    Example:
      tidegate incidents cases INC-2041
    """
    with shared.client() as client:
        page = client.incident(incident, "cases", tenant=tenant, after=after, limit=limit)
        shared.say(page, lambda: _table(f"cases of {incident}", page["items"]))


@incidents.command()
@click.argument("incident")
@_tenant
@_capped
@common
@pass_shared
def preview(
    shared: Shared, incident: str, tenant: str | None, cap: dict[str, str], cases: int | None, per_account: int | None
) -> None:
    """What a cap would let through and leave, who must approve it, and what it costs the ERP.

    \b
    Example:
      tidegate incidents preview INC-2041 --cap EUR=250000.00 --count 6000
    """
    with shared.client() as client:
        command = {"tenant": tenant, "cap": cap, "cases": cases, "per_account": per_account}
        view = client.on_incident(incident, "preview", **command)
        shared.say(view, lambda: present(view))


@incidents.command()
@click.argument("incident")
@_tenant
@_capped
@click.option("--digest", help="Of what you saw (default: it is shown now, and you are asked).")
@click.option("--reason", help="Why; it is kept.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what it would do, and give a token.")
@click.option("--commit", "token", metavar="TOKEN", help="Carry out exactly what a dry run has shown.")
@common
@pass_shared
def approve(shared: Shared, /, incident: str, token: str | None, yes: bool, digest: str | None, **given: Any) -> None:
    """Approve it up to a cap. Without a cap: join what others have begun to approve, or else what waits now.

    \b
    Example:
      tidegate incidents approve INC-2041 --cap EUR=250000.00 --count 6000 --reason "the outage is confirmed"
    """
    if token is None and given["reason"] is None:
        raise click.UsageError("Missing option '--reason'.")
    with shared.client() as client:
        if token is not None:
            told = client.on_incident(incident, "approve", token=token)
        else:
            asks = not (yes or given["dry_run"] or shared.as_json)
            command = given if digest else _look(client, incident, given, asks)
            told = client.on_incident(incident, "approve", **{"digest": digest, **command})
    shared.say(told, lambda: _done(incident, told))


def _look(client: Client, incident: str, given: dict[str, Any], asks: bool) -> dict[str, Any]:
    """Show what is to be approved, ask if somebody is there to answer, and give it in full."""
    view = client.incident(incident, tenant=given["tenant"])
    seen = None if given["cap"] else view.get("proposal")
    if seen is None:
        command = {name: given[name] for name in ("tenant", "cap", "cases", "per_account")}
        view = client.on_incident(incident, "preview", **command)
        seen = view["preview"]
    if asks:
        present(view)
        click.confirm("approve it?", abort=True)
    own = {name: seen[name] for name in ("cases", "per_account", "digest")}
    return {**given, **own, "cap": seen["money"]}


def _steering(verb: str, doc: str, example: str) -> click.Command:
    @click.command(verb, help=f"{doc}\n\n\b\nExample:\n  tidegate incidents {verb} INC-2041 {example}")
    @click.argument("incident")
    @_tenant
    @click.option("--reason", help="Why; it is kept.")
    @click.option("--dry-run", is_flag=True, help="Only say what it would do, and give a token.")
    @click.option("--commit", "token", metavar="TOKEN", help="Carry out exactly what a dry run has shown.")
    @common
    @pass_shared
    def steer(
        shared: Shared, incident: str, tenant: str | None, reason: str | None, dry_run: bool, token: str | None
    ) -> None:
        if token is None and reason is None:
            raise click.UsageError("Missing option '--reason'.")
        command = {"token": token} if token else {"tenant": tenant, "reason": reason, "dry_run": dry_run}
        with shared.client() as client:
            told = client.on_incident(incident, verb, **command)
        shared.say(told, lambda: _done(incident, told))

    return steer


incidents.add_command(
    _steering(
        "hold",
        "Let no further case through. What is under way goes on to its end; no policy credits by itself meanwhile.",
        "--reason 'billing looks wrong'",
    )
)
incidents.add_command(
    _steering("resume", "Let it go on. Only who may approve it can.", "--reason 'the period is open again'")
)


@incidents.command()
@click.argument("incident")
@_tenant
@common
@pass_shared
def reconcile(shared: Shared, incident: str, tenant: str | None) -> None:
    """Approved against credited against ERP documents against told, in numbers and sums; exit code 1 if they differ.

    \b
    Example:
      tidegate incidents reconcile INC-2041
    """
    with shared.client() as client:
        report = client.incident(incident, "reconcile", tenant=tenant)
    shared.say(report, lambda: present_reconciliation(report))
    raise SystemExit(0 if report["agrees"] else 1)


# printing ----------------------------------------------------------------------------------------------------


def _done(incident: str, told: dict[str, Any]) -> None:
    click.echo(f"{incident}: {told['note']}")
    if told.get("token"):
        click.echo(f"carry it out until {told['expires']} with --commit {told['token']}")


def _table(title: str, items: list[dict[str, Any]]) -> None:
    if not items:
        click.echo("none")
        return
    table = Table(title=title, title_justify="left")
    for column in items[0]:
        table.add_column(column.replace("_", " "))
    for item in items:
        table.add_row(*(str(value) for value in item.values()))
    Console().print(table)


def _words(part: dict[str, Any]) -> str:
    return f"{part['cases']} cases, {money(part['money'])}"


def money(sums: dict[str, str]) -> str:
    """Sums by currency in one line."""
    return ", ".join(f"{amount} {currency}" for currency, amount in sums.items()) or "no money"


def present(view: dict[str, Any], say: Callable[[str], Any] = click.echo) -> None:
    """An incident, for people."""
    say(f"incident {view['incident']} of {view['tenant']}: {view['phase']}")
    say(f"  asked             {_words(view['asked'])}; by a policy alone {_words(view['by_policy'])}")
    say(f"  waits for people  {_words(view['waiting'])}")
    for tier, part in view["tiers"].items():
        say(f"    {tier:<15} {_words(part)}")
    for needed, count in view["needs"].items():
        say(f"    {count} of them would each need {needed}")
    say(f"  let through       {_words(view['released'])}; {view['under_way']} under way")
    for name, part in view["ended"].items():
        say(f"    {name:<15} {_words(part)}")
    cost = view["cost"]
    seconds = f", about {cost['seconds']:.0f} s after what waits already" if cost.get("seconds") is not None else ""
    say(f"  costs the ERP     {cost['erp_calls']} calls{seconds}")
    say(f"  largest           {', '.join(view.get('largest', [])) or '-'}")
    several = ", ".join(f"{account} {count}" for account, count in view.get("busiest", {}).items())
    say(f"  several cases     {several or 'no account'}")
    for line in view.get("exceptions", []):
        say(f"  exception         {line}")
    if hold := view.get("hold"):
        say(f"  held by {hold['who']} since {hold['since']}: {hold['reason']} (owner: {hold.get('owner', 'finance')})")
    for name, title in (("cap", "approved"), ("proposal", "being approved"), ("preview", "this cap")):
        if cap := view.get(name):
            _present_cap(title, cap, say)
    if lets := view.get("lets_through"):
        left = ", ".join(f"{count} {why}" for why, count in view.get("leaves", {}).items())
        say(f"  lets through      {_words(lets)}; left: {left or 'none'}")


def _present_cap(title: str, cap: dict[str, Any], say: Callable[[str], Any]) -> None:
    limit = f"{money(cap['money'])}, {cap['cases']} cases, {cap['per_account']} of one account"
    say(f"  {title:<17} up to {limit}")
    say(f"    needs {cap['people']} of role {cap['role']} or higher: {cap['why']}")
    say(f"    approved by {' and '.join(cap.get('approved_by', [])) or 'nobody yet'}; digest {cap['digest']}")


def present_reconciliation(report: dict[str, Any], say: Callable[[str], Any] = click.echo) -> None:
    """A reconciliation, for people."""
    say(f"incident {report['incident']} of {report['tenant']}{'' if report['over'] else ' (still under way)'}")
    for line in report["lines"]:
        say(f"  {line['what']:<22} {line['count']:>7}   {money(line['money'])}")
    for check in report["checks"]:
        say(f"  {'agrees ' if check['holds'] else 'DIFFERS'} {check['what']}")
        for example in check.get("examples", []):
            say(f"          {example}")
