"""The adapter protocol: validate, post, find by intent, limits, classify; and the closed set of answers."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol, TypeAlias, runtime_checkable

import msgspec

from broker.store.rows import Call
from policies.limits import Limit
from policies.reconcile import Paper
from policies.recoverability import FailureClass
from policies.signals import NOTHING, Reading


class Posted(msgspec.Struct, frozen=True, tag=True):
    """The system has it, as this document. `replayed`: it had it before."""

    document: str
    replayed: bool = False


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The system surely did not do it. `code` is the system's or ours; `reason` is a sentence without secrets."""

    failure: FailureClass
    code: str
    reason: str
    retry_after_seconds: float | None = None


class NotSent(msgspec.Struct, frozen=True, tag=True):
    """Not a byte of it left: no connection. The system has not experienced a call."""

    reason: str


class Lost(msgspec.Struct, frozen=True, tag=True):
    """It was sent and no usable answer came: it may or may not have been done. Unknown is not failed."""

    reason: str


class Again(msgspec.Struct, frozen=True, tag=True):
    """The system surely did not do it, for a reason that is mended already: so it goes again as if it never had.

    Such as a token that was replaced while the call was on its way.
    """

    reason: str


class Absent(msgspec.Struct, frozen=True, tag=True):
    """A look-up's answer: the system has no document of this intent."""


class Listed(msgspec.Struct, frozen=True, tag=True):
    """One page of a system's documents, in the order of their references; `next` is where to go on, None at the end."""

    papers: tuple[Paper, ...]
    next: str | None


class CannotList(msgspec.Struct, frozen=True, tag=True):
    """The system has no listing: it can only be asked for one intent at a time."""


Outcome: TypeAlias = Posted | Failed | NotSent | Lost | Again | Absent


class Answer(msgspec.Struct, frozen=True):
    """What came of a call. `server_ns`: how long the system says it had the call, when it says so.

    `reading`: what the answer says about limits, whatever its outcome.
    """

    outcome: Outcome
    server_ns: int | None = None
    reading: Reading = NOTHING


@runtime_checkable
class Lister(Protocol):
    """What an adapter may be as well: one whose documents can be held against our ledger. Nothing here posts.

    A system that has no listing is still asked intent by intent.
    """

    async def list_documents(
        self, after: str | None, since: datetime | None
    ) -> tuple[Answer, Listed | CannotList | None]:
        """One page in the order of references, as bytes, from the cursor `after` on (None: the first).

        `since`: what the system says it posted earlier may be left out. No page when the call itself failed; then the
        answer says how. With a page the answer's outcome is `Absent`.
        """
        ...

    async def papers(self, intent_id: str) -> tuple[Answer, tuple[Paper, ...] | None]:
        """All documents of one intent; None when the call failed."""
        ...


class Traits(msgspec.Struct, frozen=True):
    """What is known of a system besides its API: what an adapter of it states (see `Adapter`)."""

    deduplicates: bool = True
    finds: bool = True
    late_seconds: float = 0.0
    dedupe_seconds: float | None = None


class Promises(Protocol):
    """What a system and its adapter promise of any call; the next step of a call is judged by nothing else of them."""

    system: str
    deduplicates: bool
    """The system itself recognises our intent id and never does the same intent twice."""
    finds: bool
    """The system can be asked for a document by intent id."""
    timeout_seconds: float
    """After so long a call without an answer counts as lost."""
    lost_seconds: float
    """After a lost answer, how long the system may still be busy with the call, or begin it late."""
    late_seconds: float
    """For how long after a lost answer a document may still appear: until then an empty look-up proves nothing."""
    dedupe_seconds: float | None
    """For how long after the first try the system recognises our intent id; None: for ever."""


class Adapter(Promises, Protocol):
    """Carries calls to one system. Methods never raise for what a system may do; cancelled, the outcome is unknown."""

    tells_limits: bool
    """The system can be asked for its limits (`limits`)."""

    async def open(self) -> None:
        """Get ready to call; no call is made."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...

    def validate(self, call: Call) -> Failed | None:
        """What can be seen to be wrong without spending a call."""
        ...

    async def post(self, call: Call) -> Answer:
        """Have it done, under the call's intent id. One request, never repeated by the adapter itself."""
        ...

    async def find_by_intent(self, call: Call) -> Answer:
        """Posted, Absent, or a failure of the look-up itself."""
        ...

    async def limits(self) -> tuple[Answer, tuple[Limit, ...]]:
        """Ask the system for its limits: one call of the budget. No limits when it does not tell or fails.

        The answer's outcome is `Absent` when the system was well and so are its words; else what went wrong.
        """
        ...
