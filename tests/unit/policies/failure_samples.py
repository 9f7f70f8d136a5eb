"""Refusals as systems really send them: (system, status, body, what it means). None: it may have been done.

Salesforce and ServiceNow as in the vendors' samples; Stripe, Zendesk and Zuora in the shape of their OpenAPI documents
with codes of their error pages; NetSuite, Business Central, Dataverse, Xero, QuickBooks and Intacct after their pages.
"""

import json
from typing import Any

from policies.recoverability import FailureClass

F = FailureClass
PAGE = "<!doctype html><html><head><title>404</title></head><body><h1>Not found</h1></body></html>"


def _problem(code: str) -> dict[str, Any]:
    return {"type": "about:blank", "title": "No", "status": 400, "detail": "why", "code": code}


def _zendesk(error: str) -> dict[str, Any]:
    return {"error": error, "description": "why"}


def _salesforce(code: str, message: str = "why") -> list[dict[str, Any]]:
    return [{"message": message, "errorCode": code, "fields": []}]


def _stripe(type: str, code: str | None = None, message: str = "why") -> dict[str, Any]:
    return {"error": {"type": type, "message": message, **({"code": code} if code else {})}}


def _chargebee(code: str, type: str = "invalid_request") -> dict[str, Any]:
    return {"message": "why", "type": type, "api_error_code": code}


def _zuora(code: int) -> dict[str, Any]:
    return {"success": False, "processId": "P-1", "reasons": [{"code": code, "message": "why"}]}


def _netsuite(code: str, detail: str = "why") -> dict[str, Any]:
    return {"title": "Bad Request", "status": 400, "o:errorDetails": [{"detail": detail, "o:errorCode": code}]}


def _odata(code: str, message: str = "why") -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def _servicenow(message: str, detail: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "detail": detail}, "status": "failure"}


def _quickbooks(code: str) -> dict[str, Any]:
    return {"Fault": {"Error": [{"Message": "why", "Detail": "why", "code": code}], "type": "ValidationFault"}}


def _intacct(errorno: str, text: str = "why") -> str:
    error = f"<error><errorno>{errorno}</errorno><description2>{text}</description2></error>"
    return f"<response><result><status>failure</status><errormessage>{error}</errormessage></result></response>"


