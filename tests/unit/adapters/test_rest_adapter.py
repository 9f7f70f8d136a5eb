"""The `rest` adapter against a peer that says exactly what a test wants, byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from actors.adapters.credential import Credential
from actors.adapters.port import Absent, Again, Answer, Failed, Lost, NotSent, Posted
from actors.adapters.rest import ANSWER_BYTES_MAX, RestAdapter
from actors.runtime.clock import SystemClock
from broker.store.rows import Call
from contracts.codec import encode
from contracts.fingerprint import fingerprint
from contracts.messages import AdjustmentRequest
from contracts.money import Money
from policies.limits import ConcurrencyLimit, RateLimit
from policies.recoverability import FailureClass
from policies.signals import Dimension

pytestmark = pytest.mark.anyio
TIMEOUT_SECONDS = 0.6
DOCUMENT = b'{"document_id":"ADJ-1","reference":"intent-1","amount":"12.50","currency":"EUR","status":"posted"}'


def a_call(minor: int = 1250, **other: object) -> Call:
    """A stored call."""
    body = AdjustmentRequest(
        intent_id="intent-1",
        account_id="acc-1",
        amount=Money(1250, "EUR"),
        reason_code="service_credit",
        source_document="case-1",
        kind="credit",
    )
    facts = {
        "seq": 1,
        "intent_id": "intent-1",
        "fingerprint": fingerprint(encode(body), "adjustment.create"),
        "system": "erp",
        "operation": "adjustment.create",
        "tenant": "t",
        "lane": "standard",
        "key": "case-1",
        "order_ref": "r",
        "message_id": "m",
        "correlation_id": "c",
        "minor": minor,
        "currency": "EUR",
        "body": encode(body),
        "status": "in_flight",
        "open": 1,
        "ready": 0,
        "attempts": 1,
        "sent": 1,
        "not_before": 0,
        "requested_at": 0,
        "changed_at": 0,
        "document": None,
        "reason": None,
    }
    return Call(**{**facts, **other})  # type: ignore[arg-type]


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Peer:
    """Answers each request with the next of its answers (the last one again and again)."""

    answers: list[bytes]
    requests: list[bytes] = field(default_factory=list)
    drip_seconds: float = 0.0
    close: Callable[[int], bool] = lambda number: False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(h[15:]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")), 0)
                self.requests.append(head + await reader.readexactly(length))
                if self.close(len(self.requests)):
                    break
                await self._say(writer, self.answers[min(len(self.requests), len(self.answers)) - 1])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the adapter has gone
        finally:
            writer.close()

    async def _say(self, writer: asyncio.StreamWriter, words: bytes) -> None:
        step = 1 if self.drip_seconds else len(words) or 1
        for start in range(0, len(words), step):
            writer.write(words[start : start + step])
            await writer.drain()
            if self.drip_seconds:
                await anyio.sleep(self.drip_seconds)


@asynccontextmanager
async def talking_to(peer: Peer, credential: Credential | None = None) -> AsyncIterator[RestAdapter]:
    """An open adapter before the peer."""
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    adapter = RestAdapter(f"http://127.0.0.1:{port}", SystemClock(), TIMEOUT_SECONDS, 1.0, credential)
    await adapter.open()
    try:
        with anyio.fail_after(20):
            yield adapter
    finally:
        await adapter.close()
        server.close()


async def posted(*words: bytes) -> Answer:
    """What a post gives when the peer answers so."""
    async with talking_to(Peer(list(words))) as adapter:
        return await adapter.post(a_call())


async def found(*words: bytes) -> Answer:
    """What a look-up gives when the peer answers so."""
    async with talking_to(Peer(list(words))) as adapter:
        return await adapter.find_by_intent(a_call())


async def test_a_post_carries_the_intent_as_key_and_as_reference_and_the_exact_amount(tmp_path: Path) -> None:
    peer = Peer([answer("201 Created", DOCUMENT)])
    (tmp_path / "token").write_text("canary\n")
    async with talking_to(peer, Credential(tmp_path / "token")) as adapter:
        assert (await adapter.post(a_call())).outcome == Posted("ADJ-1")
    (request,) = peer.requests
    assert b"Idempotency-Key: intent-1\r\n" in request
    assert b"Authorization: Bearer canary\r\n" in request
    assert b'"reference": "intent-1"' in request or b'"reference":"intent-1"' in request
    assert b'"12.50"' in request


async def test_a_document_that_was_there_before_is_a_replay() -> None:
    assert (await posted(answer("200 OK", DOCUMENT))).outcome == Posted("ADJ-1", replayed=True)


async def test_the_time_that_the_system_had_the_call_is_believed_when_it_is_told() -> None:
    told = await posted(answer("201 Created", DOCUMENT, "Server-Timing: db;dur=1, total;dur=12.345"))
    assert told.server_ns == 12_345_000
    for nonsense in ("total;dur=-1", "total;dur=1e9", "total", "total;dur=99999999999", "subtotal;dur=5"):
        assert (await posted(answer("201 Created", DOCUMENT, f"Server-Timing: {nonsense}"))).server_ns is None


@pytest.mark.parametrize(
    "words",
    [
        answer("201 Created"),
        answer("201 Created", b"<html>fine</html>"),
        answer("201 Created", b'{"reference":"intent-1","amount":"12.50","currency":"EUR"}'),
        answer("201 Created", b'{"error":"period closed"}'),
        answer("201 Created", DOCUMENT.replace(b"ADJ-1", b"")),
        answer("201 Created", DOCUMENT.replace(b"12.50", b"12.51")),
        answer("201 Created", DOCUMENT.replace(b"intent-1", b"intent-2")),
        answer("201 Created", DOCUMENT.replace(b"EUR", b"USD")),
        answer("201 Created", DOCUMENT.replace(b"ADJ", b"\xff\xfe")),
        answer("201 Created", b"[" * 100_000),
        answer("201 Created", b"x" * (ANSWER_BYTES_MAX + 1)),
        answer("201 Created", b"\x1f\x8b\x08\x00", "Content-Encoding: gzip"),
        answer("202 Accepted", DOCUMENT),
        answer("204 No Content"),
        answer("302 Found", b"", "Location: http://127.0.0.1:1/adjustments"),
        answer("500 Internal Server Error", b'{"code":"rate.exceeded"}'),
        b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n" + DOCUMENT,
        b"garbage\r\n\r\n",
    ],
)
async def test_an_answer_that_is_not_our_document_is_lost(words: bytes) -> None:
    outcome = (await posted(words)).outcome
    assert isinstance(outcome, Lost)
    assert "html" not in outcome.reason, "what the ERP said is not repeated"


async def test_a_connection_that_closes_without_an_answer_is_lost() -> None:
    async with talking_to(Peer([b""], close=lambda number: True)) as adapter:
        assert isinstance((await adapter.post(a_call())).outcome, Lost)


@pytest.mark.parametrize("method", ["post", "find_by_intent"])
async def test_a_request_is_never_repeated_by_the_client_itself(method: str) -> None:
    peer = Peer([answer("201 Created", DOCUMENT)], close=lambda number: number > 1)
    async with talking_to(peer) as adapter:
        await adapter.post(a_call())  # the connection is kept, and then closed under the next request
        assert isinstance((await getattr(adapter, method)(a_call())).outcome, Lost)
        await anyio.lowlevel.checkpoint()
    assert len(peer.requests) == 2


async def test_an_answer_that_drips_is_given_up_at_the_time_out() -> None:
    async with talking_to(Peer([answer("201 Created", DOCUMENT)], drip_seconds=0.05)) as adapter:
        with anyio.fail_after(TIMEOUT_SECONDS * 4):
            assert isinstance((await adapter.post(a_call())).outcome, Lost)


async def test_nobody_there_means_not_sent() -> None:
    adapter = RestAdapter("http://127.0.0.1:1", SystemClock(), TIMEOUT_SECONDS, 1.0)
    await adapter.open()
    try:
        outcome = (await adapter.post(a_call())).outcome
    finally:
        await adapter.close()
    assert isinstance(outcome, NotSent)
    assert "127.0.0.1:1" in outcome.reason


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("-5", None),
        ("soon", None),
        ("1000000000", 3600.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)
async def test_retry_after_is_read_as_systems_really_send_it(header: str, seconds: float | None) -> None:
    words = answer("429 Too Many Requests", b'{"code":"rate.exceeded","detail":"slow"}', f"Retry-After: {header}")
    assert (await posted(words)).outcome == Failed(FailureClass.THROTTLED, "rate.exceeded", "slow", seconds)


async def test_a_problem_document_gives_code_and_reason_and_a_long_reason_is_cut() -> None:
    words = answer("422 Unprocessable", b'{"code":"account.blocked","detail":"' + b"x" * 5_000 + b'"}')
    outcome = (await posted(words)).outcome
    assert isinstance(outcome, Failed)
    assert (outcome.failure, outcome.code, len(outcome.reason)) == (FailureClass.DATA_QUALITY, "account.blocked", 300)


async def test_a_look_up_finds_or_does_not() -> None:
    assert (await found(answer("200 OK", b'{"items":[]}'))).outcome == Absent()
    assert (await found(answer("200 OK", b'{"items":[' + DOCUMENT + b"]}"))).outcome == Posted("ADJ-1", replayed=True)
    assert isinstance((await found(answer("200 OK", b"[]"))).outcome, Lost)
    assert isinstance((await found(answer("201 Created", b'{"items":[]}'))).outcome, Lost)


async def test_our_intent_with_another_amount_is_for_a_person() -> None:
    other = DOCUMENT.replace(b"12.50", b"13.50")
    outcome = (await found(answer("200 OK", b'{"items":[' + other + b"]}"))).outcome
    assert isinstance(outcome, Failed)
    assert (outcome.failure, outcome.code) == (FailureClass.DATA_QUALITY, "document.differs")


async def test_a_stored_call_that_is_damaged_or_differs_from_the_ledger_spends_no_call() -> None:
    adapter = RestAdapter("http://127.0.0.1:1", SystemClock(), TIMEOUT_SECONDS, 1.0)
    assert adapter.validate(a_call()) is None
    for damaged in (a_call(body=b"{}"), a_call(minor=1251), a_call(currency="USD")):
        refused = adapter.validate(damaged)
        assert refused is not None
        assert refused.failure is FailureClass.BUG


async def test_an_answer_carries_what_it_says_about_limits() -> None:
    reading = (await posted(answer("201 Created", DOCUMENT, "RateLimit: limit=10, remaining=4, reset=6"))).reading
    assert [(room.remaining, room.limit, room.resets_seconds) for room in reading.rooms] == [(4, 10, 6.0)]
    refused = (await posted(answer("429 Too Many Requests", b'{"code":"concurrency.exceeded"}'))).reading
    assert refused.refusal is not None
    assert refused.refusal.dimension is Dimension.CONCURRENT


async def test_the_limits_that_a_system_tells_are_read_and_unknown_kinds_are_left_out() -> None:
    kinds = b'{"kind":"rate","limit":9,"seconds":60},{"kind":"concurrent","limit":3},{"kind":"x","limit":1}'
    body = b'{"profile":"p","limits":[' + kinds + b"]}"
    async with talking_to(Peer([answer("200 OK", body)])) as adapter:
        came, told = await adapter.limits()
    assert came.outcome == Absent()
    assert told == (RateLimit(9, 60_000_000_000, "9/60s"), ConcurrencyLimit(3))


@pytest.mark.parametrize("words", [b"", b"[]", b'{"limits":7}', b'{"limits":[{"kind":"rate","limit":-1}]}', b"<html>"])
async def test_limits_that_make_no_sense_are_no_limits(words: bytes) -> None:
    async with talking_to(Peer([answer("200 OK", words)])) as adapter:
        assert (await adapter.limits())[1] == ()


async def test_a_refused_question_for_limits_is_a_refusal_like_any_other() -> None:
    async with talking_to(Peer([answer("429 Too Many Requests", b"{}", "Retry-After: 4")])) as adapter:
        came, told = await adapter.limits()
    assert isinstance(came.outcome, Failed)
    assert (came.outcome.failure, came.outcome.retry_after_seconds, told) == (FailureClass.THROTTLED, 4, ())


# the credential --------------------------------------------------------------------------------------------------

UNAUTHORIZED = answer("401 Unauthorized", b'{"code":"auth.invalid","detail":"expired"}')


async def test_a_token_replaced_while_the_call_was_on_its_way_is_no_refusal(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old")
    peer = Peer([UNAUTHORIZED, answer("201 Created", DOCUMENT)])

    def rotate(number: int) -> bool:
        path.write_text("newer")
        return False

    peer.close = rotate
    async with talking_to(peer, Credential(path)) as adapter:
        assert isinstance((await adapter.post(a_call())).outcome, Again)
        assert (await adapter.post(a_call())).outcome == Posted("ADJ-1")
    assert b"Bearer old" in peer.requests[0]
    assert b"Bearer newer" in peer.requests[1]


async def test_a_token_that_nobody_replaced_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old")
    async with talking_to(Peer([UNAUTHORIZED]), Credential(path)) as adapter:
        outcome = (await adapter.post(a_call())).outcome
    assert isinstance(outcome, Failed)
    assert outcome.failure is FailureClass.AUTH


# strangers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["404 Not Found", "405 Method Not Allowed", "410 Gone", "301 Moved Permanently"])
async def test_a_wrong_address_is_told_as_one_and_refuses_nothing_for_good(status: str) -> None:
    for outcome in (
        (await posted(answer(status, b"<html>nobody here</html>"))).outcome,
        (await found(answer(status, b"404 page not found"))).outcome,
    ):
        assert isinstance(outcome, Failed)
        assert (outcome.failure, outcome.code) == (FailureClass.AUTH, "config.address")
        assert "http://127.0.0.1:" in outcome.reason
        assert "check the address" in outcome.reason
