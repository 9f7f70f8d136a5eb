"""Scopes: what a credential may do. A scope stands for itself only; none implies another."""

from collections.abc import Collection

MESSAGES_WRITE = "messages:write"
OPS_READ = "ops:read"
OPS_WRITE = "ops:write"
SCOPES = frozenset({MESSAGES_WRITE, OPS_READ, OPS_WRITE})


def permits(granted: Collection[str], needed: str) -> bool:
    """Whether a credential with these scopes may do what needs `needed`.

    An unknown scope is never permitted, also not to a credential that claims it.
    """
    return needed in SCOPES and needed in granted
