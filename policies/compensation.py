"""What takes a step of a process back when a later step is refused: one catalogue, planned before the first step.

Nothing is deleted anywhere. To undo is another document with an intent of its own; a system that has neither is not
compensated but handed to the owner, with the state of each system.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct


class Undo(Struct, frozen=True, kw_only=True):
    """What undoes one step. `erp_calls`: what it costs of the ERP's budget; `owner` must act if it is refused."""

    step: str
    system: str
    operation: str
    owner: str
    erp_calls: int
    sentence: str


def _undo(step: str, system: str, operation: str, owner: str, sentence: str, erp_calls: int = 0) -> Undo:
    return Undo(step=step, system=system, operation=operation, owner=owner, erp_calls=erp_calls, sentence=sentence)


CATALOGUE: Final[Mapping[tuple[str, str], Undo]] = MappingProxyType(
    {
        ("credit", "billing"): _undo("billing", "billing", "credit.void", "revenue", "The credit note is voided."),
        ("refund", "billing"): _undo(
            "billing", "billing", "refund.recharge", "revenue", "The refunded amount is charged again by an invoice."
        ),
        ("correction", "billing"): _undo(
            "billing", "billing", "invoice.restore", "revenue", "The invoice is corrected back to what it was."
        ),
        ("amendment", "billing"): _undo(
            "billing", "billing", "subscription.restore", "revenue", "The subscription is amended back."
        ),
        ("amendment", "contract"): _undo(
            "contract", "crm", "contract.restore", "revenue", "The contract's terms are set back."
        ),
    }
)
"""By kind of process and step. A step that is not here cannot be undone by a machine."""


def undo_of(kind: str, step: str) -> Undo | None:
    """What undoes this step, if anything does."""
    return CATALOGUE.get((kind, step))


def erp_cost(plan: tuple[Undo, ...]) -> int:
    """Calls to the ERP that carrying out the whole plan would take."""
    return sum(undo.erp_calls for undo in plan)
