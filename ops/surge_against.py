"""`tidegate surge --against PROFILE`: a sandbox ERP with a vendor's limits, a daemon of its own, and a rough day.

The daemon is killed with SIGKILL, limits are changed in mid-run by command at both sides, a weight is set, a customer
is paused, forecasts are asked for; and the certificate judges all of it by the ERP's own log. It begins with the limits
exactly as they are published. Where these have long windows they are shortened after a while, by command as well, so
that the rest of the surge can be watched; the log of the ERP and the certificate say so.
"""

from __future__ import annotations

import shutil
import sys
import tomllib
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from ops.certificate import HOUSE, Certificate, Terms
from ops.certificate.page import page
from ops.certificate.present import limit_rows
from ops.client import Client
from ops.foresight import Foresight
from ops.packs.message import TENANTS
from ops.process import DaemonProcess
from ops.sandbox.limits import PROFILES_PATH, Limit, load_profile
from ops.sandbox.process import SandboxProcess
from ops.surge_evidence import Evidence
from ops.surge_limits import shortened, steered, told, words
from ops.surge_story import Moment, Story, StoryFailed
from ops.surging import FAIR, run_surge

SHOWN = ("netsuite", "business-central", "xero", "dataverse")
"""The profiles of `--against all`."""
LATENCY_MS = {"netsuite": "100..200", "business-central": "20..40", "xero": "20..40", "dataverse": "40..60"}
"""How long a call takes there: short enough for the rate to be what binds, where there is one."""
LATENCY_USUAL_MS = "40..60"
ASKED_AT = (0.1, 0.25, 0.4, 0.6, 0.75, 0.9)
"""Forecasts are asked for when so much is settled: during the interventions, and after them."""
NARROW_PERCENT, WIDE_PERCENT = 60, 125
STARVED_PERCENT_MAX = 5.0
"""From here on idleness says more about the machine than about the daemon."""
HEAVY, WEIGHT = TENANTS[1], 3
PAUSED, PAUSE_SECONDS = TENANTS[2], 6


class Against(Struct, frozen=True):
    """What to run. `published_seconds`: how long the published windows stay before they are shortened."""

    pack: str
    cases: int
    seed: int
    published_seconds: float


def run_against(profiles: list[str], plan: Against, out: Path, as_json: bool) -> int:
    """One surge for each profile; the exit code says whether every certificate passed and everything happened."""
    made: dict[str, Certificate] = {}
    untold: dict[str, list[str]] = {}
    for profile in SHOWN if profiles == ["all"] else profiles:
        previous = list(made.values())[-1].sha256 if made else ""
        try:
            made[profile], untold[profile] = _run(profile, plan, out / profile, as_json, previous)
        except StoryFailed as failed:
            sys.stderr.write(f"tidegate surge: {profile}: {failed}\n")
            return 1
    for profile, labels in untold.items():
        if labels:
            sys.stderr.write(f"tidegate surge: {profile}: over before {labels[0]!r}; it needs more cases\n")
    (out / "certificate.html").write_text(page(list(made.values())), "utf-8")
    if not as_json:
        _table(made)
        sys.stdout.write(f"one page for all: {out / 'certificate.html'}\n")
    passed = all(one.verdict == "PASS" for one in made.values())
    return 0 if passed and not any(untold.values()) else 1


