"""From an ERP's answer to the failure it stands for: one table, tested row by row."""

from __future__ import annotations

from actors.adapters.port import Failed, Lost
from policies.recoverability import FailureClass as F
from policies.signals import Refusal

BY_CODE: dict[str, F] = {
    "rate.exceeded": F.THROTTLED,
    "concurrency.exceeded": F.THROTTLED,
    "period_closed": F.CLOSED_PERIOD,
    "period.closed": F.CLOSED_PERIOD,
    "idempotency.mismatch": F.BUG,
    "auth.missing": F.AUTH,
    "auth.invalid": F.AUTH,
}
"""Codes (of the ERP's problem documents) that say more than the status does."""

BY_STATUS: dict[int, F] = {
    400: F.DATA_QUALITY,
    401: F.AUTH,
    403: F.AUTH,
    404: F.DATA_QUALITY,
    409: F.DATA_QUALITY,
    413: F.DATA_QUALITY,
    415: F.BUG,
    422: F.DATA_QUALITY,
    429: F.THROTTLED,
    503: F.TRANSIENT,
}
"""Statuses that promise that nothing was done. Any other failure may have been done: it is lost, not failed.

503 is among them by RFC 9110 section 15.6.4 (the server is not handling the request); 500, 502 and 504 are not."""


def limited(refusal: Refusal, code: str, detail: str | None) -> Failed | Lost:
    """What a refusal for a limit means: the system did nothing, or (by its vendor's row) may have done it.

    `detail`: the system's own words, if it had any.
    """
    if not refusal.undone:
        return Lost(refusal.sentence)
    failure = F.AUTH if refusal.suspected else F.THROTTLED
    return Failed(failure, code, detail or refusal.sentence, refusal.wait_seconds)


def classify(status: int, code: str | None, reason: str, retry_after_seconds: float | None) -> Failed | Lost:
    """What a status of 400 and above, or one that makes no sense, means for a call that was sent."""
    failure = BY_CODE.get(code or "") if 400 <= status < 500 or status == 503 else None
    failure = failure or BY_STATUS.get(status)
    if failure is None:
        return Lost(f"the ERP answered {status}{f' ({code})' if code else ''}: it may have been done or not")
    return Failed(failure, code or f"http.{status}", reason, retry_after_seconds)
