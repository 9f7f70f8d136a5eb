"""What outsiders heard: every event that the store says was made has come out of `tidegate.out`.

Heard twice is nothing bad, its readers go by the id; never heard is, and so is one id that says two things.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pika

from broker.topology import OUT
from tests.fault.crash.reading import Finding, ask

QUEUE = "outside"
Heard = Mapping[str, list[dict[str, Any]]]
"""By the id of the event: each time that it came."""

_DUE = """
    SELECT 'erp.adjustment.' || CASE status WHEN 'done' THEN 'posted' ELSE 'refused' END, intent_id, 1
      FROM call WHERE system = 'erp' AND status IN ('done', 'refused')
    UNION ALL
    SELECT 'billing.credit.evaluated', key, count(*)
      FROM milestone WHERE process = 'case' AND name GLOB 'credit.*' GROUP BY key
    UNION ALL
    SELECT 'billing.' || name, key, count(*)
      FROM milestone WHERE process = 'case' AND name IN ('credit.approved', 'credit.refused') GROUP BY name, key
    UNION ALL
    SELECT 'process.approval.needed', key, count(*)
      FROM milestone WHERE name IN ('approval.asked', 'approval.escalated')
       AND key IN (SELECT key FROM process) GROUP BY key
    UNION ALL
    SELECT 'process.ended', key, 1 FROM process WHERE phase = 'ended'
"""
"""The type of an event, what it is about, and how many of them there must be."""
_ABOUT = {"erp": "intent_id", "billing": "case_id", "process": "process_id"}
"""The field that says what an event is about, by the first word of its type."""


def listen(broker_url: str) -> None:
    """Bind a queue that takes everything, as a reader does who was there before the first daemon."""
    with closing(pika.BlockingConnection(pika.URLParameters(broker_url))) as connection:
        channel = connection.channel()
        channel.exchange_declare(OUT, "topic", durable=True)
        channel.queue_declare(QUEUE, durable=True)
        channel.queue_bind(QUEUE, OUT, "#")


def heard(broker_url: str) -> Heard:
    """Everything that has come, taken out of the queue."""
    events: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    with closing(pika.BlockingConnection(pika.URLParameters(broker_url))) as connection:
        channel = connection.channel()
        while (body := channel.basic_get(QUEUE, auto_ack=True)[2]) is not None:
            event = json.loads(body)
            events[event["id"]].append(event)
    return events


def event_findings(events: Heard, store: Path) -> Iterator[Finding]:
    """Events that nobody heard, and those that were not the same the second time."""
    about: defaultdict[tuple[str, str], int] = defaultdict(int)
    for name, times in events.items():
        type = times[0]["type"]
        about[type, times[0]["data"][_ABOUT[type.partition(".")[0]]]] += 1
        if any(again != times[0] for again in times):
            yield Finding("duplicate", f"event {name} ({type}) came {len(times)} times and said different things")
    for type, subject, due in ask(store, _DUE):
        if about[type, subject] < due:
            yield Finding("lost", f"{due - about[type, subject]} of {due} {type} about {subject} never came out")
        if about[type, subject] > due:
            yield Finding("duplicate", f"{about[type, subject]} events {type} about {subject}; {due} were made")