def _run(profile: str, plan: Against, out: Path, as_json: bool, previous: str) -> tuple[Certificate, list[str]]:
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    limits = load_profile(profile).limits
    say = sys.stderr.write if as_json else sys.stdout.write
    say(f"\n{profile}: {', '.join(words(limits))}{_missing(profile)}; pack {plan.pack}, {plan.cases} cases\n")
    settings = {
        "TIDEGATE_ERP__PROFILE": profile,
        "TIDEGATE_ERP__LIMITS": "",
        "TIDEGATE_ERP__TIMEOUT_SECONDS": "5",
        "TIDEGATE_ERP__LOST_SECONDS": "2",
    }
    latency_ms = LATENCY_MS.get(profile, LATENCY_USUAL_MS)
    with ExitStack() as stack:
        erp = stack.enter_context(SandboxProcess(out / "erp", profile, latency_ms=latency_ms, seed=plan.seed))
        daemon = stack.enter_context(DaemonProcess(out / "data", {**settings, "TIDEGATE_ERP__URL": erp.url}))
        client = stack.enter_context(Client(daemon.url, out / "data" / "operator.token"))
        evidence = Evidence()
        story = Story(client, daemon, erp, evidence, limits)
        story.tell(_moments(story, profile, limits, plan.published_seconds))
        terms = cache(lambda: _terms(story))  # what is said below is what it was judged by
        run_surge(
            client,
            plan.pack,
            plan.cases,
            plan.seed,
            erp.log_path,
            out,
            as_json,
            story.step,
            lambda: story.marks,
            evidence=evidence,
            foresight=Foresight(client, lambda: story.verbs("forecast", "--tenants", "12"), ASKED_AT),
            previous=previous,
            terms=terms,
        )
        certificate = msgspec.json.decode((out / "certificate.json").read_bytes(), type=Certificate)
        held = "held to" if terms() is HOUSE else "only stated"
        starved = f"other programs kept the daemon waiting for a processor {story.starved_percent:.0f}% of the time"
        say(f"{starved}: idleness is {held}\n")
        return certificate, story.untold


def _terms(story: Story) -> Terms:
    """A daemon that had no processor could not use the room that the ERP had: then idleness is stated, not held."""
    return FAIR if story.starved_percent > STARVED_PERCENT_MAX else HOUSE


def _moments(story: Story, profile: str, limits: tuple[Limit, ...], published_seconds: float) -> list[Moment]:
    """In this order; `share` is of the surge that is settled."""
    short = shortened(limits)
    narrow, wide = steered(short, NARROW_PERCENT), steered(short, WIDE_PERCENT)
    moments = [Moment("kill -9", story.kill, 0.03)]
    if short != limits:
        note = told(profile, limits)
        shorten = Moment("windows shortened", lambda: story.change(short, note), 0.0, published_seconds)
        moments = [Moment("kill -9", story.kill, 0.03, published_seconds / 2), shorten]
    return [
        *moments,
        Moment(f"weight {HEAVY} {WEIGHT}", lambda: story.weigh(HEAVY, WEIGHT), 0.15),
        Moment("limits down", lambda: story.change(narrow, f"limits at {NARROW_PERCENT} % for a while"), 0.2),
        Moment("kill -9", story.kill, 0.28),
        Moment("limits up", lambda: story.change(wide, f"limits at {WIDE_PERCENT} % for a while"), 0.36),
        Moment("limits as before", lambda: story.change(short, "limits as they were before"), 0.44),
        Moment(f"{PAUSED} paused", lambda: story.pause(PAUSED, PAUSE_SECONDS), 0.52),
    ]


def _missing(profile: str) -> str:
    """What the vendor limits without a public number."""
    found: dict[str, Any] = tomllib.loads(PROFILES_PATH.read_text("utf-8"))[profile]
    return f" ({found['missing']})" if "missing" in found else ""


def _table(made: dict[str, Certificate]) -> None:
    table = Table(title="Surges against profiles", title_justify="left")
    for column in ("profile", "limit", "held to", "worst window", "margin", "verdict"):
        table.add_column(column, justify="right" if column in ("worst window", "margin") else "left")
    for profile, certificate in made.items():
        name = profile
        for row in limit_rows(certificate):
            table.add_row(name, *row)
            name = ""
        calls = f"{certificate.calls.total:,} calls, {certificate.documents:,} documents, {certificate.seconds:.0f} s"
        table.add_row("", calls, "", "", "", certificate.verdict, end_section=True)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
