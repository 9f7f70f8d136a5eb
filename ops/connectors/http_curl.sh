#!/bin/sh
# A support case to Tidegate over HTTP with curl, in binary mode: attributes in headers, the data is the body.
# Sent again until it is answered: the id keeps it from counting twice.
# usage: http_curl.sh http://127.0.0.1:8080 CASE-ID
set -eu
url=$1 case_id=$2
curl --silent --show-error --fail-with-body --retry 5 --retry-connrefused "$url/v1/messages" \
    -H 'Content-Type: application/json' \
    -H 'ce-specversion: 1.0' \
    -H "ce-id: case-opened-$case_id" \
    -H 'ce-source: urn:example:support' \
    -H 'ce-type: support.case.opened' \
    -H 'ce-dataschema: urn:tidegate:support.case.opened:1' \
    --data @- <<JSON
{"case_id": "$case_id", "account_id": "ACME-1", "outage_class": "full", "outage_minutes": 120, "tier": "standard",
 "monthly_fee": {"amount": "249.00", "currency": "EUR"}, "severity": "high", "opened_at": "2026-03-02T09:00:00Z"}
JSON
