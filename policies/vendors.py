"""How each system speaks of its limits, one row a vendor: read on the vendors' own pages unless a row says otherwise.

Limits themselves are not here: they move, so they are settings, told by the system, or learned. Here is only how to
recognise what a system says. `undone=False` marks answers after which the work may have been done.
"""

from collections.abc import Mapping

from policies.signals import Dimension, Gauge, Rule, Vendor

_MINUTE, _FIVE_MINUTES, _HOUR, _DAY = 60, 300, 3600, 86_400
_COUNT, _CONCURRENT, _EXECUTION = Dimension.COUNT, Dimension.CONCURRENT, Dimension.EXECUTION
_OBJECT, _UNKNOWN = Dimension.OBJECT, Dimension.UNKNOWN

_429 = Rule(means=_UNKNOWN, statuses=(429,))
"""Last in nearly every row: what says nothing else is over a limit that it does not name."""

_IETF = Gauge(pairs="ratelimit")
_X_RATE = Gauge(remaining="x-ratelimit-remaining", limit="x-ratelimit-limit", reset="x-ratelimit-reset")
_PLAIN = Gauge(remaining="ratelimit-remaining", limit="ratelimit-limit", reset="ratelimit-reset")

_OURS = (
    Rule(means=_COUNT, statuses=(400, 429, 503), words=("rate.exceeded",)),
    Rule(means=_CONCURRENT, statuses=(400, 429, 503), words=("concurrency.exceeded",)),
    Rule(means=_EXECUTION, statuses=(400, 429, 503), words=("execution.exceeded",)),
)
"""The sandbox ERP's own codes."""

