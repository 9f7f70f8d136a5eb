"""A support case to Tidegate with pika, as a CloudEvent in binary mode: attributes in headers, the data is the body.

usage: pika_binary.py amqp://user:password@host:5672/vhost CASE-ID
"""

import json
import sys

import pika

url, case_id = sys.argv[1:]
attributes = {
    "specversion": "1.0",
    "id": f"case-opened-{case_id}",  # the same when you send it again: then nothing happens twice
    "source": "urn:example:support",
    "type": "support.case.opened",
    "dataschema": "urn:tidegate:support.case.opened:1",
}
data = {
    "case_id": case_id,
    "account_id": "ACME-1",
    "outage_class": "full",
    "outage_minutes": 120,
    "tier": "standard",
    "monthly_fee": {"amount": "249.00", "currency": "EUR"},  # money is text, never a float
    "severity": "high",
    "opened_at": "2026-03-02T09:00:00Z",
}
headers = {f"cloudEvents:{name}": value for name, value in attributes.items()}
properties = pika.BasicProperties(content_type="application/json", headers=headers, delivery_mode=2)  # kept on disk
with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()
    channel.confirm_delivery()  # basic_publish now raises unless the broker has it, in a queue
    channel.basic_publish("tidegate.in", attributes["type"], json.dumps(data), properties, mandatory=True)
