"""Faults of the ERP, each against a real daemon and a real sandbox ERP: what is wrong afterwards, as findings.

All end with the same judgement: nothing accepted is lost, nothing is in the books twice, amounts to the cent, no limit
passed by the ERP's own log, order kept, the audit tells one possible life of each call, no outcome unknown, healed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from tests.support.checkers import Finding, audit_true, bounded, healed, money_findings
from tests.support.world import Sampler, World, adjustment, until, world

QUICK = ("100/1s", "10 concurrent")
PATIENT = {"TIDEGATE_ERP__REST_SECONDS_MAX": "2"}
"""An ERP that fails gets short rests, so that a fault takes seconds."""
Findings = list[Finding]


def send(house: World, count: int, accounts: int = 20, first: int = 0, **more: Any) -> None:
    """Adjustments of some accounts."""
    house.send([adjustment(f"case-{n}", f"acc-{n % accounts}", **more) for n in range(first, first + count)])


def judged(house: World, seconds: float = 120.0) -> Findings:
    """Wait for the end of everything, then judge; what does not end is a finding."""
    try:
        until(house.settled, "everything is settled", seconds)
        until(lambda: not list(healed(house.overview())), "healed", 30)
    except AssertionError:
        return [Finding("I8", f"after {seconds:g} s: {'; '.join(f.detail for f in healed(house.overview()))}")]
    found = money_findings(house.told, house.erp.documents(), house.erp.log_path)
    return [*found, *audit_true(house.store_path), *unknown(house)]


def unknown(house: World) -> Iterator[Finding]:
    """No call is of unknown outcome any more, unless a person has it."""
    for row in house.overview().get("calls", []):
        if row["unknown"]:
            yield Finding("I8", f"{row['unknown']} calls are still of unknown outcome")


def posts(house: World) -> Counter[str]:
    """How often each intent was posted, by the ERP's log."""
    return Counter(str(line["reference"]) for line in house.ended() if line["op"] == "post")


def once(house: World, most: int, why: str) -> Iterator[Finding]:
    """No intent was posted more than so often."""
    for intent, count in posts(house).items():
        if count > most:
            yield Finding("I2", f"{intent} was posted {count} times, at most {most}: {why}")
            return


# the faults -------------------------------------------------------------------------------------------------------


def answers_lost(place: Path) -> Findings:
    """F47: executed, and the answer never came."""
    with world(place, QUICK, "5..10", **PATIENT) as house:
        house.erp.set_faults({"kind": "lost_answer", "rate": 0.2, "seed": 5})
        send(house, 60)
        return [*judged(house), *once(house, 1, "what was committed is found, not sent again")]


def never_answered(place: Path) -> Findings:
    """F48: it takes the call and holds the line; some are executed, some never."""
    settings = {"TIDEGATE_ERP__TIMEOUT_SECONDS": "1", "TIDEGATE_ERP__LOST_SECONDS": "1.5", **PATIENT}
    with world(place, ("50/1s", "5 concurrent"), "5..10", **settings) as house:
        held = {"kind": "hang", "seconds": 2.3, "ops": ["post"], "count": 4}
        house.erp.set_faults({**held, "commit": True, "skip": 5}, {**held, "commit": False, "skip": 10})
        send(house, 40)
        return judged(house)


_LATE = {"kind": "late_commit", "seconds": 5, "close_after_seconds": 0.2, "count": 4, "skip": 3}


def late_and_recognised(place: Path) -> Findings:
    """F49: executed after our look-up said no; the ERP recognises the intent."""
    with world(place, QUICK, "5..10") as house:
        house.erp.set_faults(_LATE)
        send(house, 30)
        findings = judged(house)
        until(lambda: sum(line["fault"] == "late_commit" for line in _faulty(house)) >= 4, "all have come late", 30)
        return [*findings, *money_findings(house.told, house.erp.documents(), house.erp.log_path)]


def late_and_waited_for(place: Path) -> Findings:
    """F49: the ERP recognises nothing; the adapter states how late it may execute, and that is waited out."""
    settings = {"TIDEGATE_ERP__DEDUPE_HOURS": "0", "TIDEGATE_ERP__LATE_SECONDS": "9"}
    with world(place, QUICK, "5..10", ("--idempotency-seconds", "0"), **settings) as house:
        house.erp.set_faults(_LATE)
        send(house, 30)
        findings = judged(house)
        until(lambda: sum(line["fault"] == "late_commit" for line in _faulty(house)) >= 4, "all have come late", 30)
        judged_late = money_findings(house.told, house.erp.documents(), house.erp.log_path)
        return [*findings, *judged_late, *once(house, 1, "it came late, and nothing recognises a second one")]