_ROWS = (
    Vendor("generic", (*_OURS, _429), (_IETF, _X_RATE, _PLAIN)),
    Vendor(
        "netsuite",
        (
            # SOAP faults come with 500 and RESTlets answer 400; both are refused before anything is executed.
            Rule(means=_CONCURRENT, words=("ExceededConcurrentRequestLimitFault", "WS_CONCUR_SESSION_DISALLWD")),
            Rule(means=_CONCURRENT, words=("CONCURRENCY_LIMIT_EXCEEDED",)),
            Rule(means=_COUNT, words=("ExceededRequestLimitFault",)),
            Rule(means=_CONCURRENT, words=("WS_REQUEST_BLOCKED", "SSS_REQUEST_LIMIT_EXCEEDED")),
            # Too many sessions at once have been answered with a refused login; only a probe can tell.
            Rule(
                means=_CONCURRENT,
                statuses=(401, 403, 500),
                words=("INVALID_LOGIN_ATTEMPT", "InvalidCredentialsFault"),
                suspected=True,
            ),
            Rule(means=_CONCURRENT, statuses=(429,)),
        ),
    ),
    Vendor(
        "dataverse",
        (
            Rule(means=_COUNT, words=("0x80072322", "-2147015902"), window_seconds=_FIVE_MINUTES),
            Rule(means=_EXECUTION, words=("0x80072321", "-2147015903"), window_seconds=_FIVE_MINUTES),
            Rule(means=_CONCURRENT, words=("0x80072326", "-2147015898")),
            _429,
        ),
        (
            Gauge(remaining="x-ms-ratelimit-burst-remaining-xrm-requests", window_seconds=_FIVE_MINUTES),
            Gauge(
                remaining="x-ms-ratelimit-time-remaining-xrm-requests",
                dimension=_EXECUTION,
                window_seconds=_FIVE_MINUTES,
            ),
        ),
    ),
    Vendor("dynamics-fo", (Rule(means=_UNKNOWN, statuses=(429,)),)),
    Vendor(
        "business-central",
        (
            Rule(means=_COUNT, statuses=(429,), window_seconds=_FIVE_MINUTES),
            Rule(means=_EXECUTION, statuses=(408, 504), undone=False),
        ),
    ),
    Vendor("sap-s4hana", (_429,), (_X_RATE,)),
    Vendor("sap-sales-service", (Rule(means=_COUNT, statuses=(429,), window_seconds=_DAY),)),
    Vendor("oracle-fusion", (_429,)),
    Vendor(
        "workday",
        (
            _429,
            Rule(
                means=_UNKNOWN, statuses=(500, 503), words=("too many requests", "request limit exceeded"), undone=False
            ),
        ),
    ),
    Vendor(
        "sage-intacct",
        (
            Rule(means=_CONCURRENT, words=("too many concurrent", "concurrent requests", "concurrency limit")),
            Rule(means=_COUNT, words=("GW-0010",)),
            _429,
        ),
    ),
    Vendor(
        "acumatica",
        (
            # third party: a session keeps its slot for about 20 minutes unless it logs out
            Rule(means=_CONCURRENT, words=("API Login Limit", "maximum number of concurrent")),
            _429,
        ),
    ),
    Vendor(
        "quickbooks",
        (
            Rule(means=_COUNT, words=("ThrottleExceeded", "003001"), window_seconds=_MINUTE, wait_seconds=_MINUTE),
            Rule(means=_COUNT, statuses=(429,), window_seconds=_MINUTE, wait_seconds=_MINUTE),
        ),
    ),
    Vendor(
        "xero",
        (
            Rule(means=_CONCURRENT, statuses=(429,), header="x-rate-limit-problem", words=("concurrent",)),
            Rule(
                means=_COUNT,
                statuses=(429,),
                header="x-rate-limit-problem",
                words=("minute",),
                window_seconds=_MINUTE,
            ),
            Rule(
                means=_COUNT,
                statuses=(429,),
                header="x-rate-limit-problem",
                words=("day", "daily"),
                window_seconds=_DAY,
            ),
            Rule(
                means=_COUNT,
                statuses=(429,),
                header="x-rate-limit-problem",
                words=("appminute", "appmin"),
                window_seconds=_MINUTE,
                scope="app",
            ),
            _429,
        ),
        (
            Gauge(remaining="x-minlimit-remaining", window_seconds=_MINUTE),
            Gauge(remaining="x-daylimit-remaining", window_seconds=_DAY),
            Gauge(remaining="x-appminlimit-remaining", window_seconds=_MINUTE, scope="app"),
        ),
    ),
    Vendor(
        "salesforce",
        (
            Rule(means=_CONCURRENT, words=("ConcurrentRequests", "ConcurrentPerOrgLongTxn")),
            Rule(means=_COUNT, words=("REQUEST_LIMIT_EXCEEDED",), window_seconds=_DAY),
            Rule(means=_OBJECT, words=("UNABLE_TO_LOCK_ROW",)),
            _429,
        ),
        (Gauge(used_of="api-usage", scope="sforce-limit-info", window_seconds=_DAY),),
    ),
    Vendor(
        "stripe",
        (
            Rule(means=_OBJECT, statuses=(429,), words=("lock_timeout",), scope="object"),
            Rule(
                means=_CONCURRENT,
                statuses=(429,),
                header="stripe-rate-limited-reason",
                words=("global-concurrency",),
            ),
            Rule(
                means=_CONCURRENT,
                statuses=(429,),
                header="stripe-rate-limited-reason",
                words=("endpoint-concurrency",),
                scope="operation",
            ),
            Rule(
                means=_COUNT,
                statuses=(429,),
                header="stripe-rate-limited-reason",
                words=("endpoint-rate",),
                window_seconds=1,
                scope="operation",
            ),
            Rule(
                means=_OBJECT,
                statuses=(429,),
                header="stripe-rate-limited-reason",
                words=("resource-specific",),
                scope="object",
            ),
            Rule(means=_COUNT, statuses=(429,), window_seconds=1),
        ),
    ),
    Vendor("chargebee", (Rule(means=_COUNT, statuses=(429,), window_seconds=_MINUTE),)),
    Vendor(
        "zuora",
        (
            Rule(means=_CONCURRENT, statuses=(429,), words=("concurrent request", "concurrent requests")),
            Rule(means=_COUNT, words=("REQUEST_EXCEEDED_LIMIT",), wait_seconds=120),
            Rule(means=_COUNT, statuses=(429,), wait_seconds=120),
        ),
        # the headers speak of the window that is nearest to its end, without saying which
        (_PLAIN,),
    ),
    Vendor(
        "zendesk",
        # a 429 of the edge has another body and may lack every header: the status is enough
        (Rule(means=_COUNT, statuses=(429,), window_seconds=_MINUTE),),
        (
            Gauge(
                remaining="x-rate-limit-remaining",
                limit="x-rate-limit",
                reset="ratelimit-reset",
                window_seconds=_MINUTE,
            ),
            Gauge(pairs="zendesk-ratelimit-*"),
        ),
    ),
    Vendor(
        "servicenow",
        (Rule(means=_COUNT, statuses=(429,), window_seconds=_HOUR),),
        (
            Gauge(
                remaining="x-ratelimit-remaining",
                limit="x-ratelimit-limit",
                reset="x-ratelimit-reset",
                window_seconds=_HOUR,
            ),
        ),
    ),
)

VENDORS: Mapping[str, Vendor] = {row.name: row for row in _ROWS}
"""By the name that the setting `erp.signals` takes."""
