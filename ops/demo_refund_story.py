"""The first part of `tidegate demo-refund`: one credit from case to books, and one that the ERP refuses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ops.client import Client, Refused
from ops.systems import Systems

Say = Callable[[str], Any]
_SECONDS_MAX = 30.0
_SKIPPED = frozenset({"process.requested"})


def tell_stories(client: Client, url: str, systems: Systems, say: Say) -> None:
    """Both stories, told while they happen.

    Raises:
        TimeoutError: one did not end.
    """
    say("\n1. A case that earns a large credit\n")
    client.send([_case("STORY-1", "25000.00")])
    story = _Story(client, "STORY-1", say)
    story.until("approval")
    _approve(client, url, systems, "STORY-1", say)
    story.until("posted")
    _documents(systems, "STORY-1", say)
    _audit(client, "STORY-1", say)

    say("\n2. The same, and the ERP refuses: its account is blocked there\n")
    systems.erp.set_faults({"kind": "refuse", "account": "ACME-STORY-2"})
    client.send([_case("STORY-2", "249.00")])
    _Story(client, "STORY-2", say).until("compensated")
    _documents(systems, "STORY-2", say)
    _audit(client, "STORY-2", say)
    systems.erp.set_faults()


def _case(name: str, fee: str) -> dict[str, Any]:
    data = {
        "case_id": name,
        "account_id": f"ACME-{name}",
        "incident_id": f"INC-{name}",
        "outage_class": "full",
        "outage_minutes": 240,
        "tier": "premium",
        "monthly_fee": {"amount": fee, "currency": "EUR"},
        "severity": "high",
        "opened_at": "2026-03-02T09:00:00Z",
    }
    event = {"specversion": "1.0", "id": f"evt-{name}", "source": "urn:support", "type": "support.case.opened"}
    return {**event, "tenant": "acme", "data": data}


class _Story:
    """Prints what happens to a business key, each thing once."""

    def __init__(self, client: Client, key: str, say: Say) -> None:
        self._client, self._key, self._say = client, key, say
        self._told = 0

    def until(self, state: str) -> None:
        """Print until this is what `explain` says, then what it says."""
        end = time.monotonic() + _SECONDS_MAX
        while True:
            story = self._look()
            if story is not None:
                self._print(story["milestones"])
                if story["explanation"]["state"] == state:
                    self._say(f"   explain {self._key}: {story['explanation']['sentence']}\n")
                    return
            if time.monotonic() > end:
                raise TimeoutError(f"{self._key} did not become {state} within {_SECONDS_MAX:g} s")
            time.sleep(0.1)

    def _look(self) -> dict[str, Any] | None:
        try:
            return self._client.process(self._key)
        except Refused:
            return None  # not taken up yet

    def _print(self, milestones: list[dict[str, Any]]) -> None:
        for row in milestones[self._told :]:
            if row["name"] not in _SKIPPED:
                self._say(f"   {row['at'][11:23]}  {row['name']:<22} {_facts(row['facts'])}\n")
        self._told = len(milestones)


def _facts(facts: dict[str, str]) -> str:
    shown = {name: value for name, value in facts.items() if value and not name.startswith(("input.", "digest"))}
    return "  ".join(f"{name}={value}" for name, value in shown.items())


def _approve(client: Client, url: str, systems: Systems, key: str, say: Say) -> None:
    """Somebody of support tries; then two of finance, one of them twice: each with a token of their own."""
    item = client.approval(key)
    for who in ("sam", "anna", "anna", "tom"):
        try:
            with systems.person(url, who) as person:
                effect = person.vote(key, "approve", digest=item["digest"], reason="the outage is confirmed")
            say(f"   {who} approves: {effect['result']}{', 1 more needed' if effect['left'] else ''}\n")
        except Refused as refused:
            say(f"   {who} approves: refused. {refused.problem['detail']} ({refused.problem['code']})\n")


def _documents(systems: Systems, key: str, say: Say) -> None:
    say("   on the books of each system, read from there:\n")
    for name, system in systems.all.items():
        for document in system.documents():
            if document.source_document == key:
                amount = f"{document.amount} {document.currency}".strip()
                say(
                    f"     {name:<8} {document.document_id}  {document.status:<14} {amount}  for {document.reference}\n"
                )


def _audit(client: Client, key: str, say: Say) -> None:
    """The entries of the audit about a key and the calls that were made for it, each chained to the one before."""
    say("   in the audit, chained by hash:\n")
    calls = client.look("search", key=key)["calls"]
    subjects = [key, *(call["intent_id"] for call in calls)]
    entries = {row["seq"]: row for subject in subjects for row in client.look("audit", subject=subject)["items"]}
    for seq in sorted(entries):
        row = entries[seq]
        document = row["facts"].get("document") or row["facts"].get("reason") or ""
        say(f"     {seq:>5}  {row['actor']:<14} {row['verb']:<18} {row['subject']}  {document}  {row['hash'][:12]}\n")