SAMPLES: list[tuple[str, int, Any, FailureClass | None]] = [
    ("generic", 400, _problem("body.invalid"), F.DATA_QUALITY),
    ("generic", 400, _problem("concurrency.exceeded"), F.THROTTLED),
    ("generic", 401, _problem("auth.required"), F.AUTH),
    ("generic", 404, _problem("document.unknown"), F.DATA_QUALITY),
    ("generic", 404, _problem("path.unknown"), F.AUTH),
    ("generic", 413, _problem("body.too_large"), F.DATA_QUALITY),
    ("generic", 422, _problem("account.blocked"), F.DATA_QUALITY),
    ("generic", 422, _problem("period_closed"), F.CLOSED_PERIOD),
    ("generic", 422, _problem("idempotency.mismatch"), F.BUG),
    ("generic", 429, _problem("rate.exceeded"), F.THROTTLED),
    ("generic", 503, _problem("rate.exceeded"), F.THROTTLED),
    ("generic", 503, _problem("unavailable"), F.TRANSIENT),
    ("generic", 500, _problem("period_closed"), None),
    ("zendesk", 401, {"error": "Couldn't authenticate you"}, F.AUTH),
    ("zendesk", 403, {"error": {"title": "Forbidden", "message": "no access"}}, F.AUTH),
    ("zendesk", 404, _zendesk("RecordNotFound"), F.DATA_QUALITY),
    ("zendesk", 404, _zendesk("InvalidEndpoint"), F.AUTH),
    ("zendesk", 409, _zendesk("DatabaseConflict"), F.TRANSIENT),
    ("zendesk", 422, _zendesk("RecordInvalid"), F.DATA_QUALITY),
    ("zendesk", 422, {"errors": [{"code": "InvalidValue", "title": "why"}]}, F.DATA_QUALITY),
    ("zendesk", 400, _zendesk("IdempotentRequestError"), F.BUG),
    ("zendesk", 429, "<html>Too Many Requests</html>", F.THROTTLED),
    ("zendesk", 503, "<html>back soon</html>", F.TRANSIENT),
    ("zendesk", 500, _zendesk("RecordInvalid"), None),
    ("salesforce", 401, _salesforce("INVALID_SESSION_ID"), F.AUTH),
    ("salesforce", 400, _salesforce("UNABLE_TO_LOCK_ROW"), F.TRANSIENT),
    ("salesforce", 400, _salesforce("DUPLICATE_VALUE"), F.UNKNOWN_OUTCOME),
    ("salesforce", 400, _salesforce("REQUIRED_FIELD_MISSING"), F.DATA_QUALITY),
    ("salesforce", 400, _salesforce("FIELD_CUSTOM_VALIDATION_EXCEPTION"), F.POLICY),
    ("salesforce", 400, _salesforce("JSON_PARSER_ERROR"), F.BUG),
    ("salesforce", 403, _salesforce("API_DISABLED_FOR_ORG"), F.AUTH),
    ("salesforce", 404, _salesforce("NOT_FOUND", "The requested resource does not exist"), F.AUTH),
    ("salesforce", 404, _salesforce("ENTITY_IS_DELETED"), F.DATA_QUALITY),
    ("salesforce", 300, ["/services/data/v64.0/sobjects/Account/1", "/services/.../2"], F.DATA_QUALITY),
    ("salesforce", 200, {"success": False, "errors": [{"statusCode": "STRING_TOO_LONG", "message": "w"}]}, None),
    ("salesforce", 200, {"success": False, "errors": [{"statusCode": "DUPLICATE_VALUE"}]}, F.UNKNOWN_OUTCOME),
    ("salesforce", 503, "<html>maintenance</html>", F.TRANSIENT),
    ("stripe", 400, _stripe("invalid_request_error", "parameter_missing"), F.DATA_QUALITY),
    ("stripe", 400, _stripe("idempotency_error"), F.BUG),
    ("stripe", 400, _stripe("invalid_request_error", "charge_already_refunded"), F.POLICY),
    ("stripe", 401, _stripe("invalid_request_error"), F.AUTH),
    ("stripe", 402, _stripe("card_error", "card_declined"), F.POLICY),
    ("stripe", 404, _stripe("invalid_request_error", "resource_missing"), F.DATA_QUALITY),
    ("stripe", 404, _stripe("invalid_request_error", None, "Unrecognized request URL (POST: /v2/x)."), F.AUTH),
    ("stripe", 409, _stripe("invalid_request_error", "idempotency_key_in_use"), F.UNKNOWN_OUTCOME),
    ("stripe", 500, _stripe("api_error"), None),
    ("chargebee", 400, _chargebee("param_wrong_value"), F.DATA_QUALITY),
    ("chargebee", 400, _chargebee("duplicate_entry"), F.UNKNOWN_OUTCOME),
    ("chargebee", 400, _chargebee("payment_processing_failed", "payment"), F.POLICY),
    ("chargebee", 401, _chargebee("api_authentication_failed", ""), F.AUTH),
    ("chargebee", 404, _chargebee("resource_not_found"), F.DATA_QUALITY),
    ("chargebee", 404, _chargebee("site_not_found"), F.AUTH),
    ("chargebee", 409, _chargebee("invalid_state_for_request"), F.POLICY),
    ("chargebee", 503, _chargebee("site_read_only_mode", "operation_failed"), F.TRANSIENT),
    ("chargebee", 500, _chargebee("internal_error", "operation_failed"), None),
    ("zuora", 200, _zuora(53100320), F.DATA_QUALITY),
    ("zuora", 200, _zuora(50000040), F.DATA_QUALITY),
    ("zuora", 200, _zuora(58490030), F.POLICY),
    ("zuora", 200, _zuora(50000050), F.TRANSIENT),
    ("zuora", 200, _zuora(50000060), None),
    ("zuora", 200, _zuora(50000070), F.THROTTLED),
    ("zuora", 200, _zuora(90000011), F.AUTH),
    ("zuora", 409, {"message": "the request with this key is in progress"}, F.UNKNOWN_OUTCOME),
    ("servicenow", 401, _servicenow("User Not Authenticated", "Required to provide Auth information"), F.AUTH),
    ("servicenow", 400, _servicenow("Requested URI does not represent any resource"), F.AUTH),
    ("servicenow", 400, _servicenow("Invalid table x_wrong"), F.AUTH),
    ("servicenow", 404, _servicenow("No Record found", "Record doesn't exist"), F.DATA_QUALITY),
    ("servicenow", 429, _servicenow("Rate limit exceeded"), F.THROTTLED),
    ("servicenow", 200, "<html><h1>Your instance is hibernating</h1></html>", F.AUTH),
    ("netsuite", 400, _netsuite("USER_ERROR", "The transaction date is in a closed period."), F.CLOSED_PERIOD),
    ("netsuite", 400, _netsuite("IDEMPOTENCY_ERROR"), F.UNKNOWN_OUTCOME),
    ("netsuite", 400, _netsuite("UNEXPECTED_ERROR"), None),
    ("netsuite", 400, _netsuite("INVALID_KEY_OR_REF"), F.DATA_QUALITY),
    ("netsuite", 401, _netsuite("INVALID_LOGIN"), F.AUTH),
    ("netsuite", 404, _netsuite("NONEXISTENT_ID"), F.DATA_QUALITY),
    ("business-central", 400, _odata("Application_DialogException", "Not within your range of allowed posting dates"),
     F.CLOSED_PERIOD),
    ("business-central", 400, _odata("Internal_EntityWithSameKeyExists"), F.UNKNOWN_OUTCOME),
    ("business-central", 404, _odata("BadRequest_ResourceNotFound"), F.AUTH),
    ("business-central", 409, _odata("Request_EntityChanged"), F.TRANSIENT),
    ("business-central", 401, _odata("Authentication_InvalidCredentials"), F.AUTH),
    ("dataverse", 412, _odata("0x80040237"), F.UNKNOWN_OUTCOME),
    ("dataverse", 403, _odata("0x80040220"), F.AUTH),
    ("dataverse", 404, _odata("0x80040217"), F.DATA_QUALITY),
    ("xero", 400, {"ErrorNumber": 10, "Type": "ValidationException", "Message": "why"}, F.DATA_QUALITY),
    ("xero", 400, {"ErrorNumber": 10, "Message": "before the Period Lock Date"}, F.CLOSED_PERIOD),
    ("xero", 401, {"Title": "Unauthorized", "Status": 401, "Detail": "TokenExpired"}, F.AUTH),
    ("quickbooks", 200, _quickbooks("6210"), F.CLOSED_PERIOD),
    ("quickbooks", 400, _quickbooks("6140"), F.UNKNOWN_OUTCOME),
    ("quickbooks", 400, _quickbooks("2020"), F.DATA_QUALITY),
    ("sage-intacct", 200, _intacct("XL03000006"), F.AUTH),
    ("sage-intacct", 200, _intacct("BL01001973"), F.DATA_QUALITY),
    ("sage-intacct", 200, _intacct("XL999", "the books are closed"), None),
]  # fmt: skip


def body_of(sample: Any) -> bytes:
    """The bytes of a sample: JSON, or a text as it stands."""
    return sample.encode() if isinstance(sample, str) else json.dumps(sample).encode()