def late_and_only_recognised(place: Path) -> Findings:
    """F49: the ERP recognises the intent but cannot be asked; sent again before the first has come, it could say no."""
    settings = {"TIDEGATE_ERP__FINDS": "false", "TIDEGATE_ERP__LATE_SECONDS": "9"}
    with world(place, QUICK, "5..10", **settings) as house:
        house.erp.set_faults(_LATE)
        send(house, 30)
        findings = judged(house)
        until(lambda: len(_faulty(house)) >= 4, "all have come late", 30)
        late = {line["reference"] for line in _faulty(house)}
        made = [line for line in house.ended() if line["reference"] in late and line["verdict"] == "created"]
        again = [line["reference"] for line in made if not line.get("fault")]
        early = [Finding("I2", f"{intent} was sent again while the first was still to come") for intent in again]
        return [*findings, *early, *once(house, 2, "once it is recognised, it is not sent again")]


def _faulty(house: World) -> list[dict[str, Any]]:
    return [line for line in house.ended() if line.get("fault")]


def late_and_a_person_s(place: Path) -> Findings:
    """F49: the ERP can neither look up nor recognise: a person has all facts, looks, and says."""
    settings = {"TIDEGATE_ERP__DEDUPE_HOURS": "0", "TIDEGATE_ERP__FINDS": "false"}
    with world(place, QUICK, "5..10", ("--idempotency-seconds", "0"), **settings) as house:
        house.erp.set_faults(_LATE)
        send(house, 30, accounts=30)  # credits of an account do not wait for one that is with a person
        until(lambda: len(_with_a_person(house)) >= 4, "four are with a person", 60)
        until(lambda: len(house.erp.documents()) == 30, "all have come late", 30)
        there = {document.reference: document.document_id for document in house.erp.documents()}
        missing = [row for row in _with_a_person(house) if "--posted" not in row["cause"] or "EUR" not in row["cause"]]
        with house.client() as client:
            for row in _with_a_person(house):
                intent = row["intent_id"]
                client.operate("settle", key=intent, document=there[intent], reason="I looked", who="fay")
        facts = [Finding("I8", f"{row['intent_id']}: the person is not told what to look for") for row in missing]
        return [*facts, *judged(house), *once(house, 1, "nothing is sent again blindly")]


def _with_a_person(house: World) -> list[dict[str, Any]]:
    with house.client() as client:
        return client.exceptions(200)


def throttled(place: Path) -> Findings:
    """F50: 429 with seconds, a date, 0, less, more than anybody waits, nonsense, nothing."""
    findings = []
    for number, (after, at_least) in enumerate(_AFTERS):
        with world(place / str(number), ("50/1s", "2 concurrent"), "5") as house:
            soon = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
            text = soon if after == "date" else after
            house.erp.set_faults({"kind": "throttle_429", "retry_after": text, "count": 1, "skip": 5})
            send(house, 20)
            findings += [*judged(house), *_frozen(house, at_least), *once(house, 2, "a 429 is repeated once")]
    return [*findings, *_capped(place / "capped")]


_AFTERS: Sequence[tuple[str | None, float]] = [("2", 2.0), ("date", 0.5), ("0", 0.0), ("-5", 0.5), ("soon", 0.5)]


def _frozen(house: World, at_least: float) -> Iterator[Finding]:
    lines = sorted(house.ended(), key=lambda line: int(line["arrived_ns"]))
    refused = next(line for line in lines if line["status"] == 429)
    after = [line["arrived_ns"] for line in lines if line["arrived_ns"] > refused["ended_ns"] + 20_000_000]
    if after and (after[0] - refused["ended_ns"]) / 1e9 < at_least:
        yield Finding("I3", f"the next call came {(after[0] - refused['ended_ns']) / 1e9:.2f} s after the 429")


def _capped(place: Path) -> Iterator[Finding]:
    """A day of rest is capped at an hour, and whoever asks is told so."""
    with world(place, ("50/1s", "2 concurrent"), "5") as house:
        house.erp.set_faults({"kind": "throttle_429", "retry_after": "1000000000", "count": 1})
        send(house, 5)
        until(lambda: "capped" in str(house.overview()), "the cap is told", 20)
        if len(house.calls()) > 2:
            yield Finding("I3", f"{len(house.calls())} calls while the ERP asked for rest")


