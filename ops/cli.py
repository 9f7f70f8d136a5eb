"""The command line. Each verb is a few lines here; what it does stands in a module of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from actors.settings import SettingsRefused
from ops.cli_approvals import approvals
from ops.cli_audit import audit
from ops.cli_incidents import incidents
from ops.cli_ledger import ledger
from ops.cli_mend import COMMANDS as MENDING
from ops.cli_operators import COMMANDS
from ops.cli_refund import demo_refund
from ops.cli_shared import Shared, common, pass_shared
from ops.cli_surge import against_options, run_against_profiles, surge_newcomer
from ops.cli_windows import window
from ops.client import DaemonAway, Refused
from ops.config import CONFIG
from ops.forecasting import forecast_command
from ops.packs import PACKS
from ops.virtual.options import is_virtual, virtual_options

_PASS_ON = {"ignore_unknown_options": True, "help_option_names": []}
"""For verbs that are programs of their own: they read their options (and --help) themselves."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config", type=click.Path(path_type=Path), envvar=CONFIG, help="TOML file (default: built-in settings)."
)
@click.option("--data", help="Data directory (default: .tidegate).")
@click.option("--token-file", help="Your own operator token (or TIDEGATE_TOKEN_FILE).")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.version_option("0.1.0", prog_name="tidegate")
@click.pass_context
def tidegate(
    context: click.Context, config: Path | None, data: str | None, token_file: str | None, as_json: bool
) -> None:
    """Tidegate stands between an ERP and the systems around it: it absorbs surges, keeps the ERP within its limits,
    posts every amount once, and can say why a thing is not done yet.

    \b
    First steps:
      tidegate demo                    see it work
      tidegate serve                   run the daemon
      tidegate status --watch          look at it, from another terminal
      tidegate explain CASE-1042       why is it not done yet?

    Every verb explains itself: tidegate VERB --help. Exit codes: 0 done, 1 refused or failed, 2 wrong use.
    """
    context.obj = Shared(config, data, as_json, token_file)


@tidegate.command()
@click.option("--port", type=int, help="HTTP port (0: any free one).")
@click.option("--erp-url", help="Base URL of the ERP.")
@common
@pass_shared
def serve(shared: Shared, port: int | None, erp_url: str | None) -> None:
    """Run the daemon until SIGTERM or Ctrl-C (once: drain; twice: stop at once; SIGHUP: reload).

    \b
    Example:
      tidegate serve --port 8080 --erp-url http://127.0.0.1:8090
    """
    from ops.collector import spare_the_collector
    from ops.service import run_service

    spare_the_collector()
    overrides = {"http.port": port, "erp.url": erp_url}
    raise SystemExit(run_service(shared.settings(**overrides), lambda: shared.settings(**overrides), shared.as_json))


@tidegate.command()
@click.option("--pack", default="incident", show_default=True, type=click.Choice(PACKS), help="What comes in.")
@click.option("--cases", default=2000, show_default=True, help="Distinct cases in the pack.")
@click.option("--seed", default=7, show_default=True)
@click.option("--profile", default="demo", show_default=True, help="The sandbox ERP's limits.")
@click.option("--broker", type=click.Choice(["embedded", "rabbitmq"]), default="embedded", show_default=True)
@click.option("--crash", is_flag=True, help="Kill the daemon (and the broker) with SIGKILL five times in mid-surge.")
@click.option("--out", type=click.Path(path_type=Path), default=Path(".tidegate/demo"), show_default=True)
@common
@pass_shared
def demo(shared: Shared, pack: str, cases: int, seed: int, profile: str, broker: str, crash: bool, out: Path) -> None:
    """A surge through a real daemon into a sandbox ERP, with a certificate from the ERP's own log.

    \b
    Example:
      tidegate demo --cases 500 --crash
    """
    from ops.demo import run_demo

    raise SystemExit(run_demo(cases, seed, profile, 5 if crash else 0, broker, out, shared.as_json, pack))


@tidegate.command()
@click.option("--pack", default="incident", show_default=True, type=click.Choice(PACKS), help="What comes in.")
@click.option("--cases", default=2000, show_default=True, type=click.IntRange(0))
@click.option("--seed", default=7, show_default=True)
@click.option(
    "--hours",
    type=click.FloatRange(0, min_open=True),
    help="Length of the business day whose shape it has (default: as fast as the daemon takes it; virtual: 24).",
)
@click.option("--url", help="The daemon (default: from the settings).")
@click.option(
    "--erp-log", type=click.Path(path_type=Path, exists=True), help="The ERP's log: certify and draw at the end."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path(".tidegate/surge"), show_default=True)
@virtual_options
@against_options
@common
@pass_shared
def surge(
    shared: Shared,
    /,
    out: Path,
    url: str | None,
    erp_log: Path | None,
    against: tuple[str, ...],
    published_seconds: float,
    **plan: Any,
) -> None:
    """Send a seeded pack of messages at a running daemon and watch it drain; or at a daemon of its own, killed and
    steered while it goes on; or simulate a day of it.

    \b
    Examples:
      tidegate surge --pack incident --cases 5000 --erp-log .tidegate/erp/erp-log.jsonl
      tidegate surge --pack all --cases 20000 --against xero
      tidegate surge --pack all --cases 20000 --hours 24 --virtual
    """
    if against:
        run_against_profiles(list(against), published_seconds, out, shared.as_json, url=url, erp_log=erp_log, **plan)
    if is_virtual(plan, url=url, erp_log=erp_log):
        from ops.virtual.command import run_virtual

        raise SystemExit(run_virtual(out, shared.as_json, **plan))
    from ops.surging import run_surge

    with shared.client(url) as client:
        raise SystemExit(run_surge(client, erp_log=erp_log, out=out, as_json=shared.as_json, **plan))


