"""What an order covers: everything that all of its parts name, however they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.lanes import LANES
from policies.scope import Scope, Subject, parse_scope

CALL = Subject(frozenset({"erp", "erp-poster"}), "acme", "bulk", 3, "adjustment.create")
places = st.sampled_from(["all", "erp", "erp-poster", "credit-policy"])
scopes = st.builds(
    Scope,
    place=places,
    tenant=st.none() | st.sampled_from(["acme", "a:b", "zeta.1"]),
    lane=st.none() | st.sampled_from(LANES),
    partition=st.none() | st.integers(0, 255),
    operation=st.none() | st.sampled_from(["adjustment", "adjustment.create"]),
)


@given(scopes)
def test_what_is_written_is_read_back(scope: Scope) -> None:
    assert parse_scope(str(scope)) == scope


@pytest.mark.parametrize(
    ("target", "covered"),
    [
        ("all", True),
        ("erp", True),
        ("erp-poster", True),
        ("credit-policy", False),
        ("lane:bulk", True),
        ("lane:urgent", False),
        ("tenant:acme", True),
        ("tenant:acm", False),
        ("partition:3", True),
        ("partition:2", False),
        ("operation:adjustment", True),
        ("operation:adjustment.create", True),
        ("operation:adjust", False),
        ("tenant:acme,lane:bulk", True),
        ("lane:bulk, tenant:acme", True),
        ("tenant:acme,lane:urgent", False),
        ("erp,tenant:acme,lane:bulk,partition:3,operation:adjustment", True),
        ("credit-policy,tenant:acme", False),
    ],
)
def test_an_order_covers_what_all_of_its_parts_name(target: str, covered: bool) -> None:
    assert parse_scope(target).covers(CALL) is covered


@given(scopes, scopes)
def test_a_part_more_never_covers_more(one: Scope, other: Scope) -> None:
    narrow = Scope(
        one.place, *(getattr(one, n) or getattr(other, n) for n in ("tenant", "lane", "partition", "operation"))
    )
    assert one.covers(CALL) or not narrow.covers(CALL) or narrow.partition != one.partition


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("", "a part is empty"),
        ("erp,", "a part is empty"),
        ("tenant:", "tenant: which one?"),
        ("tenant:a,tenant:b", "named twice"),
        ("erp,credit-policy", "two places"),
        ("lane:bulkk", "expected one of urgent, standard, bulk"),
        ("partition:x", "expected a whole number"),
        ("partition:-1", "expected a whole number"),
        ("partition:9999999", "expected a whole number"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_part(target: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_scope(target)