def storm(place: Path, seconds: float = 8.0) -> Findings:
    """F51: 503 for everything, under load, for so long."""
    with world(place, latency_ms="20", TIDEGATE_ERP__REST_SECONDS_MAX="3") as house:
        house.erp.set_faults({"kind": "unavailable_503"})
        send(house, 150)
        begun = time.monotonic()
        until(lambda: time.monotonic() - begun > seconds, "the storm is over", seconds + 10)
        stormy = posts(house)
        house.erp.set_faults()
        findings = judged(house, 180)
        allowed = 1.1 * len(stormy) + 10
        if sum(stormy.values()) > allowed:
            text = f"{sum(stormy.values())} posts of {len(stormy)} calls in the storm, {allowed:.0f} are the bound"
            findings.append(Finding("I3", f"amplification: {text}"))
        return findings


def random_errors(place: Path) -> Findings:
    """F52: half of all calls go wrong, in four ways."""
    with world(place, QUICK, "5..10", **PATIENT) as house:
        house.erp.set_faults(
            {"kind": "lost_answer", "rate": 0.1, "seed": 1},
            {"kind": "reset", "rate": 0.12, "seed": 2},
            {"kind": "unavailable_503", "rate": 0.2, "seed": 3},
            {"kind": "garbage", "form": "html", "status": 500, "rate": 0.15, "seed": 4},
        )
        send(house, 60)
        findings = judged(house, 240)
        spent, first = sum(posts(house).values()), len(posts(house))
        if spent > 3 * first:
            findings.append(Finding("I3", f"{spent} posts for {first} calls: the budget for retries is not kept"))
        return findings


NONSENSE: Sequence[Mapping[str, Any]] = [
    {"form": "html"},
    {"form": "empty"},
    {"form": "no_id"},
    {"form": "big", "megabytes": 300},
    {"form": "gzip", "megabytes": 300},
    {"form": "charset"},
    {"form": "error_inside"},
    {"form": "truncated"},
    {"form": "html", "status": 500},
    {"form": "html", "commit": False},
]


def nonsense(place: Path) -> Findings:
    """F53: answers that are no answers; some stand for documents and some for nothing."""
    faults = [
        {"kind": "garbage", "count": 1, "skip": 3 * at, "ops": ["post"], **form} for at, form in enumerate(NONSENSE)
    ]
    with world(place, latency_ms="5") as house, Sampler(house.daemon.pid) as sampler:
        house.erp.set_faults(*faults)
        send(house, 50)
        findings = [*judged(house, 240), *bounded(sampler.rss_bytes, sampler.descriptors)]
        if "<html" in house.log():
            findings.append(Finding("I6", "the body of an answer is in the log"))
        return findings


def wrong_address(place: Path) -> Findings:
    """A disguise: a proxy that has never heard of the ERP answers 404. Nothing is refused for good, all is held."""
    with world(place, QUICK, "5..10") as house:
        house.erp.set_faults({"kind": "garbage", "form": "html", "status": 404, "commit": False})
        send(house, 30)
        until(lambda: "config.address" in str(house.overview().get("orders")), "the target is held", 30)
        met = len(house.calls()) + len(house.calls("find"))
        findings = [Finding("I3", f"{met} calls to a stranger, 10 may be in flight")] if met > 10 else []
        if "config.address" not in house.log():
            findings.append(Finding("I8", "nobody is told in the log"))
        house.erp.set_faults()
        with house.client() as client:
            client.operate("release", target="erp", reason="the address is right now", who="kim")
        return [
            *findings,
            *judged(house),
            *(Finding("I1", f"{row['key']} was refused for good") for row in _refused(house)),
        ]


def _refused(house: World) -> list[dict[str, Any]]:
    return [row for row in house.told if row["outcome"] == "refused"]


def token_rotated(place: Path) -> Findings:
    """F56: replaced under load, several times; then revoked, noticed once, and mended."""
    ours, theirs = place / "ours", place / "theirs"
    place.mkdir(parents=True, exist_ok=True)
    for path in (ours, theirs):
        path.write_text("one")
    options = ("--token-file", str(theirs))
    with world(place, ("40/1s", "5 concurrent"), "20", options, TIDEGATE_ERP__TOKEN_FILE=str(ours)) as house:
        send(house, 80)
        for number in range(3):
            until(lambda: len(house.erp.documents()) >= 15 * (number + 1), "work goes on", 90)  # noqa: B023
            _replace(theirs, f"token {number}")
            _replace(ours, f"token {number}")
        findings = judged(house)
        refused = sum(line["status"] == 401 for line in house.ended())
        if refused > 3 * 5:
            findings.append(Finding("I3", f"{refused} calls met a 401: each rotation may cost those in flight, 5"))
        return [*findings, *_revoked(house, ours, theirs)]