@tidegate.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--url", help="The daemon (default: from the settings).")
@common
@pass_shared
def enqueue(shared: Shared, files: tuple[str, ...], url: str | None) -> None:
    """Enqueue CloudEvents from files of one event, a JSON array, or JSON Lines; `-` is standard input.

    Everything is read and checked first: a file with a mistake sends nothing, and the mistake is told by file and
    line. Sending again is safe: what is known already is recognised. With your own token (--token-file) it is sent in
    your name.

    \b
    Examples:
      tidegate enqueue cases.json more.jsonl
      jq -c '.[]' export.json | tidegate enqueue -
    """
    from ops.enqueue import run_enqueue

    with shared.client(url) as client:
        raise SystemExit(run_enqueue(client, files, shared.as_json, signed=shared.own_token is not None))


@tidegate.command()
@click.option("--watch", is_flag=True, help="Refresh until Ctrl-C.")
@common
@pass_shared
def status(shared: Shared, watch: bool) -> None:
    """The whole house on one screen: actors, queues, calls, the ERP's budget, orders, exceptions.

    \b
    Examples:
      tidegate status --watch
      tidegate status --json | jq .budget
    """
    from ops.screen import show_status, watch_status

    with shared.client() as client:
        if watch and not shared.as_json:
            watch_status(client)
        else:
            overview = client.overview()
            shared.say(overview, lambda: show_status(overview))


@tidegate.command()
@click.argument("key")
@common
@pass_shared
def explain(shared: Shared, key: str) -> None:
    """Why is it not done yet? KEY is a case, an invoice, an intent id, a message id or a document.

    \b
    Example:
      tidegate explain CASE-1042
    """
    from ops.screen import show_process

    with shared.client() as client:
        story = client.process(key)
        shared.say(story, lambda: show_process(story))


@tidegate.command()
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 200))
@common
@pass_shared
def exceptions(shared: Shared, limit: int) -> None:
    """What waits for a person, and for whom; with --json the whole messages, sensitive fields masked.

    \b
    Example:
      tidegate exceptions --limit 10
    """
    from ops.screen import show_exceptions

    with shared.client() as client:
        items = client.exceptions(limit)
        shared.say({"items": items}, lambda: show_exceptions(items))


@tidegate.group()
def broker() -> None:
    """The message broker."""


@broker.command()
@common
@pass_shared
def check(shared: Shared) -> None:
    """Explain, before the first start, what differs between the broker and what we need, and how to fix it.

    \b
    Example:
      TIDEGATE_BROKER__URL=amqp://user:password@host/vhost tidegate broker check
    """
    from ops.broker_check import run_check

    raise SystemExit(run_check(shared.settings(), shared.as_json))


@tidegate.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@pass_shared
def certify(shared: Shared, arguments: tuple[str, ...]) -> None:
    """State what an ERP experienced, from its own log: worst windows, margins, duplicates, losses, order, fair shares.

    \b
    Example:
      tidegate certify erp-log.jsonl --accepted accepted.jsonl --limit "10/1s" --terms house --html certificate.html
    """
    from ops.certificate.cli import main as certify_main

    raise SystemExit(certify_main([*arguments, *(["--json"] if shared.as_json else [])]))


@tidegate.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> None:
    """Run a sandbox ERP by itself: a real HTTP server with limits, faults and its own log."""
    from ops.sandbox.__main__ import main as sandbox_main

    raise SystemExit(sandbox_main(list(arguments)))


@tidegate.command()
@common
@pass_shared
def token(shared: Shared) -> None:
    """Where the operator token is kept (it is never printed).

    \b
    Example:
      curl -H "Authorization: Bearer $(cat $(tidegate token))" http://127.0.0.1:8080/v1/ops/status
    """
    path = shared.settings().directory / "operator.token"
    shared.say({"path": str(path), "exists": path.exists()}, lambda: click.echo(str(path)))


for _command in (*COMMANDS, *MENDING):
    tidegate.add_command(_command)


tidegate.add_command(forecast_command(pass_shared, common))
for _group in (approvals, audit, demo_refund, incidents, ledger, surge_newcomer, window):
    tidegate.add_command(_group)


def cli(arguments: list[str] | None = None) -> int:
    """Run the command line and give the exit code; errors are one line on standard error."""
    try:
        tidegate.main(arguments, prog_name="tidegate", standalone_mode=False)
    except click.exceptions.Abort:
        return 1
    except click.ClickException as wrong:
        wrong.show()
        return 2
    except SettingsRefused as refused:
        return _fail(str(refused), 2)
    except DaemonAway as away:
        return _fail(f"{away}. Start it with `tidegate serve`, or name it with --url or TIDEGATE_URL.", 1)
    except Refused as refusal:
        return _fail(str(refusal), 1)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _fail(text: str, code: int) -> int:
    sys.stderr.write(f"tidegate: {text}\n")
    return code
