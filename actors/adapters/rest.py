"""The `rest` adapter: any ERP that serves the API of the sandbox's OpenAPI document, at any base URL."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import aiohttp
import msgspec

from actors.adapters.classify import REASON_MAX, classify, limited
from actors.adapters.credential import Credential
from actors.adapters.port import (
    Absent,
    Again,
    Answer,
    CannotList,
    Failed,
    Listed,
    Lost,
    NotSent,
    Outcome,
    Posted,
    Traits,
)
from actors.runtime.clock import Clock
from broker.crash_points import durable
from broker.store.rows import Call
from contracts.codec import decode
from contracts.fingerprint import fingerprint
from contracts.messages import AdjustmentRequest
from policies.failure_tables import manner_of
from policies.failures import hear
from policies.limit_words import parse_limit
from policies.limits import Limit
from policies.reconcile import Paper
from policies.recoverability import FailureClass
from policies.retry_after import parse_retry_after
from policies.signals import NOTHING, TEXT_MAX, Answered, Reading, Vendor, read
from policies.vendors import VENDORS

PLAIN = Traits()
ANSWER_BYTES_MAX = 256 * 1024
PAGE = 500
"""Documents that are asked for at once."""
PAGE_BYTES_MAX = 8 * ANSWER_BYTES_MAX
_NO_LISTING = (404, 405, 501)
_TIMING = re.compile(r"(?:^|,)\s*total\s*;\s*dur=([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(?:[;,]|$)", re.ASCII)


class Document(msgspec.Struct):
    """The part of an ERP document that we rely on. Others are ignored."""

    document_id: str
    reference: str
    amount: str
    currency: str


class _Found(msgspec.Struct):
    items: list[Document]


class _Listed(msgspec.Struct):
    document_id: str
    reference: str
    amount: str
    currency: str
    account_id: str


class _Page(msgspec.Struct):
    items: list[_Listed]
    next: str | None = None


class _ToldLimit(msgspec.Struct):
    kind: str
    limit: int
    seconds: int | None = None


class _Told(msgspec.Struct):
    limits: list[_ToldLimit]


class RestAdapter:
    """Speaks HTTP with an ERP. A request is sent once; connections are reused, never a request."""

    system = "erp"
    tells_limits = True
    _path = "/adjustments"

    def __init__(
        self,
        url: str,
        clock: Clock,
        timeout_seconds: float,
        lost_seconds: float,
        credential: Credential | None = None,
        connections: int = 100,
        vendor: Vendor = VENDORS["generic"],
        traits: Traits = PLAIN,
    ) -> None:
        self.deduplicates, self.finds = traits.deduplicates, traits.finds
        self.late_seconds, self.dedupe_seconds = traits.late_seconds, traits.dedupe_seconds
        self._url = url
        self._clock = clock
        self.timeout_seconds = timeout_seconds
        self.lost_seconds = lost_seconds
        self._credential = credential or Credential(None)
        self._connections = connections
        self._vendor = vendor
        self._manner = manner_of(vendor.name)
        self._client: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the client; nothing is sent."""
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ttl_dns_cache=30),
            # a connection that is not made in half the time was not used, so the call surely did not leave
            timeout=aiohttp.ClientTimeout(total=self.timeout_seconds, connect=self.timeout_seconds / 2),
            headers={"User-Agent": "tidegate", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )
        # aiohttp repeats a GET by itself when the connection breaks: a second call that no budget knows of.
        # A test holds this switch to its effect on the wire.
        self._client._retry_connection = False

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    def validate(self, call: Call) -> Failed | None:
        """The stored body is readable, is what was requested, and is the amount that the ledger says."""
        try:
            request = decode(call.body, AdjustmentRequest)
        except Exception as error:
            return Failed(FailureClass.BUG, "call.unreadable", f"the stored call cannot be read: {error}")
        if fingerprint(call.body, call.operation) != call.fingerprint:
            return Failed(FailureClass.BUG, "call.changed", "the stored body is not what was requested and approved")
        if (request.amount.minor, request.amount.currency) != (call.minor, call.currency):
            return Failed(FailureClass.BUG, "call.amount", "the stored body and the ledger differ in amount")
        return None

    async def post(self, call: Call) -> Answer:
        """POST /adjustments with the intent id as Idempotency-Key and as reference."""
        request = decode(call.body, AdjustmentRequest)
        body = {
            "reference": call.intent_id,
            "account_id": request.account_id,
            **request.amount.to_wire(),
            "reason_code": request.reason_code,
            "source_document": request.source_document,
            "kind": request.kind,
        }
        headers = {"Idempotency-Key": call.intent_id}
        return await self._ask("POST", self._path, call, json=body, headers=headers)

    async def find_by_intent(self, call: Call) -> Answer:
        """GET /adjustments?reference=..."""
        return await self._ask("GET", self._path, call, params={"reference": call.intent_id})

    async def limits(self) -> tuple[Answer, tuple[Limit, ...]]:
        """GET /limits: what the ERP says it allows just now. Kinds that we do not know are left out."""
        came = await self._send("GET", "/limits")
        if isinstance(came, Answer):
            return came, ()
        response, body = came
        reading = self._signals(response, body)
        outcome = self._refusal(response, body, reading, reads=True) if response.status >= 300 else Absent()
        return Answer(outcome, _server_ns(response), reading), _told(body) if response.status == 200 else ()

    async def list_documents(
        self, after: str | None, since: datetime | None
    ) -> tuple[Answer, Listed | CannotList | None]:
        """GET /adjustments/list: one page, in the order of references."""
        given = {"after": after, "since": since.strftime("%Y-%m-%dT%H:%M:%SZ") if since else None}
        query = {"limit": str(PAGE), **{name: text for name, text in given.items() if text is not None}}
        came = await self._send("GET", f"{self._path}/list", bytes_max=PAGE_BYTES_MAX, params=query)
        if not isinstance(came, Answer) and came[0].status in _NO_LISTING:
            return Answer(Absent(), _server_ns(came[0])), CannotList()
        answer, page = self._page(came)
        return answer, None if page is None else Listed(tuple(_paper(one) for one in page.items), page.next)

    async def papers(self, intent_id: str) -> tuple[Answer, tuple[Paper, ...] | None]:
        """GET /adjustments?reference=...: all documents of the intent."""
        answer, page = self._page(await self._send("GET", self._path, params={"reference": intent_id}))
        return answer, None if page is None else tuple(_paper(one) for one in page.items)

    def _page(self, came: tuple[aiohttp.ClientResponse, bytes] | Answer) -> tuple[Answer, _Page | None]:
        if isinstance(came, Answer):
            return came, None
        response, body = came
        reading = self._signals(response, body)
        if response.status >= 300:
            return Answer(self._refusal(response, body, reading), _server_ns(response), reading), None
        try:
            page = msgspec.json.decode(body, type=_Page)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            why = f"{self.system} answered {response.status} with something that is not a list of documents"
            return Answer(Lost(why), _server_ns(response), reading), None
        return Answer(Absent(), _server_ns(response), reading), page

    async def _ask(self, method: str, path: str, call: Call, **request: Any) -> Answer:
        came = await self._send(method, path, **request)
        if isinstance(came, Answer):
            return came
        response, body = came
        reading = self._signals(response, body)
        return Answer(self._read_outcome(method, response, body, call, reading), _server_ns(response), reading)

    @durable("call")
    async def _send(
        self, method: str, path: str, bytes_max: int = ANSWER_BYTES_MAX, **request: Any
    ) -> tuple[aiohttp.ClientResponse, bytes] | Answer:
        assert self._client is not None, "open() comes first"
        carried = self._credential.headers()
        request["headers"] = {**request.get("headers", {}), **carried}
        try:
            async with self._client.request(method, self._url + path, allow_redirects=False, **request) as response:
                if response.status == 401 and self._credential.replaced(carried):
                    return Answer(Again("the credential was replaced meanwhile; it goes again with the new one"))
                return response, await _read(response, bytes_max)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            return Answer(NotSent(f"the ERP at {self._url} cannot be reached: {type(error).__name__}"))
        except (aiohttp.ClientError, OSError, EOFError, TimeoutError) as error:
            return Answer(Lost(f"no answer came: {type(error).__name__}"))
        except ValueError as error:
            return Answer(Lost(str(error)))

    def _signals(self, response: aiohttp.ClientResponse, body: bytes) -> Reading:
        """What the answer says about limits. A success is looked at only for what is left."""
        headers = {name.lower(): text for name, text in response.headers.items()}
        if response.status < 400:
            return read(self._vendor, Answered(response.status, headers), self._now()) if headers else NOTHING
        text = body[:TEXT_MAX].decode("utf-8", "replace")
        answer = Answered(response.status, headers, hear(self._manner, body).code or "", text)
        return read(self._vendor, answer, self._now())

    def _read_outcome(
        self, method: str, response: aiohttp.ClientResponse, body: bytes, call: Call, reading: Reading
    ) -> Outcome:
        status = response.status
        if status >= 300:
            return self._refusal(response, body, reading, reads=method == "GET")
        try:
            if method == "GET" and status == 200:
                found = msgspec.json.decode(body, type=_Found).items
                return self._found(found[0], call) if found else Absent()
            if method == "POST" and status in (200, 201):
                return self._document(msgspec.json.decode(body, type=Document), call, replayed=status == 200)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            said_no = self._refusal(response, body, reading)
            return said_no if isinstance(said_no, Failed) else _no_document(status)
        return Lost(f"the ERP answered {status}, which means nothing here")

    def _document(self, document: Document, call: Call, replayed: bool) -> Outcome:
        """Believe a document only if it is the one we asked for, to the cent."""
        if not _is_of(document, call) or not document.document_id:
            return Lost("the ERP answered with a document that differs from the request")
        return Posted(document.document_id, replayed)

    def _found(self, document: Document, call: Call) -> Outcome:
        """A look-up that finds our intent with another amount can only be settled by a person."""
        if document.reference == call.intent_id and not _is_of(document, call):
            why = f"the ERP has {document.document_id or 'a document'} under this intent, with another amount"
            return Failed(FailureClass.DATA_QUALITY, "document.differs", why)
        return self._document(document, call, replayed=True)

    def _refusal(
        self, response: aiohttp.ClientResponse, body: bytes, reading: Reading, reads: bool = False
    ) -> Failed | Lost:
        said = hear(self._manner, body)
        if reading.refusal is not None:
            return limited(reading.refusal, said.code or f"http.{response.status}", said.text[:REASON_MAX])
        after = parse_retry_after(response.headers.get("Retry-After"), self._now())
        return classify(self._manner, response.status, said, after.seconds if after else None, self._url, reads)

    def _now(self) -> datetime:
        return self._clock.now()


