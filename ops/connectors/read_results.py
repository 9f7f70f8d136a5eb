"""Reads Tidegate's results from `tidegate.out` with pika, one JSON line each, until COUNT have come.

usage: read_results.py amqp://user:password@host:5672/vhost QUEUE PATTERN COUNT      (PATTERN: erp.adjustment.*, #, ...)
"""

import json
import sys

import pika

url, queue, pattern, count = sys.argv[1:]
with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()
    # a queue of your own, which keeps what comes while you are away
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_bind(queue, "tidegate.out", pattern)
    channel.basic_qos(prefetch_count=32)
    for done, (method, properties, body) in enumerate(channel.consume(queue), 1):
        if properties.content_type == "application/cloudevents+json":
            event = json.loads(body)
        else:  # binary mode
            event = {name.partition(":")[2]: value for name, value in (properties.headers or {}).items() if ":" in name}
            event["data"] = json.loads(body)
        print(json.dumps(event), flush=True)  # your work; an event may come twice, its id tells
        channel.basic_ack(method.delivery_tag)  # after the work, never before
        if done == int(count):
            channel.cancel()  # gives back what was fetched and not read
            break
