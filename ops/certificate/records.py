"""One line of an ERP's log as it is decoded, and what a document on the books is."""

from typing import Literal

from msgspec import Struct

from ops.certificate.model import Limit

Verdict = Literal["created", "replayed", "found", "absent", "read", "refused", "failed"]


class Document(Struct, frozen=True, gc=False):
    """An adjustment that the log shows to exist at the ERP, and the call that shows it.

    created: False when only a look-up or a replay shows it (the creating call has no end in the log).
    """

    document: str
    reference: str
    source_document: str
    account: str
    amount: str
    currency: str
    arrived_ns: int
    ended_ns: int
    line: int
    created: bool


class Record(Struct, gc=False):
    """Any line of the log; which kind it is shows from the fields that are there."""

    seq: int | None = None
    event: str | None = None
    op: str = ""
    arrived_ns: int | None = None
    ended_ns: int | None = None
    status: int | None = None
    verdict: Verdict | None = None
    code: str | None = None
    answer: str | None = None
    reference: str | None = None
    account: str | None = None
    source_document: str | None = None
    amount: str | None = None
    currency: str | None = None
    document: str | None = None
    log: str | None = None
    profile: str | None = None
    system: str | None = None
    limits: list[Limit] | None = None
    wall_at_zero: str | None = None
    started_ns: int | None = None
    at_ns: int | None = None
    note: str | None = None
    retry_after: str | None = None
    rule: str | None = None
    chain: str | None = None


class Refusal(Struct, frozen=True, gc=False):
    """A call that the ERP refused for its limits; `index` is its place in the log's arrays.

    rule: what the limit counts where it does not count every call: "post", "object", "post object".
    """

    index: int
    code: str
    retry_after: str | None
    rule: str = ""
