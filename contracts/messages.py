"""The data of every message type in one place to import from."""

from contracts.billing import CreditDecided, Decision
from contracts.erp import AdjustmentPosted, AdjustmentRefused, AdjustmentRequest
from contracts.support import CaseOpened

__all__ = [
    "AdjustmentPosted",
    "AdjustmentRefused",
    "AdjustmentRequest",
    "CaseOpened",
    "CreditDecided",
    "Decision",
]
