"""Promises of scopes: each stands for itself only."""

import pytest

from policies.access import MESSAGES_WRITE, OPS_READ, OPS_WRITE, SCOPES, permits


@pytest.mark.parametrize("needed", sorted(SCOPES))
@pytest.mark.parametrize("granted", sorted(SCOPES))
def test_a_scope_permits_itself_and_nothing_else(granted, needed):
    assert permits({granted}, needed) == (granted == needed)


def test_nothing_is_permitted_without_scopes_and_unknown_ones_never():
    assert not any(permits((), scope) for scope in SCOPES)
    assert not permits({"ops:admin", "*"}, "ops:admin")
    assert permits([MESSAGES_WRITE, OPS_READ, OPS_WRITE], OPS_WRITE)
