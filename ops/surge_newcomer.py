"""`tidegate surge-newcomer`: one new message of a tenant behind very many of another one; when does it start?

The ERP is held until the crowd is in line, then released; when its calls are under way, the one message comes in. It is
in line from the moment on at which the daemon says that its call is; from then on the certificate counts, in the ERP's
own log, what goes before it: at most one round (one call for each other tenant that waits), one call, and what was on
its way already (as many as there are places at the ERP).
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from ops.certificate import Certificate, Held, Terms, read_accepted, read_log
from ops.certificate.certify import state
from ops.certificate.page import page
from ops.certificate.present import newcomer_line, show
from ops.client import Client
from ops.packs import PackMessage, generate
from ops.packs.message import TENANTS
from ops.process import DaemonProcess
from ops.sandbox.limits import load_profile
from ops.sandbox.process import SandboxProcess
from ops.surge import BATCH, Surge
from ops.surge_evidence import Evidence
from ops.surge_limits import words
from ops.surge_story import StoryFailed, Verbs

CROWD, NEWCOMER = TENANTS[0], TENANTS[1]
PROFILE, SLOTS = "demo", 5
UNDER_WAY = 20
"""Calls of the crowd before the newcomer, and after it."""
_PACK = "renewal"
_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 600.0
TERMS = Terms(turn_rounds=1.0, turn_calls=1, transit_calls=SLOTS)


def run_newcomer(behind: int, seed: int, out: Path, as_json: bool) -> int:
    """The whole of it; the exit code says whether it started in time and everything else held.

    Raises StoryFailed when the crowd is not in line, or nothing moves, within ten minutes.
    """
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    say = sys.stderr.write if as_json else sys.stdout.write
    say(f"{behind:,} messages of {CROWD} behind a hold; then one of {NEWCOMER}; {', '.join(_limits())}\n")
    settings = {"TIDEGATE_ERP__LIMITS": ",".join(_limits())}
    with (
        SandboxProcess(out / "erp", PROFILE, latency_ms="40..60", seed=seed) as erp,
        DaemonProcess(out / "data", {**settings, "TIDEGATE_ERP__URL": erp.url}) as daemon,
        Client(daemon.url, out / "data" / "operator.token") as client,
    ):
        begun_ns = time.monotonic_ns()
        surge = Surge(client, _PACK, 0, seed, lambda progress: None, _PATIENCE_SECONDS, evidence=Evidence())
        _play(surge, client, Verbs(daemon), _messages(behind, seed))
        surge.write(out / "accepted.jsonl")
        held = Held(allow_pending=True, since_ns=begun_ns, terms=TERMS)
        certificate = state(read_log(erp.log_path), read_accepted(out / "accepted.jsonl"), held)
    (out / "certificate.json").write_bytes(msgspec.json.format(msgspec.json.encode(certificate)) + b"\n")
    (out / "certificate.html").write_text(page([certificate]), "utf-8")
    return _conclude(certificate, out, as_json)


def _limits() -> list[str]:
    return words(load_profile(PROFILE).limits)


def _messages(behind: int, seed: int) -> list[PackMessage]:
    """The crowd, and the newcomer as the last; an account each, so that none waits behind one of its own."""
    *crowd, newcomer = generate(_PACK, behind + 1, seed)
    return [*(_of(CROWD, one) for one in crowd), _of(NEWCOMER, newcomer)]


def _of(tenant: str, message: PackMessage) -> PackMessage:
    account = f"acc-of-{message.key}"
    data = {**message.event["data"], "account_id": account}
    event = {**message.event, "tenant": tenant, "partitionkey": account, "data": data}
    return msgspec.structs.replace(message, tenant=tenant, account=account, sequence=1, event=event)


def _play(surge: Surge, client: Client, verbs: Verbs, messages: Sequence[PackMessage]) -> None:
    *crowd, newcomer = messages
    look = _Look(surge, client)
    verbs("hold", "erp", "--reason", "until the crowd is in line")
    look()
    for batch in _batches(crowd):
        surge.send(batch)
    look.until(lambda: look.calls("waiting") == len(crowd), "the crowd is in line")
    verbs("release", "erp", "--reason", "the crowd is in line")
    look.until(lambda: look.calls("done") >= UNDER_WAY, "calls of the crowd are under way")
    surge.send([newcomer])
    look.until(lambda: _is_done(client, newcomer), "the newcomer is done")
    enough = look.calls("done") + UNDER_WAY
    look.until(lambda: look.calls("done") >= enough, "the crowd goes on")
    verbs("hold", "erp", "--reason", "enough was seen")
    look.until(lambda: look.calls("in_flight") == 0, "nothing is in flight")
    surge.refresh()


def _is_done(client: Client, message: PackMessage) -> bool:
    return any(call["status"] == "done" for call in client.process(message.key)["calls"])


def _batches(messages: Sequence[PackMessage]) -> Iterator[Sequence[PackMessage]]:
    return (messages[start : start + BATCH] for start in range(0, len(messages), BATCH))


class _Look:
    """The overview, and what of it goes into the evidence."""

    def __init__(self, surge: Surge, client: Client) -> None:
        self._surge = surge
        self._client = client
        self.overview = client.overview()

    def __call__(self) -> None:
        self.overview = self._client.overview()
        self._surge.evidence.seen(self.overview)

    def calls(self, status: str) -> int:
        return sum(row[status] for row in self.overview["calls"])

    def until(self, reached: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + _PATIENCE_SECONDS
        self()
        while not reached():
            if time.monotonic() > end:
                raise StoryFailed(f"not within {_PATIENCE_SECONDS:g} s: {what}")
            time.sleep(_LOOK_SECONDS)
            self()


def _conclude(certificate: Certificate, out: Path, as_json: bool) -> int:
    newcomer = certificate.service.newcomer if certificate.service else None
    met = newcomer is not None and newcomer.tenant == NEWCOMER
    if as_json:
        sys.stdout.write(msgspec.json.encode(certificate).decode() + "\n")
    else:
        show(certificate, sys.stdout)
        sys.stdout.write(f"\n{newcomer_line(newcomer) if newcomer and met else 'the newcomer was not seen to wait'}\n")
        sys.stdout.write(f"certificate: {out / 'certificate.json'}, as a page: {out / 'certificate.html'}\n")
    return 0 if met and certificate.verdict == "PASS" else 1
