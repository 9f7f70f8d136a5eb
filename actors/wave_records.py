"""What people ask of an incident and are shown of it: the shapes on the wire."""

from __future__ import annotations

import msgspec

VERBS = ("approve", "hold", "resume")
PAGE_MAX = 500


class WaveCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Approve an incident up to a cap, hold it, or let it go on; or, with `token`, do what a dry run has shown.

    `cap` is decimal text by currency, `cases` and `per_account` are numbers of cases; `digest` is the one that a
    preview of this very cap has told. Who joins what others have approved names its digest and no cap. `tenant` is
    needed only for an incident that several tenants have.
    """

    reason: str = ""
    tenant: str | None = None
    cap: dict[str, str] = {}
    cases: int | None = None
    per_account: int | None = None
    digest: str | None = None
    token: str | None = None
    dry_run: bool = False


class WaveOrder(msgspec.Struct, frozen=True):
    """A command with everything filled in, as it is kept between a dry run and its commit."""

    verb: str
    tenant: str
    incident: str
    reason: str
    cap: dict[str, str] = {}
    cases: int | None = None
    per_account: int | None = None
    digest: str | None = None


class Part(msgspec.Struct, frozen=True):
    """How many credits, and their sums as decimal text by currency."""

    cases: int
    money: dict[str, str]


class CapView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A cap, who must approve it, and who has."""

    money: dict[str, str]
    cases: int
    per_account: int
    digest: str
    people: int
    role: str
    why: str
    approved_by: list[str] = []


class CostView(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a wave costs the ERP: calls, and the seconds until the last may start as things stand."""

    erp_calls: int
    seconds: float | None = None
    until: str | None = None


class HoldView(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why nothing more is let through. `rule`: what stopped it, if no person did."""

    who: str
    reason: str
    since: str
    rule: str = ""
    owner: str = "finance"


class WaveView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An incident: what was asked, what waits for people, what was let through, and what it would cost.

    `tiers` and `needs` are of what waits for people: by tier of the customer, and by who would have to approve each
    case alone. With a cap (a preview): `lets_through` and `leaves` say what would become of what waits.
    """

    incident: str
    tenant: str
    phase: str
    asked: Part
    by_policy: Part
    waiting: Part
    ended: dict[str, Part]
    tiers: dict[str, Part]
    needs: dict[str, int]
    cost: CostView
    released: Part
    under_way: int
    exceptions: list[str] = []
    largest: list[str] = []
    busiest: dict[str, int] = {}
    cap: CapView | None = None
    proposal: CapView | None = None
    preview: CapView | None = None
    lets_through: Part | None = None
    leaves: dict[str, int] = {}
    left: dict[str, str] = {}
    hold: HoldView | None = None


class IncidentRow(msgspec.Struct, frozen=True):
    """One line of the list. `last` is when its last case began (RFC 3339)."""

    incident: str
    tenant: str
    phase: str
    cases: int
    waiting: int
    released: int
    last: str


class IncidentPage(msgspec.Struct, frozen=True):
    """Incidents, the latest first."""

    items: list[IncidentRow]


class CaseView(msgspec.Struct, frozen=True):
    """A case that approvals of its incident have met: `released`, or left to a person (`waits`), and why."""

    place: int
    key: str
    account: str
    amount: str
    verdict: str
    why: str
    at: str


class CasePage(msgspec.Struct, frozen=True):
    """Cases in the order in which they were met; `next` is where the next page begins."""

    items: list[CaseView]
    next: int


class Line(msgspec.Struct, frozen=True):
    """One line of a reconciliation: what was counted, how many, and sums as decimal text by currency."""

    what: str
    count: int
    money: dict[str, str]


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """Two lines that must agree, whether they do, and some of what does not."""

    what: str
    holds: bool
    examples: list[str] = []


class Reconciliation(msgspec.Struct, frozen=True):
    """Approved against credited against ERP documents against told. `over`: nothing is under way any more."""

    incident: str
    tenant: str
    over: bool
    agrees: bool
    lines: list[Line]
    checks: list[Check]
