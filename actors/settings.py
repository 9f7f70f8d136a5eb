"""The daemon's settings: one checked record. Units stand in the names."""

from __future__ import annotations

from pathlib import Path

import msgspec

from policies.approval_words import everybody, of_finance, read_delegations, read_operators, read_people
from policies.calendar import Calendar
from policies.limit_words import parse_limits
from policies.order import Share
from policies.order_shares import check_minima
from policies.vendors import VENDORS

SYSTEMS = ("billing", "support", "crm", "revenue")
"""The systems beside the ERP that can be connected."""


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the durable state lives."""

    directory: str = ".tidegate"
    mark_file: str = ""
    """Where it is kept how far the store was (default: beside it). Elsewhere, a directory put back whole is noticed."""
    look_first: bool = False
    """The store may be older than what was posted, whatever its mark says: look at the systems before posting."""


class Http(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The HTTP door. Anything but loopback needs `expose = true` and a proxy with TLS in front."""

    host: str = "127.0.0.1"
    port: int = 8080
    expose: bool = False


class BrokerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`embedded`, or an amqp:// or amqps:// URL (give it by environment or file: it holds a password)."""

    url: str = "embedded"
    url_file: str | None = None
    partitions: int = 4


class Erp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ERP and what it allows. `lost_seconds`: how long after a lost answer it may still be busy with the call.

    `profile` names what a vendor publishes (`ops/profiles.toml`); where it is read, its limits come before `limits`.
    `signals`: whose way of speaking about limits it has. `adapt`: learn what it really allows, below `limits`.
    `reserve_percent`: of each limit, left to people and other software. `ask_limits_seconds`: how often it is asked
    for its limits (0: never). `rest_seconds_max`: the longest rest of an operation that fails, before the next probe.
    `finds`: it can be asked for a document by our intent id. `dedupe_hours`: for how long it recognises an intent id
    that it has had (0: it does not). `late_seconds`: for how long after a lost answer a document may still appear
    there, where that is longer than `lost_seconds`. What can neither be found nor recognised goes to a person.
    """

    url: str = "http://127.0.0.1:8090"
    profile: str = ""
    limits: tuple[str, ...] = ("10/1s", "5 concurrent")
    timeout_seconds: float = 30.0
    lost_seconds: float = 30.0
    token_file: str | None = None
    signals: str = "generic"
    adapt: bool = True
    reserve_percent: int = 0
    ask_limits_seconds: float = 0.0
    rest_seconds_max: float = 60.0
    finds: bool = True
    dedupe_hours: float = 24.0
    late_seconds: float = 0.0


class Reconcile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ledger held against the systems. `every_hours`: how often in the background (0: never).

    `share_percent`: of each rate of a system, and of the time of one call, that comparisons may use.
    `look_first_hours`: after a restore, how long everything is looked up before it is sent to a system that has no
    listing of its documents.
    """

    every_hours: float = 24.0
    share_percent: int = 10
    look_first_hours: float = 168.0