def _revoked(house: World, ours: Path, theirs: Path) -> Findings:
    before = sum(line["status"] == 401 for line in house.ended())
    _replace(theirs, "revoked")
    send(house, 20, first=80)
    until(lambda: "auth" in str(house.overview().get("orders")), "the target is held", 20)
    met = sum(line["status"] == 401 for line in house.ended()) - before
    _replace(ours, "revoked")
    with house.client() as client:
        client.operate("release", target="erp", reason="a new token is there", who="kim")
    stampede = [Finding("I3", f"{met} calls met the revoked token, 5 may be in flight")] if met > 5 else []
    return [*stampede, *judged(house)]


def _replace(path: Path, token: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(token)
    fresh.replace(path)


def final_no(place: Path) -> Findings:
    """F57: period closed, account blocked, currency off: one call each, and an owner."""
    with world(place, QUICK, "5..10") as house:
        house.erp.set_faults(
            {"kind": "closed_period", "account": "acc-1"},
            {"kind": "refuse", "code": "account.blocked", "account": "acc-2"},
            {"kind": "refuse", "code": "currency.off", "detail": "the currency is not active", "account": "acc-3"},
        )
        send(house, 20, accounts=10)
        findings = [*judged(house), *once(house, 1, "a final no is not repeated")]
        owners = {row["key"]: row["owner"] for row in _with_a_person(house)}
        wanted = {f"case-{n}": owner for n, owner in ((1, "finance"), (2, "revenue"), (3, "revenue"))}
        lost = [key for key, owner in wanted.items() if owners.get(key) != owner]
        return [*findings, *(Finding("I1", f"{key} is with {owners.get(key)}, not with its owner") for key in lost)]


def budget_changed(place: Path) -> Findings:
    """F58: an operator lowers the budget, then the ERP its limit; then both the other way round."""
    with world(place, ("40/1s", "5 concurrent"), "10") as house, house.client() as client:
        send(house, 160)
        until(lambda: len(house.calls()) >= 40, "work is under way", 30)
        client.operate("set", name="rate", target="erp", value="10/s", reason="they asked", who="kim")
        begun = time.monotonic()
        until(lambda: time.monotonic() - begun > 1.2, "what was sent before is out of every window", 5)
        house.erp.set_limits("10/1s", "5 concurrent")
        until(lambda: len(house.calls()) >= 80, "work goes on", 90)
        house.erp.set_limits("40/1s", "5 concurrent")
        client.operate("unset", name="rate", target="erp", reason="they are done", who="kim")
        return judged(house)


def clock_off(place: Path) -> Findings:
    """F59: the ERP's clock is five minutes ahead, then behind; a date in Retry-After is by that clock."""
    with world(place, ("40/1s", "5 concurrent"), "10") as house:
        house.erp.set_faults({"kind": "clock", "offset_seconds": 300}, {"kind": "lost_answer", "rate": 0.1})
        send(house, 40)
        until(lambda: len(house.calls()) >= 20, "work is under way", 30)
        past = format_datetime(datetime.now(UTC) - timedelta(minutes=5), usegmt=True)
        house.erp.set_faults(
            {"kind": "clock", "offset_seconds": -300},
            {"kind": "throttle_429", "retry_after": past, "count": 1},
        )
        return judged(house)


def one_document_a_call(place: Path) -> Findings:
    """F60: no batch is ever sent, so none can half succeed: each post of the log is about one reference."""
    with world(place, QUICK, "5..10") as house:
        send(house, 60, accounts=2)
        findings = judged(house)
        bare = [line for line in house.ended() if line["op"] == "post" and not line["reference"]]
        many = [Finding("I2", f"{len(bare)} posts are about no single reference")] if bare else []
        return [*findings, *many, *once(house, 1, "nothing went wrong")]


def document_lost(place: Path) -> Findings:
    """F55: a document that was acknowledged is gone; a comparison with the ERP finds it, and reposts nothing."""
    with world(place, QUICK, "5..10", TIDEGATE_RECONCILE__EVERY_HOURS="0") as house:
        send(house, 30)
        findings = judged(house)
        lost = house.erp.documents()[7].reference
        house.erp.forget(lost)
        before = len(house.calls())
        with house.client() as client:
            number = client.operate("ledger", system="erp", who="kim")["number"]
            over = ("clean", "differs", "stopped", "failed")
            until(lambda: client.look("ledger", run=number, limit=1)["state"] in over, "it is compared", 60)
            named = str(client.look("ledger", run=number, after=0, limit=100)["items"])
        if lost not in named:
            findings.append(Finding("I1", f"{lost} is gone from the ERP and was not named: {named[:200]}"))
        if len(house.calls()) > before:
            findings.append(Finding("I2", "what the ERP has lost was posted again without anybody's word"))
        return findings
