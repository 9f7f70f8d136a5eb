"""The `saas` adapters: billing, support, CRM and revenue reporting, each at any URL that serves its sandbox's API."""

from __future__ import annotations

from typing import Any

import aiohttp
import msgspec

from actors.adapters.credential import Credential
from actors.adapters.port import Answer, Failed, Lost, NotSent, Outcome, Posted
from actors.adapters.rest import Document, RestAdapter
from actors.runtime.clock import Clock
from broker.store.rows import Call
from contracts.codec import decode
from contracts.fingerprint import fingerprint
from contracts.messages import SystemRequest
from policies.identity import READS, record_text
from policies.recoverability import FailureClass
from policies.signals import Vendor
from policies.vendors import VENDORS

PATHS = {"billing": "/credits", "support": "/case-updates", "crm": "/activities", "revenue": "/entries"}
"""What each system's documents are called in its API."""


class SaasAdapter(RestAdapter):
    """Speaks the protocol of the ERP's adapter with a system that is not the ERP: other documents, other fields."""

    def __init__(
        self,
        system: str,
        url: str,
        clock: Clock,
        timeout_seconds: float,
        lost_seconds: float,
        credential: Credential | None = None,
        vendor: Vendor = VENDORS["generic"],
    ) -> None:
        super().__init__(url, clock, timeout_seconds, lost_seconds, credential, vendor=vendor)
        self.system = system
        self._path = PATHS[system]

    def validate(self, call: Call) -> Failed | None:
        """The stored body is readable, is what was requested, and is the amount that the ledger says."""
        try:
            amount = decode(call.body, SystemRequest).amount
        except Exception as error:
            return Failed(FailureClass.BUG, "call.unreadable", f"the stored call cannot be read: {error}")
        if fingerprint(call.body, call.operation) != call.fingerprint:
            return Failed(FailureClass.BUG, "call.changed", "the stored body is not what was requested and approved")
        if amount != call.money:
            return Failed(FailureClass.BUG, "call.amount", "the stored body and the ledger differ in amount")
        return None

    async def post(self, call: Call) -> Answer:
        """POST with the intent id as Idempotency-Key and as reference; what is not told is left out.

        An operation that only reads is a GET of the account instead.
        """
        if call.operation in READS:
            return await self._read(call)
        request = decode(call.body, SystemRequest)
        told = {"reason_code": request.reason_code, "reverses": request.reverses}
        told |= {"outcome": request.outcome, "note": request.note}
        body = {
            "reference": call.intent_id,
            "account_id": request.account_id,
            "source_document": request.source_document,
            "kind": request.kind,
            **(request.amount.to_wire() if request.amount else {}),
            **{name: value for name, value in told.items() if value is not None},
        }
        return await self._ask("POST", self._path, call, json=body, headers={"Idempotency-Key": call.intent_id})

    async def find_by_intent(self, call: Call) -> Answer:
        """GET ?reference=...; what only reads is read again."""
        if call.operation in READS:
            return await self._read(call)
        return await self._ask("GET", self._path, call, params={"reference": call.intent_id})

    async def _read(self, call: Call) -> Answer:
        account = decode(call.body, SystemRequest).account_id
        return await self._ask("GET", "/accounts", call, params={"account_id": account})

    def _read_outcome(
        self, method: str, response: aiohttp.ClientResponse, body: bytes, call: Call, *more: Any
    ) -> Outcome:
        if call.operation not in READS or response.status != 200:
            return super()._read_outcome(method, response, body, call, *more)
        try:
            return Posted(record_text(call.operation, body))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return Lost("the ERP answered 200 with something that is not an account")

    async def _ask(self, method: str, path: str, call: Call, **request: Any) -> Answer:
        """The sentences of the base speak of the ERP; people are told of the system that it was."""
        answer = await super()._ask(method, path, call, **request)
        outcome = answer.outcome
        if not isinstance(outcome, Failed | Lost | NotSent):
            return answer
        named = outcome.reason.replace("the ERP", self.system)
        return msgspec.structs.replace(answer, outcome=msgspec.structs.replace(outcome, reason=named))

    def _document(self, document: Document, call: Call, replayed: bool) -> Outcome:
        if document.reference != call.intent_id or not _same_amount(document, call) or not document.document_id:
            return Lost("the ERP answered with a document that differs from the request")
        return Posted(document.document_id, replayed)

    def _found(self, document: Document, call: Call) -> Outcome:
        if document.reference == call.intent_id and not _same_amount(document, call):
            why = f"the ERP has {document.document_id or 'a document'} under this intent, with another amount"
            return Failed(FailureClass.DATA_QUALITY, "document.differs", why)
        return self._document(document, call, replayed=True)


def _same_amount(document: Document, call: Call) -> bool:
    amount = decode(call.body, SystemRequest).amount
    expected = (amount.amount, amount.currency) if amount else ("", "")
    return (document.amount, document.currency) == expected
