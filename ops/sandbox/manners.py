"""How an ERP says that a limit was hit, and what is left: in the manner of the vendor that the `style` fault names.

Codes and headers as the vendors publish them; the numbers are the sandbox's own.
"""

from collections.abc import Callable, Mapping

import msgspec

from ops.sandbox.call import JSON, Headers, Reply, problem
from ops.sandbox.limits import Limit, Rate

MINUTE, DAY = 60, 86_400
Say = Callable[[str, int, Limit | None], Reply]
"""From our own code (`rate.exceeded`, ...), the seconds to wait and the limit, if it is known, to the refusal."""


def _json(status: int, body: object, code: str, headers: Headers = ()) -> Reply:
    return Reply(status, "refused", msgspec.json.encode(body), code, None, headers, JSON)


def _after(seconds: int) -> Headers:
    return ((b"retry-after", str(seconds).encode()),)


def _generic(code: str, wait: int, limit: Limit | None) -> Reply:
    return problem(429, code, "the limits have no room for this call", _after(wait))


def _netsuite(code: str, wait: int, limit: Limit | None) -> Reply:
    body = {"error": {"code": "SSS_REQUEST_LIMIT_EXCEEDED", "message": "Request limit exceeded"}}
    return _json(400, body, "SSS_REQUEST_LIMIT_EXCEEDED")


def _netsuite_soap(code: str, wait: int, limit: Limit | None) -> Reply:
    fault = "ExceededConcurrentRequestLimitFault" if code == "concurrency.exceeded" else "ExceededRequestLimitFault"
    xml = f"<soapenv:Envelope><soapenv:Body><soapenv:Fault><detail><{fault}/></detail></soapenv:Fault>"
    xml += "</soapenv:Body></soapenv:Envelope>"
    return Reply(500, "refused", xml.encode(), fault, content_type=b"text/xml")


def _login(code: str, wait: int, limit: Limit | None) -> Reply:
    return _json(401, {"error": {"code": "INVALID_LOGIN_ATTEMPT"}}, "INVALID_LOGIN_ATTEMPT")


def _dataverse(code: str, wait: int, limit: Limit | None) -> Reply:
    codes = {"rate.exceeded": "0x80072322", "execution.exceeded": "0x80072321", "concurrency.exceeded": "0x80072326"}
    return _json(429, {"error": {"code": codes[code], "message": "limit exceeded"}}, codes[code], _after(wait))


def _business_central(code: str, wait: int, limit: Limit | None) -> Reply:
    return _json(429, {"error": {"code": "Application_TooManyRequests"}}, "Application_TooManyRequests")


def _salesforce(code: str, wait: int, limit: Limit | None) -> Reply:
    kind = "ConcurrentRequests (Concurrent API Requests)" if code == "concurrency.exceeded" else "TotalRequests"
    body = [{"message": f"{kind} Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    return _json(403, body, "REQUEST_LIMIT_EXCEEDED")


def _xero(code: str, wait: int, limit: Limit | None) -> Reply:
    which = b"concurrent"
    if code == "rate.exceeded":
        which = b"day" if isinstance(limit, Rate) and limit.seconds >= DAY else b"minute"
    return Reply(429, "refused", b"", code, None, (*_after(wait), (b"x-rate-limit-problem", which)))


def _zendesk_edge(code: str, wait: int, limit: Limit | None) -> Reply:
    return Reply(429, "refused", b"<html><h1>Too Many Requests</h1></html>", code, content_type=b"text/html")


def _zuora(code: str, wait: int, limit: Limit | None) -> Reply:
    body = {"success": False, "reasons": [{"code": "REQUEST_EXCEEDED_LIMIT", "message": "limit exceeded"}]}
    reset = (b"ratelimit-remaining", b"0"), (b"ratelimit-reset", str(wait).encode())
    return _json(429, body, "REQUEST_EXCEEDED_LIMIT", reset)


def _stripe(code: str, wait: int, limit: Limit | None) -> Reply:
    reason = b"global-concurrency" if code == "concurrency.exceeded" else b"global-rate"
    body = {"error": {"type": "invalid_request_error", "code": "rate_limit"}}
    return _json(429, body, "rate_limit", ((b"stripe-rate-limited-reason", reason),))


def _intacct(code: str, wait: int, limit: Limit | None) -> Reply:
    words = "Too many concurrent requests" if code == "concurrency.exceeded" else "Rate limit exceeded"
    errorno = "XL03000009" if code == "concurrency.exceeded" else "GW-0010"
    error = f"<error><errorno>{errorno}</errorno><description>{words}</description></error>"
    xml = f"<response><errormessage>{error}</errormessage></response>"
    return Reply(429, "refused", xml.encode(), errorno, content_type=b"text/xml")


SAYS: Mapping[str, Say] = {
    "generic": _generic,
    "netsuite": _netsuite,
    "netsuite-soap": _netsuite_soap,
    "netsuite-login": _login,
    "dataverse": _dataverse,
    "business-central": _business_central,
    "salesforce": _salesforce,
    "xero": _xero,
    "zendesk": _generic,
    "zendesk-edge": _zendesk_edge,
    "zuora": _zuora,
    "stripe": _stripe,
    "sage-intacct": _intacct,
}
"""How refusals are said, by style."""


def room_headers(style: str, limit: Rate, left: int) -> Headers:
    """What an answer of this style says is left of a limit; nothing if the vendor says nothing."""
    total, rest = str(limit.limit).encode(), str(left).encode()
    match style:
        case "generic":
            policy = f'"w{limit.seconds}";q={limit.limit};w={limit.seconds}'.encode()
            return (b"ratelimit", f'"w{limit.seconds}";r={left};t={limit.seconds}'.encode()), (
                b"ratelimit-policy",
                policy,
            )
        case "xero" if limit.seconds == MINUTE:
            return ((b"x-minlimit-remaining", rest),)
        case "xero" if limit.seconds == DAY:
            return ((b"x-daylimit-remaining", rest),)
        case "zendesk" if limit.seconds == MINUTE:
            return (b"x-rate-limit", total), (b"x-rate-limit-remaining", rest)
        case "zuora":
            return (b"ratelimit-limit", total), (b"ratelimit-remaining", rest)
        case "dataverse" if limit.seconds == 300:
            return ((b"x-ms-ratelimit-burst-remaining-xrm-requests", rest),)
        case "salesforce" if limit.seconds == DAY:
            return ((b"sforce-limit-info", f"api-usage={limit.limit - left}/{limit.limit}".encode()),)
    return ()
