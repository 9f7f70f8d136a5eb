"""A support case to Tidegate with the CloudEvents SDK (and pika to carry it), in the mode that you name.

usage: cloudevents_sdk.py amqp://user:password@host:5672/vhost CASE-ID structured|binary
"""

import sys

import pika
from cloudevents.core.bindings import rabbitmq
from cloudevents.core.v1.event import CloudEvent

url, case_id, mode = sys.argv[1:]
event = CloudEvent(
    {
        "id": f"case-opened-{case_id}",  # the same when you send it again: then nothing happens twice
        "source": "urn:example:support",
        "type": "support.case.opened",
        "datacontenttype": "application/json",
        "dataschema": "urn:tidegate:support.case.opened:1",
    },
    {
        "case_id": case_id,
        "account_id": "ACME-1",
        "outage_class": "full",
        "outage_minutes": 120,
        "tier": "standard",
        "monthly_fee": {"amount": "249.00", "currency": "EUR"},  # money is text, never a float
        "severity": "high",
        "opened_at": "2026-03-02T09:00:00Z",
    },
)
message = rabbitmq.to_structured_event(event) if mode == "structured" else rabbitmq.to_binary_event(event)
properties = pika.BasicProperties(content_type=message.content_type, headers=message.headers, delivery_mode=2)
with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()
    channel.confirm_delivery()  # basic_publish now raises unless the broker has it, in a queue
    channel.basic_publish("tidegate.in", event.get_type(), message.body, properties, mandatory=True)
