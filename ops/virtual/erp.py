"""The modelled ERP: the sandbox's own limits and log, times and moods drawn from a seed, and a ledger in memory."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log, sqrt
from random import Random

import msgspec

from actors.adapters.classify import classify
from actors.adapters.port import Absent, Answer, Lost, Outcome, Posted
from broker.store.rows import Call
from contracts.codec import decode
from contracts.messages import AdjustmentRequest
from ops.sandbox.admission import Admission
from ops.sandbox.call import Call as Experience
from ops.sandbox.call import Op, Reply
from ops.sandbox.journal import Journal
from ops.sandbox.limits import Profile
from ops.virtual.agenda import Agenda
from policies.failure_tables import MANNERS
from policies.failures import Said

_MS_NS = 1_000_000


class Mood(msgspec.Struct, frozen=True):
    """How the ERP behaves. Latency is log-normal, as service times with many small causes are.

    latency_ms: its mean. latency_cv: standard deviation over mean. wire_ms: the longest way there, or back.
    failures: share of the calls answered with 503. lost: share of the posts that are done but never answered.
    """

    latency_ms: float = 6_000.0
    latency_cv: float = 0.35
    wire_ms: float = 2.0
    failures: float = 0.002
    lost: float = 0.001


class ModelErp:
    """Serves calls on an agenda. It keeps the adapter's promises: idempotent by intent id, and can be asked by it."""

    system = "erp"
    deduplicates = True
    finds = True
    timeout_seconds = 30.0
    lost_seconds = 2.0
    late_seconds = 0.0
    dedupe_seconds: float | None = None

    def __init__(self, agenda: Agenda, profile: Profile, mood: Mood, journal: Journal | None, seed: int) -> None:
        self.mood = mood
        self._agenda = agenda
        self._admission = Admission(profile.limits)
        self._journal = journal
        self._times, self._moods = Random(f"times:{seed}"), Random(f"moods:{seed}")
        self._documents: dict[str, str] = {}
        self._seq = 0
        self.refused = 0

    def call(self, op: Op, call: Call, answer: Callable[[Answer], None]) -> None:
        """Send a call now; `answer` is told when the answer is back."""
        self._agenda.at(self._agenda.now_ns + self._wire_ns(), lambda: self._arrive(op, call, answer))

    def _arrive(self, op: Op, call: Call, answer: Callable[[Answer], None]) -> None:
        now_ns = self._agenda.now_ns
        self._seq += 1
        concurrent = self._admission.in_progress + 1
        refusal = self._admission.arrive(now_ns, op)
        met = Experience(self._seq, op, _METHODS[op], "/adjustments", now_ns, concurrent, refusal, None)
        met.key, met.reference, met.fields = call.intent_id, call.intent_id, _fields(call)
        if self._journal is not None:
            self._journal.arrived(met)
        if refusal is not None:
            self.refused += 1
            after = float(refusal.retry_after_seconds)
            self._finish(met, Reply(429, "refused", code=refusal.code), answer, after)
            return
        failed = self._moods.random() < self.mood.failures
        lost = self._moods.random() < self.mood.lost
        self._agenda.at(now_ns + self._latency_ns(), lambda: self._serve(met, failed, lost, answer))

    def _serve(self, met: Experience, failed: bool, lost: bool, answer: Callable[[Answer], None]) -> None:
        self._admission.end(met.arrived_ns, self._agenda.now_ns, met.op)
        if failed:
            reply = Reply(503, "failed", code="unavailable")
        elif met.op == "post":
            reply = self._post(met, lost)
        else:
            document = self._documents.get(met.reference or "")
            reply = Reply(200, "found" if document else "absent", document=document)
        self._finish(met, reply, answer, None)

    def _post(self, met: Experience, lost: bool) -> Reply:
        key = met.key or ""
        known = self._documents.get(key)
        document = self._documents.setdefault(key, f"ADJ-{len(self._documents) + 1:08d}")
        if lost:
            return Reply(None, "replayed" if known else "created", document=document, answer="lost")
        return Reply(200 if known else 201, "replayed" if known else "created", document=document)

    def _finish(
        self, met: Experience, reply: Reply, answer: Callable[[Answer], None], retry_after_seconds: float | None
    ) -> None:
        ended_ns = self._agenda.now_ns
        if self._journal is not None:
            self._journal.ended(met, reply, ended_ns)
        told = Answer(
            _outcome(reply, retry_after_seconds), None if reply.answer == "lost" else ended_ns - met.arrived_ns
        )
        self._agenda.at(ended_ns + self._wire_ns(), lambda: answer(told))

    def _wire_ns(self) -> int:
        return round(self._times.random() * self.mood.wire_ms * _MS_NS)

    def _latency_ns(self) -> int:
        spread = sqrt(log(1 + self.mood.latency_cv**2))
        return round(self.mood.latency_ms * exp(self._times.gauss(-spread * spread / 2, spread)) * _MS_NS)


_METHODS: dict[Op, str] = {"post": "POST", "find": "GET"}


def _fields(call: Call) -> dict[str, str]:
    request = decode(call.body, AdjustmentRequest)
    return {
        "account_id": request.account_id,
        "source_document": request.source_document,
        "amount": request.amount.amount,
        "currency": request.amount.currency,
    }


def _outcome(reply: Reply, retry_after_seconds: float | None) -> Outcome:
    if reply.answer == "lost":
        return Lost("the connection ended without an answer")
    if reply.status is not None and reply.status >= 400:
        said = Said(reply.code, reply.code or "", own=True)
        return classify(MANNERS["generic"], reply.status, said, retry_after_seconds, "the simulated ERP")
    return Posted(reply.document, reply.verdict == "replayed") if reply.document else Absent()