class TenantShare(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tenant's share of each lane: its weight against other tenants, and percent of the calls at least."""

    weight: int = 1
    minimum_percent: int = 0


class WorkloadShare(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A workload's share within its tenant: its weight against the tenant's other workloads."""

    weight: int = 1


class Saas(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A system beside the ERP: billing, support, CRM, revenue reporting. Without a `url` it is not connected.

    `signals`: whose way of saying no it has.
    """

    url: str = ""
    limits: tuple[str, ...] = ("20/1s", "10 concurrent")
    timeout_seconds: float = 30.0
    lost_seconds: float = 30.0
    token_file: str | None = None
    signals: str = "generic"


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may approve, as "name=role"; and who may stand in, as "giver>taker until 2026-03-31T18:00:00Z".

    `fresh_hours`: account and invoices that were read longer before the approval are read again, and judged again.
    `direct_needs_finance`: adjustments that come over HTTP as such are taken only with the token of one of these
    people whose role approves anything.
    """

    people: tuple[str, ...] = ()
    delegations: tuple[str, ...] = ()
    escalate_hours: float = 72.0
    expire_hours: float = 504.0
    fresh_hours: float = 24.0
    direct_needs_finance: bool = False


class Operators(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who has a token of their own, as "name as role with file" or "name with file". The name is who they are in
    everything they do; without anybody here there is one token, whose holder is `operator`."""

    named: tuple[str, ...] = ()


class Flow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Order and back-pressure. Floors in percent of the calls.

    The marks count what waits: messages not handled yet and calls. The shares say at which part of the marks a lower
    lane is refused, so that there is always room for what is more urgent.

    Shares of tenants and workloads stand in sections of their own: `[flow.tenants.acme]`, `[flow.workloads.billing]`.
    """

    standard_floor_percent: int = 10
    bulk_floor_percent: int = 5
    waiting_high: int = 2_000_000
    waiting_low: int = 1_800_000
    standard_share_percent: int = 90
    bulk_share_percent: int = 80
    tenants: dict[str, TenantShare] = {}
    workloads: dict[str, WorkloadShare] = {}

    def tenant_shares(self) -> dict[str, Share]:
        """Raises SettingsRefused for shares that cannot be kept."""
        shares = {name: _share(f"flow.tenants.{name}", s.weight, s.minimum_percent) for name, s in self.tenants.items()}
        try:
            check_minima(share.minimum_percent for share in shares.values())
        except ValueError as error:
            raise SettingsRefused(f"flow.tenants: {error}") from None
        return shares

    def workload_shares(self) -> dict[str, Share]:
        """Raises SettingsRefused for a weight that cannot be kept."""
        return {name: _share(f"flow.workloads.{name}", share.weight, 0) for name, share in self.workloads.items()}


class CalendarSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Windows in local time of `zone`: when the ERP takes nothing, no posts, and bulk work only."""

    zone: str = "UTC"
    maintenance: tuple[str, ...] = ()
    close_freeze: tuple[str, ...] = ()
    bulk_only: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of limits of an hour and longer, so many percent are left to the lanes above."""

    standard_keep_percent: int = 0
    bulk_keep_percent: int = 10


class Audit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where and how often it is written down, outside the database, what the audit's chain has come to."""

    anchor_file: str = ""
    """Empty: `audit-anchors.jsonl` in the data directory. Better: a disk, or a machine, that others administer."""
    anchor_seconds: float = 300.0


class Daemon(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The process itself."""

    drain_seconds: float = 30.0
    standby: bool = False
    """Wait for a data directory that another process has, and take over when it ends; else such a start is refused."""
    log_level: str = "INFO"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set; no file at all gives a working embedded daemon."""

    data: Data = Data()
    http: Http = Http()
    broker: BrokerSettings = BrokerSettings()
    erp: Erp = Erp()
    billing: Saas = Saas()
    support: Saas = Saas()
    crm: Saas = Saas()
    revenue: Saas = Saas()
    approval: Approval = Approval()
    operators: Operators = Operators()
    flow: Flow = Flow()
    calendar: CalendarSettings = CalendarSettings()
    plan: Plan = Plan()
    reconcile: Reconcile = Reconcile()
    audit: Audit = Audit()
    daemon: Daemon = Daemon()

    @property
    def mark(self) -> Path | None:
        """Where the store's mark is; None: beside the store."""
        return Path(self.data.mark_file) if self.data.mark_file else None

    @property
    def directory(self) -> Path:
        """The data directory."""
        return Path(self.data.directory)

    @property
    def anchors(self) -> Path:
        """The anchor file."""
        return Path(self.audit.anchor_file or self.directory / "audit-anchors.jsonl")


class SettingsRefused(Exception):
    """A setting is wrong; the text names the key, what was expected, what was given, and an example."""


_LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR")


def check(settings: Settings) -> Settings:
    """Relations and ranges that types cannot say.

    Raises:
        SettingsRefused: naming the key.
    """
    try:
        parse_limits(settings.erp.limits)
    except ValueError as error:
        raise SettingsRefused(f"erp.limits: {error}") from None
    if not settings.erp.limits:
        raise SettingsRefused(
            'erp.limits: at least one limit is needed, for example limits = ["10/1s", "5 concurrent"]'
        )
    try:
        calendar_of(settings)
    except ValueError as error:
        raise SettingsRefused(f"calendar: {error}") from None
    _range("plan.standard_keep_percent", settings.plan.standard_keep_percent, 0, 50)
    _range("plan.bulk_keep_percent", settings.plan.bulk_keep_percent, settings.plan.standard_keep_percent, 90)
    _check_workflow(settings)
    _range("http.port", settings.http.port, 0, 65_535)
    _range("broker.partitions", settings.broker.partitions, 1, 256)
    _range("erp.timeout_seconds", settings.erp.timeout_seconds, 0.1, 900)
    if settings.erp.signals not in VENDORS:
        raise SettingsRefused(f"erp.signals: {settings.erp.signals!r} is not one of {', '.join(VENDORS)}")
    _range("erp.reserve_percent", settings.erp.reserve_percent, 0, 90)
    _range("erp.ask_limits_seconds", settings.erp.ask_limits_seconds, 0, 86_400)
    _range("erp.rest_seconds_max", settings.erp.rest_seconds_max, 1, 3_600)
    _range("erp.lost_seconds", settings.erp.lost_seconds, 0, 86_400)
    _range("reconcile.every_hours", settings.reconcile.every_hours, 0, 8_784)
    _range("reconcile.share_percent", settings.reconcile.share_percent, 1, 100)
    _range("reconcile.look_first_hours", settings.reconcile.look_first_hours, 1, 8_784)
    _range("audit.anchor_seconds", settings.audit.anchor_seconds, 1, 86_400)
    _range("erp.late_seconds", settings.erp.late_seconds, 0, 604_800)
    _range("erp.dedupe_hours", settings.erp.dedupe_hours, 0, 876_000)
    _range("daemon.drain_seconds", settings.daemon.drain_seconds, 1, 3_600)
    _range("flow.standard_floor_percent", settings.flow.standard_floor_percent, 1, 33)
    _range("flow.bulk_floor_percent", settings.flow.bulk_floor_percent, 1, 33)
    _range("flow.standard_share_percent", settings.flow.standard_share_percent, 1, 100)
    _range("flow.bulk_share_percent", settings.flow.bulk_share_percent, 1, settings.flow.standard_share_percent)
    if settings.flow.standard_floor_percent + settings.flow.bulk_floor_percent > 50:
        raise SettingsRefused("flow: the floors add up to more than 50 percent, which would leave urgent work waiting")
    settings.flow.tenant_shares()
    settings.flow.workload_shares()
    if not 0 <= settings.flow.waiting_low < settings.flow.waiting_high:
        raise SettingsRefused("flow.waiting_low: expected 0 or more and less than flow.waiting_high")
    if settings.http.host not in ("127.0.0.1", "::1", "localhost") and not settings.http.expose:
        raise SettingsRefused(
            f"http.host: {settings.http.host!r} is not loopback. Put a proxy with TLS in front and keep 127.0.0.1, "
            "or set http.expose = true if you mean it."
        )
    if settings.daemon.log_level not in _LEVELS:
        raise SettingsRefused(f"daemon.log_level: {settings.daemon.log_level!r} is not one of {', '.join(_LEVELS)}")
    if settings.broker.url != "embedded" and not settings.broker.url.startswith(("amqp://", "amqps://")):
        raise SettingsRefused('broker.url: expected "embedded", or a URL that begins with amqp:// or amqps://')
    return settings


def calendar_of(settings: Settings) -> Calendar:
    """The windows of the settings. Raises ValueError for words or a zone that make no sense."""
    found = settings.calendar
    return Calendar(found.zone, found.maintenance, found.close_freeze, found.bulk_only)


def _check_workflow(settings: Settings) -> None:
    for name in SYSTEMS:
        saas: Saas = getattr(settings, name)
        try:
            parse_limits(saas.limits)
        except ValueError as error:
            raise SettingsRefused(f"{name}.limits: {error}") from None
        if not saas.limits:
            raise SettingsRefused(f'{name}.limits: at least one limit is needed, for example limits = ["20/1s"]')
        if saas.url and not settings.billing.url:
            raise SettingsRefused(f"{name}.url: set billing.url as well; processes begin with a credit in billing")
        if saas.signals not in VENDORS:
            raise SettingsRefused(f"{name}.signals: {saas.signals!r} is not one of {', '.join(VENDORS)}")
        _range(f"{name}.timeout_seconds", saas.timeout_seconds, 0.1, 900)
        _range(f"{name}.lost_seconds", saas.lost_seconds, 0, 86_400)
    try:
        read_people(settings.approval.people)
    except ValueError as error:
        raise SettingsRefused(f"approval.people: {error}") from None
    try:
        read_operators(settings.operators.named)
        people = everybody(settings.approval.people, settings.operators.named)
    except ValueError as error:
        raise SettingsRefused(f"operators.named: {error}") from None
    if settings.approval.direct_needs_finance and not of_finance(people):
        raise SettingsRefused("approval.direct_needs_finance: nobody has a role of finance; see operators.named")
    try:
        read_delegations(settings.approval.delegations)
    except ValueError as error:
        raise SettingsRefused(f"approval.delegations: {error}") from None
    _range("approval.escalate_hours", settings.approval.escalate_hours, 0.001, 8_784)
    _range("approval.expire_hours", settings.approval.expire_hours, 0.001, 8_784)
    _range("approval.fresh_hours", settings.approval.fresh_hours, 0, 8_784)


def _range(key: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise SettingsRefused(f"{key}: {value} is outside {low} to {high}")


def _share(key: str, weight: int, minimum_percent: int) -> Share:
    try:
        return Share(weight, minimum_percent)
    except ValueError as error:
        raise SettingsRefused(f"{key}: {error}") from None
