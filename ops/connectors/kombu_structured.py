"""A support case to Tidegate with kombu, as a CloudEvent in structured mode: the whole event is the body.

usage: kombu_structured.py amqp://user:password@host:5672/vhost CASE-ID
"""

import json
import sys

from kombu import Connection

url, case_id = sys.argv[1:]
event = {
    "specversion": "1.0",
    "id": f"case-opened-{case_id}",  # the same when you send it again: then nothing happens twice
    "source": "urn:example:support",
    "type": "support.case.opened",
    "dataschema": "urn:tidegate:support.case.opened:1",
    "data": {
        "case_id": case_id,
        "account_id": "ACME-1",
        "outage_class": "full",
        "outage_minutes": 120,
        "tier": "standard",
        "monthly_fee": {"amount": "249.00", "currency": "EUR"},  # money is text, never a float
        "severity": "high",
        "opened_at": "2026-03-02T09:00:00Z",
    },
}
returned = []
with Connection(url, transport_options={"confirm_publish": True}) as connection:  # publish raises unless confirmed
    connection.Producer(on_return=lambda *why: returned.append(why)).publish(
        json.dumps(event).encode(),  # bytes, so that kombu does not pack them into a format of its own
        exchange="tidegate.in",
        routing_key=event["type"],
        content_type="application/cloudevents+json",
        content_encoding="utf-8",
        delivery_mode=2,
        mandatory=True,
    )
sys.exit(f"no queue took it: {returned}" if returned else 0)
