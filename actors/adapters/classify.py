"""From a system's answer to the failure it stands for, with a sentence for people. The tables are policies."""

from __future__ import annotations

from actors.adapters.port import Failed, Lost
from policies.failures import Manner, Said, judge
from policies.recoverability import FailureClass
from policies.signals import Refusal

REASON_MAX = 300


def limited(refusal: Refusal, code: str, detail: str | None) -> Failed | Lost:
    """What a refusal for a limit means: the system did nothing, or (by its vendor's row) may have done it.

    `detail`: the system's own words, if it had any.
    """
    if not refusal.undone:
        return Lost(refusal.sentence)
    failure = FailureClass.AUTH if refusal.suspected else FailureClass.THROTTLED
    return Failed(failure, code, detail or refusal.sentence, refusal.wait_seconds)


def classify(
    manner: Manner, status: int, said: Said, retry_after_seconds: float | None, url: str, reads: bool = False
) -> Failed | Lost:
    """What an answer means that is no success. `reads`: the request only asked, so nothing can have been done."""
    verdict = judge(manner, status, said, reads)
    if verdict.failure is None:
        code = f" ({verdict.code})" if said.code else ""
        return Lost(f"the ERP answered {status}{code}: it may have been done or not")
    if verdict.foreign:
        why = f"{url} answered {status}, and not as the ERP does: check the address, and any proxy before it"
        return Failed(verdict.failure, verdict.code, why, retry_after_seconds)
    reason = (said.text or f"the ERP answered {status}")[:REASON_MAX]
    return Failed(verdict.failure, verdict.code, reason, retry_after_seconds)
