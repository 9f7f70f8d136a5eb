"""The registry of this house: every contract that Tidegate speaks."""

from contracts import billing, erp, processes, support
from contracts.registry import Registry

REGISTRY = Registry((*support.CONTRACTS, *billing.CONTRACTS, *erp.CONTRACTS, *processes.CONTRACTS))
