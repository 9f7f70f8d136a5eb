"""Packs of ERP commands: billing cycle, renewal campaign, month end. All are to be posted.

Each pack has accounts of its own. Order is promised for one account along one way, and a command comes to the ERP
poster directly, a case by way of the credit policy.
"""

from collections import Counter
from collections.abc import Iterator
from random import Random

from msgspec import Struct

from contracts.money import Money
from ops.packs.day import CAMPAIGN, CLOSING, NIGHT_RUN, Shape
from ops.packs.message import Lane, PackMessage, cloud_event, tenant_of

COMMAND = "erp.adjustment.request"


class Kind(Struct, frozen=True):
    """One kind of command in a pack: its share in hundredths, its lane, its amounts in cents of EUR."""

    percent: int
    reason_code: str
    lane: Lane
    minor_min: int
    minor_max: int


class CommandPack(Struct, frozen=True):
    """What tells one pack of commands from the other; the name is the workload."""

    name: str
    prefix: str
    kinds: tuple[Kind, ...]
    cases_per_account: int
    shape: Shape


BILLING_CYCLE = CommandPack("billing-cycle", "inv", (Kind(100, "invoice", "bulk", 4_900, 250_000),), 1, NIGHT_RUN)
RENEWAL = CommandPack("renewal", "ren", (Kind(100, "renewal", "bulk", 49_000, 2_500_000),), 2, CAMPAIGN)
MONTH_END = CommandPack(
    "month-end",
    "clo",
    # A customer waits for a refund; a correction only has to be in the right month.
    (Kind(30, "refund", "standard", 1_000, 60_000), Kind(70, "correction", "bulk", 100, 400_000)),
    3,
    CLOSING,
)


def commands(pack: CommandPack, cases: int, seed: int, random: Random, hours: float) -> Iterator[PackMessage]:
    """One command a case, in the pack's shape over a day of so many hours, accounts drawn uniformly."""
    accounts = max(1, cases // pack.cases_per_account)
    sequences: Counter[tuple[int, Lane]] = Counter()
    for number in range(cases):
        account = random.randrange(accounts)
        kind = random.choices(pack.kinds, [kind.percent for kind in pack.kinds])[0]
        sequences[account, kind.lane] += 1
        money = Money(random.randint(kind.minor_min, kind.minor_max), "EUR")
        offset_ms = pack.shape.at_ms(number / cases, hours)
        document = f"{pack.prefix}-{seed}-{number:06d}"
        yield _command(pack, kind, document, account, money, sequences[account, kind.lane], offset_ms)


def _command(
    pack: CommandPack, kind: Kind, document: str, account: int, money: Money, sequence: int, offset_ms: int
) -> PackMessage:
    account_id, tenant = f"{pack.prefix}-acc-{account:05d}", tenant_of(account)
    data = {
        "intent_id": f"int-{document}",
        "account_id": account_id,
        "amount": money.to_wire(),
        "reason_code": kind.reason_code,
        "source_document": document,
        "kind": "credit",
    }
    event = cloud_event(
        COMMAND,
        f"cmd-{document}",
        f"urn:pack:{pack.name}",
        document,
        offset_ms,
        data,
        tenant=tenant,
        workload=pack.name,
        partitionkey=account_id,
        lane=kind.lane,
        idempotencykey=f"int-{document}",
    )
    return PackMessage(
        event=event,
        account=account_id,
        tenant=tenant,
        workload=pack.name,
        key=document,
        lane=kind.lane,
        sequence=sequence,
        offset_ms=offset_ms,
        expected="post",
    )
