"""A support case to Tidegate over HTTP with httpx, sent again until there is an answer: its id keeps it one.

usage: http_httpx.py http://127.0.0.1:8080 CASE-ID
"""

import sys
import time

import httpx

url, case_id = sys.argv[1:]
event = {
    "specversion": "1.0",
    "id": f"case-opened-{case_id}",
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
for attempt in range(1, 6):
    try:
        answer = httpx.post(f"{url}/v1/messages", json=event, headers={"Content-Type": "application/cloudevents+json"})
    except httpx.TransportError as lost:
        print(f"attempt {attempt}: {lost!r}", file=sys.stderr)
        time.sleep(2**attempt)
        continue
    if answer.status_code not in (429, 503):
        break
    time.sleep(int(answer.headers.get("Retry-After", "5")))
else:
    sys.exit("not accepted: no answer, or no room, after five attempts")
print(answer.text)
sys.exit(0 if answer.status_code == 202 else 1)