def _no_document(status: int) -> Lost:
    return Lost(f"the ERP answered {status} with something that is not a document")


def _is_of(document: Document, call: Call) -> bool:
    amount = decode(call.body, AdjustmentRequest).amount
    return (document.reference, document.amount, document.currency) == (call.intent_id, amount.amount, amount.currency)


def _paper(document: _Listed) -> Paper:
    amount, currency = document.amount, document.currency
    return Paper(document.reference, document.document_id, amount, currency, document.account_id)


def _server_ns(response: aiohttp.ClientResponse) -> int | None:
    timing = _TIMING.search(response.headers.get("Server-Timing", ""))
    return int(float(timing[1]) * 1e6) if timing else None


def _told(body: bytes) -> tuple[Limit, ...]:
    """The limits of a `GET /limits`; what cannot be read is not there."""
    try:
        told = msgspec.json.decode(body, type=_Told).limits
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()
    words = {"rate": "{0.limit}/{0.seconds}s", "concurrent": "{0.limit} concurrent"}
    found = [parse_limit(words[one.kind].format(one)) for one in told if _makes_sense(one)]
    return tuple(found)


def _makes_sense(one: _ToldLimit) -> bool:
    return 0 < one.limit < 10**6 and (
        one.kind == "concurrent" or (one.kind == "rate" and 0 < (one.seconds or 0) < 10**6)
    )


async def _read(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """The body, but never more than `bytes_max`, and never decompressed: we asked for it plain."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise ValueError("the ERP's answer is compressed although it was asked for plain")
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_chunked(65_536):
        size += len(part)
        if size > bytes_max:
            raise ValueError(f"the ERP's answer is longer than {bytes_max} bytes")
        parts.append(part)
    return b"".join(parts)
