"""The data of every message type in one place to import from."""

from contracts.billing import CreditDecided, Decision
from contracts.erp import AdjustmentPosted, AdjustmentRefused, AdjustmentRequest
from contracts.processes import (
    ApprovalNeeded,
    CallEnded,
    IncidentSwitch,
    ProcessEnded,
    ProcessGrant,
    ProcessJudged,
    ProcessReplay,
    ProcessRequest,
    ProcessStart,
    ProcessTimer,
    ProcessVote,
    SystemRequest,
)
from contracts.support import CaseOpened

__all__ = [
    "AdjustmentPosted",
    "AdjustmentRefused",
    "AdjustmentRequest",
    "ApprovalNeeded",
    "CallEnded",
    "CaseOpened",
    "CreditDecided",
    "Decision",
    "IncidentSwitch",
    "ProcessEnded",
    "ProcessGrant",
    "ProcessJudged",
    "ProcessReplay",
    "ProcessRequest",
    "ProcessStart",
    "ProcessTimer",
    "ProcessVote",
    "SystemRequest",
]
