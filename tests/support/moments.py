"""Moments at which somebody asks why a thing is not done yet: real daemons and sandbox systems brought to each.

Each gives what a stranger must be told: words that the sentence has, who can change it, and when it goes on, or why
nobody can say when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from ops.client import Client, Refused
from ops.process import DaemonProcess
from ops.rabbitmq_node import RabbitNode
from ops.systems import Systems
from tests.support.daemon import BATCH, Site, adjustment, case, event, site, until

LARGE = {"monthly_fee": {"amount": "25000.00", "currency": "EUR"}, "tier": "premium", "outage_minutes": 240}


class Told(NamedTuple):
    """What was told, and what had to be. `eta`: from and to, in seconds from when it was asked; None where there is
    none, and then `no_eta` are words of the reason."""

    key: str
    explanation: dict[str, Any]
    asked: datetime
    state: str
    words: tuple[str, ...]
    owner: str
    eta: tuple[float, float] | None
    no_eta: str = ""


def ask(daemon: DaemonProcess, key: str) -> dict[str, Any]:
    """What `tidegate explain KEY` prints, asked over HTTP."""
    with Client(daemon.url) as client:
        try:
            found: dict[str, Any] = client.process(key)["explanation"]
        except Refused as refused:
            found = {"state": str(refused)}
    return found


def told(daemon: DaemonProcess, key: str, state: str, *words: str, owner: str, **eta: Any) -> Told:
    """Ask until it is in this state and says so with these words, and give what was said then."""

    def look() -> Told | None:
        asked = datetime.now(UTC)
        found = ask(daemon, key)
        if found["state"] != state or any(word not in found["sentence"] for word in words):
            return None
        return Told(key, found, asked, state, words, owner, eta.get("eta"), eta.get("no_eta", ""))

    try:
        return until(look, f"{key} is {state}", 30)
    except AssertionError:
        raise AssertionError(f"{key} should be {state}, and is {ask(daemon, key)}") from None


def post(own: Site, *names: str, account: str | None = None, **more: Any) -> None:
    """Adjustments by name, in one batch."""
    about = {} if account is None else {"account_id": account}
    taken = own.post([{**adjustment(name, name, **about), **more} for name in names], BATCH)
    assert taken.status_code == 202, taken.text


# one daemon before one ERP ---------------------------------------------------------------------------------------


def waiting_for_quota(directory: Path) -> Iterator[Told]:
    """Two calls an hour are allowed and made."""
    with site(directory, TIDEGATE_ERP__LIMITS="2/3600s,2 concurrent", TIDEGATE_PLAN__BULK_KEEP_PERCENT="0") as own:
        post(own, "a", "b")
        until(lambda: len(own.erp.documents()) == 2, "both are posted")
        post(own, "c")
        words = ("limit", "2 of 2 are used", "no other call goes before it")
        yield told(own.daemon, "DOC-c", "quota", *words, owner="it", eta=(3400, 3700))


def waiting_for_its_turn(directory: Path) -> Iterator[Told]:
    """A call every five seconds, and others before it in its lane."""
    with site(directory, TIDEGATE_ERP__LIMITS="1/5s,1 concurrent") as own:
        post(own, *(f"t{n:02}" for n in range(20)))
        words = ("its turn in the standard lane", "calls go before it")
        yield told(own.daemon, "DOC-t19", "in_line", *words, owner="it", eta=(20, 105))


def unknown_outcome(directory: Path) -> Iterator[Told]:
    """The answer to the post is lost, and the ERP takes no look-up; another call of the account stands behind it."""
    with site(directory, TIDEGATE_ERP__LOST_SECONDS="60") as own:
        own.erp.set_faults({"kind": "lost_answer"}, {"kind": "unavailable_503", "ops": ["find"]})
        post(own, "lost", "follower", account="ACC-same")
        words = ("not known since", "looked up at the ERP by INT-lost", "not sent again before")
        yield told(own.daemon, "DOC-lost", "unknown", *words, owner="it", eta=(-2, 310))
        words = ("behind DOC-lost of the same account", "to keep their order", "not known since")
        yield told(own.daemon, "DOC-follower", "behind", *words, owner="it", eta=(-2, 310))


def held_and_paused(directory: Path) -> Iterator[Told]:
    """Dana holds the ERP without an end, and a tenant is paused for an hour."""
    with site(directory) as own:
        end = datetime.now(UTC) + timedelta(hours=1)
        pause = {"target": "tenant:acme", "reason": "their migration.", "who": "tom", "until": end.isoformat()}
        own.operate("pause", pause)
        post(own, "paused", tenant="acme")
        words = ("tenant:acme was paused by tom until", "(their migration)")
        yield told(own.daemon, "DOC-paused", "paused", *words, owner="tom", eta=(3500, 3610))
        own.operate("resume", {"target": "tenant:acme", "reason": "done", "who": "tom"})
        own.operate("hold", {"target": "erp", "reason": "closing the books", "who": "dana"})
        post(own, "held")
        words = ("erp was put on hold by dana", "(closing the books)")
        yield told(own.daemon, "DOC-held", "held", *words, owner="dana", eta=None, no_eta="dana can end it")


def closed_period(directory: Path) -> Iterator[Told]:
    """The ERP refuses because the period is closed."""
    with site(directory) as own:
        own.erp.set_faults({"kind": "closed_period"})
        post(own, "period")
        words = ("was not posted because the ERP's accounting period is closed",)
        yield told(own.daemon, "DOC-period", "closed_period", *words, owner="finance", eta=None, no_eta="finance opens")


def erp_down(directory: Path) -> Iterator[Told]:
    """The ERP is away until the breaker opens."""
    with site(directory) as own:
        own.erp.stop()
        post(own, *(f"d{n:02}" for n in range(20)))
        words = ("The ERP gets a rest until", "failures in a row")
        yield told(own.daemon, "DOC-d19", "erp_rests", *words, owner="it", eta=(0, 75))


def frozen(directory: Path) -> Iterator[Told]:
    """The ERP asks for a rest of two minutes."""
    with site(directory) as own:
        own.erp.set_faults({"kind": "throttle_429", "retry_after": "120"})
        post(own, "f1")
        words = ("The ERP gets a rest until", "asked for 120 s")
        yield told(own.daemon, "DOC-f1", "erp_rests", *words, owner="it", eta=(100, 125))


def maintenance(directory: Path) -> Iterator[Told]:
    """A window of maintenance that began a while ago."""
    begun = datetime.now(UTC) - timedelta(minutes=30)
    window = f"{begun:%Y-%m-%d %H:%M} for 2h"
    with site(directory, TIDEGATE_CALENDAR__MAINTENANCE=window) as own:
        post(own, "window")
        words = ("It waits for the ERP", "it is maintained", "until")
        yield told(own.daemon, "DOC-window", "maintenance", *words, owner="it", eta=(5200, 5500))


def posted(directory: Path) -> Iterator[Told]:
    """It is done."""
    with site(directory) as own:
        post(own, "done")
        until(lambda: own.documents("DOC-done"), "it is posted")
        words = ("posted at the ERP as", "nothing is left to do")
        yield told(own.daemon, "DOC-done", "done", *words, owner="nobody", eta=None, no_eta="it is done")


def broker_away(directory: Path) -> Iterator[Told]:
    """RabbitMQ is killed; what is accepted then is in the store."""
    node = RabbitNode().start()
    try:
        with site(directory, TIDEGATE_BROKER__URL=node.url()) as own:
            node.kill()
            assert own.post(case("away")).status_code == 202
            words = ("support.case.opened is safe in the store", "message broker, which is away")
            yield told(
                own.daemon, "CASE-away", "broker_away", *words, owner="it", eta=None, no_eta="the broker is back"
            )
    finally:
        node.close()


# a daemon between five systems -----------------------------------------------------------------------------------


@contextmanager
def _land(directory: Path, **settings: str) -> Iterator[tuple[Systems, Site, Callable[..., None]]]:
    with (
        Systems(directory, "unlimited", ("200/1s", "20 concurrent"), "0", 1, 0.5) as systems,
        DaemonProcess(directory / "data", systems.settings(**settings)) as daemon,
    ):
        own = Site(daemon, systems.erp)
        yield systems, own, lambda name, **data: own.post({**case(name, **data), "tenant": "acme"})


def in_processes(directory: Path) -> Iterator[Told]:
    """One waits for people; one is refused by the ERP while billing, where it must be taken back, is away."""
    with _land(directory) as (systems, own, send):
        daemon = own.daemon
        send("large", **LARGE)
        words = ("waits for approval by 2 people of role finance-manager", "given up at")
        no_eta = "it depends on people"
        yield told(daemon, "CASE-large", "approval", *words, owner="finance-manager", eta=None, no_eta=no_eta)
        systems.erp.set_faults({"kind": "refuse", "account": "ACC-no"})
        systems.beside["billing"].set_faults({"kind": "unavailable_503", "ops": ["post"], "skip": 1})
        send("no", account_id="ACC-no")
        words = ("being taken back because", "account.blocked", "billing credit.void is left: it is sent again at")
        yield told(daemon, "CASE-no", "turning_back", *words, owner="it", eta=(-2, 310))
        systems.beside["billing"].set_faults()
        words = ("The ERP refused it", "was undone", "undo billing")
        yield told(daemon, "CASE-no", "compensated", *words, owner="nobody", eta=None, no_eta="it is over")
        systems.beside["crm"].set_faults({"kind": "refuse", "account": "ACC-terms"})
        with systems.person(daemon.url, "sam") as sam, systems.person(daemon.url, "tom") as tom:
            sam.send([_amendment("terms")], signed=True)
            told(daemon, "terms", "approval", "by 1 person", owner="finance-clerk")
            tom.vote("terms", "approve", digest=tom.approval("terms")["digest"], reason="checked")
        words = ("The CRM refused it; what was done before was undone (contract: account.blocked", "undo billing")
        yield told(daemon, "terms", "compensated", *words, owner="nobody", eta=None, no_eta="it is over")


def _amendment(name: str) -> dict[str, Any]:
    data = {
        "process_id": name,
        "kind": "amendment",
        "account_id": f"ACC-{name}",
        "amount": {"amount": "12.50", "currency": "EUR"},
        "reason_code": "correction",
        "requested_by": "sam",
    }
    return event("process.request", f"req-{name}", data, idempotencykey=f"req-{name}", tenant="acme")


def steps_not_taken_up(directory: Path) -> Iterator[Told]:
    """Calls of processes have ended while tom pauses the workflow: one was carried out, one refused."""
    with _land(directory) as (systems, own, send), systems.person(own.daemon.url, "tom") as tom:
        systems.beside["billing"].set_faults({"kind": "refuse", "account": "ACC-no"})
        credits_ = {"target": "billing,operation:credit.create", "reason": "they migrate", "who": "tom"}
        tom.operate("hold", **credits_)
        send("yes")
        send("no", account_id="ACC-no")
        for key in ("CASE-yes", "CASE-no"):
            told(own.daemon, key, "held", "put on hold by tom", owner="tom")
        tom.operate("pause", target="workflow", reason="a look at it", who="tom")
        tom.operate("release", **credits_)
        waits = ("the message of that to its process waits to be taken up", "workflow was paused by tom")
        words = ("Its credit.create is done at billing as ", *waits)
        yield told(own.daemon, "CASE-yes", "paused", *words, owner="tom", eta=None, no_eta="tom can end it")
        words = ("Its credit.create was refused by billing (account.blocked", *waits)
        yield told(own.daemon, "CASE-no", "paused", *words, owner="tom", eta=None, no_eta="tom can end it")
        tom.operate("resume", target="workflow", reason="seen", who="tom")
        yield told(own.daemon, "CASE-yes", "posted", "in every system", owner="nobody", eta=None, no_eta="it is over")


def in_an_approved_incident(directory: Path) -> Iterator[Told]:
    """Its cases are let through as fast as the ERP takes them, a call in five seconds; then sam holds it."""
    with (
        _land(directory, TIDEGATE_ERP__LIMITS="1/5s,1 concurrent") as (systems, own, send),
        systems.person(own.daemon.url, "dora") as dora,
        systems.person(own.daemon.url, "dirk") as dirk,
        systems.person(own.daemon.url, "sam") as sam,
    ):
        outage = {**LARGE, "monthly_fee": {"amount": "900.00", "currency": "EUR"}, "incident_id": "INC-1"}
        for name in (*(f"w{number:02}" for number in range(29)), "last"):
            send(name, **outage)
            told(own.daemon, f"CASE-{name}", "approval", "by 1 person", owner="finance-clerk")
        sam.operate("pause", target="workflow", reason="a look at it", who="sam")
        cap = dora.on_incident("INC-1", "preview")["preview"]
        command = {"cap": cap["money"], **{name: cap[name] for name in ("cases", "per_account", "digest")}}
        for who in (dora, dirk)[: cap["people"]]:
            who.on_incident("INC-1", "approve", reason="it is confirmed", **command)
        words = ("was let through with incident INC-1", "waits to be taken up: workflow was paused by sam")
        yield told(own.daemon, "CASE-w00", "paused", *words, owner="sam", eta=None, no_eta="sam can end it")
        sam.operate("resume", target="workflow", reason="seen", who="sam")
        words = ("its turn among the cases of incident INC-1 (approved by dora and dirk)", "go first", "ERP's budget")
        yield told(own.daemon, "CASE-last", "in_wave", *words, owner="it", eta=(-2, 65))
        sam.operate("hold", target="erp", reason="closing the books", who="sam")
        words = ("its turn among the cases of incident INC-1", "erp was put on hold by sam (closing the books)")
        yield told(own.daemon, "CASE-last", "held", *words, owner="sam", eta=None, no_eta="sam can end it")
        sam.on_incident("INC-1", "hold", reason="billing looks wrong.")
        words = ("because incident INC-1", "approved by dora and dirk", "put on hold by sam (billing looks wrong)")
        no_eta = "people, who let the incident go on or approve it alone; without that it ends at"
        owner = cap["role"]
        yield told(own.daemon, "CASE-last", "wave_held", *words, owner=owner, eta=None, no_eta=no_eta)


def told_in_part(directory: Path) -> Iterator[Told]:
    """Support refuses to be told of a credit, and of another the note in its case, too; the ERP loses a third one."""
    seconds = {"TIDEGATE_RECONCILE__EVERY_HOURS": str(2 / 3_600), "TIDEGATE_RECONCILE__SHARE_PERCENT": "100"}
    with _land(directory, **seconds) as (systems, own, send):
        no = {"kind": "refuse", "account": "ACC-part"}
        systems.beside["support"].set_faults({**no, "skip": 1}, {**no, "account": "ACC-none"})
        send("part", account_id="ACC-part")
        words = (
            "It is posted: billing CRN-",
            "erp ADJ-",
            "; but support was not told of it (account.blocked",
        )
        no_eta = "it depends on the support team"
        yield told(own.daemon, "CASE-part", "posted", *words, owner="support", eta=None, no_eta=no_eta)
        send("none", account_id="ACC-none")
        words = (
            "its case.update was not done at support (account.blocked",
            "; support was not told of it",
        )
        yield told(own.daemon, "CASE-none", "posted", *words, owner="support", eta=None, no_eta=no_eta)
        send("lost")
        told(own.daemon, "CASE-lost", "posted", "in every system", owner="nobody")
        (document,) = own.documents("CASE-lost")
        systems.erp.forget(document.reference)
        words = (f"It was posted as {document.document_id}, but it needs the finance team", "found none")
        missing = "ledger.document.missing"
        yield told(own.daemon, "CASE-lost", missing, *words, owner="finance", eta=None, no_eta="the finance team")


def stuck_and_retried(directory: Path) -> Iterator[Told]:
    """The ERP's period is closed; tom has the call retried, while the ERP is on hold, then in vain, then not."""
    with _land(directory) as (systems, own, send), systems.person(own.daemon.url, "tom") as tom:
        systems.erp.set_faults({"kind": "closed_period"})
        send("stuck")
        words = ("It needs the finance team: erp: ", "billing at billing: done as CRN-")
        yield told(own.daemon, "CASE-stuck", "stuck", *words, owner="finance", eta=None, no_eta="the finance team")
        order = {"target": "erp", "reason": "closing the books", "who": "tom"}
        tom.operate("hold", **order)
        again = {"keys": ["CASE-stuck"], "reason": "they open it", "who": "tom"}
        tom.operate("retry", **again)
        words = ("It was stuck and goes on again with erp adjustment.create: it waits for the ERP", "on hold by tom")
        yield told(own.daemon, "CASE-stuck", "held", *words, owner="tom", eta=None, no_eta="tom can end it")
        systems.erp.set_faults()
        systems.erp.set_faults({"kind": "refuse", "code": "period_closed", "detail": "April is closed as well"})
        tom.operate("release", **order)
        words = ("It needs the finance team: erp: ", "April is closed as well")
        yield told(own.daemon, "CASE-stuck", "stuck", *words, owner="finance", eta=None, no_eta="the finance team")
        systems.erp.set_faults()
        tom.operate("retry", **again)
        words = ("It is posted in every system: billing CRN-", "erp ADJ-")
        yield told(own.daemon, "CASE-stuck", "posted", *words, owner="nobody", eta=None, no_eta="it is over")


MOMENTS: tuple[Callable[[Path], Iterator[Told]], ...] = (
    *(waiting_for_quota, unknown_outcome, held_and_paused, closed_period, waiting_for_its_turn, erp_down),
    *(in_processes, in_an_approved_incident, steps_not_taken_up, told_in_part, stuck_and_retried),
    *(posted, broker_away, frozen, maintenance),
)
