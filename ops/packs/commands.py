"""Packs of ERP commands: the billing cycle's invoices and the renewal campaign. Bulk lane, all to be posted."""

from collections import Counter
from collections.abc import Iterator
from random import Random

from msgspec import Struct

from contracts.money import Money
from ops.packs.message import PackMessage, cloud_event, tenant_of

COMMAND = "erp.adjustment.request"


class CommandPack(Struct, frozen=True):
    """What tells one pack of commands from the other. Amounts in cents of EUR."""

    name: str
    document_prefix: str
    reason_code: str
    minor_min: int
    minor_max: int
    cases_per_account: int
    span_ms: int


BILLING_CYCLE = CommandPack("billing-cycle", "inv", "invoice", 4_900, 250_000, 1, 600_000)
RENEWAL = CommandPack("renewal", "ren", "renewal", 49_000, 2_500_000, 2, 1_800_000)


def commands(pack: CommandPack, cases: int, seed: int, random: Random) -> Iterator[PackMessage]:
    """One command a case, evenly over the pack's span, accounts drawn uniformly."""
    accounts = max(1, cases // pack.cases_per_account)
    sequences: Counter[int] = Counter()
    for number in range(cases):
        account = random.randrange(accounts)
        sequences[account] += 1
        money = Money(random.randint(pack.minor_min, pack.minor_max), "EUR")
        yield _command(pack, seed, number, account, money, sequences[account], number * pack.span_ms // cases)


def _command(
    pack: CommandPack, seed: int, number: int, account: int, money: Money, sequence: int, offset_ms: int
) -> PackMessage:
    document = f"{pack.document_prefix}-{seed}-{number:06d}"
    account_id, tenant = f"acc-{account:05d}", tenant_of(account)
    data = {
        "intent_id": f"int-{document}",
        "account_id": account_id,
        "amount": money.to_wire(),
        "reason_code": pack.reason_code,
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
        partitionkey=account_id,
        lane="bulk",
        idempotencykey=f"int-{document}",
    )
    return PackMessage(
        event=event,
        account=account_id,
        tenant=tenant,
        key=document,
        lane="bulk",
        sequence=sequence,
        offset_ms=offset_ms,
        expected="post",
    )
