"""What the ERP does with one call: count it, execute it with the faults that are on, and log its end.

The life of a call is `arrive` (at once, nothing before it), `serve`, `finish` (just before the answer).
"""

import asyncio
import hmac
import random
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from ops.sandbox.admission import Admission, Refusal
from ops.sandbox.call import Call, Op, Peer, Reply, problem, unanswered
from ops.sandbox.documents import fingerprint
from ops.sandbox.faults import (
    ClosedPeriod,
    Drawn,
    FaultBoard,
    Garbage,
    Hang,
    LateCommit,
    LostAnswer,
    Others,
    Refuse,
    Reset,
    Throttle,
    Unavailable,
    kind_of,
)
from ops.sandbox.garbage import spoil
from ops.sandbox.journal import Journal
from ops.sandbox.ledger import Entry, Ledger
from ops.sandbox.limits import SECOND_NS, Limit, Profile, Rate
from ops.sandbox.listing import listing
from ops.sandbox.manners import SAYS, room_headers
from ops.sandbox.pressure import Pressure
from ops.sandbox.systems import SYSTEMS, System

KEY_MAX_LENGTH = 255
_LIMIT_CODES = ("rate.exceeded", "concurrency.exceeded", "execution.exceeded")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the ERP behaves besides its limits and faults.

    `latency_ms` is the range from which each call's execution time is drawn; `idempotency_seconds` is how
    long a key is remembered (None: for ever); `token_path` holds the bearer token, read at each call so that
    it may rotate.
    """

    latency_ms: tuple[float, float] = (0.0, 0.0)
    seed: int = 0
    idempotency_seconds: float | None = None
    token_path: Path | None = None


class Erp:
    """The ERP between its HTTP face, its ledger and its log. Times are monotonic nanoseconds."""

    def __init__(
        self,
        profile: Profile,
        settings: Settings,
        ledger: Ledger,
        journal: Journal,
        faults: FaultBoard,
        clock_ns: Callable[[], int],
        wall_clock: Callable[[], datetime],
        system: System = SYSTEMS["erp"],
    ) -> None:
        self.system = system
        self.profile = profile
        self.faults = faults
        self._settings = settings
        self._ledger = ledger
        self._journal = journal
        self._clock_ns = clock_ns
        self._wall_clock = wall_clock
        self._random = random.Random(settings.seed)
        self._seq = journal.past.last_seq
        self._admission = Admission(profile.limits)
        self._admission.remember(journal.past.arrivals, journal.past.ends)
        self._pressure = Pressure()
        self._profile_json = msgspec.json.encode(profile)
        self._running: dict[int, Call] = {}

    def change_limits(self, limits: Sequence[Limit], note: str = "") -> None:
        """Other limits for every call that arrives from now on; what arrived before counts in them too.

        note: why, for those who read the log.
        """
        self.profile = Profile(self.profile.profile, tuple(limits))
        self._profile_json = msgspec.json.encode(self.profile)
        past = self._journal.read_past()
        self._admission = Admission(limits)
        self._admission.remember(past.arrivals, past.ends)
        for call in self._running.values():
            self._admission.resume(call.arrived_ns, call.op, call.touched)
        self._journal.limits(limits, self._clock_ns(), note)

    def now(self) -> datetime:
        """The ERP's wall clock, wrong by as much as the `clock` fault says."""
        return self._wall_clock() + timedelta(seconds=self.faults.clock_offset_seconds)

    def arrive(self, op: Op, method: str, path: str, peer: Peer, arrived_ns: int) -> Call:
        """Count and log the arrival of a call, and decide whether the limits have room for it."""
        self._seq += 1
        concurrent = self._admission.in_progress + 1
        refusal = self._squeeze(arrived_ns)
        self._pressure.arrived(arrived_ns)
        if refusal is None:
            refusal = self._admission.arrive(arrived_ns, op)
        call = Call(self._seq, op, method, path, arrived_ns, concurrent, refusal, peer)
        self._journal.arrived(call)
        if refusal is None:
            self._running[call.seq] = call
        return call

    def _squeeze(self, now_ns: int) -> Refusal | None:
        """What was changed behind the published limits has the first word; they have the second."""
        board = self.faults
        if board.limits is None and board.others == Others():
            return None
        found = self._pressure.judge(
            board.limits or self.profile.limits,
            board.others.busy,
            board.others.per_minute,
            self._admission.in_progress,
            now_ns,
        )
        if found is None:
            return None
        code = "rate.exceeded" if isinstance(found.limit, Rate) else "concurrency.exceeded"
        return Refusal(code, -(-found.wait_ns // SECOND_NS))

    def dress(self, call: Call, reply: Reply) -> Reply:
        """The reply in the manner of the vendor that the `style` fault names, with what is left of each limit."""
        style = self.faults.style
        if style is None or reply.answer != "sent":
            return reply
        if reply.code in _LIMIT_CODES:
            after = next((int(value) for name, value in reply.headers if name == b"retry-after"), 1)
            limit = next((limit for limit in self._said() if isinstance(limit, Rate)), None)
            return SAYS[style.vendor](str(reply.code), after, limit)
        if not style.headers:
            return reply
        rates = [limit for limit in self._said() if isinstance(limit, Rate)]
        per_minute = self.faults.others.per_minute
        said = (
            room_headers(style.vendor, one, self._pressure.room(one, per_minute, self._clock_ns())) for one in rates
        )
        return msgspec.structs.replace(reply, headers=(*reply.headers, *(pair for pairs in said for pair in pairs)))

    def _said(self) -> tuple[Limit, ...]:
        """The limits that the ERP speaks of: the published ones, or changed ones that are told."""
        changed = self.faults.limits
        return changed if changed is not None and self.faults.limits_told else self.profile.limits

    async def serve(self, call: Call) -> Reply:
        """Refuse or execute a call, with the faults that meet it. A cancelled call may still be committed."""
        refused = self._refuse(call)
        if refused is not None:
            return refused
        _read_fields(call)
        if (account := call.text("account_id")) is not None:
            refusal = self._admission.touch(call.arrived_ns, call.op, account)
            if refusal is not None:
                return self._over(refusal)
            call.touched = account
        delay_seconds, fault = self.faults.draw(call.op, call.text("account_id"), call.reference)
        try:
            if fault is None:
                return await self._execute(call, delay_seconds)
            call.fault = kind_of(fault)
            return await self._suffer(call, fault, delay_seconds)
        except sqlite3.Error as error:
            return problem(500, "internal", f"the ledger failed: {error}", verdict="failed")

    def end(self, call: Call) -> None:
        """Give the slot of a call back; doing it again changes nothing."""
        if call.ended_ns is None:
            call.ended_ns = self._clock_ns()
            if self._running.pop(call.seq, None) is not None:
                self._admission.end(call.arrived_ns, call.ended_ns, call.op, call.touched)

    def finish(self, call: Call, reply: Reply) -> int:
        """End a call and log its end line; give its duration in nanoseconds for Server-Timing."""
        self.end(call)
        ended_ns = call.ended_ns or call.arrived_ns
        if reply.answer in ("sent", "garbage") and call.peer.is_closing():
            reply = unanswered(reply)
        self._journal.ended(call, reply, ended_ns)
        return ended_ns - call.arrived_ns

    def _refuse(self, call: Call) -> Reply | None:
        if call.refusal is not None:
            return self._over(call.refusal)
        if not self._is_authorized(call.authorization):
            challenge = ((b"www-authenticate", b"Bearer"),)
            return problem(401, "auth.required", "a valid bearer token is required", challenge)
        if call.body is None:
            return problem(413, "body.too_large", "the body is larger than 1,000,000 bytes")
        if call.op == "other":
            return problem(404, "path.unknown", "no operation has this method and path; see /openapi.json")
        return None

    def _over(self, refusal: Refusal) -> Reply:
        rule = ((b"x-ratelimit-rule", refusal.rule.encode()),) if refusal.rule else ()
        headers = ((b"retry-after", str(refusal.retry_after_seconds).encode()), *rule)
        detail = f"the limits of profile {self.profile.profile!r} have no room for this call"
        return problem(429, refusal.code, detail, headers)

    def _is_authorized(self, authorization: str | None) -> bool:
        if self._settings.token_path is None:
            return True
        try:
            token = self._settings.token_path.read_text("utf-8").strip()
        except OSError:
            return False  # no token file, nobody to let in
        return hmac.compare_digest((authorization or "").encode(), f"Bearer {token}".encode())

    async def _suffer(self, call: Call, fault: Drawn, delay_seconds: float) -> Reply:
        match fault:
            case Reset():
                return Reply(None, "failed", answer="reset")
            case Throttle():
                return problem(429, "rate.exceeded", "too many requests", _retry_after(fault.retry_after))
            case Unavailable():
                after = _retry_after(fault.retry_after)
                return problem(503, "unavailable", "the service is unavailable", after, verdict="failed")
            case ClosedPeriod():
                detail = "the accounting period is closed"
                return await self._unless_known(call, problem(422, "period_closed", detail), delay_seconds)
            case Refuse():
                refused = problem(fault.status, fault.code, fault.detail)
                return await self._unless_known(call, refused, delay_seconds)
            case LostAnswer():
                return unanswered(await self._execute(call, delay_seconds))
            case Hang():
                return await self._hang(call, fault, delay_seconds)
            case LateCommit():
                return await self._commit_late(call, fault)
            case Garbage(commit=True):
                return spoil(await self._execute(call, delay_seconds), fault)
            case Garbage():
                return spoil(Reply(201 if call.op == "post" else 200, "failed"), fault)

    async def _hang(self, call: Call, fault: Hang, delay_seconds: float) -> Reply:
        reply = await self._execute(call, delay_seconds) if fault.commit else Reply(None, "failed")
        await asyncio.sleep(fault.seconds)
        return unanswered(reply)

    async def _commit_late(self, call: Call, fault: LateCommit) -> Reply:
        waited = 0.0
        if fault.close_after_seconds is not None:
            waited = min(fault.close_after_seconds, fault.seconds)
            await asyncio.sleep(waited)
            # From here on it is a job of the ERP's own: the caller is told that nothing runs any more.
            self.end(call)
            call.peer.close()
        await asyncio.sleep(fault.seconds - waited)
        return unanswered(await self._execute(call, 0.0))

    async def _unless_known(self, call: Call, refused: Reply, delay_seconds: float) -> Reply:
        # A document that is on the books stays posted, whatever is refused since.
        if call.key is not None and await self._ledger.find("key", call.key):
            return await self._execute(call, delay_seconds)
        return refused

    async def _execute(self, call: Call, delay_seconds: float) -> Reply:
        low, high = self._settings.latency_ms
        delay_seconds += self._random.uniform(low, high) / 1_000
        if delay_seconds > 0:
            await asyncio.sleep(delay_seconds)
        match call.op:
            case "post":
                return await self._post(call)
            case "find":
                return await self._find(call)
            case "list":
                return await listing(self._ledger, call.query)
            case _:
                return Reply(200, "read", self._told())

    def _told(self) -> bytes:
        if self._said() is self.profile.limits:
            return self._profile_json
        return msgspec.json.encode(Profile(self.profile.profile, self._said()))

    async def _post(self, call: Call) -> Reply:
        if not call.key or len(call.key) > KEY_MAX_LENGTH:
            detail = f"Idempotency-Key: expected a header of 1 to {KEY_MAX_LENGTH} characters"
            return problem(400, "idempotency.key_missing", detail)
        if call.fields is None:
            return problem(400, "body.invalid", "the body is not a JSON object")
        invalid = self.system.check(call.fields)
        if invalid is not None:
            return problem(422, invalid.code, invalid.detail)
        original = self.system.reversed_by(call.fields)
        if original is not None and not await self._ledger.find("document", original):
            return problem(422, "document.unknown", f"reverses: there is no document {original}")
        entry, now_ms = self._entry(call)
        posted = await self._ledger.post(entry, now_ms)
        if posted.verdict == "mismatch":
            return problem(422, "idempotency.mismatch", "this Idempotency-Key was used with another body")
        replay = posted.verdict == "replayed"
        body = msgspec.json.encode(posted.entry.document())
        headers = ((b"idempotent-replay", b"true"),) if replay else ()
        return Reply(200 if replay else 201, posted.verdict, body, None, posted.entry.document_id, headers)

    def _entry(self, call: Call) -> tuple[Entry, int]:
        fields = call.fields or {}
        now_ms = int(self._wall_clock().timestamp() * 1_000)
        status, reason_code = self.system.words(fields)
        window = self._settings.idempotency_seconds
        entry = Entry(
            document_id=self._ledger.next_document_id(),
            key=None if window == 0 else call.key,
            key_expires_ms=None if window is None else now_ms + int(window * 1_000),
            fingerprint=fingerprint(fields),
            reference=fields["reference"],
            account_id=fields["account_id"],
            amount=fields.get("amount") or "",
            currency=fields.get("currency") or "",
            source_document=fields["source_document"],
            status=status,
            posted_at=f"{self.now().astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z",
            reason_code=reason_code,
        )
        return entry, now_ms

    def _account(self, account_id: str | None) -> Reply:
        if not account_id:
            return problem(400, "account.missing", "account_id: expected a query parameter, as in ?account_id=A")
        accounts = self._ledger.path.with_name("accounts.json")
        record = self.system.account_record(accounts, account_id)
        if record is None:
            return problem(404, "path.unknown", "this system knows no accounts; see /openapi.json")
        return Reply(200, "found", msgspec.json.encode(record))

    async def _find(self, call: Call) -> Reply:
        if call.path == "/accounts":
            return self._account(call.reference)
        if not call.reference:
            detail = "reference: expected a query parameter, as in ?reference=R"
            return problem(400, "reference.missing", detail)
        entries = await self._ledger.find("reference", call.reference)
        body = msgspec.json.encode({"items": [entry.document() for entry in entries]})
        document = entries[0].document_id if entries else None
        return Reply(200, "found" if entries else "absent", body, None, document)


def _retry_after(text: str | None) -> tuple[tuple[bytes, bytes], ...]:
    return () if text is None else ((b"retry-after", text.encode()),)


def _read_fields(call: Call) -> None:
    if call.op != "post" or not call.body:
        return
    try:
        fields = msgspec.json.decode(call.body)
    except (msgspec.DecodeError, RecursionError):
        return
    if isinstance(fields, dict):
        call.fields = fields
        call.reference = call.text("reference")
