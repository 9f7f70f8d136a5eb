"""What each vendor's answers say about limits: one block a vendor, then what holds for all of them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.signals import Answered, Dimension, read, reset_seconds
from policies.vendors import VENDORS

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
COUNT, CONCURRENT, EXECUTION = Dimension.COUNT, Dimension.CONCURRENT, Dimension.EXECUTION
OBJECT, UNKNOWN = Dimension.OBJECT, Dimension.UNKNOWN
DAY = 86_400


def saying(vendor, status, code="", text="", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read(VENDORS[vendor], Answered(status, named, code, text), NOW)


SOAP = "<soapenv:Fault><faultcode>soapenv:Server.userException</faultcode><detail><platformFaults:{0}/></detail>"
SALESFORCE = '[{{"message":"{0} Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}}]'

REFUSALS = [
    # vendor, status, code, text, headers -> dimension, window, wait
    ("generic", 429, "", "", {}, UNKNOWN, None, None),
    ("generic", 429, "rate.exceeded", "", {"retry_after": "7"}, COUNT, None, 7),
    ("generic", 400, "concurrency.exceeded", "", {}, CONCURRENT, None, None),
    ("generic", 429, "", "", {"ratelimit": "limit=10, remaining=0, reset=3"}, UNKNOWN, None, 3),
    ("netsuite", 400, "SSS_REQUEST_LIMIT_EXCEEDED", "", {}, CONCURRENT, None, None),
    ("netsuite", 400, "", '{"error":{"code":"SSS_REQUEST_LIMIT_EXCEEDED"}}', {}, CONCURRENT, None, None),
    ("netsuite", 429, "", "", {}, CONCURRENT, None, None),
    ("netsuite", 500, "", SOAP.format("ExceededConcurrentRequestLimitFault"), {}, CONCURRENT, None, None),
    ("netsuite", 500, "", SOAP.format("ExceededRequestLimitFault"), {}, COUNT, None, None),
    ("netsuite", 500, "WS_CONCUR_SESSION_DISALLWD", "", {}, CONCURRENT, None, None),
    ("netsuite", 500, "WS_REQUEST_BLOCKED", "", {}, CONCURRENT, None, None),
    ("netsuite", 401, "INVALID_LOGIN_ATTEMPT", "", {}, CONCURRENT, None, None),
    ("dataverse", 429, "0x80072322", "", {"retry_after": "30"}, COUNT, 300, 30),
    ("dataverse", 429, "", '{"error":{"code":"0x80072321"}}', {"retry_after": "12.4"}, EXECUTION, 300, 13),
    ("dataverse", 429, "-2147015903", "", {}, EXECUTION, 300, None),
    ("dataverse", 429, "0x80072326", "", {}, CONCURRENT, None, None),
    ("dynamics-fo", 429, "", "", {"retry_after": "5"}, UNKNOWN, None, 5),
    ("business-central", 429, "", "", {}, COUNT, 300, None),
    ("business-central", 408, "", "", {}, EXECUTION, None, None),
    ("business-central", 504, "", "", {}, EXECUTION, None, None),
    ("sap-s4hana", 429, "", "", {"retry_after": "60"}, UNKNOWN, None, 60),
    ("sap-sales-service", 429, "", "", {}, COUNT, DAY, None),
    ("oracle-fusion", 429, "", "", {}, UNKNOWN, None, None),
    ("workday", 503, "", "<faultstring>Too many requests</faultstring>", {}, UNKNOWN, None, None),
    ("sage-intacct", 429, "GW-0010", "", {}, COUNT, None, None),
    ("sage-intacct", 400, "", "<description>Too many concurrent requests</description>", {}, CONCURRENT, None, None),
    ("acumatica", 500, "", "Error: API Login Limit", {}, CONCURRENT, None, None),
    ("quickbooks", 429, "", '{"Fault":{"Error":[{"code":"003001"}]}}', {}, COUNT, 60, 60),
    ("quickbooks", 429, "", "", {"retry_after": "20"}, COUNT, 60, 20),
    ("xero", 429, "", "", {"x_rate_limit_problem": "minute", "retry_after": "42"}, COUNT, 60, 42),
    ("xero", 429, "", "", {"x_rate_limit_problem": "Day", "retry_after": "30000"}, COUNT, DAY, 30_000),
    ("xero", 429, "", "", {"x_rate_limit_problem": "concurrent"}, CONCURRENT, None, None),
    ("xero", 429, "", "", {"x_rate_limit_problem": "appminute"}, COUNT, 60, None),
    ("salesforce", 403, "", SALESFORCE.format("TotalRequests"), {}, COUNT, DAY, None),
    (
        "salesforce",
        403,
        "",
        SALESFORCE.format("ConcurrentRequests (Concurrent API Requests)"),
        {},
        CONCURRENT,
        None,
        None,
    ),
    ("salesforce", 400, "UNABLE_TO_LOCK_ROW", "", {}, OBJECT, None, None),
    ("stripe", 429, "rate_limit", "", {}, COUNT, 1, None),
    ("stripe", 429, "rate_limit", "", {"stripe_rate_limited_reason": "global-concurrency"}, CONCURRENT, None, None),
    ("stripe", 429, "rate_limit", "", {"stripe_rate_limited_reason": "endpoint-rate"}, COUNT, 1, None),
    ("stripe", 429, "lock_timeout", "", {}, OBJECT, None, None),
    ("chargebee", 429, "api_request_limit_exceeded", "", {}, COUNT, 60, None),
    ("zuora", 429, "", '{"reasons":[{"code":"REQUEST_EXCEEDED_LIMIT"}]}', {}, COUNT, None, 120),
    ("zuora", 429, "", "", {"ratelimit_remaining": "0", "ratelimit_reset": "17"}, COUNT, None, 17),
    ("zendesk", 429, "", '{"error":"APIRateLimitExceeded"}', {"retry_after": "9"}, COUNT, 60, 9),
    ("zendesk", 429, "", "<html>Too Many Requests</html>", {}, COUNT, 60, None),
    ("servicenow", 429, "", "", {"retry_after": "1800"}, COUNT, 3600, 1800),
]


@pytest.mark.parametrize(("vendor", "status", "code", "text", "headers", "dimension", "window", "wait"), REFUSALS)
def test_a_refusal_is_recognised_in_every_disguise(vendor, status, code, text, headers, dimension, window, wait):
    refusal = saying(vendor, status, code, text, **headers).refusal
    assert refusal is not None
    assert (refusal.dimension, refusal.window_seconds, refusal.wait_seconds) == (dimension, window, wait)
    assert str(status) in refusal.sentence


def test_every_vendor_has_a_row_in_the_test():
    assert {row[0] for row in REFUSALS} == set(VENDORS)


@pytest.mark.parametrize("vendor", sorted(VENDORS))
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500, 502, 503])
def test_a_plain_failure_is_no_refusal_for_a_limit(vendor, status):
    text = '{"code":"account.blocked","detail":"the account is blocked; rate 12 per cent"}'
    assert saying(vendor, status, "account.blocked", text).refusal is None


@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_the_text_of_a_success_never_makes_it_a_refusal(vendor):
    words = " ".join(word for rule in VENDORS[vendor].rules for word in rule.words)
    assert saying(vendor, 201, words, words).refusal is None


@pytest.mark.parametrize(("vendor", "status"), [("business-central", 408), ("business-central", 504), ("workday", 500)])
def test_a_time_out_under_load_leaves_open_whether_it_was_done(vendor, status):
    assert not saying(vendor, status, "", "too many requests").refusal.undone


def test_a_refused_login_may_be_a_full_house_and_only_a_probe_can_tell():
    assert saying("netsuite", 403, "INVALID_LOGIN_ATTEMPT").refusal.suspected
    assert saying("netsuite", 401, "INVALID_TOKEN").refusal is None


@pytest.mark.parametrize("reason", ["endpoint-rate", "endpoint-concurrency"])
def test_a_limit_of_one_operation_says_so(reason):
    assert saying("stripe", 429, stripe_rate_limited_reason=reason).refusal.scope == "operation"


ROOMS = [
    # vendor, headers -> (dimension, remaining, limit, window, resets, scope)
    (
        "generic",
        {"ratelimit": '"default";r=50;t=30', "ratelimit_policy": '"default";q=100;w=60'},
        (COUNT, 50, 100, 60, 30.0, ""),
    ),
    ("generic", {"ratelimit": "limit=100, remaining=7, reset=5"}, (COUNT, 7, 100, None, 5.0, "")),
    ("generic", {"x_ratelimit_remaining": "3", "x_ratelimit_limit": "10"}, (COUNT, 3, 10, None, None, "")),
    ("generic", {"ratelimit_remaining": "3", "ratelimit_limit": "10, 100;w=60"}, (COUNT, 3, 10, None, None, "")),
    ("dataverse", {"x_ms_ratelimit_burst_remaining_xrm_requests": "5999"}, (COUNT, 5999, None, 300, None, "")),
    ("dataverse", {"x_ms_ratelimit_time_remaining_xrm_requests": "1,199.5"}, (EXECUTION, 1, None, 300, None, "")),
    ("sap-s4hana", {"x_ratelimit_remaining": "12"}, (COUNT, 12, None, None, None, "")),
    ("xero", {"x_minlimit_remaining": "59"}, (COUNT, 59, None, 60, None, "")),
    ("xero", {"x_daylimit_remaining": "4820"}, (COUNT, 4820, None, DAY, None, "")),
    ("xero", {"x_appminlimit_remaining": "9999"}, (COUNT, 9999, None, 60, None, "app")),
    (
        "salesforce",
        {"sforce_limit_info": "api-usage=25/5000 (per-app-api-usage=17/250(appName=x))"},
        (COUNT, 4975, 5000, DAY, None, ""),
    ),
    (
        "zuora",
        {"ratelimit_remaining": "1", "ratelimit_limit": "50000", "ratelimit_reset": "8"},
        (COUNT, 1, 50_000, None, 8.0, ""),
    ),
    (
        "zendesk",
        {"x_rate_limit": "700", "x_rate_limit_remaining": "699", "ratelimit_reset": "41"},
        (COUNT, 699, 700, 60, 41.0, ""),
    ),
    (
        "zendesk",
        {"zendesk_ratelimit_tickets_update": "total=100; remaining=99; resets=1772366430"},
        (COUNT, 99, 100, None, 30.0, "tickets-update"),
    ),
    (
        "servicenow",
        {"x_ratelimit_remaining": "5", "x_ratelimit_limit": "1000", "x_ratelimit_reset": "1772367000"},
        (COUNT, 5, 1000, 3600, 600.0, ""),
    ),
]


@pytest.mark.parametrize(("vendor", "headers", "told"), ROOMS)
def test_what_is_left_is_read_from_each_vendors_headers(vendor, headers, told):
    (room,) = saying(vendor, 200, **headers).rooms
    found = (room.dimension, room.remaining, room.limit, room.window_seconds, room.resets_seconds, room.scope)
    assert found == told


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        ("0.5", 0.5),
        ("1772366460", 60.0),
        ("1772366460000", 60.0),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("9999999", 86_400.0),
        ("soon", None),
        ("-1", None),
        ("", None),
    ],
)
def test_the_moment_of_a_reset_is_read_in_all_its_forms(text, seconds):
    assert reset_seconds(text, NOW) == seconds


@given(st.sampled_from(sorted(VENDORS)), st.integers(100, 599), st.text(max_size=80), st.text(max_size=80))
def test_whatever_a_system_sends_nothing_is_raised_and_no_wait_is_absurd(vendor, status, header, text):
    gauges = VENDORS[vendor].gauges
    names = {name for g in gauges for name in (g.remaining, g.limit, g.reset, g.pairs, g.scope) if name}
    headers = dict.fromkeys({*names, "retry-after", "x-rate-limit-problem"}, header)
    reading = read(VENDORS[vendor], Answered(status, headers, text, text), NOW)
    assert all(room.remaining >= 0 for room in reading.rooms)
    if reading.refusal is not None and reading.refusal.wait_seconds is not None:
        assert 0 <= reading.refusal.wait_seconds <= DAY
