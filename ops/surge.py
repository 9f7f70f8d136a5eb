"""Sending a pack at a daemon as connectors would, watching it drain, and writing down what clients were told."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ops.client import Client, DaemonAway, Refused
from ops.packs import PackMessage, generate
from ops.packs.day import DAY_HOURS
from ops.surge_evidence import Evidence

BATCH = 50
_RETRY_SECONDS = 0.2
_LOOK_SHARE = 4.0
"""Looking takes at most a fifth of the time: with many messages it is work for the daemon, too."""
_SPAN_MS = 200
"""What falls due within so long goes in one batch."""


class Progress(msgspec.Struct):
    """Where a surge stands."""

    total: int
    accepted: int = 0
    duplicates: int = 0
    posted: int = 0
    refused: int = 0
    approval: int = 0
    waiting: dict[str, int] = {}
    budget: list[dict[str, Any]] = []
    in_flight: int = 0
    note: str = ""

    @property
    def settled(self) -> int:
        """Messages with a final outcome."""
        return self.posted + self.refused + self.approval


class Surge:
    """One run of a pack. `tell` is called with the progress, often; it may take other steps (kill the daemon, say).

    `hours`: send it in the shape of a business day of that length; None: as fast as the daemon takes it.
    """

    def __init__(
        self,
        client: Client,
        pack: str,
        cases: int,
        seed: int,
        tell: Callable[[Progress], None],
        give_up_seconds: float,
        hours: float | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        self._client = client
        self.evidence = evidence or Evidence()
        self._messages = list(generate(pack, cases, seed, hours or DAY_HOURS))
        self._own: set[str] = set()
        self._others: dict[str, dict[str, Any]] = {}
        self._paced = hours is not None
        self._tell = tell
        self._give_up_seconds = give_up_seconds
        self._rows: dict[str, dict[str, Any]] = {}
        self._seen = 0
        self._look_at = 0.0
        distinct = sum(not message.duplicate for message in self._messages)
        self.progress = Progress(total=distinct)

    def run(self, accepted_path: Path) -> Progress:
        """Send everything, wait until everything is settled, write the accepted list.

        A daemon that is away is asked again with the same ids until it is back.

        Raises:
            DaemonAway: it stayed away, or nothing moved, for longer than the patience.
            Refused: it refuses the pack for good.
        """
        begun = time.monotonic()
        for batch in _batches(self._messages, BATCH, _SPAN_MS if self._paced else None):
            self._await(begun + batch[0].offset_ms / 1000 if self._paced else begun)
            self.send(batch)
            self._look_now_and_then()
        moved = time.monotonic()
        settled = -1
        self._look()
        while self.progress.settled < self.progress.total:
            self._look_now_and_then()
            if self.progress.settled > settled:
                settled, moved = self.progress.settled, time.monotonic()
            elif time.monotonic() - moved > self._give_up_seconds:
                break
            time.sleep(_RETRY_SECONDS)
        self.write(accepted_path)
        return self.progress

    def _await(self, moment: float) -> None:
        """Until it is time for the next message, look at what becomes of the others."""
        while (early := moment - time.monotonic()) > 0:
            self._look_now_and_then()
            time.sleep(min(early, _RETRY_SECONDS))

    def send(self, batch: Sequence[PackMessage]) -> None:
        """Send some as one batch, again and again while the daemon is away, and keep what was answered.

        Raises:
            DaemonAway: it stayed away for longer than the patience.
            Refused: it refuses a message for good.
        """
        self._own.update(message.event["id"] for message in batch)
        receipts = self._patiently(lambda: self._client.send([message.event for message in batch]))
        now_ns, now = time.monotonic_ns(), datetime.now(UTC).isoformat()
        for message, receipt in zip(batch, receipts, strict=True):
            if receipt.get("code"):
                raise Refused({"title": receipt["code"], "detail": receipt.get("detail"), "code": receipt["code"]})
            self.progress.duplicates += bool(receipt.get("duplicate"))
            if receipt["id"] not in self._rows:
                self._rows[receipt["id"]] = _row(message, receipt, now, now_ns)
        self.progress.accepted = len(self._rows)

    def _patiently(self, act: Callable[[], Any]) -> Any:
        """Repeat while the daemon is away or busy."""
        since = time.monotonic()
        while True:
            try:
                return act()
            except DaemonAway as away:
                self.evidence.gone()
                problem: Exception = away
                wait = _RETRY_SECONDS
            except Refused as refused:
                if refused.come_back_seconds is None:
                    raise
                problem, wait = refused, refused.come_back_seconds
            self.progress.note = str(problem)
            self._tell(self.progress)
            if time.monotonic() - since > self._give_up_seconds:
                raise problem
            time.sleep(min(wait, 2.0))

    def _look_now_and_then(self) -> None:
        if time.monotonic() >= self._look_at:
            self._look()

    def _look(self) -> None:
        """Read the outcomes from the first unsettled message on, and the gauges."""
        begun = time.monotonic()
        self._read()
        took = time.monotonic() - begun
        self._look_at = begun + took + max(_RETRY_SECONDS, _LOOK_SHARE * took)
        self._tell(self.progress)

    def _read(self) -> None:
        try:
            self._read_outcomes()
            overview = self._client.overview()
        except (DaemonAway, Refused) as problem:
            if isinstance(problem, DaemonAway):
                self.evidence.gone()
            self.progress.note = str(problem)
        else:
            self.evidence.seen(overview)
            self.progress.note = ""
            self.progress.waiting = {row["lane"]: row["waiting"] for row in overview["calls"]}
            self.progress.budget = overview["budget"]
            self.progress.in_flight = overview["gate"]["in_flight"]

    def _read_outcomes(self) -> None:
        after, settled_to = self._seen, self._seen
        unbroken = True
        while True:
            items, following = self._client.outcomes(after)
            for item in items:
                unbroken = unbroken and item["outcome"] != "pending"
                settled_to = item["seq"] if unbroken else settled_to
                if (row := self._rows.get(item["id"])) is not None:
                    row.update(_outcome(item))
                    if "ready_ns" not in row and (called_ns := self.evidence.instant(item.get("called_at"))):
                        row["ready_ns"] = called_ns
                elif item["id"] not in self._own:
                    self._others[item["id"]] = item
            if following == after:
                break
            after = following
        self._seen = settled_to
        counts = Counter(row["outcome"] for row in self._rows.values())
        self.progress.posted, self.progress.refused = counts["posted"], counts["refused"]
        self.progress.approval = counts["approval"]

    def refresh(self) -> None:
        """Read every outcome anew: what waited for people may have gone on since.

        Raises:
            DaemonAway, Refused: the daemon does not answer.
        """
        self._seen = 0
        self._read_outcomes()

    def expected(self) -> dict[str, str]:
        """What each business key of the pack has to lead to: `post`, `refuse` or `either`."""
        return {message.key: message.expected for message in self._messages}

    def write(self, path: Path) -> None:
        """The accepted list, one line a message in order of acceptance, then what was seen besides."""
        others = [self._other(item) for item in self._others.values()]
        lines: list[Any] = [*self._rows.values(), *self.evidence.lines(), *others]
        path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))

    def _other(self, item: dict[str, Any]) -> dict[str, Any]:
        """A message that we did not send, as the daemon tells that it was accepted."""
        accepted_ns = self.evidence.accepted_by(item["accepted_at"])
        told = {name: value for name, value in _outcome(item).items() if name != "reason"}
        return {"event": "other", "id": item["id"], "key": item["key"], "accepted_ns": accepted_ns, **told}


def _row(message: PackMessage, receipt: dict[str, Any], now: str, now_ns: int) -> dict[str, Any]:
    return {
        "id": receipt["id"],
        "key": message.key,
        "account": message.account,
        "tenant": message.tenant,
        "workload": message.workload,
        "lane": receipt["lane"],
        "sequence": message.sequence,
        "accepted_at": now,
        "accepted_ns": now_ns,
        "outcome": "pending",
        "expected": message.expected,
    }


def _outcome(item: dict[str, Any]) -> dict[str, Any]:
    outcome = "refused" if item["outcome"] == "exception" else item["outcome"]
    facts = {name: item.get(name) for name in ("reason", "reference", "amount", "currency")}
    return {"outcome": outcome, **{name: value for name, value in facts.items() if value is not None}}


def _batches(messages: Sequence[PackMessage], size: int, span_ms: int | None) -> Iterator[Sequence[PackMessage]]:
    """Neighbours, at most `size` of them and, if there is a span, due within it."""
    start = 0
    for end in range(1, len(messages) + 1):
        full = end - start == size or end == len(messages)
        if full or (span_ms is not None and messages[end].offset_ms > messages[start].offset_ms + span_ms):
            yield messages[start:end]
            start = end
