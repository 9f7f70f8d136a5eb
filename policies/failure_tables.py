"""How each system says no: one row a kind of answer, from the vendors' pages and samples as far as those name it.

Codes that no public page names (of closed periods, above all) are what integrators report: check them at your system.
Limits are not here: `policies/vendors.py` reads them first. What is not in a table falls back to its status.
"""

from collections.abc import Mapping

from policies.failures import Manner, Row
from policies.recoverability import FailureClass

F = FailureClass
_LIMITS = Row(means=F.THROTTLED, codes=("rate.exceeded", "concurrency.exceeded", "execution.exceeded"))

_MANNERS = (
    Manner(
        name="generic",
        rows=(
            Row(means=F.THROTTLED, statuses=(503,), codes=("rate.exceeded", "concurrency.exceeded")),
            _LIMITS,
            Row(means=F.CLOSED_PERIOD, codes=("period_closed", "period.closed")),
            Row(means=F.BUG, codes=("idempotency.mismatch",)),
            Row(means=F.AUTH, codes=("auth.missing", "auth.invalid", "auth.required", "path.unknown")),
        ),
    ),
    Manner(
        name="zendesk",
        codes=("error.title", "error", "errors.0.code"),
        texts=("description", "error.message", "errors.0.title"),
        rows=(
            # the right host and a wrong path: nothing that is asked for there exists
            Row(means=F.AUTH, statuses=(404,), codes=("InvalidEndpoint",)),
            Row(means=F.TRANSIENT, statuses=(409,), codes=("DatabaseConflict",)),
            Row(means=F.BUG, statuses=(400,), codes=("IdempotentRequestError",)),
            Row(means=F.DATA_QUALITY, codes=("RecordInvalid", "RecordNotFound")),
        ),
    ),
    Manner(
        name="salesforce",
        codes=("0.errorCode", "errors.0.statusCode", "errorCode", "error"),
        texts=("0.message", "errors.0.message", "message", "error_description"),
        no=(("success", False), ("hasErrors", True)),
        rows=(
            # an external id that is there already: perhaps by our own call, whose answer was lost
            Row(means=F.UNKNOWN_OUTCOME, codes=("DUPLICATE_VALUE", "DUPLICATES_DETECTED")),
            Row(means=F.TRANSIENT, codes=("UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE")),
            Row(means=F.TRANSIENT, statuses=(503,)),
            Row(means=F.AUTH, statuses=(404,), words=("the requested resource does not exist",)),
            Row(means=F.AUTH, codes=("INVALID_SESSION_ID", "INVALID_LOGIN*", "invalid_grant")),
            Row(means=F.AUTH, codes=("API_DISABLED*", "API_CURRENTLY_DISABLED", "STORAGE_LIMIT_EXCEEDED")),
            Row(means=F.BUG, codes=("JSON_PARSER_ERROR", "INVALID_FIELD", "METHOD_NOT_ALLOWED")),
            Row(means=F.POLICY, codes=("FIELD_CUSTOM_VALIDATION_EXCEPTION",)),
            # an upsert whose external id fits several records: a list of paths, no error
            Row(means=F.DATA_QUALITY, statuses=(300,)),
        ),
    ),
    Manner(
        name="stripe",
        codes=("error.code", "error.type"),
        texts=("error.message",),
        rows=(
            Row(means=F.UNKNOWN_OUTCOME, statuses=(409,), codes=("idempotency_key_in_use",)),
            Row(means=F.BUG, statuses=(400,), codes=("idempotency_error",)),
            Row(means=F.BUG, statuses=(400, 409), words=("keys for idempotent requests can only be used",)),
            Row(means=F.AUTH, statuses=(404,), words=("unrecognized request url",)),
            Row(means=F.POLICY, statuses=(402,)),
            Row(means=F.POLICY, codes=("charge_already_refunded", "charge_disputed", "invoice_not_editable")),
            Row(means=F.TRANSIENT, codes=("lock_timeout",)),
        ),
    ),
    Manner(
        name="chargebee",
        codes=("api_error_code", "error_code", "type"),
        texts=("message",),
        rows=(
            Row(means=F.UNKNOWN_OUTCOME, statuses=(400,), codes=("duplicate_entry",)),
            Row(means=F.AUTH, codes=("site_not_found", "api_authentication_*", "api_authorization_*")),
            Row(means=F.POLICY, codes=("payment_*", "payment", "invalid_state_for_request")),
            Row(means=F.TRANSIENT, statuses=(409, 503), codes=("site_not_ready", "site_read_only_mode")),
            Row(means=F.TRANSIENT, statuses=(503,)),
        ),
    ),
    Manner(
        name="zuora",
        codes=("reasons.0.code", "Errors.0.Code", "code"),
        texts=("reasons.0.message", "Errors.0.Message", "message"),
        no=(("success", False), ("Success", False)),
        # the last two digits are the category of the error, the rest names the field
        rows=(
            Row(means=F.UNKNOWN_OUTCOME, statuses=(409,)),
            Row(means=F.BUG, statuses=(422,), words=("idempotency",)),
            Row(means=F.AUTH, codes=("*10", "*11")),
            Row(means=F.DATA_QUALITY, codes=("*20", "*22", "*23", "*40")),
            Row(means=F.BUG, codes=("*21", "*90")),
            Row(means=F.POLICY, codes=("*30",)),
            Row(means=F.TRANSIENT, codes=("*50", "*61", "LOCK_COMPETITION")),
            Row(means=F.THROTTLED, codes=("*70", "REQUEST_EXCEEDED_LIMIT")),
            Row(means=None, codes=("*60", "*99")),
            Row(means=F.DATA_QUALITY, statuses=(200,), codes=("INVALID_*", "MISSING_*", "CANNOT_DELETE")),
            Row(means=F.AUTH, statuses=(200,), codes=("INVALID_SESSION", "NO_PERMISSION", "API_DISABLED")),
        ),
    ),
    Manner(
        name="servicenow",
        codes=("error.message",),
        texts=("error.detail", "error.message"),
        rows=(
            Row(means=F.AUTH, words=("requested uri does not represent any resource", "invalid table")),
            Row(means=F.AUTH, statuses=(200,), words=("instance is hibernating",)),
            Row(means=F.POLICY, statuses=(403,), words=("data policy", "business rule")),
        ),
    ),
    Manner(
        name="netsuite",
        codes=("o:errorDetails.0.o:errorCode", "error.code", "title"),
        texts=("o:errorDetails.0.detail", "error.message", "title"),
        shape=("soapenv:fault", "soap:fault"),
        rows=(
            Row(means=F.CLOSED_PERIOD, codes=("CLOSED_TRAN_PRD", "TRAN_PRD_CLOSED")),
            # the code of a closed period is third party: its words are looked for as well
            Row(means=F.CLOSED_PERIOD, statuses=(400,), words=("period is closed", "closed period", "locked period")),
            Row(means=F.UNKNOWN_OUTCOME, statuses=(400,), codes=("IDEMPOTENCY_ERROR", "DUP_RCRD")),
            Row(means=F.TRANSIENT, codes=("RCRD_HAS_BEEN_CHANGED",)),
            Row(means=F.AUTH, codes=("INVALID_LOGIN", "INVALID_LOGIN_ATTEMPT", "INSUFFICIENT_PERMISSION")),
            Row(means=F.AUTH, codes=("SSS_INVALID_SCRIPTLET_ID", "FEATURE_DISABLED")),
            Row(means=F.BUG, codes=("INVALID_CONTENT", "SSS_MISSING_REQD_ARGUMENT")),
            Row(means=None, statuses=(400,), codes=("UNEXPECTED_ERROR",)),
        ),
    ),
    Manner(
        name="dataverse",
        codes=("error.code",),
        texts=("error.message",),
        rows=(
            Row(means=F.UNKNOWN_OUTCOME, codes=("0x80040237", "0x80060892")),
            Row(means=F.AUTH, codes=("0x80040220", "0x80072560")),
            Row(means=F.AUTH, statuses=(404,), words=("resource not found for the segment",)),
        ),
    ),
    Manner(
        name="business-central",
        codes=("error.code",),
        texts=("error.message",),
        rows=(
            Row(means=F.CLOSED_PERIOD, words=("not within your range of allowed posting dates",)),
            Row(means=F.UNKNOWN_OUTCOME, codes=("Internal_EntityWithSameKeyExists",)),
            Row(means=F.TRANSIENT, codes=("Request_EntityChanged", "Internal_ServerError_Retry")),
            Row(means=F.AUTH, codes=("BadRequest_ResourceNotFound", "Authentication_*", "Authorization_*")),
            Row(means=F.AUTH, codes=("Internal_CompanyNotFound", "BadRequest_InvalidRequestUrl")),
            Row(means=F.DATA_QUALITY, codes=("Application_*",)),
            Row(means=F.BUG, codes=("BadRequest*",)),
        ),
    ),
    Manner(
        name="xero",
        codes=("ErrorNumber", "Type", "Title"),
        texts=("Message", "Detail", "Title"),
        rows=(
            Row(means=F.CLOSED_PERIOD, words=("period lock date", "end of year lock date")),
            Row(means=F.TRANSIENT, statuses=(503,)),
            Row(means=F.BUG, statuses=(400,), words=("postdatainvalidexception", "idempotency")),
        ),
    ),
    Manner(
        name="quickbooks",
        codes=("Fault.Error.0.code", "fault.error.0.code", "Fault.type", "fault.type"),
        texts=("Fault.Error.0.Detail", "Fault.Error.0.Message", "fault.error.0.message"),
        no=(("Fault.type", "ValidationFault"),),
        rows=(
            Row(means=F.CLOSED_PERIOD, codes=("6210",)),
            Row(means=F.UNKNOWN_OUTCOME, codes=("6140", "6240")),
            Row(means=F.AUTH, codes=("3200", "003200", "3100", "003100", "120", "AuthenticationFault")),
            Row(means=F.TRANSIENT, codes=("5010",)),
            Row(means=F.THROTTLED, codes=("3001", "003001")),
            Row(means=F.DATA_QUALITY, statuses=(200,), codes=("6*", "2*", "ValidationFault", "610")),
        ),
    ),
    Manner(
        name="sage-intacct",
        shape=("<errormessage>", "<errorno>"),
        rows=(
            Row(means=F.AUTH, statuses=(200, 401), words=("<errorno>xl03000006", "sign-in information is incorrect")),
            Row(means=F.CLOSED_PERIOD, words=("period is closed", "closed period", "books are closed")),
            Row(means=F.DATA_QUALITY, statuses=(200, 400), words=("<errorno>bl",)),
        ),
    ),
)

MANNERS: Mapping[str, Manner] = {manner.name: manner for manner in _MANNERS}
"""By the names of `policies/vendors.py`; a vendor without a row here says no in the generic manner."""


def manner_of(vendor: str) -> Manner:
    """The manner of a vendor, by its name."""
    return MANNERS.get(vendor, MANNERS["generic"])
