"""`tidegate demo-refund`."""

from __future__ import annotations

from pathlib import Path

import click

from ops.cli_shared import Shared, common, pass_shared


@click.command("demo-refund")
@click.option("--cases", default=5000, show_default=True, help="Cases of the incident wave; 0: only the two stories.")
@click.option("--seed", default=7, show_default=True)
@click.option("--profile", default="wave", show_default=True, help="The sandbox ERP's limits.")
@click.option("--lost", default=0.05, show_default=True, help="Share of posts that are done and not answered.")
@click.option("--late", default=0.02, show_default=True, help="Share of posts that are done late, after the time-out.")
@click.option("--refused", default=0.01, show_default=True, help="Share of postings that the ERP refuses.")
@click.option("--broker", type=click.Choice(["embedded", "rabbitmq"]), default="embedded", show_default=True)
@click.option("--crash", is_flag=True, help="Kill the daemon (and the broker) with SIGKILL five times in mid-wave.")
@click.option("--out", type=click.Path(path_type=Path), default=Path(".tidegate/demo-refund"), show_default=True)
@common
@pass_shared
def demo_refund(
    shared: Shared,
    cases: int,
    seed: int,
    profile: str,
    lost: float,
    late: float,
    refused: float,
    crash: bool,
    broker: str,
    out: Path,
) -> None:
    """One case through billing, support, ERP, CRM and revenue reporting; then an incident of many, approved once.

    \b
    Example:
      tidegate demo-refund --cases 1000
    """
    from ops.demo_refund import Wave, run_demo_refund

    kills = 5 if crash else 0
    wave = Wave(
        cases=cases, seed=seed, profile=profile, lost=lost, late=late, refused=refused, kills=kills, broker=broker
    )
    raise SystemExit(run_demo_refund(wave, out, shared.as_json))
