"""The load of a case: a few of everything, sent as clients do who hear nothing when the daemon dies, and try again.

Every key begins with the prefix of its case, so that many cases can share the systems. What each key must lead to
stands beside it in `EXPECTED`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pika

from ops.client import Client, Refused
from tests.support.daemon import event
from tests.support.world import adjustment

VOTERS = ("carl", "cora")
PEOPLE = "carl=cfo,cora=cfo,sam=support-lead"
"""Of the highest role, so that an escalation in the middle of a case changes nothing about who may vote."""
PARTS = ("orders", "late", "purge", "sums", "auth", "poison", "ledger", "wave", "mend", "amqp", "lost-queue")
"""What only some points need: orders of operators, an approval that nobody gives in time, a purge with its export, old
sums of calls, a refused password, a message that no database takes, a comparison with the ERP, an incident whose
credits are approved once, what is stuck with people who send it again, the AMQP door, a queue that is deleted under its
messages."""
EXPECTED = {
    "one": "posted",
    "two": "posted",
    "blocked": "refused",
    "small": "posted",
    "taken-back": "compensated",
    "approved": "posted",
    "rejected": "rejected",
    "moved": "posted",
    "cancelled": "refused",
    "late": "rejected",
    "auth": "posted",
    "wave-a": "posted",
    "wave-b": "posted",
    "mend-a": "posted",
    "mend-b": "posted",
    "locked": "compensated",
    "amqp": "posted",
    "requeued": "posted",
    "next": "posted",
}
BASE = ("one", "two", "blocked", "small", "taken-back", "approved", "rejected")
OF_PARTS = {
    "orders": ("moved", "cancelled"),
    "late": ("late",),
    "auth": ("auth",),
    "wave": ("wave-a", "wave-b"),
    "mend": ("mend-a", "mend-b", "locked"),
    "amqp": ("amqp",),
    "lost-queue": ("requeued", "next"),
}
QUEUE = "tidegate.erp-poster.bulk.0"
WHO = {"reason": "a crash case", "who": "dana"}
Step = Callable[[Client], bool]


class Load:
    """The steps of one case. Each is repeated until it says that it is done, whatever became of the daemon meanwhile.

    `tokens`: the file of somebody's token. `broker_url`: the virtual host of the case, for parts that need a broker.
    """

    def __init__(self, prefix: str, parts: frozenset[str], tokens: Callable[[str], Path], broker_url: str = "") -> None:
        self.prefix = prefix
        self.parts = parts
        self._tokens = tokens
        self._broker_url = broker_url
        self._token: str | None = None
        self._heard: set[tuple[str, str]] = set()
        self.keys = {self.key(name) for name in BASE}
        self.keys |= {self.key(name) for part in parts for name in OF_PARTS.get(part, ())}

    def key(self, name: str) -> str:
        """The business key of this case for a thing of that name."""
        return f"{self.prefix}-{name}"

    def expected(self) -> dict[str, str]:
        """What each key must lead to."""
        return {key: EXPECTED[key.removeprefix(f"{self.prefix}-")] for key in self.keys}

    def faults(self, lost: bool) -> dict[str, list[dict[str, Any]]]:
        """What the systems do: the ERP refuses one account; and, if asked, executes every post and never says so."""
        refuse: dict[str, Any] = {"kind": "refuse", "account": self.key("account-blocked")}
        sealed = {"kind": "refuse", "account": self.key("account-auth"), "status": 401, "code": "auth", "count": 1}
        mend = [self._refused(name) for name in ("mend-a", "mend-b")] if "mend" in self.parts else []
        silent = [{"kind": "lost_answer", "rate": 1.0, "count": 6}] if lost else []
        erp = [refuse, *([sealed] if "auth" in self.parts else []), *silent]
        billing: list[dict[str, Any]] = []
        if "mend" in self.parts:
            locked = {"kind": "refuse", "account": self.key("account-locked")}
            erp, billing = [locked, *mend, *erp], [{**locked, "skip": 1, "count": 1}]
        return {"erp": erp, "billing": [*billing, *([{"kind": "lost_answer", "count": 1}] if lost else [])]}

    def _refused(self, name: str) -> dict[str, Any]:
        """As nobody refuses who was asked rightly: after three times a person has to look at it."""
        account = self.key(f"account-{name}")
        return {"kind": "refuse", "account": account, "status": 400, "code": "idempotency.mismatch", "count": 3}

    def steps(self) -> list[Step]:
        """In the order in which they are taken."""
        steps: list[Step] = [self._send]
        if "lost-queue" in self.parts:
            steps += [self._stop_queue, self._send_held, self._delete_queue, self._send_more, self._release_queue]
        if "orders" in self.parts:
            steps += [self._pause, self._send_paused, self._move, self._show_cancel, self._cancel, self._resume]
            steps += [self._brief_pause]
        if "amqp" in self.parts:
            steps.append(self._publish)
        if "purge" in self.parts:
            steps += [self._show_purge, self._purge]
        steps += [self._approve, self._reject]
        if "late" in self.parts:
            steps.append(self._reject_late)
        if "auth" in self.parts:
            steps.append(self._release_hold)
        if "wave" in self.parts:
            steps.append(self._approve_wave)
        if "mend" in self.parts:
            steps += [self._show_retry, self._retry, self._replay]
        if "ledger" in self.parts:
            steps.append(self._compare)
        return steps

    # messages ------------------------------------------------------------------------------------------------

    def _adjust(self, name: str, account: str, **more: Any) -> dict[str, Any]:
        return adjustment(self.key(name), self.key(f"account-{account}"), **{"tenant": self.prefix, **more})

    def _case(self, name: str, account: str, fee: str = "200.00", incident: str = "incident") -> dict[str, Any]:
        data = {
            "case_id": self.key(name),
            "account_id": self.key(f"account-{account}"),
            "incident_id": self.key(incident),
            "outage_class": "full",
            "outage_minutes": 300,
            "tier": "premium",
            "monthly_fee": {"amount": fee, "currency": "EUR"},
            "severity": "high",
            "opened_at": "2026-03-01T09:30:00Z",
        }
        return event("support.case.opened", f"event-{self.key(name)}", data, tenant=self.prefix)

    def _request(self, name: str, amount: str, of: str | None = None) -> dict[str, Any]:
        key = self.key(of or name)
        data = {
            "process_id": key,
            "kind": "refund",
            "account_id": self.key(f"account-{of or name}"),
            "amount": {"amount": amount, "currency": "EUR"},
            "reason_code": "refund",
            "requested_by": "sam",
        }
        id = f"request-{self.key(name)}"
        return event("process.request", id, data, tenant=self.prefix, idempotencykey=id)

    def _send(self, client: Client) -> bool:
        batch = [
            self._adjust("one", "a"),
            self._adjust("two", "a"),
            self._adjust("blocked", "blocked"),
            self._case("small", "small"),
            self._case("taken-back", "blocked"),
            self._request("approved", "2500.00"),
            self._request("rejected", "700.00"),
        ]
        if "late" in self.parts:
            batch.append(self._request("late", "300.00"))
        if "auth" in self.parts:
            batch.append(self._adjust("auth", "auth"))
        if "poison" in self.parts:
            batch.append(self._adjust("poison", "poison"))
        if "wave" in self.parts:
            batch += [self._case(name, name, "900.00", "outage") for name in OF_PARTS["wave"]]
        if "mend" in self.parts:
            batch += [*(self._adjust(name, name) for name in ("mend-a", "mend-b")), self._case("locked", "locked")]
        with self._as("sam", client) as asker:
            return all("code" not in one or one["code"] is None for one in asker.send(batch, signed=True))

    def _as(self, who: str, client: Client) -> Client:
        return Client(client.url, self._tokens(who), timeout_seconds=10.0)

    # people --------------------------------------------------------------------------------------------------

    def _vote(self, client: Client, name: str, verdict: str, who: str) -> bool:
        """Whether the answer came that it counts; without an answer, people vote again."""
        if (name, who) in self._heard:
            return True
        digest = client.approval(self.key(name), self.prefix)["digest"]
        try:
            with self._as(who, client) as voter:
                voter.vote(self.key(name), verdict, digest=digest, reason="a crash case")
        except Refused as refusal:
            if refusal.problem.get("code") not in ("approval.twice", "approval.closed"):
                raise
        self._heard.add((name, who))
        return True

    def _approve(self, client: Client) -> bool:
        return all([self._vote(client, "approved", "approve", who) for who in VOTERS])

    def _reject(self, client: Client) -> bool:
        return self._vote(client, "rejected", "reject", "carl")

    def _reject_late(self, client: Client) -> bool:
        view = client.approval(self.key("late"), self.prefix)
        return view["role"] != "finance-clerk" and self._vote(client, "late", "reject", "carl")

    def _approve_wave(self, client: Client) -> bool:
        """Once for all of it, by two; people whose answer was lost say it again."""
        outage = self.key("outage")
        asked = {item["key"] for item in client.approvals(200) if item.get("incident") == outage}
        if client.incident(outage)["phase"] == "open":
            if asked != {self.key(name) for name in OF_PARTS["wave"]}:
                return False
            cap = client.on_incident(outage, "preview")["preview"]
            terms = {"cap": cap["money"], **{name: cap[name] for name in ("cases", "per_account", "digest")}}
            return all([self._agree(client, outage, who, terms) for who in VOTERS[: cap["people"]]])
        return True

    def _agree(self, client: Client, outage: str, who: str, terms: dict[str, Any]) -> bool:
        try:
            with self._as(who, client) as voter:
                voter.on_incident(outage, "approve", reason="a crash case", **terms)
        except Refused as refusal:
            return refusal.problem.get("code") in ("approval.twice", "approval.closed")
        return True

    def _replay(self, client: Client) -> bool:
        """What billing would not take back is sent again, in the name of somebody who had no part in it."""
        key = self.key("locked")
        state = client.process(key)["explanation"]["state"]
        if state == "stuck":
            with self._as("carl", client) as other:
                digest = client.approval(key, self.prefix)["digest"]
                other.vote(key, "replay", digest=digest, reason="a crash case", tenant=self.prefix)
        return bool(state == "compensated")

    # operators -----------------------------------------------------------------------------------------------

    @property
    def _tenant(self) -> str:
        return f"{self.prefix}-paused"

    def _pause(self, client: Client) -> bool:
        return bool(client.operate("pause", target=f"tenant:{self._tenant}", **WHO)["done"])

    def _send_paused(self, client: Client) -> bool:
        mine = [self._adjust(name, "b", tenant=self._tenant, lane="bulk") for name in ("moved", "cancelled")]
        client.send(mine)
        return len(self._waiting(client)) == 2

    def _waiting(self, client: Client) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = client.look("calls", scope=f"tenant:{self._tenant}", limit=10)["items"]
        return items

    def _move(self, client: Client) -> bool:
        lanes = {item["intent_id"]: item["lane"] for item in self._waiting(client)}
        if lanes.get(f"intent-{self.key('moved')}") == "urgent":
            return True
        client.operate("reprioritise", keys=[self.key("moved")], lane="urgent", **WHO)
        return False

    def _show_cancel(self, client: Client) -> bool:
        if len(self._waiting(client)) == 2:
            self._token = client.operate("cancel", keys=[self.key("cancelled")], dry_run=True, **WHO)["token"]
        return True

    def _cancel(self, client: Client) -> bool:
        return len(self._waiting(client)) != 2 or self._commit(client, self._show_cancel)

    def _commit(self, client: Client, look: Step) -> bool:
        """Carry out what was shown; if the world has moved meanwhile, look again. Never the end of a step."""
        try:
            client.operate("commit", token=self._token, who="dana")
        except Refused as refusal:
            if refusal.problem.get("code") not in ("operation.moved", "operation.token"):
                raise
            look(client)
        return False

    def _resume(self, client: Client) -> bool:
        try:
            client.operate("resume", target=f"tenant:{self._tenant}", **WHO)
        except Refused as refusal:  # an earlier try, whose answer was lost, has done it
            return str(refusal.problem.get("code", "")).startswith("operation.")
        return True

    def _brief_pause(self, client: Client) -> bool:
        until = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
        return bool(client.operate("pause", target="tenant:nobody", until=until, **WHO)["done"])

    def _stuck(self, client: Client) -> list[str]:
        calls = [client.look("search", key=self.key(name))["calls"] for name in ("mend-a", "mend-b")]
        return [found[0]["status"] if found else "none" for found in calls]

    def _show_retry(self, client: Client) -> bool:
        if self._stuck(client) == ["exception", "exception"]:
            keys = [self.key(name) for name in ("mend-a", "mend-b")]
            self._token = client.operate("retry", keys=keys, dry_run=True, **WHO)["token"]
            return True
        return self._stuck(client) == ["done", "done"]

    def _retry(self, client: Client) -> bool:
        """Both go again, one after the other."""
        statuses = self._stuck(client)
        if statuses == ["exception", "exception"]:
            return self._commit(client, self._show_retry)
        return statuses == ["done", "done"]

    def _purgeable(self, client: Client) -> bool:
        return any(item["failure"] == "json.syntax" for item in client.exceptions(50))

    def _show_purge(self, client: Client) -> bool:
        if self._purgeable(client):
            self._token = client.operate("purge", scope="failure:json.syntax", dry_run=True, **WHO)["token"]
        return True

    def _purge(self, client: Client) -> bool:
        return not self._purgeable(client) or self._commit(client, self._show_purge)

    def _release_hold(self, client: Client) -> bool:
        """The password is good again: what the ERP's refusal of it has put on hold goes on."""
        held = any(order["verb"] == "hold" for order in client.overview()["orders"])
        if held:
            client.operate("release", target="erp", **WHO)
        calls = client.look("search", key=self.key("auth"))["calls"]
        return bool(calls) and calls[0]["status"] == "done"

    def _compare(self, client: Client) -> bool:
        """The ledger against the ERP. Who asked a daemon that has died since, asks again."""
        try:
            return str(client.look("ledger", limit=1)["state"]) in ("clean", "differs")
        except Refused as refusal:
            if refusal.problem.get("code") != "operation.nothing":
                raise
        client.operate("ledger", system="erp", who="dana")
        return False

    # the broker ----------------------------------------------------------------------------------------------

    def _publish(self, client: Client) -> bool:
        """A good message, one that no door can accept and one that the broker gave up on, all confirmed by it."""
        with pika.BlockingConnection(pika.URLParameters(self._broker_url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            properties = pika.BasicProperties(content_type="application/cloudevents+json", delivery_mode=2)
            for body in (json.dumps(self._adjust("amqp", "amqp")).encode(), b"{nothing"):
                channel.basic_publish("tidegate.in", "erp.adjustment.request", body, properties, mandatory=True)
            channel.basic_publish("tidegate.dead", QUEUE, b"given up", properties, mandatory=True)
        return True

    def _stop_queue(self, client: Client) -> bool:
        return bool(client.operate("pause", target=f"queue:{QUEUE}", **WHO)["done"])

    def _send_held(self, client: Client) -> bool:
        client.send([self._adjust("requeued", "c", lane="bulk")])
        return True

    def _delete_queue(self, client: Client) -> bool:
        """Once the message is in it: nobody has handled it, and the broker has lost it."""
        with pika.BlockingConnection(pika.URLParameters(self._broker_url)) as connection:
            channel = connection.channel()
            if channel.queue_declare(QUEUE, passive=True).method.message_count == 0:
                return False
            channel.queue_delete(QUEUE)
        return True

    def _send_more(self, client: Client) -> bool:
        """For which there is no queue now."""
        client.send([self._adjust("next", "c", lane="bulk")])
        return True

    def _release_queue(self, client: Client) -> bool:
        try:
            client.operate("resume", target=f"queue:{QUEUE}", **WHO)
        except Refused as refusal:
            return str(refusal.problem.get("code", "")).startswith("operation.")
        return True
