"""A modelled ERP in virtual time that writes the sandbox's own log, and the clients that write the accepted list."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from ops.certificate import Certificate, certify
from ops.certificate.terms import Terms
from ops.sandbox.call import Call, Reply, problem, unanswered
from ops.sandbox.journal import FILE_NAME, Journal
from ops.sandbox.limits import Profile, parse_limit

SECOND = 1_000_000_000
MS = 1_000_000
DAY_SECONDS = 86_400
WALL_AT_ZERO = datetime(2026, 3, 31, 23, 59, 40, tzinfo=UTC)
"""Twenty seconds before midnight, for those who believe in midnight."""


class Agenda:
    """Virtual time: what happens when. Actions of one moment happen in the order in which they were noted."""

    def __init__(self) -> None:
        self.now_ns = SECOND
        self._noted = 0
        self._actions: list[tuple[int, int, Callable[[], None]]] = []

    def at(self, moment_ns: int, action: Callable[[], None]) -> None:
        self._noted += 1
        heapq.heappush(self._actions, (max(moment_ns, self.now_ns), self._noted, action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        self.at(self.now_ns + round(seconds * SECOND), action)

    def run(self, actions_max: int = 2_000_000) -> None:
        """Until nothing is left to happen."""
        for _ in range(actions_max):
            if not self._actions:
                return
            self.now_ns, _, action = heapq.heappop(self._actions)
            action()
        raise AssertionError(f"{actions_max} actions and no end: the world turns in a circle")


@dataclass
class Message:
    """One accepted message, and the call that it asks for."""

    number: int
    tenant: str
    lane: str
    account: str
    accepted_ns: int
    outcome: str = "pending"
    attempts: int = 0

    @property
    def key(self) -> str:
        return f"case-{self.number}"

    def row(self) -> dict[str, Any]:
        """Its line in the accepted list."""
        who = {"id": f"msg-{self.number}", "key": self.key, "account": self.account, "tenant": self.tenant}
        return {
            **who,
            "lane": self.lane,
            "sequence": self.number,
            "accepted_ns": self.accepted_ns,
            "outcome": self.outcome,
        }


@dataclass(frozen=True)
class Fate:
    """What one call meets at the ERP. `busy_seconds` None: its usual time. `answered`: the caller hears of it."""

    commit: bool = True
    answered: bool = True
    busy_seconds: float | None = None
    throttle_seconds: int | None = None
    fails: bool = False


FINE = Fate()


@dataclass(frozen=True)
class Answer:
    """What the caller gets. `server_ns`: how long the ERP says it took."""

    kind: str
    server_ns: int | None = None
    retry_after_seconds: int = 0


@dataclass
class Settings:
    """How the ERP behaves: seconds, drawn evenly from a range."""

    limits: Sequence[str] = ("20/1s", "5 concurrent")
    latency: tuple[float, float] = (0.04, 0.06)
    wire: tuple[float, float] = (0.0005, 0.0015)
    says_duration: bool = True
    deduplicates: bool = True
    timeout_seconds: float = 5.0
    fate: Callable[[str, Message], Fate] = lambda kind, message: FINE


@dataclass
class Erp:
    """Serves calls, keeps the books, and writes down what it experienced. It refuses only what a fate says."""

    agenda: Agenda
    journal: Journal
    settings: Settings
    seed: int = 1
    in_progress: int = 0
    books: dict[str, str] = field(default_factory=dict)
    documents: int = 0
    calls: int = 0

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self.open_log(self.settings.limits)

    def open_log(self, limits: Sequence[str]) -> None:
        profile = Profile("mutants", tuple(parse_limit(text) for text in limits))
        wall = datetime.fromtimestamp(WALL_AT_ZERO.timestamp() + self.agenda.now_ns / 1e9, UTC)
        self.journal.header(profile, self.agenda.now_ns, wall)

    def change_limits(self, limits: Sequence[str]) -> None:
        """Other limits for every call that arrives from now on."""
        self.journal.limits([parse_limit(text) for text in limits], self.agenda.now_ns)

    def call(self, kind: str, message: Message, reference: str, answer: Callable[[Answer], None]) -> None:
        """Send a call now; `answer` hears of the end, or of the time-out."""
        self.agenda.after(
            self._random.uniform(*self.settings.wire), lambda: self._arrive(kind, message, reference, answer)
        )

    def _arrive(self, kind: str, message: Message, reference: str, answer: Callable[[Answer], None]) -> None:
        self.calls += 1
        self.in_progress += 1
        now_ns = self.agenda.now_ns
        body = {"account_id": message.account, "source_document": message.key, "amount": "1.00", "currency": "EUR"}
        op = "post" if kind == "post" else "find"
        met = Call(self.calls, op, "POST", "/adjustments", now_ns, self.in_progress, None, None, key=reference)
        met.reference, met.fields = reference, body if kind == "post" else None
        self.journal.arrived(met)
        fate = self.settings.fate(kind, message)
        usual = self._random.uniform(*self.settings.latency)
        if fate.throttle_seconds is not None:
            usual = 0.001
        busy = usual if fate.busy_seconds is None else fate.busy_seconds
        self.agenda.after(busy, lambda: self._end(met, fate, answer))
        if not fate.answered:
            self.agenda.after(self.settings.timeout_seconds, lambda: answer(Answer("lost")))

    def _end(self, met: Call, fate: Fate, answer: Callable[[Answer], None]) -> None:
        self.in_progress -= 1
        reply, kind = self._serve(met, fate)
        now_ns = self.agenda.now_ns
        self.journal.ended(met, reply if fate.answered else unanswered(reply), now_ns)
        if fate.answered:
            took_ns = now_ns - met.arrived_ns if self.settings.says_duration else None
            told = Answer(kind, took_ns, fate.throttle_seconds or 0)
            self.agenda.after(self._random.uniform(*self.settings.wire), lambda: answer(told))

    def _serve(self, met: Call, fate: Fate) -> tuple[Reply, str]:
        if fate.throttle_seconds is not None:
            after = str(fate.throttle_seconds).encode()
            return problem(429, "rate.exceeded", "too many requests", ((b"retry-after", after),)), "throttled"
        if fate.fails:
            return problem(503, "unavailable", "not now", verdict="failed"), "failed"
        reference = met.reference or ""
        if met.op == "find":
            known = self.books.get(reference)
            return Reply(200, "found" if known else "absent", document=known), "done" if known else "absent"
        if not fate.commit:
            return Reply(None, "failed"), "failed"
        if reference in self.books and self.settings.deduplicates:
            return Reply(200, "replayed", document=self.books[reference]), "done"
        self.documents += 1
        self.books[reference] = f"ADJ-{self.documents}"
        return Reply(201, "created", document=self.books[reference]), "done"


class World:
    """One run: time, the ERP, what was accepted, and what clients know of holds."""

    def __init__(self, place: Path, settings: Settings) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.place = place
        self.log_path = place / FILE_NAME
        self.agenda = Agenda()
        self.journal = Journal(self.log_path)
        self.erp = Erp(self.agenda, self.journal, settings)
        self.messages: list[Message] = []
        self.spells: list[dict[str, Any]] = []

    def accept(self, tenant: str, lane: str = "standard", account: str | None = None) -> Message:
        """A client is told that its message is accepted."""
        number = len(self.messages) + 1
        message = Message(number, tenant, lane, account or f"acc-{number}", self.agenda.now_ns)
        self.messages.append(message)
        return message

    def certificate(self, terms: Terms) -> Certificate:
        """What the certifier says of the log and the accepted list, and of nothing else."""
        self.journal.close()
        accepted = self.place / "accepted.jsonl"
        lines: Iterable[dict[str, Any]] = [*(message.row() for message in self.messages), *self.spells]
        accepted.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return certify(self.log_path, accepted, terms=terms)
